"""Arrow tables of groups, with a column for each part (as queries) and language."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.pairs.images import IMAGE_PATH


def find_present(texts: pa.ChunkedArray) -> np.ndarray:
    """Mark the texts that are not null, (n,) bool."""
    present = [
        np.unpackbits(np.frombuffer(pc.is_valid(chunk).buffers()[1], np.uint8), bitorder="little")[
            : len(chunk)
        ].astype(bool)
        for chunk in texts.chunks
    ]
    return np.concatenate(present) if present else np.zeros(0, bool)


def add_language_columns(table: pa.Table, languages: Sequence[str], negatives: int) -> pa.Table:
    """Return a table with columns for all languages, in one order; new columns are null."""
    columns = {"id": table["id"]}
    for lang in languages:
        for part in ("query", "positive", *(["negative"] if negatives else [])):
            name = f"{part}.{lang}"
            arrow_type = pa.list_(pa.string()) if part == "negative" else pa.string()
            if name in table.schema.names:
                columns[name] = table[name]
            else:
                columns[name] = pa.chunked_array([pa.nulls(len(table), arrow_type)])
    if IMAGE in languages:
        nulls = pa.chunked_array([pa.nulls(len(table), pa.string())])
        has_paths = IMAGE_PATH in table.schema.names
        columns[IMAGE_PATH] = table[IMAGE_PATH] if has_paths else nulls
    return pa.table(columns)
