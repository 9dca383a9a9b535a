"""Base class of scorers that compute exact scores block by block: sparse, late interaction, ..."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from beir_hybrid.retrieval.candidates import HostCandidates
from beir_hybrid.retrieval.scorer import BatchDemand, BatchGolds, BatchPlan, Scorer


class ExactScorer(ABC):
    """A `Scorer` whose blocks of scores are exact.

    The score of a pair must be the same float32 in every block: sums are computed in one order,
    whatever the other queries and passages of the block. A product of sparse matrices by scipy is
    such a sum; a product of dense matrices is not, see `kernels`.
    """

    @property
    @abstractmethod
    def n_queries(self) -> int:
        """The number of queries."""

    @property
    @abstractmethod
    def n_passages(self) -> int:
        """The number of passages."""

    @property
    @abstractmethod
    def passage_bytes(self) -> int:
        """Memory that a passage takes, on average."""

    @abstractmethod
    def score_rows(self, queries: range, passages: range) -> np.ndarray:
        """Return the exact scores of a block, (queries, passages) float32."""

    @abstractmethod
    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return the exact scores of pairs of rows, (n,) float32."""

    @abstractmethod
    def without_passages(self) -> Scorer:
        """Return a scorer with all queries in memory, and no passages."""

    @abstractmethod
    def load_passages(self, rows: range) -> object:
        """Return passages in memory."""

    @abstractmethod
    def with_passages(self, passages: object) -> Scorer:
        """Return a scorer of the same queries and of passages that `load_passages` returned."""

    @property
    def plan(self) -> BatchPlan:
        """How many queries and passages are scored at once."""
        return BatchPlan()

    def bound_passages(self, passages: range) -> np.ndarray:  # noqa: ARG002 - there is no need
        """Return 0: exact scores need no bound."""
        return np.zeros(1)

    def open_batch(
        self, queries: range, bound: np.ndarray, demand: BatchDemand | None = None
    ) -> "_ExactBatch":
        """Return a batch of queries."""
        del bound, demand
        return _ExactBatch(self, queries)


@dataclass(frozen=True)
class _ExactBatch:
    """A batch of queries of an exact scorer."""

    scorer: ExactScorer
    queries: range

    @property
    def margin(self) -> np.ndarray:
        """Zeros: scores are exact."""
        return np.zeros(len(self.queries), np.float32)

    def score_block(self, passages: range, memory: np.ndarray | None = None) -> "_ExactBlock":
        """Score all queries of the batch against a block of passages."""
        del memory
        return _ExactBlock(self.scorer.score_rows(self.queries, passages))

    def open_candidates(self, depth: int) -> HostCandidates:
        """Return candidates for at most so many best passages of each query."""
        return HostCandidates(self, depth)

    def refine(self, queries: np.ndarray) -> None:
        """Return None: the scores are exact."""

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return the scores of pairs of a query of the batch and a passage."""
        return self.scorer.score_pairs(queries + self.queries.start, passages)

    def score_all(self, query: int, passages: range) -> np.ndarray:
        """Return the scores of one query of the batch."""
        row = self.queries.start + query
        scores: np.ndarray = self.scorer.score_rows(range(row, row + 1), passages)[0]
        return scores


@dataclass(frozen=True)
class _ExactBlock:
    """The exact scores of a batch of queries against a block of passages."""

    scores: np.ndarray  # (queries, passages) float32

    def count_above(self, golds: BatchGolds, id_order: np.ndarray, counts: np.ndarray) -> None:
        """Count the passages that rank above or tie with each gold."""
        from beir_hybrid.retrieval.kernels import count_exact_above

        count_exact_above(self.scores, id_order, golds, counts)
