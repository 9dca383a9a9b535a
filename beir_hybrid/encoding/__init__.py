"""Texts and a model in, vectors on disk out, each text encoded once."""

from beir_hybrid.encoding.embeddings import Embeddings
from beir_hybrid.encoding.encoder import Encoder, SentenceTransformerEncoder, as_encoder
from beir_hybrid.encoding.store import Encoded, encode

__all__ = [
    "Embeddings",
    "Encoded",
    "Encoder",
    "SentenceTransformerEncoder",
    "as_encoder",
    "encode",
]
