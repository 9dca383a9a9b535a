"""Exact ranks of judged passages in, ir-measures' rank-based measures out, a query each.

Definitions and ties are those of the provider that ir-measures itself would ask: trec_eval's, but
MS MARCO's for ``RR@k`` and ir-measures' own for ``Judged@k``. As there, a query without a relevant
passage has the value 0.
"""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Callable, Iterable, Iterator
from typing import Any as Anything

import numpy as np
from ir_measures import AP, RR, Measure, Metric, P, R, Rprec, Success, nDCG
from ir_measures import Judged as JudgedShare
from ir_measures.providers import Evaluator, Provider
from ir_measures.providers.base import NOT_PROVIDED, Any, Choices

from beir_hybrid.measures.ranked_judgements import RankedJudgements, ratio

_ALL = {"judged_only": Choices(False)}
_CUT = {**_ALL, "cutoff": Any()}


class RankProvider(Provider):
    """Scores measures from `Judged` ranks instead of a run, so that no list of passages is kept.

    It is asked for by name: what it reads is no run, so ir-measures' pipeline does not list it.
    """

    NAME = "beir_hybrid_ranks"
    SUPPORTED_MEASURES = [  # noqa: RUF012 - the name and type are ir_measures'
        AP(**_CUT),
        nDCG(
            cutoff=Any(),
            dcg=Choices("log2"),
            gains=Choices(NOT_PROVIDED),
            judged_only=Choices(False),
        ),
        R(**_CUT),
        P(**_CUT),
        RR(**_CUT),
        Success(**_CUT),
        Rprec(**_ALL),
        JudgedShare(cutoff=Any()),
    ]

    def _evaluator(self, measures: Iterable[Measure], qrels: Anything) -> Evaluator:
        return _RankEvaluator(list(measures), list(qrels))  # in the order of the queries


class _RankEvaluator(Evaluator):
    """Names values by query; of qrels it needs the queries alone, in the order of `Judged`."""

    def __init__(self, measures: list[Measure], queries: list[str]) -> None:
        super().__init__(measures, queries)
        self.queries = queries

    def _iter_calc(self, run: RankedJudgements) -> Iterator[Metric]:  # type: ignore[override] # no run
        for measure in self.measures:
            for query, found in zip(self.queries, values(measure, run), strict=True):
                yield Metric(query_id=query, measure=measure, value=float(found))


def values(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    """Return the value for each query; (n,) float64."""
    return _TABLE[str(measure.NAME)](measure, judged)


def _relevant(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    return np.flatnonzero(judged.relevance >= measure["rel"])


def _cutoff(measure: Measure, judged: RankedJudgements) -> int:
    if measure["cutoff"] is NOT_PROVIDED:
        return int(judged.retrieved.max(initial=1))
    return int(measure["cutoff"])


def _hits(measure: Measure, judged: RankedJudgements, rank: np.ndarray) -> np.ndarray:
    """Return which judgements are of relevant passages down to the cutoff."""
    rows = _relevant(measure, judged)
    return rows[(rank[rows] > 0) & (rank[rows] <= _cutoff(measure, judged))]


def _average_precision(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    rows = _hits(measure, judged, judged.rank)
    rows = rows[np.lexsort((judged.rank[rows], judged.query[rows]))]
    query = judged.query[rows]
    found = 1 + np.arange(len(rows)) - np.searchsorted(query, query)  # relevant down to here
    precision = judged.total(rows, found / judged.rank[rows])
    return ratio(precision, judged.total(_relevant(measure, judged)), 0.0)


def _ndcg(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    cutoff = _cutoff(measure, judged)
    rows = np.flatnonzero(judged.relevance > 0)
    gain, rank, query = judged.relevance[rows], judged.rank[rows], judged.query[rows]
    seen = (rank > 0) & (rank <= cutoff)
    gained = judged.total(rows[seen], gain[seen] / np.log2(rank[seen] + 1))
    order = np.lexsort((-gain, query))
    place = 1 + np.arange(len(rows)) - np.searchsorted(query, query)
    first = place <= cutoff
    ideal = judged.total(rows[order][first], gain[order][first] / np.log2(place[first] + 1))
    return ratio(gained, ideal, 0.0)


def _recall(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    hits = judged.total(_hits(measure, judged, judged.rank))
    return ratio(hits, judged.total(_relevant(measure, judged)), 0.0)


def _precision(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    return judged.total(_hits(measure, judged, judged.rank)) / _cutoff(measure, judged)


def _success(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    hits = judged.total(_hits(measure, judged, judged.rank))
    return (hits > 0).astype(np.float64)


def _reciprocal_rank(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    whole = measure["cutoff"] is NOT_PROVIDED
    rank = judged.rank if whole else judged.rank_ascending
    rows = _hits(measure, judged, rank)
    best = np.zeros(len(judged))
    np.maximum.at(best, judged.query[rows], 1 / rank[rows])
    return best


def _r_precision(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    rows = _relevant(measure, judged)
    relevant = judged.total(rows)
    rank = judged.rank[rows]
    hits = judged.total(rows[(rank > 0) & (rank <= relevant[judged.query[rows]])])
    return ratio(hits, relevant, 0.0)


def _share_judged(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    rank = judged.rank_ascending
    seen = np.minimum(_cutoff(measure, judged), judged.retrieved)
    return ratio(judged.total(np.flatnonzero((rank > 0) & (rank <= seen[judged.query]))), seen, 0.0)


_TABLE: dict[str, Callable[[Measure, RankedJudgements], np.ndarray]] = {
    "AP": _average_precision,
    "Judged": _share_judged,
    "P": _precision,
    "R": _recall,
    "RR": _reciprocal_rank,
    "Rprec": _r_precision,
    "Success": _success,
    "nDCG": _ndcg,
}
