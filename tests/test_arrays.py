"""Rows of tables and columns, taken without joining their pieces."""

import numpy as np
import pyarrow as pa
import pytest

from beir_hybrid.collection.arrays import take_rows


def test_rows_come_in_any_order_from_all_pieces() -> None:
    rng = np.random.default_rng(7)
    texts = [f"text {number}" for number in range(60_000)]
    pieces = np.split(np.arange(60_000), np.sort(rng.integers(0, 60_000, 40)))  # some are empty
    column = pa.chunked_array([[texts[n] for n in piece] for piece in pieces], pa.string())
    for rows in (
        np.arange(60_000),
        rng.permutation(60_000),
        rng.integers(0, 60_000, 50_000),
        np.array([59_999, 0, 59_999]),
        np.empty(0, np.int64),
    ):
        assert take_rows(column, rows).to_pylist() == [texts[row] for row in rows]
        table = pa.table({"text": column, "lists": column.combine_chunks()})
        taken = take_rows(table, rows)
        assert taken["lists"].to_pylist() == taken["text"].to_pylist()
        assert taken["text"].to_pylist() == [texts[row] for row in rows]


def test_a_column_may_be_longer_than_offsets_reach() -> None:
    piece = pa.array(["x" * 1_000_000, "short"])
    column = pa.chunked_array([piece] * 2_200)  # 2.2 GB of text, 1 MB of memory
    rows = np.array([4_399, 1, 2_201])
    with pytest.raises(pa.ArrowInvalid, match="offset overflow"):
        column.take(pa.array(rows))
    assert take_rows(column, rows).to_pylist() == ["short"] * 3
