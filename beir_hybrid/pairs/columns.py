"""Tables of texts, a column a part and language, in; which are there, and tables alike, out."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.pairs.images import PATH


def there(texts: pa.ChunkedArray) -> np.ndarray:
    """Return which texts there are."""
    valid = [
        np.unpackbits(np.frombuffer(pc.is_valid(chunk).buffers()[1], np.uint8), bitorder="little")[
            : len(chunk)
        ].astype(bool)
        for chunk in texts.chunks
    ]
    return np.concatenate(valid) if valid else np.zeros(0, bool)


def widened(table: pa.Table, languages: Sequence[str], negatives: int) -> pa.Table:
    """Return a table with columns for all languages, in one order."""
    columns = {"id": table["id"]}
    for lang in languages:
        for part in ("query", "positive", *(["negative"] if negatives else [])):
            name = f"{part}.{lang}"
            kind = pa.list_(pa.string()) if part == "negative" else pa.string()
            known = name in table.schema.names
            columns[name] = table[name] if known else pa.chunked_array([pa.nulls(len(table), kind)])
    if IMAGE in languages:
        none = pa.chunked_array([pa.nulls(len(table), pa.string())])
        columns[PATH] = table[PATH] if PATH in table.schema.names else none
    return pa.table(columns)


def taken(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Return rows of a table, in its order; no column is ever in one piece, which may not fit."""
    parts, first = [], 0
    for batch in table.to_batches():
        mine = rows[(rows >= first) & (rows < first + len(batch))] - first
        first += len(batch)
        if len(mine):
            parts.append(batch.take(to_arrow(mine)))
    return pa.Table.from_batches(parts, table.schema)
