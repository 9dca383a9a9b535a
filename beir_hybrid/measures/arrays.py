"""Array helpers that several measures share: quotients, relevant rows, pools, top languages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from beir_hybrid.errors import BadOption
from beir_hybrid.measures.lazy import np

if TYPE_CHECKING:
    from ir_measures import Measure

    from beir_hybrid.measures.ranked_judgements import RankedJudgements

FAR = 2**63 - 1  # of int64, the rank of an unretrieved passage, where every other is nearer


def divide(
    numerator: np.ndarray, denominator: np.ndarray, otherwise: float = math.nan
) -> np.ndarray:
    """Divide two arrays, with another value where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient = np.full(shape, otherwise)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def number_pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a number for each pair of numbers; they sort as the pairs do."""
    numbers: np.ndarray = first * (int(second.max(initial=0)) + 1) + second
    return numbers


def find_relevant(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    """Return the numbers of the judgements that count as relevant; (relevant,) int64."""
    return np.flatnonzero(judgements.relevance >= measure["rel"])


def is_own_language(judgements: RankedJudgements, rows: np.ndarray) -> np.ndarray:
    """Return whether passages of some judgements are in their query's language; (rows,) bool."""
    query_language = judgements.query_language[judgements.query[rows]]
    is_own: np.ndarray = judgements.passage_language[rows] == query_language
    return is_own


def is_image_query(judgements: RankedJudgements) -> np.ndarray:
    """Return whether queries are images, which are in no language; (n,) bool."""
    return (judgements.query_language == judgements.image_number) & (judgements.image_number >= 0)


def find_pool_sizes(measure: Measure, judgements: RankedJudgements) -> np.ndarray:
    """Return each query's pool size, as a parameter or the rankings say; (n,) int64.

    Raises
    ------
    BadOption
        If a pool has fewer passages than a query retrieves or has as relevant ones.
    """
    pool_size = np.broadcast_to(measure["pool"] or judgements.pool_size, len(judgements))
    n_relevant = judgements.sum_by_query(find_relevant(measure, judgements))
    least = np.maximum(judgements.ranking_length, n_relevant)
    np.maximum.at(least, judgements.query, judgements.rank)
    wrong = np.flatnonzero(least > pool_size)
    if len(wrong):
        small, large = pool_size[wrong[0]], least[wrong[0]]
        raise BadOption(f"{measure}: the pool has {small} passages, and a query at least {large}")
    return pool_size


def cut_top_languages(
    measure: Measure, judgements: RankedJudgements
) -> tuple[np.ndarray, np.ndarray]:
    """Return the languages of the passages up to the cutoff, -1 past the last, and their counts.

    Returns
    -------
    tuple
        (n, largest count) int64, and (n,) int64.
    """
    counts = np.minimum(measure["cutoff"], judgements.ranking_length)
    width, depth = int(counts.max(initial=0)), judgements.top_languages.shape[1]
    if depth < width:
        raise BadOption(f"{measure} needs the {width} best passages, and only {depth} are kept")
    top = judgements.top_languages[:, :width]
    return np.where(np.arange(width) < counts[:, None], top, -1), counts
