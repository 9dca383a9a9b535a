"""Pairs of a query and a passage as texts, by which the store knows their scores."""

import json
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows
from beir_hybrid.collection.setting import KindName


class TextPairScorer:
    """The part of a `PairScorer` that all models of texts share."""

    setting_kinds: ClassVar[tuple[KindName, ...]] = ("mono", "cross", "multi")
    input_description: ClassVar[str] = "texts"

    def make_pairs(
        self,
        collection: Collection,
        kind: KindName,  # noqa: ARG002 - all kinds have texts on both sides
        query_rows: np.ndarray,
        passage_rows: np.ndarray,
    ) -> list[str]:
        """Return the texts of query and passage of each pair, as JSON."""
        query_texts = take_rows(collection.queries["text"], query_rows).to_pylist()
        distinct, place = np.unique(passage_rows, return_inverse=True)
        documents = take_rows(collection.view().passages, distinct)
        passage_texts = join_titles(documents).to_pylist()
        return [
            format_text_pair(query_text, passage_texts[i])
            for query_text, i in zip(query_texts, place.tolist(), strict=True)
        ]


def format_text_pair(query: str, passage: str) -> str:
    """Return a pair as JSON.

    >>> format_text_pair("Who?", "She.")
    '["Who?", "She."]'
    """
    return json.dumps([query, passage], ensure_ascii=False)


def read_text_pairs(pairs: Sequence[str]) -> list[tuple[str, str]]:
    """Return the texts of query and passage of each pair."""
    return [(query, passage) for query, passage in map(json.loads, pairs)]
