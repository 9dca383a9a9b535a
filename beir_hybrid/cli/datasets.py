"""Commands about datasets: list, show, fetch, export."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.shared import Languages, Name, Offline, Options, load, print_table
from beir_hybrid.cli.shared import split as parts

datasets = typer.Typer(
    help="List, fetch and export the datasets.", no_args_is_help=True, rich_markup_mode="markdown"
)


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
    print_table(["name", "languages", "licence", "what it is"], rows)


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
    print_table([], [[heading, value] for heading, value in rows.items() if value])


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
    collection = load(name, parts(languages), option, offline)
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

    asked, answered, loaded = parts(queries), parts(passages), parts(languages)
    # The other languages need not be fetched; the user's own files are read as a whole.
    if loaded is None and asked and answered and find(name).languages:
        loaded = [*asked, *answered]
    view = load(name, loaded, option, offline).view(asked, answered)
    write_folder(view, folder, split)
    documents = sum(len(rows) for rows in view.passage_ranges)
    typer.echo(f"{folder}: {len(view.query_rows):,} queries, {documents:,} passages")
