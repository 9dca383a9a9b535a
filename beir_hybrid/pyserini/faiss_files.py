"""Files of faiss: indexes of vectors by inner product, written block by block where possible."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.progress import progress_bar

IndexKind = Literal["flat", "hnsw", "ivfpq", "sq8"]

_BLOCK_SIZE = 1 << 14  # vectors
_SEED = 13
_HNSW_LINKS, _HNSW_BUILD, _HNSW_SEARCH = 32, 200, 128  # links a vector, candidates of both steps
_CENTROIDS = 256  # of product quantisation, a byte each
_MIN_POINTS = 39  # vectors that faiss wants for each centroid
_TRAINING_POINTS = 64  # vectors for each centroid in training, where there are so many
_PROBES = 64  # lists that an IVF index searches

EmptyIndex = tuple[Any, dict[str, Any]]  # a trained faiss index without vectors, its parameters


def write_faiss(vectors: Embeddings, path: Path, kind: IndexKind) -> dict[str, Any]:
    """Write vectors as an index of inner products, and return its parameters.

    Flat and SQ8 indexes are streamed to the file block by block; the others are built in memory.
    """
    check_index_size(kind, len(vectors))
    index, parameters = _CONSTRUCTORS[kind](vectors)
    with progress_bar("indexing", len(vectors), unit="vectors") as advance:
        if kind in _CODE_UNITS:
            _stream_index(index, vectors, path, _CODE_UNITS[kind], advance)
        else:
            _fill_index(index, vectors, path, advance)
    stored_index = read_faiss(path, mapped=True)
    if (stored_index.ntotal, stored_index.d) != (len(vectors), vectors.dim):
        raise BadData(f"{path}: this faiss lays {type(index).__name__} out in another way")
    return {"class": type(index).__name__, "metric": "inner product", **parameters}


def read_faiss(path: Path, *, mapped: bool = False) -> Any:
    """Open an index; `mapped` leaves the bytes of flat and SQ8 indexes on disk."""
    import faiss

    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadData(f"{path} is missing, damaged or no index of faiss: {reason}") from error


def check_index_path(path: str | Path) -> None:
    """Raise `BadOption` for a path whose name has a special meaning for Pyserini."""
    if "bpr" in str(path):
        raise BadOption(f"Pyserini takes {path} for a BPR model's, by its 'bpr'; name another")


def check_index_size(kind: str, n: int | None = None) -> None:
    """Raise `BadOption` for an unknown kind, or if n vectors are too few to train the index."""
    lookup("kind of index", kind, _CONSTRUCTORS)
    required = _MIN_POINTS * _CENTROIDS
    if kind == "ivfpq" and n is not None and n < required:
        raise BadOption(
            f"an ivfpq index learns {_CENTROIDS} centroids from at least {required:,} passages, "
            f"and there are {n:,}; take flat, sq8 or hnsw"
        )


def _iterate_blocks(vectors: Embeddings) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _BLOCK_SIZE):
        yield vectors.take(slice(start, start + _BLOCK_SIZE))


def _create_flat(vectors: Embeddings) -> EmptyIndex:
    import faiss

    return faiss.IndexFlatIP(vectors.dim), {}


def _create_sq8(vectors: Embeddings) -> EmptyIndex:
    """Train an SQ8 index on two vectors: the minimum and the maximum of each dimension."""
    import faiss

    low = np.min([block.min(axis=0) for block in _iterate_blocks(vectors)], axis=0)
    high = np.max([block.max(axis=0) for block in _iterate_blocks(vectors)], axis=0)
    quantizer = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexScalarQuantizer(vectors.dim, quantizer, faiss.METRIC_INNER_PRODUCT)
    index.train(np.stack([low, high]))
    return index, {"bits": 8}


def _create_hnsw(vectors: Embeddings) -> EmptyIndex:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.dim, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = _HNSW_BUILD, _HNSW_SEARCH
    return index, {"M": _HNSW_LINKS, "efConstruction": _HNSW_BUILD, "efSearch": _HNSW_SEARCH}


def _create_ivfpq(vectors: Embeddings) -> EmptyIndex:
    import faiss

    n, dim = len(vectors), vectors.dim
    lists = min(int(4 * n**0.5), n // _MIN_POINTS)
    # About four dimensions a byte, and as many in each.
    size = next(size for size in range(max(dim // 4, 1), 0, -1) if dim % size == 0)
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFPQ(quantizer, dim, lists, size, 8, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = min(_PROBES, lists)
    sample_size = _TRAINING_POINTS * max(lists, _CENTROIDS)
    rows = np.arange(n)
    if n > sample_size:
        rows = np.sort(np.random.default_rng(_SEED).choice(n, sample_size, replace=False))
    index.train(vectors.take(rows))
    return index, {
        "nlist": lists,
        "nprobe": index.nprobe,
        "code size": size,
        "trained on": len(rows),
    }


_CONSTRUCTORS: dict[str, Callable[[Embeddings], EmptyIndex]] = {
    "flat": _create_flat,
    "hnsw": _create_hnsw,
    "ivfpq": _create_ivfpq,
    "sq8": _create_sq8,
}
# The kinds that can be streamed, and the unit, in bytes, in which faiss counts their codes.
_CODE_UNITS = {"flat": 4, "sq8": 1}


def _stream_index(
    index: Any, vectors: Embeddings, path: Path, unit: int, advance: Callable[[int], None]
) -> None:
    """Write the file that `faiss.write_index` would write if all vectors were in the index.

    The file of an index without vectors ends with a count of 0. In the file with vectors, that
    count and the number of vectors behind name and dimension (4 bytes each) are set, and the codes
    of the vectors follow.
    """
    import faiss

    header = bytearray(faiss.serialize_index(index).tobytes())
    size = index.sa_code_size()
    header[8:16] = np.int64(len(vectors)).tobytes()
    header[-8:] = np.int64(len(vectors) * size // unit).tobytes()
    with path.open("wb") as file:
        file.write(header)
        for block in _iterate_blocks(vectors):
            file.write(index.sa_encode(block).data)
            advance(len(block))


def _fill_index(
    index: Any, vectors: Embeddings, path: Path, advance: Callable[[int], None]
) -> None:
    import faiss

    for block in _iterate_blocks(vectors):
        index.add(block)
        advance(len(block))
    # Through a file object of Python, whose errors say why the disk refused.
    with path.open("wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined] # missing in faiss' stubs
