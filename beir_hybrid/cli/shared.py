"""What the commands share: options, loading a dataset, printing a table."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.evaluation.results import Results

Name = Annotated[str, typer.Argument(help="A dataset's name, such as xquad-r.", metavar="NAME")]
Languages = Annotated[
    str | None, typer.Option(help="Languages to load, with commas between; all by default.")
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", metavar="KEY=VALUE", help="An option of the dataset; may be repeated."
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Use mirror and cache only, never the network.")
]
Engine = Annotated[
    str, typer.Option(help="Where to compute: local, or ray, on a Ray cluster.", metavar="NAME")
]

_ENCODER = (
    "preset",
    "query_prompt",
    "passage_prompt",
    "max_length",
    "dtype",
    "normalize",
    "truncate_dim",
    "batch_size",
    "device",
    "revision",
    "trust_remote_code",
)


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print a table that folds what is too wide; what stands in its cells is no markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=bool(headings), header_style="bold")
    for number, heading in enumerate(headings or rows[0]):
        first = number == 0
        style = "bold" if first and not headings else ""
        table.add_column(heading, overflow="fold", no_wrap=first, style=style)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def load(
    name: str, languages: list[str] | None, option: list[str] | None, offline: bool
) -> "Collection":
    """Load a dataset, with ``KEY=VALUE`` texts as its options."""
    from beir_hybrid.sources import find

    if offline:
        os.environ["BEIR_HYBRID_OFFLINE"] = "1"
    options: dict[str, str] = {}
    for pair in option or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadOption(f"--option takes KEY=VALUE, not {pair!r}")
        options[key.replace("-", "_")] = value
    return find(name)(languages, **options)


def split(langs: str | None) -> list[str] | None:
    """Return the words between commas."""
    return None if langs is None else [lang for lang in langs.split(",") if lang]


def show(results: "Results", output: Path | None) -> None:
    """Print the table of results and what a reader must know of it, and save them."""
    from rich.console import Console

    from beir_hybrid.evaluation.render import notes, terminal_table

    Console().print(terminal_table(results))
    for note in notes(results):
        typer.echo(f"note: {note}")
    if output is not None:
        results.save(output)
        typer.echo(f"saved in {output}")


def encoder_options(context: typer.Context) -> dict[str, Any]:
    """Return the encoder's options that were given."""
    given = {name: context.params[name] for name in _ENCODER}
    given["trust_remote_code"] = given["trust_remote_code"] or None
    return {name: value for name, value in given.items() if value is not None}


def hush() -> None:
    """Keep transformers' progress bars to terminals."""
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()  # type: ignore[no-untyped-call] # theirs has no types
