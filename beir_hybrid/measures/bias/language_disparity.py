"""Language disparity: how far an image's rank varies with the language of the query."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import (
    FAR,
    divide,
    find_pool_sizes,
    find_relevant,
    number_pairs,
)
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.lazy import np
from beir_hybrid.measures.parameters import pick_parameters

if TYPE_CHECKING:
    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _LanguageDisparity(BiasMeasure):
    """How far the rank of a image varies with the language that it is asked for in.

    ``LD = max_l r_l - min_l r_l``, where r_l is the mean rank of the image over its captions in
    language l as queries; all of them get this value. Queries ask for the same where the same
    passages are relevant to them, and of several the first one's rank counts. Where all are in one
    language there is no value.

    Lower is better, 0 is unbiased. `RankDistance` is the same with the roles of queries and
    passages swapped.

    An unretrieved image has rank N, the end of the pool (see `RankDistance`), and so it has for a
    query that the run lacks; if no query for it finds it, all have the worst value, N - 1.

    ``normalized=True`` compares pools of different sizes, and needs ``pool``: LD is divided by what
    n languages with independent ranks, each as likely as the others, have on average,
    ``2 E - (N + 1)`` with ``E = N - sum_(k=1)^(N-1) (k/N)^n``, their expected maximum. 0 is best, 1
    a random ranking. (Means over several captions a language are closer to each other by chance
    alone.) A pool of one has no value.

    Examples
    --------
    >>> import ir_measures
    >>> qrels = {"de:q:1": {"image:1": 1}, "en:q:1": {"image:1": 1}}
    >>> run = {
    ...     "de:q:1": {"image:2": 0.9, "image:3": 0.8, "image:1": 0.7},
    ...     "en:q:1": {"image:1": 0.9, "image:2": 0.8, "image:3": 0.1},
    ... }
    >>> ir_measures.calc_aggregate([LanguageDisparity], qrels, run)[LanguageDisparity]
    2.0
    """

    NAME = __name__ = "LanguageDisparity"
    PRETTY_NAME = "Language Disparity"
    SHORT_DESC = "How far an image's rank varies with the language of the query."
    SUPPORTED_PARAMS = pick_parameters("rel normalized pool langs")
    LABEL = "Disparity"
    SENTENCE = "how many ranks lie between the query languages that look for an image"
    DIRECTION = "lower"
    SETTINGS = frozenset(("text-image",))
    NEEDS_ALL_LANGUAGES = True

    @property
    def label(self) -> str:
        """The heading of a column."""
        return "Normalised disparity" if self["normalized"] else super().label

    @property
    def sentence(self) -> str:
        """A description of the value."""
        if self["normalized"]:
            return "disparity, 0 at best and 1 for random rankings"
        return super().sentence

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        target, first_rank = _number_targets(self, judgements)
        pool_size = find_pool_sizes(self, judgements)
        rows = np.flatnonzero(target >= 0)
        target, n = target[rows], int(target.max(initial=-1)) + 1
        rank = np.where(first_rank[rows] == 0, pool_size[rows], first_rank[rows])
        lang = judgements.query_language[rows]
        pairs, place, count = np.unique(
            number_pairs(target, lang), return_inverse=True, return_counts=True
        )
        pair_target = pairs // (int(lang.max(initial=0)) + 1)
        mean = np.bincount(place, rank, len(pairs)) / count
        low, high, end = np.full(n, np.inf), np.full(n, -np.inf), np.zeros(n, np.int64)
        np.minimum.at(low, pair_target, mean)
        np.maximum.at(high, pair_target, mean)
        np.maximum.at(end, target, pool_size[rows])
        has_rank = np.bincount(target, first_rank[rows] > 0, n) > 0
        spread = np.where(has_rank, high - low, end - 1)
        n_languages = np.bincount(pair_target, minlength=n)
        if self["normalized"]:
            spread = divide(spread, _expect_random_spread(n_languages, end))
        spread[n_languages < 2] = np.nan  # noqa: PLR2004 - one language alone has no spread
        disparity = np.full(len(judgements), np.nan)
        disparity[rows] = spread[target]
        return disparity

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        return np.where(np.isnan(self._compute(judgements)), np.nan, 0.0)


LanguageDisparity = _LanguageDisparity()


def _number_targets(
    measure: BiasMeasure, judgements: RankedJudgements
) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for the target of each query, and the rank of its first relevant passage.

    Queries with the same relevant passages have the same target. It is -1 where nothing is
    relevant, and the rank 0 where no relevant passage is retrieved.
    """
    rows = find_relevant(measure, judgements)
    passage = number_pairs(judgements.passage_language[rows], judgements.parallel_key[rows])
    order = np.lexsort((passage, judgements.query[rows]))
    rows, passage = rows[order], passage[order]
    queries, starts = np.unique(judgements.query[rows], return_index=True)
    target = np.full(len(judgements), -1)
    numbers: dict[bytes, int] = {}
    for query, passages in zip(queries.tolist(), np.split(passage, starts[1:]), strict=False):
        target[query] = numbers.setdefault(passages.tobytes(), len(numbers))
    best = np.full(len(judgements), FAR)
    retrieved = rows[judgements.rank[rows] > 0]
    np.minimum.at(best, judgements.query[retrieved], judgements.rank[retrieved])
    return target, np.where(best == FAR, 0, best)


def _expect_random_spread(n_languages: np.ndarray, pool_size: np.ndarray) -> np.ndarray:
    """Return the mean distance of the first and the last of independent random ranks."""
    spread = np.zeros(len(n_languages))
    for n, end in {*zip(n_languages.tolist(), pool_size.tolist(), strict=True)}:
        largest = end - ((np.arange(1, end) / end) ** n).sum()
        spread[(n_languages == n) & (pool_size == end)] = 2 * largest - (end + 1)
    return spread
