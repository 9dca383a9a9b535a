"""Reads ir-measures' measures by name, and says why a measure cannot be computed."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Iterable

from ir_measures import DefaultPipeline, Measure, parse_measure

from beir_hybrid.errors import BadData, BadOption, BeirHybridError, MissingExtra
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.text import split_words

MeasureNames = str | Measure | Iterable[Measure | str]  # one or several, as people name measures

# The errors that ir-measures raises for impossible measures, and for other objects.
_INVALID = (ValueError, NameError, SyntaxError, TypeError, AssertionError, AttributeError)

_LONGEST_NAME = 200  # letters of a measure in a file

# Plain words for ir-measures' messages, by a part of the message; the first match counts.
_EXPLANATIONS = {
    "cutoff=<object object": "it needs a cutoff, as in R@10",
    "<object object": "a parameter is missing",
    "problem parsing measure values": (
        "values are numbers from 0 on, True, False and texts in quotes, as in P(rel=2)@10"
    ),
    "problem parsing": "measures look like AP, nDCG@10 or P(rel=2)@10",
    "has no attribute": "measures are ir-measures' or their names",
}


def parse_measures(measures: MeasureNames) -> list[Measure]:
    """Return the measures, each once, if all of them can be computed.

    A text may name several, separated by spaces or commas.

    Examples
    --------
    >>> parse_measures("AP nDCG@10, AP")
    [AP, nDCG@10]
    >>> parse_measures("R@0")
    Traceback (most recent call last):
    ...
    beir_hybrid.errors.BadOption: no measure R@0: its cutoff must be at least 1
    """
    if isinstance(measures, str):
        measures = split_words(measures)
    elif isinstance(measures, Measure):
        measures = [measures]
    elif not isinstance(measures, Iterable):
        raise BadOption(f"measures are ir-measures' or their names, not {measures!r}")
    distinct = list(dict.fromkeys(_parse_one(measure) for measure in measures))
    if not distinct:
        raise BadOption("no measure is named")
    return distinct


def _parse_one(name: Measure | str) -> Measure:
    label = f"{name!s:.80}"
    try:
        measure = parse_measure(name) if isinstance(name, str) else name
        measure.validate_params()
        is_supported = isinstance(measure, BiasMeasure) or DefaultPipeline.supports(measure)
    except _INVALID as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadOption(f"no measure {label}: {_explain(reason)}") from error
    if measure.params.get("cutoff", 1) < 1:
        raise BadOption(f"no measure {label}: its cutoff must be at least 1")
    if measure.params.get("rel", 1) < 1:  # trec_eval refuses 0, and takes unjudged passages for -1
        raise BadOption(f"no measure {label}: rel, the least relevant grade, must be at least 1")
    if not is_supported:
        raise _explain_missing_provider(measure, label)
    return measure


def parse_stored_measure(name: str, place: str) -> Measure:
    """Return a measure by its name in a file; raise `BadData` for other texts.

    It need not be one that can be computed here.
    """
    try:
        if len(name) > _LONGEST_NAME:
            raise ValueError("it is too long")
        measure = parse_measure(name)
        hash(measure)
    except _INVALID as error:
        raise BadData(
            f"{place} has the measure {name!r:.60}, which is none: {error!s:.100}"
        ) from error
    return measure


def _explain(reason: str) -> str:
    return next((text for part, text in _EXPLANATIONS.items() if part in reason), reason)


def _explain_missing_provider(measure: Measure, label: str) -> BeirHybridError:
    """Return an error that names the missing package, or similar measures that have a provider."""
    for provider in DefaultPipeline.providers:
        if provider.supports(measure):
            return MissingExtra(f"{label} needs {provider.NAME}: {provider.install_instructions()}")
    alternatives = [
        f"{provider.NAME} has {supported}"
        for provider in DefaultPipeline.providers
        for supported in provider.SUPPORTED_MEASURES
        if supported.NAME == measure.NAME
    ]
    return BadOption("; ".join([f"ir-measures has no provider for {label}", *alternatives]))
