"""The relevant passages of a request with their scores, and which scores tie with them."""

from dataclasses import dataclass, fields, replace

import numpy as np

from beir_hybrid.retrieval.merged_pool import find_thresholds
from beir_hybrid.retrieval.merging import Scale


@dataclass(frozen=True)
class GoldScores:
    """Relevant passages with their scores: enough to rank them among passages of other shards.

    In a pool that is merged by comparable scores, `low` and `high` are the lowest and the highest
    score of each language that tie with a gold, (golds, languages); else they are the gold's own
    score, (golds, 1).
    """

    queries: np.ndarray  # (golds,) rows of queries, ascending
    scores: np.ndarray  # (golds,) float32, exact
    id_order: np.ndarray  # (golds,) int32: the place of the passage's id among sorted ids
    languages: np.ndarray  # (golds,) the number of the passage's language
    low: np.ndarray
    high: np.ndarray

    def set_thresholds(self, scale: Scale) -> "GoldScores":
        """Return the golds with the scores of each language that tie once all are comparable."""
        low, high = find_thresholds(self.scores, self.queries, self.languages, scale)
        return replace(self, low=low, high=high)

    def find_rounding_ties(self) -> np.ndarray:
        """Return for which golds other scores of their own language tie, (golds,) bool."""
        low, high = (
            np.take_along_axis(bounds, self.languages[:, None], axis=1)[:, 0]
            for bounds in (self.low, self.high)
        )
        has_more: np.ndarray = (low != self.scores) | (high != self.scores)
        return has_more

    def select(self, golds: slice | np.ndarray, first_query: int = 0) -> "GoldScores":
        """Return some golds, whose queries are counted from `first_query`."""
        columns = {field.name: getattr(self, field.name)[golds] for field in fields(self)}
        return replace(self, **columns | {"queries": columns["queries"] - first_query})
