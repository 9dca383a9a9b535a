"""A dataset's name and size in, the rows that others published of it out."""

import math
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from beir_hybrid.report.entries import Entry, Group
from beir_hybrid.results.results import Estimate

_FILE = Path(__file__).with_name("published.toml")
# Where a figure of the file stands among results.
_PLACES = {
    "mono": ("mono", "AP"),
    "cross": ("cross", "AP"),
    "multi": ("multi", "AP"),
    "distance": ("multi", "RankDistance"),
}


@cache
def _known() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))


def published(group: Group) -> list[Entry]:
    """Return the published rows of a collection, if it is the very one that they ranked."""
    whole = _known()["datasets"].get(group.name)
    if whole is None or (whole["queries"], whole["passages"]) != group.size:
        return []
    rows = []
    for row in _known()["rows"]:
        source = _known()["sources"][row["source"]]
        summary: dict[str, dict[str, Estimate]] = {}
        for what, value in row.get(group.name, {}).items():
            kind, measure = _PLACES[what]
            summary.setdefault(kind, {})[measure] = _bare(value)
        if summary:
            origin = source["text"], source["address"]
            rows.append(Entry(row["name"], "published", group, summary, origin=origin))
    return rows


def _bare(value: float) -> Estimate:
    """Return an average of which nothing else is known."""
    return Estimate(value, math.nan, math.nan, math.nan, 0)
