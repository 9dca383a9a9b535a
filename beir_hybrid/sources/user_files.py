"""Datasets of one's own: a folder in BEIR's layout, or parallel texts as JSON lines."""

from pathlib import Path

from beir_hybrid.collection import Collection, read_folder, read_jsonl
from beir_hybrid.collection.selection import select_languages
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
    collection = read_folder(path, split, language=language, name=name, variants=variants)
    return collection if languages is None else select_languages(collection, languages)


def _load_jsonl(
    languages: tuple[str, ...] | None = None,
    *,
    path: str | Path,
    name: str = "",
    licence: str = "",
    variants: bool = False,
) -> Collection:
    collection = read_jsonl(path, name=name, licence=licence, variants=variants)
    return collection if languages is None else select_languages(collection, languages)


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
