"""Rows of vectors in several shards, each distinct text's once; the bytes stay on disk."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import numpy as np

from beir_hybrid.errors import BadData

ShardT = TypeVar("ShardT")


@dataclass(frozen=True)
class StoredRows(ABC, Generic[ShardT]):
    """Rows of vectors of one family; equal texts share one vector.

    Attributes
    ----------
    shards
        Vectors of many texts each, memory-mapped if they come from the store.
    shard_numbers, shard_rows
        For each row: which shard its vector is in, and the row in that shard.
    truncated
        How many distinct texts the model truncated; None if that is not known.
    """

    shards: Sequence[ShardT]
    shard_numbers: np.ndarray  # (n_rows,) int32
    shard_rows: np.ndarray  # (n_rows,) int32
    truncated: int | None = None

    def __len__(self) -> int:
        return len(self.shard_numbers)

    @property
    @abstractmethod
    def dim(self) -> int:
        """The number of dimensions of a vector."""

    @abstractmethod
    def take(self, rows: np.ndarray | slice) -> Any:
        """Return rows in memory."""

    def slice_rows(self, rows: range) -> Self:
        """Return adjacent rows."""
        part = slice(rows.start, rows.stop)
        return replace(
            self, shard_numbers=self.shard_numbers[part], shard_rows=self.shard_rows[part]
        )

    def locate(self, rows: np.ndarray | slice) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Find rows in the shards.

        Returns
        -------
            For each shard that has some: its number, their places among `rows`, and their rows in
            the shard.
        """
        numbers, shard_rows = self.shard_numbers[rows], self.shard_rows[rows]
        places = [(number, np.flatnonzero(numbers == number)) for number in np.unique(numbers)]
        return [(int(number), place, shard_rows[place]) for number, place in places]


class BadRows(BadData):
    """Vectors that cannot be used; `row` is the first of them."""

    def __init__(self, message: str, row: int = 0) -> None:
        super().__init__(message)
        self.row = row
