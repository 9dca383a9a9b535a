"""Files that are whole or not there at all: atomic writing, checksums, the cache folder, locks."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beir_hybrid.errors import NotWritable

_ROOM, _RIGHT = "free some room, or ", "make it writable, or "
# Refusals that only writing meets, and those that a file read elsewhere may meet too.
_WRITING = {errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.EFBIG: _ROOM, errno.EROFS: _RIGHT}
_EITHER = dict.fromkeys((errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST), _RIGHT)
_EITHER |= dict.fromkeys(
    (errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY, errno.EISDIR), ""
)


def cache_folder() -> Path:
    """Return ``BEIR_HYBRID_CACHE``, or the platform's own place for caches."""
    if chosen := os.environ.get("BEIR_HYBRID_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("beir-hybrid"))


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def explain_write_errors(path: Path, setting: str = "BEIR_HYBRID_CACHE") -> Iterator[None]:
    """Turn the disk's refusals to write `path` into one `NotWritable` that says what to do.

    What the block fails to read elsewhere stays the error that it is. `setting` is the variable
    that moves the cache elsewhere, advised where `path` lies in that cache.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if number not in _WRITING and not (number in _EITHER and _concerns(error, path)):
            raise
        move = "name another place"
        in_cache = _absolute(path).is_relative_to(_absolute(cache_folder()))
        if in_cache or setting != "BEIR_HYBRID_CACHE":
            move = f"set {setting} if the cache should live elsewhere"
        cure = (_WRITING | _EITHER)[number] + move
        # A file that stands where a folder has to be is said to "exist".
        reason = os.strerror(errno.ENOTDIR if number == errno.EEXIST else number)
        raise NotWritable(f"cannot write {path}: {reason}; {cure}") from error


def _concerns(error: OSError, path: Path) -> bool:
    """Tell whether an error is about `path`, what lies in or beside it, or a folder above it."""
    if not isinstance(error.filename, str | bytes):
        return False
    place, touched = _absolute(path), _absolute(Path(os.fsdecode(error.filename)))
    if not touched.is_relative_to(place.parent) or touched == place.parent:
        return place.is_relative_to(touched)
    # Temporary files and locks bear the name of what they stand for.
    return place.name in touched.relative_to(place.parent).parts[0]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - `absolute` keeps "..", `resolve` follows links


def check_writable(path: Path) -> None:
    """Raise `NotWritable` if no file can be made there; leave nothing."""
    with explain_write_errors(path):
        try:
            there = next(folder for folder in path.absolute().parents if folder.exists())
            tempfile.TemporaryDirectory(prefix=".", dir=there).cleanup()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it when the block succeeds, else remove it.

    What a killed run leaves is swept by the next holder of the lock (`locked`) of `path`.
    """
    temporary = _temporary(path)
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; rename it when the block succeeds, else remove it.

    What a killed run left is swept, the lock included.
    """
    temporary = _temporary(folder)
    with explain_write_errors(folder), file_lock(folder):
        temporary.mkdir()
        try:
            yield temporary
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            # People see this folder's neighbours. Who waits for the lock finds `folder` there.
            _lock(folder).unlink(missing_ok=True)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock beside `path`: of several processes one works, the others find it done.

    Whoever holds it is the only one to write ``PATH`` and ``PATH.*``, so that temporary files of
    theirs are what a killed run left; they are removed.
    """
    import filelock

    lock = filelock.FileLock(_lock(path))
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Where no file can be made, as in /proc, acquiring it would try for ever.
        _lock(path).touch()
        lock.acquire()
    try:
        with explain_write_errors(path):
            _sweep(path)
        yield
    finally:
        lock.release()


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _sweep(path: Path) -> None:
    temporary = re.compile(rf"\.{re.escape(path.name)}\.(.+\.)?[0-9a-f]{{8}}\.tmp")
    for left in path.parent.iterdir():
        if temporary.fullmatch(left.name):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
