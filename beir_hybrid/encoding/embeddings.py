"""Vectors that lie in several files, each distinct text's once, read as one matrix in blocks."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from beir_hybrid.errors import BadData


@dataclass(frozen=True)
class Embeddings:
    """Rows of vectors; equal texts share one, and the bytes stay on disk.

    Attributes
    ----------
    shards
        Arrays of shape (n, dim), memory-mapped when they come from the store.
    shard, place
        For each row: which array its vector is in, and where in it.
    cut
        How many distinct texts were longer than the model reads; ``None`` where it is not known.
    """

    shards: Sequence[np.ndarray]
    shard: np.ndarray  # (n_rows,) int32
    place: np.ndarray  # (n_rows,) int32
    cut: int | None = None

    @classmethod
    def of(cls, rows: np.ndarray) -> "Embeddings":
        """Wrap one array of shape (n, dim)."""
        check_rows(rows, len(rows))
        n = len(rows)
        return cls([rows], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))

    @classmethod
    def joined(cls, parts: "Sequence[Embeddings]") -> "Embeddings":
        """Put the rows of some behind each other, such as those of captions and of pictures."""
        filled = [part for part in parts if len(part)] or parts[:1]
        if len(dims := {part.dim for part in filled}) > 1:
            raise BadData(f"vectors to compare have {sorted(dims)} dimensions; they must be alike")
        starts = np.cumsum([0, *[len(part.shards) for part in filled]])
        shard = [part.shard + at for part, at in zip(filled, starts, strict=False)]
        cuts = [part.cut for part in parts]
        return cls(
            _Chain([part.shards for part in filled]),
            np.concatenate(shard).astype(np.int32),
            np.concatenate([part.place for part in filled]),
            None if None in cuts else sum(filter(None, cuts)),
        )

    def __len__(self) -> int:
        return len(self.shard)

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return int(self.shards[0].shape[1]) if len(self.shards) else 0

    def part(self, rows: range) -> "Embeddings":
        """Return some rows that lie side by side."""
        within = slice(rows.start, rows.stop)
        return replace(self, shard=self.shard[within], place=self.place[within])

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return some rows as float32, (n, dim): a view where they lie side by side."""
        shard, place = self.shard[rows], self.place[rows]
        if len(shard) and (shard == shard[0]).all() and (np.diff(place) == 1).all():
            source = np.asarray(self.shards[shard[0]][place[0] : place[0] + len(place)])
            return source.astype(np.float32, copy=False)
        taken = np.empty((len(shard), self.dim), dtype=np.float32)
        for number in np.unique(shard):
            mine = np.flatnonzero(shard == number)
            taken[mine] = self.shards[number][place[mine]]
        return taken


class _Chain(Sequence[np.ndarray]):
    """Several sequences of arrays as one; none is opened before it is asked for."""

    def __init__(self, sequences: Sequence[Sequence[np.ndarray]]) -> None:
        self._sequences = sequences
        self._starts = np.cumsum([0, *[len(one) for one in sequences]]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, number: Any) -> Any:
        which = bisect_right(self._starts, number, hi=len(self._sequences)) - 1
        return self._sequences[which][number - self._starts[which]]


class BadRows(BadData):
    """Vectors that cannot be used; `row` is the first such."""

    def __init__(self, message: str, row: int = 0) -> None:
        super().__init__(message)
        self.row = row


def check_rows(rows: np.ndarray, n: int, dim: int = 0) -> np.ndarray:
    """Return the rows if they are n vectors of finite float32 numbers, else raise `BadRows`.

    Where `dim` is not 0, they must have so many dimensions.
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
    finite = (np.abs(rows) <= np.finfo(np.float32).max).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise BadRows(
            f"{len(bad):,} of {n:,} embeddings hold NaN or infinity, first row {bad[0]}",
            int(bad[0]),
        )
    return rows
