"""Evaluation from stored vectors: seconds of all settings of XQuAD-R when nothing is to encode.

The model is multilingual-e5-small; its vectors in the store are drawn, for its own take minutes and
ranking costs the same. Every run is a fresh process: ``python -m benchmarks.stored STEP FOLDER
DATASET`` prints JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evaluation import ENVIRONMENT, THREADS
from benchmarks.measure import Usage, estimate, list_versions, print_table, run_child

ROUNDS, GOAL = 9, 4.0
PARTS = ("evaluate()", "saving")  # that the goal is for; a process has imports, too


def main() -> None:
    """Write the model and its store, and evaluate XQuAD-R in fresh processes."""
    from beir_hybrid.extras.e5_small import write_e5_small

    print(f"{list_versions('sentence-transformers', 'torch')}, {THREADS} threads.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        write_e5_small(Path(name) / "model")
        measure(Path(name), "xquad-r", ROUNDS)


def measure(folder: Path, dataset: str, rounds: int) -> None:
    """Evaluate the model in a folder, and print seconds."""
    _run_step("fill", folder, dataset)
    runs = [_run_step("evaluate", folder, dataset) for _ in range(rounds)]
    facts = runs[0].result
    print(
        f"{facts['settings']} settings of {dataset} with the default measures and intervals, "
        f"{rounds} fresh processes:\n"
    )
    whole = estimate([run.wall for run in runs])
    rows = [("", f"median [{whole.confidence:.0%} interval]", "target", "verdict")]
    for part in facts["seconds"]:
        seconds = estimate([run.result["seconds"][part] for run in runs])
        rows.append((f"{part}, s", seconds.show(), "-", "-"))
    work = estimate([sum(run.result["seconds"][part] for part in PARTS) for run in runs])
    for label, seconds in ((" and ".join(PARTS), work), ("the whole process", whole)):
        rows.append((f"{label}, s", seconds.show(), f"<= {GOAL:g}", seconds.verdict(below=GOAL)))
    print_table(*rows)


def _run_step(step: str, folder: Path, dataset: str) -> Usage:
    return run_child("stored", step, folder, dataset, **ENVIRONMENT)


def fill_store(folder: Path, dataset: str) -> dict[str, Any]:
    """Evaluate once with drawn vectors, which the store keeps as the model's."""
    import beir_hybrid as bh
    from beir_hybrid.encoding import SentenceTransformerEncoder

    class DrawnVectors(SentenceTransformerEncoder):
        """Gives random unit vectors in the place of the model's."""

        draw = np.random.default_rng(5)

        def encode_batches(
            self, texts: Sequence[str], role: str
        ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            del role
            dim = self.model.get_embedding_dimension() or 1
            rows = self.draw.standard_normal((len(texts), dim), np.float32)
            yield np.arange(len(texts)), rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encoder = DrawnVectors(folder / "model", device="cpu")
    bh.evaluate(encoder, bh.load(dataset), store=folder / "store")
    return {}


def evaluate_stored(folder: Path, dataset: str) -> dict[str, Any]:
    """Evaluate from the store, and save; raise if anything was encoded."""
    times = [time.perf_counter()]
    import sentence_transformers  # noqa: F401 - takes the most of the imports

    import beir_hybrid as bh

    times.append(time.perf_counter())
    collection = bh.load(dataset)
    times.append(time.perf_counter())
    model = str(folder / "model")
    results = bh.evaluate(model, collection, store=folder / "store", device="cpu")
    times.append(time.perf_counter())
    with tempfile.TemporaryDirectory(dir=folder) as name:
        results.save(Path(name) / "results")
        times.append(time.perf_counter())
    if results.timing.encoded_texts:
        raise ValueError(f"{results.timing.encoded_texts} texts were encoded, not none")
    parts = ("imports", "loading the dataset", *PARTS)
    seconds = dict(zip(parts, np.diff(times).tolist(), strict=True))
    seconds["ranking and scoring alone"] = results.timing.seconds["ranking and scoring"]
    return {"seconds": seconds, "settings": len(results.settings)}


if __name__ == "__main__":
    STEPS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
        "fill": fill_store,
        "evaluate": evaluate_stored,
    }
    name, place, data = sys.argv[1:]
    print(json.dumps(STEPS[name](Path(place), data)))
