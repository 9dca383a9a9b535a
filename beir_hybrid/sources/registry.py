"""Finds datasets by name, among the files of this folder and installed packages, and loads them."""

import logging
import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, lookup
from beir_hybrid.sources.spec import Dataset

logger = logging.getLogger(__name__)

ENTRY_POINTS = "beir_hybrid.datasets"


@cache
def datasets() -> dict[str, Dataset]:
    """Return every dataset by its name: ours first, then those of installed packages.

    A package's dataset that cannot be loaded is left out, with a warning.

    Examples
    --------
    >>> datasets()["xquad-r"].licence
    'CC BY-SA 4.0'
    >>> list(datasets()["mlqa-r"].options)
    ['passage_text']
    """
    found = dict(_ours())
    for name in _others():
        try:
            found[name] = _other(name)
        except BadData as error:
            logger.warning("a dataset is left out: %s", error)
    return found


def find_dataset(name: str) -> Dataset:
    """Return a dataset by its name; of other packages, only the one that declares it is loaded."""
    if name in _ours():
        return _ours()[name]
    lookup("dataset", name, {**_ours(), **_others()})
    return _other(name)


def load(name: str, /, languages: str | Iterable[str] | None = None, **options: Any) -> Collection:
    """Return a dataset as a `Collection`, fetching and converting it once.

    Parameters
    ----------
    name
        ``xquad-r``, ``mlqa-r``, ``miracl``, ``beir-folder``, ``jsonl``, ``quickstart``; with
        pictures ``jsonl-image-text``, ``multi30k``, ``xtd10``, ``xm3600``, ``xflickrco``, ``wit``;
        or that of an installed package.
    languages
        The languages to load, as codes of any fashion; all by default.
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


@cache
def _ours() -> dict[str, Dataset]:
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        for value in vars(import_module(f"beir_hybrid.sources.{module.name}")).values():
            if isinstance(value, Dataset):
                found[value.name] = value
    return found


@cache
def _others() -> dict[str, list[EntryPoint]]:
    """Return the entry points of other packages by name, none of them loaded."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        found.setdefault(entry.name, []).append(entry)
    return found


def _other(name: str) -> Dataset:
    entry, *more = _others()[name]
    where = f"entry point {entry.value!r}"
    if name in _ours() or more:
        rival = repr(more[0].value) if more else "this package"
        raise BadData(f"{where} declares {name!r}, as {rival} does")
    try:
        value = entry.load()
    except Exception as error:  # other people's code, which may raise anything
        raise BadData(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(value, Dataset):
        raise BadData(f"{where} is no Dataset but {type(value).__name__}")
    if value.name != name:
        raise BadData(f"{where} is named {name!r}, but its dataset {value.name!r}")
    return value
