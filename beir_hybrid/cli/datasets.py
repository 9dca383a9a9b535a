"""Commands about datasets: list, show, fetch, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.flatten import Group, flatten_options
from beir_hybrid.cli.options import DatasetName, LoadOptions, load_dataset, split_commas
from beir_hybrid.cli.printing import Json, echo, print_json, print_table
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.sources import Dataset

QueryLanguages = Annotated[
    list[str] | None,
    typer.Option(
        help="Query languages, with commas between or repeated, and 'image' for images; all by "
        "default.",
        metavar="CODES",
    ),
]
PassageLanguages = Annotated[
    list[str] | None, typer.Option(help="Passage languages; all by default.", metavar="CODES")
]
ExportLanguages = Annotated[
    list[str] | None,
    typer.Option(
        help="Languages to load; by default those of both sides, or all.", metavar="CODES"
    ),
]

datasets = typer.Typer(
    help="List, fetch and export the datasets.", no_args_is_help=True, rich_markup_mode="markdown"
)


@datasets.command("list")
def list_datasets(as_json: Json = False) -> None:
    """List the datasets that can be loaded.

    Example: `beir-hybrid datasets list`
    """
    from beir_hybrid.sources import datasets as load_registry

    registry = sorted(load_registry().values(), key=lambda dataset: dataset.name)
    if as_json:
        print_json([_describe_dataset(dataset) for dataset in registry])
        return
    rows = [
        [dataset.name, str(len(dataset.languages) or ""), dataset.licence, dataset.summary]
        for dataset in registry
    ]
    print_table(["name", "languages", "licence", "what it is"], rows)


@datasets.command()
def show(name: DatasetName, as_json: Json = False) -> None:
    """Show a dataset's languages, options, licence and citation.

    Example: `beir-hybrid datasets show miracl`
    """
    from beir_hybrid.languages import name_language
    from beir_hybrid.sources import find_dataset
    from beir_hybrid.sources.options import describe_option

    dataset = find_dataset(name)
    if as_json:
        print_json(_describe_dataset(dataset))
        return
    languages = ", ".join(f"{lang} ({name_language(lang)})" for lang in dataset.languages)
    options = "\n".join(map(describe_option, dataset.options.values()))
    rows = {
        "name": dataset.name,
        "what it is": dataset.summary,
        "languages": languages or "those of your files",
        "options": options or "none",
        "licence": dataset.licence,
        "please cite": dataset.citation,
        "homepage": dataset.homepage,
    }
    print_table([], [[heading, value] for heading, value in rows.items() if value])


def _describe_dataset(dataset: "Dataset") -> dict[str, Any]:
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
@flatten_options
def fetch_dataset(*, name: DatasetName, load: LoadOptions, as_json: Json = False) -> None:
    """Fetch a dataset, convert it once, and print its size in each language.

    Example: `beir-hybrid datasets fetch mlqa-r --languages en,de,es`
    """
    from beir_hybrid.collection.setting import IMAGE
    from beir_hybrid.text import plural

    collection = load.load(name)
    n_images = len(collection.find_passage_rows(IMAGE)) if collection.has_images else 0
    sizes = {
        lang: (len(collection.find_query_rows(lang)), len(collection.find_passage_rows(lang)))
        for lang in collection.languages
    }
    if as_json:
        languages = {
            lang: {"queries": n_queries, "passages": n_passages}
            for lang, (n_queries, n_passages) in sizes.items()
        }
        images = {"images": n_images} if collection.has_images else {}
        print_json({"name": name, "languages": languages, **images, "caveat": collection.caveat})
        return
    _echo_size(name, len(collection.queries), len(collection.passages))
    for lang, (n_queries, n_passages) in sizes.items():
        echo(f"  {lang}  {n_queries:>9,} queries  {n_passages:>11,} passages")
    if collection.has_images:
        echo(f"  {plural(n_images, 'images')}, which are queries and passages too")
    if collection.caveat:
        echo(f"note: {collection.caveat}")


@datasets.command()
@flatten_options
def export(
    *,
    name: DatasetName,
    folder: Annotated[
        Path,
        typer.Argument(
            help="A new folder, or one of an equal export; FILE.jsonl gets training groups.",
            metavar="FOLDER",
        ),
    ],
    queries: QueryLanguages = None,
    passages: PassageLanguages = None,
    split: Annotated[str, typer.Option(help="The name of the qrels file.")] = "test",
    languages: ExportLanguages = None,
    load: Annotated[LoadOptions, Group(without=("languages",))],
) -> None:
    """Write a dataset, or one setting of it, as a folder that BEIR's own loader reads.

    A name that ends in .jsonl gets the queries with their relevant passages as training groups,
    which `beir-hybrid translate` and `train` read.

    Examples
    --------
    `beir-hybrid datasets export xquad-r en-de --queries en --passages de`

    `beir-hybrid datasets export natural-questions questions.jsonl`
    """
    from beir_hybrid.collection import write_folder
    from beir_hybrid.collection.setting import IMAGE
    from beir_hybrid.sources import datasets as load_registry
    from beir_hybrid.sources import find_dataset

    query_languages, passage_languages = split_commas(queries), split_commas(passages)
    languages_to_load = split_commas(languages)
    # Other languages need not be fetched; the user's own files are read as a whole.
    is_limited = languages_to_load is None and query_languages and passage_languages
    if is_limited and name in load_registry() and find_dataset(name).languages:
        sides = (*(query_languages or []), *(passage_languages or []))
        languages_to_load = [lang for lang in sides if lang != IMAGE] or None
    collection = load_dataset(name, languages_to_load, load.option, offline=load.offline)
    if folder.suffix == ".jsonl":
        if query_languages or passage_languages:
            raise BadOption("training groups have all languages; --languages chooses some")
        _echo_groups(collection, folder)
        return
    if query_languages is None and passage_languages is None:  # with images, if there are any
        query_languages = passage_languages = list(collection.codes)
    view = collection.view(query_languages, passage_languages)
    write_folder(view, folder, split)
    n_passages = sum(len(rows) for rows in view.passage_ranges)
    _echo_size(folder, len(view.query_rows), n_passages)


def _echo_groups(collection: "Collection", path: Path) -> None:
    """Write training groups and say how many there are."""
    from beir_hybrid.curation.conversion import export_groups
    from beir_hybrid.text import plural

    echo(f"{path}: {plural(export_groups(collection, path), 'groups')}")


def _echo_size(place: str | Path, n_queries: int, n_passages: int) -> None:
    from beir_hybrid.text import plural

    echo(f"{place}: {plural(n_queries, 'queries')}, {plural(n_passages, 'passages')}")
