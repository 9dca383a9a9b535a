"""Reading of folders in BEIR's layout, written by `write_folder` or by other programs."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.lines import name_lines, read_json_lines, read_lines, require_text
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.qrels import make_judgement_error, read_qrels
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.store import MANIFEST, parse_description
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.errors import BadData
from beir_hybrid.files import is_file, sha256
from beir_hybrid.integrity import FileRecord, read_sealed_json, verify_files
from beir_hybrid.records import from_record

# Whoever edits an export gives up its origin: without the description, its files are the origin.
EXPORT_CURE = (
    f"export it again, or, if you edited it, remove {MANIFEST} and its name in the first line of "
    "queries.jsonl"
)
# In the metadata of an export's first query: its description has to be there.
DESCRIPTION_KEY = "description"


def list_files(split: str) -> list[str]:
    """Return the names of the files of an export."""
    return ["corpus.jsonl", "queries.jsonl", f"qrels/{split}.tsv"]


def read_folder(
    folder: str | Path,
    split: str = "test",
    *,
    language: str | None = None,
    name: str = "",
    variants: bool = False,
) -> Collection:
    """Read a folder in BEIR's layout, written by `write_folder` or by other programs.

    Queries without judgements in the split are left out, as BEIR's loader leaves them out.

    Parameters
    ----------
    language
        The language of rows whose ``metadata`` names none.
    name
        The name of the collection; by default the name that it was written under, or the folder's.
    variants
        Whether scripts and regions are languages of their own, such as ``zh-Hans`` and ``zh-Hant``.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import beir_hybrid as bh
    >>> corpus, qrels = {"en:1": {"text": "Here."}}, {"en:q:1": {"en:1": 1}}
    >>> collection = bh.from_beir(corpus, {"en:q:1": "Where?"}, qrels, name="tiny")
    >>> read_folder(bh.write_folder(collection, Path(mkdtemp()) / "tiny"))
    Collection('tiny', 1 language, 1 query, 1 passage)
    """
    folder = Path(folder)
    for path in (files := [folder / name for name in list_files(split)]):
        if not is_file(path):
            raise BadData(f"{folder} is no BEIR folder with split {split!r}: it lacks {path.name}")
    manifest = folder / MANIFEST
    description, attributes = _read_description(manifest)
    records = from_record(dict[str, FileRecord], description.get("files", {}), f"{manifest}: files")
    own_records = {name: records[name] for name in list_files(split) if name in records}
    verify_files(folder, own_records, EXPORT_CURE)
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
        **({"variants": True} if variants else {}),
    }

    def build(writer: CollectionWriter) -> None:
        writer.keeps_variants = variants or bool(description)  # those of an export are ours
        writer.find_place = partial(_find_lines, files)
        writer.keeps_unanswered = _keeps_unanswered(attributes)
        reader = _FolderReader(writer, language, has_our_ids=description.get("ids") == "ours")
        reader.read(*files, is_described=bool(description))
        writer.finish(**{key: value for key, value in attributes.items() if key != "name"})

    has_images = bool(description.get("images"))
    return load_or_build(collection_name, recipe, build, has_images=has_images)


def _read_description(manifest: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a folder's ``collection.json``, raw and as attributes of a collection."""
    if not is_file(manifest):
        return {}, {"original_ids": True}
    description = read_sealed_json(manifest, EXPORT_CURE)
    return description, parse_description(description, str(manifest))


def _keeps_unanswered(attributes: dict[str, Any]) -> bool:
    """Return whether an exported collection has queries that count as 0."""
    return (attributes.get("options") or {}).get("unanswered") == "zero"


def _find_lines(files: Sequence[Path], identity: str) -> str:
    """Return the lines of a folder's files in which a query or passage is, or is judged."""
    corpus, queries, qrels = files
    local_id = identity.partition(":")[2]
    is_query = local_id.startswith("q:")
    keys = {identity, local_id.removeprefix("q:")}
    for path in (queries, corpus) if is_query else (corpus, queries):
        numbers = [number for number, row in read_json_lines(path) if row.get("_id") in keys]
        if numbers:
            return name_lines(path, numbers)
    rows = enumerate(read_lines(qrels), start=1)
    return name_lines(qrels, [n for n, (_, line) in rows if keys & {*line.decode().split()}])


class _FolderReader:
    """Turns the three files into rows; ids of other origins get their language as a prefix."""

    def __init__(
        self, writer: CollectionWriter, language: str | None, *, has_our_ids: bool
    ) -> None:
        self.writer, self.language, self.has_our_ids = writer, language, has_our_ids
        self.ids: dict[tuple[str, str], str] = {}  # our id of each judged query and passage

    def read(self, corpus: Path, queries: Path, qrels: Path, *, is_described: bool) -> None:
        header, judgements = read_qrels(qrels)
        query_keys = dict.fromkeys(query for query, _, _ in judgements)
        passage_keys = dict.fromkeys(passage for _, passage, _ in judgements)
        for location, row, metadata in _read_rows(corpus):
            key, text = require_text(row, "_id", location), require_text(row, "text", location)
            lang = require_text(metadata, "lang", location, "") or self.language
            title = require_text(row, "title", location, "")
            title = title or require_text(metadata, "title", location, "")
            image = _get_image(metadata, lang, location)
            local_key = self._strip_prefix(key, lang)
            identity = self.writer.add_passage(lang, local_key, title, text, image)
            if key in passage_keys:
                self._remember("passages", key, identity, location)
        for location, row, metadata in _read_rows(queries):
            if metadata.get(DESCRIPTION_KEY) == MANIFEST and not is_described:
                raise BadData(f"{queries.parent} lacks its {MANIFEST}; {EXPORT_CURE}")
            key, text = require_text(row, "_id", location), require_text(row, "text", location)
            if header and key == header[0]:
                raise make_judgement_error(f"{qrels} line 1", header)
            if key in query_keys:
                lang = require_text(metadata, "lang", location, "") or self.language
                local_key = self._strip_prefix(key, lang, "q:")
                group = require_text(metadata, "group", location, "") or f"{lang}:{local_key}"
                image = _get_image(metadata, lang, location)
                identity = self.writer.add_query(lang, local_key, text, group, image)
                self._remember("queries", key, identity, location)
        for kind, keys in (("queries", query_keys), ("passages", passage_keys)):
            self.writer.note_missing(kind, (key for key in keys if (kind, key) not in self.ids))
        for query, passage, relevance in judgements:
            query_id = self.ids.get(("queries", query))
            passage_id = self.ids.get(("passages", passage))
            if query_id and passage_id:
                self.writer.add_judgement(query_id, passage_id, relevance)

    def _remember(self, kind: str, key: str, identity: str, location: str) -> None:
        # The same id twice in one language is left to the writer's checks.
        if self.ids.setdefault((kind, key), identity) != identity:
            raise BadData(f"{location}: the judged id {key!r} is there in two languages")

    def _strip_prefix(self, key: str, lang: str | None, part: str = "") -> str:
        return key.removeprefix(f"{lang}:{part}") if self.has_our_ids else key


def _read_rows(path: Path) -> Iterator[tuple[str, dict[str, object], dict[str, object]]]:
    """Yield the place of each row in the file, the row and its metadata."""
    for number, row in read_json_lines(path):
        metadata = row.get("metadata")
        yield f"{path} line {number}", row, metadata if isinstance(metadata, dict) else {}


def _get_image(metadata: dict[str, object], lang: str | None, location: str) -> str | None:
    """Return the path of a row's image; only rows whose language is `IMAGE` may have one."""
    image = require_text(metadata, "image", location, "") or None
    if image and lang != IMAGE:
        raise BadData(
            f"{location}: models would read the row's text and not its image {image!r:.80}; load "
            "images and their captions as 'jsonl-image-text'"
        )
    return image
