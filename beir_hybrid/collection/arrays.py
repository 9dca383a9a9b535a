"""Columns of Arrow tables: conversion to and from numpy, selection of rows, texts for retrieval.

Numbers are converted without a copy, and without pyarrow's slow import of pandas.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Rows = TypeVar("Rows", pa.Table, pa.ChunkedArray)
_BLOCK_ROWS = 1 << 14  # of which the texts fit into one Arrow array
_TYPES: dict[pa.DataType, np.dtype[np.signedinteger]] = {
    pa.int64(): np.dtype(np.int64),
    pa.int32(): np.dtype(np.int32),
}


def to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """Convert a column of int32 or int64 without missing values to a numpy array."""
    dtype = _TYPES[column.type]
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset :][: len(chunk)]
        for chunk in column.chunks
        if len(chunk)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype), *parts])


def to_arrow(numbers: np.ndarray) -> pa.Array:
    """Convert a numpy array of int32 or int64 to an Arrow array of the same type."""
    arrow_type = next(arrow for arrow, dtype in _TYPES.items() if dtype == numbers.dtype)
    values = np.ascontiguousarray(numbers)
    return pa.Array.from_buffers(arrow_type, len(values), [None, pa.py_buffer(values)])


def is_in_ranges(rows: np.ndarray, ranges: Iterable[range]) -> np.ndarray:
    """Return whether each row number lies in one of the ranges; (rows,) bool."""
    is_in = np.zeros(len(rows), dtype=bool)
    for span in ranges:
        is_in |= (rows >= span.start) & (rows < span.stop)
    return is_in


def take_rows(data: Rows, rows: np.ndarray) -> Rows:
    """Return rows of a table or column by their numbers, in any order.

    Only the pieces that hold the rows are read. Arrow's own ``take`` joins all pieces first, and
    fails where the texts of a column are together longer than its offsets reach, 2 GiB.

    Examples
    --------
    >>> take_rows(pa.chunked_array([["a", "b"], ["c"]]), np.array([2, 0, 2])).to_pylist()
    ['c', 'a', 'c']
    """
    table = data if isinstance(data, pa.Table) else pa.table({"values": data})
    batches = table.to_batches()
    parts: list[pa.RecordBatch] = []
    for start in range(0, len(rows), _BLOCK_ROWS):
        parts += _take_block(batches, rows[start : start + _BLOCK_ROWS])
    selection = pa.Table.from_batches(parts, table.schema)
    return selection if isinstance(data, pa.Table) else selection["values"]


def _take_block(batches: Sequence[pa.RecordBatch], rows: np.ndarray) -> list[pa.RecordBatch]:
    """Return some rows of a table's batches, in their order."""
    ends = np.cumsum([len(batch) for batch in batches])
    order = np.argsort(rows, kind="stable")
    batch_numbers = np.searchsorted(ends, rows[order], side="right")
    parts = []
    for number in np.unique(batch_numbers).tolist():
        batch = batches[number]
        places = rows[order][batch_numbers == number] - (ends[number] - len(batch))
        parts.append(batch.take(to_arrow(places)))
    selection = pa.Table.from_batches(parts).combine_chunks()
    return selection.take(to_arrow(np.argsort(order))).to_batches()


def take_distinct(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """Return a column's value at each row, reading every distinct row once."""
    distinct, places = np.unique(rows, return_inverse=True)
    return take_rows(column, distinct).combine_chunks().take(to_arrow(places))


def empty_texts(n: int) -> pa.Array:
    """Return n empty strings."""
    offsets = pa.py_buffer(np.zeros(n + 1, dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), n, [None, offsets, pa.py_buffer(b"")])


def join_titles(passages: pa.Table) -> pa.ChunkedArray:
    """Join the title and text of each passage to the text that a model reads."""
    texts = pc.binary_join_element_wise(passages["title"], passages["text"], " ")
    return pc.if_else(pc.equal(passages["title"], ""), passages["text"], texts)
