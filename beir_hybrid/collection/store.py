"""Collections on disk: a folder of Arrow files, with a manifest that describes them."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.shards import (
    JUDGEMENT_SCHEMA,
    PASSAGE_SCHEMA,
    QUERY_SCHEMA,
    read_shards,
)
from beir_hybrid.collection.tables import CollectionTables, TitlePolicy
from beir_hybrid.errors import BadData
from beir_hybrid.integrity import (
    FileRecord,
    read_sealed_json,
    record_file,
    verify_files,
    write_sealed_json,
)
from beir_hybrid.languages import check_code
from beir_hybrid.records import from_record

logger = logging.getLogger(__name__)

FORMAT = 2
MANIFEST = "collection.json"
JUDGEMENTS = "judgements.arrow"
_CURE = "the collection has to be built anew"
# The attributes of a collection beside its rows, as a manifest and an exported folder name them.
_FIELDS = ("name", "licence", "citation", "options", "title_policy", "original_ids", "caveat")


@dataclass(frozen=True)
class Shard:
    """An Arrow file of a collection: its path from the folder, language, rows and checksum."""

    path: str
    lang: str
    rows: int
    file: FileRecord

    @classmethod
    def describe(cls, folder: Path, path: str, lang: str, rows: int) -> "Shard":
        """Return the description of a file that is complete."""
        return cls(path, lang, rows, record_file(folder / path))


class _Description(TypedDict, total=False):
    """The attributes of a collection in JSON."""

    name: str
    licence: str
    citation: str
    options: dict[str, Any]
    title_policy: TitlePolicy
    original_ids: bool
    caveat: str
    provenance: list[Origin]


class _Manifest(TypedDict):
    """What a manifest holds at least; it has the other attributes of its collection, too."""

    name: str
    queries: list[Shard]
    passages: list[Shard]
    judgements: FileRecord
    warnings: list[str]


def describe_collection(collection: CollectionTables) -> dict[str, Any]:
    """Return the attributes of a collection beside its rows, for JSON."""
    description = {name: getattr(collection, name) for name in _FIELDS}
    return description | {"provenance": [asdict(origin) for origin in collection.provenance]}


def parse_description(description: object, place: str) -> dict[str, Any]:
    """Turn a description back into a collection's attributes; names that are missing stay so."""
    record = from_record(_Description, description, place)
    attributes = {name: value for name, value in record.items() if name in _FIELDS}
    return attributes | {"provenance": tuple(record.get("provenance", ()))}


def write_manifest(
    folder: Path, description: Mapping[str, object], queries: list[Shard], passages: list[Shard]
) -> None:
    """Write the manifest that `open_collection` reads."""
    manifest = {
        **description,
        "format": FORMAT,
        "queries": [asdict(shard) for shard in queries],
        "passages": [asdict(shard) for shard in passages],
        "judgements": record_file(folder / JUDGEMENTS),
    }
    write_sealed_json(folder / MANIFEST, manifest)


def open_collection(folder: str | Path) -> Collection:
    """Open a collection in a folder of the cache; its rows stay on disk.

    Files are compared with their checksums, once in a process.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    record = read_sealed_json(path, _CURE)
    if record.get("format") != FORMAT:
        raise BadData(f"{folder} has format {record.get('format')}; this version reads {FORMAT}")
    manifest = from_record(_Manifest, record, str(path))
    shards = {"queries": manifest["queries"], "passages": manifest["passages"]}
    records = {shard.path: shard.file for kind in shards for shard in shards[kind]}
    verify_files(folder, records | {JUDGEMENTS: manifest["judgements"]}, _CURE)
    counts = {kind: _count_rows(shards[kind]) for kind in shards}
    for warning in manifest["warnings"]:
        logger.warning("%s", warning)
    languages = sorted((counts["queries"].keys() | counts["passages"].keys()) - {IMAGE})
    for lang in languages:
        check_code(lang, str(path))
    queries = _read_tables(folder, shards["queries"], QUERY_SCHEMA)
    passages = _read_tables(folder, shards["passages"], PASSAGE_SCHEMA)
    judgements = read_shards([folder / JUDGEMENTS], JUDGEMENT_SCHEMA)
    _check_rows(queries, counts["queries"], judgements["query"], path)
    _check_rows(passages, counts["passages"], judgements["passage"], path)
    return Collection(
        languages=tuple(languages),
        queries=queries,
        passages=passages,
        judgements=judgements,
        query_counts=counts["queries"],
        passage_counts=counts["passages"],
        **parse_description(record, str(path)),
    )


def _check_rows(
    table: pa.Table, counts: Mapping[str, int], rows: pa.ChunkedArray, path: Path
) -> None:
    """Raise `BadData` unless a table has the rows that are counted and judged."""
    last_row = pc.max(rows).as_py() or 0
    if sum(counts.values()) != len(table) or last_row >= max(len(table), 1):
        raise BadData(f"{path} lists other files than those of its judgements; {_CURE}")


def _read_tables(folder: Path, shards: list[Shard], schema: pa.Schema) -> pa.Table:
    return read_shards([folder / shard.path for shard in shards], schema)


def _count_rows(shards: list[Shard]) -> dict[str, int]:
    """Return the number of rows of each language."""
    counts = dict.fromkeys((shard.lang for shard in shards), 0)
    for shard in shards:
        counts[shard.lang] += shard.rows
    return counts
