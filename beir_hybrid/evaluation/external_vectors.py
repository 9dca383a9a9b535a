"""Reads vectors that another tool made of a collection's queries and passages."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.array_files import map_array
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_numpy
from beir_hybrid.encoding import Embeddings
from beir_hybrid.encoding.embeddings import check_rows
from beir_hybrid.errors import BadData
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.files import explain_read_errors, is_file, sha256
from beir_hybrid.results.provenance import ModelProvenance


def read_vectors(folder: str | Path, collection: Collection) -> CollectionVectors:
    """Read vectors that another tool made of a collection's queries and passages.

    The folder holds ``queries.npy`` and ``passages.npy``, arrays of shape (n, dim) whose inner
    products are the scores, and ``queries.txt`` and ``passages.txt`` with the id of each row, one a
    line. Order is free; every query and passage must have one row.

    Examples
    --------
    >>> vectors = read_vectors("folder", collection)  # doctest: +SKIP
    >>> results = bh.evaluate(vectors, collection)  # doctest: +SKIP
    """
    folder = Path(folder)
    queries = _read_vector_rows(folder, "queries", collection.queries["id"])
    passages = _read_vector_rows(folder, "passages", collection.passages["id"])
    checksums = {role: sha256(folder / f"{role}.npy") for role in ("queries", "passages")}
    checksums |= {f"ids of {role}": sha256(folder / f"{role}.txt") for role in list(checksums)}
    model = ModelProvenance(folder.resolve().name, fingerprint={"kind": "vectors", **checksums})
    return CollectionVectors(queries, passages, model)


def _read_vector_rows(folder: Path, role: str, ids: pa.ChunkedArray) -> Embeddings:
    """Read the vectors of queries or passages, in the order of their ids."""
    array_path, ids_path = folder / f"{role}.npy", folder / f"{role}.txt"
    for path in (array_path, ids_path):
        if not is_file(path):
            raise BadData(f"{folder} lacks {path.name}: it takes {role}.npy and {role}.txt")
    vectors = _read_array(array_path)
    row_ids = _read_row_ids(ids_path)
    try:
        check_rows(vectors, len(row_ids))
    except BadData as error:
        raise BadData(f"{array_path}: {error}") from error
    distinct = len(row_ids.unique())
    if len(row_ids) != len(ids) or distinct < len(row_ids):
        raise BadData(
            f"{ids_path} has {distinct:,} ids in {len(row_ids):,} lines; wanted {len(ids):,}"
        )
    place = pc.index_in(ids, row_ids.combine_chunks())
    if place.null_count:
        missing_id = ids.filter(pc.is_null(place))[0].as_py()
        raise BadData(f"{ids_path} lacks {place.null_count:,} {role}, first {missing_id!r}")
    places = to_numpy(pa.chunked_array(place.chunks) if hasattr(place, "chunks") else place)
    return Embeddings([vectors], np.zeros(len(ids), np.int32), places.astype(np.int32))


def _read_array(path: Path) -> np.ndarray:
    """Map an array of numbers into memory."""
    with explain_read_errors(path, "is no array of numbers"):
        array = map_array(path)
        if array.dtype.kind not in "fiu":
            raise BadData(f"{path} holds {array.dtype}, no numbers")
    return array


def _read_row_ids(path: Path) -> pa.ChunkedArray:
    with explain_read_errors(path, "is not UTF-8"):
        return pa.chunked_array([pa.array(path.read_text("utf-8-sig").splitlines(), pa.string())])
