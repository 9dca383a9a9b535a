"""Builds results from measured rankings, for models, BM25 and runs of other tools alike."""

from collections.abc import Sequence
from dataclasses import replace

from ir_measures import Measure

from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.evaluation.measured_rankings import MeasuredRankings
from beir_hybrid.results.measurements import Measurements
from beir_hybrid.results.pool_languages import count_pool_languages
from beir_hybrid.results.provenance import Provenance
from beir_hybrid.results.results import Results
from beir_hybrid.results.table import build_table
from beir_hybrid.results.timing import Timing


def build_results(
    judgements: Judgements,
    parts: Sequence[MeasuredRankings],
    measures: Sequence[Measure],
    provenance: Provenance,
    timing: Timing | None = None,
) -> Results:
    """Build results from the measured rankings of all settings, with means before reranking."""
    table = build_table(judgements, [part[:2] for part in parts], measures)
    pools = count_pool_languages(judgements, (part.rankings for part in parts))
    results = Results(table, tuple(measures), provenance, pools, timing=timing or Timing())
    first_parts = [part.before_reranking[:2] for part in parts if part.before_reranking]
    if not first_parts:
        return results
    first = build_table(judgements, first_parts, measures)
    means = Measurements(first, tuple(measures), provenance).average_kinds()
    return replace(results, before_reranking=means)
