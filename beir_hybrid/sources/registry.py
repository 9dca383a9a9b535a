"""The datasets by name: those of this folder, and those of installed packages."""

import logging
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, lookup
from beir_hybrid.sources.ir_datasets import find_ir_dataset
from beir_hybrid.sources.mteb_tasks import find_task
from beir_hybrid.sources.options import check_recorded_options
from beir_hybrid.sources.spec import Dataset

logger = logging.getLogger(__name__)

ENTRY_POINTS = "beir_hybrid.datasets"
# Tables of other tools, by the word before the colon of a dataset's name.
_CATALOGUES: dict[str, Callable[[str], Dataset]] = {
    "mteb": find_task,
    "ir-datasets": find_ir_dataset,
}


@cache
def datasets() -> dict[str, Dataset]:
    """Return every dataset by its name: ours first, then those of installed packages.

    A package's dataset that cannot be loaded is left out, with a warning.

    Examples
    --------
    >>> datasets()["xquad-r"].licence
    'CC BY-SA 4.0'
    >>> list(datasets()["mlqa-r"].options)
    ['passage_text', 'extra']
    """
    table = dict(_import_ours())
    for name in _list_entry_points():
        try:
            table[name] = _load_entry_point(name)
        except BadData as error:
            logger.warning("a dataset is left out: %s", error)
    return table


def is_dataset(name: str) -> bool:
    """Return whether a name is a dataset's, or one of another tool's such as ``mteb:TASK``."""
    catalogue, colon, _ = name.partition(":")
    return name in datasets() or (bool(colon) and catalogue in _CATALOGUES)


def find_dataset(name: str) -> Dataset:
    """Return a dataset by its name; of other packages, only that of the dataset is imported."""
    catalogue, colon, rest = name.partition(":")
    if colon:
        return lookup("catalogue of datasets", catalogue, _CATALOGUES)(rest)
    if name in _import_ours():
        return _import_ours()[name]
    lookup("dataset", name, {**_import_ours(), **_list_entry_points()})
    return _load_entry_point(name)


def load(
    name: str, /, languages: str | Iterable[str] | None = None, **options: object
) -> Collection:
    """Load a dataset as a `Collection`; fetching and conversion happen once.

    Parameters
    ----------
    name
        A name that `datasets` lists, such as ``xquad-r``; ``mteb:TASK`` for a retrieval task of
        mteb, ``ir-datasets:NAME`` for a dataset of ir_datasets.
    languages
        The languages to load, as language tags of any form; all by default.
    options
        The dataset's own: ``beir-hybrid datasets show NAME`` lists them.

    Examples
    --------
    >>> load("xquad-r", languages=["de", "en"])  # doctest: +SKIP
    Collection('xquad-r', 2 languages, 2,380 queries, 2,456 passages)
    >>> load("xquadr")
    Traceback (most recent call last):
    ...
    beir_hybrid.errors.UnknownName: no dataset 'xquadr'; did you mean 'xquad-r'?
    """
    return find_dataset(name)(languages, **options)


def load_recorded(
    name: str, languages: Iterable[str] | None, options: Mapping[str, object]
) -> Collection:
    """Load a dataset that an index or results name, which anybody may have made."""
    check_recorded_options(options)
    return find_dataset(name)(languages, **options)


@cache
def _import_ours() -> dict[str, Dataset]:
    """Import the modules of this folder, and return the datasets that they declare."""
    table = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        for value in vars(import_module(f"beir_hybrid.sources.{module.name}")).values():
            if isinstance(value, Dataset):
                table[value.name] = value
    return table


@cache
def _list_entry_points() -> dict[str, list[EntryPoint]]:
    """Return the entry points of installed packages by name, without loading any."""
    table: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        table.setdefault(entry.name, []).append(entry)
    return table


def _load_entry_point(name: str) -> Dataset:
    entry, *rivals = _list_entry_points()[name]
    location = f"entry point {entry.value!r}"
    if name in _import_ours() or rivals:
        rival = repr(rivals[0].value) if rivals else "this package"
        raise BadData(f"{location} declares {name!r}, as {rival} does")
    try:
        value = entry.load()
    except Exception as error:  # code of other packages may raise anything
        raise BadData(f"{location} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(value, Dataset):
        raise BadData(f"{location} is no Dataset but {type(value).__name__}")
    if value.name != name:
        raise BadData(f"{location} is named {name!r}, but its dataset {value.name!r}")
    return value
