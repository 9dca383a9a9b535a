"""The request behind results: the names and options by which they can be made again."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from beir_hybrid.collection import Collection
from beir_hybrid.collection.tables import CollectionTables


@dataclass(frozen=True)
class DatasetRequest:
    """The name, languages and options by which `load` finds a dataset again."""

    name: str
    languages: tuple[str, ...] | None
    options: Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """How model, data and options were named, as far as names can say it.

    A model or collection that was handed over as an object has no name, and its field is None.
    Folders stand with their whole paths. Results of earlier versions lack all below `options`.

    Attributes
    ----------
    rerank
        The cross-encoder, or ``blip:`` and a matcher.
    runs
        The files of external runs.
    hub
        Whether `model` is a name on the hub, and not a folder.
    options
        Of the encoder.
    name
        What to call the model, where the user says so.
    calibration
        The folder or method of a calibration.
    k1, b
        Of BM25.
    """

    rerank: str | None = None
    runs: tuple[str, ...] | None = None
    dataset: DatasetRequest | None = None
    model: str | None = None
    hub: bool | None = None
    options: Mapping[str, str | int | bool] | None = None
    measures: tuple[str, ...] | None = None
    settings: tuple[str, ...] | None = None
    depth: int | None = None
    name: str | None = None
    calibration: str | None = None
    k1: float | None = None
    b: float | None = None


def describe_request(
    collection: Collection,
    measures: Iterable[object],
    model: Any = None,
    options: Mapping[str, Any] | None = None,
    **details: Any,
) -> Request:
    """Return the request for results on a collection; `details` are further fields.

    A request goes into the timing, for paths differ between machines, while results are the same
    wherever files lie.
    """
    model, options = getattr(model, "load_request", None) or (model, options)
    if isinstance(model, str | Path):
        details["model"], details["hub"] = resolve_path(model), not Path(model).is_dir()
        present = ((name, value) for name, value in (options or {}).items() if value is not None)
        details["options"] = {name: _simplify(value) for name, value in present}
    return Request(
        dataset=describe_dataset(collection), measures=tuple(map(str, measures)), **details
    )


def describe_dataset(collection: CollectionTables) -> DatasetRequest | None:
    """Return the dataset behind a collection, or None if the collection was made otherwise."""
    if not collection.dataset:
        return None
    # The loader may have made a branch a commit. A path stays as the user gave it: a folder
    # describes itself, and could name another.
    options = {
        name: value if os.path.lexists(str(value)) else collection.options.get(name, value)
        for name, value in collection.dataset["options"].items()
    }
    languages = collection.dataset["languages"]
    return DatasetRequest(
        name=collection.dataset["name"],
        languages=None if languages is None else tuple(languages),
        options={name: _format(value) for name, value in options.items() if value is not None},
    )


def resolve_path(model: str | Path) -> str:
    """Return the whole path of a model's folder, or the name on the hub unchanged."""
    return str(Path(model).resolve()) if Path(model).is_dir() else str(model)


def _simplify(value: object) -> str | int | bool:
    """Convert an option of an encoder to a JSON value."""
    if isinstance(value, str | bool):
        return value
    return int(value) if isinstance(value, Integral) else str(value)


def _format(value: object) -> str:
    """Format an option of a dataset for the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple | list) else str(value)
