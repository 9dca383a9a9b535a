"""Datasets of one's own: a folder in BEIR's layout, or parallel texts as JSON lines."""

from pathlib import Path

from beir_hybrid.collection import Collection, read_folder, read_jsonl
from beir_hybrid.errors import BadOption
from beir_hybrid.sources.spec import Dataset


def _load_beir_folder(
    languages: tuple[str, ...] | None = None,
    *,
    path: str | Path,
    split: str = "test",
    language: str | None = None,
    name: str = "",
    variants: bool = False,
) -> Collection:
    _refuse_languages("beir-folder", languages)
    return read_folder(path, split, language=language, name=name, variants=variants)


def _load_jsonl(
    languages: tuple[str, ...] | None = None,
    *,
    path: str | Path,
    name: str = "",
    licence: str = "",
    variants: bool = False,
) -> Collection:
    _refuse_languages("jsonl", languages)
    return read_jsonl(path, name=name, licence=licence, variants=variants)


def _refuse_languages(name: str, languages: tuple[str, ...] | None) -> None:
    if languages is not None:
        raise BadOption(
            f"{name} loads every language of its files; leave the languages out, or write a file "
            f"with {' and '.join(languages)} alone"
        )


BEIR_FOLDER = Dataset(
    name="beir-folder",
    summary="a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv",
    load=_load_beir_folder,
    licence="your own",
)
JSONL = Dataset(
    name="jsonl",
    summary="your own parallel queries and passages, a file of JSON lines",
    load=_load_jsonl,
    licence="your own",
)
