"""Language preference: how often the version in the query's language is ranked first."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import FAR, is_own_language
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.lazy import np
from beir_hybrid.measures.parameters import pick_parameters
from beir_hybrid.measures.passage_sets import PassageSets, group_parallel_passages

if TYPE_CHECKING:
    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _LanguagePreference(BiasMeasure):
    """Whether the relevant passage in the query's language outranks all its parallel versions.

    1 if it does, else 0; the mean over sets of parallel passages (see `RankDistance`) that hold
    the query's language and another one. Queries without such a set have no value: those whose own
    language has no relevant passage, or whose relevant passages have no parallel version.

    Neither high nor low is better: 1/n for n parallel passages is unbiased; above it the query's
    own language is preferred, below it the others are. (m/n, where m of a set of n are in the
    query's language.) An image is in no language, and has no value as a query.

    If the passage in the query's language is not retrieved and another version is, the value is 0.
    A set of which nothing is retrieved, and so a query that the run lacks, counts 1.

    Compare "MLAIRE", arXiv 2605.07249.

    Examples
    --------
    >>> import ir_measures
    >>> measure, qrels = LanguagePreference, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> values = ir_measures.calc_aggregate([measure], qrels, run)
    >>> values[measure]
    1.0
    """

    NAME = __name__ = "LanguagePreference"
    PRETTY_NAME = "Language Preference Rate"
    SHORT_DESC = "How often the version in the query's language outranks all parallel versions."
    SUPPORTED_PARAMS = pick_parameters("rel langs")
    LABEL = "Preference"
    SENTENCE = "how often the answer in the query's language comes before all others"
    DIRECTION = "near the unbiased value"

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        sets, is_own = self._group_passages(judgements)
        rank = judgements.rank[sets.rows]
        rank = np.where(rank == 0, FAR, rank)
        own_rank = sets.reduce(np.minimum, np.where(is_own, rank, FAR))
        foreign_rank = sets.reduce(np.minimum, np.where(is_own, FAR, rank))
        return sets.average((own_rank <= foreign_rank).astype(np.float64), len(judgements))

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        sets, is_own = self._group_passages(judgements)
        n_own = sets.reduce(np.add, is_own.astype(np.int64))
        return sets.average(n_own / sets.sizes, len(judgements))

    def _group_passages(self, judgements: RankedJudgements) -> tuple[PassageSets, np.ndarray]:
        """Return the sets that mix the query's language with another, and which members are its."""
        sets = group_parallel_passages(self, judgements)
        is_own = is_own_language(judgements, sets.rows)
        n_own = sets.reduce(np.add, is_own.astype(np.int64))
        is_mixed = (n_own > 0) & (n_own < sets.sizes)
        mixed = sets.select(is_mixed, judgements.query)
        return mixed, is_own[np.repeat(is_mixed, sets.sizes)]


LanguagePreference = _LanguagePreference()
