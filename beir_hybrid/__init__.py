"""Train, judge and serve language-agnostic retrievers.

A collection in several languages goes in; every setting's run, measures and bias come out.

Names are resolved when they are first used, so that importing this package imports little else.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from beir_hybrid import errors as errors
from beir_hybrid.errors import BeirHybridError as BeirHybridError

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection as Collection
    from beir_hybrid.collection import CollectionWriter as CollectionWriter
    from beir_hybrid.collection import View as View
    from beir_hybrid.collection import read_folder as read_folder
    from beir_hybrid.collection import read_jsonl as read_jsonl
    from beir_hybrid.collection import write_folder as write_folder
    from beir_hybrid.sources import Dataset as Dataset
    from beir_hybrid.sources import datasets as datasets
    from beir_hybrid.sources import load as load

__version__ = "0.1.0"

_HOMES = {
    "Collection": "collection",
    "CollectionWriter": "collection",
    "Dataset": "sources",
    "View": "collection",
    "datasets": "sources",
    "load": "sources",
    "read_folder": "collection",
    "read_jsonl": "collection",
    "write_folder": "collection",
}

__all__ = [*_HOMES, "BeirHybridError", "__version__", "errors"]  # noqa: PLE0604 - the table's keys are strings


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'beir_hybrid' has no attribute {name!r}")
    return getattr(import_module(f"beir_hybrid.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
