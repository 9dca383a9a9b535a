"""Batches of dense retrieval that are multiplied in float32."""

from dataclasses import dataclass

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.retrieval.candidates import HostCandidates
from beir_hybrid.retrieval.scorer import BatchGolds

UNIT_ROUNDOFF = 2.0**-24  # half the distance from 1 to the next float32
UNDERFLOW = 2.0**-126  # the largest error of a product if the processor takes smaller ones for 0


@dataclass(frozen=True)
class DenseBatch:
    """A batch of queries that is multiplied in float32."""

    vectors: np.ndarray  # (queries, dim) float32
    margin: np.ndarray  # (queries,) float32
    passages: Embeddings

    def score_block(self, passages: range, memory: np.ndarray | None = None) -> "DenseBlock":
        """Multiply the batch with a block of passages."""
        vectors = self.passages.take(slice(passages.start, passages.stop))
        shape = len(self.vectors), len(vectors)
        out = None if memory is None else memory.reshape(shape)
        scores = np.matmul(self.vectors, vectors.T, out=out)
        return DenseBlock(scores, self.vectors, self.margin, vectors)

    def open_candidates(self, depth: int) -> HostCandidates:
        """Return candidates for at most so many best passages of each query."""
        return HostCandidates(self, depth)

    def refine(self, queries: np.ndarray) -> None:
        """Return None: there are no better products than in float32."""

    def select(self, queries: np.ndarray) -> "DenseBatch":
        """Return a batch of some of the queries."""
        return DenseBatch(self.vectors[queries], self.margin[queries], self.passages)

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores of pairs of a query of the batch and a passage."""
        return dot_rows(self.vectors, queries, self.passages, passages)

    def score_all(self, query: int, passages: range) -> np.ndarray:
        """Return exact scores of one query of the batch and a block of passages."""
        from beir_hybrid.retrieval.kernels import dot_all

        vectors = self.passages.take(slice(passages.start, passages.stop))
        scores: np.ndarray = dot_all(self.vectors[query], vectors)
        return scores


@dataclass(frozen=True)
class DenseBlock:
    """The product of a batch of queries and a block of passages."""

    scores: np.ndarray  # (queries, passages) float32
    queries: np.ndarray  # (queries, dim) float32
    margin: np.ndarray  # (queries,) float32
    passages: np.ndarray  # (passages, dim) float32

    def count_above(self, golds: BatchGolds, id_order: np.ndarray, counts: np.ndarray) -> None:
        """Count by the product, and by exact scores where products are too close to tell."""
        from beir_hybrid.retrieval.kernels import count_dense_above

        count_dense_above(
            self.scores, self.queries, self.passages, self.margin, id_order, golds, counts
        )


def dot_rows(
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
