"""Files of JSON lines, plain or gzipped; every complaint names the file and the line."""

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from beir_hybrid.errors import BadData, NotReadable
from beir_hybrid.records import parse_json

COMMENT = b"#"  # with which a line of TREC's files starts that is ignored


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield each line's number, from 1, and its object; blank lines are passed over."""
    for number, line in read_lines(path):
        if not line.isspace():
            yield number, _parse_object(line, path, number)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, plain or gzipped, and their numbers, from 1.

    A byte-order mark, with which some editors start a file, is no part of the first line.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, line if number > 1 else _remove_mark(line, path)
    except (FileNotFoundError, IsADirectoryError, ValueError) as error:  # ValueError: a NUL
        raise BadData(f"there is no file {path}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadData(f"{path} is truncated or no gzip file, after line {number}") from error
    except OSError as error:
        raise NotReadable(f"cannot read {path}: {error.strerror}") from error


def name_lines(path: Path, numbers: Iterable[int]) -> str:
    """Name lines of a file for a message, two at most; return nothing without lines.

    >>> name_lines(Path("faq.jsonl"), [3, 9, 12])
    'faq.jsonl lines 3 and 9'
    """
    first, second, *_ = [*sorted(set(numbers)), 0, 0]
    if not first:
        return ""
    return f"{path} lines {first} and {second}" if second else f"{path} line {first}"


def require_text(
    row: dict[str, object], key: str, location: str, default: str | None = None
) -> str:
    """Return a field that must be text; `default`, if given, stands for a missing or null one."""
    value = row.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        reason = "is missing" if value is None else f"is {value!r:.60}, not text"
        raise BadData(f"{location}: {key!r} {reason}")
    return value


def _remove_mark(line: bytes, path: Path) -> bytes:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadData(f"{path} is UTF-16; save it as UTF-8")
    return line.removeprefix(codecs.BOM_UTF8)


def _open(path: Path) -> BufferedReader | gzip.GzipFile:
    if path.suffix != ".gz":
        return path.open("rb")
    if not path.stat().st_size:
        raise EOFError  # gzip reads a file of 0 bytes as an empty one
    return gzip.open(path, "rb")


def _parse_object(line: bytes, path: Path, number: int) -> dict[str, object]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise BadData(f"{path} line {number} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadData(f"{path} line {number} holds {type(row).__name__}, not an object")
    return row
