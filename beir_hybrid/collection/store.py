"""Collections on disk: a folder of Arrow files, with a manifest that describes them."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from beir_hybrid.collection.collection import Collection, TitlePolicy
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.shards import (
    JUDGEMENT_SCHEMA,
    PASSAGE_SCHEMA,
    QUERY_SCHEMA,
    read_shards,
)
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from beir_hybrid.records import from_record, read_json

logger = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "collection.json"
# The attributes of a collection beside its rows, as a manifest and an exported folder name them.
_FIELDS = ("name", "licence", "citation", "options", "title_policy", "original_ids", "caveat")


@dataclass(frozen=True)
class Shard:
    """An Arrow file of a collection: its path from the folder, language, rows and bytes."""

    path: str
    lang: str
    rows: int
    bytes: int


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
    """What a manifest holds beside the attributes of its collection."""

    queries: list[Shard]
    passages: list[Shard]
    warnings: list[str]


def describe_collection(collection: Collection) -> dict[str, Any]:
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
    }
    with atomic_file(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def open_collection(folder: str | Path) -> Collection:
    """Open a collection in a folder of the cache; its rows stay on disk."""
    folder = Path(folder)
    path = folder / MANIFEST
    record = from_record(dict[str, Any], read_json(path), str(path))
    if record.get("format") != FORMAT:
        raise BadData(f"{path} has format {record.get('format')}; this version reads {FORMAT}")
    manifest = from_record(_Manifest, record, str(path))
    tables, counts = {}, {}
    kinds = (
        ("queries", manifest["queries"], QUERY_SCHEMA),
        ("passages", manifest["passages"], PASSAGE_SCHEMA),
    )
    for kind, shards, schema in kinds:
        tables[kind] = read_shards([_check_size(folder, shard) for shard in shards], schema)
        counts[kind] = dict.fromkeys((shard.lang for shard in shards), 0)
        for shard in shards:
            counts[kind][shard.lang] += shard.rows
    judgements = read_shards([folder / "judgements.arrow"], JUDGEMENT_SCHEMA)
    for warning in manifest["warnings"]:
        logger.warning("%s", warning)
    languages = sorted((counts["queries"].keys() | counts["passages"].keys()) - {IMAGE})
    return Collection(
        languages=tuple(languages),
        queries=tables["queries"],
        passages=tables["passages"],
        judgements=judgements,
        query_counts=counts["queries"],
        passage_counts=counts["passages"],
        **parse_description(record, str(path)),
    )


def _check_size(folder: Path, shard: Shard) -> Path:
    """Return a shard's path, or raise `BadData` if the file is missing or has lost bytes."""
    path = folder / shard.path
    if not path.is_file() or path.stat().st_size != shard.bytes:
        raise BadData(f"{path} is missing or damaged")
    return path
