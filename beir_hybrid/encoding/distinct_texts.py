"""The distinct texts of a column, known by their hashes: each is encoded once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.arrays import take_rows

KEY = np.dtype("V16")  # 128 bits of a text's hash
_CHUNK = 1 << 16  # texts that become Python objects at a time


@dataclass(frozen=True, eq=False)
class DistinctTexts:
    """The distinct texts of a column, numbered in the order in which they first occur.

    Attributes
    ----------
    column
        All rows of the column.
    keys, first_rows
        The hash of each distinct text, and the row in which it occurs first.
    numbers
        For each row of the column, the number of its text.
    paths
        For each row, the file of the image whose checksum the text is; None for texts themselves.
    """

    column: pa.ChunkedArray
    keys: np.ndarray  # (distinct,) KEY
    first_rows: np.ndarray  # (distinct,) int64
    numbers: np.ndarray  # (rows,) int64
    paths: pa.ChunkedArray | None = None

    @classmethod
    def from_column(
        cls,
        texts: Sequence[str] | pa.ChunkedArray,
        paths: Sequence[str] | pa.ChunkedArray | None = None,
    ) -> "DistinctTexts":
        """Find the distinct texts of a column, numbered by their first rows."""
        column = _to_chunked_array(texts)
        keys = _hash_texts(column)
        _, first_rows, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(first_rows)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        first_rows = first_rows[order]
        path_column = None if paths is None else _to_chunked_array(paths)
        return cls(column, keys[first_rows], first_rows, rank[inverse], path_column)

    def __len__(self) -> int:
        return len(self.keys)

    def take_texts(self, numbers: np.ndarray) -> list[str]:
        """Return distinct texts by their numbers."""
        texts: list[str] = take_rows(self.column, self.first_rows[numbers]).to_pylist()
        return texts


def _to_chunked_array(values: Sequence[str] | pa.ChunkedArray) -> pa.ChunkedArray:
    # Arrow makes several chunks of its own of texts that are too long for one.
    array = values if isinstance(values, pa.ChunkedArray) else pa.array(values)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _hash_texts(column: pa.ChunkedArray) -> np.ndarray:
    """Return the key of each text; texts become Python objects a chunk at a time."""
    keys = np.empty(len(column), dtype=KEY)
    start = 0
    for chunk in column.chunks:
        for offset in range(0, len(chunk), _CHUNK):
            digests = [
                hashlib.blake2b(text.encode(), digest_size=16).digest()
                for text in chunk.slice(offset, _CHUNK).to_pylist()
            ]
            keys[start : start + len(digests)] = np.frombuffer(b"".join(digests), dtype=KEY)
            start += len(digests)
    return keys
