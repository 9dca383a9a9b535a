"""Miniatures of the training sources in the layouts of their files, in a mirror."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beir_hybrid.sources import mfaq
from beir_hybrid.sources.english_questions import TABLES

Row = Mapping[str, Any]


def _make_rows(columns: str, *values: tuple[Any, ...]) -> list[Row]:
    return [dict(zip(columns.split(), row, strict=True)) for row in values]


# The columns are those that the hub shows. The second rows of WikiQA and DuoRC have no relevant
# passage; other rows share a question or a passage.
ROWS = {
    "wikiqa": _make_rows(
        "question_id question document_title answer label",
        ("Q1", "how are caves formed", "Cave", "Water did it.", 1),
        ("Q1", "how are caves formed", "Cave", "A cave is dark.", 0),
        ("Q1", "how are caves formed", "Cave", "And acid.", 1),
        ("Q2", "who is it", "People", "She is.", 1),
    ),
    "duorc": _make_rows(
        "plot_id plot title question_id question answers no_answer",
        ("p1", "He sails. He returns.", "The Sea", "a", "Who sails?", ["He"], False),
        ("p1", "He sails. He returns.", "The Sea", "b", "Who flies?", [], True),
        ("p1", "He sails. He returns.", "The Sea", "c", "Who returns?", ["He"], False),
    ),
    "newsqa": _make_rows(
        "context question answers key labels",
        ("It rained in May.", "When did it rain?", ["May"], "k1", [{"start": [11], "end": [13]}]),
        ("It snowed.", "What fell?", ["snow"], "k2", [{"start": [3], "end": [6]}]),
    ),
    "natural-questions": _make_rows(
        "query answer",
        ("the si unit of force is", "The newton is the unit."),
        ("who wrote it", "A woman wrote it."),
        ("no answer", " "),
    ),
    "yahoo-answers": _make_rows(
        "title answer",
        ("why is it blue?", "Light is scattered."),
        ("how do I cook rice?", "In water."),
        ("why is it blue?", "Because of the air."),
    ),
}
PAGES: dict[str, list[Row]] = {
    "en": [
        {"id": 0, "language": "en", "num_pairs": 2, "domain": "a.com", "qa_pairs": [
            {"question": "Do I need a car?", "answer": "No.", "language": "en"},
            {"question": "Where are you?", "answer": "Here.", "language": "en"},
        ]},
        {"id": 1, "language": "en", "num_pairs": 1, "domain": "b.com", "qa_pairs": [
            {"question": "Do I need a car?", "answer": "Yes.", "language": "en"},
        ]},
    ],
    "fi": [
        {"id": 0, "language": "fi", "num_pairs": 2, "domain": "c.fi", "qa_pairs": [
            {"question": "Missä?", "answer": "Täällä.", "language": "fi"},
            {"question": "Milloin?", "answer": "", "language": "fi"},
        ]},
    ],
}  # fmt: skip


def locate(mirror: Path, repository: str, commit: str, file: str) -> Path:
    """Return the path of a file of the hub in a mirror; its folder is made."""
    path = mirror / "huggingface.co/datasets" / repository / "resolve" / commit / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_table(mirror: Path, name: str, rows: Sequence[Row]) -> None:
    """Write the files of a set of English questions, the rows one after another."""
    table = TABLES[name]
    size = -(-len(rows) // len(table.files))
    for number, file in enumerate(table.files):
        part = rows[number * size : (number + 1) * size]
        path = locate(mirror, table.repository, table.commit, file)
        pq.write_table(pa.Table.from_pylist([dict(row) for row in part]), path)


def write_pages(mirror: Path, lang: str, pages: Sequence[Row]) -> None:
    """Write MFAQ's pages of a language."""
    path = locate(mirror, mfaq.REPOSITORY, mfaq.COMMIT, f"data/{lang}/train.jsonl")
    path.write_text("".join(json.dumps(page) + "\n" for page in pages), "utf-8")
