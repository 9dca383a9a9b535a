"""The command line: thin over the public functions, one readable line for what a user can mend."""

import logging
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from beir_hybrid.errors import BadOption, BeirHybridError

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection

# What typer raises of a line that it cannot make sense of; it has no public name for it.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="beir-hybrid",
    help="Train, judge and serve language-agnostic retrievers.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
datasets = typer.Typer(
    help="List, fetch and export the datasets.", no_args_is_help=True, rich_markup_mode="markdown"
)
app.add_typer(datasets, name="datasets")

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


@app.callback()
def common(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and details; anywhere on the line.")
    ] = False,
) -> None:
    """Train, judge and serve language-agnostic retrievers."""
    # Only our own lines: other libraries keep theirs to themselves.
    logger = logging.getLogger("beir_hybrid")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.handlers = [logging.StreamHandler()]
    logger.propagate = False


@datasets.command("list")
def list_datasets() -> None:
    """List the datasets that can be loaded.

    Example: `beir-hybrid datasets list`
    """
    from beir_hybrid.sources import datasets as known

    rows = [
        [dataset.name, str(len(dataset.languages) or ""), dataset.licence, dataset.summary]
        for dataset in known().values()
    ]
    _print_table(["name", "languages", "licence", "what it is"], rows)


@datasets.command()
def show(name: Name) -> None:
    """Show a dataset's languages, options, licence and citation.

    Example: `beir-hybrid datasets show miracl`
    """
    from beir_hybrid.languages import english_name
    from beir_hybrid.sources import find

    dataset = find(name)
    named = ", ".join(f"{lang} ({english_name(lang)})" for lang in dataset.languages)
    options = "\n".join(str(option) for option in dataset.options.values())
    rows = {
        "name": dataset.name,
        "what it is": dataset.summary,
        "languages": named or "those of your files",
        "options": options or "none",
        "licence": dataset.licence,
        "please cite": dataset.citation,
        "homepage": dataset.homepage,
    }
    _print_table([], [[heading, value] for heading, value in rows.items() if value])


@datasets.command("fetch")
def fetch_dataset(
    name: Name,
    languages: Languages = None,
    option: Options = None,
    offline: Offline = False,
) -> None:
    """Fetch a dataset, convert it once, and say what is in it.

    Example: `beir-hybrid datasets fetch mlqa-r --languages en,de,es`
    """
    collection = _load(name, _split(languages), option, offline)
    typer.echo(
        f"{name}: {len(collection.queries):,} queries, {len(collection.passages):,} passages"
    )
    for lang in collection.languages:
        queries, passages = collection.query_rows(lang), collection.passage_rows(lang)
        typer.echo(f"  {lang}  {len(queries):>9,} queries  {len(passages):>11,} passages")
    if collection.caveat:
        typer.echo(f"note: {collection.caveat}")


@datasets.command()
def export(
    name: Name,
    folder: Annotated[
        Path, typer.Argument(help="The folder to write; it must not exist yet.", metavar="FOLDER")
    ],
    queries: Annotated[
        str | None, typer.Option(help="Query languages, with commas between; all by default.")
    ] = None,
    passages: Annotated[str | None, typer.Option(help="Passage languages; all by default.")] = None,
    split: Annotated[str, typer.Option(help="The name of the qrels file.")] = "test",
    languages: Annotated[
        str | None, typer.Option(help="Languages to load; by default those of both sides, or all.")
    ] = None,
    option: Options = None,
    offline: Offline = False,
) -> None:
    """Write a dataset, or one setting of it, as a folder that BEIR's own loader reads.

    Example: `beir-hybrid datasets export xquad-r en-de --queries en --passages de`
    """
    from beir_hybrid.collection import write_folder
    from beir_hybrid.sources import find

    asked, answered, loaded = _split(queries), _split(passages), _split(languages)
    # The other languages need not be fetched; the user's own files are read as a whole.
    if loaded is None and asked and answered and find(name).languages:
        loaded = [*asked, *answered]
    view = _load(name, loaded, option, offline).view(asked, answered)
    write_folder(view, folder, split)
    documents = sum(len(rows) for rows in view.passage_ranges)
    typer.echo(f"{folder}: {len(view.query_rows):,} queries, {documents:,} passages")


def _print_table(headings: list[str], rows: list[list[str]]) -> None:
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


def _load(
    name: str, languages: list[str] | None, option: list[str] | None, offline: bool
) -> "Collection":
    import os

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


def _split(langs: str | None) -> list[str] | None:
    return None if langs is None else [lang for lang in langs.split(",") if lang]


def main() -> None:
    """Run the command line; what a user can put right ends in one line and exit code 2."""
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    if debug:  # wherever it stands, it is the program's own option
        rest = [argument for argument in options if argument != "--debug"]
        arguments = ["--debug", *rest, *arguments[len(options) :]]
    try:
        sys.exit(app(arguments, standalone_mode=False))
    except (BeirHybridError, UsageError, typer.Abort) as error:
        if debug:
            traceback.print_exc()
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    """Say in one line what went wrong, and return the exit code."""
    if isinstance(error, typer.Abort):
        typer.echo("Aborted", err=True)
        return 1
    kind, message = type(error).__name__, str(error)
    if isinstance(error, UsageError):
        kind, message = "Usage", error.format_message()
        if not message:  # there were no arguments, and the help has been shown
            return 2
        if error.ctx:
            message = f"{message} See {error.ctx.command_path} --help"
    typer.echo(f"{kind}: {' '.join(message.split())}", err=True)
    return 2
