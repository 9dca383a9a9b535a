"""The cache: list its entries with their sizes and times of use, and remove entries."""

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beir_hybrid.errors import BadOption, BeirHybridError
from beir_hybrid.files import cache_folder, explain_write_errors
from beir_hybrid.records import read_json

# Folders of the cache, with what is lost if they are removed.
KINDS = {
    "embeddings": "vectors of texts and images, encoded again when needed",
    "collections": "datasets, built again from their files",
    "files": "downloads, fetched again",
    "pairs": "training data, read again",
    "lucene": "indexes of BM25, built again",
    "corpora": "passages of MIRACL, converted again",
    "images": "images of datasets, fetched again with their collections",
}
# Collections name their images, so these are as fresh as the collections.
_OWNERS = {"images": "collections"}
_DOWNLOAD_DEPTH = 3
_MANIFEST = "space.json"  # of vectors; `encoding.store` would load numpy for its name
_DAY = 86400  # seconds


@dataclass(frozen=True)
class CacheEntry:
    """A part of the cache that can be removed alone.

    Attributes
    ----------
    kind, name
        One of `KINDS`, and what the part holds.
    size
        Bytes.
    age
        Days since it was read or written last, as far as the disk records that.
    """

    kind: str
    name: str
    path: Path
    size: int
    age: float


def list_cache() -> list[CacheEntry]:
    """List the parts of the cache, by kind and the largest first."""
    entries = [
        _measure(kind, path) for kind in KINDS for path in _list_parts(kind, cache_folder() / kind)
    ]
    order = list(KINDS)
    return sorted(entries, key=lambda entry: (order.index(entry.kind), -entry.size, entry.path))


def remove_entry(entry: CacheEntry) -> None:
    """Remove a part of the cache; a process that reads it goes on reading."""
    if entry.path.is_symlink():
        raise BadOption(f"{entry.path} is a link; remove it and what it points at yourself")
    with explain_write_errors(entry.path):
        doomed = entry.path.with_name(f".{entry.path.name}.{secrets.token_hex(4)}.tmp")
        entry.path.rename(doomed)  # no process finds half of it
        shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()


def _list_parts(kind: str, folder: Path) -> Iterator[Path]:
    if kind in _OWNERS:
        yield from [folder] * folder.is_dir()
    elif folder.is_dir():
        # Downloads lie in HOST/OWNER/NAME, whose folders are removed one by one.
        depth = _DOWNLOAD_DEPTH if kind == "files" else 1
        for path in folder.rglob("*"):
            if path.suffix == ".lock":
                continue
            levels = len(path.relative_to(folder).parts)
            if levels == depth or (levels < depth and path.is_file()):
                yield path


def _measure(kind: str, path: Path) -> CacheEntry:
    files = _list_files(path)
    owner = path.parent / _OWNERS[kind] if kind in _OWNERS else None
    dates = [_date_use(file) for file in (*files, *(_list_files(owner) if owner else ()))]
    age = (time.time() - max(dates, default=0.0)) / _DAY if any(dates) else 0.0
    size = sum(map(measure_file, files))
    return CacheEntry(kind, _name_part(kind, path), path, size, age)


def measure_file(file: Path) -> int:
    """Return the bytes of a file; 0 if another process has removed it since it was listed."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _list_files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def _date_use(file: Path) -> float:
    """Return when a file was read or written last, 0 if it is gone; listing reads manifests."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return 0.0
    return facts.st_mtime if file.name == _MANIFEST else max(facts.st_mtime, facts.st_atime)


def _name_part(kind: str, path: Path) -> str:
    """Return a part's name for people: the model of vectors, else the name of the folder."""
    if kind in _OWNERS:
        return kind
    if kind != "embeddings":
        return str(path.relative_to(cache_folder() / kind))
    try:
        manifest = read_json(path / _MANIFEST)
        name, prompt = manifest.get("name", path.name), manifest.get("prompt")
    except (BeirHybridError, AttributeError):
        return path.name
    return f"{name}, prompt {json.dumps(prompt, ensure_ascii=False)}" if prompt else str(name)
