"""Same-language share: how many of the first passages are in the query's language."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import (
    cut_top_languages,
    divide,
    find_relevant,
    is_image_query,
    is_own_language,
)
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.lazy import np
from beir_hybrid.measures.parameters import pick_parameters

if TYPE_CHECKING:
    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _SameLanguageShare(BiasMeasure):
    """The share of the first k passages that are in the query's language.

    ``SLS@k = |{i <= k: lang(d_i) = lang(q)}| / min(k, retrieved)``; the cutoff is required.

    Neither high nor low is better: the share of the query's language among the relevant passages
    is unbiased (``rel`` says which are relevant, for that alone).

    An unretrieved passage costs nothing. A query that the run lacks counts 1. Queries without a
    relevant passage in their language have neither a value nor an unbiased one, nor have images,
    which are in none.

    Compare Roy, Constant, Al-Rfou, Barua, Phillips and Yang, "LAReQA: Language-Agnostic Answer
    Retrieval from a Multilingual Pool", EMNLP 2020, on same-language bias.

    Examples
    --------
    >>> import ir_measures
    >>> measure, qrels = SameLanguageShare @ 3, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> values = ir_measures.calc_aggregate([measure], qrels, run)
    >>> round(values[measure], 4)
    0.6667
    """

    NAME = __name__ = "SameLanguageShare"
    PRETTY_NAME = "Same-Language Share at k"
    SHORT_DESC = "The share of the first k passages that are in the query's language."
    SUPPORTED_PARAMS = pick_parameters("cutoff rel langs")
    LABEL = "Same language"
    SENTENCE = "share of the first passages that are in the query's language"
    DIRECTION = "near the unbiased value"
    NEEDS_CUTOFF = True

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        top, counts = cut_top_languages(self, judgements)
        n_own = (top == judgements.query_language[:, None]).sum(axis=1)
        share = divide(n_own, counts, otherwise=1.0)
        return np.where(np.isnan(self._compute_unbiased(judgements)), np.nan, share)

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        rows = find_relevant(self, judgements)
        n_own = judgements.sum_by_query(rows[is_own_language(judgements, rows)])
        share = divide(n_own, judgements.sum_by_query(rows))
        # A caption may be the only one in its language, and it is no answer to itself.
        return np.where((n_own == 0) | is_image_query(judgements), np.nan, share)


SameLanguageShare = _SameLanguageShare()
