"""Writing of folders in BEIR's layout, with the checksums of their files."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.folder import DESCRIPTION_KEY, EXPORT_CURE, list_files
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.qrels import QRELS_HEADER
from beir_hybrid.collection.store import MANIFEST, describe_collection
from beir_hybrid.collection.view import View
from beir_hybrid.errors import BadData, BadOption, NotReadable
from beir_hybrid.files import atomic_folder
from beir_hybrid.integrity import format_sealed_json, read_sealed_json, record_files, verify_files

_BATCH_ROWS = 1 << 14


def write_folder(data: Collection | View, folder: str | Path, split: str = "test") -> Path:
    """Write a folder in BEIR's layout: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``.

    Language, group, image and a title that models do not read stand under ``metadata``, and the
    other attributes of the collection in ``collection.json``, which the first query names: without
    it, the folder is damaged. Where the origin had ids of its own
    and the view has one language on either side, those ids are written; otherwise ours are, which
    are unique over all languages. A judgement of relevance -2147483648 says that the passage is the
    query itself, which is not relevant to it.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> write_folder(bh.load("xquad-r").view("en", "de"), "xquad-en-de")  # doctest: +SKIP
    """
    view = data.view(data.codes, data.codes) if isinstance(data, Collection) else data
    folder = Path(folder)
    if not split or Path(split).name != split:
        raise BadOption(f"a split's name becomes a file's: it cannot be {split!r}")
    description = _describe_view(view)
    if os.path.lexists(folder) and not _is_described(folder, description):
        raise _refuse_existing(folder)
    with suppress(_FolderExists), atomic_folder(folder) as temporary:
        _write_corpus(view, temporary / "corpus.jsonl")
        _write_queries(view, temporary / "queries.jsonl")
        (temporary / "qrels").mkdir()
        _write_qrels(view, temporary / "qrels" / f"{split}.tsv")
        description["files"] = record_files(temporary, list_files(split))
        (temporary / MANIFEST).write_text(format_sealed_json(description), "utf-8")
        if os.path.lexists(folder):
            _check_equal(folder, temporary)
            raise _FolderExists
    return folder


class _FolderExists(Exception):  # noqa: N818 - a signal, no error
    """The same folder is there: an export was killed just before it could say so."""


def _is_described(folder: Path, description: dict[str, Any]) -> bool:
    """Return whether a folder is an export with the attributes of a description."""
    try:
        stored_description = read_sealed_json(folder / MANIFEST, EXPORT_CURE)
    except (BadData, NotReadable):
        return False
    return {**stored_description, "files": None} == json.loads(
        json.dumps({**description, "files": None})
    )


def _check_equal(folder: Path, export: Path) -> None:
    """Raise `BadOption` unless a folder has the files of an export, `BadData` if it is damaged."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or manifest.read_bytes() != (export / MANIFEST).read_bytes():
        raise _refuse_existing(folder)
    verify_files(folder, read_sealed_json(manifest, EXPORT_CURE)["files"], EXPORT_CURE)


def _refuse_existing(folder: Path) -> BadOption:
    return BadOption(f"{folder} is there already; name a new folder or remove it")


def _write_corpus(view: View, path: Path) -> None:
    reads_titles, prefix = view.collection.title_policy == "title+text", view.prefixes.passages
    with path.open("w", encoding="utf-8") as file:
        for rows in view.passage_ranges:
            for row in _iterate_rows(view.collection.passages.slice(rows.start, len(rows))):
                title, metadata = row["title"], {"lang": row["lang"]}
                if not reads_titles:
                    title, metadata["title"] = "", title
                if row.get("image") is not None:
                    metadata["image"] = row["image"]
                key = row["id"].removeprefix(prefix)
                _write_line(file, _id=key, title=title, text=row["text"], metadata=metadata)


def _write_queries(view: View, path: Path) -> None:
    prefix = view.prefixes.queries
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(_iterate_rows(view.queries)):
            metadata = {"lang": row["lang"], "group": row["group"]}
            if number == 0:
                metadata[DESCRIPTION_KEY] = MANIFEST
            if row.get("image") is not None:
                metadata["image"] = row["image"]
            key = row["id"].removeprefix(prefix)
            _write_line(file, _id=key, text=row["text"], metadata=metadata)


def _write_qrels(view: View, path: Path) -> None:
    queries, passages = view.prefixes
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(QRELS_HEADER)
        for query, passage, relevance in _iterate_judgements(view):
            ids = query.removeprefix(queries), passage.removeprefix(passages)
            table.writerow([*ids, relevance])


def _describe_view(view: View) -> dict[str, Any]:
    """Return the attributes of a view's collection, with the origins of its languages."""
    collection = view.collection
    description = describe_collection(collection) | {
        "ids": "original" if view.prefixes.queries else "ours",
        "images": "image" in collection.passages.schema.names,
    }
    queries, passages = view.query_languages, view.passage_languages
    if {*queries} != {*collection.codes} or passages != queries:
        description["name"] = f"{collection.name}.{view.name}"
    languages = {"", *queries, *passages}
    description["provenance"] = [
        origin for origin in description["provenance"] if origin["lang"] in languages
    ]
    return description


def _iterate_judgements(view: View) -> Iterator[tuple[str, str, int]]:
    """Yield the judgements of a view by id, then the passages that are the query itself."""
    for row in _iterate_rows(view.qrels):
        yield row["query_id"], row["passage_id"], row["relevance"]
    queries, passages = view.collection.queries["id"], view.collection.passages["id"]
    for query, passage in zip(*view.self_matches, strict=True):
        yield queries[query].as_py(), passages[passage].as_py(), SELF_MATCH


def _iterate_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield from batch.to_pylist()


def _write_line(file: TextIO, **row: object) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")
