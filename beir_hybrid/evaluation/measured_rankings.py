"""Values of measures for rankings: from exact ranks, from runs, and over several languages."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ir_measures import Measure

from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.effectiveness import RankProvider, compute_effectiveness
from beir_hybrid.measures.ranked_judgements import Rankings, join_rankings

Qrels = dict[str, dict[str, int]]
_RANK_PROVIDER = RankProvider()


class MeasuredRankings(NamedTuple):
    """Rankings of one kind of setting, and the value of each measure for each of them.

    Where a measure does not apply to the kind of setting, its values are NaN. Of reranked rankings,
    `before_reranking` has the rankings of the first model, and NaN for measures of runs.
    """

    rankings: Rankings
    values: dict[Measure, np.ndarray]  # (rankings,) float64
    before_reranking: "MeasuredRankings | None" = None


def needs_run(measure: Measure) -> bool:
    """Return whether a measure depends on more than the ranks of judged passages."""
    return not isinstance(measure, BiasMeasure) and not _RANK_PROVIDER.supports(measure)


def measure_ranks(rankings: Rankings, measures: Sequence[Measure]) -> dict[Measure, np.ndarray]:
    """Return the values of the measures that depend on ranks; NaN for all others."""
    values: dict[Measure, np.ndarray] = {}
    for measure in measures:
        if _RANK_PROVIDER.supports(measure):
            values[measure] = compute_effectiveness(measure, rankings.judgements)
        elif isinstance(measure, BiasMeasure) and rankings.kind in measure.SETTINGS:
            values[measure] = measure.compute(rankings.judgements)
        else:
            values[measure] = np.full(len(rankings.query_rows), np.nan)
    return values


def build_qrels(rankings: Rankings, judgements: Judgements, query_ids: Sequence[str]) -> Qrels:
    """Return the judgements of rankings in ir-measures' form, those below 0 included.

    To trec_eval these passages are in the pool and not judged, which ``infAP``, ``Bpref`` and
    ``judged_only=True`` tell from judged passages that are not relevant.
    """
    qrels: Qrels = {query_id: {} for query_id in query_ids}
    passage_ids = judgements.list_passage_ids(rankings.passage_rows)
    query, relevances = rankings.judgements.query, rankings.judgements.relevance
    columns = zip(query.tolist(), passage_ids, relevances.tolist(), strict=True)
    for index, passage_id, relevance in columns:
        qrels[query_ids[index]][passage_id] = relevance
    return qrels


def measure_across(parts: Sequence[MeasuredRankings], measures: Sequence[Measure]) -> None:
    """Fill in the values of measures that compare queries of several languages."""
    for measure in measures:
        if not (isinstance(measure, BiasMeasure) and measure.NEEDS_ALL_LANGUAGES):
            continue
        for kind in measure.SETTINGS:
            kind_parts = [part for part in parts if part.rankings.kind == kind]
            if not kind_parts:
                continue
            judgements = [part.rankings.judgements for part in kind_parts]
            values = measure.compute(join_rankings(judgements))
            ends = np.cumsum([len(part_judgements) for part_judgements in judgements])[:-1]
            for part, part_values in zip(kind_parts, np.split(values, ends), strict=True):
                part.values[measure] = part_values


def average_unbiased(
    parts: Sequence[MeasuredRankings], measures: Sequence[Measure]
) -> dict[str, dict[str, float]]:
    """Return the unbiased value of measures of bias, by kind of setting and name of measure."""
    values_by_kind = {kind: _average_unbiased_kind(parts, measures, kind) for kind in SETTING_KINDS}
    return {str(kind): values for kind, values in values_by_kind.items() if values}


def _average_unbiased_kind(
    parts: Sequence[MeasuredRankings], measures: Sequence[Measure], kind: KindName
) -> dict[str, float]:
    """Return the mean over query languages of each measure's mean unbiased value."""
    judgements = [part.rankings.judgements for part in parts if part.rankings.kind == kind]
    if not judgements:
        return {}
    pool = join_rankings(judgements)
    averages = {}
    for measure in measures:
        if isinstance(measure, BiasMeasure) and kind in measure.SETTINGS:
            values, language = measure.compute_unbiased(pool), pool.query_language
            has_value = ~np.isnan(values)
            if has_value.any():
                sums = np.bincount(language[has_value], values[has_value])
                counts = np.bincount(language[has_value])
                averages[str(measure)] = float(np.mean(sums[counts > 0] / counts[counts > 0]))
    return averages
