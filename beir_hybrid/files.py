"""Atomic files and folders that outlive a crash, locks, the cache folder, and plain errors."""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
# What some network disks say when they are asked to lock a file or to sync a folder.
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


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
    with explain_read_errors(path, "cannot be read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path) -> bool:
    """Return whether there is a file; raise `NotReadable` if the system does not say."""
    try:
        return path.is_file()
    except OSError as error:  # a name that is too long, no right to look
        raise NotReadable(f"cannot read {path!s:.200}: {error.strerror}") from error


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
            number in _ACCESS_ERRORS and _is_error_of(error, path)
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


def _is_error_of(error: OSError, path: Path) -> bool:
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
            path = path.absolute()
            folder = next(folder for folder in (*path.parents, path) if folder.exists())
            tempfile.TemporaryDirectory(prefix=".", dir=folder).cleanup()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give an empty temporary file that becomes `path` if the block succeeds, and else disappears.

    A crash of the system leaves the old file or the new one whole; `sync` its folder where it has
    to be the new one. Temporary files that killed runs left of `path` are removed.
    """
    with explain_write_errors(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise NotWritable(f"cannot write {path}: it is a device or a pipe; name another place")
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead_remnants(path)
        temporary, lock = _create_temporary(path)
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(lock)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `folder` if the block succeeds, and else disappears.

    Once the block has succeeded, the folder outlives a crash of the system. Temporary folders and
    locks of killed runs are removed as well.
    """
    temporary = _name_temporary(folder)
    with explain_write_errors(folder), file_lock(folder, owns_suffixes=False):
        temporary.mkdir()
        try:
            yield temporary
            rename_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            # People see what lies beside this folder. Processes that wait for the lock will find
            # the folder.
            _name_lock(folder).unlink(missing_ok=True)


def rename_folder(source: Path, target: Path) -> None:
    """Rename a folder once all its files are on the disk, so that a crash leaves it whole."""
    sync_folder(source)
    source.rename(target)
    sync(target.parent)


def sync_folder(folder: Path) -> None:
    """Wait until a folder and all its files are on the disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def file_lock(path: Path, *, owns_suffixes: bool = True) -> Iterator[None]:
    """Hold a lock beside `path`, so that of several processes only one does the work.

    Only the holder writes ``PATH``; temporary files and folders of it are therefore remnants of
    killed runs, and are removed.

    Parameters
    ----------
    owns_suffixes
        Whether the holder alone writes ``PATH.*`` as well. Of a name that users choose it does not:
        ``bge-v1.5`` may lie beside ``bge-v1``.
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
            _remove_remnants(path, with_suffixes=owns_suffixes)
        yield
    finally:
        lock.release()


def _name_lock(path: Path) -> Path:
    return _name_neighbour(path, "lock")


def _name_temporary(path: Path) -> Path:
    return _name_neighbour(path, f"{secrets.token_hex(4)}.tmp")


def _name_neighbour(path: Path, ending: str) -> Path:
    """Return the path of a hidden file beside `path`, which the root and ``.`` have none of."""
    if not path.name:
        raise NotWritable(f"cannot write {path}: it has no name; name a file or folder below")
    return path.with_name(f".{path.name}.{ending}")


def _create_temporary(path: Path) -> tuple[Path, int]:
    """Create a file to write, and return its path and the descriptor that locks it.

    As long as the descriptor is open, other processes know that its writer is alive.
    """
    while True:
        temporary = _name_temporary(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # some network disks have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # a rival took it for a remnant before it was locked


def _remove_dead_remnants(path: Path) -> None:
    """Remove temporary files of `path` whose writers are dead."""
    with suppress(PermissionError):
        for remnant in _list_remnants(path, re.escape(path.name)):
            with suppress(FileNotFoundError):
                _remove_if_dead(remnant)


def _remove_if_dead(remnant: Path) -> None:
    descriptor = os.open(remnant, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remnant.unlink()
    except (BlockingIOError, IsADirectoryError):
        pass
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def _remove_remnants(path: Path, *, with_suffixes: bool) -> None:
    """Remove temporary files and folders of `path`, and perhaps of ``PATH.*``."""
    names = re.escape(path.name) + r"(\..+)?" * with_suffixes
    for remnant in _list_remnants(path, names):
        shutil.rmtree(remnant) if remnant.is_dir() else remnant.unlink()


def _list_remnants(path: Path, names: str) -> list[Path]:
    pattern = re.compile(rf"\.{names}\.[0-9a-f]{{8}}\.tmp")
    return [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name)]
