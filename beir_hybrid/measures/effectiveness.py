"""ir-measures' rank-based measures of effectiveness, computed from exact ranks.

Definitions and ties are those of the provider that ir-measures itself would ask: trec_eval's, but
MS MARCO's for ``RR@k`` and ir-measures' own for ``Judged@k``. As there, a query without a relevant
passage has the value 0.
"""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from ir_measures import AP, RR, Judged, Measure, Metric, P, R, Rprec, Success, nDCG
from ir_measures.providers import Evaluator, Provider
from ir_measures.providers.base import NOT_PROVIDED, Choices
from ir_measures.providers.base import Any as AnyValue

from beir_hybrid.measures.arrays import divide, find_relevant
from beir_hybrid.measures.ranked_judgements import RankedJudgements

_WHOLE_RANKING = {"judged_only": Choices(False)}
_WITH_CUTOFF = {**_WHOLE_RANKING, "cutoff": AnyValue()}


class RankProvider(Provider):
    """Computes measures from `RankedJudgements` instead of a run, so that no list is kept.

    It is called by name: ir-measures' pipeline does not list it, for its input is no run.
    """

    NAME = "beir_hybrid_ranks"
    SUPPORTED_MEASURES = [  # noqa: RUF012 - the name and type are ir_measures'
        AP(**_WITH_CUTOFF),
        nDCG(
            cutoff=AnyValue(),
            dcg=Choices("log2"),
            gains=Choices(NOT_PROVIDED),
            judged_only=Choices(False),
        ),
        R(**_WITH_CUTOFF),
        P(**_WITH_CUTOFF),
        RR(**_WITH_CUTOFF),
        Success(**_WITH_CUTOFF),
        Rprec(**_WHOLE_RANKING),
        Judged(cutoff=AnyValue()),
    ]

    def _evaluator(self, measures: Iterable[Measure], qrels: Any) -> Evaluator:
        return _RankEvaluator(list(measures), list(qrels))  # in the order of the queries


class _RankEvaluator(Evaluator):
    """Names values by query; `queries` are in the order of the `RankedJudgements`."""

    def __init__(self, measures: list[Measure], queries: list[str]) -> None:
        super().__init__(measures, queries)
        self.queries = queries

    def _iter_calc(self, run: RankedJudgements) -> Iterator[Metric]:  # type: ignore[override] # no run
        for measure in self.measures:
            values = compute_effectiveness(measure, run)
            for query, value in zip(self.queries, values, strict=True):
                yield Metric(query_id=query, measure=measure, value=float(value))


def compute_effectiveness(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    """Return the value of a measure that `RankProvider` supports for each query; (n,) float64."""
    return _FUNCTIONS[str(measure.NAME)](measure, judgements)


def _find_cutoff(measure: Measure, judgements: RankedJudgements) -> int:
    """Return the cutoff, or the length of the longest ranking where there is none."""
    if measure["cutoff"] is NOT_PROVIDED:
        return int(judgements.ranking_length.max(initial=1))
    return int(measure["cutoff"])


def _find_hits(measure: Measure, judgements: RankedJudgements, rank: np.ndarray) -> np.ndarray:
    """Return the numbers of the judgements of relevant passages down to the cutoff."""
    rows = find_relevant(measure, judgements)
    return rows[(rank[rows] > 0) & (rank[rows] <= _find_cutoff(measure, judgements))]


def _average_precision(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    rows = _find_hits(measure, judgements, judgements.rank)
    rows = rows[np.lexsort((judgements.rank[rows], judgements.query[rows]))]
    query = judgements.query[rows]
    n_relevant_above = 1 + np.arange(len(rows)) - np.searchsorted(query, query)
    precision = judgements.sum_by_query(rows, n_relevant_above / judgements.rank[rows])
    return divide(precision, judgements.sum_by_query(find_relevant(measure, judgements)), 0.0)


def _ndcg(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    cutoff = _find_cutoff(measure, judgements)
    rows = np.flatnonzero(judgements.relevance > 0)
    gain, rank = judgements.relevance[rows], judgements.rank[rows]
    query = judgements.query[rows]
    is_hit = (rank > 0) & (rank <= cutoff)
    dcg = judgements.sum_by_query(rows[is_hit], gain[is_hit] / np.log2(rank[is_hit] + 1))
    order = np.lexsort((-gain, query))
    ideal_rank = 1 + np.arange(len(rows)) - np.searchsorted(query, query)
    is_first = ideal_rank <= cutoff
    ideal_dcg = judgements.sum_by_query(
        rows[order][is_first], gain[order][is_first] / np.log2(ideal_rank[is_first] + 1)
    )
    return divide(dcg, ideal_dcg, 0.0)


def _recall(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    n_hits = judgements.sum_by_query(_find_hits(measure, judgements, judgements.rank))
    return divide(n_hits, judgements.sum_by_query(find_relevant(measure, judgements)), 0.0)


def _precision(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    n_hits = judgements.sum_by_query(_find_hits(measure, judgements, judgements.rank))
    return n_hits / _find_cutoff(measure, judgements)


def _success(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    n_hits = judgements.sum_by_query(_find_hits(measure, judgements, judgements.rank))
    return (n_hits > 0).astype(np.float64)


def _reciprocal_rank(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    has_cutoff = measure["cutoff"] is not NOT_PROVIDED
    rank = judgements.rank_ascending if has_cutoff else judgements.rank
    rows = _find_hits(measure, judgements, rank)
    best = np.zeros(len(judgements))
    np.maximum.at(best, judgements.query[rows], 1 / rank[rows])
    return best


def _r_precision(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    rows = find_relevant(measure, judgements)
    n_relevant = judgements.sum_by_query(rows)
    rank = judgements.rank[rows]
    is_hit = (rank > 0) & (rank <= n_relevant[judgements.query[rows]])
    return divide(judgements.sum_by_query(rows[is_hit]), n_relevant, 0.0)


def _share_with_judgement(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    rank = judgements.rank_ascending
    depth = np.minimum(_find_cutoff(measure, judgements), judgements.ranking_length)
    rows = np.flatnonzero((rank > 0) & (rank <= depth[judgements.query]))
    return divide(judgements.sum_by_query(rows), depth, 0.0)


_FUNCTIONS: dict[str, Callable[[Measure, RankedJudgements], np.ndarray]] = {
    "AP": _average_precision,
    "Judged": _share_with_judgement,
    "P": _precision,
    "R": _recall,
    "RR": _reciprocal_rank,
    "Rprec": _r_precision,
    "Success": _success,
    "nDCG": _ndcg,
}
