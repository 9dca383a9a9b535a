"""Collections on disk: a folder of Arrow files, with a manifest that describes them."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
from beir_hybrid.files import atomic_file

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
    }
    with atomic_file(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def open_collection(folder: str | Path) -> Collection:
    """Open a collection in a folder of the cache; its rows stay on disk."""
    folder = Path(folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT:
        raise BadData(f"{folder} has format {manifest['format']}; this version reads {FORMAT}")
    tables, counts = {}, {}
    for kind, schema in (("queries", QUERY_SCHEMA), ("passages", PASSAGE_SCHEMA)):
        shards = [Shard(**shard) for shard in manifest[kind]]
        tables[kind] = read_shards([_check_size(folder, shard) for shard in shards], schema)
        counts[kind] = dict.fromkeys((shard.lang for shard in shards), 0)
        for shard in shards:
            counts[kind][shard.lang] += shard.rows
    judgements = read_shards([folder / "judgements.arrow"], JUDGEMENT_SCHEMA)
    for warning in manifest.get("warnings", ()):
        logger.warning("%s", warning)
    languages = sorted((counts["queries"].keys() | counts["passages"].keys()) - {IMAGE})
    return Collection(
        languages=tuple(languages),
        queries=tables["queries"],
        passages=tables["passages"],
        judgements=judgements,
        query_counts=counts["queries"],
        passage_counts=counts["passages"],
        **parse_description(manifest),
    )


def _check_size(folder: Path, shard: Shard) -> Path:
    """Return a shard's path, or raise `BadData` if the file is missing or has lost bytes."""
    path = folder / shard.path
    if not path.is_file() or path.stat().st_size != shard.bytes:
        raise BadData(f"{path} is missing or damaged")
    return path
