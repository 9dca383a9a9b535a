"""The languages of the first passages in pools of several languages, by query language.

They answer "is my model biased towards English?": beside the share of each language among the first
passages stands its share among the relevant ones.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.arrays import take_distinct, to_numpy
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import ALL, IMAGE, SETTING_KINDS, KindName
from beir_hybrid.errors import BadData, lookup
from beir_hybrid.languages import name_language
from beir_hybrid.measures.arrays import divide
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.results.estimate import Estimate, Matrix
from beir_hybrid.results.resampling import SAMPLES, generate_weights

TOP = 10  # of a pool, how many passages are looked at


@dataclass(frozen=True)
class PoolLanguages:
    """The share of each language among the first passages of a pool, by query language.

    An estimate's `mean` is the share among the first `depth` passages, averaged over queries, and
    its `unbiased` the share among the relevant passages, averaged likewise. The row ``all`` is the
    mean over query languages. Queries for which nothing is retrieved are left out. `ties` counts
    the queries with a relevant passage that has the score of another one: ids decide their order.

    Examples
    --------
    >>> pool = results.pool_languages()  # doctest: +SKIP
    >>> pool["de", "en"].mean, pool["all", "en"].mean  # doctest: +SKIP
    >>> pool.ratio("all", "en")  # 1 without bias  # doctest: +SKIP
    """

    depth: int
    estimates: Mapping[str, Mapping[str, Estimate]]  # by query language and passage language
    ties: int | None = None

    def __getitem__(self, languages: tuple[str, str]) -> Estimate:
        """Return the estimate of a query language, or ``all``, and a passage language."""
        query, passage = languages
        row = lookup("query language", query, self.estimates)
        return lookup("language", passage, row)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of passages, images last."""
        return tuple(self.estimates[ALL])

    def ratio(self, query: str, passage: str) -> float:
        """Divide a language's share by its share of the relevant passages; NaN if that is 0."""
        estimate = self[query, passage]
        return estimate.mean / estimate.unbiased if estimate.unbiased else np.nan

    def describe(self) -> str:
        """Say in words how much query languages prefer passages in their own language.

        The two in which the preference is strongest and weakest are named; it is empty where no
        language has both queries and relevant passages.
        """
        ratios = {
            code: self.ratio(code, code)
            for code in self.languages
            if code != IMAGE and code in self.estimates and self[code, code].unbiased
        }
        if not ratios:
            return ""
        by_preference = sorted(ratios, key=ratios.__getitem__, reverse=True)
        clauses = []
        for code in dict.fromkeys((by_preference[0], by_preference[-1])):
            name, estimate = name_language(code), self[code, code]
            clauses.append(
                f"queries in {name}: {estimate.mean:.0%} of the first {self.depth} passages are in "
                f"{name}, and {estimate.unbiased:.0%} of the relevant ones"
            )
        return "; ".join(clauses)

    def shares(self) -> Matrix:
        """Return the shares by query language and passage language."""
        rows = tuple(row for row in self.estimates if row != ALL)
        cells = [[estimate.mean for estimate in self.estimates[row].values()] for row in rows]
        return Matrix(rows, self.languages, np.array(cells, np.float64))


def check_pools(pools: Mapping[KindName, PoolLanguages], place: str) -> None:
    """Raise `BadData` where stored pools lack a cell, or shares do not add up."""
    for kind, pool in pools.items():
        rows = pool.estimates
        if ALL not in rows or len({tuple(row) for row in rows.values()}) > 1:
            raise BadData(
                f"{place}.{kind}.estimates needs the same languages in every row, and a row {ALL!r}"
            )
        for name, row in rows.items():
            for share in ("mean", "unbiased"):
                total = sum(getattr(estimate, share) or 0.0 for estimate in row.values())
                if not math.isclose(total, 1, rel_tol=1e-9):
                    raise BadData(f"{place}.{kind}.estimates.{name}: {share}s add up to {total}")


def list_pool_kinds(kinds: Iterable[KindName]) -> list[KindName]:
    """Select the kinds of settings whose pools hold all passages of several languages."""
    return [
        kind
        for kind in kinds
        if SETTING_KINDS[kind].is_pool and not SETTING_KINDS[kind].drops_other_golds
    ]


def count_pool_languages(
    judgements: Judgements, parts: Iterable[Rankings]
) -> dict[KindName, PoolLanguages]:
    """Count the languages of the first passages in each kind of pool with several languages."""
    parts, pools = list(parts), {}
    for kind in list_pool_kinds(SETTING_KINDS):
        rankings = [part for part in parts if part.kind == kind]
        codes = judgements.codes if SETTING_KINDS[kind].image_passages else judgements.languages
        has_passages = np.array([bool(judgements.passage_ranges[code]) for code in codes])
        if has_passages.sum() > 1 and any(
            (part.judgements.top_languages >= 0).any() for part in rankings
        ):
            shares = _list_shares(rankings, judgements.query_groups, has_passages)
            languages = [code for code, has in zip(codes, has_passages, strict=True) if has]
            pool = _estimate_shares(shares, judgements.codes, languages)
            pools[kind] = replace(pool, ties=_count_ties(rankings))
    return pools


def _count_ties(parts: Iterable[Rankings]) -> int | None:
    """Count the rankings in which a relevant passage is tied; None where ties are unknown."""
    count = 0
    for part in parts:
        if part.has_tie is None:
            return None
        is_tied = part.has_tie & (part.judgements.relevance > 0)
        count += len(np.unique(part.judgements.query[is_tied]))
    return count


@dataclass(frozen=True, eq=False)
class _Shares:
    """Each query's shares of languages, among its first passages and among the relevant ones."""

    language: np.ndarray  # (n,) int64, of the query
    group: np.ndarray  # (n,) int64, from 0
    top: np.ndarray  # (n, languages) float64
    relevant: np.ndarray  # (n, languages) float64


def _list_shares(
    parts: Sequence[Rankings], query_groups: pa.ChunkedArray, has_passages: np.ndarray
) -> _Shares:
    """Return the shares of all queries with a first passage and a relevant one.

    Parameters
    ----------
    query_groups
        By row of a query, the id of its group.
    has_passages
        By number of a language, whether there are passages in it; (codes,) bool.
    """
    columns = []
    for part in parts:
        judgements = part.judgements
        best = judgements.top_languages[:, :TOP]
        query, place = np.nonzero(best >= 0)
        is_gold = judgements.relevance > 0
        top = _count_cells(query, best[query, place], part, has_passages)
        relevant = _count_cells(
            judgements.query[is_gold], judgements.passage_language[is_gold], part, has_passages
        )
        rows = np.flatnonzero(top.any(axis=1) & relevant.any(axis=1))
        languages = judgements.query_language[rows]
        columns.append((part.query_rows[rows], languages, top[rows], relevant[rows]))
    query_rows, language, top, relevant = map(np.concatenate, zip(*columns, strict=True))
    return _Shares(
        language=language,
        group=_number_groups(take_distinct(query_groups, query_rows)),
        top=top / top.sum(axis=1, keepdims=True),
        relevant=relevant / relevant.sum(axis=1, keepdims=True),
    )


def _count_cells(
    query: np.ndarray, language: np.ndarray, part: Rankings, has_passages: np.ndarray
) -> np.ndarray:
    """Count the passages of each query and language; (queries, languages) int64."""
    shape = len(part.query_rows), len(has_passages)
    counts = np.bincount(query * shape[1] + language, minlength=shape[0] * shape[1])
    return counts.reshape(shape)[:, has_passages]


def _number_groups(ids: pa.ChunkedArray) -> np.ndarray:
    """Return the number of each group in the order of their ids; (n,) int64."""
    groups = pc.dictionary_encode(ids)
    column = groups.combine_chunks() if isinstance(groups, pa.ChunkedArray) else groups
    _, number = np.unique(column.dictionary.to_pylist(), return_inverse=True)
    return number[to_numpy(pa.chunked_array([column.indices]))]


def _estimate_shares(
    shares: _Shares, codes: Sequence[str], languages: Sequence[str]
) -> PoolLanguages:
    """Average shares over queries, with bootstrap intervals that resample groups."""
    numbers = np.unique(shares.language).tolist()
    selections = [np.flatnonzero(shares.language == number) for number in numbers]
    means, relevant = (
        np.stack([table[selection].mean(axis=0) for selection in selections])
        for table in (shares.top, shares.relevant)
    )
    samples = _resample_shares(shares, selections)
    quantile = np.nanquantile if np.isnan(samples).any() else np.quantile  # the latter is faster
    interval = quantile(samples, [0.025, 0.975], axis=0)
    mean = np.vstack([means, means.mean(axis=0)])
    micro = np.vstack([means, shares.top.mean(axis=0)])
    unbiased = np.vstack([relevant, relevant.mean(axis=0)])
    cells = np.stack([mean, *interval, micro, unbiased], axis=-1).tolist()
    names = [*(codes[number] for number in numbers), ALL]
    counts = [*map(len, selections), len(shares.language)]
    estimates: dict[str, dict[str, Estimate]] = {}
    for name, row, count in zip(names, cells, counts, strict=True):
        estimates[name] = {}
        for language, (share, low, high, over_queries, golds) in zip(languages, row, strict=True):
            estimates[name][language] = Estimate(share, low, high, over_queries, count, golds)
    return PoolLanguages(TOP, estimates)


def _resample_shares(shares: _Shares, selections: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean shares of each resample, for each query language and over all of them.

    A query language none of whose groups was drawn has NaN, and is left out of the mean.

    Returns
    -------
    np.ndarray
        (samples, query languages + 1, languages) float64.
    """
    n_groups, width = int(shares.group.max()) + 1, shares.top.shape[1] + 1
    # Sums by group: shares, and the number of queries. Languages of the same groups go together.
    tables: dict[bytes, tuple[np.ndarray, list[int], list[np.ndarray]]] = {}
    for language, selection in enumerate(selections):
        groups, place = np.unique(shares.group[selection], return_inverse=True)
        table = np.zeros((len(groups), width))
        np.add.at(table, place, np.c_[shares.top[selection], np.ones(len(selection))])
        entry = tables.setdefault(groups.tobytes(), (groups, [], []))
        entry[1].append(language)
        entry[2].append(table)
    blocks = []
    for weights in generate_weights(n_groups, SAMPLES, seed=0):
        totals = np.empty((len(weights), len(selections), width))
        for groups, members, parts in tables.values():
            columns = weights if len(groups) == n_groups else weights[:, groups]
            sums = columns @ np.concatenate(parts, axis=1)
            totals[:, members] = sums.reshape(len(weights), len(members), width)
        means = divide(totals[..., :-1], totals[..., -1:])
        blocks.append(np.concatenate([means, np.nanmean(means, axis=1, keepdims=True)], axis=1))
    return np.concatenate(blocks)
