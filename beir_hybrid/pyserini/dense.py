"""Dense indexes: open one for the queries of its model, search it, and verify its files.

The folder of an index holds ``index`` (faiss), ``docid`` (an id a line), ``manifest.json`` and, if
its vectors are calibrated, the folder ``calibration``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.calibration import Calibration
from beir_hybrid.checks import check_positive
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows
from beir_hybrid.collection.shards import find_rows
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder
from beir_hybrid.encoding.embeddings import check_rows
from beir_hybrid.encoding.fingerprint import list_differences
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import explain_read_errors
from beir_hybrid.pyserini.faiss_files import read_faiss
from beir_hybrid.pyserini.index_calibration import (
    correct_queries,
    find_calibration,
    find_query_languages,
    load_index_calibration,
)
from beir_hybrid.pyserini.language_search import (
    Hits,
    find_language_rows,
    list_hits,
    merge_hits,
    search_rows,
)
from beir_hybrid.pyserini.manifest import (
    DOCID,
    IMPACT,
    INDEX,
    MANIFEST,
    IndexManifest,
    list_shards,
    read_fingerprint,
    read_manifest,
    verify_index_files,
)
from beir_hybrid.retrieval import TopPassages
from beir_hybrid.retrieval.merging import MergeMethod

_SAMPLE_SIZE = 16  # vectors that are encoded anew to verify an index
# The least cosine between a vector and its copy in an index.
_MIN_COSINES = {"flat": 0.9999, "hnsw": 0.9999, "sq8": 0.99, "ivfpq": 0.5}


@dataclass(frozen=True, eq=False)
class DenseIndex:
    """An open index and the encoder of its queries.

    Attributes
    ----------
    calibration
        What takes language bias out of queries and rankings; None if the index has none.
    """

    folder: Path
    faiss: Any
    ids: list[str]
    manifest: IndexManifest
    encoder: Encoder
    calibration: Calibration | None = None

    @property
    def merge(self) -> MergeMethod | None:
        """How the rankings of languages are merged; None compares scores as they are."""
        return self.calibration.method.merge if self.calibration else None

    @cached_property
    def language_rows(self) -> dict[str, range]:
        """The rows of the passages of each language."""
        return find_language_rows(self.ids, str(self.folder / DOCID))

    def find_nearest(self, vectors: np.ndarray, k: int) -> TopPassages:
        """Return the k best rows and their scores for (n, dim) queries; -1 past the last row."""
        scores, rows = self.faiss.search(np.ascontiguousarray(vectors, np.float32), k)
        return TopPassages(rows, scores)

    def search_vectors(self, vectors: np.ndarray, k: int) -> list[Hits]:
        """Return the ids and scores of the k best passages for each of (n, dim) queries.

        Vectors are those of `encode_queries`. If the calibration merges languages, each is searched
        by itself, and scores are the comparable ones.
        """
        if self.merge is None:
            return list_hits(self.find_nearest(vectors, min(k, len(self.ids))), self.ids)
        method, depth = self.merge, max(k, self.merge.k)
        sizes = {language: len(rows) for language, rows in self.language_rows.items()}
        columns = [self.search_language(vectors, depth, language) for language in sizes]
        return [
            merge_hits(dict(zip(sizes, hits, strict=True)), sizes, method, k)
            for hits in zip(*columns, strict=True)
        ]

    def search_language(self, vectors: np.ndarray, k: int, language: str) -> list[Hits]:
        """Return the ids and scores of the k best passages in a language for each query."""
        if language not in self.language_rows:
            return [[] for _ in vectors]
        rows, kind = self.language_rows[language], self.manifest["kind"]
        vectors = np.ascontiguousarray(vectors, np.float32)
        return list_hits(search_rows(self.faiss, kind, vectors, k, rows), self.ids)

    def encode_queries(self, queries: Sequence[str], languages: Sequence[str | None]) -> np.ndarray:
        """Return the vectors of queries, corrected by the language of each, (n, dim) float32."""
        vectors = check_rows(self.encoder.encode_queries(queries), len(queries), self.faiss.d)
        return correct_queries(vectors, languages, self.calibration)

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        query_language: str | Sequence[str | None] | None = None,
    ) -> list[Hits]:
        """Return the ids and scores of the k best passages for each query.

        Parameters
        ----------
        query_language
            The language of the queries, or of each of them, by which a calibrated index corrects
            their vectors. By default it is detected, which takes the extra ``detect``; queries in a
            language without statistics are treated as a warning says.
        """
        check_positive(k=k)
        languages = find_query_languages(queries, query_language, self.calibration)
        return self.search_vectors(self.encode_queries(queries, languages), k)


def open_index(
    folder: str | Path,
    model: object,
    *,
    calibration: object = None,
    force: bool = False,
    **options: object,
) -> DenseIndex:
    """Open an index and the model for its queries.

    Files are compared with their checksums, once in a process.

    Parameters
    ----------
    model, options
        The query encoder, as in `build_index`.
    calibration
        For an index that has none: one that merges languages (``local:k=3``) or corrects queries
        alone.
    force
        Accept another model than the index was built with.

    Examples
    --------
    >>> index = open_index("e5-index", "intfloat/multilingual-e5-small")  # doctest: +SKIP
    >>> index.search(["Who ruled the duchy of Normandy?"], k=3)  # doctest: +SKIP
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest["kind"] == IMPACT:
        raise BadOption(f"{folder} is an impact index: beir-hybrid search and Pyserini search it")
    encoder = as_encoder(model, **options)
    if not force:
        check_model(folder, manifest, encoder)
    verify_index_files(folder, manifest)
    own_calibration = load_index_calibration(folder, manifest)
    if calibration is not None:
        own_calibration = _choose_calibration(folder, own_calibration, calibration, encoder)
    files = _read_files(folder, manifest)
    return DenseIndex(folder, files.faiss, files.ids, manifest, encoder, own_calibration)


def _choose_calibration(
    folder: Path, own_calibration: Calibration | None, calibration: object, encoder: Encoder
) -> Calibration | None:
    """Return the calibration for a search; raise `BadOption` if passages lack or have another."""
    if own_calibration is not None:
        raise BadOption(f"{folder} is calibrated already, by {own_calibration}")
    choice = find_calibration(calibration, encoder, merges=True)
    if choice and "passages" in choice.corrections:
        raise BadOption(
            f"{choice} corrects passages, and those of {folder} are stored as they were: build the "
            "index with the calibration"
        )
    return choice


def check_model(folder: Path, manifest: IndexManifest, encoder: Encoder) -> None:
    """Raise `BadOption` if an index was built with another model."""
    index_facts = read_fingerprint(manifest) or {}
    if changes := list_differences(index_facts, encoder.fingerprint):
        name = manifest["model"]["name"] if "model" in manifest else None
        raise BadOption(
            f"{folder} was built with {name}; the query encoder differs in its "
            f"{' and '.join(changes)}: take that model, or force it"
        )


def _read_passage_ids(folder: Path, n: int) -> list[str]:
    with explain_read_errors(folder / DOCID, "is no list of ids"):
        ids = (folder / DOCID).read_text("utf-8").splitlines()
    if len(ids) != n:
        raise BadData(f"{folder / DOCID} has {len(ids):,} ids, {INDEX} beside it {n:,} vectors")
    return ids


def verify_index(
    folder: str | Path,
    model: object = None,
    collection: Collection | None = None,
    **options: object,
) -> list[IndexManifest]:
    """Verify an index, or each of its shards, and return the manifests.

    Checksums, the numbers of ids and vectors, and the dimension are checked; with the model and the
    collection, some passages are encoded anew as well, and compared with their vectors.

    Raises
    ------
    BadData
        If a file is damaged or missing, or a vector is not what the model makes of its text.
    BadOption
        If there is a model without a collection, or a collection without a model.
    """
    if (model is None) != (collection is None):
        raise BadOption(
            "a model and a dataset verify the vectors together; give both, or neither to check "
            "the files alone"
        )
    encoder = None if model is None else as_encoder(model, **options)
    manifests = []
    for shard in list_shards(folder):
        manifest = read_manifest(shard)
        verify_index_files(shard, manifest, anew=True)
        if manifest["kind"] == IMPACT:
            if encoder is not None:
                raise BadOption(f"{shard} is an impact index, of which files alone are checked")
            manifests.append(manifest)
            continue
        index = _read_files(shard, manifest, mapped=True)
        if encoder is not None and collection is not None:
            check_model(shard, index.manifest, encoder)
            _compare_vectors(index, encoder, collection)
        manifests.append(index.manifest)
    return manifests


class _IndexFiles(NamedTuple):
    """The files of an index, as they were read."""

    folder: Path
    faiss: Any
    ids: list[str]
    manifest: IndexManifest


def _read_files(folder: Path, manifest: IndexManifest, *, mapped: bool = False) -> _IndexFiles:
    """Read an index, or raise `BadData` unless the numbers of ids and vectors are right."""
    faiss_index = read_faiss(folder / INDEX, mapped=mapped)
    ids = _read_passage_ids(folder, faiss_index.ntotal)
    if (faiss_index.ntotal, faiss_index.d) != (manifest["passages"], manifest["dim"]):
        raise BadData(f"{folder / INDEX} is not what {MANIFEST} beside it describes")
    return _IndexFiles(folder, faiss_index, ids, manifest)


def _compare_vectors(index: _IndexFiles, encoder: Encoder, collection: Collection) -> None:
    """Compare some vectors of an index with new ones of the same passages."""
    folder, ids, kind = index.folder, index.ids, index.manifest["kind"]
    documents = collection.view(None, index.manifest["languages"]).passages
    sample = np.unique(np.linspace(0, len(ids) - 1, _SAMPLE_SIZE).astype(np.int64))
    rows = find_rows(documents["id"], pa.array([ids[number] for number in sample]))
    if (rows < 0).any():
        missing_id = ids[sample[int(np.argmin(rows))]]
        raise BadData(f"{folder} holds {missing_id!r}, which {collection.name} lacks")
    texts = join_titles(take_rows(documents, rows)).to_pylist()
    vectors = encoder.encode_passages(texts)
    if calibration := load_index_calibration(folder, index.manifest):
        sample_ids = [ids[number] for number in sample]
        ranges = find_language_rows(sample_ids, str(folder / DOCID))
        calibrated = calibration.correct(Embeddings.from_array(vectors), ranges, "passages")
        vectors = calibrated.take(slice(None))
    if kind == "ivfpq":
        index.faiss.make_direct_map()
    for number, vector in zip(sample.tolist(), vectors, strict=True):
        stored_vector = index.faiss.reconstruct(number)
        difference = float(np.linalg.norm(stored_vector - vector))
        if difference > np.sqrt(2 - 2 * _MIN_COSINES[kind]) * float(np.linalg.norm(vector)):
            raise BadData(
                f"{folder}: the vector of {ids[number]!r} is not what the model makes of its text"
            )
