"""An option's value, maybe as text, and its parameter's annotation in; the value to pass out."""

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from beir_hybrid.errors import BadOption

_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}


def convert_option(name: str, value: object, annotation: Any) -> object:
    """Return a value as the annotation wants it, or raise `BadOption`.

    Annotations that are not understood let every value through.

    >>> fitted("k", "10", int), fitted("strict", "no", bool), fitted("of", "a,b", tuple[str, ...])
    (10, False, ('a', 'b'))
    """
    kind = get_origin(annotation) or annotation
    if kind is Literal:
        return _choice(name, value, get_args(annotation))
    if kind in (Union, types.UnionType):
        return _any_of(name, value, get_args(annotation))
    if kind in (None, types.NoneType) and value is not None:
        raise BadOption(f"{name} is {value!r}; leave it out")
    if kind in _KINDS:
        what, convert = _KINDS[kind]
        try:
            return convert(value)
        except (TypeError, ValueError, KeyError) as error:
            raise BadOption(f"{name} is {value!r}; it has to be {what}") from error
    return value


def describe_option(option: inspect.Parameter) -> str:
    """Return how an option is typed on the command line, and what holds without it.

    >>> def load(*, path: str | Path, split: Literal["dev", "train"] = "dev", k: int | None = None):
    ...     pass
    >>> for option in inspect.signature(load).parameters.values():
    ...     print(described(option))
    path=PATH (needed)
    split=dev|train (dev by default)
    k=NUMBER
    """
    typed, default = f"{option.name}={_typed(option.annotation)}", option.default
    if default is inspect.Parameter.empty:
        return f"{typed} (needed)"
    if default in (None, "", ()):
        return typed
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    elif isinstance(default, bool):
        default = str(default).lower()
    return f"{typed} ({default} by default)"


def _typed(annotation: Any) -> str:
    kind, parts = get_origin(annotation) or annotation, get_args(annotation)
    if kind is Literal:
        return "|".join(map(str, parts))
    if kind in (Union, types.UnionType):
        # As anything is text, that goes without saying.
        some = [one for one in parts if one not in (str, types.NoneType)] or [str]
        return "|".join(dict.fromkeys(map(_typed, some)))
    return _TYPED.get(kind, "VALUE")


def _choice(name: str, value: object, allowed: tuple[object, ...]) -> object:
    for choice in allowed:
        if value == choice or value == str(choice):
            return choice
    raise BadOption(f"{name} is {value!r}; use one of {allowed}")


def _any_of(name: str, value: object, annotations: tuple[Any, ...]) -> object:
    refusals = []
    # Anything is text, so text comes last.
    for annotation in sorted(annotations, key=lambda one: one is str):
        try:
            return convert_option(name, value, annotation)
        except BadOption as error:
            refusals.append(error)
    raise refusals[-1]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else _WORDS[_text(value).lower()]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(part) for part in (value.split(",") if isinstance(value, str) else value))


_KINDS: dict[type, tuple[str, Callable[[Any], object]]] = {
    str: ("text", _text),
    Path: ("a path", Path),
    int: ("a whole number", _whole),
    float: ("a number", float),
    bool: ("true or false", _truth),
    tuple: ("texts with commas between", _texts),
}
_TYPED: dict[type, str] = {
    str: "TEXT",
    Path: "PATH",
    int: "NUMBER",
    float: "NUMBER",
    bool: "true|false",
    tuple: "TEXT,TEXT",
}
