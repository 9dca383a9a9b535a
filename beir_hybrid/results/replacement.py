"""Results that new ones would replace: those of another system, settings or data stay."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.records import from_record, to_record
from beir_hybrid.results.provenance import CollectionProvenance, Provenance
from beir_hybrid.results.storage import (
    PER_QUERY,
    RESULTS,
    TIMING,
    read_record,
    read_table,
    read_timing,
)

CURE = "name another folder, or remove the results in this one"
Facts = Mapping[str, object]
RERANKER_WEIGHTS = "weights of the reranker"  # a fact: its fingerprint

# The machine and its software, which may change between two evaluations of one system.
_IRRELEVANT_FACTS = ("versions", "device", "pyserini", "anserini", "lucene", "java")
_CALIBRATED, _RERANKED = "a calibration", "a reranker"  # facts that are true or false
# Facts as messages name them, where that is not their own name.
_NAMES = {
    "normalize": "normalization",
    "truncate_dim": "number of dimensions",
    "max_length": "maximal length",
    "dtype": "arithmetic",
    "kind": "kind of system",
}
_PLURALS = (
    "files", "ids of passages", "ids of queries", "modules", "passages", "prompts", "queries",
    "settings", "weights", RERANKER_WEIGHTS,
)  # fmt: skip
_SHOWN_FACTS = 3


def check_replaceable(
    folder: Path,
    name: str | None,
    facts: Facts,
    collection: CollectionProvenance,
    *,
    is_complete: bool = False,
) -> None:
    """Raise an error if new results may not replace what a folder holds.

    Parameters
    ----------
    name, facts
        Of the new results: the system's name and those of `list_facts`, as far as they are known.
    collection
        Of the new results.
    is_complete
        Whether `facts` are all, and others of the folder's results are differences.

    Raises
    ------
    BadOption
        For results of another system, in other settings or on other data, and files of others.
    BadData
        For damaged results.
    """
    try:
        if not (folder / RESULTS).exists():
            _check_files(folder)
            return
        saved, kinds = _read_provenance(folder)
    except BadData as error:
        raise BadData(f"{error}; {CURE}") from error
    saved_facts = list_facts(saved, kinds)
    all_facts = {**facts, **saved_facts} if is_complete else facts
    differences = [fact for fact in all_facts if _is_other(saved_facts.get(fact), facts.get(fact))]
    if name is not None and saved.model.name != name:
        difference = f"{saved.model.name!r}, not of {name!r}"
    elif _is_other(to_record(saved.collection.identity), to_record(collection.identity)):
        difference = f"{saved.model.name!r} on other data"
    elif relevant_facts := [fact for fact in differences if fact not in _IRRELEVANT_FACTS]:
        difference = f"{saved.model.name!r} {_describe_differences(relevant_facts, saved_facts)}"
    else:
        return
    raise BadOption(f"{folder} holds results of {difference}; {CURE}")


def list_facts(provenance: Provenance, kinds: Collection[str]) -> dict[str, object]:
    """Return the facts in which evaluations differ: fingerprint, calibration, settings, depth, ...

    Parameters
    ----------
    kinds
        Of the settings.
    """
    reranker, calibration, runs = provenance.reranker, provenance.model.calibration, provenance.runs
    return {
        **provenance.model.fingerprint,
        **list_request_facts(
            calibration=calibration.get("method") if calibration else None,
            reranker=reranker.name if reranker else None,
            kinds=kinds,
            depth=runs.depth if provenance.depth is None and runs else provenance.depth,
        ),
        "data of the calibration": calibration and calibration.get("data"),
        "statistics of the calibration": calibration and calibration.get("statistics"),
        RERANKER_WEIGHTS: reranker and reranker.fingerprint,
    }


def list_request_facts(
    *,
    calibration: str | None = None,
    reranker: str | None = None,
    kinds: Collection[str] | None,
    depth: int | None,
) -> dict[str, object]:
    """Return the facts that are known before an evaluation; without settings for no `kinds`.

    Parameters
    ----------
    calibration, reranker
        The method and the name.
    """
    facts = {
        _CALIBRATED: calibration is not None,
        _RERANKED: reranker is not None,
        "calibration": calibration,
        "reranker": reranker,
        "depth": depth,
    }
    return facts | ({} if kinds is None else {"settings": sorted(set(kinds))})


def _check_files(folder: Path) -> None:
    """Raise `BadOption` for files of others in the place of those of results."""
    table = folder / PER_QUERY
    if table.exists():
        raise BadOption(f"{table} is there, without the {RESULTS} that belongs to it; {CURE}")
    try:
        read_timing(folder)  # which a kill may have left alone
    except BadData as error:
        raise BadOption(f"{folder / TIMING} is there, and is none of results; {CURE}") from error


def _read_provenance(folder: Path) -> tuple[Provenance, list[str]]:
    """Read the provenance of results and their kinds of settings; raise `BadData` for damage."""
    record, path = read_record(folder), str(folder / RESULTS)
    read_table(folder, from_record(str, record.get("per_query"), f"{path}: per_query"))
    settings = from_record(list[dict[str, Any]], record.get("settings"), f"{path}: settings")
    kinds = [from_record(str, row.get("kind"), f"{path}: settings: kind") for row in settings]
    return from_record(Provenance, record.get("about"), f"{path}: about"), kinds


def _describe_differences(names: list[str], saved_facts: Facts) -> str:
    """Describe saved results by the facts in which new ones differ."""
    for fact in (_CALIBRATED, _RERANKED):
        if fact in names:
            return f"with {fact}" if saved_facts[fact] else f"without {fact}"
    words = [
        f"{'other' if name in _PLURALS else 'another'} {_NAMES.get(name, name.replace('_', ' '))}"
        for name in names[:_SHOWN_FACTS]
    ]
    return f"with {' and '.join(words)}"


def _is_other(saved: object, new: object) -> bool:
    """Return whether two facts differ, apart from the machine, once they are JSON."""
    return _normalise(saved) != _normalise(new)


def _normalise(fact: object) -> object:
    plain = json.loads(json.dumps(to_record(fact), default=str))
    return _drop_irrelevant(plain)


def _drop_irrelevant(fact: object) -> object:
    if isinstance(fact, dict):
        return {
            key: _drop_irrelevant(value)
            for key, value in fact.items()
            if key not in _IRRELEVANT_FACTS
        }
    return [_drop_irrelevant(value) for value in fact] if isinstance(fact, list) else fact
