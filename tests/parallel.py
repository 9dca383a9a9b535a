"""A collection for jobs that run apart; light to import, for their processes do."""

from typing import Any

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from tests.test_store import SHARD

PASSAGES = 4 * SHARD + 10  # four shards, and a short one
SHARED = 3  # queries whose text is a passage's


def collection(passages: int = PASSAGES) -> Collection:
    """Return passages ``text 0``, ``text 1``, ... and five queries, three of them equal to some."""
    corpus = {f"en:{n:05}": {"text": f"text {n}"} for n in range(passages)}
    asked = [f"text {n}" for n in range(SHARED)] + ["who", "why"]
    queries = {f"en:q:{n}": text for n, text in enumerate(asked)}
    return bh.from_beir(corpus, queries, {key: {"en:00000": 1} for key in queries})


ALIKE: dict[str, Any] = {
    "prompts": {"queries": "", "passages": ""}
}  # a text has one vector in both roles
