"""Exact ranks, best passages and TREC runs from the scores of a model."""

from beir_hybrid.retrieval.dense_scorer import DenseScorer
from beir_hybrid.retrieval.rank import rank
from beir_hybrid.retrieval.request import RankRequest
from beir_hybrid.retrieval.results import GoldRanks, RankedPassages, TopPassages

__all__ = ["DenseScorer", "GoldRanks", "RankRequest", "RankedPassages", "TopPassages", "rank"]
