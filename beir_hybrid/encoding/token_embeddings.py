"""Embeddings of late interaction: vectors of a text's tokens, in half precision on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beir_hybrid.encoding.stored_rows import BadRows, StoredRows


@dataclass(frozen=True)
class TokenVectors(Sequence[np.ndarray]):
    """The vectors of the tokens of several texts; as a sequence, an array of each text.

    Attributes
    ----------
    tokens
        Vectors of all texts' tokens, (tokens, dim).
    bounds
        Text i has the tokens from ``bounds[i]`` to ``bounds[i + 1]``, (n + 1,) int64.
    """

    tokens: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, number: Any) -> Any:
        return self.tokens[self.bounds[number] : self.bounds[number + 1]]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of texts, and of the dimensions of a token's vector."""
        return len(self), self.tokens.shape[1]

    @classmethod
    def join(cls, texts: Sequence[np.ndarray], dim: int) -> "TokenVectors":
        """Put the vectors of texts behind each other."""
        bounds = np.cumsum([0, *map(len, texts)])
        return cls(np.concatenate([np.empty((0, dim), np.float16), *texts]), bounds)

    def slice_texts(self, start: int, stop: int) -> "TokenVectors":
        """Return adjacent texts."""
        bounds = np.asarray(self.bounds[start : stop + 1])
        return TokenVectors(self.tokens[bounds[0] : bounds[-1]], bounds - bounds[0])


class TokenEmbeddings(StoredRows[TokenVectors]):
    """Rows of vectors of tokens; equal texts share theirs, and the bytes stay on disk."""

    @classmethod
    def from_vectors(cls, vectors: TokenVectors) -> "TokenEmbeddings":
        """Wrap the vectors of some texts."""
        n = vectors.shape[0]
        return cls([vectors], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))

    @property
    def dim(self) -> int:
        """The number of dimensions of a token's vector."""
        return self.shards[0].shape[1] if len(self.shards) else 0

    def take(self, rows: np.ndarray | slice) -> TokenVectors:
        """Return rows, in single precision."""
        parts = self.locate(rows)
        if len(parts) == 1 and (np.diff(parts[0][2]) == 1).all():
            number, _, shard_rows = parts[0]
            source = self.shards[number].slice_texts(int(shard_rows[0]), int(shard_rows[-1]) + 1)
            return TokenVectors(source.tokens.astype(np.float32), source.bounds)
        bounds = np.cumsum(np.concatenate([[0], self.count_tokens(rows)]))
        tokens = np.empty((bounds[-1], self.dim), np.float32)
        for number, places, shard_rows in parts:
            shard = self.shards[number]
            for place, row in zip(places.tolist(), shard_rows.tolist(), strict=True):
                text = shard.tokens[shard.bounds[row] : shard.bounds[row + 1]]
                tokens[bounds[place] : bounds[place + 1]] = text
        return TokenVectors(tokens, bounds)

    def count_tokens(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the number of tokens of each row, (rows,) int64."""
        counts = np.zeros(len(self.shard_numbers[rows]), np.int64)
        for number, places, shard_rows in self.locate(rows):
            counts[places] = np.diff(self.shards[number].bounds)[shard_rows]
        return counts


def check_token_vectors(rows: object, n: int, dim: int = 0) -> TokenVectors:
    """Return the vectors of the tokens of n texts in half precision, else raise `BadRows`."""
    if not isinstance(rows, Sequence) or len(rows) != n:
        size = f" of {len(rows)}" if isinstance(rows, Sequence) else ""
        raise BadRows(
            f"vectors of tokens are a {type(rows).__name__}{size}; expected a list of {n} arrays, "
            "(tokens, dimensions)"
        )
    texts = [np.asarray(row) for row in rows]
    dim = dim or next((row.shape[1] for row in texts if row.ndim == 2), 0)  # noqa: PLR2004
    for number, row in enumerate(texts):
        if row.ndim != 2 or row.shape[1] != dim:  # noqa: PLR2004
            raise BadRows(f"vectors of tokens have shape {row.shape}, not (tokens, {dim})", number)
        if not (np.abs(row) <= np.finfo(np.float16).max).all():
            raise BadRows("vectors of tokens hold NaN, or numbers too large for float16", number)
    return TokenVectors.join([row.astype(np.float16) for row in texts], dim)


def split_vectors(vectors: TokenVectors) -> dict[str, np.ndarray]:
    """Return the arrays of vectors, by the names that they have on disk."""
    return {"tokens": vectors.tokens, "bounds": vectors.bounds}


def join_vectors(arrays: Mapping[str, np.ndarray]) -> TokenVectors:
    """Make vectors of tokens of arrays on disk, without reading a file."""
    return TokenVectors(arrays["tokens"], arrays["bounds"])
