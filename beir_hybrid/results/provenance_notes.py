"""Notes on the model of results, and on the runs that they were computed from."""

import json
from collections.abc import Mapping

from beir_hybrid.results.provenance import ModelProvenance, RunsProvenance
from beir_hybrid.text import plural


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


def _describe_prompts(prompts: object) -> list[str]:
    """Return a note on the prompts of a model, none for a system that has no such thing."""
    if not isinstance(prompts, Mapping):
        return []
    if not any(prompts.values()):
        return ["no prompts"]
    quoted = [json.dumps(prompts.get(role), ensure_ascii=False) for role in ("queries", "passages")]
    return [f"prompts: {quoted[0]} before queries, {quoted[1]} before passages"]


def list_run_notes(runs: RunsProvenance) -> list[str]:
    """Return notes on how complete runs are."""
    notes = [f"runs hold {runs.depth:,} passages a query at most: measures see no more"]
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
    return notes
