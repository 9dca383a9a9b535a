"""Sketches of large sets of texts, by which the overlap with another set is measured."""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pyarrow as pa

from beir_hybrid.encoding.distinct_texts import DistinctTexts
from beir_hybrid.errors import BadData

_SIZE = 1 << 14  # hashes of a sketch; smaller sets are there as a whole


class SketchRecord(TypedDict):
    """A sketch in JSON: how many texts there are, and the least of their hashes in base64."""

    distinct: int
    least_hashes: str


@dataclass(frozen=True)
class TextSketch:
    """The least hashes of a set of texts: all that are no greater than the last are there.

    So a text whose hash is no greater is in the set if, and only if, its hash is in the sketch.
    """

    hashes: np.ndarray  # (n,) uint64, ascending
    n_distinct: int

    @classmethod
    def from_columns(cls, columns: Iterable[pa.ChunkedArray]) -> "TextSketch":
        """Make the sketch of all texts of columns; missing ones do not count."""
        parts = [_hash_distinct(column) for column in columns]
        hashes = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))
        return cls(hashes[:_SIZE], len(hashes))

    @classmethod
    def from_record(cls, record: SketchRecord, place: str) -> "TextSketch":
        """Read a sketch from JSON; `place` names its file in errors."""
        try:
            hashes = np.frombuffer(b64decode(record["least_hashes"], validate=True), "<u8")
        except ValueError as error:
            raise BadData(f"{place} are no hashes: {error}") from error
        return cls(hashes.astype(np.uint64), record["distinct"])

    def to_record(self) -> SketchRecord:
        """Return the sketch for JSON."""
        text = b64encode(self.hashes.astype("<u8").tobytes()).decode()
        return {"distinct": self.n_distinct, "least_hashes": text}

    def measure_overlap(self, texts: pa.ChunkedArray) -> dict[str, int]:
        """Count the distinct texts that are shared with the set, and those that can be compared."""
        hashes = _hash_distinct(texts)
        if self.n_distinct > len(self.hashes):
            hashes = hashes[hashes <= self.hashes[-1]]
        return {"shared": int(np.isin(hashes, self.hashes).sum()), "compared": len(hashes)}


def _hash_distinct(column: pa.ChunkedArray) -> np.ndarray:
    """Return 64 bits of the hash of each distinct text, (n,) uint64."""
    texts = pa.chunked_array([chunk.drop_null() for chunk in column.chunks], pa.string())
    keys = DistinctTexts.from_column(texts).keys
    return np.frombuffer(keys.tobytes(), "<u8")[::2].astype(np.uint64)
