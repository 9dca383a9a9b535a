"""Vectors that lie in several files, each distinct text's once, read as one matrix in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

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
        How many distinct texts were longer than the model reads.
    """

    shards: Sequence[np.ndarray]
    shard: np.ndarray  # (n_rows,) int32
    place: np.ndarray  # (n_rows,) int32
    cut: int = 0

    @classmethod
    def of(cls, rows: np.ndarray) -> "Embeddings":
        """Wrap one array of shape (n, dim)."""
        check_rows(rows, len(rows))
        n = len(rows)
        return cls([rows], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.shard)

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return int(self.shards[0].shape[1]) if len(self.shards) else 0

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return some rows as float32, (n, dim)."""
        shard, place = self.shard[rows], self.place[rows]
        taken = np.empty((len(shard), self.dim), dtype=np.float32)
        for number in np.unique(shard):
            mine = np.flatnonzero(shard == number)
            source, wanted = self.shards[number], place[mine]
            first, last = int(wanted[0]), int(wanted[-1])
            if last - first + 1 == len(wanted) and (np.diff(wanted) == 1).all():
                if len(mine) == len(shard):
                    taken[:] = source[first : last + 1]
                else:
                    taken[mine] = source[first : last + 1]
            else:
                taken[mine] = source[wanted]
        return taken


def check_rows(rows: np.ndarray, n: int) -> np.ndarray:
    """Return the rows if they are n vectors of finite numbers, else raise `BadData`."""
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or len(rows) != n:  # noqa: PLR2004
        shape = getattr(rows, "shape", type(rows).__name__)
        raise BadData(f"embeddings have shape {shape}; expected ({n}, dimensions)")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise BadData(f"{len(bad):,} of {n:,} embeddings hold NaN or infinity, first row {bad[0]}")
    return rows
