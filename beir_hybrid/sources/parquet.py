"""Parquet files of the hub, row by row; complaints name the file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from beir_hybrid.errors import BadData
from beir_hybrid.files import explain_read_errors


def read_parquet(path: Path, columns: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file with some of its columns, reading `rows` at a time."""
    import pyarrow.parquet as pq

    with (
        explain_read_errors(path, "is damaged or no Parquet file"),
        # A buffer would hold whole columns in memory.
        pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file,
    ):
        if absent := [name for name in columns if name not in file.schema_arrow.names]:
            raise BadData(f"{path} has no column {absent[0]!r}")
        for batch in file.iter_batches(rows, columns=list(columns)):
            yield from batch.to_pylist()
