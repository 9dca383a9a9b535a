"""Reranks the best passages of rankings by the scores of pairs."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.judgements import number_languages
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding import EncodingStats
from beir_hybrid.encoding.pair_scorer import PairScorer, score_pairs
from beir_hybrid.evaluation.rerankers.vectors import VectorScorer
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.results.provenance import RerankerProvenance
from beir_hybrid.retrieval import TopPassages


@dataclass(frozen=True)
class Reranker:
    """Puts the `depth` best passages of each ranking into the order of a scorer.

    Attributes
    ----------
    collection
        The texts and images of the pairs.
    store
        The folder for scores of pairs; the cache where it is None.
    stats
        How many pairs were scored, and not found in the store.
    """

    scorer: PairScorer | VectorScorer
    collection: Collection
    depth: int = 100
    store: Path | None = None
    stats: EncodingStats = field(default_factory=EncodingStats)

    def describe(self) -> RerankerProvenance:
        """Return the provenance of the scores."""
        return RerankerProvenance(self.scorer.name, self.depth, self.scorer.fingerprint)

    def rerank(
        self,
        rankings: Rankings,
        best: TopPassages,
        passage_ranges: dict[str, range],
        id_order: np.ndarray,
    ) -> tuple[Rankings, TopPassages]:
        """Return the rankings with the best passages reranked, and these passages.

        Behind the first `depth`, passages keep their order: none rises from there, whichever way a
        measure breaks ties.

        Parameters
        ----------
        best
            The best passages of each ranking.
        passage_ranges
            The rows of the passages of each language.
        id_order
            For each passage, the place of its id in the order of ids.
        """
        rows = best.rows[:, : self.depth]
        ranking, column = np.nonzero(rows >= 0)
        if not len(ranking):
            return rankings, best
        passage, sizes = rows[ranking, column], (rows >= 0).sum(axis=1)
        query_rows = rankings.query_rows[ranking]
        pair_scores = self._score(rankings.kind, query_rows, passage)
        descending = _order_by_score(ranking, pair_scores, id_order[passage], sizes)
        ascending = _order_by_score(ranking, pair_scores, -id_order[passage], sizes)
        judgements = rankings.judgements
        pair_index = _find_pairs(ranking, passage, judgements.query, rankings.passage_rows)
        is_reranked = pair_index >= 0
        rows, scores = np.full_like(rows, -1), np.full(rows.shape, -np.inf, np.float32)
        rows[ranking, descending], scores[ranking, descending] = passage, pair_scores
        top_languages = judgements.top_languages
        if top_languages.shape[1]:
            top_languages = top_languages.copy()
            cut = min(top_languages.shape[1], rows.shape[1])
            top_languages[:, :cut] = number_languages(rows[:, :cut], passage_ranges)
        # Passages behind the first `depth` have the same rank whichever way ties are broken.
        judgements = replace(
            judgements,
            rank=np.where(is_reranked, descending[pair_index] + 1, judgements.rank),
            rank_ascending=np.where(is_reranked, ascending[pair_index] + 1, judgements.rank),
            top_languages=top_languages,
        )
        reranked = replace(rankings, judgements=judgements, has_tie=None)
        return reranked, TopPassages(rows, scores)

    def _score(
        self, kind: KindName, query_rows: np.ndarray, passage_rows: np.ndarray
    ) -> np.ndarray:
        """Return the scores of pairs, by row numbers; those of models come from the store."""
        if isinstance(self.scorer, VectorScorer):
            self.stats.add("passages", len(passage_rows), 0.0)
            return self.scorer.score_rows(query_rows, passage_rows)
        pairs = self.scorer.make_pairs(self.collection, kind, query_rows, passage_rows)
        return score_pairs(self.scorer, pairs, folder=self.store, stats=self.stats)


def _order_by_score(
    ranking: np.ndarray, scores: np.ndarray, id_order: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Return the place of each passage in its ranking, from 0; of equal scores the later id first.

    `sizes` has the number of passages of each ranking.
    """
    by_score = np.lexsort((-id_order, -scores, ranking))
    places = np.empty(len(scores), np.int64)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    places[by_score] = np.arange(len(scores)) - starts
    return places


def _find_pairs(
    ranking: np.ndarray, passage: np.ndarray, other_ranking: np.ndarray, other_passage: np.ndarray
) -> np.ndarray:
    """Return the index of each other pair among the pairs (ranking, passage), or -1."""
    width = 1 + max(int(passage.max(initial=0)), int(other_passage.max(initial=0)))
    code, other_code = ranking * width + passage, other_ranking * width + other_passage
    order = np.argsort(code)
    place = np.minimum(np.searchsorted(code, other_code, sorter=order), len(code) - 1)
    has_passage = code[order[place]] == other_code
    return np.where(has_passage, order[place], -1)
