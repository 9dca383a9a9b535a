"""ir-measures' values for a run, none of which depends on the other measures that are asked for.

ir-measures computes several measures at once, and then some of them wrongly: ``nDCG`` beside
``nDCG(gains=...)`` gets its gains, ``NumRet`` beside ``AP(judged_only=True)`` ignores passages, and
of two ways to write one measure the first is 0. Here each has the value that it has alone.
"""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, product

from ir_measures import DefaultPipeline, Measure
from ir_measures.providers import Provider

from beir_hybrid.errors import BadData

# Parameters that trec_eval has for all measures of a call.
_PARAMETERS_OF_CALLS = ("judged_only", "gains")
_Call = tuple[Provider, str]


def measure_run(
    measures: Sequence[Measure],
    qrels: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
) -> Iterator[tuple[Measure, int, float]]:
    """Yield ir-measures' values for a run: the measure, the query's index in `qrels`, the value.

    Queries all of whose judgements are below 0 do not reach trec_eval, whose code may crash on
    them: they count as 0, and for `NumRet` as many as passages are retrieved.
    """
    # Some of ir-measures' providers accept only numbers as ids, and none a query without passages.
    numbered_qrels, numbered_run = (
        {str(n): dict(table[query]) for n, query in enumerate(qrels, start=1) if table.get(query)}
        for table in (qrels, run)
    )
    low_qrels = {key: row for key, row in numbered_qrels.items() if max(row.values()) < 0}
    other_qrels = {key: row for key, row in numbered_qrels.items() if key not in low_qrels}
    for (provider, _), groups in _plan_calls(measures).items():
        equal_measures = {group[0]: group for group in groups}
        reads_grades = any(measure.NAME != "Judged" for measure in equal_measures)
        if reads_grades:
            yield from _measure_without_relevance(chain(*groups), low_qrels, numbered_run)
        call_qrels = other_qrels if reads_grades else numbered_qrels
        try:
            for metric in provider.iter_calc(list(equal_measures), call_qrels, numbered_run):
                for measure in equal_measures[metric.measure]:
                    yield measure, int(metric.query_id) - 1, metric.value
        except ZeroDivisionError as error:  # Accuracy, if all passages are relevant
            names = ", ".join(map(str, equal_measures))
            raise BadData(
                f"ir-measures cannot compute {names} for this run: {error}; leave it out"
            ) from error


def _measure_without_relevance(
    measures: Iterable[Measure],
    qrels: Iterable[str],
    run: Mapping[str, Mapping[str, float]],
) -> Iterator[tuple[Measure, int, float]]:
    """Yield the values of queries, by their numbers, for which no passage is relevant."""
    for measure, number in product(measures, qrels):
        counts_all = measure.NAME == "NumRet" and "rel" not in measure.params
        yield measure, int(number) - 1, float(len(run.get(number, ())) if counts_all else 0)


def _plan_calls(measures: Sequence[Measure]) -> dict[_Call, list[list[Measure]]]:
    """Return the calls to make, each with its measures; those of a list have the same meaning."""
    calls: dict[_Call, dict[str, list[Measure]]] = {}
    for measure in measures:
        provider = next(
            provider
            for provider in DefaultPipeline.providers
            if provider.is_available() and provider.supports(measure)
        )
        values = {name: repr(measure[name]) for name in sorted(measure.SUPPORTED_PARAMS)}
        shared = repr([measure.params.get(name) or None for name in _PARAMETERS_OF_CALLS])
        groups = calls.setdefault((provider, shared), {})
        groups.setdefault(f"{measure.NAME} {values}", []).append(measure)
    return {call: list(groups.values()) for call, groups in calls.items()}
