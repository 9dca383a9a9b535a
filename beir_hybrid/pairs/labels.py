"""Labels of rows: a query's passages and the languages as numbers, alike for equal texts."""

import numba as nb
import numpy as np
import pyarrow as pa

# In a row's label the numbers of its hard negatives follow this.
NEGATIVES_MARK = -2
# The languages of its query and passage follow this, and that of the query's translation.
LANGUAGES_MARK = -3
_START = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)


def hash_texts(texts: pa.ChunkedArray) -> np.ndarray:
    """Return 63 bits of each text's hash, -1 where there is no text; (n,) int64.

    64-bit FNV-1a, mixed at the end. Among ten million texts the chance that any two share a number
    is one in 100,000; then a negative is taken for a positive, once.
    """
    parts = [np.empty(0, np.int64)]
    for chunk in texts.chunks:
        array = chunk.cast(pa.large_string())
        validity, offsets, data = array.buffers()
        starts = np.frombuffer(offsets, np.int64)[array.offset :][: len(array) + 1]
        content = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
        hashes = _hash_slices(starts, content)
        if validity is not None and array.null_count:
            bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
            hashes[bits[array.offset :][: len(array)] == 0] = -1
        parts.append(hashes)
    return np.concatenate(parts)


@nb.njit(nogil=True, cache=True)
def _hash_slices(offsets: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Hash the bytes between each two neighbouring offsets."""
    hashes = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(hashes)):
        state = _START
        for k in range(offsets[i], offsets[i + 1]):
            state = (state ^ np.uint64(content[k])) * _PRIME
        state ^= state >> np.uint64(33)
        state *= np.uint64(0xFF51AFD7ED558CCD)
        state ^= state >> np.uint64(33)
        hashes[i] = np.int64(state >> np.uint64(1))
    return hashes
