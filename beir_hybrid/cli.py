"""The command line: thin over the public functions, one readable line for what a user can mend."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from beir_hybrid.errors import BadOption, BeirHybridError

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
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and details.")] = False,
) -> None:
    """Train, judge and serve language-agnostic retrievers."""
    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")


@datasets.command("list")
def list_datasets() -> None:
    """List the datasets that can be loaded.

    Example: `beir-hybrid datasets list`
    """
    from rich.console import Console
    from rich.table import Table

    from beir_hybrid.sources import datasets as known

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "languages", "licence", "what it is"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for dataset in known().values():
        count = str(len(dataset.languages) or "")
        table.add_row(dataset.name, count, dataset.licence, dataset.summary)
    Console().print(table)


@datasets.command()
def show(name: Name) -> None:
    """Show a dataset's languages, options, licence and citation.

    Example: `beir-hybrid datasets show miracl`
    """
    from rich.console import Console
    from rich.table import Table

    from beir_hybrid.languages import english_name
    from beir_hybrid.sources import find

    dataset = find(name)
    named = ", ".join(f"{lang} ({english_name(lang)})" for lang in dataset.languages)
    options = ", ".join(str(option) for option in dataset.options.values())
    rows = {
        "name": dataset.name,
        "what it is": dataset.summary,
        "languages": named or "those of your files",
        "options": options or "none",
        "licence": dataset.licence,
        "please cite": dataset.citation,
        "homepage": dataset.homepage,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for heading, value in rows.items():
        if value:
            table.add_row(f"[bold]{heading}[/bold]", value)
    Console().print(table)


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
    collection = _load(name, languages, option, offline)
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
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.")],
    queries: Annotated[str | None, typer.Option(help="Query languages; all by default.")] = None,
    passages: Annotated[str | None, typer.Option(help="Passage languages; all by default.")] = None,
    split: Annotated[str, typer.Option(help="The name of the qrels file.")] = "test",
    languages: Languages = None,
    option: Options = None,
    offline: Offline = False,
) -> None:
    """Write a dataset, or one setting of it, as a folder that BEIR's own loader reads.

    Example: `beir-hybrid datasets export xquad-r en-de --queries en --passages de`
    """
    from beir_hybrid.collection import write_folder

    collection = _load(name, languages, option, offline)
    view = collection.view(_split(queries), _split(passages))
    write_folder(view, folder, split)
    documents = sum(len(rows) for rows in view.passage_ranges)
    typer.echo(f"{folder}: {len(view.query_rows):,} queries, {documents:,} passages")


def _load(name: str, languages: str | None, option: list[str] | None, offline: bool) -> Any:
    import os

    from beir_hybrid.sources import load

    if offline:
        os.environ["BEIR_HYBRID_OFFLINE"] = "1"
    options = {}
    for pair in option or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadOption(f"--option takes KEY=VALUE, not {pair!r}")
        options[key.replace("-", "_")] = value
    return load(name, languages=_split(languages), **options)


def _split(langs: str | None) -> list[str] | None:
    return None if langs is None else [lang for lang in langs.split(",") if lang]


def main() -> None:
    """Run the command line; what a user can put right ends in one line and exit code 2."""
    try:
        app()
    except BeirHybridError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
