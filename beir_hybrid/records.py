"""Typed records in JSON: reading of files, and dataclasses to and from JSON.

Files may be damaged, or somebody else's. An error is `BadData`, and names the file and the key.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import UnionType
from typing import (
    Any,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from beir_hybrid.errors import BadData
from beir_hybrid.files import explain_read_errors

Record = dict[str, Any]
T = TypeVar("T")

_KEY, _REST, _OMIT = "key", "rest", "omit"  # entries of a field's metadata
_NAMES: dict[object, str] = {str: "text", int: "a whole number", float: "a number", bool: "a bool"}
_LARGEST_INT = 2**63 - 1
_MAX_DEPTH = 100  # of values in values
# Half of a character that UTF-16 writes in two: JSON can escape it, UTF-8 cannot write it.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}  # of the depth, at a bracket
_NO_BRACKETS = bytes(set(range(256)) - _STEPS.keys())
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_json(path: Path) -> Any:
    """Read a file of JSON; raise `BadData` if it is damaged, `NotReadable` if it is refused."""
    with explain_read_errors(path, "is not JSON"):
        return parse_json(path.read_bytes())


def parse_json(text: bytes) -> Any:
    """Parse JSON; raise ValueError for bad JSON, bad UTF-8 and absurdly deep values.

    >>> parse_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    if text.count(b"[") + text.count(b"{") > _MAX_DEPTH:
        _check_depth(text)
    value = json.loads(text.removeprefix(_BYTE_ORDER_MARK).decode("utf-8"))
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _check_depth(text: bytes) -> None:
    """Raise ValueError for values in which recursive functions would drown, the parser's first.

    In a process that runs Java, too, a parser that recurses deeply may end the process.
    """
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > _MAX_DEPTH:
        raise ValueError(f"values are nested more than {_MAX_DEPTH} deep")


def json_key(key: str, *, omit_empty: bool = False) -> Record:
    """Return the metadata of a field whose key in JSON is not its name, such as one with spaces.

    With `omit_empty`, an empty value is left out of JSON.
    """
    return {_KEY: key, _OMIT: omit_empty}


# The metadata of a mapping whose entries stand in JSON beside the other fields.
ALL_OTHER_KEYS: Record = {_REST: True}


def to_record(value: Any) -> Any:
    """Return the JSON record of a dataclass, in the order of its fields.

    Fields that may be absent (their default is None) are left out where they are.
    """
    if is_dataclass(value):
        return dict(_write_fields(value))
    if isinstance(value, Mapping):
        return {key: to_record(entry) for key, entry in value.items()}
    return [to_record(entry) for entry in value] if isinstance(value, tuple | list) else value


def _write_fields(value: Any) -> Iterator[tuple[str, Any]]:
    for declaration in fields(value):
        entry = getattr(value, declaration.name)
        if declaration.metadata.get(_REST):
            yield from to_record(entry).items()
        elif not _is_absent(declaration, entry):
            yield declaration.metadata.get(_KEY, declaration.name), to_record(entry)


def _is_absent(declaration: Field[object], entry: object) -> bool:
    """Return whether JSON has no key for a field with this entry."""
    if declaration.metadata.get(_OMIT):
        return not entry
    return entry is None and declaration.default is None


def from_record(kind: type[T], record: object, place: str) -> T:
    """Return a record as a type: a dataclass, a `TypedDict`, or a type of either's fields.

    Numbers have to be finite and whole ones to have 64 bits. Keys of a dataclass's record that are
    no fields are ignored; those of a `TypedDict`'s stay as they are.

    Parameters
    ----------
    place
        The file and the keys above the record, for messages: ``results.json: about``.

    Raises
    ------
    BadData
        If a field is missing or of another type.

    Examples
    --------
    >>> from_record(dict[str, int], {"a": 1, "b": "2"}, "counts.json")
    Traceback (most recent call last):
    ...
    beir_hybrid.errors.BadData: counts.json: b is '2'; it must be a whole number
    """
    value: T = _read_value(kind, record, place)
    return value


def _read_dataclass(kind: Any, value: object, place: str) -> Any:
    record = _require(value, Mapping, "a mapping", place)
    hints = _find_hints(kind)
    values: Record = {}
    keys = set()
    for declaration in fields(kind):
        key = declaration.metadata.get(_KEY, declaration.name)
        keys.add(key)
        if declaration.metadata.get(_REST):
            values[declaration.name] = {name: record[name] for name in record if name not in keys}
        elif key in record:
            hint = hints[declaration.name]
            values[declaration.name] = _read_value(hint, record[key], _join_place(place, key))
        elif _is_required(declaration):
            raise BadData(f"{_join_place(place, key)} is missing")
    return kind(**values)


@cache
def _find_hints(kind: type) -> Record:
    return get_type_hints(kind)


def _is_required(declaration: Field[object]) -> bool:
    return declaration.default is MISSING and declaration.default_factory is MISSING


def _read_typed_dict(kind: Any, value: object, place: str) -> Any:
    record = _require(value, Mapping, "a mapping", place)
    if missing := sorted(kind.__required_keys__ - record.keys()):
        raise BadData(f"{_join_place(place, missing[0])} is missing")
    hints = _find_hints(kind)
    return {
        key: _read_value(hints[key], entry, _join_place(place, key)) if key in hints else entry
        for key, entry in record.items()
    }


def _read_value(hint: Any, value: Any, place: str) -> Any:
    """Convert a value to the type of a hint; raise `BadData` where the types do not fit."""
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_dataclass(hint, value, place)
    if is_typeddict(hint):
        return _read_typed_dict(hint, value, place)
    if hint in _NAMES:
        return _read_scalar(hint, value, place)
    read = _READERS.get(get_origin(hint))
    return read(get_args(hint), value, place) if read else value


def _read_scalar(hint: Any, value: Any, place: str) -> Any:
    types: Any = (int, float) if hint is float else hint
    is_of_type = isinstance(value, types) and (hint is bool or not isinstance(value, bool))
    if is_of_type and not isinstance(value, str):  # the comparison is exact for large numbers, too
        is_of_type = abs(value) <= _LARGEST_INT if isinstance(value, int) else math.isfinite(value)
    return value if is_of_type else _raise_bad_value(value, _NAMES[hint], place)


def _read_union(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    errors: list[BadData] = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _read_value(kind, value, place)
            except BadData as error:
                errors.append(error)
    raise errors[0]


def _read_mapping(arguments: tuple[Any, ...], value: Any, place: str) -> Any:
    record = _require(value, Mapping, "a mapping", place)
    return {
        _read_value(arguments[0], key, f"a key of {place}"): _read_value(
            arguments[1], entry, _join_place(place, key)
        )
        for key, entry in record.items()
    }


def _read_list(arguments: tuple[Any, ...], value: Any, place: str) -> Any:
    return [_read_value(arguments[0], entry, place) for entry in _require_list(value, place)]


def _read_tuple(arguments: tuple[Any, ...], value: Any, place: str) -> Any:
    entries = _require_list(value, place)
    kinds = arguments[:1] * len(entries) if arguments[-1] is ... else arguments
    if len(kinds) != len(entries):
        _raise_bad_value(value, f"a list of {len(kinds)}", place)
    pairs = zip(kinds, entries, strict=True)
    return tuple(_read_value(kind, entry, place) for kind, entry in pairs)


def _read_literal(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    is_choice = any(value == choice and type(value) is type(choice) for choice in choices)
    return (
        value
        if is_choice
        else _raise_bad_value(value, f"one of {', '.join(map(str, choices))}", place)
    )


def _join_place(place: str, key: str) -> str:
    """Return the place of a key: keys follow the file behind a colon, with points between."""
    return f"{place}{'.' if ': ' in place else ': '}{key:.60}"


def _require(value: Any, kind: Any, name: str, place: str) -> Any:
    return value if isinstance(value, kind) else _raise_bad_value(value, name, place)


def _require_list(value: Any, place: str) -> Any:
    return _require(value, list | tuple, "a list", place)


def _raise_bad_value(value: object, requirement: str, place: str) -> NoReturn:
    raise BadData(f"{place} is {value!r:.60}; it must be {requirement}")


_READERS: dict[object, Callable[[tuple[Any, ...], Any, str], Any]] = {
    Union: _read_union,
    UnionType: _read_union,
    Mapping: _read_mapping,
    dict: _read_mapping,
    list: _read_list,
    tuple: _read_tuple,
    Literal: _read_literal,
}
