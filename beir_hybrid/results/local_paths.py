"""Paths of this machine in records that are published: placeholders take their places."""

from pathlib import PurePath
from typing import Any

PLACEHOLDER = "path/to"  # stands for folders of this machine


def hide_path(text: str) -> str:
    """Return a path of this machine with a placeholder for its folders; other texts unchanged.

    The last two parts remain.

    >>> hide_path("/home/me/models/small"), hide_path("intfloat/multilingual-e5-small")
    ('path/to/models/small', 'intfloat/multilingual-e5-small')
    """
    return "/".join((PLACEHOLDER, *PurePath(text).parts[-2:])) if is_local_path(text) else text


def is_local_path(text: str) -> bool:
    """Return whether a text is a whole path; a folder in the root is not worth hiding."""
    path = PurePath(text)
    return path.is_absolute() and len(path.parts) > 2  # noqa: PLR2004


def find_local_paths(record: object) -> set[str]:
    """Return the whole paths among the texts of a JSON record."""
    if isinstance(record, dict | list):
        parts = record.values() if isinstance(record, dict) else record
        return {path for part in parts for path in find_local_paths(part)}
    return {record} if isinstance(record, str) and is_local_path(record) else set()


def hide_local_paths(record: Any) -> Any:
    """Return a JSON record in which placeholders stand for whole paths."""
    if isinstance(record, dict):
        return {key: hide_local_paths(value) for key, value in record.items()}
    if isinstance(record, list):
        return [hide_local_paths(value) for value in record]
    return hide_path(record) if isinstance(record, str) else record
