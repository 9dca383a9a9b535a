"""Files that are whole or not there at all: atomic writing, checksums, the cache folder, locks."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beir_hybrid.errors import NotWritable

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
_DISK |= {errno.ENOTDIR, errno.EEXIST}


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
def writing(path: Path, setting: str = "BEIR_HYBRID_CACHE") -> Iterator[None]:
    """Turn the disk's refusals inside the block into one `NotWritable` that says what to do.

    `setting` is the variable that moves the cache elsewhere.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cure = "free some room" if full else "make it writable"
        raise NotWritable(
            f"cannot write {path}: {os.strerror(error.errno)}; {cure}, "
            f"or set {setting} if the cache should live elsewhere"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it when the block succeeds, else remove it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; rename it when the block succeeds, else remove it."""
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    with writing(folder):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock beside `path`: of several processes one works, the others find it done."""
    import filelock

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        with lock:
            yield
