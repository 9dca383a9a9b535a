"""Results, files and pages as short texts that can be compared to the last bit."""

import hashlib
import math
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden_calls import (
    get_matrix,
    list_averages,
    per_query,
)


def format_float(value: float | None) -> str:
    if value is None:
        return "-"
    return re.sub(r"\.?0*p", "p", float(value).hex()) if math.isfinite(value) else str(value)


def format_value(value: Any) -> str:
    """Return a value as text, a float in hexadecimal."""
    value = value.item() if isinstance(value, np.generic) else value
    return format_float(value) if isinstance(value, float) or value is None else str(value)


def format_line(values: Iterable[Any]) -> str:
    """Return values with spaces between, and how many follow each other that are alike."""
    runs = ((key, len(list(group))) for key, group in groupby(map(format_value, values)))
    return " ".join(key if n == 1 else f"{key}*{n}" for key, n in runs)


def hash_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """Return the hashes of files, but for hidden ones, which hold checksums."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.name: hash_bytes(path.read_bytes()) for path in paths}


def list_figures(results: Any) -> dict[str, Any]:
    """Return a line for each column of the table of queries, and for each average."""
    table = {name: format_line(values) for name, values in per_query(results).items()}
    averages: dict[str, dict[str, str]] = {}
    for kind, measure, values, n, unbiased in list_averages(results):
        averages.setdefault(kind, {})[measure] = format_line([*values, n, unbiased])
    return {"per query": table, "summary": averages}


def list_cells(results: Any, measure: str, *, one_target: bool = False) -> dict[str, Any]:
    rows, columns, values = get_matrix(results, measure, one_target=one_target)
    lines = {name: format_line(cells) for name, cells in zip(rows, values.tolist(), strict=True)}
    return {"columns": format_line(columns), "rows": lines}


NEW_SECTIONS = {"pools"}  # of pages, by the id of their heading


class Figures(HTMLParser):
    """The numbers in the cells of a page's tables, and those that they are sorted by.

    Sections that pages did not have when they were recorded are left out.
    """

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.numbers: list[str] = []
        self.cell = False
        self.is_new = False
        self.feed(page.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look into cells, and at what they are sorted by."""
        if tag == "section":
            self.is_new = dict(attrs).get("aria-labelledby") in NEW_SECTIONS
        self.cell = tag == "td" or (self.cell and tag not in ("table", "th", "tr"))
        if value := dict(attrs).get("data-sort"):
            self._read(value)

    def handle_endtag(self, tag: str) -> None:
        """Leave a cell."""
        self.cell = self.cell and tag not in ("td", "table", "tr")

    def handle_data(self, data: str) -> None:
        """Read what a cell holds."""
        if self.cell and not self.is_new:
            self._read(data)

    def _read(self, text: str) -> None:
        self.numbers += re.findall(r"(?<![\w.])[-+\u2212±]?\d*\.?\d+(?:e[-+]\d+)?(?![\w.])", text)
