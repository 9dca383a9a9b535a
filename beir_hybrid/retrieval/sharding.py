"""Exact ranks from shards of passages, in this process or on a cluster.

A rank is a count, so the counts of shards add up; and as a score is the same number wherever it is
computed (see `kernels`), the result is that of `rank`, to the last bit.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from beir_hybrid.checks import check_positive
from beir_hybrid.encoding.cluster import Cluster
from beir_hybrid.progress import progress_bar
from beir_hybrid.retrieval.count import RankCounts, count_passages, score_golds
from beir_hybrid.retrieval.gold_scores import GoldScores
from beir_hybrid.retrieval.rank import build_ranked_passages, rank
from beir_hybrid.retrieval.request import BLOCK_PASSAGES, RankRequest
from beir_hybrid.retrieval.results import RankedPassages
from beir_hybrid.retrieval.scorer import Scorer

_SHARD_BYTES = 32 << 20  # of a shard's passages, or of its result where that is larger


class Common(NamedTuple):
    """Input of all shards: the scorer without passages, and the golds with their scores."""

    scorer: Scorer
    golds: GoldScores


class Shard(NamedTuple):
    """Input of one shard.

    `bars` has the key of each query's k-th best passage so far, by pool, where there are so many:
    no lower one has to be sent back.
    """

    request: RankRequest
    bars: dict[str, np.ndarray]  # (n_queries,) int64
    passages: object  # as the scorer loads them


class ShardResult(NamedTuple):
    """The counts of one shard, and how many passages it has."""

    counts: RankCounts
    n_passages: int


CountShard = Callable[[Common, Shard], ShardResult]
MapShards = Callable[[CountShard, Common, Iterable[tuple[Shard]]], Iterable[ShardResult]]


def map_in_process(
    function: CountShard, common: Common, jobs: Iterable[tuple[Shard]]
) -> Iterator[ShardResult]:
    """Call a function for each shard in this process, as `Cluster.map_unordered` does elsewhere."""
    return (function(common, *job) for job in jobs)


def rank_sharded(
    scorer: Scorer,
    request: RankRequest,
    *,
    map_shards: MapShards = map_in_process,
    shard_size: int | None = None,
    workers: int = 1,
) -> RankedPassages:
    """Rank as `rank` does, shard by shard.

    Parameters
    ----------
    map_shards
        Calls a function for every shard, in any order: `map_in_process` or `Cluster.map_unordered`.
    shard_size
        The number of passages of a shard; by default one that suits the number of `workers`. A
        shard's passages are loaded when it is its turn.
    """
    if shard_size is None:
        shard_size = _choose_shard_size(scorer, request.depth, workers)
    check_positive(shard_size=shard_size)
    request = request.without_empty_languages()
    golds = score_golds(scorer, request)
    count = partial(_count_shards, scorer, map_shards=map_shards, shard_size=shard_size)
    if not request.compares_scores:
        return build_ranked_passages(golds, count(golds, request), request)
    # Scores can be compared once the best of all shards are known.
    first = count(golds, replace(request, method=None, k=request.depth, collects_languages=True))
    lists = {name: first.top_keys[name] for name in request.languages}
    golds = golds.set_thresholds(request.fit_scales(list(lists.values())))
    second = count(golds, replace(request, method=None, k=0))
    total = replace(first, in_pool=second.in_pool, top_keys=lists)
    return build_ranked_passages(golds, total, request)


def _count_shards(
    scorer: Scorer,
    golds: GoldScores,
    request: RankRequest,
    *,
    map_shards: MapShards,
    shard_size: int,
) -> RankCounts:
    """Count the passages of all shards, and collect the best."""
    n = scorer.n_passages
    no_counts = np.zeros((len(golds.queries), 3), np.int64)
    counts_by_language = None
    if request.takes_turns:
        counts_by_language = np.zeros((len(golds.queries), len(request.languages)), np.int64)
    total = RankCounts(no_counts, no_counts, None, {}, counts_by_language)
    shard_rows = (range(start, min(start + shard_size, n)) for start in range(0, n, shard_size))
    # Drawn one by one, so that each shard gets the bars of those before it.
    jobs = (
        (
            Shard(
                request.slice_passages(rows),
                _read_bars(total, request.k),
                scorer.load_passages(rows),
            ),
        )
        for rows in shard_rows
    )
    common = Common(scorer.without_passages(), golds)
    with progress_bar("ranking", scorer.n_queries * n, unit="scores") as advance:
        for counts, n_passages in map_shards(count_shard, common, jobs):
            total = merge_shards(total, counts, request.k)
            advance(scorer.n_queries * n_passages)
    return total


def choose_ranker(cluster: Cluster | None) -> Callable[[Scorer, RankRequest], RankedPassages]:
    """Return a function that ranks on a cluster or, without one, in this process."""
    if cluster is None:
        return rank
    workers = max(1, cluster.cpus)
    return partial(rank_sharded, map_shards=cluster.map_unordered, workers=workers)


def merge_shards(first: RankCounts, second: RankCounts, k: int) -> RankCounts:
    """Merge the counts and the best passages of two sets of passages."""
    from beir_hybrid.retrieval.kernels import merge_descending

    top_keys = second.top_keys | first.top_keys
    for name in first.top_keys.keys() & second.top_keys.keys():
        keys, more_keys = first.top_keys[name], second.top_keys[name]
        width = min(k, keys.shape[1] + more_keys.shape[1])
        top_keys[name] = np.empty((len(keys), width), np.int64)
        merge_descending(keys, more_keys, top_keys[name])
    in_images = first.in_images if second.in_images is None else second.in_images
    if first.in_images is not None and second.in_images is not None:
        in_images = first.in_images + second.in_images
    counts_by_language = first.counts_by_language
    if counts_by_language is not None and second.counts_by_language is not None:
        counts_by_language = counts_by_language + second.counts_by_language
    in_language, in_pool = first.in_language + second.in_language, first.in_pool + second.in_pool
    return RankCounts(in_language, in_pool, in_images, top_keys, counts_by_language)


def _choose_shard_size(scorer: Scorer, k: int, workers: int) -> int:
    """Return a number of passages: several shards for each worker, if they are not too small."""
    largest = max(_SHARD_BYTES, 8 * scorer.n_queries * k) // max(scorer.passage_bytes, 4)
    return max(BLOCK_PASSAGES, min(largest, -(-scorer.n_passages // (4 * workers))))


def _read_bars(counts: RankCounts, k: int) -> dict[str, np.ndarray]:
    """Return the key of each query's k-th best passage, for pools with so many passages."""
    return {
        name: keys[:, -1].copy() for name, keys in counts.top_keys.items() if keys.shape[1] == k
    }


def count_shard(common: Common, shard: Shard) -> ShardResult:
    """Count the passages of one shard, with one thread: other processes may have the other cores.

    Of the best passages, those below all bars are left out.
    """
    # From another process arrays come read-only; the kernels would be compiled again for those.
    golds = GoldScores(
        *(np.array(getattr(common.golds, field.name)) for field in fields(GoldScores))
    )
    request = replace(shard.request, id_order=np.array(shard.request.id_order))
    scorer = common.scorer.with_passages(shard.passages)
    counts = count_passages(scorer, golds, request, threads=1)
    top_keys = dict(counts.top_keys)
    for name in top_keys.keys() & shard.bars.keys():
        n_above = (top_keys[name] > shard.bars[name][:, None]).sum(axis=1)
        top_keys[name] = top_keys[name][:, : n_above.max(initial=0)].copy()
    return ShardResult(replace(counts, top_keys=top_keys), scorer.n_passages)
