"""PEER: whether passages of equal relevance rank alike in all languages."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import FAR, divide, number_pairs
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.lazy import np
from beir_hybrid.measures.parameters import pick_parameters
from beir_hybrid.measures.passage_sets import PassageSets, group_rows

if TYPE_CHECKING:
    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _PEER(BiasMeasure):
    """Probability of Equal Expected Rank: whether languages' judged passages rank alike.

    For each relevance level, a Kruskal-Wallis test over the judged passages of that level grouped
    by language: ``H = (N - 1) sum_l n_l (mean_l - mean)^2 / sum_d (r_d - mean)^2``, where r_d is
    d's rank among the N passages of the level (ties share their mean), and ``p`` the probability of
    at least H under chi-squared with one degree of freedom less than languages. The value is the
    mean of p over levels, with ``weights={level: weight}``; by default every level above 0 weighs
    the same.

    Higher is better, 1 is unbiased. (p spreads evenly over 0 to 1 if only chance orders the
    languages, so that a system without bias averages about 0.5.)

    A level says something only if at least two languages have a passage in it and one of them two;
    with one passage a language H is N - 1 whatever the ranking. Such levels are left out, and
    queries without another level have no value: on XQuAD-R, which has one relevant passage a
    language, that is every query.

    Unretrieved passages (with a cutoff, also those behind it) share the last place. A level of
    which nothing is retrieved counts 0, and so does a query that the run lacks. Retrieved passages
    without judgement are no part of any level.

    Yang, Jänich, Mayfield and Lawrie, "Language Fairness in Multilingual Information Retrieval",
    SIGIR 2024. Their implementation tests ranks in the whole list; here they are ranks among the
    passages of a level, as Kruskal and Wallis have them.

    Examples
    --------
    >>> import ir_measures
    >>> qrels = {"de:q:1": {"de:1": 1, "de:2": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> round(ir_measures.calc_aggregate([PEER], qrels, run)[PEER], 4)
    0.2207
    """

    NAME = __name__ = "PEER"
    PRETTY_NAME = "Probability of Equal Expected Rank"
    SHORT_DESC = "Whether passages of equal relevance rank alike in all languages."
    SUPPORTED_PARAMS = pick_parameters("cutoff weights langs")
    LABEL = "PEER"
    SENTENCE = "whether passages of equal relevance rank alike in all languages"
    DIRECTION = "higher"

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        from scipy.special import chdtrc

        levels = self._group_levels(judgements)
        ranks, has_rank = self._average_ties(judgements, levels)
        langs = judgements.passage_language[levels.rows]
        n_languages, statistic = _compute_kruskal_wallis(levels, langs, ranks)
        p = np.where(has_rank, chdtrc(n_languages - 1, statistic), 0.0)
        weight = self._weigh_levels(judgements.relevance[levels.rows][levels.starts])
        sums, weights = (
            np.bincount(levels.query, values, len(judgements)) for values in (weight * p, weight)
        )
        return divide(sums, weights)

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        query = self._group_levels(judgements).query
        return np.where(np.bincount(query, minlength=len(judgements)) > 0, 1.0, np.nan)

    def _group_levels(self, judgements: RankedJudgements) -> PassageSets:
        """Group judgements by relevance level; levels that say nothing are left out."""
        rows = np.flatnonzero(self._weigh_levels(judgements.relevance) > 0)
        level = judgements.relevance[rows] - judgements.relevance.min(initial=0)
        levels = group_rows(rows, number_pairs(judgements.query[rows], level), judgements.query)
        number = np.repeat(np.arange(len(levels.sizes)), levels.sizes)
        pairs = np.unique(np.stack([number, judgements.passage_language[levels.rows]]), axis=1)
        n_languages = np.bincount(pairs[0], minlength=len(levels.sizes))
        return levels.select((n_languages > 1) & (n_languages < levels.sizes), judgements.query)

    def _weigh_levels(self, relevance: np.ndarray) -> np.ndarray:
        """Return the weight of each relevance level."""
        weights = self["weights"]
        if weights is None:
            return (relevance > 0).astype(np.float64)
        levels, place = np.unique(relevance, return_inverse=True)
        by_level = [float(weights.get(level, 0)) for level in levels.tolist()]
        return np.array(by_level, np.float64)[place]

    def _average_ties(
        self, judgements: RankedJudgements, levels: PassageSets
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ranks within levels, and whether a level has any.

        Unretrieved passages are tied at the end of their level and share their mean rank.
        """
        rank = judgements.rank[levels.rows]
        is_retrieved = (rank > 0) & (rank <= (self["cutoff"] or FAR))
        number = np.repeat(np.arange(len(levels.sizes)), levels.sizes)
        order = np.lexsort((np.where(is_retrieved, rank, FAR), number))
        ranks = np.empty(len(rank))
        ranks[order] = np.arange(len(rank)) - np.repeat(levels.starts, levels.sizes) + 1
        counts = levels.reduce(np.add, is_retrieved.astype(np.int64))
        last = (counts + 1 + levels.sizes) / 2
        return np.where(is_retrieved, ranks, np.repeat(last, levels.sizes)), counts > 0


PEER = _PEER()


def _compute_kruskal_wallis(
    levels: PassageSets, langs: np.ndarray, ranks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of languages and H of each level; tied ranks share their mean already."""
    n = len(levels.sizes)
    number = np.repeat(np.arange(n), levels.sizes)
    _, first, group, count = np.unique(
        number_pairs(number, langs), return_index=True, return_inverse=True, return_counts=True
    )
    level = number[first]
    mean = (levels.sizes + 1) / 2
    deviation = np.bincount(group, ranks) / count - mean[level] if n else np.empty(0)
    between_languages = np.bincount(level, count * deviation**2, n)
    total = np.bincount(number, (ranks - mean[number]) ** 2, n)
    return np.bincount(level, minlength=n), divide(
        (levels.sizes - 1) * between_languages, total, 0.0
    )
