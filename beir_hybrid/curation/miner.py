"""Choose hard negatives from exact rankings: candidates of some languages without the golds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from beir_hybrid.checks import (
    check_finite,
    check_fraction,
    check_not_negative,
    check_positive,
    check_positive_or_none,
)
from beir_hybrid.curation.text_columns import TextColumns, find_classes
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.errors import BadOption
from beir_hybrid.retrieval.request import RankRequest
from beir_hybrid.retrieval.results import POOL, RankedPassages, TopPassages
from beir_hybrid.retrieval.scorer import Scorer
from beir_hybrid.retrieval.scorers import make_scorer

NegativeLanguages = Literal["same", "other", "mixed"]
ScorePairs = Callable[[np.ndarray, np.ndarray], np.ndarray]
_QUERIES = 1 << 14  # whose best passages are in memory at once
MARGIN_DEPTH = 10  # candidates for each negative, if some may be too similar


@dataclass(frozen=True)
class MiningOptions:
    """Options of `mine_negatives`, validated.

    Attributes
    ----------
    languages
        Where the negatives of a passage come from: its own language, all others, or all.
    negatives
        How many each passage gets at most.
    range_min
        So many of the best candidates are passed over.
    range_max
        How many of the best passages that are no golds are candidates. By default `range_min` and
        `negatives` together, and ten times the negatives where candidates may be too similar.
    relative_margin
        Candidates score at least this share of the gold's score below it.
    max_score
        Candidates score so much at most.
    """

    languages: NegativeLanguages = "same"
    negatives: int = 5
    range_min: int = 0
    range_max: int | None = None
    relative_margin: float | None = None
    max_score: float | None = None

    def __post_init__(self) -> None:
        if self.languages not in get_args(NegativeLanguages):
            choices = ", ".join(get_args(NegativeLanguages))
            raise BadOption(f"languages are {self.languages!r}; they must be one of {choices}")
        check_positive(negatives=self.negatives)
        check_not_negative(range_min=self.range_min)
        check_positive_or_none(range_max=self.range_max)
        check_finite(max_score=self.max_score)
        if self.relative_margin is not None:
            check_fraction(relative_margin=self.relative_margin)
        if self.depth - self.range_min < self.negatives:
            raise BadOption(
                f"range_min={self.range_min} and range_max={self.range_max} leave no room for "
                f"{self.negatives} negatives"
            )

    @property
    def depth(self) -> int:
        """How many of the best passages that are no golds are candidates."""
        if self.range_max is not None:
            return self.range_max
        is_limited = self.relative_margin is not None or self.max_score is not None
        return self.range_min + self.negatives * (MARGIN_DEPTH if is_limited else 1)


class LanguageNegatives(NamedTuple):
    """The negatives of the passages of one language.

    Attributes
    ----------
    rows
        For each query the rows of its negatives in the columns of passages, -1 behind the last.
    query_by_group
        For each group the place of its query in `rows`, -1 without any.
    """

    rows: np.ndarray  # (queries, negatives) int64
    query_by_group: np.ndarray  # (groups,) int64

    def list_rows(self, group: int) -> list[int]:
        """Return the rows of the negatives of a group."""
        query = self.query_by_group[group]
        if query < 0:
            return []
        rows: list[int] = self.rows[query][self.rows[query] >= 0].tolist()
        return rows


@dataclass(frozen=True)
class Miner:
    """Columns of queries and passages with their vectors, and the options of mining.

    Attributes
    ----------
    score_pairs
        Returns the scores of pairs of rows of queries and passages, (n,) float32, by a model that
        reads both. If there is one, the candidates are put into its order, and the margin and the
        highest score are about its scores.
    """

    queries: TextColumns
    passages: TextColumns
    query_vectors: StoredRows[Any]
    passage_vectors: StoredRows[Any]
    n_groups: int
    options: MiningOptions
    rank: Callable[[Scorer, RankRequest], RankedPassages]
    score_pairs: ScorePairs | None = None

    def mine_language(self, lang: str) -> LanguageNegatives:
        """Return the negatives of the passages of a language.

        The query is that of the language, or where there is none, that of the group's first.
        """
        query_rows_by_group = self._choose_queries(lang)
        groups, golds = self.passages.groups[lang], self.passages.rows[lang]
        has_query = query_rows_by_group[groups] >= 0
        groups, golds = groups[has_query], golds[has_query]
        query_rows, places = np.unique(query_rows_by_group[groups], return_inverse=True)
        limits = self._find_limits(query_rows, places, golds)
        pool = self._list_pool(lang)
        depth = self._count_depth(query_rows, pool)
        negatives = np.full((len(query_rows), self.options.negatives), -1, np.int64)
        for start in range(0, len(query_rows), _QUERIES):
            part = slice(start, start + _QUERIES)
            best = self._rank_pool(query_rows[part], pool, depth)
            negatives[part] = self._choose(query_rows[part], best, limits[part])
        query_by_group = np.full(self.n_groups, -1, np.int64)
        query_by_group[groups] = places
        return LanguageNegatives(negatives, query_by_group)

    @cached_property
    def _query_classes(self) -> tuple[np.ndarray, np.ndarray]:
        """The classes of queries, of groups and of rows: one for all translations."""
        return find_classes(self.queries, self.n_groups)

    @cached_property
    def _passage_classes(self) -> tuple[np.ndarray, np.ndarray]:
        """The classes of passages, of groups and of rows."""
        return find_classes(self.passages, self.n_groups)

    @cached_property
    def _n_classes(self) -> int:
        return self.n_groups + len(self.passages.texts)

    @cached_property
    def _gold_codes(self) -> np.ndarray:
        """The pairs of classes of queries and passages that belong together, ascending."""
        codes = self._query_classes[0] * self._n_classes + self._passage_classes[0]
        return np.unique(codes)

    def _choose_queries(self, lang: str) -> np.ndarray:
        """Return the row of each group's query, in a language or else its first; (groups,)."""
        rows = self.queries.get_row_by_group(lang, self.n_groups)
        for code, groups in self.queries.first_groups.items():
            lacking = groups[rows[groups] < 0]
            rows[lacking] = self.queries.get_row_by_group(code, self.n_groups)[lacking]
        return rows

    def _list_pool(self, lang: str) -> np.ndarray:
        """Return the rows of the passages that may be negatives of a language's passages."""
        rows = np.arange(len(self.passages.texts))
        is_same = np.isin(rows, self.passages.ranges[lang])
        is_in = {"same": is_same, "other": ~is_same, "mixed": np.ones(len(rows), bool)}
        return rows[is_in[self.options.languages]]

    def _count_depth(self, query_rows: np.ndarray, pool: np.ndarray) -> int:
        """Return how many best passages of each query have enough candidates among them."""
        sizes = np.bincount(self._passage_classes[1][pool], minlength=self._n_classes)
        query_classes, passage_classes = np.divmod(self._gold_codes, self._n_classes)
        n_golds = np.bincount(query_classes, weights=sizes[passage_classes])
        return self.options.depth + int(n_golds[self._query_classes[1][query_rows]].max(initial=0))

    def _find_limits(
        self, query_rows: np.ndarray, places: np.ndarray, golds: np.ndarray
    ) -> np.ndarray:
        """Return the largest score of a negative of each query, (queries,) float32.

        Of several golds of a query the one with the lowest score counts.
        """
        limits: np.ndarray = np.full(len(query_rows), np.inf, np.float32)
        if self.options.relative_margin is not None:
            order = np.argsort(places, kind="stable")
            scores = self._score_golds(query_rows, places[order], golds[order])
            classes = np.unique(self._query_classes[1][query_rows], return_inverse=True)[1]
            lowest = np.full(len(query_rows), np.inf, np.float32)
            np.minimum.at(lowest, classes[places[order]], scores)
            limits = lowest - np.abs(lowest) * np.float32(self.options.relative_margin)
            limits = limits[classes].astype(np.float32)
        if self.options.max_score is not None:
            limits = np.minimum(limits, np.float32(self.options.max_score))
        return limits

    def _score_golds(
        self, query_rows: np.ndarray, places: np.ndarray, golds: np.ndarray
    ) -> np.ndarray:
        """Return the scores of golds for their queries, by places in `query_rows` ascending."""
        if self.score_pairs is not None:
            return self.score_pairs(query_rows[places], golds)
        scorer = make_scorer(
            _take(self.query_vectors, query_rows), _take(self.passage_vectors, golds)
        )
        return scorer.score_pairs(places, np.arange(len(golds)))

    def _rank_pool(self, query_rows: np.ndarray, pool: np.ndarray, depth: int) -> TopPassages:
        """Return the best passages of a pool for queries; of equal scores the first text's."""
        if not len(pool):
            return TopPassages.allocate(len(query_rows), 0)
        scorer = make_scorer(
            _take(self.query_vectors, query_rows), _take(self.passage_vectors, pool)
        )
        no_golds = np.empty(0, np.int64)
        request = RankRequest(
            gold_queries=no_golds,
            gold_passages=no_golds,
            languages={"pool": range(len(pool))},
            id_order=np.arange(len(pool), dtype=np.int32)[::-1].copy(),
            k=min(depth, len(pool)),
        )
        best = self.rank(scorer, request).top[POOL]
        return TopPassages(pool[best.rows], best.scores)

    def _choose(self, query_rows: np.ndarray, best: TopPassages, limits: np.ndarray) -> np.ndarray:
        """Return the negatives of each query among its best passages, -1 behind the last."""
        options = self.options
        codes = self._query_classes[1][query_rows][:, None] * self._n_classes
        is_candidate = ~np.isin(codes + self._passage_classes[1][best.rows], self._gold_codes)
        is_candidate &= np.cumsum(is_candidate, axis=1) <= options.depth
        if self.score_pairs is not None:
            best, is_candidate = _reorder(best, is_candidate, query_rows, self.score_pairs)
        is_candidate &= best.scores <= limits[:, None]
        places = np.cumsum(is_candidate, axis=1) - 1 - options.range_min
        is_negative = is_candidate & (places >= 0) & (places < options.negatives)
        negatives = np.full((len(query_rows), options.negatives), -1, np.int64)
        queries, columns = np.nonzero(is_negative)
        negatives[queries, places[queries, columns]] = best.rows[queries, columns]
        return negatives


def _reorder(
    best: TopPassages, is_candidate: np.ndarray, query_rows: np.ndarray, score_pairs: ScorePairs
) -> tuple[TopPassages, np.ndarray]:
    """Return the passages of each query by new scores, and which of them are candidates.

    Candidates come first; of equal scores the one that was first before.
    """
    queries, columns = np.nonzero(is_candidate)
    scores = np.full(best.scores.shape, -np.inf, np.float32)
    scores[queries, columns] = score_pairs(query_rows[queries], best.rows[queries, columns])
    order = np.lexsort((-scores, ~is_candidate), axis=1)
    rows, scores, is_candidate = (
        np.take_along_axis(array, order, axis=1) for array in (best.rows, scores, is_candidate)
    )
    return TopPassages(rows, scores), is_candidate


def _take(vectors: StoredRows[Any], rows: np.ndarray) -> StoredRows[Any]:
    """Return vectors by their rows; no bytes are copied."""
    return replace(
        vectors, shard_numbers=vectors.shard_numbers[rows], shard_rows=vectors.shard_rows[rows]
    )
