"""Numpy's arrays as Arrow's and back: no copy, and none of pyarrow's slow import of pandas."""

import numpy as np
import pyarrow as pa

_TYPES: dict[pa.DataType, np.dtype[np.signedinteger]] = {
    pa.int64(): np.dtype(np.int64),
    pa.int32(): np.dtype(np.int32),
}


def to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of whole numbers, none of them missing."""
    parts = [
        np.frombuffer(chunk.buffers()[1], _TYPES[column.type])[chunk.offset :][: len(chunk)]
        for chunk in column.chunks
        if len(chunk)
    ]
    return (
        parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, _TYPES[column.type]), *parts])
    )


def to_arrow(numbers: np.ndarray) -> pa.Array:
    """Return an array of int32 or int64, as the numbers are."""
    kind = next(arrow for arrow, dtype in _TYPES.items() if dtype == numbers.dtype)
    values = np.ascontiguousarray(numbers)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def empty_texts(n: int) -> pa.Array:
    """Return n empty strings."""
    offsets = pa.py_buffer(np.zeros(n + 1, dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), n, [None, offsets, pa.py_buffer(b"")])
