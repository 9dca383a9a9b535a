"""Datasets by name: every file here that declares a `Dataset`, and those of other packages."""

from beir_hybrid.sources.registry import datasets, find, load
from beir_hybrid.sources.spec import Dataset

__all__ = ["Dataset", "datasets", "find", "load"]
