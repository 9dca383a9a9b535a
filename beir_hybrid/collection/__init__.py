"""The data model: queries, passages and judgements over all languages, and views of them."""

from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.export import write_folder
from beir_hybrid.collection.folder import read_folder
from beir_hybrid.collection.jsonl import read_jsonl
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.store import open_collection
from beir_hybrid.collection.view import View
from beir_hybrid.collection.writer import CollectionWriter

__all__ = [
    "Collection",
    "CollectionWriter",
    "Origin",
    "View",
    "open_collection",
    "read_folder",
    "read_jsonl",
    "write_folder",
]
