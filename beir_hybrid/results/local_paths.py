"""Paths of this machine in records that are published: placeholders take their places."""

import re
from pathlib import PurePath
from typing import Any

PLACEHOLDER = "path/to"  # stands for folders of this machine
# Names that may have a path: ``blip:PATH`` and ``openai:PATH@URL``.
_MODEL_NAME = re.compile(r"(blip:|openai:)(.+?)(@https?://\S+|)", re.DOTALL)


def hide_path(text: str) -> str:
    """Return a path of this machine with a placeholder for its folders; other texts unchanged.

    The last two parts remain. A path in the name of an endpoint or of a matcher is hidden, too.

    >>> hide_path("/home/me/models/small"), hide_path("intfloat/multilingual-e5-small")
    ('path/to/models/small', 'intfloat/multilingual-e5-small')
    >>> hide_path("openai:/srv/models/small@http://localhost:8000/v1")
    'openai:path/to/models/small@http://localhost:8000/v1'
    """
    if not is_local_path(text):
        return text
    prefix, path, address = _split_model_name(text)
    return prefix + "/".join((PLACEHOLDER, *PurePath(path).parts[-2:])) + address


def is_local_path(text: str) -> bool:
    """Return whether a text is or has a whole path; a folder in the root is not worth hiding."""
    path = PurePath(_split_model_name(text)[1])
    return path.is_absolute() and len(path.parts) > 2  # noqa: PLR2004


def _split_model_name(text: str) -> tuple[str, str, str]:
    """Split a model's name into prefix, path and address; other texts are all path."""
    match = _MODEL_NAME.fullmatch(text)
    return (match[1], match[2], match[3]) if match else ("", text, "")


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
