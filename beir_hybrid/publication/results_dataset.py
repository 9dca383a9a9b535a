"""Results as a dataset folder: a table of averages, and every value of every query."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from beir_hybrid.publication.markdown import describe_scores, show_text
from beir_hybrid.report.downloads import write_results_files
from beir_hybrid.report.entries import Entry
from beir_hybrid.results.results import Results
from beir_hybrid.text import make_slugs

# Of Parquet as the values are: the hub's viewer reads all tables of a dataset with one reader.
CARD, SUMMARY = "README.md", "summary.parquet"
_INTRODUCTION = (
    "Averages are over settings, with 95% intervals; queries that translate each other are "
    "resampled together. The configuration `summary` has them as a table; each of the others has "
    "the values of a system, query by query. `beir-hybrid leaderboard` makes pages of this folder, "
    "and `beir_hybrid.Results.load` reads each folder in it."
)


def write_results_dataset(entries: Sequence[Entry], folder: Path) -> None:
    """Write systems into an empty folder: their results, a table of averages and a card."""
    systems = [(entry, entry.results) for entry in entries if entry.results is not None]
    slugs = make_slugs(f"{entry.benchmark.name}-{entry.name}" for entry, _ in systems)
    for slug, (_, results) in zip(slugs, systems, strict=True):
        write_results_files(results, folder / slug)
    _write_summary(systems, folder / SUMMARY)
    (folder / CARD).write_text(_describe_dataset(systems, slugs), "utf-8")


def _write_summary(systems: Sequence[tuple[Entry, Results]], path: Path) -> None:
    rows = [
        {
            "system": entry.name,
            "dataset": entry.benchmark.name,
            "settings": kind,
            "measure": measure,
            "mean": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "unbiased": estimate.unbiased,
        }
        for entry, _ in systems
        for kind, row in entry.summary.items()
        for measure, estimate in row.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def _describe_dataset(systems: Sequence[tuple[Entry, Results]], slugs: Sequence[str]) -> str:
    """Return the card: which files make which configuration, and the tables of averages."""
    from huggingface_hub import DatasetCardData

    languages = {code for entry, _ in systems for code in entry.benchmark.languages}
    tables = {"summary": SUMMARY} | {slug: f"{slug}/per_query.parquet" for slug in slugs}
    data = DatasetCardData(
        language=sorted({code.partition("-")[0] for code in languages}),
        tags=["retrieval", "multilingual", "evaluation"],
        pretty_name="Results of retrievers in several languages",
        configs=[
            {"config_name": name, "data_files": path, "default": name == "summary"}
            for name, path in tables.items()
        ],
    )
    parts = ["# Results of retrievers in several languages", _INTRODUCTION]
    for slug, (entry, results) in zip(slugs, systems, strict=True):
        title = f"## {show_text(entry.name)} on {show_text(entry.benchmark.name)}"
        parts += [title, f"Folder `{slug}`.", describe_scores(results)]
    body = "\n\n".join(parts)
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"
