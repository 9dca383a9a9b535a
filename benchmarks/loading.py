"""The time to load XQuAD-R from the cache, beside BEIR's loader, and to read every view.

Every run is a fresh process, measured from its start to its end, the interpreter's own start and
all imports included: ``python -m benchmarks.loading STEP FOLDER`` prints JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, estimate, list_versions, print_table, run_child, run_in_turns

PAIRS = 9


def main() -> None:
    """Measure loading by us and by BEIR, then every view."""
    print(
        "Peer: GenericDataLoader on the same pool in a folder. "
        f"{list_versions('beir', 'pyarrow')}.\n"
    )
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        cache, pool = f"{name}/cache", f"{name}/pool"
        run_child("loading", "prepare", pool, BEIR_HYBRID_CACHE=cache)
        runs = run_in_turns(
            lambda: run_child("loading", "ours", pool, BEIR_HYBRID_CACHE=cache),
            lambda: run_child("loading", "peer", pool),
            PAIRS,
        )
        views = [run_child("loading", "views", pool, BEIR_HYBRID_CACHE=cache) for _ in range(PAIRS)]
    our_runs, peer_runs = zip(*runs, strict=True)
    wall, peer_wall = (estimate([run.wall for run in side]) for side in (our_runs, peer_runs))
    ratio = estimate([peer_run.wall / our_run.wall for our_run, peer_run in runs])
    first, slowest, pool_time = (
        estimate([run.result[key] for run in views]) for key in ("first", "slowest", "beir")
    )
    print(f"{PAIRS} interleaved pairs of fresh processes; the views in {PAIRS} processes more:\n")
    print_table(
        ("", f"median [{wall.confidence:.0%} interval]", "target", "verdict"),
        ("ours, s", wall.show(), "< 1", wall.verdict(below=1)),
        ("peer, s", peer_wall.show(), "-", "-"),
        ("peer / ours", ratio.show(), "-", "-"),
        ("ours, peak MiB", estimate([run.peak / MIB for run in our_runs]).show(".0f"), "-", "-"),
        ("peer, peak MiB", estimate([run.peak / MIB for run in peer_runs]).show(".0f"), "-", "-"),
        ("first view of a process, ms", first.show(), "< 50", first.verdict(below=50)),
        ("slowest of the 131 after it, ms", slowest.show(), "< 50", slowest.verdict(below=50)),
        ("en against all as BEIR's dicts, ms", pool_time.show(), "-", "-"),
    )


def prepare(pool: str) -> dict[str, Any]:
    """Fill the cache and export the pool of all languages."""
    import beir_hybrid as bh

    bh.write_folder(bh.load("xquad-r"), pool)
    return {}


def ours(_pool: str) -> dict[str, Any]:
    """Load the collection and read from each of its tables."""
    import beir_hybrid as bh

    collection = bh.load("xquad-r")
    for rows in (collection.queries, collection.passages, collection.judgements):
        rows.slice(len(rows) - 1).to_pylist()
    return {"passages": len(collection.passages)}


def peer(pool: str) -> dict[str, Any]:
    """Load the pool with BEIR."""
    from beir.datasets.data_loader import GenericDataLoader

    corpus, _, _ = GenericDataLoader(pool).load(split="test")
    return {"passages": len(corpus)}


def views(_pool: str) -> dict[str, Any]:
    """Time every setting's tables: judged queries, passages and judgements by id."""
    import beir_hybrid as bh

    collection = bh.load("xquad-r")
    codes = collection.languages
    sides: list[tuple[str, str | None]] = [(q, p) for q in codes for p in (*codes, None)]
    milliseconds = []
    for query_language, passage_language in sides:
        start = time.perf_counter()
        view = collection.view(query_language, passage_language)
        sizes = len(view.queries), len(view.passages), len(view.qrels)
        milliseconds.append((time.perf_counter() - start) * 1000)
        if not all(sizes):
            raise ValueError(f"{view.name} is empty")
    start = time.perf_counter()
    collection.view("en").to_beir()
    pool_milliseconds = (time.perf_counter() - start) * 1000
    return {
        "first": milliseconds[0],
        "slowest": max(milliseconds[1:]),
        "beir": pool_milliseconds,
    }


if __name__ == "__main__":
    STEPS: dict[str, Callable[[str], dict[str, Any]]] = {
        "prepare": prepare,
        "ours": ours,
        "peer": peer,
        "views": views,
    }
    step, place = sys.argv[1:]
    print(json.dumps(STEPS[step](str(Path(place)))))
