"""The training and test data of the commands that train, from datasets, files and folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beir_hybrid.cli.options import LoadOptions, complete_dataset, load_dataset, split_commas
from beir_hybrid.cli.printing import echo
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.files import is_file

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs

_SUFFIXES = (".jsonl", ".parquet", ".gz")  # of what is a file, and no name on the hub


@dataclass(frozen=True)
class DataOptions:
    """The training data."""

    train: Annotated[
        list[str] | None,
        typer.Option(
            help="A dataset such as mlqa-r, or with options mmarco:languages=de+en,queries=1000; a "
            "JSONL or Parquet file, a folder with captions.jsonl, or a dataset of the Hugging Face "
            "Hub; may be repeated.",
            metavar="NAME",
            autocompletion=complete_dataset,
        ),
    ] = None
    bitext: Annotated[
        list[str] | None,
        typer.Option(
            help="Text files whose lines translate each other. Use a cross-lingual strategy such "
            "as x-y: in monolingual batches query and passage would be the same text. May be "
            "repeated.",
            metavar="LANG=FILE,LANG=FILE",
        ),
    ] = None
    negatives: Annotated[
        int, typer.Option(help="Number of hard negatives per row, if the file has them.")
    ] = 0
    language: Annotated[
        str | None, typer.Option(help="The language of files with plain texts.")
    ] = None

    def check(self) -> None:
        """Raise an error, before all work, for files that are not there."""
        for name in self.train or ():
            if Path(name).suffix in _SUFFIXES and not is_file(Path(name)):
                raise BadData(f"there is no file {name}")

    def read(self, load: LoadOptions) -> "list[ParallelPairs]":
        """Read datasets by name, files, datasets of the hub and parallel lines."""
        from beir_hybrid.pairs.reading import read_bitext
        from beir_hybrid.sources import is_dataset

        names, bitexts = self.train or [], self.bitext or []
        if not names and not bitexts:
            raise BadOption("--train is needed, or --bitext")
        n_datasets = sum(is_dataset(split_options(name)[0]) for name in names)
        for option, value, is_unused in (
            ("negatives", self.negatives, n_datasets == len(names)),
            ("language", self.language, n_datasets == len(names)),
            ("option", load.option, not n_datasets),
        ):
            if value and is_unused:
                raise BadOption(f"--{option} changes nothing of {', '.join([*names, *bitexts])}")
        languages = split_commas(load.languages)
        files = [_parse_bitext(text) for text in bitexts]
        titles = _name_sources([*([name] for name in names), *(list(f.values()) for f in files)])
        return [
            *(self.read_source(name, languages, load, titles[i]) for i, name in enumerate(names)),
            *(
                read_bitext(paths, languages=languages, name=titles[len(names) + i])
                for i, paths in enumerate(files)
            ),
        ]

    def read_source(
        self, name: str, languages: list[str] | None, load: LoadOptions, title: str = ""
    ) -> "ParallelPairs":
        """Read a dataset by its name, a file, a folder of images, or a dataset of the hub."""
        from beir_hybrid.pairs.reading import pairs_from_collection, read_pairs
        from beir_hybrid.sources import is_dataset

        dataset, own_languages, own_options = split_options(name)
        if is_dataset(dataset):
            options = [*(load.option or []), *own_options]
            return pairs_from_collection(
                load_dataset(dataset, own_languages or languages, options, offline=load.offline)
            )
        is_collection = _is_collection(name)
        if is_collection:
            echo(f"{name} is a collection: each query makes a group with its relevant passages")
        if is_collection or _has_captions(name):
            if self.negatives:
                raise BadOption(f"--negatives: {name} is a collection, without hard negatives")
            return pairs_from_collection(load_dataset(name, languages, None, offline=load.offline))
        _suggest_dataset(name)
        return read_pairs(
            name, negatives=self.negatives, language=self.language, languages=languages, name=title
        )


def split_options(name: str) -> tuple[str, list[str] | None, list[str]]:
    """Split the name of a dataset from its languages, and from its other options.

    >>> split_options("mmarco:languages=de+en,queries=1000")
    ('mmarco', ['de', 'en'], ['queries=1000'])
    >>> split_options("mteb:MKQARetrieval:languages=de")
    ('mteb:MKQARetrieval', ['de'], [])
    """
    from beir_hybrid.sources import is_dataset

    dataset, _, text = name.partition(":")
    if is_dataset(f"{dataset}:"):  # another tool's
        task, _, text = text.partition(":")
        dataset = f"{dataset}:{task}"
    options = text.split(",") if text else []
    languages = [option for option in options if option.startswith("languages=")]
    codes = [code for option in languages for code in option.partition("=")[2].split("+")]
    return dataset, codes or None, [option for option in options if option not in languages]


def has_negatives(name: str) -> bool:
    """Return whether any group of a file has hard negatives; True for other sources."""
    from beir_hybrid.collection.lines import read_json_lines

    path = Path(name)
    if not name.endswith(_SUFFIXES) or not is_file(path):
        return True
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return any(column.startswith("negative") for column in pq.read_schema(path).names)
    return any("negative" in row for _, row in read_json_lines(path))


def load_test_collection(name: str, languages: list[str] | None, *, offline: bool) -> "Collection":
    """Load a dataset by name, or a file or folder of the user, to evaluate on."""
    return load_dataset(name, split_commas(languages), None, offline=offline)


def _is_collection(name: str) -> bool:
    """Return whether a file has lines with passages and queries, rather than groups for training.

    The first line tells: a collection's has the texts of one passage or query.
    """
    from beir_hybrid.collection.lines import read_json_lines

    if not name.endswith((".jsonl", ".jsonl.gz")) or not is_file(Path(name)):
        return False
    row = next((row for _, row in read_json_lines(Path(name))), {})
    return "text" in row and ("passage" in row or "query" in row)


def _suggest_dataset(name: str) -> None:
    """Raise `UnknownName` for a misspelt dataset that is neither a path nor a name on the hub."""
    from beir_hybrid.sources import datasets

    similar = get_close_matches(name, datasets(), n=1, cutoff=0.75)
    if similar and "/" not in name and not Path(name).exists():
        raise UnknownName(f"no dataset or file {name!r}; did you mean {similar[0]!r}?")


def _has_captions(name: str) -> bool:
    from beir_hybrid.sources.image_folder import CAPTIONS

    return is_file(Path(name) / CAPTIONS)


def _name_sources(sources: Sequence[Sequence[str]]) -> list[str]:
    """Return names for sources, lists of files, that have one stem; the default, "", for others.

    A name has those of the files and of their folders.
    """
    stems = [Path(paths[0]).name.split(".")[0] for paths in sources]
    return [
        "+".join("/".join(Path(path).resolve().parts[-2:]) for path in paths)
        if all(is_file(Path(path)) for path in paths) and stems.count(stem) > 1
        else ""
        for paths, stem in zip(sources, stems, strict=True)
    ]


def _parse_bitext(text: str) -> dict[str, str]:
    """Parse ``LANG=FILE,LANG=FILE``."""
    parts = [part.partition("=") for part in text.split(",")]
    files = {lang.strip(): file for lang, _, file in parts}
    if len(files) < max(len(parts), 2) or not all(map(all, parts)):
        raise BadOption(f"--bitext takes LANG=FILE,LANG=FILE of two languages, not {text!r}")
    return files
