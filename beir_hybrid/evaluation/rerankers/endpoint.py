"""Rerankers behind servers that answer ``/v1/rerank`` (vLLM, infinity, Jina, Cohere)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Any, ClassVar

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding.endpoint import Endpoint, EndpointSession, read_indexed
from beir_hybrid.encoding.endpoint_encoder import REQUESTS
from beir_hybrid.evaluation.rerankers.text_pairs import make_text_pairs, read_text_pairs

_DOCUMENTS = 64  # of a request


class EndpointScorer:
    """The `PairScorer` of a reranker behind a server, ``openai:MODEL@URL``.

    A request has a query and some of its passages.
    """

    setting_kinds: ClassVar[tuple[KindName, ...]] = ("mono", "cross", "multi")
    input_description: ClassVar[str] = "texts"

    def __init__(self, name: str) -> None:
        self.name, self.endpoint = name, Endpoint.parse(name)
        self.fingerprint: Mapping[str, object] = {
            "kind": "rerank endpoint",
            "url": self.endpoint.url,
            "model": self.endpoint.model,
        }

    def make_pairs(
        self,
        collection: Collection,
        kind: KindName,  # noqa: ARG002 - all kinds have texts on both sides
        query_rows: np.ndarray,
        passage_rows: np.ndarray,
    ) -> list[str]:
        """Return the texts of query and passage of each pair, as JSON."""
        return make_text_pairs(collection, query_rows, passage_rows)

    def score(self, pairs: Sequence[str]) -> np.ndarray:
        """Return the score of each pair, (n,) float32."""
        batches: list[tuple[str, list[str]]] = []
        for query, group in groupby(read_text_pairs(pairs), key=lambda pair: pair[0]):
            passages = [passage for _, passage in group]
            starts = range(0, len(passages), _DOCUMENTS)
            batches += [(query, passages[start : start + _DOCUMENTS]) for start in starts]
        with (
            ThreadPoolExecutor(REQUESTS) as pool,
            EndpointSession(self.endpoint, "rerank") as session,
        ):
            parts = list(pool.map(lambda batch: self._score_batch(session, *batch), batches))
        return np.concatenate([np.empty(0, np.float32), *parts])

    def find_truncated(self, pairs: Sequence[str]) -> list[int] | None:
        """Return None: servers do not tell which pairs are truncated."""
        del pairs
        return None

    def _score_batch(
        self, session: EndpointSession, query: str, passages: Sequence[str]
    ) -> np.ndarray:
        return session.ask(passages, partial(self._make_body, query), _read_scores)

    def _make_body(self, query: str, passages: Sequence[str]) -> dict[str, object]:
        return {
            "model": self.endpoint.model,
            "query": query,
            "documents": list(passages),
            "top_n": len(passages),
        }


def _read_scores(answer: Any, n: int) -> np.ndarray:
    """Return the scores of an answer, (n,) float32."""
    scores = read_indexed(answer, n, "results", "relevance_score")
    if scores.ndim != 1:
        raise ValueError(f"scores have shape {scores.shape}")
    return scores
