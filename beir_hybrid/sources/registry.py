"""Finds datasets by name, among the files of this folder and installed packages, and loads them."""

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import beir_hybrid.sources
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, lookup
from beir_hybrid.sources.spec import Dataset

ENTRY_POINTS = "beir_hybrid.datasets"


@cache
def datasets() -> dict[str, Dataset]:
    """Return every dataset by its name: ours first, then those of installed packages."""
    found: dict[str, Dataset] = {}
    for module in pkgutil.iter_modules(beir_hybrid.sources.__path__):
        for value in vars(import_module(f"beir_hybrid.sources.{module.name}")).values():
            if isinstance(value, Dataset):
                found[value.name] = value
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            value = entry.load()
        except (ImportError, AttributeError) as error:
            raise BadData(f"entry point {entry.value!r} cannot be loaded: {error}") from error
        if not isinstance(value, Dataset):
            raise BadData(f"entry point {entry.value!r} is no Dataset but {type(value).__name__}")
        if value.name in found:
            raise BadData(f"entry point {entry.value!r} declares {value.name!r} a second time")
        found[value.name] = value
    return found


def find(name: str) -> Dataset:
    """Return a dataset by its name."""
    return lookup("dataset", name, datasets())


def load(name: str, *, languages: str | Iterable[str] | None = None, **options: Any) -> Collection:
    """Return a dataset as a `Collection`, fetching and converting it once.

    Parameters
    ----------
    name
        ``xquad-r``, ``mlqa-r``, ``miracl``, ``beir-folder``, ``jsonl``, or that of an installed
        package.
    languages
        The languages to load, as codes of any fashion; all by default.
    options
        The dataset's own: ``beir-hybrid datasets show NAME`` lists them.
    """
    return find(name)(languages, **options)
