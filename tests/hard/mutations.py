"""Odd values and damage for stored files, drawn by hypothesis."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# Texts that break paths, terminals, tables, URLs, and Python's own readers.
TEXTS = (
    *("", " ", "\0", "a\0b", "\n", "\x1b[31m", "é", "\u202e", "💥", "x" * 300, "y" * 5000),
    *("../../etc/passwd", "/", "~", "-x", "--trust-remote-code", "=1+1", "<script>", "%s", "{0}"),
    *("de", "all", "image", "mixed", "xx", "en-all", "multi", "mono", "jsonl", "runs", "bm25"),
    *("AP", "AP(rel=", "nDCG@10", "RankDistance", "P(rel=[1])@3", "AP(**x)", "nan", "1e999", "1_0"),
)
NUMBERS = (
    0, 1, -1, 2, 7, 0.5, -0.0, 2**31, -(2**31) - 1, 2**63, 2**64, 10**400, 1e308, 5e-324,
    float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
# JSON that `json.dumps` does not write.
RAW = (
    "1e999",
    "-",
    '"\\ud800"',
    "[" * 200 + "]" * 200,
    "[" * 5000 + "]" * 5000,
    "9" * 5000,
    "01",
    "NaN",
)
_MARK = "a place for raw JSON"

leaves = st.one_of(
    st.sampled_from([None, True, False]),
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def list_places(value: object) -> Iterator[tuple[Any, Any]]:
    """Yield every container within a value, with each of its keys or positions."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from list_places(value[key])


@st.composite
def mutate_value(draw: st.DrawFn, source: str) -> Any:
    """Draw a copy of a JSON value in which one to three entries are others, or absent."""
    value = json.loads(source)
    for _ in range(draw(st.integers(1, 3))):
        places = list(list_places(value))
        if not places:
            return draw(values)
        container, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.integers(0, 9)):
            case 0:
                del container[key]
            case 1:
                _add(container, draw(st.sampled_from(TEXTS)), draw(values))
            case 2:
                container[key] = places[draw(st.integers(0, len(places) - 1))][1]
            case 3 if isinstance(container, dict):
                container[draw(st.sampled_from(TEXTS))] = container.pop(key)
            case _:
                container[key] = draw(values)
    return value


def _add(container: Any, key: str, value: object) -> None:
    if isinstance(container, dict):
        container[key] = value
    else:
        container.append(value)


@st.composite
def mutate_json(draw: st.DrawFn, source: bytes) -> bytes:
    """Draw JSON with odd values."""
    text = source.decode()
    match draw(st.integers(0, 9)):
        case 0:
            return json.dumps(draw(values)).encode()
        case 1:
            value = json.loads(text)
            places = list(list_places(value))
            container, key = places[draw(st.integers(0, len(places) - 1))]
            container[key] = _MARK
            return json.dumps(value).replace(json.dumps(_MARK), draw(st.sampled_from(RAW))).encode()
        case 2:
            return draw(mutate_bytes(source))
        case _:
            return json.dumps(draw(mutate_value(text)), ensure_ascii=draw(st.booleans())).encode(
                "utf-8", "surrogatepass"
            )


@st.composite
def mutate_json_lines(draw: st.DrawFn, source: bytes) -> bytes:
    """Draw JSON lines of which one has odd values."""
    lines = source.splitlines()
    number = draw(st.integers(0, len(lines) - 1))
    lines[number] = draw(mutate_json(lines[number]))
    return b"\n".join(lines)


@st.composite
def mutate_bytes(draw: st.DrawFn, source: bytes) -> bytes:
    """Draw bytes that are cut, flipped, repeated, or hold odd texts."""
    data = bytearray(source)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 6)):
            case 0:
                del data[start:]
            case 1:
                del data[start : start + draw(st.integers(1, 20))]
            case 2:
                data[start:start] = draw(st.binary(min_size=1, max_size=6))
            case 3:
                text = draw(st.sampled_from(TEXTS)).encode("utf-8")
                data[start : start + draw(st.integers(0, 9))] = text
            case 4:
                data[start : start + 16] = bytes(len(data[start : start + 16]))
            case 5 if start < len(data):
                data[start] ^= 1 << draw(st.integers(0, 7))
            case _:
                data[start:start] = data[start : start + draw(st.integers(1, 40))]
    return bytes(data)


@st.composite
def mutate_words(draw: st.DrawFn, source: bytes) -> bytes:
    """Draw lines of words of which some are others."""
    lines = [line.split(b" ") for line in source.splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        line = lines[draw(st.integers(0, len(lines) - 1))]
        position = draw(st.integers(0, len(line) - 1)) if line else 0
        word = draw(
            st.sampled_from([*TEXTS, *map(str, NUMBERS[:11]), "1e39", "-1e39"])
            | st.text(max_size=6)
        )
        line[position : position + draw(st.integers(0, 2))] = [word.encode("utf-8", "replace")]
    return b"\n".join(map(b" ".join, lines)) + b"\n"
