"""Rerankers behind servers that answer ``/rerank`` (vLLM, infinity, Jina, Cohere, TEI)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from beir_hybrid.encoding.endpoint import Endpoint, EndpointSession, read_indexed
from beir_hybrid.encoding.endpoint_encoder import REQUESTS
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.rerankers.text_pairs import TextPairScorer, read_text_pairs
from beir_hybrid.text import shorten_folder, to_one_line

_DOCUMENTS = 64  # of a request
_TEI_TYPES = {"classifier", "embedding", "reranker"}  # of models, as TEI says at /info
_SHOWN_CHARACTERS = 200  # of a server's name of its model


class EndpointScorer(TextPairScorer):
    """The `PairScorer` of a reranker behind a server, ``openai:MODEL@URL``.

    A request has a query and some of its passages. Of a model that is named by a folder of the
    server, name and fingerprint have the last part alone: they go into results.
    """

    def __init__(self, name: str) -> None:
        self.endpoint = Endpoint.parse(name)
        self.name = str(self.endpoint.public)
        self.fingerprint: Mapping[str, object] = {"kind": "rerank endpoint", **self.endpoint.facts}

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
            info = session.read_info()
            is_tei = _is_tei(info)
            if is_tei:
                self._check_model(info.get("model_id"))
            score = self._score_tei if is_tei else self._score
            parts = list(pool.map(lambda batch: score(session, *batch), batches))
        return np.concatenate([np.empty(0, np.float32), *parts])

    def find_truncated(self, pairs: Sequence[str]) -> list[int] | None:
        """Return None: servers do not tell which pairs are truncated."""
        del pairs
        return None

    def _check_model(self, model: object) -> None:
        """Raise `BadOption` if a server's model is another one, whose scores would be stored.

        A folder may be named by its last part. A server that names no model is not checked.
        """
        if not isinstance(model, str) or not model:
            return
        name = shorten_folder(model)
        if self.endpoint.model not in (model, name):
            name = to_one_line(name)[:_SHOWN_CHARACTERS]
            raise BadOption(
                f"the server of {self.name} has the model {name}; name it: "
                f"{replace(self.endpoint, model=name)}"
            )

    def _score(self, session: EndpointSession, query: str, passages: Sequence[str]) -> np.ndarray:
        def make_body(texts: Sequence[str]) -> dict[str, object]:
            body = {"model": self.endpoint.model, "query": query, "documents": list(texts)}
            return {**body, "top_n": len(texts)}

        read = partial(_read_scores, entries="results", value="relevance_score")
        return session.ask(passages, make_body, read)

    def _score_tei(
        self, session: EndpointSession, query: str, passages: Sequence[str]
    ) -> np.ndarray:
        """Return the scores of a server of TEI, which has one model and a form of its own."""

        def make_body(texts: Sequence[str]) -> dict[str, object]:
            return {"query": query, "texts": list(texts), "truncate": True}

        return session.ask(passages, make_body, partial(_read_scores, entries="", value="score"))


def _is_tei(info: Mapping[str, object]) -> bool:
    """Return whether a server's description is that of TEI, whose type of a model has parts."""
    model_type = info.get("model_type")
    return isinstance(model_type, dict) and not _TEI_TYPES.isdisjoint(model_type)


def _read_scores(answer: Any, n: int, entries: str, value: str) -> np.ndarray:
    """Return the scores of an answer, (n,) float32; arguments are as for `read_indexed`."""
    scores = read_indexed(answer, n, entries, value)
    if scores.ndim != 1:
        raise ValueError(f"scores have shape {scores.shape}")
    return scores
