"""Evaluates runs of settings, which other systems than vectors made."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ir_measures import Measure

from beir_hybrid.collection.judgements import SELF_MATCH, Judgements
from beir_hybrid.evaluation.measured_rankings import (
    MeasuredRankings,
    Qrels,
    build_qrels,
)
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.bias_evaluator import BiasEvaluator, sort_passages
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.measures.run_values import measure_run
from beir_hybrid.results.pool_languages import TOP, list_pool_kinds
from beir_hybrid.retrieval.runs import Run


def evaluate_setting_run(
    rankings: Rankings, run: Run, judgements: Judgements, measures: Sequence[Measure]
) -> MeasuredRankings:
    """Return ir-measures' values for the run of one setting.

    Parameters
    ----------
    rankings
        The setting's, from `build_empty_rankings`.
    run
        Scores by id of query and passage; queries may be missing.
    """
    query_ids = judgements.list_query_ids(rankings.query_rows)
    qrels = build_qrels(rankings, judgements, query_ids)
    run = _remove_queries_from_run(run, judgements)
    values = {measure: np.full(len(query_ids), np.nan) for measure in measures}
    plain_measures = [measure for measure in measures if not isinstance(measure, BiasMeasure)]
    if plain_measures:
        for measure, query, value in measure_run(plain_measures, qrels, run):
            values[measure][query] = value
    bias_measures = [
        measure
        for measure in measures
        if isinstance(measure, BiasMeasure) and rankings.kind in measure.SETTINGS
    ]
    one_query_measures = [measure for measure in bias_measures if not measure.NEEDS_ALL_LANGUAGES]
    if one_query_measures:
        values |= _measure_bias(rankings, qrels, run, one_query_measures)
    if len(one_query_measures) < len(bias_measures):
        rankings = _add_ranks(rankings, run, judgements, query_ids)
    if list_pool_kinds([rankings.kind]):
        rankings = _add_top_languages(rankings, run, judgements.codes, query_ids)
        rankings = _add_ties(rankings, run, judgements, query_ids)
    return MeasuredRankings(rankings, values)


def count_without_gold(rankings: Rankings, run: Run, judgements: Judgements) -> int:
    """Count the queries of a pool for which a run holds passages and none of the relevant ones.

    Only queries with relevant passages in several languages count, for bias has no value elsewhere.
    """
    if not list_pool_kinds([rankings.kind]):
        return 0
    table = rankings.judgements
    is_gold = table.relevance > 0
    query_ids = judgements.list_query_ids(rankings.query_rows)
    passage_ids = judgements.list_passage_ids(rankings.passage_rows[is_gold])
    languages: dict[int, set[int]] = {}
    queries_with_gold: set[int] = set()
    columns = table.query[is_gold].tolist(), table.passage_language[is_gold].tolist()
    for query, language, passage_id in zip(*columns, passage_ids, strict=True):
        languages.setdefault(query, set()).add(language)
        if passage_id in run.get(query_ids[query], {}):
            queries_with_gold.add(query)
    return sum(
        len(golds) > 1 and query not in queries_with_gold and query_ids[query] in run
        for query, golds in languages.items()
    )


def _measure_bias(
    rankings: Rankings, qrels: Qrels, run: Run, measures: Sequence[BiasMeasure]
) -> dict[Measure, np.ndarray]:
    """Return the values of measures of bias, for each query in a pool of the right size.

    Pools of queries that are passages themselves have one passage less.
    """
    query_ids = list(qrels)
    indexes = {query_id: index for index, query_id in enumerate(query_ids)}
    values: dict[Measure, np.ndarray] = {m: np.full(len(query_ids), np.nan) for m in measures}
    pool_sizes = rankings.judgements.pool_size
    for pool in np.unique(pool_sizes).tolist():
        pool_queries = [query_ids[n] for n in np.flatnonzero(pool_sizes == pool).tolist()]
        pool_qrels = {query_id: qrels[query_id] for query_id in pool_queries}
        pool_measures = {measure: _set_pool(measure, pool) for measure in measures}
        evaluator = BiasEvaluator(list(dict.fromkeys(pool_measures.values())), pool_qrels)
        pool_values: dict[Measure, np.ndarray] = {
            measure: np.full(len(query_ids), np.nan) for measure in pool_measures.values()
        }
        for metric in evaluator.iter_calc(run):
            pool_values[metric.measure][indexes[metric.query_id]] = metric.value
        for measure, pool_measure in pool_measures.items():  # two measures may become the same
            column = pool_values[pool_measure]
            values[measure] = np.where(np.isnan(column), values[measure], column)
    return values


def _set_pool(measure: Measure, pool: int) -> Measure:
    """Add the size of the pool to a rank distance: a run does not hold all of its passages."""
    if isinstance(measure, BiasMeasure) and "pool" in measure.SUPPORTED_PARAMS:
        return measure(pool=measure["pool"] or pool)
    return measure


def _remove_queries_from_run(run: Run, judgements: Judgements) -> Run:
    """Return a run in which no query is among its own passages."""
    itself = judgements.select(judgements.relevance == SELF_MATCH)
    query_ids = judgements.list_query_ids(itself.query)
    passage_ids = judgements.list_passage_ids(itself.passage)
    copy = {query_id: dict(documents) for query_id, documents in run.items()}
    for query_id, passage_id in zip(query_ids, passage_ids, strict=True):
        copy.get(query_id, {}).pop(passage_id, None)
    return copy


def _add_top_languages(
    rankings: Rankings, run: Run, codes: Sequence[str], query_ids: Sequence[str]
) -> Rankings:
    """Return rankings with the languages of the first passages in a run."""
    numbers = {code: number for number, code in enumerate(codes)}
    top = np.full((len(query_ids), TOP), -1)
    for row, query_id in enumerate(query_ids):
        best = sort_passages(query_id, run.get(query_id, {}), TOP)
        top[row, : len(best)] = [numbers[identity.partition(":")[0]] for identity in best]
    return replace(rankings, judgements=replace(rankings.judgements, top_languages=top))


def _add_ties(
    rankings: Rankings, run: Run, judgements: Judgements, query_ids: Sequence[str]
) -> Rankings:
    """Return rankings with the judged passages that have the score of another one, as float32."""
    runs = [run.get(query_id, {}) for query_id in query_ids]
    with np.errstate(over="ignore"):
        columns = [np.array([*scores.values()], np.float64).astype(np.float32) for scores in runs]
    scores = [
        dict(zip(query_run, column.tolist(), strict=True))
        for query_run, column in zip(runs, columns, strict=True)
    ]
    counts = [Counter(query_scores.values()) for query_scores in scores]
    passage_ids = judgements.list_passage_ids(rankings.passage_rows)
    pairs = zip(rankings.judgements.query.tolist(), passage_ids, strict=True)
    has_tie = [counts[query][scores[query].get(passage, math.nan)] > 1 for query, passage in pairs]
    return replace(rankings, has_tie=np.array(has_tie, bool))


def _add_ranks(
    rankings: Rankings, run: Run, judgements: Judgements, query_ids: Sequence[str]
) -> Rankings:
    """Return rankings with the ranks that the judged passages have in a run."""
    documents = [sort_passages(query_id, run.get(query_id, {})) for query_id in query_ids]
    ranks = [{document: rank for rank, document in enumerate(ids, 1)} for ids in documents]
    passage_ids = judgements.list_passage_ids(rankings.passage_rows)
    judgement_queries = rankings.judgements.query.tolist()
    rank = [
        ranks[query].get(passage_id, 0)
        for query, passage_id in zip(judgement_queries, passage_ids, strict=True)
    ]
    ranked_judgements = replace(
        rankings.judgements,
        rank=np.array(rank, np.int64),
        ranking_length=np.array([len(ids) for ids in documents], np.int64),
    )
    return replace(rankings, judgements=ranked_judgements)
