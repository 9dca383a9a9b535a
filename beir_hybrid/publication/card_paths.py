"""Paths of this machine in a model's card: its metadata and its text."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from beir_hybrid.publication.private_paths import (
    hide_folders,
    hide_paths_in_text,
    is_path,
    is_path_not_name,
)

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

_NAME_KEYS = ("base_model", "datasets")
_TAG = re.compile(r"((?:base_model|datasets?):(?:(?:adapter|finetune|merge|quantized):)?)(.+)")
# A path with a folder: not ./LICENSE, which is beside the card, and not /think in an example.
_PATH = re.compile(
    r"(?:file:/+|~?[\\/]+|\.{1,2}[\\/]|[A-Za-z]:[\\/]+)[^\s\\/]+[\\/].*|~[^\s\\/]*[\\/].*",
    re.DOTALL | re.IGNORECASE,
)


def hide_paths_in_card(card: "ModelCard") -> None:
    """Put placeholders for paths into a card.

    Its metadata name models and datasets as the hub accepts them, or not at all.
    """
    from huggingface_hub import ModelCardData

    record = card.data.to_dict()  # type: ignore[no-untyped-call]
    paths = set(_list_paths(record))
    public_record = _hide_paths(record, paths)
    for key in (*_NAME_KEYS, "tags"):
        if key in record:
            public_record[key] = _keep_public_names(record[key], key, paths)
    card.data = ModelCardData(**public_record)
    card.text = hide_paths_in_text(card.text, {path for path in paths if path.strip("/~.\\")})


def _list_paths(value: Any, key: str = "") -> Iterator[str]:
    """Yield the paths among the texts of metadata; `key` is the outermost key."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _list_paths(part, key or str(name))
    elif isinstance(value, list):
        for part in value:
            yield from _list_paths(part, key)
    elif isinstance(value, str):
        name = _split_tag(value)[1] if key == "tags" else value
        is_name = key in (*_NAME_KEYS, "model-index") or name != value
        if _PATH.fullmatch(name) or (is_name and is_path_not_name(name)):
            yield name


def _hide_paths(value: Any, paths: set[str]) -> Any:
    """Return metadata with placeholders for paths."""
    if isinstance(value, dict):
        return {name: _hide_paths(part, paths) for name, part in value.items()}
    if isinstance(value, list):
        return [_hide_paths(part, paths) for part in value]
    if not isinstance(value, str):
        return value
    return hide_folders(value) if value in paths else hide_paths_in_text(value)


def _keep_public_names(value: Any, key: str, paths: set[str]) -> Any:
    """Return the public names under a key, one or several; None without any."""
    if not isinstance(value, list):
        return value if _is_public(value, key, paths) else None
    return [name for name in value if _is_public(name, key, paths)] or None


def _is_public(name: object, key: str, paths: set[str]) -> bool:
    if key == "tags":
        prefix, end = _split_tag(str(name))
        return _is_name(end) if prefix else end not in paths and not is_path(end)
    return _is_name(name)


def _is_name(name: object) -> bool:
    """Return whether the hub accepts the name of a model or a dataset."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(str(name))
    except HFValidationError:
        return False
    return True


def _split_tag(tag: str) -> tuple[str, str]:
    """Split a tag such as ``base_model:adapter:me/base`` into prefix and name."""
    match = _TAG.fullmatch(tag)
    return (match[1], match[2]) if match else ("", tag)
