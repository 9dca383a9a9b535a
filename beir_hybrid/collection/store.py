"""A folder of Arrow files and a manifest in, a `Collection` out."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from beir_hybrid.collection.collection import Collection, Origin
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.shards import JUDGEMENTS, PASSAGES, QUERIES, read_shards
from beir_hybrid.errors import BadData
from beir_hybrid.files import replacing

logger = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "collection.json"
# The facts of a collection beside its rows, as they stand in a manifest and an exported folder.
FACTS = ("name", "licence", "citation", "options", "title_policy", "original_ids", "caveat")


@dataclass(frozen=True)
class Shard:
    """An Arrow file of a collection: where it lies (from the folder), its rows and its size."""

    path: str
    lang: str
    rows: int
    bytes: int


def facts(collection: Collection) -> dict[str, Any]:
    """Return what is known of a collection beside its rows, as JSON can hold it."""
    known = {name: getattr(collection, name) for name in FACTS}
    return known | {"provenance": [asdict(origin) for origin in collection.provenance]}


def facts_from(stored: dict[str, Any]) -> dict[str, Any]:
    """Turn what `facts` returned back into a collection's attributes."""
    known = {name: stored[name] for name in FACTS if name in stored}
    origins = stored.get("provenance", [])
    return known | {"provenance": tuple(Origin(**origin) for origin in origins)}


def write_manifest(
    folder: Path, known: dict[str, Any], queries: list[Shard], passages: list[Shard]
) -> None:
    """Write the manifest that `open_collection` reads."""
    stored = known | {
        "format": FORMAT,
        "queries": [asdict(shard) for shard in queries],
        "passages": [asdict(shard) for shard in passages],
    }
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(stored, ensure_ascii=False, indent=1), encoding="utf-8")


def open_collection(folder: str | Path) -> Collection:
    """Return the collection that lies in a folder of the cache; its rows stay on disk."""
    folder = Path(folder)
    stored = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if stored["format"] != FORMAT:
        raise BadData(f"{folder} has format {stored['format']}; this version reads {FORMAT}")
    tables, counts = {}, {}
    for kind, schema in (("queries", QUERIES), ("passages", PASSAGES)):
        shards = [Shard(**shard) for shard in stored[kind]]
        paths = [_intact(folder, shard) for shard in shards]
        tables[kind] = read_shards(paths, schema)
        counts[kind] = dict.fromkeys((shard.lang for shard in shards), 0)
        for shard in shards:
            counts[kind][shard.lang] += shard.rows
    judgements = read_shards([folder / "judgements.arrow"], JUDGEMENTS)
    for line in stored.get("warnings", ()):
        logger.warning("%s", line)
    return collection_of(tables["queries"], tables["passages"], judgements, counts, stored)


def collection_of(
    queries: pa.Table,
    passages: pa.Table,
    judgements: pa.Table,
    counts: dict[str, dict[str, int]],
    stored: dict[str, Any],
) -> Collection:
    """Put tables and facts together."""
    languages = sorted((counts["queries"].keys() | counts["passages"].keys()) - {IMAGE})
    return Collection(
        languages=tuple(languages),
        queries=queries,
        passages=passages,
        judgements=judgements,
        query_counts=counts["queries"],
        passage_counts=counts["passages"],
        **facts_from(stored),
    )


def _intact(folder: Path, shard: Shard) -> Path:
    path = folder / shard.path
    if not path.is_file() or path.stat().st_size != shard.bytes:
        raise BadData(f"{path} is missing or damaged")
    return path
