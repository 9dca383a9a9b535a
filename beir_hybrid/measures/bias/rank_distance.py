"""Rank distance: how far apart the versions of an answer are ranked."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.errors import BadOption
from beir_hybrid.measures.arrays import divide, find_pool_sizes
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.lazy import np
from beir_hybrid.measures.parameters import pick_parameters
from beir_hybrid.measures.passage_sets import group_parallel_passages

if TYPE_CHECKING:
    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _RankDistance(BiasMeasure):
    """How far apart the relevant passages of a query stand: highest minus lowest rank.

    ``RD = max rank - min rank`` over a set of n parallel passages. Where no language has more than
    one relevant passage they form one set; otherwise relevant passages whose ids differ only in
    their language form a set each, the value is the mean over sets of at least two, and if there
    is none all relevant passages are one set. Queries whose relevant passages are in fewer than
    two languages have no value: nothing could be preferred.

    Lower is better; n - 1, parallel passages side by side, is unbiased.

    With a cutoff k (``RankDistance@100``), ranks are clipped at k + 1. Passages that stand astride
    the cutoff then seem close, so k should be well above n, and no cutoff is better.
    An unretrieved passage has rank N, the end of the pool: ``pool``, or one more than the longest
    ranking of the run (or than the relevant passages of a query, should they be more). A set
    without any retrieved passage (within the cutoff), and so a query that the run lacks, gets the
    worst value, N - 1 or k if that is less.

    ``normalized=True`` compares pools of different sizes, and needs ``pool``:
    ``(RD - (n - 1)) / ((n - 1)(N + 1)/(n + 1) - (n - 1))``, where (n - 1)(N + 1)/(n + 1) is what a
    random ranking of the pool has on average. 0 is best and unbiased, 1 is a random ranking, and
    the worst is (n + 1)/(n - 1). Where all rankings have the same distance (n = N) there is no
    value. It takes no cutoff: a clipped distance can be less than n - 1.

    Huang, Zeng, Zamani and Allan, "Soft Prompt Decoding for Multilingual Dense Retrieval",
    SIGIR 2023; as used in Elmahdy, Lin and Ahmad, arXiv 2408.10536.

    Examples
    --------
    >>> import ir_measures
    >>> measure, qrels = RankDistance, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> values = ir_measures.calc_aggregate([measure], qrels, run)
    >>> values[measure]
    2.0
    """

    NAME = __name__ = "RankDistance"
    PRETTY_NAME = "Rank Distance"
    SHORT_DESC = "How far apart the relevant passages of a query are ranked."
    SUPPORTED_PARAMS = pick_parameters("cutoff rel normalized pool langs")
    LABEL = "Rank distance"
    SENTENCE = (
        "how many ranks lie between the first and the last version of an answer, which stand side "
        "by side (unbiased) if no language is preferred"
    )
    DIRECTION = "lower"

    @property
    def label(self) -> str:
        """The heading of a column."""
        return "Normalised" if self["normalized"] else super().label

    @property
    def sentence(self) -> str:
        """A description of the value."""
        if self["normalized"]:
            return "rank distance, 0 at best and 1 for a random ranking"
        return super().sentence

    def validate_params(self) -> None:
        """Raise `BadOption` where parameters make no sense, alone or together."""
        super().validate_params()
        if self["normalized"] and self["cutoff"]:
            raise BadOption(f"{self}: a normalized distance takes no cutoff")

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        sets = group_parallel_passages(self, judgements)
        pool_size = find_pool_sizes(self, judgements)[sets.query]
        cutoff = np.minimum(self["cutoff"] or pool_size, pool_size)
        rank = judgements.rank[sets.rows]
        ends, cutoffs = np.repeat(pool_size, sets.sizes), np.repeat(cutoff, sets.sizes)
        clipped = np.where(rank == 0, np.minimum(ends, cutoffs + 1), np.minimum(rank, cutoffs + 1))
        spread = sets.reduce(np.maximum, clipped) - sets.reduce(np.minimum, clipped)
        has_rank = sets.reduce(np.logical_or, (rank > 0) & (rank <= cutoffs))
        worst = np.minimum(pool_size - 1, cutoff)
        distance = np.where(has_rank, spread, worst).astype(np.float64)
        if self["normalized"]:
            best = sets.sizes - 1
            random = best * (pool_size + 1) / (sets.sizes + 1)
            # Where all of the pool is relevant, every ranking has the best distance.
            distance = divide(distance - best, np.where(sets.sizes == pool_size, 0, random - best))
        return sets.average(distance, len(judgements))

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        if self["normalized"]:
            return np.where(np.isnan(self._compute(judgements)), np.nan, 0.0)
        sets = group_parallel_passages(self, judgements)
        pool_size = find_pool_sizes(self, judgements)[sets.query]
        best = np.minimum(sets.sizes - 1, self["cutoff"] or pool_size)
        return sets.average(best.astype(np.float64), len(judgements))


RankDistance = _RankDistance()
