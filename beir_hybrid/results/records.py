"""Frozen dataclasses to and from JSON records, with errors that name the file and the key."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from beir_hybrid.errors import BadData

Record = dict[str, Any]
T = TypeVar("T")

_KEY, _REST, _OMIT = "key", "rest", "omit"  # entries of a field's metadata
_NAMES: dict[object, str] = {str: "text", int: "a whole number", float: "a number", bool: "a bool"}


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
    """Return the dataclass that a record holds; keys without a field are ignored.

    Parameters
    ----------
    place
        The file and the keys above the record, for messages: ``results.json: about``.

    Raises
    ------
    BadData
        If a field is missing or of another type.
    """
    if not isinstance(record, Mapping):
        raise BadData(f"{place} is {record!r:.60}; it must be a mapping")
    table: Any = kind  # a dataclass, which no type says
    hints = _find_hints(table)
    values: Record = {}
    keys = set()
    for declaration in fields(table):
        key = declaration.metadata.get(_KEY, declaration.name)
        keys.add(key)
        if declaration.metadata.get(_REST):
            values[declaration.name] = {name: record[name] for name in record if name not in keys}
        elif key in record:
            hint = hints[declaration.name]
            values[declaration.name] = _read_value(hint, record[key], f"{place}.{key}")
        elif _is_required(declaration):
            raise BadData(f"{place}.{key} is missing")
    return kind(**values)


@cache
def _find_hints(kind: type) -> Record:
    return get_type_hints(kind)


def _is_required(declaration: Field[object]) -> bool:
    return declaration.default is MISSING and declaration.default_factory is MISSING


def _read_value(hint: Any, value: Any, place: str) -> Any:
    """Convert a value to the type of a hint; raise `BadData` where the types do not fit."""
    if is_dataclass(hint) and isinstance(hint, type):
        return from_record(hint, value, place)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [argument for argument in arguments if argument is not type(None)]
        return _read_value(kinds[0], value, place) if len(kinds) == 1 else value
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise BadData(f"{place} is {value!r:.60}; it must be a mapping")
        return {key: _read_value(arguments[1], value[key], f"{place}.{key}") for key in value}
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise BadData(f"{place} is {value!r:.60}; it must be a list")
        return tuple(_read_value(arguments[0], entry, place) for entry in value)
    if hint in _NAMES:
        types: Any = (int, float) if hint is float else hint
        if not isinstance(value, types) or (isinstance(value, bool) and hint is not bool):
            raise BadData(f"{place} is {value!r:.60}; it must be {_NAMES[hint]}")
    return value
