"""Commands about datasets: list, show, fetch, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.shared import (
    Json,
    Languages,
    Name,
    Offline,
    Options,
    load,
    print_json,
    print_table,
)
from beir_hybrid.cli.shared import split as parts

if TYPE_CHECKING:
    from beir_hybrid.sources import Dataset

datasets = typer.Typer(
    help="List, fetch and export the datasets.", no_args_is_help=True, rich_markup_mode="markdown"
)


@datasets.command("list")
def list_datasets(as_json: Json = False) -> None:
    """List the datasets that can be loaded.

    Example: `beir-hybrid datasets list`
    """
    from beir_hybrid.sources import datasets as known

    if as_json:
        print_json([_facts(dataset) for dataset in known().values()])
        return
    rows = [
        [dataset.name, str(len(dataset.languages) or ""), dataset.licence, dataset.summary]
        for dataset in known().values()
    ]
    print_table(["name", "languages", "licence", "what it is"], rows)


@datasets.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a dataset's languages, options, licence and citation.

    Example: `beir-hybrid datasets show miracl`
    """
    from beir_hybrid.languages import name_language
    from beir_hybrid.sources import find_dataset
    from beir_hybrid.sources.options import describe_option

    dataset = find_dataset(name)
    if as_json:
        print_json(_facts(dataset))
        return
    named = ", ".join(f"{lang} ({name_language(lang)})" for lang in dataset.languages)
    options = "\n".join(map(describe_option, dataset.options.values()))
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


def _facts(dataset: "Dataset") -> dict[str, Any]:
    from beir_hybrid.sources.options import describe_option

    return {
        "name": dataset.name,
        "summary": dataset.summary,
        "languages": list(dataset.languages),
        "options": {name: describe_option(option) for name, option in dataset.options.items()},
        "licence": dataset.licence,
        "citation": dataset.citation,
        "homepage": dataset.homepage,
    }


@datasets.command("fetch")
def fetch_dataset(
    name: Name,
    languages: Languages = None,
    option: Options = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Fetch a dataset, convert it once, and say what is in it.

    Example: `beir-hybrid datasets fetch mlqa-r --languages en,de,es`
    """
    from beir_hybrid.collection.setting import IMAGE
    from beir_hybrid.text import plural

    collection = load(name, parts(languages), option, offline)
    pictures = len(collection.find_passage_rows(IMAGE)) if collection.has_images else 0
    rows = {
        lang: (len(collection.find_query_rows(lang)), len(collection.find_passage_rows(lang)))
        for lang in collection.languages
    }
    if as_json:
        sizes = {lang: {"queries": n, "passages": m} for lang, (n, m) in rows.items()}
        shown = {"pictures": pictures} if collection.has_images else {}
        print_json({"name": name, "languages": sizes, **shown, "caveat": collection.caveat})
        return
    _echo_counts(name, len(collection.queries), len(collection.passages))
    for lang, (queries, passages) in rows.items():
        typer.echo(f"  {lang}  {queries:>9,} queries  {passages:>11,} passages")
    if collection.has_images:
        typer.echo(f"  {plural(pictures, 'pictures')}, which are asked and found as well")
    if collection.caveat:
        typer.echo(f"note: {collection.caveat}")


@datasets.command()
def export(
    name: Name,
    folder: Annotated[
        Path, typer.Argument(help="The folder to write; it must not exist yet.", metavar="FOLDER")
    ],
    queries: Annotated[
        str | None,
        typer.Option(
            help="Query languages, with commas between, and 'image' for pictures; all by default."
        ),
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
    from beir_hybrid.collection.setting import IMAGE
    from beir_hybrid.sources import find_dataset

    asked, answered, loaded = parts(queries), parts(passages), parts(languages)
    # The other languages need not be fetched; the user's own files are read as a whole.
    if loaded is None and asked and answered and find_dataset(name).languages:
        loaded = [lang for lang in (*asked, *answered) if lang != IMAGE] or None
    collection = load(name, loaded, option, offline)
    if asked is None and answered is None:  # pictures as well, where there are any
        asked = answered = list(collection.codes)
    view = collection.view(asked, answered)
    write_folder(view, folder, split)
    documents = sum(len(rows) for rows in view.passage_ranges)
    _echo_counts(folder, len(view.query_rows), documents)


def _echo_counts(where: str | Path, queries: int, passages: int) -> None:
    from beir_hybrid.text import plural

    typer.echo(f"{where}: {plural(queries, 'queries')}, {plural(passages, 'passages')}")
