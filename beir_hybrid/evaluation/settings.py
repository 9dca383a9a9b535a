"""A collection and exact ranks in, every setting's judged passages out as columns."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.evaluation.judged import Judged
from beir_hybrid.retrieval import Ranked

Kind = Literal["mono", "cross", "multi", "one-target"]
KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
ALL = "all"


class Setting(NamedTuple):
    """What is asked in which language, and where it is looked for.

    ``mono`` and ``cross`` rank the passages of one language, ``multi`` the pool of all. In
    ``one-target`` it is the pool without the relevant passages of other languages than
    `passages`, as in LAReQA.
    """

    kind: Kind
    queries: str
    passages: str  # `ALL` of the pool


@dataclass(frozen=True, eq=False)
class Scored:
    """The rankings of a kind of setting: whose they are, and where judged passages stand."""

    kind: Kind
    row: np.ndarray  # (n,) query rows of the collection
    target: np.ndarray  # (n,) the number of the passages' language, or one past the last for all
    passage: np.ndarray  # (judgements,) passage rows of the collection
    judged: Judged

    def only(self, kept: np.ndarray) -> "Scored":
        """Return some of the rankings; (n,) bool."""
        inside = kept[self.judged.query]
        return replace(
            self,
            row=self.row[kept],
            target=self.target[kept],
            passage=self.passage[inside],
            judged=self.judged.only(kept),
        )


@dataclass(frozen=True, eq=False)
class Judgements:
    """A collection's judgements by row number, with what all settings derive from them.

    Judgements lie query by query; queries without a relevant passage are left out.
    """

    collection: Collection
    query: np.ndarray  # (judgements,) ascending
    passage: np.ndarray
    relevance: np.ndarray
    query_lang: np.ndarray
    passage_lang: np.ndarray
    key: np.ndarray  # see `Judged`

    @classmethod
    def of(cls, collection: Collection) -> "Judgements":
        """Read them from a collection."""
        query, passage, relevance = collection.view().judgements
        order = np.argsort(query, kind="stable")
        query, passage = query[order], passage[order]
        relevance = relevance[order].astype(np.int64)
        asked = language_numbers(query, query_groups(collection))
        found = language_numbers(passage, passage_groups(collection))
        pair = (query * len(collection.languages) + found)[relevance > 0]
        if len(np.unique(pair)) < len(pair):
            key = _keys(collection, passage)
        else:  # no language has two relevant passages, so nothing asks which are parallel
            key = np.zeros_like(passage)
        return cls(collection, query, passage, relevance, asked, found, key)

    def among(self, queries: range) -> "Judgements":
        """Return those of some queries, by row."""
        rows = slice(*np.searchsorted(self.query, [queries.start, queries.stop]).tolist())
        columns = ("query", "passage", "relevance", "query_lang", "passage_lang", "key")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def scored(self, kind: Kind, ranked: Ranked, start: int = 0) -> Scored:
        """Return the rankings of a kind; `ranked` starts with the query in the row `start`."""
        width = len(self.collection.languages) + 1
        if kind == "multi":
            best = ranked.best.get("")
            top = np.empty((len(np.unique(self.query)), 0), np.int64)
            if best:
                rows = best.rows[np.unique(self.query) - start]
                top = language_numbers(rows, passage_groups(self.collection))
            ranks = ranked.pool.rank("desc"), ranked.pool.rank("asc")
            every = np.ones(len(self.query), dtype=bool)
            return self._scored(kind, self.query * width + width - 1, every, ranks, top)
        pair = self.query * width + self.passage_lang
        kept = np.isin(pair, pair[self.relevance > 0])
        if kind == "one-target":
            ranks = self._alone(ranked.pool.rank("desc")), self._alone(ranked.pool.rank("asc"))
        else:
            ranks = ranked.own.rank("desc"), ranked.own.rank("asc")
            kept &= (self.query_lang == self.passage_lang) == (kind == "mono")
        return self._scored(kind, pair, kept, ranks, None)

    def _scored(
        self,
        kind: Kind,
        pair: np.ndarray,
        kept: np.ndarray,
        ranks: tuple[np.ndarray, np.ndarray],
        top: np.ndarray | None,
    ) -> Scored:
        """Take each pair of a query and a target as one ranking."""
        width = len(self.collection.languages) + 1
        order = np.flatnonzero(kept)[np.argsort(pair[kept], kind="stable")]
        distinct, ranking = np.unique(pair[order], return_inverse=True)
        row, target = distinct // width, distinct % width
        sizes = [len(self.collection.passage_rows(lang)) for lang in self.collection.languages]
        pool = np.array([*sizes, sum(sizes)])[target]
        if kind == "one-target":
            pool = sum(sizes) - self._others(row, target)
        judged = Judged(
            query=ranking,
            relevance=self.relevance[order],
            rank=ranks[0][order],
            rank_ascending=ranks[1][order],
            lang=self.passage_lang[order],
            key=self.key[order],
            query_lang=language_numbers(row, query_groups(self.collection)),
            retrieved=pool,
            pool=pool,
            top=np.empty((len(row), 0), np.int64) if top is None else top,
        )
        return Scored(kind, row, target, self.passage[order], judged)

    def _alone(self, rank: np.ndarray) -> np.ndarray:
        """Return ranks in the pool less the relevant passages of other languages before them."""
        order = np.lexsort((rank, self.query))
        relevant = (self.relevance[order] > 0).astype(np.int64)
        before = _running(self.query[order], relevant)
        pair = (self.query * len(self.collection.languages) + self.passage_lang)[order]
        by_pair = np.argsort(pair, kind="stable")  # by rank within the pair
        own = np.empty_like(before)
        own[by_pair] = _running(pair[by_pair], relevant[by_pair])
        alone = rank.copy()
        alone[order] -= before - own
        return alone

    def _others(self, row: np.ndarray, lang: np.ndarray) -> np.ndarray:
        """Count the relevant passages of each query in other languages than one."""
        relevant, width = self.relevance > 0, len(self.collection.languages)
        asking, place = np.unique(self.query, return_inverse=True)
        at = place[relevant] * width + self.passage_lang[relevant]
        counts = np.bincount(at, minlength=len(asking) * width).reshape(-1, width)
        mine = np.searchsorted(asking, row)
        others: np.ndarray = counts.sum(axis=1)[mine] - counts[mine, lang]
        return others


def kinds_of(judgements: Judgements, wanted: Iterable[str] | None) -> list[Kind]:
    """Return the kinds of settings to evaluate: those named, or those that the collection has."""
    name, relevant = judgements.collection.name, judgements.relevance > 0
    same = (judgements.query_lang == judgements.passage_lang)[relevant]
    if not len(same):
        raise BadData(f"{name} has no query with a relevant passage")
    several = len(judgements.collection.languages) > 1
    table = {"mono": bool(same.any()), "cross": bool((~same).any()), "multi": several}
    there = [kind for kind, found in table.items() if found]
    chosen = set(there)
    if wanted is not None:
        chosen = {lookup("kind of setting", kind, KINDS) for kind in wanted}
    if not chosen:
        raise BadOption(f"no kind of setting is named; there are {', '.join(KINDS)}")
    for kind in chosen:
        if ("multi" if kind == "one-target" else kind) not in there:
            raise BadOption(f"{name} has no {kind} settings; it has {', '.join(there)}")
    return [kind for kind in KINDS.values() if kind in chosen]


def query_groups(collection: Collection) -> dict[str, range]:
    """Return the rows of each language's queries, in the order of languages and rows."""
    return {lang: collection.query_rows(lang) for lang in collection.languages}


def passage_groups(collection: Collection) -> dict[str, range]:
    """Return the rows of each language's passages, in the order of languages and rows."""
    return {lang: collection.passage_rows(lang) for lang in collection.languages}


def language_numbers(rows: np.ndarray, groups: dict[str, range]) -> np.ndarray:
    """Return the number of the language that each row is in, in the order of their names."""
    stops = [span.stop for span in groups.values()]
    return np.searchsorted(stops, rows, side="right")


def _keys(collection: Collection, passage: np.ndarray) -> np.ndarray:
    """Return a number for each id without its language."""
    distinct, place = np.unique(passage, return_inverse=True)
    ids = collection.passages["id"].take(to_arrow(distinct)).to_pylist()
    numbers: dict[str, int] = {}
    keys = [numbers.setdefault(key.partition(":")[2], len(numbers)) for key in ids]
    found: np.ndarray = np.array(keys, np.int64)[place]
    return found


def _running(group: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Add up what comes before each place within its group; groups lie side by side."""
    total = np.cumsum(amount) - amount
    starts: np.ndarray = total[np.searchsorted(group, group)]
    return total - starts


def id_order(ids: pa.ChunkedArray) -> np.ndarray:
    """Return each id's place in the order of ids, which decides ties; (n,) int32."""
    by_id = pc.sort_indices(ids)
    chunks = by_id.chunks if isinstance(by_id, pa.ChunkedArray) else [by_id]
    parts = [np.frombuffer(c.buffers()[1], np.uint64)[c.offset :][: len(c)] for c in chunks]
    order = np.empty(len(ids), np.int32)
    order[np.concatenate(parts) if parts else []] = np.arange(len(ids), dtype=np.int32)
    return order
