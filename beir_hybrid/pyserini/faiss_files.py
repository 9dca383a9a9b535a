"""Vectors and a kind of index in, a file that faiss reads out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.progress import progress

Kind = Literal["flat", "hnsw", "ivfpq", "sq8"]

_BLOCK = 1 << 14  # vectors a block
_SEED = 13
_LINKS, _BUILD, _SEARCH = 32, 200, 128  # HNSW: links a vector, candidates of building and searching
_CENTROIDS = 256  # of product quantisation, a byte each
_POINTS = 39  # vectors that faiss wants for each centroid
_SAMPLE = 64  # vectors that it gets, where there are so many
_PROBES = 64  # lists that an IVF index looks through

Made = tuple[Any, dict[str, Any]]  # an index without vectors, trained, and its parameters


def write_faiss(vectors: Embeddings, path: Path, kind: Kind) -> dict[str, Any]:
    """Write vectors as an index of inner products, and return what describes it.

    Flat and SQ8 indexes pass by block by block; the others are built in memory.
    """
    check_size(kind, len(vectors))
    index, parameters = _MAKERS[kind](vectors)
    with progress("indexing", len(vectors), unit="vectors") as advance:
        if kind in _UNITS:
            _stream(index, vectors, path, _UNITS[kind], advance)
        else:
            _fill(index, vectors, path, advance)
    opened = read_faiss(path, mapped=True)
    if (opened.ntotal, opened.d) != (len(vectors), vectors.dim):
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


def check_path(path: str | Path) -> None:
    """Raise `BadOption` for a path that Pyserini would read something into."""
    if "bpr" in str(path):
        raise BadOption(f"Pyserini takes {path} for a BPR model's, by its 'bpr'; name another")


def check_size(kind: str, n: int | None = None) -> None:
    """Raise `BadOption` if there is no such kind, or so few vectors do not make one."""
    lookup("kind of index", kind, _MAKERS)
    needed = _POINTS * _CENTROIDS
    if kind == "ivfpq" and n is not None and n < needed:
        raise BadOption(
            f"an ivfpq index learns {_CENTROIDS} centroids from at least {needed:,} passages, "
            f"and there are {n:,}; take flat, sq8 or hnsw"
        )


def _blocks(vectors: Embeddings) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _BLOCK):
        yield vectors.take(slice(start, start + _BLOCK))


def _flat(vectors: Embeddings) -> Made:
    import faiss

    return faiss.IndexFlatIP(vectors.dim), {}


def _sq8(vectors: Embeddings) -> Made:
    """Learn each dimension's range: that of all vectors is that of two, the least and the most."""
    import faiss

    low = np.min([block.min(axis=0) for block in _blocks(vectors)], axis=0)
    high = np.max([block.max(axis=0) for block in _blocks(vectors)], axis=0)
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexScalarQuantizer(vectors.dim, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(np.stack([low, high]))
    return index, {"bits": 8}


def _hnsw(vectors: Embeddings) -> Made:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.dim, _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = _BUILD, _SEARCH
    return index, {"M": _LINKS, "efConstruction": _BUILD, "efSearch": _SEARCH}


def _ivfpq(vectors: Embeddings) -> Made:
    import faiss

    n, dim = len(vectors), vectors.dim
    lists = min(int(4 * n**0.5), n // _POINTS)
    # About four dimensions a byte, and as many in each.
    size = next(size for size in range(max(dim // 4, 1), 0, -1) if dim % size == 0)
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFPQ(quantizer, dim, lists, size, 8, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = min(_PROBES, lists)
    most = _SAMPLE * max(lists, _CENTROIDS)
    rows = np.arange(n)
    if n > most:
        rows = np.sort(np.random.default_rng(_SEED).choice(n, most, replace=False))
    index.train(vectors.take(rows))
    trained = {"nlist": lists, "nprobe": index.nprobe, "code size": size, "trained on": len(rows)}
    return index, trained


_MAKERS: dict[str, Callable[[Embeddings], Made]] = {
    "flat": _flat,
    "hnsw": _hnsw,
    "ivfpq": _ivfpq,
    "sq8": _sq8,
}
# Those whose vectors are written as they come, and the bytes that faiss counts them in.
_UNITS = {"flat": 4, "sq8": 1}


def _stream(
    index: Any, vectors: Embeddings, path: Path, unit: int, advance: Callable[[int], None]
) -> None:
    """Write the file that `faiss.write_index` would write if all vectors were in the index.

    The file of an index without vectors ends with a count of 0. With vectors, that count and the
    one behind name and dimension (4 bytes each) are others, and the vectors' codes follow.
    """
    import faiss

    head = bytearray(faiss.serialize_index(index).tobytes())
    size = index.sa_code_size()
    head[8:16] = np.int64(len(vectors)).tobytes()
    head[-8:] = np.int64(len(vectors) * size // unit).tobytes()
    with path.open("wb") as file:
        file.write(head)
        for block in _blocks(vectors):
            file.write(index.sa_encode(block).data)
            advance(len(block))


def _fill(index: Any, vectors: Embeddings, path: Path, advance: Callable[[int], None]) -> None:
    import faiss

    for block in _blocks(vectors):
        index.add(block)
        advance(len(block))
    # Through a file of Python's, which says what the disk refused.
    with path.open("wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined] # their stubs lack it
