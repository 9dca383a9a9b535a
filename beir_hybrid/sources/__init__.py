"""Datasets by name: those in this folder, and those of other installed packages.

A package that brings a dataset of its own needs `Dataset` to declare it, `Remote` and `fetch` to
get its files, `load_or_build` to build the collection once, and `announce` to show licence and
citation when its files have been fetched.
"""

from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.download import Remote, fetch
from beir_hybrid.sources.registry import (
    datasets,
    find_dataset,
    is_dataset,
    load,
    load_recorded,
)
from beir_hybrid.sources.spec import Dataset, announce

__all__ = [
    "Dataset",
    "Remote",
    "announce",
    "datasets",
    "fetch",
    "find_dataset",
    "is_dataset",
    "load",
    "load_or_build",
    "load_recorded",
]
