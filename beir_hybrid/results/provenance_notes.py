"""Notes on the model of results, and on the runs that they were computed from."""

from beir_hybrid.results.provenance import ModelProvenance, RunsProvenance
from beir_hybrid.text import plural


def list_model_notes(model: ModelProvenance) -> list[str]:
    """Return notes on the terms of a sparse model, and on training data that are tested on."""
    notes = []
    if model.terms:
        notes.append(
            f"{model.terms['queries']:,.1f} terms of a query and {model.terms['passages']:,.1f} of "
            "a passage have a weight, on average"
        )
    if n_shared := model.trained_on.get("shared", 0):
        queries = plural(model.trained_on.get("compared", 0), "queries")
        notes.append(f"trained on this: {n_shared:,} of {queries} compared are training data")
    return notes


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
