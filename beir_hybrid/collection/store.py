"""Collections on disk: a folder of Arrow files, with a manifest that describes them."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.shards import (
    JUDGEMENT_SCHEMA,
    PASSAGE_SCHEMA,
    QUERY_SCHEMA,
    read_shards,
)
from beir_hybrid.errors import BadData
from beir_hybrid.integrity import (
    FileRecord,
    read_sealed_json,
    record_file,
    verify_files,
    write_sealed_json,
)

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


def describe_collection(collection: Collection) -> dict[str, Any]:
    """Return the attributes of a collection beside its rows, for JSON."""
    description = {name: getattr(collection, name) for name in _FIELDS}
    return description | {"provenance": [asdict(origin) for origin in collection.provenance]}


def parse_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a description back into a collection's attributes; names that are missing stay so."""
    attributes = {name: description[name] for name in _FIELDS if name in description}
    origins = description.get("provenance", [])
    return attributes | {"provenance": tuple(Origin(**origin) for origin in origins)}


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
    manifest = read_sealed_json(path, _CURE)
    if manifest.get("format") != FORMAT:
        raise BadData(f"{folder} has format {manifest.get('format')}; this version reads {FORMAT}")
    try:
        attributes = parse_description(manifest)
        shards = {
            kind: [Shard(**shard) for shard in manifest[kind]] for kind in ("queries", "passages")
        }
        records = {shard.path: shard.file for kind in shards for shard in shards[kind]}
        verify_files(folder, records | {JUDGEMENTS: manifest["judgements"]}, _CURE)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path} describes no collection: {error!r}; {_CURE}") from error
    counts = {kind: _count_rows(shards[kind]) for kind in shards}
    for warning in manifest.get("warnings", ()):
        logger.warning("%s", warning)
    languages = sorted((counts["queries"].keys() | counts["passages"].keys()) - {IMAGE})
    return Collection(
        languages=tuple(languages),
        queries=_read_tables(folder, shards["queries"], QUERY_SCHEMA),
        passages=_read_tables(folder, shards["passages"], PASSAGE_SCHEMA),
        judgements=read_shards([folder / JUDGEMENTS], JUDGEMENT_SCHEMA),
        query_counts=counts["queries"],
        passage_counts=counts["passages"],
        **attributes,
    )


def _read_tables(folder: Path, shards: list[Shard], schema: pa.Schema) -> pa.Table:
    return read_shards([folder / shard.path for shard in shards], schema)


def _count_rows(shards: list[Shard]) -> dict[str, int]:
    """Return the number of rows of each language."""
    counts = dict.fromkeys((shard.lang for shard in shards), 0)
    for shard in shards:
        counts[shard.lang] += shard.rows
    return counts
