"""Options of datasets: conversion of text to the type of an annotation, and descriptions."""

import inspect
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from beir_hybrid.errors import BadOption

_BOOLEAN_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_BOOLEAN_WORDS |= {"false": False, "no": False, "off": False, "0": False}


def convert_option(name: str, value: object, annotation: object) -> object:
    """Convert an option's value to the type of its annotation, or raise `BadOption`.

    Annotations that are not understood let every value through.

    >>> convert_option("k", "10", int), convert_option("strict", "no", bool)
    (10, False)
    >>> convert_option("columns", "a,b", tuple[str, ...])
    ('a', 'b')
    """
    is_paths = annotation == tuple[Path, ...]
    kind = annotation if is_paths else get_origin(annotation) or annotation
    if kind is Literal:
        return _choose_literal(name, value, get_args(annotation))
    if kind in (Union, types.UnionType):
        return _convert_to_union(name, value, get_args(annotation))
    if kind in (None, types.NoneType) and value is not None:
        raise BadOption(f"{name} is {value!r}; leave it out")
    if is_paths or (isinstance(kind, type) and kind in _CONVERTERS):
        description, convert = _CONVERTERS[kind]
        try:
            return convert(value)
        except (AttributeError, TypeError, ValueError, KeyError) as error:
            raise BadOption(f"{name} is {value!r}; it has to be {description}") from error
    return value


def check_recorded_options(options: Iterable[str]) -> None:
    """Raise `BadOption` for a dataset's option that no file may set: trust is the user's to give.

    A dataset refuses options that it does not declare; one of another package may declare trust.
    """
    for name in options:
        if "trust" in name.lower():
            raise BadOption(
                f"{name!r:.80} comes from a file, and only the command line can give it"
            )


def can_be_path(annotation: object) -> bool:
    """Return whether an option of a type may name a file of this machine: text may, too.

    >>> can_be_path(str | None), can_be_path(Literal["dev", "train"]), can_be_path(int | None)
    (True, False, False)
    """
    kind = get_origin(annotation) or annotation
    if kind in (Union, types.UnionType):
        return any(map(can_be_path, get_args(annotation)))
    return kind is not Literal and kind not in (int, float, bool, types.NoneType, None)


def describe_option(option: inspect.Parameter) -> str:
    """Show an option as it is written on the command line, with its default.

    >>> def load(*, path: str | Path, split: Literal["dev", "train"] = "dev", k: int | None = None):
    ...     pass
    >>> for option in inspect.signature(load).parameters.values():
    ...     print(describe_option(option))
    path=PATH (needed)
    split=dev|train (dev by default)
    k=NUMBER
    """
    usage, default = f"{option.name}={_describe_type(option.annotation)}", option.default
    if default is inspect.Parameter.empty:
        return f"{usage} (needed)"
    if default in (None, "", ()):
        return usage
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    elif isinstance(default, bool):
        default = str(default).lower()
    return f"{usage} ({default} by default)"


def _describe_type(annotation: object) -> str:
    kind, parts = get_origin(annotation) or annotation, get_args(annotation)
    if kind is Literal:
        return "|".join(map(str, parts))
    if kind in (Union, types.UnionType):
        # Everything may be written as text, so text is not worth a mention.
        alternatives = [part for part in parts if part not in (str, types.NoneType)] or [str]
        return "|".join(dict.fromkeys(map(_describe_type, alternatives)))
    return _PLACEHOLDERS.get(kind, "VALUE") if isinstance(kind, type) else "VALUE"


def _choose_literal(name: str, value: object, choices: tuple[object, ...]) -> object:
    for choice in choices:
        if value == choice or value == str(choice):
            return choice
    raise BadOption(f"{name} is {value!r}; use one of {choices}")


def _convert_to_union(name: str, value: object, annotations: tuple[object, ...]) -> object:
    errors = []
    # Every value that is text can be text, so text is tried last.
    for annotation in sorted(annotations, key=lambda annotation: annotation is str):
        try:
            return convert_option(name, value, annotation)
        except BadOption as error:
            errors.append(error)
    raise errors[-1]


# The converters raise one of the errors that `convert_option` catches.
def _to_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _to_path(value: Any) -> Path:
    if value == "" or "\0" in str(value):
        raise ValueError
    return Path(value)


def _to_integer(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _to_boolean(value: object) -> bool:
    return value if isinstance(value, bool) else _BOOLEAN_WORDS[_to_text(value).lower()]


def _to_files(value: Any) -> dict[str, Path]:
    """Return files by language, from a table or from ``LANG=FILE`` with commas between."""
    if not isinstance(value, str):
        return {_to_text(lang): _to_path(path) for lang, path in value.items()}
    entries = [entry.split("=", 1) for entry in value.split(",")]
    files = {lang.strip(): _to_path(path) for lang, path in entries}
    if len(files) < len(entries):
        raise ValueError
    return files


def _to_paths(value: Any) -> tuple[Path, ...]:
    paths = [value] if isinstance(value, Path) else value
    return tuple(map(_to_path, value.split(",") if isinstance(value, str) else paths))


def _to_texts(value: Any) -> tuple[str, ...]:
    return tuple(_to_text(part) for part in (value.split(",") if isinstance(value, str) else value))


_CONVERTERS: dict[Any, tuple[str, Callable[[Any], object]]] = {
    str: ("text", _to_text),
    Path: ("a path", _to_path),
    int: ("a whole number", _to_integer),
    float: ("a number", float),
    bool: ("true or false", _to_boolean),
    tuple: ("texts with commas between", _to_texts),
    tuple[Path, ...]: ("paths with commas between", _to_paths),
    dict: ("LANG=FILE, each language once, with commas between", _to_files),
}
_PLACEHOLDERS: dict[type, str] = {
    str: "TEXT",
    Path: "PATH",
    int: "NUMBER",
    float: "NUMBER",
    bool: "true|false",
    tuple: "TEXT,TEXT",
    dict: "LANG=FILE,LANG=FILE",
}
