"""Manifests of dense indexes: the model, collection and files that an index was made of."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Required, TypedDict

from beir_hybrid.calibration.calibration_record import ARRAYS, RECORD
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.errors import BadData
from beir_hybrid.files import is_file
from beir_hybrid.integrity import (
    FileRecord,
    format_sealed_json,
    read_sealed_json,
    record_files,
    verify_files,
)
from beir_hybrid.languages import check_code
from beir_hybrid.records import from_record
from beir_hybrid.results.machine import list_versions

_CURE = "build the index anew"
_OTHER_FOLDER = "name a folder that `beir-hybrid index` made, or one of its shards"
INDEX, DOCID, MANIFEST = "index", "docid", "manifest.json"  # the files of an index
IMPACT = "impact"  # the kind of an index of a sparse model
CALIBRATION = "calibration"  # the folder of its calibration, if it has one
CALIBRATION_FILES = (f"{CALIBRATION}/{RECORD}", f"{CALIBRATION}/{ARRAYS}")
OWN_STATISTICS = "own"  # of the passages of the index, and the queries of its collection


class ModelRecord(TypedDict):
    """The model of an index: the name, and the options of its encoder that are not defaults."""

    name: str
    revision: str
    options: dict[str, Any]
    fingerprint: dict[str, Any]


class OriginRecord(TypedDict):
    """The checksum of a file that a collection was read from."""

    sha256: str


class CollectionRecord(TypedDict):
    """The name and origins of a collection; the manifest has its other attributes, too."""

    name: str
    provenance: list[OriginRecord]


class DatasetRecord(TypedDict):
    """The name, languages and options by which a dataset is loaded."""

    name: str
    languages: list[str] | None
    options: dict[str, str]


class CalibrationRecord(TypedDict, total=False):
    """The calibration of an index.

    ``statistics`` is their checksum, or `OWN_STATISTICS`; ``data`` says what they were fitted on.
    """

    method: Required[str]
    statistics: Required[str]
    data: dict[str, Any]


class IndexRecipe(TypedDict, total=False):
    """The facts that determine an index: equal recipes make equal indexes."""

    format: int
    kind: Required[str]
    model: ModelRecord
    collection: CollectionRecord
    dataset: DatasetRecord | None
    languages: list[str]
    calibration: CalibrationRecord
    shard: dict[str, int]
    files: dict[str, FileRecord]


class IndexManifest(IndexRecipe, total=False):
    """The contents of ``manifest.json``."""

    passages: Required[int]
    dim: Required[int]
    faiss: dict[str, Any]
    versions: dict[str, str]


def read_manifest(folder: str | Path) -> IndexManifest:
    """Read the manifest of an index; raise `BadData` where a file is missing or cut short."""
    path = Path(folder) / MANIFEST
    try:
        record = read_sealed_json(path, _OTHER_FOLDER)
        manifest = from_record(IndexManifest, record, str(path))
        sizes = {name: manifest["files"][name]["bytes"] for name in list_files(manifest)}
        if manifest["kind"] == IMPACT:
            _check_names(path, sizes)
    except KeyError as error:
        raise BadData(f"{path} lists no file {error}; {_OTHER_FOLDER}") from error
    for code in manifest.get("languages", []):
        check_code(code, str(path))
    for name, size in sizes.items():
        file = path.parent / name
        if not is_file(file) or file.stat().st_size != size:
            raise BadData(f"{file} is missing or cut short; build the index anew")
    return manifest


def write_manifest(
    folder: Path,
    recipe: IndexRecipe,
    vectors: StoredRows[Any],
    names: Iterable[str],
    **facts: object,
) -> None:
    """Write the manifest of an index beside its files, whose names and facts it records."""
    manifest = {
        **recipe,
        "passages": len(vectors),
        "dim": vectors.dim,
        **facts,
        "versions": list_versions(),
        "files": record_files(folder, names),
    }
    (folder / MANIFEST).write_text(format_sealed_json(manifest), "utf-8")


def _check_names(path: Path, names: Collection[str]) -> None:
    """Raise `BadData` for files outside the folder of a manifest, and for an index without any."""
    if not names or any(Path(name).name != name for name in names):
        raise BadData(f"{path} does not list the files of an impact index; {_OTHER_FOLDER}")


def list_files(recipe: IndexRecipe) -> tuple[str, ...]:
    """Return the names of the files of an index, but for the manifest.

    Those of an impact index are Lucene's, and the manifest lists them once they are written.
    """
    if recipe["kind"] == IMPACT:
        return tuple(recipe.get("files", {}))
    return (INDEX, DOCID, *(CALIBRATION_FILES if "calibration" in recipe else ()))


def verify_index_files(folder: Path, manifest: IndexManifest, *, anew: bool = False) -> None:
    """Raise `BadData` unless vectors, ids and calibration have the checksums of the manifest.

    Files that this process has verified before are not read again, unless `anew`.
    """
    records = {name: manifest["files"][name] for name in list_files(manifest)}
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
    shard_count = manifest.get("shard", {}).get("of")
    return [*facts, manifest.get("calibration"), read_fingerprint(manifest), shard_count]


def read_fingerprint(manifest: IndexRecipe) -> Mapping[str, object] | None:
    """Return the fingerprint of the model of an index, if its manifest has one."""
    model: Mapping[str, Any] = manifest.get("model", {})
    return model.get("fingerprint")
