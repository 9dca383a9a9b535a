"""Target-languages recall: how many answers in other languages than the query's come first."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import divide, find_relevant, is_image_query, is_own_language
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.lazy import np
from beir_hybrid.measures.parameters import pick_parameters

if TYPE_CHECKING:
    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _TLR(BiasMeasure):
    """The recall of relevant passages in other languages than the query's, among the first k.

    ``TLR@k = |{d in T: rank(d) <= k}| / |T|``, where T are the relevant passages in languages other
    than the query's; the cutoff is required. An image is in no language: it is never in T, and has
    no value as a query. A query whose T is empty has no value.

    Higher is better. No value is unbiased by itself, for TLR measures effectiveness and bias
    together: without bias it is about as high as the recall of all relevant passages (``R@k``), and
    a model that prefers the query's language has less. If T has more than k passages, the best is
    k / |T|.

    A passage that is not retrieved among the first k counts as missed; a query that the run lacks
    counts 0.

    Jang, Hong, Moon and Lim, "SHIFT: Semantic Harmonization via Index-side Feature Transformation
    for Multilingual Information Retrieval", arXiv 2606.18801, section 4.3. Their program leaves out
    queries that the run lacks, and breaks ties by the order of the run.

    Examples
    --------
    >>> import ir_measures
    >>> measure, qrels = TLR @ 3, {"de:q:1": {"de:1": 1, "en:1": 1, "fr:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6, "fr:1": 0.5}}
    >>> values = ir_measures.calc_aggregate([measure], qrels, run)
    >>> values[measure]
    0.5
    """

    NAME = __name__ = "TLR"
    PRETTY_NAME = "Target-Languages Recall at k"
    SHORT_DESC = "The recall of relevant passages in other languages than the query's."
    SUPPORTED_PARAMS = pick_parameters("cutoff rel langs")
    LABEL = "TLR"
    SENTENCE = "share of the relevant passages in other languages than the query's that come first"
    DIRECTION = "higher"
    SETTINGS = frozenset(("multi",))
    NEEDS_CUTOFF = True

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        rows = self._find_targets(judgements)
        rank = judgements.rank[rows]
        hits = judgements.sum_by_query(rows[(rank > 0) & (rank <= self["cutoff"])])
        recall = divide(hits, judgements.sum_by_query(rows))
        return np.where(is_image_query(judgements), np.nan, recall)

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        return np.full(len(judgements), np.nan)

    def _find_targets(self, judgements: RankedJudgements) -> np.ndarray:
        """Return the numbers of the judgements of relevant texts in other languages; (n,) int64."""
        rows = find_relevant(self, judgements)
        is_image = judgements.passage_language[rows] == judgements.image_number
        return rows[~is_image & ~is_own_language(judgements, rows)]


TLR = _TLR()
