"""What the commands share: options, loading a dataset, printing a table."""

import json
import os
import sys
from contextlib import redirect_stdout
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from rich.console import Console

    from beir_hybrid.collection import Collection
    from beir_hybrid.results.results import Results


def dataset_names() -> list[str]:
    """Return what a shell may complete."""
    from beir_hybrid.sources import datasets

    return list(datasets())


_stdout: ContextVar[TextIO] = ContextVar("_stdout")  # where JSON goes


def _alone(context: typer.Context, wanted: bool) -> bool:
    """Keep stdout for JSON: whatever else is printed, by libraries too, goes to stderr."""
    if wanted and not context.resilient_parsing:
        _stdout.set(sys.stdout)
        context.with_resource(redirect_stdout(sys.stderr))
    return wanted


Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON and nothing else on stdout.", callback=_alone),
]
Name = Annotated[
    str,
    typer.Argument(
        help="A dataset's name, such as xquad-r.", metavar="NAME", autocompletion=dataset_names
    ),
]
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

_WIDE = 10_000  # columns
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


def console() -> "Console":
    """Return what prints to stdout: what is no terminal, such as a pipe, is as wide as need be."""
    from rich.console import Console

    wide = not (sys.stdout.isatty() or "COLUMNS" in os.environ)
    return Console(width=_WIDE if wide else None)


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print a table that folds what is too wide; what stands in its cells is no markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=bool(headings), header_style="bold")
    for number, heading in enumerate(headings or rows[0]):
        first = number == 0
        style = "bold" if first and not headings else ""
        table.add_column(heading, overflow="fold", no_wrap=first, style=style)
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)


def print_json(value: object) -> None:
    """Print what `--json` asks for; letters beyond ASCII are escaped, which every reader takes."""
    print(json.dumps(value, indent=1), file=_stdout.get())


def record(results: "Results") -> dict[str, Any]:
    """Return results as JSON can hold them: by kind of setting, and by setting."""
    means = {str(measure): results.means(measure) for measure in results.measures}
    return {
        "model": results.model,
        "collection": results.collection,
        "summary": {
            kind: {str(measure): asdict(found) for measure, found in row.items()}
            for kind, row in results.summary().items()
        },
        "settings": [
            setting._asdict()
            | {
                "values": {
                    name: found[setting] for name, found in means.items() if setting in found
                }
            }
            for setting in results.settings
        ],
    }


def load(
    name: str, languages: list[str] | None, option: list[str] | None, offline: bool
) -> "Collection":
    """Load a dataset, with ``KEY=VALUE`` texts as its options."""
    from beir_hybrid.sources import find_dataset

    stay_offline(offline)
    options: dict[str, str] = {}
    for pair in option or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadOption(f"--option takes KEY=VALUE, not {pair!r}")
        options[key.replace("-", "_")] = value
    return find_dataset(name)(languages, **options)


def stay_offline(wanted: bool) -> None:
    """Keep off the network from here on, if that is wanted."""
    if wanted:
        os.environ["BEIR_HYBRID_OFFLINE"] = "1"


def split(langs: str | None) -> list[str] | None:
    """Return the words between commas."""
    return None if langs is None else [lang for lang in langs.split(",") if lang]


def show(results: "Results", output: Path | None, as_json: bool) -> None:
    """Print the table of results and what a reader must know of it, and save them."""
    from beir_hybrid.results.render import list_notes, render_terminal

    if as_json:
        print_json(record(results))
    else:
        console().print(render_terminal(results))
    for note in list_notes(results):
        typer.echo(f"note: {note}")
    if output is not None:
        results.save(output)
        typer.echo(f"saved in {output}")


def encoder_options(context: typer.Context) -> dict[str, Any]:
    """Return the encoder's options that were given."""
    given = {name: context.params[name] for name in _ENCODER}
    given["trust_remote_code"] = given["trust_remote_code"] or None
    return {name: value for name, value in given.items() if value is not None}
