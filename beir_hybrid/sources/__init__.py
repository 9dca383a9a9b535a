"""Datasets by name: every file here that declares a `Dataset`, and those of other packages.

What a package needs to bring a dataset of its own: `Dataset` declares it, `Remote` and `fetch` get
its files, `cached` builds the collection once, and `announce` shows licence and citation when its
files have been fetched.
"""

from beir_hybrid.collection.writer import cached
from beir_hybrid.fetch import Remote, fetch
from beir_hybrid.sources.registry import datasets, find, load
from beir_hybrid.sources.spec import Dataset, announce

__all__ = ["Dataset", "Remote", "announce", "cached", "datasets", "fetch", "find", "load"]
