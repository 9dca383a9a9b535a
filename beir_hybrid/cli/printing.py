"""Print lines, tables and JSON on the command line, and results with their notes.

Names, paths and texts come from files that anybody may have written: control characters in them are
escaped here, on their way to the terminal.
"""

import json
import logging
import os
import sys
from contextlib import redirect_stdout
from contextvars import ContextVar
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from beir_hybrid.records import to_record
from beir_hybrid.text import escape_controls

if TYPE_CHECKING:
    from rich.console import Console

    from beir_hybrid.results.results import Results

_stdout: ContextVar[TextIO] = ContextVar("_stdout")  # where JSON is printed
_UNLIMITED_WIDTH = 10_000  # columns


def _reserve_stdout(context: typer.Context, as_json: bool) -> bool:
    """Send all other output, that of libraries too, to stderr if JSON will be printed."""
    if as_json and not context.resilient_parsing:
        _stdout.set(sys.stdout)
        context.with_resource(redirect_stdout(sys.stderr))
    return as_json


Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON and nothing else on stdout.", callback=_reserve_stdout),
]


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print lines on stdout or stderr, control characters escaped."""
    typer.echo(escape_controls(str(text)), err=err, nl=nl)


class LogFormatter(logging.Formatter):
    """Formats a record of the log with its control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return escape_controls(super().format(record))


def make_console() -> "Console":
    """Return a console for stdout, which folds lines on a terminal only."""
    from rich.console import Console

    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if has_width else _UNLIMITED_WIDTH)


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print a table whose cells are folded where they are too wide; cells hold no markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=bool(headings), header_style="bold")
    for i, heading in enumerate(headings or rows[0]):
        style = "bold" if i == 0 and not headings else ""
        table.add_column(heading, overflow="fold", no_wrap=i == 0, style=style)
    for row in rows:
        table.add_row(*(Text(escape_controls(cell)) for cell in row))
    make_console().print(table)


def print_json(value: object) -> None:
    """Print a value as JSON, in ASCII, which every reader understands."""
    print(json.dumps(value, indent=1), file=_stdout.get())


def print_results(results: "Results", *, as_json: bool) -> None:
    """Print results as a table or as JSON, and the notes below."""
    from beir_hybrid.results.render import list_notes, render_pools, render_terminal

    if as_json:
        print_json(to_json(results))
    else:
        make_console().print(render_terminal(results), render_pools(results), sep="\n")
    for note in list_notes(results):
        echo(f"note: {note}")


def to_json(results: "Results") -> dict[str, Any]:
    """Return results for JSON: averages by kind, values by setting, languages of pools, notes."""
    from beir_hybrid.results.render import list_notes

    means = {str(measure): results.means(measure) for measure in results.measures}
    return {
        "model": results.model,
        "collection": results.collection,
        "summary": {
            kind: {str(measure): asdict(estimate) for measure, estimate in row.items()}
            for kind, row in results.summary().items()
        },
        "settings": [
            setting._asdict()
            | {
                "values": {
                    name: values[setting] for name, values in means.items() if setting in values
                }
            }
            for setting in results.settings
        ],
        "pools": to_record(results.pools),
        "notes": list_notes(results),
        **({"before_reranking": results.before_reranking} if results.before_reranking else {}),
    }
