"""Embeddings: vectors in several files, each distinct text's once, read as one matrix in blocks."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beir_hybrid.encoding.stored_rows import BadRows, StoredRows
from beir_hybrid.errors import BadData


@dataclass(frozen=True)
class Embeddings(StoredRows[np.ndarray]):
    """Rows of dense vectors; equal texts share one vector, and the bytes stay on disk.

    `shards` are arrays of shape (n, dim).
    """

    @classmethod
    def from_array(cls, rows: np.ndarray) -> "Embeddings":
        """Wrap one array of shape (n, dim)."""
        check_rows(rows, len(rows))
        n = len(rows)
        return cls([rows], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))

    @classmethod
    def concatenate(cls, parts: "Sequence[Embeddings]") -> "Embeddings":
        """Put the rows of several embeddings behind each other, such as of captions and images."""
        filled = [part for part in parts if len(part)] or parts[:1]
        if len(dims := {part.dim for part in filled}) > 1:
            raise BadData(f"vectors to compare have {sorted(dims)} dimensions; they must be alike")
        starts = np.cumsum([0, *[len(part.shards) for part in filled]])
        numbers = [part.shard_numbers + start for part, start in zip(filled, starts, strict=False)]
        counts = [part.truncated for part in parts]
        return cls(
            _SequenceChain([part.shards for part in filled]),
            np.concatenate(numbers).astype(np.int32),
            np.concatenate([part.shard_rows for part in filled]),
            None if None in counts else sum(filter(None, counts)),
        )

    @property
    def dim(self) -> int:
        """The number of dimensions of a vector."""
        return int(self.shards[0].shape[1]) if len(self.shards) else 0

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return rows as float32, (n, dim): a view if they are adjacent in one shard."""
        numbers, shard_rows = self.shard_numbers[rows], self.shard_rows[rows]
        if len(numbers) and (numbers == numbers[0]).all() and (np.diff(shard_rows) == 1).all():
            first = shard_rows[0]
            source = np.asarray(self.shards[numbers[0]][first : first + len(shard_rows)])
            return source.astype(np.float32, copy=False)
        vectors = np.empty((len(numbers), self.dim), dtype=np.float32)
        for number in np.unique(numbers):
            in_shard = np.flatnonzero(numbers == number)
            vectors[in_shard] = self.shards[number][shard_rows[in_shard]]
        return vectors


class _SequenceChain(Sequence[np.ndarray]):
    """Several sequences of arrays as one; an array is opened only when it is indexed."""

    def __init__(self, sequences: Sequence[Sequence[np.ndarray]]) -> None:
        self._sequences = sequences
        self._starts = np.cumsum([0, *[len(sequence) for sequence in sequences]]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, number: Any) -> Any:
        i = bisect_right(self._starts, number, hi=len(self._sequences)) - 1
        return self._sequences[i][number - self._starts[i]]


def check_rows(rows: np.ndarray, n: int, dim: int = 0) -> np.ndarray:
    """Return the rows if they are n vectors of finite float32 numbers, else raise `BadRows`.

    Unless `dim` is 0, they must have that many dimensions.
    """
    shape = getattr(rows, "shape", type(rows).__name__)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or len(rows) != n:  # noqa: PLR2004
        raise BadRows(f"embeddings have shape {shape}; expected ({n}, dimensions)")
    if rows.dtype.kind not in "biuf":
        raise BadRows(f"embeddings are of type {rows.dtype}; expected real numbers")
    if n and not rows.shape[1]:
        raise BadRows(f"embeddings have shape {shape}: they have no dimensions")
    if dim and rows.shape[1] != dim:
        raise BadRows(f"embeddings have {rows.shape[1]} dimensions, those before them {dim}")
    is_finite = (np.abs(rows) <= np.finfo(np.float32).max).all(axis=1)
    if not is_finite.all():
        bad_rows = np.flatnonzero(~is_finite)
        raise BadRows(
            f"{len(bad_rows):,} of {n:,} embeddings hold NaN or infinity, first row {bad_rows[0]}",
            int(bad_rows[0]),
        )
    return rows
