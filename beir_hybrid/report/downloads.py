"""Files for download: a model's results, runs and summary, and all averages as JSON."""

import csv
import math
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from beir_hybrid.records import from_record, to_record
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.plain_files import is_link, is_plain_file
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.local_paths import hide_local_paths
from beir_hybrid.results.provenance import Provenance
from beir_hybrid.results.results import Results
from beir_hybrid.results.storage import PER_QUERY, RESULTS, TIMING
from beir_hybrid.retrieval.runs import verify_run
from beir_hybrid.text import make_cell

RUNS = "runs"  # beside results, where an evaluation writes them
SUMMARY = "summary.csv"
_FIGURES = ("mean", "low", "high", "unbiased")
_RUN_BYTES = 100 * 2**20  # at most, for pages are published: runs in 11 languages take gigabytes


class Downloads(NamedTuple):
    """The downloads of a page.

    Attributes
    ----------
    files
        Names of files, each with a description.
    runs
        Names of run files.
    omission
        Why there are no runs, if they were left out.
    """

    files: list[tuple[str, str]]
    runs: list[str]
    omission: str = ""


def write_downloads(entry: Entry, folder: Path) -> Downloads:
    """Write an entry's files into a folder that does not exist yet."""
    folder.mkdir()
    files = []
    if entry.results is not None:
        write_results_files(entry.results, folder)
        files += [
            (RESULTS, "averages, and everything that they depend on"),
            (PER_QUERY, "every value of every query"),
        ]
    elif entry.path is not None:
        shutil.copyfile(entry.path, folder / entry.path.name)
        files.append((entry.path.name, "mteb's result file"))
    _write_summary(entry, folder / SUMMARY)
    files.append((SUMMARY, "averages as a table"))
    runs = _list_runs(entry)
    size = sum(path.stat().st_size for path in runs)
    if size > _RUN_BYTES:
        omission = f"The {len(runs)} runs are left out: {size / 2**30:.1f} GiB are too large here."
        return Downloads(files, [], omission)
    for path in runs:
        verify_run(path)
        (folder / RUNS).mkdir(exist_ok=True)
        _link_file(path, folder / RUNS / path.name)
    return Downloads(files, [f"{RUNS}/{path.name}" for path in runs])


def _link_file(path: Path, target: Path) -> None:
    """Give a file a second name, which takes no room, or copy it to another disk.

    A run that is written anew is another file, so the linked one stays as it is.
    """
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, target)


def write_results_files(results: Results, folder: Path) -> None:
    """Save results without private facts: times, and folders of this machine."""
    _hide_paths(results).save(folder)
    for name in (TIMING, ".results.lock"):
        (folder / name).unlink()


def _hide_paths(results: Results) -> Results:
    """Return results whose provenance names no folder of this machine."""
    record = hide_local_paths(to_record(results.provenance))
    return replace(results, provenance=from_record(Provenance, record, "provenance"))


def find_runs_folder(entry: Entry) -> Path | None:
    """Return the folder of an entry's runs; None without one, or where it is a link."""
    if entry.results is None or entry.path is None:
        return None
    folder = entry.path.parent / RUNS
    return folder if folder.is_dir() and not is_link(folder) else None


def _list_runs(entry: Entry) -> list[Path]:
    folder = find_runs_folder(entry)
    return [] if folder is None else sorted(filter(is_plain_file, folder.glob("*-*.trec")))


def _write_summary(entry: Entry, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["settings", "measure", *_FIGURES])
        for kind, row in entry.summary.items():
            for measure, estimate in row.items():
                values = _record_estimate(estimate).values()
                cells = ["" if value is None else value for value in values]
                table.writerow([make_cell(kind), make_cell(measure), *cells])


def list_records(entries: Iterable[Entry]) -> list[dict[str, object]]:
    """Return entries as records for JSON; unknown figures are None."""
    return [
        {
            "name": entry.name,
            "source": entry.source,
            "dataset": entry.benchmark.name,
            "languages": list(entry.benchmark.languages),
            "date": entry.date or None,
            "parameters": entry.parameters,
            "texts a second": entry.speed,
            "recipe": entry.recipe or entry.origin[0] or None,
            "calibration": entry.calibration or None,
            "summary": {
                kind: {name: _record_estimate(estimate) for name, estimate in row.items()}
                for kind, row in entry.summary.items()
            },
        }
        for entry in entries
    ]


def _record_estimate(estimate: Estimate) -> dict[str, float | None]:
    values = {name: getattr(estimate, name) for name in _FIGURES}
    return {
        name: None if value is None or math.isnan(value) else value
        for name, value in values.items()
    }
