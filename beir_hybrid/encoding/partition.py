"""Encode a collection in parts, as separate jobs that share the store, such as array jobs.

The distinct texts are cut into the shards that one job would write, those of queries after those of
passages, and part 2 of 8 is every eighth shard from the second on. So the texts of a part depend on
the texts alone, parts are of about the same length whatever the languages, and all parts together
leave the very files that one job on such a machine leaves in an empty store.

Three things may change the last bits of a vector (by less than 1e-6), because the texts of a batch
are padded to the longest of them: another processor; more than eight parts, whose shards may be
smaller; and Ray, which sends fewer texts at a time.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.encoding.distinct_texts import DistinctTexts
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.layouts import LAYOUTS
from beir_hybrid.encoding.shard_writer import ShardWriter
from beir_hybrid.encoding.shards import Shards
from beir_hybrid.encoding.store import (
    EncodingStats,
    choose_shard_size,
    encode_missing,
    open_space,
)
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file
from beir_hybrid.records import from_record, read_json


@dataclass(frozen=True)
class Part:
    """One of several parts of a collection's texts, numbered from 1."""

    number: int = 1
    total: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.total:
            raise BadOption(f"there is no part {self}; parts are 1/N to N/N")

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a text such as ``2/8``."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match:
            raise BadOption(f"a part is I/N, such as 2/8, not {text!r}")
        return cls(int(match[1]), int(match[2]))


ONLY_PART = Part()


def encode_part(
    encoder: Encoder,
    collection: Collection,
    part: Part = ONLY_PART,
    *,
    folder: Path | None = None,
    stats: EncodingStats | None = None,
) -> int:
    """Encode the texts of a part that the store lacks; return how many texts the part has.

    Parts do not wait for each other; any number of jobs can work on one folder at once. Every part
    has whole shards, so some parts of very few texts have none.
    """
    n_texts = 0
    for work in _list_work(encoder, collection, folder):
        _save_part_count(work, part.total)
        numbers = work.numbers[work.assign_parts(part.total) == part.number - 1]
        shard_size = choose_shard_size(len(work.distinct), part.total)
        shards = Shards(work.space, LAYOUTS[encoder.family])
        writer = ShardWriter(encoder, work.role, work.space, work.distinct, shards)
        encode_missing(writer, numbers, shard_size, stats)
        n_texts += len(numbers)
    return n_texts


def check_parts(encoder: Encoder, collection: Collection, *, folder: Path | None = None) -> int:
    """Return the number of texts if the store has all texts, else raise `BadData`.

    The error names the missing parts, by the number of parts of the last `encode_part`.
    """
    n_texts, n_missing = 0, 0
    missing_parts: set[Part] = set()
    for work in _list_work(encoder, collection, folder):
        is_missing = (
            Shards(work.space, LAYOUTS[encoder.family]).find(work.distinct.keys[work.numbers])[0]
            < 0
        )
        total = _read_part_count(work)
        indexes = np.unique(work.assign_parts(total)[is_missing]).tolist()
        missing_parts |= {Part(index + 1, total) for index in indexes}
        n_texts, n_missing = n_texts + len(is_missing), n_missing + int(is_missing.sum())
    if n_missing:
        parts = sorted(missing_parts, key=lambda part: (part.total, part.number))
        raise BadData(
            f"{collection.name}: {n_missing:,} of {n_texts:,} texts are not encoded; "
            f"missing parts: {', '.join(map(str, parts))}: encode them with --shard and the same "
            "options"
        )
    return n_texts


def check_texts_only(collection: Collection, purpose: str) -> None:
    """Raise `BadOption` for a collection with images if only texts serve the purpose."""
    if collection.has_images:
        raise BadOption(
            f"{collection.name} has images, and {purpose} is of texts alone; evaluate reads both"
        )


class _Work(NamedTuple):
    """Texts of one role to encode, without those that another role shares."""

    role: Role
    space: Path
    distinct: DistinctTexts
    numbers: np.ndarray  # of distinct texts
    n_earlier_texts: int = 0  # of the role that comes first

    def assign_parts(self, total: int) -> np.ndarray:
        """Return the index of each text's part, from 0."""
        shard = np.arange(len(self.numbers)) // choose_shard_size(len(self.distinct), total)
        earlier_shards = -(-self.n_earlier_texts // choose_shard_size(self.n_earlier_texts, total))
        indexes: np.ndarray = (shard + earlier_shards) % total
        return indexes


def _list_work(encoder: Encoder, collection: Collection, folder: Path | None) -> Iterator[_Work]:
    """Yield the texts to encode, in the order of an evaluation."""
    check_texts_only(collection, "encoding ahead")
    passages = DistinctTexts.from_column(join_titles(collection.view().passages))
    passage_space = open_space(encoder, "passages", folder)
    yield _Work("passages", passage_space, passages, np.arange(len(passages)))
    queries = DistinctTexts.from_column(collection.queries["text"])
    numbers = np.arange(len(queries))
    query_space = open_space(encoder, "queries", folder)
    if query_space == passage_space:
        numbers = numbers[~np.isin(queries.keys, passages.keys)]
    yield _Work("queries", query_space, queries, numbers, len(passages))


def _save_part_count(work: _Work, total: int) -> None:
    """Write down into how many parts the texts are cut, for the messages of `check_parts`."""
    with atomic_file(_part_count_path(work)) as temporary:
        temporary.write_text(json.dumps({"parts": total}), "utf-8")


def _read_part_count(work: _Work) -> int:
    path = _part_count_path(work)
    if not path.is_file():
        return 1
    return from_record(dict[str, int], read_json(path), str(path)).get("parts", 1)


def _part_count_path(work: _Work) -> Path:
    digest = hashlib.sha256(work.distinct.keys.tobytes()).hexdigest()[:16]
    return work.space / f"{digest}.parts.json"
