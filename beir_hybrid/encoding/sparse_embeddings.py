"""Sparse embeddings: weights of terms, in several files, read as one CSR matrix in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.stored_rows import BadRows, StoredRows

if TYPE_CHECKING:  # scipy takes a quarter of a second, and dense models need none
    from collections.abc import Mapping, Sequence

    from scipy.sparse import csr_array

_LARGEST_NORM = 2.0**63  # so that no score is too large for float32


class SparseEmbeddings(StoredRows["csr_array"]):
    """Rows of terms with weights; equal texts share one row, and the bytes stay on disk."""

    @classmethod
    def from_matrix(cls, rows: csr_array) -> SparseEmbeddings:
        """Wrap one matrix, (n, terms)."""
        n = rows.shape[0]
        matrix = check_sparse_rows(rows, n)
        return cls([matrix], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))

    @property
    def dim(self) -> int:
        """The number of terms of the vocabulary."""
        return int(self.shards[0].shape[1]) if len(self.shards) else 0

    def take(self, rows: np.ndarray | slice) -> csr_array:
        """Return rows, (n, terms) float32."""
        parts = self.locate(rows)
        if not parts:
            return make_empty_matrix(self.dim)
        matrices = [self.shards[number][_as_slice(shard_rows)] for number, _, shard_rows in parts]
        if len(matrices) == 1:
            return matrices[0]
        places = np.concatenate([place for _, place, _ in parts])
        return stack_matrices(matrices)[np.argsort(places)]

    def count_terms(self) -> float:
        """Count the terms with a weight in a row, on average."""
        counts = [
            np.diff(self.shards[number].indptr)[shard_rows].sum()
            for number, _, shard_rows in self.locate(slice(None))
        ]
        return float(sum(counts) / max(1, len(self)))


def _as_slice(rows: np.ndarray) -> Any:
    """Return adjacent rows as a slice, of which a matrix makes a copy fast."""
    is_adjacent = len(rows) and (np.diff(rows) == 1).all()
    return slice(int(rows[0]), int(rows[-1]) + 1) if is_adjacent else rows


def make_empty_matrix(dim: int) -> csr_array:
    """Return a matrix without rows."""
    from scipy.sparse import csr_array

    shape: Any = (0, dim)
    return csr_array(shape, dtype=np.float32)


def stack_matrices(matrices: Sequence[Any]) -> csr_array:
    """Put the rows of matrices behind each other."""
    from scipy.sparse import csr_array, vstack

    return csr_array(vstack(matrices, format="csr"))


def check_sparse_rows(rows: object, n: int, dim: int = 0) -> csr_array:
    """Return rows as a CSR matrix without zeros whose terms ascend, else raise `BadRows`."""
    from scipy.sparse import csr_array, issparse

    source: Any = rows
    if not issparse(rows) or source.ndim != 2 or source.shape[0] != n:  # noqa: PLR2004
        shape = getattr(rows, "shape", None)
        raise BadRows(
            f"sparse embeddings are a {type(rows).__name__} of shape {shape}; expected a sparse "
            f"matrix, ({n}, terms)"
        )
    matrix = csr_array(source, dtype=np.float32, copy=True)  # of the caller, or read-only
    if dim and matrix.shape[1] != dim:
        raise BadRows(f"embeddings have {matrix.shape[1]} terms, those before them {dim}")
    matrix.sum_duplicates()  # which sorts the terms, too
    matrix.eliminate_zeros()
    row_numbers = np.repeat(np.arange(n), np.diff(matrix.indptr))
    squares = np.bincount(row_numbers, matrix.data.astype(np.float64) ** 2, n)
    for is_bad, fault in (
        (~(squares < _LARGEST_NORM**2), "hold NaN, infinity, or numbers too large for scores"),
        (np.bincount(row_numbers, matrix.data < 0, n) > 0, "have terms with negative weights"),
    ):
        if is_bad.any():
            bad_rows = np.flatnonzero(is_bad)
            raise BadRows(
                f"{len(bad_rows):,} of {n:,} sparse embeddings {fault}, first row {bad_rows[0]}",
                int(bad_rows[0]),
            )
    return matrix


def split_matrix(matrix: csr_array) -> dict[str, np.ndarray]:
    """Return the arrays of a matrix, by the names that they have on disk."""
    return {
        "weights": matrix.data,
        "terms": matrix.indices,
        "bounds": matrix.indptr,
        "shape": np.array(matrix.shape, np.int64),
    }


def join_matrix(arrays: Mapping[str, np.ndarray]) -> csr_array:
    """Make a matrix of arrays on disk, without reading a file."""
    from scipy.sparse import csr_array

    parts: Any = (arrays["weights"], arrays["terms"], arrays["bounds"])
    return csr_array(parts, shape=tuple(arrays["shape"].tolist()))
