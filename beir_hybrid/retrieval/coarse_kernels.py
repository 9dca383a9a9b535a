"""Compiled loops that round vectors to bfloat16, and widen products of it."""

# The arrays' elements have types and shapes that numba infers; it compiles loops well.
import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True, inline="always")
def _round_bits(bits: np.uint32) -> np.uint32:
    """Return the bits of the nearest bfloat16 of a finite float32; halfway, of the even one."""
    last = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint32((bits + np.uint32(0x7FFF) + last) >> np.uint32(16))


@nb.njit(nogil=True, cache=True)
def round_rows(
    vectors: np.ndarray,  # (n, dim) float32
    centre: np.ndarray,  # (dim,) float32
    rounded: np.ndarray,  # (n, dim) uint16, to be filled: bits of bfloat16
) -> None:
    """Fill in the vectors less their centre, rounded."""
    row = np.empty(vectors.shape[1], np.float32)
    bits = row.view(np.uint32)
    for i in range(vectors.shape[0]):
        for j in range(vectors.shape[1]):
            row[j] = vectors[i, j] - centre[j]
        for j in range(vectors.shape[1]):
            rounded[i, j] = _round_bits(bits[j])


@nb.njit(nogil=True, cache=True, fastmath={"reassoc"})
def measure_rows(vectors: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the largest lengths of vectors less their centre, and of what rounding takes, (2,)."""
    row, low = np.empty(vectors.shape[1], np.float32), np.empty(vectors.shape[1], np.float32)
    bits, low_bits = row.view(np.uint32), low.view(np.uint32)
    largest, largest_rest = 0.0, 0.0
    for i in range(vectors.shape[0]):
        for j in range(vectors.shape[1]):
            row[j] = vectors[i, j] - centre[j]
        for j in range(vectors.shape[1]):
            low_bits[j] = _round_bits(bits[j]) << np.uint32(16)
        square, rest = 0.0, 0.0
        for j in range(vectors.shape[1]):
            square += np.float64(row[j]) ** 2
            rest += (np.float64(row[j]) - np.float64(low[j])) ** 2
        largest, largest_rest = max(largest, square), max(largest_rest, rest)
    return np.sqrt(np.array([largest, largest_rest]))


@nb.njit(nogil=True, cache=True)
def widen_products(
    products: np.ndarray,  # (n, block) uint16: bits of bfloat16
    offset: np.ndarray,  # (n,) float32
    scores: np.ndarray,  # (n, block) float32, to be filled
) -> None:
    """Fill in products in float32, with an offset for each query."""
    bits = scores.view(np.uint32)
    for i in range(products.shape[0]):
        for j in range(products.shape[1]):
            bits[i, j] = np.uint32(products[i, j]) << np.uint32(16)
        for j in range(products.shape[1]):
            scores[i, j] += offset[i]
