"""A collection or view in, a folder that BEIR's own loader reads out; and back without a loss."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from beir_hybrid.collection.collection import Collection, Origin, View
from beir_hybrid.collection.judgements import ITSELF
from beir_hybrid.collection.lines import json_lines, string
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.store import MANIFEST, facts, facts_from
from beir_hybrid.collection.writer import CollectionWriter, cached
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import replacing_folder, sha256

_BATCH = 1 << 14
_HEADER = ["query-id", "corpus-id", "score"]
_TREC = 4  # columns of TREC's qrels: query, iteration, passage, relevance


def write_folder(data: Collection | View, folder: str | Path, split: str = "test") -> Path:
    """Write ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv`` as BEIR lays them out.

    Language, group, image and a title that models do not read stand under ``metadata``, and what
    else is known of the collection in ``collection.json``. Where the origin had ids of its own and
    the view has one language on either side, those ids are written; otherwise ours are, which are
    unique over all languages. A judgement of relevance -2147483648 says that the passage is the
    query itself, which is no answer to it.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> write_folder(bh.load("xquad-r").view("en", "de"), "xquad-en-de")  # doctest: +SKIP
    """
    view = data.view(data.groups, data.groups) if isinstance(data, Collection) else data
    folder = Path(folder)
    if not split or Path(split).name != split:
        raise BadOption(f"a split's name becomes a file's: it cannot be {split!r}")
    if os.path.lexists(folder):
        raise BadOption(f"{folder} is there already; name a new folder or remove it")
    with replacing_folder(folder) as temporary:
        _write(view, temporary, split)
    return folder


def _write(view: View, folder: Path, split: str) -> None:
    collection = view.collection
    queries, passages = view.prefixes
    titled = collection.title_policy == "title+text"
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for rows in view.passage_ranges:
            for row in _rows(collection.passages.slice(rows.start, len(rows))):
                shown = row["title"] if titled else ""
                about = {"lang": row["lang"]} | ({} if titled else {"title": row["title"]})
                if row.get("image") is not None:
                    about["image"] = row["image"]
                key = row["id"].removeprefix(passages)
                _line(file, _id=key, title=shown, text=row["text"], metadata=about)
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        for row in _rows(view.queries):
            about = {"lang": row["lang"], "group": row["group"]}
            if row.get("image") is not None:
                about["image"] = row["image"]
            _line(file, _id=row["id"].removeprefix(queries), text=row["text"], metadata=about)
    (folder / "qrels").mkdir()
    with (folder / "qrels" / f"{split}.tsv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(_HEADER)
        for query, passage, relevance in _judged(view):
            ids = query.removeprefix(queries), passage.removeprefix(passages)
            table.writerow([*ids, relevance])
    known = facts(collection) | {
        "ids": "original" if queries else "ours",
        "images": "image" in collection.passages.schema.names,
    }
    if {*view.query_langs} != {*collection.groups} or view.passage_langs != view.query_langs:
        known["name"] = f"{collection.name}.{view.name}"
    shown = {"", *view.query_langs, *view.passage_langs}
    known["provenance"] = [origin for origin in known["provenance"] if origin["lang"] in shown]
    (folder / MANIFEST).write_text(json.dumps(known, ensure_ascii=False, indent=1), "utf-8")


def _judged(view: View) -> Iterator[tuple[str, str, int]]:
    """Yield the judgements of a view, and behind them which passage is the query itself."""
    for row in _rows(view.qrels):
        yield row["query_id"], row["passage_id"], row["relevance"]
    queries, passages = view.collection.queries["id"], view.collection.passages["id"]
    for query, passage in zip(*view.itself, strict=True):
        yield queries[query].as_py(), passages[passage].as_py(), ITSELF


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist()


def _line(file: TextIO, **row: object) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_folder(
    folder: str | Path, split: str = "test", *, language: str | None = None, name: str = ""
) -> Collection:
    """Read a folder in BEIR's layout, whether `write_folder` or somebody else wrote it.

    Queries that the split does not judge are left out, as BEIR's loader leaves them out.

    Parameters
    ----------
    language
        The language of rows whose ``metadata`` names none.
    name
        What to call the collection; otherwise the name it was written under, or the folder's.

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
    stored, known = _facts(manifest)
    known["name"] = name or known.get("name") or folder.resolve().name
    checksums = [sha256(path) for path in files]
    paths = [str(path.resolve()) for path in files]
    if not stored:
        known["provenance"] = tuple(map(Origin, paths, checksums))
    recipe = {
        "folder": [*checksums, *([sha256(manifest)] if stored else [])],
        "language": language,
        "name": known["name"],
        "paths": [] if stored else paths,
    }

    def build(writer: CollectionWriter) -> None:
        _Reader(writer, language, ours=stored.get("ids") == "ours").read(*files)
        writer.finish(**{key: value for key, value in known.items() if key != "name"})

    return cached(known["name"], recipe, build, images=bool(stored.get("images")))


def _facts(manifest: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a folder's ``collection.json`` says, as it stands and as attributes."""
    if not manifest.is_file():
        return {}, {"original_ids": True}
    try:
        stored = json.loads(manifest.read_bytes())
        return stored, facts_from(stored)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadData(f"{manifest} is not what write_folder writes: {error}") from error


class _Reader:
    """Turns the three files into rows; ids of ours are taken as they are, others get a language."""

    def __init__(self, writer: CollectionWriter, language: str | None, *, ours: bool) -> None:
        self.writer, self.language, self.ours = writer, language, ours
        self.ids: dict[tuple[str, str], str] = {}  # of what is judged

    def read(self, corpus: Path, queries: Path, qrels: Path) -> None:
        header, judged = _judgements(qrels)
        wanted = dict.fromkeys(query for query, _, _ in judged)
        answers = dict.fromkeys(passage for _, passage, _ in judged)
        for where, row, about in _lines(corpus):
            key, text = string(row, "_id", where), string(row, "text", where)
            lang = string(about, "lang", where, "") or self.language
            title = string(row, "title", where, "") or string(about, "title", where, "")
            image = _image(about, lang, where)
            identity = self.writer.passage(lang, self._local(key, lang), title, text, image)
            if key in answers:
                self._found("passages", key, identity, where)
        for where, row, about in _lines(queries):
            key, text = string(row, "_id", where), string(row, "text", where)
            if header and key == header[0]:
                raise _no_judgement(f"{qrels} line 1", header)
            if key in wanted:
                lang = string(about, "lang", where, "") or self.language
                local = self._local(key, lang, "q:")
                group = string(about, "group", where, "") or f"{lang}:{local}"
                image = _image(about, lang, where)
                identity = self.writer.query(lang, local, text, group, image)
                self._found("queries", key, identity, where)
        for kind, named in (("queries", wanted), ("passages", answers)):
            self.writer.lacks(kind, (key for key in named if (kind, key) not in self.ids))
        for query, passage, relevance in judged:
            ours = self.ids.get(("queries", query)), self.ids.get(("passages", passage))
            if ours[0] and ours[1]:
                self.writer.judge(ours[0], ours[1], relevance)

    def _found(self, kind: str, key: str, identity: str, where: str) -> None:
        known = self.ids.setdefault((kind, key), identity)
        if known != identity:  # the same id twice in one language is left to the checks
            raise BadData(f"{where}: the judged id {key!r} is there in two languages")

    def _local(self, key: str, lang: str | None, part: str = "") -> str:
        return key.removeprefix(f"{lang}:{part}") if self.ours else key


def _lines(path: Path) -> Iterator[tuple[str, dict[str, object], dict[str, object]]]:
    """Yield where a row stands, the row and its metadata."""
    for number, row in json_lines(path):
        about = row.get("metadata")
        yield f"{path} line {number}", row, about if isinstance(about, dict) else {}


def _image(about: dict[str, object], lang: str | None, where: str) -> str | None:
    """Return where a row's picture lies, which `write_folder` puts in the group of pictures."""
    image = string(about, "image", where, "") or None
    if image and lang != IMAGE:
        raise BadData(
            f"{where}: models would read the row's text and not its image {image!r:.80}; load "
            "pictures and their captions as 'jsonl-image-text'"
        )
    return image


def _judgements(path: Path) -> tuple[list[str], list[tuple[str, str, int]]]:
    """Return the judgements, and a first row that is a header unless it names a query."""
    header: list[str] = []
    judged = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        for number, row in enumerate(_readable(rows, path), start=1):
            try:
                query, passage, relevance = row
                judged.append((query, passage, int(relevance)))
            except ValueError as error:
                if number > 1 or not _may_be_header(row):
                    raise _no_judgement(f"{path} line {number}", row) from error
                if [name.lower() for name in row] != _HEADER:
                    header = row
    return header, judged


def _may_be_header(row: list[str]) -> bool:
    if len(row) != len(_HEADER):
        return False
    try:
        float(row[-1])
    except ValueError:
        return True
    return False


def _no_judgement(where: str, row: list[str]) -> BadData:
    found = f"{where}: expected query, passage and a whole number between tabs, found {row}"
    if _TREC in (len(row), len(" ".join(row).split())):
        found += "; in TREC's qrels, leave the second of the four columns out"
    return BadData(found)


def _readable(rows: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path} is no table with tabs in UTF-8: {error}") from error
