"""The compiled correction of vectors: each row by itself, so that its bits do not vary."""

# The arrays' elements have types and shapes that numba infers; it compiles loops well.
import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True)
def correct_vectors(
    rows: np.ndarray,  # (n, dim) float32
    offset: np.ndarray,  # (dim,) float32
    directions: np.ndarray,  # (k, dim) float32
    strength: float,
    unit_length: bool,
    out: np.ndarray,  # (n, dim) float32, to be filled
) -> None:
    """Take an offset and directions out of vectors, and bring them to unit length."""
    dim = rows.shape[1]
    vector = np.empty(dim)
    for i in range(rows.shape[0]):
        for j in range(dim):
            vector[j] = np.float64(rows[i, j]) - np.float64(offset[j])
        for k in range(directions.shape[0]):
            product = 0.0
            for j in range(dim):
                product += np.float64(directions[k, j]) * np.float64(rows[i, j])
            for j in range(dim):
                vector[j] -= strength * product * np.float64(directions[k, j])
        scale = 1.0
        if unit_length:
            total = 0.0
            for j in range(dim):
                total += vector[j] * vector[j]
            if total > 0.0:
                scale = 1.0 / np.sqrt(total)
        for j in range(dim):
            out[i, j] = np.float32(vector[j] * scale)
