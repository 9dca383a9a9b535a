"""Leaderboard entries from publications: figures that were not reproduced here."""

import math
import tomllib
from functools import cache
from pathlib import Path
from typing import TypedDict

from beir_hybrid.report.entries import Benchmark, Entry
from beir_hybrid.results.estimate import Estimate

_FILE = Path(__file__).with_name("published.toml")
# Where a figure of the file belongs: kind of setting, measure.
_COLUMNS = {
    "mono": ("mono", "AP"),
    "cross": ("cross", "AP"),
    "multi": ("multi", "AP"),
    "distance": ("multi", "RankDistance"),
}


class _Publications(TypedDict):
    datasets: dict[str, dict[str, int]]  # numbers of queries and passages
    sources: dict[str, dict[str, str]]  # text and address
    rows: list[dict[str, str | dict[str, float]]]  # name, source; figures by dataset and column


@cache
def _read_publications() -> _Publications:
    stored: _Publications = tomllib.loads(_FILE.read_text("utf-8"))  # type: ignore[assignment]
    return stored


def read_published_entries(benchmark: Benchmark) -> list[Entry]:
    """Return the published rows of a benchmark, if its size is that of the publications."""
    publications = _read_publications()
    dataset = publications["datasets"].get(benchmark.name)
    if dataset is None or (dataset["queries"], dataset["passages"]) != benchmark.size:
        return []
    entries = []
    for row in publications["rows"]:
        figures = row.get(benchmark.name)
        if isinstance(figures, dict):
            source = publications["sources"][str(row["source"])]
            origin = source["text"], source["address"]
            summary: dict[str, dict[str, Estimate]] = {}
            for column, value in figures.items():
                kind, measure = _COLUMNS[column]
                estimate = Estimate(value, math.nan, math.nan, math.nan, 0)
                summary.setdefault(kind, {})[measure] = estimate
            entries.append(Entry(str(row["name"]), "published", benchmark, summary, origin=origin))
    return entries
