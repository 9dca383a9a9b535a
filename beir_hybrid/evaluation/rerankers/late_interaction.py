"""Late-interaction models as rerankers: scorers of a query and a passage."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.encoding.late_model import LateInteractionEncoder
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.evaluation.rerankers.text_pairs import TextPairScorer, read_text_pairs
from beir_hybrid.retrieval.late_scorer import LateScorer


class LateInteractionScorer(TextPairScorer):
    """The `PairScorer` of a late-interaction model: MaxSim of each pair.

    Parameters
    ----------
    model
        A loaded ``MultiVectorEncoder``, or a name on the hub, a folder or its files.
    store
        The folder for vectors of tokens, each text's once; the cache where it is None.
    """

    def __init__(self, model: Any, store: Path | None = None) -> None:
        self.encoder, self.store = LateInteractionEncoder(model), store
        self.name = self.encoder.name
        self.fingerprint: Mapping[str, object] = self.encoder.fingerprint

    def score(self, pairs: Sequence[str]) -> np.ndarray:
        """Return the score of each pair, (n,) float32."""
        queries, passages = zip(*read_text_pairs(pairs), strict=True)
        encode = partial(encode_rows, self.encoder, folder=self.store)
        query_vectors: Any = encode(queries, "queries")
        passage_vectors: Any = encode(passages, "passages")
        rows = np.arange(len(pairs))
        return LateScorer(query_vectors, passage_vectors).score_pairs(rows, rows)

    def find_truncated(self, pairs: Sequence[str]) -> list[int] | None:
        """Return the indexes of pairs with a text that is longer than the model reads."""
        queries, passages = zip(*read_text_pairs(pairs), strict=True)
        indexes = [
            self.encoder.find_truncated(queries, "queries"),
            self.encoder.find_truncated(passages, "passages"),
        ]
        return sorted({i for part in indexes for i in part or ()})
