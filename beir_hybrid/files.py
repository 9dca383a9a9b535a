"""Atomic files and folders, locks, checksums, the cache folder, and plain errors of the disk."""

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

from beir_hybrid.errors import BadData, BeirHybridError, NotReadable, NotWritable

_FREE_SPACE, _GRANT_RIGHT = "free some room, or ", "make it writable, or "
# The cure for each error that only writing meets, and for those that reading may meet too.
_WRITE_ERRORS = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: _FREE_SPACE,
    errno.EROFS: _GRANT_RIGHT,
}
_ACCESS_ERRORS = dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST), _GRANT_RIGHT
)
_ACCESS_ERRORS |= dict.fromkeys(
    (errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY, errno.EISDIR), ""
)


def cache_folder() -> Path:
    """Return ``BEIR_HYBRID_CACHE``, or the platform's own place for caches."""
    import platformdirs

    name = os.environ.get("BEIR_HYBRID_CACHE") or platformdirs.user_cache_dir("beir-hybrid")
    folder = Path(os.path.expanduser(name))  # noqa: PTH111 - `expanduser` of a path raises
    if folder.parts[:1] and folder.parts[0].startswith("~"):
        raise NotWritable(
            f"there is no home folder for {name}; set BEIR_HYBRID_CACHE to a folder for the cache"
        )
    return folder


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def explain_read_errors(path: Path, complaint: str) -> Iterator[None]:
    """Turn errors of reading `path` into `BadData`, or `NotReadable` where the system refuses.

    A file that the system refuses to read need not be damaged.

    Parameters
    ----------
    complaint
        What is wrong with content that cannot be read, such as ``is no Parquet file``.
    """
    try:
        yield
    except (BeirHybridError, MemoryError):
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BadData(f"there is no file {path}") from error
    except Exception as error:  # parsers of libraries raise anything
        if isinstance(error, OSError) and error.errno is not None:
            raise NotReadable(f"cannot read {path}: {error.strerror}") from error
        reason = f"{str(error) or repr(error):.300}"
        raise BadData(f"{path} {complaint}: {reason}") from error


@contextmanager
def explain_write_errors(path: Path, setting: str = "BEIR_HYBRID_CACHE") -> Iterator[None]:
    """Turn errors of writing `path` into `NotWritable`, which names a cure.

    Errors of reading other files in the block stay as they are.

    Parameters
    ----------
    setting
        The environment variable that moves the cache, advised where `path` lies in that cache.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        concerns_path = number in _WRITE_ERRORS or (
            number in _ACCESS_ERRORS and _is_about(error, path)
        )
        if not concerns_path:
            raise
        alternative = "name another place"
        is_in_cache = _make_absolute(path).is_relative_to(_make_absolute(cache_folder()))
        if is_in_cache or setting != "BEIR_HYBRID_CACHE":
            alternative = f"set {setting} if the cache should live elsewhere"
        cure = (_WRITE_ERRORS | _ACCESS_ERRORS)[number] + alternative
        # Where a file stands in the place of a folder, the system says that it "exists".
        reason = os.strerror(errno.ENOTDIR if number == errno.EEXIST else number)
        raise NotWritable(f"cannot write {path}: {reason}; {cure}") from error


def _is_about(error: OSError, path: Path) -> bool:
    """Return whether an error is about `path`, a file inside or beside, or a folder above."""
    if not isinstance(error.filename, str | bytes):
        return False
    place, culprit = _make_absolute(path), _make_absolute(Path(os.fsdecode(error.filename)))
    if not culprit.is_relative_to(place.parent) or culprit == place.parent:
        return place.is_relative_to(culprit)
    # The names of temporary files and locks contain the name of the file that they stand for.
    return place.name in culprit.relative_to(place.parent).parts[0]


def _make_absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - `absolute` keeps "..", `resolve` follows links


def check_writable(path: Path) -> None:
    """Raise `NotWritable` if no file can be made at `path`; leave no trace."""
    with explain_write_errors(path):
        try:
            folder = next(folder for folder in path.absolute().parents if folder.exists())
            tempfile.TemporaryDirectory(prefix=".", dir=folder).cleanup()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` if the block succeeds, and else disappears.

    Temporary files of killed runs are removed by the next holder of the `file_lock` of `path`.
    """
    temporary = _name_temporary(path)
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
    """Give an empty folder that becomes `folder` if the block succeeds, and else disappears.

    Temporary folders and locks of killed runs are removed as well.
    """
    temporary = _name_temporary(folder)
    with explain_write_errors(folder), file_lock(folder):
        temporary.mkdir()
        try:
            yield temporary
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            # People see what lies beside this folder. Processes that wait for the lock will find
            # the folder.
            _name_lock(folder).unlink(missing_ok=True)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock beside `path`, so that of several processes only one does the work.

    Only the holder writes ``PATH`` and ``PATH.*``; temporary files beside `path` are therefore
    remnants of killed runs, and are removed.
    """
    import filelock

    lock = filelock.FileLock(_name_lock(path))
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Where no file can be made, as in /proc, acquiring the lock would try for ever.
        _name_lock(path).touch()
        lock.acquire()
    try:
        with explain_write_errors(path):
            _remove_remnants(path)
        yield
    finally:
        lock.release()


def _name_lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _name_temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _remove_remnants(path: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(.+\.)?[0-9a-f]{{8}}\.tmp")
    for remnant in path.parent.iterdir():
        if pattern.fullmatch(remnant.name):
            shutil.rmtree(remnant) if remnant.is_dir() else remnant.unlink()
