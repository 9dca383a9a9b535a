"""Notes on the model of results, and on the runs that they were computed from."""

import json
from collections.abc import Iterable, Mapping

from ir_measures import Measure, SumAgg

from beir_hybrid.results.provenance import ModelProvenance, RunsProvenance
from beir_hybrid.text import plural

# Measures of bias that give a query its worst value if nothing relevant is retrieved.
_FULLY_BIASED = ("RankDistance", "LanguagePreference")


def list_model_notes(model: ModelProvenance) -> list[str]:
    """Return notes on prompts, terms of a sparse model, and training data that are tested on."""
    notes = _describe_prompts(model.fingerprint.get("prompts"))
    if model.terms:
        notes.append(
            f"{model.terms['queries']:,.1f} terms of a query and {model.terms['passages']:,.1f} of "
            "a passage have a weight, on average"
        )
    if n_shared := model.trained_on.get("shared", 0):
        queries = plural(model.trained_on.get("compared", 0), "queries")
        notes.append(f"trained on this: {n_shared:,} of {queries} compared are training data")
    return notes


def list_sum_notes(measures: Iterable[Measure]) -> list[str]:
    """Return a note on the measures that ir-measures adds up over queries."""
    names = [str(measure) for measure in measures if isinstance(measure.aggregator(), SumAgg)]
    return [f"{', '.join(names)}: averages over queries; ir-measures has sums"] if names else []


def _describe_prompts(prompts: object) -> list[str]:
    """Return a note on the prompts of a model, none for a system that has no such thing."""
    if not isinstance(prompts, Mapping):
        return []
    if not any(prompts.values()):
        return ["no prompts"]
    quoted = [json.dumps(prompts.get(role), ensure_ascii=False) for role in ("queries", "passages")]
    return [f"prompts: {quoted[0]} before queries, {quoted[1]} before passages"]


def list_run_notes(runs: RunsProvenance, passages: int, measures: Iterable[Measure]) -> list[str]:
    """Return notes on how complete runs are.

    Parameters
    ----------
    passages
        How many there are in the collection.
    measures
        Which have values in the results.
    """
    notes = []
    if runs.depth < passages:
        notes.append(f"runs hold {runs.depth:,} passages a query at most: measures see no more")
    if runs.missing:
        languages = [
            f"{lang} {missing:,} of {total:,}"
            for lang, (missing, total) in runs.missing_by_language.items()
            if missing
        ]
        notes.append(
            f"the runs lack {runs.missing:,} of {plural(runs.queries, 'queries')}, which counts as "
            f"finding nothing{': ' * bool(languages)}{', '.join(languages)}"
        )
    if runs.ignored:
        notes.append(
            f"the runs hold {plural(runs.ignored, 'queries')} without a relevant passage here, "
            "which are ignored"
        )
    if runs.unmatched:
        notes.append(
            f"{runs.unmatched:,} of {runs.queries:,} rankings are empty: no passage shares a term"
        )
    names = [measure.NAME for measure in measures]
    biased_names = [name for name in _FULLY_BIASED if name in names]
    if runs.without_gold and biased_names:
        notes.append(
            f"for {plural(runs.without_gold, 'queries')} the runs hold no relevant passage of the "
            f"pool, which counts as fully biased in {' and '.join(biased_names)}"
        )
    return notes
