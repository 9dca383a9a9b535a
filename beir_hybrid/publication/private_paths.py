"""Paths of this machine in the files of a model: only the last part of each is published.

A value is a path by its key (``_name_or_path``, ``vocab_file``), or because it lies in somebody's
home folder, exists on this machine or has the scheme ``file``. Tokens, templates and prompts stay
as they are.
"""

import os
import re
from collections.abc import Iterable
from typing import Any

from beir_hybrid.results.local_paths import PLACEHOLDER, is_local_path

_NAME_KEY = re.compile(r"(^|_)((model|dataset|tokenizer)(s|_names?)?|name_or_paths?|checkpoints?)$")
_FILE_KEY = re.compile(r"(^|_)(path|file|dir|folder)s?$")
_TOKEN_KEY = re.compile(r"(^|_)(tokens?|vocab|merges|templates?|prompts?)(_|$)")
# /srv/base, ~/base, ../base, file:///srv/base, C:\base, \\server\base
_PATH = re.compile(r"/|~|\.\.[\\/]|file:|[A-Za-z]:[\\/]|\\\\")
# ./client/base, outputs/client/base: names of the hub have two parts at most
_FOLDERS = re.compile(r"\.[\\/].*|[\w.-]+(?:[\\/][\w. -]+){2,}[\\/]?", re.DOTALL)
_NAME = r"[^\s\\/\"'`<>()\[\]{}|,;]+"
_HOME = re.compile(
    rf"(?:file:(?://)?)?(?:(?:/home/|/Users/|[A-Za-z]:[\\/]+Users[\\/]+){_NAME}|/root(?=/))"
)
_PATH_IN_HOME = re.compile(rf"(?<![\w.~-]){_HOME.pattern}(?:[\\/]+{_NAME})*[\\/]*")
_URL = re.compile(r"file:/+[^\s/]", re.IGNORECASE)


def is_path(text: str) -> bool:
    r"""Return whether the name of a model, a dataset or a file is a path outside of its folder.

    >>> is_path("../base"), is_path("C:\\base"), is_path("me/base"), is_path("1_Pooling")
    (True, True, False, False)
    """
    return _PATH.match(text) is not None


def is_path_not_name(text: str) -> bool:
    """Return whether the name of a model or a dataset is a path of any kind.

    >>> is_path_not_name("./client/base"), is_path_not_name("a/b/c"), is_path_not_name("a/b")
    (True, True, False)
    """
    return is_path(text) or _FOLDERS.fullmatch(text) is not None


def hide_folders(path: str) -> str:
    r"""Return a path with a placeholder for its folders; the folder of a user has no name.

    >>> hide_folders("/srv/client/base"), hide_folders("C:\\client\\base"), hide_folders("/home/me")
    ('path/to/base', 'path/to/base', 'path/to')
    """
    name = re.split(r"[\\/]", _HOME.sub("", path, count=1).rstrip("\\/"))[-1]
    return PLACEHOLDER if name in ("", "..") or name.startswith("~") else f"{PLACEHOLDER}/{name}"


def hide_paths(record: Any, key: str = "") -> Any:
    """Return a JSON record, or a part under a key, with placeholders for paths."""
    if isinstance(record, str):
        return hide_folders(record) if _holds_path(key, record) else record
    is_of_files = _FILE_KEY.search(key) is not None
    if _TOKEN_KEY.search(key) and not is_of_files:
        return record
    if isinstance(record, dict):  # of files: {"data_files": {"train": "/srv/rows"}}
        return {
            name: hide_paths(value, key if is_of_files else name) for name, value in record.items()
        }
    return [hide_paths(value, key) for value in record] if isinstance(record, list) else record


def hide_paths_in_text(text: str, paths: Iterable[str] = ()) -> str:
    """Return a text with placeholders for some paths, and for all in somebody's home folder.

    >>> hide_paths_in_text("Made from /home/me/client/base.")
    'Made from path/to/base.'
    """
    for path in sorted(paths, key=len, reverse=True):
        form = rf"(?<![\w.~-]){re.escape(path)}(?![\w-])"
        text = re.sub(form, hide_folders(path).replace("\\", r"\\"), text)
    return _PATH_IN_HOME.sub(lambda match: hide_folders(match[0]), text)


def _holds_path(key: str, text: str) -> bool:
    if _FILE_KEY.search(key) and not _NAME_KEY.search(key):
        return is_path(text)
    if _TOKEN_KEY.search(key):
        return False
    if _NAME_KEY.search(key) and is_path_not_name(text):
        return True
    if _HOME.match(text) or _URL.match(text):
        return True
    # `os.path` answers no for texts that cannot be paths; `Path` raises errors.
    return is_local_path(text) and os.path.exists(text)  # noqa: PTH110
