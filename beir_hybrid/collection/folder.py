"""Folders in BEIR's layout: writing a collection or view, and reading any such folder."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.store import MANIFEST, describe_collection, parse_description
from beir_hybrid.collection.view import View
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_folder, explain_read_errors, sha256
from beir_hybrid.records import from_record, read_json

_BATCH_ROWS = 1 << 14
_HEADER = ["query-id", "corpus-id", "score"]
_TREC_COLUMNS = 4  # TREC's qrels have query, iteration, passage and relevance


def write_folder(data: Collection | View, folder: str | Path, split: str = "test") -> Path:
    """Write a folder in BEIR's layout: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``.

    Language, group, image and a title that models do not read stand under ``metadata``, and the
    other attributes of the collection in ``collection.json``. Where the origin had ids of its own
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
    if os.path.lexists(folder):
        raise BadOption(f"{folder} is there already; name a new folder or remove it")
    with atomic_folder(folder) as temporary:
        _write_corpus(view, temporary / "corpus.jsonl")
        _write_queries(view, temporary / "queries.jsonl")
        (temporary / "qrels").mkdir()
        _write_qrels(view, temporary / "qrels" / f"{split}.tsv")
        description = json.dumps(_describe_view(view), ensure_ascii=False, indent=1)
        (temporary / MANIFEST).write_text(description, "utf-8")
    return folder


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
        for row in _iterate_rows(view.queries):
            metadata = {"lang": row["lang"], "group": row["group"]}
            if row.get("image") is not None:
                metadata["image"] = row["image"]
            key = row["id"].removeprefix(prefix)
            _write_line(file, _id=key, text=row["text"], metadata=metadata)


def _write_qrels(view: View, path: Path) -> None:
    queries, passages = view.prefixes
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(_HEADER)
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


def read_folder(
    folder: str | Path, split: str = "test", *, language: str | None = None, name: str = ""
) -> Collection:
    """Read a folder in BEIR's layout, written by `write_folder` or by other programs.

    Queries without judgements in the split are left out, as BEIR's loader leaves them out.

    Parameters
    ----------
    language
        The language of rows whose ``metadata`` names none.
    name
        The name of the collection; by default the name that it was written under, or the folder's.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import beir_hybrid as bh
    >>> corpus, qrels = {"en:1": {"text": "Here."}}, {"en:q:1": {"en:1": 1}}
    >>> collection = bh.from_beir(corpus, {"en:q:1": "Where?"}, qrels, name="tiny")
    >>> read_folder(write_folder(collection, Path(mkdtemp()) / "tiny"))
    Collection('tiny', 1 language, 1 query, 1 passage)
    """
    folder = Path(folder)
    files = [folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv"]
    for path in files:
        if not path.is_file():
            raise BadData(f"{folder} is no BEIR folder with split {split!r}: it lacks {path.name}")
    manifest = folder / MANIFEST
    description, attributes = _read_description(manifest)
    collection_name = name or attributes.get("name") or folder.resolve().name
    checksums = [sha256(path) for path in files]
    paths = [str(path.resolve()) for path in files]
    if not description:
        attributes["provenance"] = tuple(map(Origin, paths, checksums))
    recipe = {
        "folder": [*checksums, *([sha256(manifest)] if description else [])],
        "language": language,
        "name": collection_name,
        "paths": [] if description else paths,
    }

    def build(writer: CollectionWriter) -> None:
        has_our_ids = description.get("ids") == "ours"
        _FolderReader(writer, language, has_our_ids=has_our_ids).read(*files)
        writer.finish(**{key: value for key, value in attributes.items() if key != "name"})

    has_images = bool(description.get("images"))
    return load_or_build(collection_name, recipe, build, has_images=has_images)


def _read_description(manifest: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a folder's ``collection.json``, raw and as attributes of a collection."""
    if not manifest.is_file():
        return {}, {"original_ids": True}
    description = from_record(dict[str, Any], read_json(manifest), str(manifest))
    return description, parse_description(description, str(manifest))


class _FolderReader:
    """Turns the three files into rows; ids of other origins get their language as a prefix."""

    def __init__(
        self, writer: CollectionWriter, language: str | None, *, has_our_ids: bool
    ) -> None:
        self.writer, self.language, self.has_our_ids = writer, language, has_our_ids
        self.ids: dict[tuple[str, str], str] = {}  # our id of each judged query and passage

    def read(self, corpus: Path, queries: Path, qrels: Path) -> None:
        header, judgements = _read_qrels(qrels)
        query_keys = dict.fromkeys(query for query, _, _ in judgements)
        passage_keys = dict.fromkeys(passage for _, passage, _ in judgements)
        for where, row, metadata in _read_rows(corpus):
            key, text = require_text(row, "_id", where), require_text(row, "text", where)
            lang = require_text(metadata, "lang", where, "") or self.language
            title = require_text(row, "title", where, "")
            title = title or require_text(metadata, "title", where, "")
            image = _get_image(metadata, lang, where)
            local_key = self._strip_prefix(key, lang)
            identity = self.writer.add_passage(lang, local_key, title, text, image)
            if key in passage_keys:
                self._remember("passages", key, identity, where)
        for where, row, metadata in _read_rows(queries):
            key, text = require_text(row, "_id", where), require_text(row, "text", where)
            if header and key == header[0]:
                raise _bad_judgement(f"{qrels} line 1", header)
            if key in query_keys:
                lang = require_text(metadata, "lang", where, "") or self.language
                local_key = self._strip_prefix(key, lang, "q:")
                group = require_text(metadata, "group", where, "") or f"{lang}:{local_key}"
                image = _get_image(metadata, lang, where)
                identity = self.writer.add_query(lang, local_key, text, group, image)
                self._remember("queries", key, identity, where)
        for kind, keys in (("queries", query_keys), ("passages", passage_keys)):
            self.writer.note_missing(kind, (key for key in keys if (kind, key) not in self.ids))
        for query, passage, relevance in judgements:
            query_id = self.ids.get(("queries", query))
            passage_id = self.ids.get(("passages", passage))
            if query_id and passage_id:
                self.writer.add_judgement(query_id, passage_id, relevance)

    def _remember(self, kind: str, key: str, identity: str, where: str) -> None:
        # The same id twice in one language is left to the writer's checks.
        if self.ids.setdefault((kind, key), identity) != identity:
            raise BadData(f"{where}: the judged id {key!r} is there in two languages")

    def _strip_prefix(self, key: str, lang: str | None, part: str = "") -> str:
        return key.removeprefix(f"{lang}:{part}") if self.has_our_ids else key


def _read_rows(path: Path) -> Iterator[tuple[str, dict[str, object], dict[str, object]]]:
    """Yield the place of each row in the file, the row and its metadata."""
    for number, row in read_json_lines(path):
        metadata = row.get("metadata")
        yield f"{path} line {number}", row, metadata if isinstance(metadata, dict) else {}


def _get_image(metadata: dict[str, object], lang: str | None, where: str) -> str | None:
    """Return the path of a row's image; only rows whose language is `IMAGE` may have one."""
    image = require_text(metadata, "image", where, "") or None
    if image and lang != IMAGE:
        raise BadData(
            f"{where}: models would read the row's text and not its image {image!r:.80}; load "
            "images and their captions as 'jsonl-image-text'"
        )
    return image


def _read_qrels(path: Path) -> tuple[list[str], list[tuple[str, str, int]]]:
    """Return the judgements, and the first row where that may be a header of unusual names."""
    header: list[str] = []
    judgements = []
    with (
        explain_read_errors(path, "is no table with tabs in UTF-8"),
        path.open(encoding="utf-8", newline="") as file,
    ):
        rows = csv.reader(file, delimiter="\t")
        for number, row in enumerate(rows, start=1):
            try:
                query, passage, relevance = row
                judgements.append((query, passage, int(relevance)))
            except ValueError as error:
                if number > 1 or not _may_be_header(row):
                    raise _bad_judgement(f"{path} line {number}", row) from error
                if [name.lower() for name in row] != _HEADER:
                    header = row
    return header, judgements


def _may_be_header(row: list[str]) -> bool:
    if len(row) != len(_HEADER):
        return False
    try:
        float(row[-1])
    except ValueError:
        return True
    return False


def _bad_judgement(where: str, row: list[str]) -> BadData:
    message = (
        f"{where}: expected query, passage and a whole number between tabs, found {row!s:.200}"
    )
    if _TREC_COLUMNS in (len(row), len(" ".join(row).split())):
        message += "; in TREC's qrels, leave the second of the four columns out"
    return BadData(message)
