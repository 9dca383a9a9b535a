"""Checksums of stored files: rot is an error, and never another number.

Checksums are XXH3 with 128 bits. They find accidents at the speed of memory; they prove nothing
against somebody who changes a file and its checksum.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import xxhash

from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file, explain_read_errors, sync
from beir_hybrid.records import from_record, read_json

CHECKSUM = "checksum"  # the key of a JSON file under which its own checksum stands
_Version = tuple[str, int, int, int]  # of a file: its path, inode, bytes and time of change
_verified_checksums: dict[_Version, str] = {}


class FileRecord(TypedDict):
    """The size and checksum of a file."""

    bytes: int
    xxh3: str


def compute_checksum(path: Path) -> str:
    """Return the hexadecimal XXH3 of a file's bytes."""
    if path.exists() and not path.is_file():  # a pipe would be read for ever
        raise BadData(f"{path} is a folder, device or pipe")
    factory: Any = xxhash.xxh3_128  # which `hashlib` takes, and its types do not know
    with path.open("rb") as file:
        return hashlib.file_digest(file, factory).hexdigest()


def record_files(folder: Path, names: Iterable[str]) -> dict[str, FileRecord]:
    """Return the sizes and checksums of files in a folder."""
    return {name: record_file(folder / name) for name in names}


def record_file(path: Path) -> FileRecord:
    """Return the size and checksum of a file."""
    return {"bytes": path.stat().st_size, "xxh3": compute_checksum(path)}


def verify_files(
    folder: Path, records: Mapping[str, FileRecord], cure: str, *, anew: bool = False
) -> None:
    """Raise `BadData` unless files match their records, the first time in this process.

    Parameters
    ----------
    cure
        What to do about damage, for the message.
    anew
        Verify files again that this process has verified already.
    """

    def verify(name: str) -> None:
        _verify_file(folder / name, records[name], anew=anew)

    with _add_cure(cure), ThreadPoolExecutor() as pool:
        list(pool.map(verify, records))


def _verify_file(path: Path, record: FileRecord, *, anew: bool) -> None:
    with explain_read_errors(path, "cannot be read"):
        state = path.stat()
        if state.st_size != record["bytes"]:
            reason = f"it has {state.st_size:,} bytes and should have {record['bytes']:,}"
            raise BadData(f"{path} is damaged: {reason}")
        version = str(path.absolute()), state.st_ino, state.st_size, state.st_mtime_ns
        if anew or _verified_checksums.get(version) != record["xxh3"]:
            _verified_checksums[version] = compute_checksum(path)
    if _verified_checksums[version] != record["xxh3"]:
        raise BadData(f"{path} is damaged: its checksum is another")


def write_sealed_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file with its own checksum, which outlives a crash of the system."""
    with atomic_file(path) as temporary:
        temporary.write_text(format_sealed_json(record), "utf-8")
    sync(path.parent)


def format_sealed_json(record: Mapping[str, Any]) -> str:
    """Return the text of a JSON file with its own checksum."""
    plain = json.loads(json.dumps(record))
    sealed_record = plain | {CHECKSUM: _hash_record(plain)}
    return json.dumps(sealed_record, ensure_ascii=False, indent=1) + "\n"


def read_sealed_json(path: Path, cure: str) -> dict[str, Any]:
    """Read a JSON file with its own checksum; raise `BadData` if it is damaged or has none.

    Parameters
    ----------
    cure
        What to do about damage, for the message.
    """
    with _add_cure(cure):
        record = from_record(dict[str, Any], read_json(path), str(path))
        checksum = record.pop(CHECKSUM, None)
        if checksum is None:
            raise BadData(f"{path} has no checksum: it is damaged or of an earlier version")
        if checksum != _hash_record(record):
            raise BadData(f"{path} is damaged or was edited: its checksum is another")
        return record


@contextmanager
def _add_cure(cure: str) -> Iterator[None]:
    """Add a cure to the message of `BadData`."""
    try:
        yield
    except BadData as error:
        raise BadData(f"{error}; {cure}") from error


def _hash_record(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(text.encode())
