"""Speed and memory of mining hard negatives, beside sentence-transformers, and of filtering.

Every run is a fresh process with an empty store:
``python -m benchmarks.curation STEP FOLDER [COUNT]`` prints JSON.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

from benchmarks.measure import (
    MIB,
    Usage,
    estimate,
    list_versions,
    print_table,
    run_child,
    run_in_turns,
)

QUESTIONS, GROUPS = 20_000, 1_000_000
SCALE_QUESTIONS, SCALE_PASSAGES = 100_000, 1_000_000
MEMORY_GOAL = 4 << 30  # bytes
PAIRS, FILTER_RUNS = 3, 3
NEGATIVES, RANGE_MIN, RANGE_MAX = 5, 3, 20
# Without digits: what filters say of numbers is about those of texts.
WORDS = ["".join(letters) for letters in islice(product("aeioubdgklmnprst", repeat=4), 5_000)]
DIMENSIONS = 256
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}


def main() -> None:
    """Mine by both in turn, check that the negatives are the same, and filter."""
    packages = list_versions("sentence-transformers", "torch")
    print(f"{packages}. Medians, with intervals of the true median.\n")
    measure_mining(QUESTIONS)
    measure_scale(SCALE_QUESTIONS, SCALE_PASSAGES)
    measure_filter(GROUPS)


def measure_mining(count: int) -> None:
    """Print time and memory of both sides."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _run_step("write-pairs", folder, count)
        _run_step("ours", folder, count)  # compiles into numba's cache
        runs = run_in_turns(
            partial(_run_step, "ours", folder, count), partial(_run_step, "theirs", folder, count),
            PAIRS,
        )  # fmt: skip
        same = _read_negatives(folder / "ours.json") == _read_negatives(folder / "theirs.json")
    ours, theirs = zip(*runs, strict=True)
    print(
        f"{NEGATIVES} negatives of ranks {RANGE_MIN} to {RANGE_MAX} for {count:,} questions among "
        f"as many passages of one language,\nword vectors of {DIMENSIONS} dimensions; theirs is "
        f"mine_hard_negatives. Same negatives: {'yes' if same else 'no'}.\n"
    )
    rows: list[tuple[str, ...]] = [("", "seconds", "peak MiB of the process")]
    for label, side in (("ours", ours), ("theirs", theirs)):
        seconds = estimate([run.result["seconds"] for run in side])
        peak = estimate([run.peak / MIB for run in side])
        rows.append((label, seconds.show(), peak.show(",.0f")))
    time_ratio = estimate([their.result["seconds"] / our.result["seconds"] for our, their in runs])
    memory_ratio = estimate([their.peak / our.peak for our, their in runs])
    rows.append(("theirs / ours", time_ratio.show(), memory_ratio.show()))
    print_table(*rows)


def measure_scale(questions: int, passages: int) -> None:
    """Print time and memory of mining in a large corpus, once."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _run_step("write-pairs", folder, questions)
        _run_step("write-corpus", folder, passages - questions)
        run = _run_step("ours", folder, questions)
    verdict = "met" if run.peak <= MEMORY_GOAL else "missed"
    print(
        f"\n{questions:,} questions among {passages:,} passages, one run: "
        f"{run.result['seconds']:,.0f} s, peak {run.peak / MIB:,.0f} MiB,\nof which "
        f"{run.anonymous / MIB:,.0f} are not files; at most {MEMORY_GOAL / MIB:,.0f}: {verdict}"
    )


def measure_filter(count: int) -> None:
    """Print the groups a second of the rules that need no model."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _run_step("write-groups", folder, count)
        _run_step("filter", folder, count)  # likewise
        runs = [_run_step("filter", folder, count) for _ in range(FILTER_RUNS)]
    rate = estimate([count / run.result["seconds"] for run in runs])
    peak = estimate([run.peak / MIB for run in runs])
    print(
        f"\nfilter, rules without a model, {count:,} groups in two languages: {rate.show(',.0f')} "
        f"groups/s,\nat least 20,000: {rate.verdict(at_least=20_000)}; peak {peak.show(',.0f')} MiB"
    )


def _run_step(step: str, folder: Path, count: int) -> Usage:
    """Run a step in a process of its own, with a cache of its own."""
    with tempfile.TemporaryDirectory(prefix="cache-", dir=folder) as cache:
        environment = {**ENVIRONMENT, "BEIR_HYBRID_CACHE": cache}
        return run_child("curation", step, folder, str(count), **environment)


def _read_negatives(path: Path) -> dict[str, list[str]]:
    negatives: dict[str, list[str]] = json.loads(path.read_text("utf-8"))
    return negatives


def _draw_texts(rng: random.Random, count: int, length: int) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=length)) for _ in range(count)]


def write_pairs(folder: Path, count: int) -> dict[str, Any]:
    """Write questions with passages that share words with them, and a model of word vectors."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    rng = random.Random(1)
    with (folder / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for question in _draw_texts(rng, count, 6):
            passage = " ".join([*question.split()[:3], *rng.choices(WORDS, k=40)])
            row = {"query": {"en": question}, "positive": {"en": passage}}
            file.write(json.dumps(row) + "\n")
    vocabulary = {word: number for number, word in enumerate(["?", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="?"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = Whitespace()
    torch.manual_seed(1)
    embedding = StaticEmbedding(tokenizer, embedding_dim=DIMENSIONS)
    SentenceTransformer(modules=[embedding], device="cpu").save(str(folder / "model"))
    return {}


def write_corpus(folder: Path, count: int) -> dict[str, Any]:
    """Write a collection of passages, with the one query that a collection needs."""
    rng = random.Random(2)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for number, text in enumerate(_draw_texts(rng, count, 43)):
            file.write(json.dumps({"passage": str(number), "text": {"en": text}}) + "\n")
        file.write(json.dumps({"query": "q", "text": {"en": WORDS[0]}, "relevant": ["0"]}) + "\n")
    return {}


def mine_ours(folder: Path, count: int) -> dict[str, Any]:
    """Mine with `bh.mine_negatives`, in a corpus if there is one."""
    import sentence_transformers  # noqa: F401 - before the clock starts, as for theirs

    import beir_hybrid as bh

    path = folder / "corpus.jsonl"
    corpus = bh.read_jsonl(path) if path.exists() else None
    output = folder / f"mined-{count}.jsonl"
    for old_file in folder.glob("mined-*"):
        old_file.unlink()
    start = time.perf_counter()
    encoder = bh.SentenceTransformerEncoder(folder / "model", normalize=True)
    bh.mine_negatives(
        folder / "pairs.jsonl", output, encoder, negatives=NEGATIVES, range_min=RANGE_MIN,
        range_max=RANGE_MAX, corpus=corpus,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    with output.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    negatives = {row["query"]["en"]: row["negative"]["en"] for row in rows}
    (folder / "ours.json").write_text(json.dumps(negatives), "utf-8")
    return {"seconds": seconds}


def mine_theirs(folder: Path, count: int) -> dict[str, Any]:
    """Mine with `mine_hard_negatives` from the same file."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    del count
    start = time.perf_counter()
    with (folder / "pairs.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    columns = {part: [row[part]["en"] for row in rows] for part in ("query", "positive")}
    mined = mine_hard_negatives(
        Dataset.from_dict(columns), SentenceTransformer(str(folder / "model"), device="cpu"),
        num_negatives=NEGATIVES, range_min=RANGE_MIN, range_max=RANGE_MAX,
        output_format="n-tuple", verbose=False,
    )  # fmt: skip
    with (folder / "theirs.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in mined)
    seconds = time.perf_counter() - start
    names = [f"negative_{number}" for number in range(1, NEGATIVES + 1)]
    negatives = {row["query"]: [row[name] for name in names] for row in mined}
    (folder / "theirs.json").write_text(json.dumps(negatives), "utf-8")
    return {"seconds": seconds}


def write_groups(folder: Path, count: int) -> dict[str, Any]:
    """Write groups of two languages, of which a tenth repeats and some numbers differ."""
    rng = random.Random(1)
    with (folder / "groups.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            year = 1900 + number % 100
            question, answer = _draw_texts(rng, 1, 8)[0], _draw_texts(rng, 1, 40)[0]
            texts = {
                "en": f"{answer} in {year}",
                "de": f"{answer[::-1]} {year + (number % 50 == 0)}",
            }
            row = {"query": {"en": question, "de": question[::-1]}, "positive": texts}
            line = json.dumps(row) + "\n"
            file.write(line * (2 if number % 10 == 0 else 1))
    return {}


def filter_groups(folder: Path, count: int) -> dict[str, Any]:
    """Filter with the rules that need no model."""
    import beir_hybrid as bh

    for old_file in folder.glob("clean.*"):
        old_file.unlink()
    start = time.perf_counter()
    record = bh.filter_pairs(folder / "groups.jsonl", folder / "clean.jsonl")
    seconds = time.perf_counter() - start
    return {"seconds": seconds * count / record.counts["groups"], "counts": record.counts}


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "write-pairs": write_pairs,
    "write-corpus": write_corpus,
    "ours": mine_ours,
    "theirs": mine_theirs,
    "write-groups": write_groups,
    "filter": filter_groups,
}

if __name__ == "__main__":
    name, place, number = sys.argv[1:]
    print(json.dumps(STEPS[name](Path(place), int(number))))
