"""How many passages a run has to hold for measures to have the values of the results."""
# mypy: allow-untyped-calls

from ir_measures import Measure

from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.effectiveness import RankProvider
from beir_hybrid.results.results import Results

_RUN_LINES = 5_000_000  # at most: 300 MB on disk, and a gigabyte of memory to evaluate
_RANK_PROVIDER = RankProvider()


def choose_hits(results: Results) -> int:
    """Choose the number of passages of a run: all, or fewer if such runs would be too large."""
    collection = results.provenance.collection
    cutoffs = [measure.params.get("cutoff", 1) for measure in results.measures]
    hits = int(max(results.provenance.depth or 0, *cutoffs))
    is_large = collection.queries * collection.passages > _RUN_LINES
    if is_large or not any(map(_needs_whole_ranking, results.measures)):
        return hits
    return max(hits, collection.passages)


def has_equal_value(measure: Measure, results: Results, hits: int) -> bool:
    """Return whether a measure has the results' value from runs of `hits` passages a query."""
    passages = results.provenance.collection.passages
    if "cutoff" in measure.params:
        return bool(measure["cutoff"] <= hits)
    if _needs_whole_ranking(measure):
        return passages <= hits
    return min(hits, passages) == min(results.provenance.depth or 0, passages)


def _needs_whole_ranking(measure: Measure) -> bool:
    is_exact = isinstance(measure, BiasMeasure) or _RANK_PROVIDER.supports(measure)
    return is_exact and "cutoff" not in measure.params
