"""Judged passages of many queries and where they stand, as flat columns that measures read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beir_hybrid.collection.setting import KindName

_OF_JUDGEMENTS = ("relevance", "rank", "rank_ascending", "lang", "key")
_OF_QUERIES = ("query_lang", "retrieved", "pool")


@dataclass(frozen=True, eq=False)
class RankedJudgements:
    """Rankings of n queries, of which only the judged passages and the languages on top are kept.

    Languages are numbered from 0. Ranks are from 1, and 0 where a passage is not retrieved.

    Attributes
    ----------
    query
        Which query a judgement is of, ascending from 0.
    rank, rank_ascending
        Where the passage stands if ties are in descending order of ids, as trec_eval has them, and
        if they are in ascending order, as MS MARCO's evaluation does.
    key
        Numbers a passage's id without the language: parallel passages share it.
    retrieved
        How many passages are ranked; 0 if the run lacks the query.
    pool
        How many there were to rank: the rank of an unretrieved passage.
    top
        Languages of the best passages, as many as the largest cutoff asks for; -1 past the last.
    image
        The number that pictures have in place of a language; -1 where there are none.
    """

    query: np.ndarray  # (judgements,) int64
    relevance: np.ndarray  # (judgements,) int64
    rank: np.ndarray  # (judgements,) int64
    rank_ascending: np.ndarray  # (judgements,) int64
    lang: np.ndarray  # (judgements,) int64
    key: np.ndarray  # (judgements,) int64
    query_lang: np.ndarray  # (n,) int64
    retrieved: np.ndarray  # (n,) int64
    pool: np.ndarray  # (n,) int64
    top: np.ndarray  # (n, kept) int64
    image: int = -1

    def __len__(self) -> int:
        return len(self.query_lang)

    def only(self, kept: np.ndarray) -> "RankedJudgements":
        """Return some of the queries; (n,) bool."""
        inside = kept[self.query]
        columns = {name: getattr(self, name)[inside] for name in _OF_JUDGEMENTS}
        columns |= {name: getattr(self, name)[kept] for name in (*_OF_QUERIES, "top")}
        query = (np.cumsum(kept) - 1)[self.query[inside]]
        return RankedJudgements(query=query, **columns, image=self.image)

    def total(self, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Add up, for each query, weights of some judgements (by number), or count them."""
        return np.bincount(self.query[rows], weights, len(self))


@dataclass(frozen=True, eq=False)
class Rankings:
    """The rankings of one kind of setting, with the judged passages of each.

    Attributes
    ----------
    query_rows
        The collection's row of each ranking's query.
    targets
        The passages that each ranking is of, by number of `Judgements.targets`.
    passage_rows
        The collection's row of each judged passage.
    """

    kind: KindName
    query_rows: np.ndarray  # (n,) int64
    targets: np.ndarray  # (n,) int64
    passage_rows: np.ndarray  # (judgements,) int64
    judgements: RankedJudgements

    def select(self, rankings: np.ndarray) -> "Rankings":
        """Return some of the rankings; (n,) bool."""
        inside = rankings[self.judgements.query]
        return Rankings(
            kind=self.kind,
            query_rows=self.query_rows[rankings],
            targets=self.targets[rankings],
            passage_rows=self.passage_rows[inside],
            judgements=self.judgements.only(rankings),
        )


def joined(parts: Sequence[RankedJudgements]) -> RankedJudgements:
    """Return the rankings of all parts, without the languages on top."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *map(len, parts)])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*_OF_JUDGEMENTS, *_OF_QUERIES)
    }
    query = [part.query + start for part, start in zip(parts, starts, strict=False)]
    top = np.empty((int(starts[-1]), 0), np.int64)
    return RankedJudgements(query=np.concatenate(query), **columns, top=top, image=parts[0].image)


def ratio(above: np.ndarray, below: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """Divide, where there is something to divide by."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    quotient = np.full(shape, otherwise)
    np.divide(above, below, out=quotient, where=below != 0)
    return quotient
