"""Manifests of dense indexes: the model, collection and files that an index was made of."""

from collections.abc import Collection as Container
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from beir_hybrid.errors import BadData
from beir_hybrid.integrity import FileRecord, read_sealed_json, verify_files

_CURE = "build the index anew"
_OTHER_FOLDER = "name a folder that `beir-hybrid index` made, or one of its shards"
INDEX, DOCID, MANIFEST = "index", "docid", "manifest.json"  # the files of an index


class ModelRecord(TypedDict):
    """The model of an index: the name, and the options of its encoder that are not defaults."""

    name: str
    revision: str
    options: dict[str, Any]
    fingerprint: dict[str, Any]


class IndexManifest(TypedDict, total=False):
    """The contents of ``manifest.json``.

    The keys up to ``shard`` are the recipe of an index: equal recipes make equal indexes.
    """

    format: int
    kind: str
    model: ModelRecord
    collection: dict[str, Any]
    dataset: dict[str, Any] | None
    languages: list[str]
    shard: dict[str, int]
    passages: int
    dim: int
    faiss: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, FileRecord]


def read_manifest(folder: str | Path) -> IndexManifest:
    """Read the manifest of an index, and check the sizes of its files."""
    path = Path(folder) / MANIFEST
    try:
        manifest: IndexManifest = read_sealed_json(path, _OTHER_FOLDER)  # type: ignore[assignment]
        sizes = {name: manifest["files"][name]["bytes"] for name in (INDEX, DOCID)}
        if missing := [key for key in ("kind", "passages", "dim") if key not in manifest]:
            raise KeyError(missing)  # noqa: TRY301 - one message for all damage
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path} is no manifest of an index; {_OTHER_FOLDER}") from error
    for name, size in sizes.items():
        file = path.with_name(name)
        if not file.is_file() or file.stat().st_size != size:
            raise BadData(f"{file} is missing or cut short; build the index anew")
    return manifest


def verify_index_files(folder: Path, manifest: IndexManifest, *, anew: bool = False) -> None:
    """Raise `BadData` unless vectors and ids have the checksums of the manifest.

    Files that this process has verified before are not read again, unless `anew`.
    """
    records = {name: manifest["files"][name] for name in (INDEX, DOCID)}
    verify_files(folder, records, _CURE, anew=anew)


def list_shards(folder: str | Path) -> list[Path]:
    """Return the folder of an index, or those of its shards.

    Raises
    ------
    BadData
        If shards are missing, or are shards of different indexes.
    """
    folder = Path(folder)
    shard_folders = sorted(folder.glob("shard-*"))
    if not shard_folders:
        return [folder]
    manifests = [read_manifest(shard) for shard in shard_folders]
    shards = [manifest.get("shard", {}) for manifest in manifests]
    count = shards[0].get("of", 1)
    if len(shards) != count:
        raise BadData(f"{folder} has {len(shards)} of {count} shards; build the others")
    numbers = [shard.get("number") for shard in shards]
    first = _list_common_facts(manifests[0])
    if numbers != list(range(count)) or any(_list_common_facts(m) != first for m in manifests):
        raise BadData(f"{folder} holds shards of different indexes; build it anew")
    return shard_folders


def _list_common_facts(manifest: IndexManifest) -> list[object]:
    """Return the facts in which the shards of one index agree."""
    facts = [manifest.get(key) for key in ("kind", "dim", "collection", "languages")]
    return [*facts, read_fingerprint(manifest), manifest.get("shard", {}).get("of")]


def read_fingerprint(manifest: IndexManifest) -> Mapping[str, object] | None:
    """Return the fingerprint of the model of an index, if its manifest has one."""
    model: Mapping[str, Any] = manifest.get("model", {})
    return model.get("fingerprint")


def to_json_facts(value: Any, ignore: Container[str] = ()) -> Any:
    """Convert nested facts to JSON types, without the keys to ignore at any depth."""
    if isinstance(value, Mapping):
        keys = [key for key in value if key not in ignore]
        return {str(key): to_json_facts(value[key], ignore) for key in keys}
    if isinstance(value, list | tuple):
        return [to_json_facts(entry, ignore) for entry in value]
    return value
