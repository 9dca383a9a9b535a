"""Language exposure: whether languages get attention in proportion to their relevant passages."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import cut_top_languages, divide, find_relevant
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.lazy import np
from beir_hybrid.measures.parameters import pick_parameters

if TYPE_CHECKING:
    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _LanguageExposure(BiasMeasure):
    """How alike languages' exposure in the first k passages and share of the relevant ones are.

    ``LE@k = 1 - sqrt(JS(e, t))``, JS the Jensen-Shannon divergence in bits; e is the attention that
    each language gets over ranks 1 to k, normalised to 1, and t each language's share of the
    relevant passages. Attention to rank i is 1/log2(i + 1), or p^(i-1) with
    ``discount='geometric'`` and the patience ``p``. The cutoff is required.

    Higher is better; 1 is unbiased, 0 means that no exposure goes to a language of a relevant
    passage. Below some k no ranking attains 1: one passage cannot expose eleven languages.

    An unretrieved passage costs the exposure that its language misses. A query that the run lacks
    counts 0; one without relevant passages has no value.

    Sapiezynski, Zeng, Robertson, Mislove and Wilson, "Quantifying the Impact of User Attention on
    Fair Group Representation in Ranked Lists", WWW 2019 companion, as TREC Fair Ranking uses it.

    Examples
    --------
    >>> import ir_measures
    >>> measure, qrels = LanguageExposure @ 1, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> values = ir_measures.calc_aggregate([measure], qrels, run)
    >>> round(values[measure], 4)
    0.4421
    """

    NAME = __name__ = "LanguageExposure"
    PRETTY_NAME = "Language Exposure at k"
    SHORT_DESC = "How alike languages' exposure and their share of the relevant passages are."
    SUPPORTED_PARAMS = pick_parameters("cutoff rel discount p langs")
    LABEL = "Exposure"
    SENTENCE = "how alike languages' exposure and their share of the relevant passages are"
    DIRECTION = "higher"
    NEEDS_CUTOFF = True

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        rows = find_relevant(self, judgements)
        top, _ = cut_top_languages(self, judgements)
        languages = judgements.passage_language, top
        shape = len(judgements), 1 + max(int(codes.max(initial=0)) for codes in languages)
        place = np.arange(top.shape[1])
        is_geometric = self["discount"] == "geometric"
        attention = self["p"] ** place if is_geometric else 1 / np.log2(place + 2)
        query, rank = np.nonzero(top >= 0)
        exposure = _sum_by_cell(query, top[query, rank], attention[rank], shape)
        weights = np.ones(len(rows))
        target = _sum_by_cell(
            judgements.query[rows], judgements.passage_language[rows], weights, shape
        )
        value = 1 - _measure_jensen_shannon(exposure, target)
        value[judgements.ranking_length == 0] = 0
        value[~target.any(axis=1)] = np.nan
        return value

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        n_relevant = judgements.sum_by_query(find_relevant(self, judgements))
        return np.where(n_relevant > 0, 1.0, np.nan)


LanguageExposure = _LanguageExposure()


def _sum_by_cell(
    row: np.ndarray, column: np.ndarray, weights: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Add up weights in the cells of a matrix."""
    cell = row * shape[1] + column
    return np.bincount(cell, weights, shape[0] * shape[1]).reshape(shape)


def _measure_jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon distances of rows, from 0 to 1; rows need not add up to 1."""
    p, q = (divide(row, row.sum(axis=1, keepdims=True), 0.0) for row in (first, second))
    middle = (p + q) / 2
    divergence = np.zeros(len(p))
    for side in (p, q):
        quotient = np.where(side > 0, divide(side, middle, 1.0), 1.0)
        divergence += (side * np.log2(quotient)).sum(axis=1) / 2
    return np.sqrt(np.clip(divergence, 0, 1))
