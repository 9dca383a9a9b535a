"""Shared builders and checks of exact rankings."""

from typing import Any

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.retrieval import DenseScorer, RankedPassages, RankRequest

Golds = tuple[np.ndarray, np.ndarray]  # rows of queries, ascending, and of passages
Languages = dict[str, range]


def make_scorer(queries: np.ndarray, passages: np.ndarray, device: str = "cpu") -> DenseScorer:
    """Return the scorer of two arrays of vectors."""
    return DenseScorer(Embeddings.from_array(queries), Embeddings.from_array(passages), device)


def make_request(
    golds: Golds, languages: Languages, id_order: np.ndarray, **options: Any
) -> RankRequest:
    """Return a request to rank."""
    return RankRequest(*golds, languages, id_order, **options)


def assert_same_ranking(first: RankedPassages, second: RankedPassages) -> None:
    """Compare to the last bit."""
    assert np.array_equal(first.gold_scores, second.gold_scores)
    for ranks in ("language_ranks", "pool_ranks", "mixed_ranks"):
        for counts in ("n_above", "tied_later", "tied_earlier"):
            first_counts = getattr(getattr(first, ranks), counts)
            assert np.array_equal(first_counts, getattr(getattr(second, ranks), counts))
    assert first.top.keys() == second.top.keys()
    for name, top in first.top.items():
        assert np.array_equal(top.rows, second.top[name].rows)
        assert np.array_equal(top.scores, second.top[name].scores)
