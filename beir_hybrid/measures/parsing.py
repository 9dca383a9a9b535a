"""Reads ir-measures' measures by name, and says why a measure cannot be computed."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import re
from collections.abc import Iterable
from difflib import get_close_matches

from ir_measures import DefaultPipeline, Measure, measures, parse_measure

from beir_hybrid.errors import BadData, BadOption, BeirHybridError, MissingExtra
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.text import split_words

MeasureNames = str | Measure | Iterable[Measure | str]  # one or several, as people name measures

# The errors that ir-measures raises for impossible measures, and for other objects.
_INVALID = (ValueError, NameError, SyntaxError, TypeError, AssertionError, AttributeError)

_NOT_FOUND = "measure not found: "  # as ir-measures begins its message
_LONGEST_NAME = 200  # letters of a measure in a file

# trec_eval's names of measures, without the cutoff behind an underscore.
_TREC_EVAL_NAMES = {
    "map": "AP", "map_cut": "AP", "gm_map": "GM_MAP", "ndcg_cut": "nDCG", "recall": "R",
    "recip_rank": "RR", "bpref": "Bpref", "infap": "infAP", "rprec": "Rprec", "mrr": "RR",
    "set_p": "SetP", "set_recall": "SetR", "set_f": "SetF", "num_ret": "NumRet",
    "num_rel": "NumRel", "num_rel_ret": "NumRelRet", "num_q": "NumQ",
}  # fmt: skip

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

    A text may name several, separated by spaces or commas. Names are ir-measures', in any case, or
    trec_eval's.

    Examples
    --------
    >>> parse_measures("AP nDCG@10, AP")
    [AP, nDCG@10]
    >>> parse_measures("map ndcg@10 ndcg_cut_10 recip_rank P_5 rankdistance num_rel_ret")
    [AP, nDCG@10, RR, P@5, RankDistance, NumRet(rel=1)]
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
        measure = parse_measure(_spell_measure(name)) if isinstance(name, str) else name
        measure.validate_params()
        is_supported = isinstance(measure, BiasMeasure) or DefaultPipeline.supports(measure)
    except _INVALID as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadOption(f"no measure {label}: {_explain(reason)}") from error
    if measure.params.get("cutoff", 1) < 1:
        raise BadOption(f"no measure {label}: its cutoff must be at least 1")
    if measure.params.get("rel", 1) < 1:  # trec_eval refuses 0, and takes unjudged passages for -1
        raise BadOption(f"no measure {label}: rel, the least relevant grade, must be at least 1")
    if measure.params.get("langs"):
        raise BadOption(f"no measure {label}: langs is of ir_measures; collections have languages")
    if not is_supported:
        raise _explain_missing_provider(measure, label)
    return measure


def _spell_measure(name: str) -> str:
    """Return ir-measures' spelling of a name in another case, or of trec_eval's name."""
    words = re.fullmatch(r"(?P<name>[A-Za-z_]+?)(?:_(?P<cutoff>\d+))?(?P<rest>[@(].*)?", name)
    if words is None:
        return name
    word = words["name"].casefold()
    spelling = _list_names().get(_TREC_EVAL_NAMES.get(word, word).casefold(), words["name"])
    cutoff = f"@{words['cutoff']}" if words["cutoff"] else ""
    return f"{spelling}{words['rest'] or ''}{cutoff}"


def _list_names() -> dict[str, str]:
    """Return ir-measures' names, ours among them, by their letters in lower case."""
    names = {name.casefold(): name for name in measures.registry}  # with other spellings
    main_names = [str(measure.NAME) for measure in measures.registry.values()]
    return names | {name.casefold(): name for name in main_names}


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
    if reason.startswith(_NOT_FOUND):
        names = _list_names()
        word = reason.removeprefix(_NOT_FOUND).casefold()
        similar = get_close_matches(word, names, n=1)
        return f"did you mean {names[similar[0]]}?" if similar else "ir-measures has none"
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
