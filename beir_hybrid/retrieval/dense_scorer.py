"""Scores of dense retrieval: inner products of embeddings."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData
from beir_hybrid.retrieval.candidates import HostCandidates
from beir_hybrid.retrieval.scorer import BatchGolds, BatchPlan, QueryBatch

if TYPE_CHECKING:
    from beir_hybrid.retrieval.device_scorer import DevicePassages

_PAIR_QUERIES = 512  # queries whose vectors are in memory while pairs are scored
UNIT_ROUNDOFF = 2.0**-24  # half the distance from 1 to the next float32
UNDERFLOW = 2.0**-126  # the largest error of a product if the processor takes smaller ones for 0


@dataclass(frozen=True)
class DenseScorer:
    """A `Scorer` whose scores are inner products of embeddings; see `kernels` for their bits.

    Parameters
    ----------
    device
        ``"cuda"`` to score on a GPU, or another of torch's devices, such as ``"cpu:0"``; ``"cpu"``
        stands for numpy. By default a GPU if there is one.
    """

    queries: Embeddings
    passages: Embeddings
    device: str | None = None

    def __post_init__(self) -> None:
        if self.queries.dim != self.passages.dim:
            raise BadData(
                f"queries have {self.queries.dim} dimensions and passages {self.passages.dim}; "
                "they must come from one model"
            )

    @property
    def n_queries(self) -> int:
        """The number of queries."""
        return len(self.queries)

    @property
    def n_passages(self) -> int:
        """The number of passages."""
        return len(self.passages)

    @property
    def passage_bytes(self) -> int:
        """Memory of a vector."""
        return 4 * self.passages.dim

    @property
    def plan(self) -> BatchPlan:
        """How many queries and passages are scored at once."""
        if self._device_passages is None:
            return BatchPlan()
        from beir_hybrid.retrieval.device_scorer import DEVICE_PLAN

        return DEVICE_PLAN

    @cached_property
    def _device_passages(self) -> "DevicePassages | None":
        """The vectors of passages on the device, None if that is the processor."""
        device = self.device or _choose_device()
        if device == "cpu":
            return None
        from beir_hybrid.retrieval.device_scorer import DevicePassages

        return DevicePassages(self.passages, device)

    def bound_passages(self, passages: range) -> float:
        """Return the length of a block's longest vector; NaN if one of its numbers is."""
        vectors = self.passages.take(slice(passages.start, passages.stop))
        return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).max()))

    def open_batch(self, queries: range, bound: float) -> QueryBatch:
        """Load the vectors of a batch of queries, and bound the errors of its fast scores."""
        vectors = self.queries.take(slice(queries.start, queries.stop))
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        if not (lengths * bound < np.finfo(np.float32).max).all():
            raise BadData(
                "embeddings hold NaN, infinity, or numbers so large that scores are no float32; "
                "is the model damaged, or its arithmetic too narrow?"
            )
        # Errors of dim products and sums, whatever their order; 16 for the roundings here.
        n_roundings = self.queries.dim + 16
        margin = (lengths * bound * UNIT_ROUNDOFF + UNDERFLOW) * n_roundings
        batch = _DenseBatch(vectors, margin.astype(np.float32), self.passages)
        if self._device_passages is None:
            return batch
        from beir_hybrid.retrieval.device_scorer import DeviceBatch

        return DeviceBatch.from_host(batch, vectors, self._device_passages, lengths * bound)

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores, (n,) float32, of pairs of rows; `queries` ascend."""
        scores = np.empty(len(queries), np.float32)
        for start in range(0, len(self.queries), _PAIR_QUERIES):
            stop = min(start + _PAIR_QUERIES, len(self.queries))
            pairs = slice(*np.searchsorted(queries, [start, stop]).tolist())
            vectors = self.queries.take(slice(start, stop))
            scores[pairs] = _dot_rows(
                vectors, queries[pairs] - start, self.passages, passages[pairs]
            )
        return scores

    def without_passages(self) -> "DenseScorer":
        """Return a scorer with all vectors of queries in memory, and no passages."""
        queries, no_passages = self.queries.take(slice(None)), np.empty((0, self.queries.dim))
        return DenseScorer(_wrap(queries), _wrap(no_passages), "cpu")

    def load_passages(self, rows: range) -> np.ndarray:
        """Return vectors of passages in memory."""
        return self.passages.take(slice(rows.start, rows.stop))

    def with_passages(self, passages: object) -> "DenseScorer":
        """Return a scorer of the same queries and of vectors of passages."""
        vectors = np.asarray(passages)
        # From another process arrays come read-only; the kernels would be compiled again for those.
        queries = np.array(self.queries.shards[0])
        return DenseScorer(Embeddings.from_array(queries), Embeddings.from_array(vectors), "cpu")


@dataclass(frozen=True)
class _DenseBatch:
    """Vectors of a batch of queries."""

    vectors: np.ndarray  # (queries, dim) float32
    margin: np.ndarray  # (queries,) float32
    passages: Embeddings

    def score_block(self, passages: range, memory: np.ndarray | None = None) -> "_DenseBlock":
        """Multiply the batch with a block of passages."""
        vectors = self.passages.take(slice(passages.start, passages.stop))
        shape = len(self.vectors), len(vectors)
        out = None if memory is None else memory.reshape(shape)
        return _DenseBlock(np.matmul(self.vectors, vectors.T, out=out), self, vectors)

    def open_candidates(self, depth: int) -> HostCandidates:
        """Return candidates for at most so many best passages of each query."""
        return HostCandidates(self, depth)

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores of pairs of a query of the batch and a passage."""
        return _dot_rows(self.vectors, queries, self.passages, passages)

    def score_all(self, query: int, passages: range) -> np.ndarray:
        """Return exact scores of one query of the batch and a block of passages."""
        from beir_hybrid.retrieval.kernels import dot_all

        vectors = self.passages.take(slice(passages.start, passages.stop))
        scores: np.ndarray = dot_all(self.vectors[query], vectors)
        return scores


@dataclass(frozen=True)
class _DenseBlock:
    """The product of a batch of queries and a block of passages."""

    scores: np.ndarray  # (queries, passages) float32
    batch: _DenseBatch
    vectors: np.ndarray  # (passages, dim) float32

    def count_above(self, golds: BatchGolds, id_order: np.ndarray, counts: np.ndarray) -> None:
        """Count by the product, and by exact scores where products are too close to tell."""
        from beir_hybrid.retrieval.kernels import count_dense_above

        batch = self.batch
        count_dense_above(
            self.scores, batch.vectors, self.vectors, batch.margin, id_order, golds, counts
        )


def _dot_rows(
    queries: np.ndarray, query_rows: np.ndarray, passages: Embeddings, passage_rows: np.ndarray
) -> np.ndarray:
    """Return the exact score of each pair of rows; vectors of passages are read shard by shard."""
    from beir_hybrid.retrieval.kernels import dot_pairs

    scores = np.empty(len(query_rows), np.float32)
    numbers = passages.shard_numbers[passage_rows]
    shard_rows = passages.shard_rows[passage_rows]
    for number in np.flatnonzero(np.bincount(numbers)).tolist():
        in_shard = np.flatnonzero(numbers == number)
        vectors, rows = np.asarray(passages.shards[number]), shard_rows[in_shard]
        if vectors.dtype != np.float32:
            vectors = vectors[rows].astype(np.float32)
            rows = np.arange(len(rows), dtype=rows.dtype)
        scores[in_shard] = dot_pairs(queries, vectors, query_rows[in_shard], rows)
    return scores


def _wrap(vectors: np.ndarray) -> Embeddings:
    """Return embeddings of an array without checking its numbers again."""
    n = len(vectors)
    return Embeddings([vectors], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))


@cache
def _choose_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
