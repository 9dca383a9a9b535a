"""Vectors as a reranker: the candidates of a small index, in the order of larger vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding import Embeddings
from beir_hybrid.retrieval.dense_scorer import DenseScorer


@dataclass(frozen=True, eq=False)
class VectorScorer:
    """Scores pairs of a collection's query and passage by their vectors.

    Attributes
    ----------
    queries, passages
        A vector for each query and each passage, by row.
    """

    name: str
    fingerprint: Mapping[str, object]
    queries: Embeddings
    passages: Embeddings
    setting_kinds: ClassVar[tuple[KindName, ...]] = ("mono", "cross", "multi")
    input_description: ClassVar[str] = "texts"

    def score_rows(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return the exact score of each pair of rows, (n,) float32."""
        order = np.argsort(queries, kind="stable")
        scores = np.empty(len(queries), np.float32)
        scorer = DenseScorer(self.queries, self.passages)
        scores[order] = scorer.score_pairs(queries[order], passages[order])
        return scores
