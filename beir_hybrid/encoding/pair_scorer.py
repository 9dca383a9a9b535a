"""Scores of pairs of a query and a passage, as rerankers compute them, kept in the store."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.store import EncodingStats, encode


class PairScorer(Protocol):
    """A model that scores pairs of a query and a passage, such as a cross-encoder.

    A pair is one text, by which the store knows it: whatever the score depends on beside the
    `fingerprint` must be in that text.
    """

    @property
    def name(self) -> str:
        """The name in results and messages."""

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """JSON of everything on which scores depend beside the pairs."""

    @property
    def setting_kinds(self) -> tuple[KindName, ...]:
        """The kinds of settings whose queries and passages the model can read."""

    @property
    def input_description(self) -> str:
        """The inputs in a few words for messages, such as "texts" or "images with captions"."""

    def make_pairs(
        self,
        collection: Collection,
        kind: KindName,
        query_rows: np.ndarray,
        passage_rows: np.ndarray,
    ) -> list[str]:
        """Return one text for each pair of a query and a passage, both by row numbers."""

    def score(self, pairs: Sequence[str]) -> np.ndarray:
        """Return the score of each pair, (n,) float32."""

    def find_truncated(self, pairs: Sequence[str]) -> list[int] | None:
        """Return the indexes of pairs that the model truncates; None if that is not known."""


def score_pairs(
    scorer: PairScorer,
    pairs: Sequence[str],
    *,
    folder: Path | None = None,
    stats: EncodingStats | None = None,
) -> np.ndarray:
    """Return the score of each pair, (n,) float32, and compute only those the store lacks."""
    column = pa.chunked_array([pa.array(pairs, pa.large_string())])
    rows = encode(_PairEncoder(scorer), column, "passages", folder=folder, stats=stats)
    return rows.take(slice(None))[:, 0]


class _PairEncoder(Encoder):
    """A pair scorer for the store: a score is a vector of one dimension."""

    def __init__(self, scorer: PairScorer) -> None:
        self.scorer, self.name, self.fingerprint = scorer, scorer.name, scorer.fingerprint

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        return self.scorer.score(texts).reshape(-1, 1)

    encode_queries = encode_passages

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:
        del role
        return self.scorer.find_truncated(texts)
