"""Files of judgements: BEIR's tables of three columns, and TREC's qrels of four."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from beir_hybrid.collection.lines import COMMENT, read_lines
from beir_hybrid.errors import BadData

QRELS_HEADER = ["query-id", "corpus-id", "score"]
_BEIR_COLUMNS, _TREC_COLUMNS = 3, 4  # TREC's have an iteration, which is ignored, as the second


class JudgementRow(NamedTuple):
    """The ids of a query and a passage in a file, and the grade of the passage."""

    query: str
    passage: str
    relevance: int


def read_qrels(path: Path) -> tuple[list[str], list[JudgementRow]]:
    """Return the first row, where that may be a header of unusual names, and the judgements.

    Rows have three columns between tabs, or TREC's four between white space. Blank lines are passed
    over, and so are lines that start with ``#`` and hold no judgement.
    """
    header: list[str] = []
    judgements = []
    for number, row in enumerate(_read_rows(path), start=1):
        judgement = _parse_judgement(row)
        if judgement:
            judgements.append(judgement)
        elif any(map(str.strip, row)) and not row[0].startswith(COMMENT.decode()):
            if number > 1 or not _may_be_header(row):
                raise make_judgement_error(f"{path} line {number}", row)
            if [name.lower() for name in row] != QRELS_HEADER:
                header = row
    return header, judgements


def _read_rows(path: Path) -> Iterator[list[str]]:
    reader = csv.reader(_decode_lines(path), delimiter="\t")
    try:
        yield from reader
    except csv.Error as error:  # a carriage return within a line, or a column of 128 KiB
        raise BadData(f"{path} line {reader.line_num} is no row of columns: {error}") from error


def _decode_lines(path: Path) -> Iterator[str]:
    for number, line in read_lines(path):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadData(f"{path} line {number} is not UTF-8: {error}") from error


def _parse_judgement(row: Sequence[str]) -> JudgementRow | None:
    columns = row if len(row) > 1 else " ".join(row).split()
    if len(columns) == _TREC_COLUMNS:
        columns = [columns[n].strip() for n in (0, 2, 3)]
    if len(columns) != _BEIR_COLUMNS:
        return None
    query, passage, relevance = columns
    try:
        return JudgementRow(query, passage, int(relevance))
    except ValueError:
        return None


def _may_be_header(row: Sequence[str]) -> bool:
    if len(row) != len(QRELS_HEADER) or any(map(str.isdigit, row[-1])):  # a grade with a typo
        return False
    try:
        float(row[-1])
    except ValueError:
        return True
    return False


def make_judgement_error(location: str, row: Sequence[str]) -> BadData:
    """Return an error for a row that is no judgement."""
    return BadData(
        f"{location}: expected query, passage and a whole number between tabs, or TREC's four "
        f"columns; found {row!s:.200}"
    )
