"""Sets of passages of a query, such as the parallel versions of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import divide, find_relevant, number_pairs
from beir_hybrid.measures.lazy import np

if TYPE_CHECKING:
    from ir_measures import Measure

    from beir_hybrid.measures.ranked_judgements import RankedJudgements


@dataclass(frozen=True)
class PassageSets:
    """Sets of judgements, each of one query; the members of a set lie side by side.

    Attributes
    ----------
    rows
        The numbers of the judgements.
    starts, sizes
        The place in `rows` where each set begins, and how many members it has.
    query
        The number of each set's query.
    """

    rows: np.ndarray  # (members,) int64
    starts: np.ndarray  # (sets,) int64
    sizes: np.ndarray  # (sets,) int64
    query: np.ndarray  # (sets,) int64

    def reduce(self, function: np.ufunc, values: np.ndarray) -> np.ndarray:
        """Reduce the values of each set's members to one; (sets,)."""
        if not len(self.starts):
            return values[:0]
        reduced: np.ndarray = function.reduceat(values, self.starts)
        return reduced

    def average(self, values: np.ndarray, n: int) -> np.ndarray:
        """Average the values of each query's sets, those that are NaN left out; (n,) float64."""
        has_value = ~np.isnan(values)
        query = self.query[has_value]
        sums = np.bincount(query, values[has_value], n)
        return divide(sums, np.bincount(query, minlength=n))

    def select(self, is_selected: np.ndarray, query: np.ndarray) -> PassageSets:
        """Return the sets of a mask, (sets,) bool; `query` is the query of each judgement."""
        return _build_sets(
            self.rows[np.repeat(is_selected, self.sizes)], self.sizes[is_selected], query
        )


def _build_sets(rows: np.ndarray, sizes: np.ndarray, query: np.ndarray) -> PassageSets:
    starts = np.cumsum(sizes) - sizes
    return PassageSets(rows, starts, sizes, query[rows][starts])


def group_rows(rows: np.ndarray, codes: np.ndarray, query: np.ndarray) -> PassageSets:
    """Group judgements by a code that no two queries share; sets are in the order of codes."""
    order = np.argsort(codes, kind="stable")
    _, sizes = np.unique(codes, return_counts=True)
    return _build_sets(rows[order], sizes, query)


def group_parallel_passages(measure: Measure, judgements: RankedJudgements) -> PassageSets:
    """Group each query's relevant passages into sets of versions of one another.

    `RankDistance` says which passages form a set; sets in a single language are left out.
    """
    rows = find_relevant(measure, judgements)
    if not len(rows):
        return PassageSets(rows, rows, rows, rows)
    query, lang = judgements.query[rows], judgements.passage_language[rows]
    key = judgements.parallel_key[rows]
    _, pair, count = np.unique(number_pairs(query, lang), return_inverse=True, return_counts=True)
    has_several_sets = np.isin(query, query[count[pair] > 1])  # some language has several passages
    _, place, count = np.unique(number_pairs(query, key), return_inverse=True, return_counts=True)
    is_parallel = count[place] > 1
    has_several_sets &= np.isin(query, query[is_parallel])
    codes = number_pairs(query, np.where(has_several_sets, key + 1, 0))
    is_member = is_parallel | ~has_several_sets
    sets = group_rows(rows[is_member], codes[is_member], judgements.query)
    langs = judgements.passage_language[sets.rows]
    is_multilingual = sets.reduce(np.minimum, langs) < sets.reduce(np.maximum, langs)
    return sets.select(is_multilingual, judgements.query)
