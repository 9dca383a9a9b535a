"""A collection of numbered texts for separate jobs; light to import, because their processes do."""

from typing import Any

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from tests.hash_encoder import SHARD_TEXTS

N_PASSAGES = 4 * SHARD_TEXTS + 10  # four shards, and a short one
N_SHARED = 3  # queries whose text is that of a passage
# A fingerprint's entry with which a text has one vector in both roles.
SAME_PROMPTS: dict[str, Any] = {"prompts": {"queries": "", "passages": ""}}


def make_numbered_collection(n_passages: int = N_PASSAGES) -> Collection:
    """Return passages ``text 0``, ``text 1``, ... and five queries, three of them like passages."""
    corpus = {f"en:{number:05}": {"text": f"text {number}"} for number in range(n_passages)}
    texts = [f"text {number}" for number in range(N_SHARED)] + ["who", "why"]
    queries = {f"en:q:{number}": text for number, text in enumerate(texts)}
    return bh.from_beir(corpus, queries, {key: {"en:00000": 1} for key in queries})
