"""Ranks of the passages with judgements for many queries, as flat columns that measures read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from beir_hybrid.collection.setting import KindName

_JUDGEMENT_COLUMNS = ("relevance", "rank", "rank_ascending", "passage_language", "parallel_key")
_QUERY_COLUMNS = ("query_language", "ranking_length", "pool_size")


@dataclass(frozen=True, eq=False)
class RankedJudgements:
    """Rankings of n queries, reduced to the passages with judgements and the languages on top.

    Languages are numbered from 0. Ranks are from 1, and 0 where a passage is not retrieved.

    Attributes
    ----------
    query
        The number of each judgement's query, ascending from 0.
    rank, rank_ascending
        The rank of the passage if ties are in descending order of ids, as trec_eval has them, and
        if they are in ascending order, as MS MARCO's evaluation does.
    parallel_key
        A number that parallel passages share: that of the id without its language.
    ranking_length
        How many passages are ranked; 0 if the run lacks the query.
    pool_size
        How many there were to rank: the rank of an unretrieved passage.
    top_languages
        Languages of the best passages, as many as the largest cutoff asks for; -1 past the last.
    image_number
        The number that images have in place of a language; -1 where there are none.
    """

    query: np.ndarray  # (judgements,) int64
    relevance: np.ndarray  # (judgements,) int64
    rank: np.ndarray  # (judgements,) int64
    rank_ascending: np.ndarray  # (judgements,) int64
    passage_language: np.ndarray  # (judgements,) int64
    parallel_key: np.ndarray  # (judgements,) int64
    query_language: np.ndarray  # (n,) int64
    ranking_length: np.ndarray  # (n,) int64
    pool_size: np.ndarray  # (n,) int64
    top_languages: np.ndarray  # (n, depth) int64
    image_number: int = -1

    def __len__(self) -> int:
        return len(self.query_language)

    def select(self, is_selected: np.ndarray) -> "RankedJudgements":
        """Return the queries of a mask; (n,) bool."""
        rows = is_selected[self.query]
        columns = {name: getattr(self, name)[rows] for name in _JUDGEMENT_COLUMNS}
        columns |= {
            name: getattr(self, name)[is_selected] for name in (*_QUERY_COLUMNS, "top_languages")
        }
        query = (np.cumsum(is_selected) - 1)[self.query[rows]]
        return RankedJudgements(query=query, **columns, image_number=self.image_number)

    def sum_by_query(self, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Add up weights of judgements for each query, or count the judgements; (n,)."""
        return np.bincount(self.query[rows], weights, len(self))


@dataclass(frozen=True, eq=False)
class Rankings:
    """The rankings of one kind of setting, with the judgements of each.

    Attributes
    ----------
    query_rows
        The collection's row of each ranking's query.
    targets
        The passages of each ranking, by number of `Judgements.targets`.
    passage_rows
        The collection's row of each judgement's passage.
    has_tie
        Whether each judgement's passage has the score of another one; None where it is unknown.
    """

    kind: "KindName"
    query_rows: np.ndarray  # (n,) int64
    targets: np.ndarray  # (n,) int64
    passage_rows: np.ndarray  # (judgements,) int64
    judgements: RankedJudgements
    has_tie: np.ndarray | None = None  # (judgements,) bool

    def select(self, is_selected: np.ndarray) -> "Rankings":
        """Return the rankings of a mask; (n,) bool."""
        rows = is_selected[self.judgements.query]
        return Rankings(
            kind=self.kind,
            query_rows=self.query_rows[is_selected],
            targets=self.targets[is_selected],
            passage_rows=self.passage_rows[rows],
            judgements=self.judgements.select(is_selected),
            has_tie=None if self.has_tie is None else self.has_tie[rows],
        )


def join_rankings(parts: Sequence[RankedJudgements]) -> RankedJudgements:
    """Return the rankings of all parts, without the languages on top if there are several parts."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *map(len, parts)])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*_JUDGEMENT_COLUMNS, *_QUERY_COLUMNS)
    }
    query = [part.query + start for part, start in zip(parts, starts, strict=False)]
    return RankedJudgements(
        query=np.concatenate(query),
        **columns,
        top_languages=np.empty((int(starts[-1]), 0), np.int64),
        image_number=parts[0].image_number,
    )
