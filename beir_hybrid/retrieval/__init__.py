"""Embeddings in, exact ranks and runs out."""

from beir_hybrid.retrieval.rank import Best, Places, Ranked, rank

__all__ = ["Best", "Places", "Ranked", "rank"]
