"""The depth of JSON that is read, before and without recursion."""

import json
from typing import Any

import pytest

from beir_hybrid.records import parse_json


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["lists", "mappings"])
def test_depth_of_values(opening: bytes) -> None:
    """100 levels are read, more are refused before the parser is called."""
    closing = b"]" if opening == b"[" else b"}"
    value = parse_json(opening * 100 + b"1" + closing * 100)
    for _ in range(100):
        value = value[0] if isinstance(value, list) else value["a"]
    assert value == 1
    for text in (opening * 101 + b"1" + closing * 101, opening * 1_000_000):
        with pytest.raises(ValueError, match="nested more than 100 deep"):
            parse_json(text)


@pytest.mark.parametrize("text", ["[" * 500, '\\"' + "{[" * 300, "\\\\" + "[" * 200, "\n[" * 150])
def test_brackets_in_texts_are_no_depth(text: str) -> None:
    for value in ({text: [text, text]}, [text], text):
        assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_many_values_side_by_side_are_no_depth() -> None:
    value: list[Any] = [{"a": [[], {}]}] * 1000
    assert parse_json(json.dumps(value).encode()) == value
