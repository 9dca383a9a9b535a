"""A checksum of the content of a collection, by which two of the same name are told apart."""

import hashlib

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.arrays import to_numpy
from beir_hybrid.collection.tables import CollectionTables

_TEXT_COLUMNS = ("id", "group", "title", "text")


def hash_collection(collection: CollectionTables) -> str:
    """Return a SHA-256 of a collection's ids, texts and judgements.

    Of an image the text is the checksum of its file, which may lie anywhere.
    """
    checksum = hashlib.sha256(repr((collection.languages, collection.title_policy)).encode())
    for table in (collection.queries, collection.passages):
        for name in _TEXT_COLUMNS:
            if name in table.column_names:
                _add_texts(checksum, table[name])
    for name in collection.judgements.column_names:
        checksum.update(to_numpy(collection.judgements[name]).tobytes())
    return checksum.hexdigest()


def _add_texts(checksum: "hashlib._Hash", column: pa.ChunkedArray) -> None:
    """Add the lengths of texts and the texts to a checksum, in whatever chunks they lie."""
    chunks = [chunk.cast(pa.large_string()).fill_null("") for chunk in column.chunks]
    bounds = [
        np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset :][: len(chunk) + 1]
        for chunk in chunks
        if len(chunk)
    ]
    for offsets in bounds:
        checksum.update(np.diff(offsets).tobytes())
    for chunk, offsets in zip(filter(len, chunks), bounds, strict=True):
        if data := chunk.buffers()[2]:
            checksum.update(data[offsets[0] : offsets[-1]])
