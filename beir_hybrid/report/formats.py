"""The formats of a comparison: terminal, Markdown, LaTeX, CSV and JSON.

A new format is a row of `FORMATS`.
"""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from beir_hybrid.errors import BadOption
from beir_hybrid.report.comparison_tables import (
    RANK_NOTE,
    TableCell,
    build_comparison_record,
    build_tables,
    list_comparison_records,
)
from beir_hybrid.report.latex import PREAMBLE, write_latex
from beir_hybrid.report.system_comparison import SystemComparison
from beir_hybrid.text import make_cell

if TYPE_CHECKING:
    from rich.console import Group


_BEGINNING_BYTES = 1 << 16  # of a file, to see what it is


class Format(NamedTuple):
    """A format: the ending of its files, the function that writes a comparison, and its beginning.

    Attributes
    ----------
    beginning
        A pattern that the text of every comparison begins with.
    """

    suffix: str
    write: Callable[[SystemComparison], str]
    beginning: str


def render_terminal(comparison: SystemComparison) -> "Group":
    """Return tables for rich's console; wide cells are folded, never cut."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Table | Text] = []
    for table in build_tables(comparison):
        grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for i, heading in enumerate(table.headings):
            grid.add_column(
                Text(heading),
                justify="left" if i < table.text_columns else "right",
                overflow="fold",
            )
        for row in table.rows:
            grid.add_row(*(Text(_show_cell(cell), "bold" * (cell.rank == 1)) for cell in row))
        notes = [*table.notes, *[RANK_NOTE] * table.has_ranks]
        parts += [Text(table.title, "bold"), grid, Text(" ".join(notes), "dim italic"), Text()]
    return Group(*parts[:-1])


def _show_cell(cell: TableCell) -> str:
    rank = f" ({cell.rank})" if cell.rank else ""
    return f"{cell.text}{'†' * cell.is_significant}{rank}"


def write_text(comparison: SystemComparison) -> str:
    """Return the tables of a terminal with 100 columns, without styles."""
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=100, color_system=None).print(render_terminal(comparison))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def write_markdown(comparison: SystemComparison) -> str:
    """Return tables in Markdown; rank 1 is bold."""
    blocks = []
    for table in build_tables(comparison):
        columns = len(table.headings)
        alignment = [":--"] * table.text_columns + ["--:"] * (columns - table.text_columns)
        rows = [list(map(escape_markdown, table.headings)), alignment]
        rows += [list(map(_write_markdown_cell, row)) for row in table.rows]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        notes = [*table.notes, *[RANK_NOTE] * table.has_ranks]
        title = f"**{escape_markdown(table.title)}**"
        blocks += [title, "\n".join(lines), escape_markdown(" ".join(notes))]
    return "\n\n".join(blocks) + "\n"


def _write_markdown_cell(cell: TableCell) -> str:
    text = escape_markdown(_show_cell(cell))
    return f"**{text}**" if cell.rank == 1 else text


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows unchanged, also within a table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$])", r"\\\1", text)


def write_csv(comparison: SystemComparison) -> str:
    """Return the rows of `list_comparison_records` below their keys; None is an empty cell.

    Text that a spreadsheet would take for a formula gets an apostrophe.
    """
    rows = list_comparison_records(comparison)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: make_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def write_json(comparison: SystemComparison) -> str:
    """Return the whole comparison as JSON."""
    return json.dumps(build_comparison_record(comparison), indent=1) + "\n"


FORMATS: dict[str, Format] = {
    "table": Format(".txt", write_text, r"\d+ systems on "),
    "markdown": Format(".md", write_markdown, r"\*\*\d+ systems on "),
    "latex": Format(".tex", write_latex, re.escape(PREAMBLE)),
    "csv": Format(".csv", write_csv, "system,baseline,measure,kind,"),
    "json": Format(".json", write_json, r'\{\n "collection": .*\n "baseline": '),
}


def check_table_file(path: Path) -> None:
    """Raise `BadOption` if there is a file that holds no comparison, in whatever format."""
    if not path.is_file():
        return  # folders and devices are refused when they are written
    with path.open("rb") as file:
        text = file.read(_BEGINNING_BYTES).decode("utf-8", "replace")
    if text and not any(re.match(form.beginning, text) for form in FORMATS.values()):
        raise BadOption(f"{path} holds no comparison; name another file, or remove this one")
