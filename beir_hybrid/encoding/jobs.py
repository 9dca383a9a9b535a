"""A collection and a part's number in, that part's vectors in the store out, for jobs apart.

The distinct texts are cut into the shards that one job would make of them, those of queries after
those of passages, and part 2 of 8 is every eighth shard from the second on. So which texts a part
has depends on the texts alone, parts are of about the same length whatever the languages, and all
parts together leave the very files that one job on such a machine leaves in an empty store. Three
things may change the last bits of a vector (not 1e-6 of it): another processor, more than eight
parts, whose shards may be smaller, and Ray, which sends fewer texts at a time, for the texts of a
batch are padded to the longest of them.
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
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.shards import Shards
from beir_hybrid.encoding.store import Distinct, Encoded, fill, shard_size, space_folder
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file


@dataclass(frozen=True)
class Part:
    """One of several parts of a collection's texts, numbered from 1."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise BadOption(f"there is no part {self}; parts are 1/N to N/N")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a text such as ``2/8``."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if not found:
            raise BadOption(f"a part is I/N, such as 2/8, not {text!r}")
        return cls(int(found[1]), int(found[2]))


WHOLE = Part()


def encode_part(
    encoder: Encoder,
    collection: Collection,
    part: Part = WHOLE,
    *,
    folder: Path | None = None,
    encoded: Encoded | None = None,
) -> int:
    """Encode what the store lacks of a part of a collection's texts; return how many the part has.

    Parts wait for nothing of each other; any number of them can be at work on one folder at once.
    There are no more than shards, so that some of very few texts have none.
    """
    total = 0
    for texts in _asked(encoder, collection, folder):
        _note(texts, part.of)
        wanted = texts.wanted[texts.turns(part.of) == part.number - 1]
        size = shard_size(len(texts.known.keys), part.of)
        fill(encoder, texts.role, texts.space, texts.known, wanted, size, encoded)
        total += len(wanted)
    return total


def check_parts(encoder: Encoder, collection: Collection, *, folder: Path | None = None) -> int:
    """Return the number of texts if the store has them all, else raise `BadData`.

    The error names the parts that are missing, of as many as `encode_part` was last told of.
    """
    total, lost, missing = 0, 0, set()
    for texts in _asked(encoder, collection, folder):
        absent = Shards(texts.space).find(texts.known.keys[texts.wanted])[0] < 0
        of = _parts(texts)
        missing |= {Part(turn + 1, of) for turn in np.unique(texts.turns(of)[absent]).tolist()}
        total, lost = total + len(absent), lost + int(absent.sum())
    if lost:
        parts = sorted(missing, key=lambda part: (part.of, part.number))
        raise BadData(
            f"{collection.name}: {lost:,} of {total:,} texts are not encoded; "
            f"missing parts: {', '.join(map(str, parts))}: encode them with --shard and the same "
            "options"
        )
    return total


def check_texts_only(collection: Collection, what: str) -> None:
    """Raise `BadOption` for a collection with pictures, of which something knows nothing."""
    if collection.has_images:
        raise BadOption(
            f"{collection.name} has pictures, and {what} is of texts alone; evaluate reads both"
        )


class _Asked(NamedTuple):
    """Texts of one role, without those that another role shares."""

    role: Role
    space: Path
    known: Distinct
    wanted: np.ndarray  # numbers of distinct texts
    before: int = 0  # texts of the role before this one

    def turns(self, parts: int) -> np.ndarray:
        """Return the part that each text wanted is in, from 0."""
        shard = np.arange(len(self.wanted)) // shard_size(len(self.known.keys), parts)
        shards_before = -(-self.before // shard_size(self.before, parts))
        turns: np.ndarray = (shard + shards_before) % parts
        return turns


def _asked(encoder: Encoder, collection: Collection, folder: Path | None) -> Iterator[_Asked]:
    """Yield the texts to encode, in the order in which an evaluation encodes them."""
    check_texts_only(collection, "encoding ahead")
    passages = Distinct.of(join_titles(collection.view().passages))
    space = space_folder(encoder, "passages", folder)
    yield _Asked("passages", space, passages, np.arange(len(passages.keys)))
    queries = Distinct.of(collection.queries["text"])
    wanted = np.arange(len(queries.keys))
    if space_folder(encoder, "queries", folder) == space:
        wanted = wanted[~np.isin(queries.keys, passages.keys)]
    space = space_folder(encoder, "queries", folder)
    yield _Asked("queries", space, queries, wanted, len(passages.keys))


def _note(texts: _Asked, parts: int) -> None:
    """Write down how many parts some texts have, for `check_parts` to name them."""
    with atomic_file(_place(texts)) as temporary:
        temporary.write_text(json.dumps({"parts": parts}), "utf-8")


def _parts(texts: _Asked) -> int:
    place = _place(texts)
    return int(json.loads(place.read_text("utf-8"))["parts"]) if place.is_file() else 1


def _place(texts: _Asked) -> Path:
    digest = hashlib.sha256(texts.known.keys.tobytes()).hexdigest()[:16]
    return texts.space / f"{digest}.parts.json"
