"""An entry in, the files that its page links to out."""

import csv
import shutil
from pathlib import Path
from typing import NamedTuple

from beir_hybrid.report.entries import Entry
from beir_hybrid.results.results import PER_QUERY, RESULTS, TIMING

RUNS = "runs"  # beside results, where an evaluation writes them
SUMMARY = "summary.csv"
_MOST = 100 * 2**20  # bytes of runs: pages are published, and eleven languages' runs are gigabytes


class Files(NamedTuple):
    """What was written: names and what they are, runs, and why there are none."""

    files: list[tuple[str, str]]
    runs: list[str]
    left_out: str = ""


def write_files(entry: Entry, folder: Path) -> Files:
    """Write what can be had of an entry into a folder that is not there yet."""
    folder.mkdir()
    found = []
    if entry.results is not None:
        entry.results.save(folder)
        # How long it took and in which folders things lay there is nobody else's business.
        for name in (TIMING, ".results.lock"):
            (folder / name).unlink()
        found += [(RESULTS, "averages, and all that they depend on"),
                  (PER_QUERY, "every value of every query")]  # fmt: skip
    elif entry.path is not None:
        shutil.copyfile(entry.path, folder / entry.path.name)
        found.append((entry.path.name, "mteb's result file"))
    _write_summary(entry, folder / SUMMARY)
    found.append((SUMMARY, "averages as a table"))
    return Files(found, *_copied(entry, folder))


def _copied(entry: Entry, folder: Path) -> tuple[list[str], str]:
    """Copy runs unless they are too large; return their names, or say why there are none."""
    runs = _runs(entry)
    size = sum(path.stat().st_size for path in runs)
    if size > _MOST:
        return [], f"Its {len(runs)} runs, {size / 2**30:.1f} GiB, are too large to stand here."
    for path in runs:
        (folder / RUNS).mkdir(exist_ok=True)
        shutil.copyfile(path, folder / RUNS / path.name)
    return [f"{RUNS}/{path.name}" for path in runs], ""


def _runs(entry: Entry) -> list[Path]:
    if entry.results is None or entry.path is None:
        return []
    return sorted((entry.path.parent / RUNS).glob("*-*.trec"))


def _write_summary(entry: Entry, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        names = ("mean", "low", "high", "unbiased")
        table.writerow(["settings", "measure", *names])
        for kind, row in entry.summary.items():
            for measure, found in row.items():
                values = [getattr(found, name) for name in names]
                # NaN is unequal to itself.
                known = ["" if value is None or value != value else value for value in values]  # noqa: PLR0124
                table.writerow([kind, measure, *known])
