"""Results that new ones would replace: those of another system, or on other data, stay."""

import json
from collections.abc import Mapping
from pathlib import Path

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.records import to_record
from beir_hybrid.results.provenance import CollectionProvenance, Provenance, describe_collection
from beir_hybrid.results.results import Results
from beir_hybrid.results.storage import RESULTS

_CURE = "name another folder, or remove the results in this one"
Facts = Mapping[str, object]

# The machine and its software, which may change between two evaluations of one system.
_IRRELEVANT_FACTS = ("versions", "device", "pyserini", "anserini", "lucene", "java")


def check_same_system(folder: Path, name: str | None, facts: Facts, collection: Collection) -> None:
    """Raise `BadOption` if a folder holds results of another system or on another collection.

    Parameters
    ----------
    name, facts
        Of the new results: the model's name, if it is known already, and the facts that are.
    """
    _check(folder, name, facts, describe_collection(collection))


def check_replaceable(folder: Path, results: Results) -> None:
    """Raise `BadOption` if a folder holds results of another system than these results."""
    provenance = results.provenance
    _check(folder, results.model, list_facts(provenance), provenance.collection)


def list_facts(provenance: Provenance) -> dict[str, object]:
    """Return the facts by which systems differ: fingerprint, calibration and reranker."""
    reranker, calibration = provenance.reranker, provenance.model.calibration
    return {
        **provenance.model.fingerprint,
        "is calibrated": calibration is not None,
        "calibration": calibration,
        "reranks": reranker is not None,
        "reranker": reranker and [reranker.name, reranker.depth, reranker.fingerprint],
    }


def _check(folder: Path, name: str | None, facts: Facts, collection: CollectionProvenance) -> None:
    if not (folder / RESULTS).exists():
        return
    try:
        saved = Results.load(folder).provenance
    except BadData as error:
        raise BadData(f"{error}; {_CURE}") from error
    saved_facts = list_facts(saved)
    differences = [fact for fact in facts if _is_other(saved_facts.get(fact), facts[fact])]
    if name is not None and saved.model.name != name:
        difference = f"{saved.model.name!r}, not of {name!r}"
    elif _is_other(to_record(saved.collection.identity), to_record(collection.identity)):
        difference = f"{saved.model.name!r} on other data"
    elif names := [fact for fact in differences if fact not in _IRRELEVANT_FACTS]:
        difference = f"{saved.model.name!r} with another {' and '.join(names[:3])}"
    else:
        return
    raise BadOption(f"{folder} holds results of {difference}; {_CURE}")


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
