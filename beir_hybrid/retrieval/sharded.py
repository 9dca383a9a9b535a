"""Shards of passages in, the ranks and best passages of all of them together out.

A rank is a count, so those of the shards add up; and as a score is the same number wherever it is
worked out (see `kernels`), the result is that of `rank`, to the last bit.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from beir_hybrid.checks import check_positive
from beir_hybrid.encoding import Embeddings
from beir_hybrid.encoding.cluster import Cluster
from beir_hybrid.progress import progress_bar
from beir_hybrid.retrieval.count import PASSAGES, Counted, Golds, count
from beir_hybrid.retrieval.rank import Ranked, check, golds_of, rank, ranked

Jobs = Iterable[tuple[Any, ...]]
Each = Callable[[Callable[..., Any], Any, Jobs], Iterable[Any]]
_BYTES = 32 << 20  # of a shard's vectors, or those of its result where that is larger


def here(function: Callable[..., Any], common: Any, jobs: Jobs) -> Iterator[Any]:
    """Call a function for each job in this process, as `Cluster.each` does in others."""
    return (function(common, *job) for job in jobs)


def rank_sharded(
    queries: Embeddings,
    passages: Embeddings,
    judged: tuple[np.ndarray, np.ndarray],
    groups: dict[str, range],
    order: np.ndarray,
    *,
    k: int = 0,
    per_group: bool = False,
    apart: str = "",
    each: Each = here,
    size: int | None = None,
    workers: int = 1,
) -> Ranked:
    """Do what `rank` does, shard by shard.

    Parameters
    ----------
    each
        What calls a function for every shard, in whatever order: `here` or `Cluster.each`.
    size
        How many passages a shard has; by default what suits so many `workers`. A shard's vectors
        are read when it is its turn.
    """
    check(queries, passages, k)
    if size is None:
        size = _size(len(passages), passages.dim, len(queries) * k, workers)
    else:
        check_positive(size=size)
    groups = {name: rows for name, rows in groups.items() if len(rows)}
    golds = golds_of(queries, passages, judged, groups, order)
    common = queries.take(slice(None)), golds, k, per_group, apart
    starts = range(0, len(passages), size)
    shards = (range(start, min(start + size, len(passages))) for start in starts)
    n = len(golds.query)
    total = Counted(np.zeros((n, 3), np.int64), np.zeros((n, 3), np.int64), {})
    # Drawn one by one, so that each shard is told the best of those before it.
    jobs = (
        (_inside(groups, rows), _bars(total, k), *_read(passages, order, rows)) for rows in shards
    )
    with progress_bar("ranking", len(queries) * len(passages), unit="scores") as advance:
        for found, rows in each(_count, common, jobs):
            total = merged(total, found, k)
            advance(len(queries) * rows)
    return ranked(golds, total, order)


def ranking_on(cluster: Cluster | None) -> Callable[..., Ranked]:
    """Return what ranks on a cluster, or in this process where there is none."""
    if cluster is None:
        return rank
    return partial(rank_sharded, each=cluster.map_unordered, workers=max(1, cluster.cpus))


def merged(one: Counted, other: Counted, k: int) -> Counted:
    """Return what two sets of passages have to say together."""
    from beir_hybrid.retrieval.kernels import merge

    best = other.best | one.best
    for name in one.best.keys() & other.best.keys():
        mine, more = one.best[name], other.best[name]
        best[name] = np.empty((len(mine), min(k, mine.shape[1] + more.shape[1])), np.int64)
        merge(mine, more, best[name])
    apart = one.apart if other.apart is None else other.apart
    if one.apart is not None and other.apart is not None:
        apart = one.apart + other.apart
    return Counted(one.own + other.own, one.pool + other.pool, best, apart)


def _size(n: int, dim: int, best: int, workers: int) -> int:
    """Return how many passages a shard has: several for each worker, if they are not too small."""
    most = max(_BYTES, 8 * best) // (4 * max(dim, 1))
    return max(PASSAGES, min(most, -(-n // (4 * workers))))


def _inside(groups: dict[str, range], rows: range) -> dict[str, range]:
    """Return what of each group lies within some rows, counted from the first of them."""
    found = {}
    for name, group in groups.items():
        start = max(group.start, rows.start) - rows.start
        found[name] = range(start, max(start, min(group.stop, rows.stop) - rows.start))
    return found


def _bars(total: Counted, k: int) -> dict[str, np.ndarray]:
    """Return the least of each query's k best so far, as far as there are so many."""
    return {name: keys[:, -1].copy() for name, keys in total.best.items() if keys.shape[1] == k}


def _read(passages: Embeddings, order: np.ndarray, rows: range) -> tuple[np.ndarray, np.ndarray]:
    within = slice(rows.start, rows.stop)
    return order[within], passages.take(within)


def _count(
    common: tuple[np.ndarray, Golds, int, bool, str],
    groups: dict[str, range],
    bars: dict[str, np.ndarray],
    order: np.ndarray,
    vectors: np.ndarray,
) -> tuple[Counted, int]:
    """Count in one shard, with one thread: another process may have the other cores.

    What is among the best of the shard, but below all bars, need not travel.
    """
    queries, golds, k, per_group, apart = common
    # From another process arrays come read-only; the kernels would be compiled anew for those.
    fields = {name: np.array(getattr(golds, name)) for name in ("query", "score", "order", "group")}
    found = count(
        Embeddings.from_array(np.array(queries)),
        Embeddings.from_array(vectors),
        replace(golds, **fields),
        groups,
        np.array(order),
        k=k,
        per_group=per_group,
        apart=apart,
        threads=1,
    )
    best = dict(found.best)
    for name in best.keys() & bars.keys():
        above = (best[name] > bars[name][:, None]).sum(axis=1)
        best[name] = best[name][:, : above.max(initial=0)].copy()
    return replace(found, best=best), len(vectors)
