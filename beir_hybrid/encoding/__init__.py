"""Encoders of texts and images, and the store that keeps each vector on disk.

Names are resolved when they are first used: the command line reads `EncoderOptions` alone, without
the libraries that the others import.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beir_hybrid.encoding.embeddings import Embeddings as Embeddings
    from beir_hybrid.encoding.encoder import Encoder as Encoder
    from beir_hybrid.encoding.models import as_encoder as as_encoder
    from beir_hybrid.encoding.options import EncoderOptions as EncoderOptions
    from beir_hybrid.encoding.pair_scorer import PairScorer as PairScorer
    from beir_hybrid.encoding.sentence_transformer import (
        SentenceTransformerEncoder as SentenceTransformerEncoder,
    )
    from beir_hybrid.encoding.store import EncodingStats as EncodingStats
    from beir_hybrid.encoding.store import encode as encode

_HOMES = {
    "Embeddings": "embeddings",
    "Encoder": "encoder",
    "EncoderOptions": "options",
    "EncodingStats": "store",
    "PairScorer": "pair_scorer",
    "SentenceTransformerEncoder": "sentence_transformer",
    "as_encoder": "models",
    "encode": "store",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'beir_hybrid.encoding' has no attribute {name!r}")
    return getattr(import_module(f"beir_hybrid.encoding.{_HOMES[name]}"), name)
