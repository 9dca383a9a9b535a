"""Results of exact ranking: ranks of relevant passages, and the best passages of each query."""

from dataclasses import dataclass

import numpy as np

POOL = ""  # the pool of all languages, in `RankedPassages.top`
POOL_WITH_IMAGES = "*"  # that pool together with the images


@dataclass(frozen=True)
class GoldRanks:
    """Ranks of relevant passages: counts for each, and both ways to break ties.

    trec_eval orders tied passages by id, the last one first; MS MARCO's evaluation, the first one
    first. ``rank("desc")`` is the former, from 1.
    """

    n_above: np.ndarray  # (golds,) int64: passages with a higher score
    tied_later: np.ndarray  # (golds,) int64: ties whose ids come later among sorted ids
    tied_earlier: np.ndarray  # (golds,) int64

    def rank(self, ties: str = "desc") -> np.ndarray:
        """Return ranks from 1, ties broken by descending or ascending id."""
        return 1 + self.n_above + (self.tied_later if ties == "desc" else self.tied_earlier)


@dataclass(frozen=True)
class TopPassages:
    """The k best passages of each query, best first; ties by descending id, as trec_eval's."""

    rows: np.ndarray  # (n_queries, k) int64 row numbers of passages
    scores: np.ndarray  # (n_queries, k) float32

    @classmethod
    def allocate(cls, n: int, k: int) -> "TopPassages":
        """Return uninitialized arrays for the k best passages of n queries."""
        return cls(np.empty((n, k), np.int64), np.empty((n, k), np.float32))


@dataclass(frozen=True)
class RankedPassages:
    """The result of `rank`: the score and ranks of each relevant passage, and the best passages.

    Attributes
    ----------
    gold_scores
        The exact score of each relevant passage, (golds,) float32.
    language_ranks, pool_ranks, mixed_ranks
        Its ranks among the passages of its own language (or among the images, if it is one), among
        the passages of all languages, and among those and the images.
    top
        The best passages by name of the language, of all languages under `POOL`, and with images
        under `POOL_WITH_IMAGES`.
    """

    gold_scores: np.ndarray
    language_ranks: GoldRanks
    pool_ranks: GoldRanks
    mixed_ranks: GoldRanks
    top: dict[str, TopPassages]
