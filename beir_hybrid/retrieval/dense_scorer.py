"""Scores of dense retrieval: inner products of embeddings."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData
from beir_hybrid.retrieval.dense_batch import UNDERFLOW, UNIT_ROUNDOFF, DenseBatch, dot_rows
from beir_hybrid.retrieval.scorer import BatchDemand, BatchPlan, QueryBatch

if TYPE_CHECKING:
    from beir_hybrid.retrieval.device_scorer import DevicePassages

_PAIR_QUERIES = 512  # queries whose vectors are in memory while pairs are scored


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
    def _centre(self) -> np.ndarray | None:
        """What products in bfloat16 take out of the passages, None if these are of no use."""
        if self._device_passages is not None:
            return None
        from beir_hybrid.retrieval.coarse_scorer import find_centre

        return find_centre(self.queries, self.passages)

    @cached_property
    def _device_passages(self) -> "DevicePassages | None":
        """The vectors of passages on the device, None if that is the processor."""
        device = self.device or _choose_device()
        if device == "cpu":
            return None
        from beir_hybrid.retrieval.device_scorer import DevicePassages

        return DevicePassages(self.passages, device)

    def bound_passages(self, passages: range) -> np.ndarray:
        """Return the length of a block's longest vector; NaN if one of its numbers is.

        Where products in bfloat16 may pay, also the largest length less the centre, and the largest
        of what rounding takes from that.
        """
        vectors = self.passages.take(slice(passages.start, passages.stop))
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
        bound = np.sqrt(squares.max(keepdims=True))
        if self._centre is None:
            return bound
        from beir_hybrid.retrieval.coarse_kernels import measure_rows

        return np.append(bound, measure_rows(vectors, self._centre))

    def open_batch(
        self, queries: range, bound: np.ndarray, demand: BatchDemand | None = None
    ) -> QueryBatch:
        """Load the vectors of a batch of queries, and bound the errors of its fast scores."""
        vectors = self.queries.take(slice(queries.start, queries.stop))
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        longest = bound[0]
        if not (lengths * longest < np.finfo(np.float32).max).all():
            raise BadData(
                "embeddings hold NaN, infinity, or numbers so large that scores are no float32; "
                "is the model damaged, or its arithmetic too narrow?"
            )
        # Errors of dim products and sums, whatever their order; 16 for the roundings here.
        n_roundings = self.queries.dim + 16
        margin = (lengths * longest * UNIT_ROUNDOFF + UNDERFLOW) * n_roundings
        batch = DenseBatch(vectors, margin.astype(np.float32), self.passages)
        if self._device_passages is not None:
            from beir_hybrid.retrieval.device_scorer import DeviceBatch

            return DeviceBatch.from_host(batch, vectors, self._device_passages, lengths * longest)
        if self._centre is None or demand is None:
            return batch
        from beir_hybrid.retrieval.coarse_scorer import open_coarse

        return open_coarse(batch, self._centre, bound, demand) or batch

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores, (n,) float32, of pairs of rows; `queries` ascend."""
        scores = np.empty(len(queries), np.float32)
        for start in range(0, len(self.queries), _PAIR_QUERIES):
            stop = min(start + _PAIR_QUERIES, len(self.queries))
            pairs = slice(*np.searchsorted(queries, [start, stop]).tolist())
            vectors = self.queries.take(slice(start, stop))
            scores[pairs] = dot_rows(
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


def _wrap(vectors: np.ndarray) -> Embeddings:
    """Return embeddings of an array without checking its numbers again."""
    n = len(vectors)
    return Embeddings([vectors], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))


@cache
def _choose_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
