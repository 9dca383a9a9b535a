"""Scores of sparse retrieval: inner products of weights of terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings, make_empty_matrix
from beir_hybrid.errors import BadData
from beir_hybrid.retrieval.exact_scorer import ExactScorer

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PAIRS = 1 << 14  # pairs whose rows are in memory at a time


@dataclass(frozen=True)
class SparseScorer(ExactScorer):
    """A `Scorer` whose scores are inner products of sparse rows; see `sparse_kernels`."""

    queries: SparseEmbeddings
    passages: SparseEmbeddings

    def __post_init__(self) -> None:
        if len(self.queries) and len(self.passages) and self.queries.dim != self.passages.dim:
            raise BadData(
                f"queries have {self.queries.dim} terms and passages {self.passages.dim}; "
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
        """Memory of a passage's terms and weights, on average."""
        return int(8 * self.passages.count_terms())

    def score_rows(self, queries: range, passages: range) -> np.ndarray:
        """Return the exact scores of a block, (queries, passages) float32."""
        from beir_hybrid.retrieval.sparse_kernels import score_sparse_block

        batch = self.queries.take(slice(queries.start, queries.stop))
        block = self.passages.take(slice(passages.start, passages.stop))
        by_term = batch.T.tocsr()
        scores = np.empty((len(queries), len(passages)), np.float32)
        score_sparse_block(*_list_arrays(by_term), *_list_arrays(block), scores)
        return scores

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return the exact scores of pairs of rows, (n,) float32."""
        from beir_hybrid.retrieval.sparse_kernels import score_sparse_pairs

        scores = np.empty(len(queries), np.float32)
        for start in range(0, len(queries), _PAIRS):
            pairs = slice(start, start + _PAIRS)
            query_rows, query_places = np.unique(queries[pairs], return_inverse=True)
            passage_rows, passage_places = np.unique(passages[pairs], return_inverse=True)
            matrices = self.queries.take(query_rows), self.passages.take(passage_rows)
            scores[pairs] = score_sparse_pairs(
                *_list_arrays(matrices[0]), *_list_arrays(matrices[1]), query_places, passage_places
            )
        return scores

    def without_passages(self) -> SparseScorer:
        """Return a scorer with all rows of queries in memory, and no passages."""
        queries = SparseEmbeddings.from_matrix(self.queries.take(slice(None)))
        return SparseScorer(
            queries, SparseEmbeddings.from_matrix(make_empty_matrix(self.queries.dim))
        )

    def load_passages(self, rows: range) -> csr_array:
        """Return rows of passages in memory."""
        return self.passages.take(slice(rows.start, rows.stop))

    def with_passages(self, passages: object) -> SparseScorer:
        """Return a scorer of the same queries and of rows of passages."""
        matrix: Any = passages
        # Arrays of another process are read-only; checking them would change them.
        return SparseScorer(self.queries, SparseEmbeddings.from_matrix(matrix.copy()))


def _list_arrays(matrix: csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bounds, terms and weights of a block, always of the same types."""
    bounds, terms = np.asarray(matrix.indptr), np.asarray(matrix.indices)
    return (
        bounds.astype(np.int32, copy=False),
        terms.astype(np.int32, copy=False),
        np.asarray(matrix.data),
    )
