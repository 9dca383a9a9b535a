"""Count the passages that rank above relevant ones, and collect the best, in memory of one block.

All passages are scored once for each batch of queries. Every gold is counted among the passages of
its own language and among all of them, so that one pass serves every setting.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from threading import Event

import numpy as np

from beir_hybrid.retrieval.batch_counter import BatchCounter
from beir_hybrid.retrieval.gold_scores import GoldScores
from beir_hybrid.retrieval.process_settings import one_torch_thread
from beir_hybrid.retrieval.request import RankRequest
from beir_hybrid.retrieval.scorer import Scorer

_KEPT_SCORES = 1 << 23  # scores that a thread keeps for a second count
_FEWEST_QUERIES = 64  # a smaller batch would be slower than a second product


@dataclass(frozen=True)
class RankCounts:
    """Counts over some passages, and the best of them for each query.

    Counts are (golds, 3): passages above, ties with a later id, ties with an earlier id.
    """

    in_language: np.ndarray
    in_pool: np.ndarray
    in_images: np.ndarray | None  # None if the request has no images
    top_keys: dict[str, np.ndarray]  # (n_queries, k) int64, descending; none if they are not wanted
    # Passages above, (golds, languages), if languages take turns.
    counts_by_language: np.ndarray | None = None

    @classmethod
    def allocate(cls, n_golds: int, n_queries: int, request: RankRequest) -> "RankCounts":
        """Return counts of nothing, and keys to be written."""
        in_language, in_pool, in_images = (np.zeros((n_golds, 3), np.int64) for _ in range(3))
        counts_by_language = np.zeros((n_golds, len(request.languages)), np.int64)
        top_keys = _allocate_keys(request, n_queries) if request.k else {}
        return cls(
            in_language,
            in_pool,
            in_images if request.image_language else None,
            top_keys,
            counts_by_language if request.takes_turns else None,
        )

    def write_batch(self, counter: BatchCounter) -> None:
        """Write the counts of a batch of queries."""
        self.in_language[counter.golds] = counter.in_language
        self.in_pool[counter.golds] = counter.in_pool
        if self.in_images is not None:
            self.in_images[counter.golds] = counter.in_images
        if self.counts_by_language is not None:
            self.counts_by_language[counter.golds] = counter.counts_by_language


def score_golds(scorer: Scorer, request: RankRequest) -> GoldScores:
    """Score the golds of a request."""
    passages = request.gold_passages
    scores = scorer.score_pairs(request.gold_queries, passages)
    stops = [rows.stop for rows in request.languages.values()]
    languages = np.searchsorted(stops, passages, side="right")
    id_order, column = request.id_order[passages], scores[:, None]
    return GoldScores(request.gold_queries, scores, id_order, languages, column, column)


def count_passages(
    scorer: Scorer,
    golds: GoldScores,
    request: RankRequest,
    *,
    threads: int = 0,
    advance: Callable[[int], None] = lambda _scores: None,
) -> RankCounts:
    """Count the passages of a scorer that rank above each gold, and collect the best.

    The golds themselves may be passages of other shards. By default there are as many threads as
    cores. `advance` is called with the number of scores that were computed.
    """
    n_queries = scorer.n_queries
    counts = RankCounts.allocate(len(golds.queries), n_queries, request)
    threads = scorer.plan.threads or threads or count_cores()
    batch_size, free_memory = _plan_batches(scorer, request, threads)
    blocks = list(request.list_blocks(scorer.plan.passages))
    starts = range(0, n_queries, batch_size)
    batches = [range(start, min(start + batch_size, n_queries)) for start in starts]
    with _worker_threads(threads) as (workers, is_stopped):
        bounds = workers.map(scorer.bound_passages, blocks)
        bound = reduce(np.maximum, bounds, np.zeros(1))  # which keeps a NaN

        def count_batch(queries: range) -> None:
            memory = free_memory.pop() if free_memory else None
            counter = BatchCounter(scorer, golds, request, queries, bound, memory)
            part = slice(queries.start, queries.stop)
            top_keys = {name: keys[part] for name, keys in counts.top_keys.items()}
            top_keys = top_keys or _allocate_keys(request, len(queries))
            for block in blocks:
                if is_stopped.is_set():
                    return
                counter.add_block(block)
                counter.finish_pools(block.stop, top_keys)
                advance(len(queries) * len(block))
            if request.compares_scores:
                counter.count_comparable(top_keys, is_stopped)
            counts.write_batch(counter)
            if memory is not None:
                free_memory.append(memory)

        list(workers.map(count_batch, batches))
    return counts


def _allocate_keys(request: RankRequest, n_queries: int) -> dict[str, np.ndarray]:
    """Return keys of the best passages by pool, (n_queries, depth) int64, to be written."""
    return {
        name: np.empty((n_queries, min(request.depth, len(rows))), np.int64)
        for name, rows in request.list_pools().items()
    }


def _plan_batches(
    scorer: Scorer, request: RankRequest, threads: int
) -> tuple[int, list[np.ndarray]]:
    """Choose the queries of a batch, and the memory of each thread for scores.

    Scores are kept, for a pool that is merged by comparable scores, if the passages are so few that
    they fit; then the batches are smaller. Else there is no memory.
    """
    batch_size = min(scorer.plan.queries, _KEPT_SCORES // max(1, scorer.n_passages))
    if not request.compares_scores or batch_size < _FEWEST_QUERIES:
        return scorer.plan.queries, []
    n_scores = min(batch_size, scorer.n_queries) * scorer.n_passages
    return batch_size, [np.empty(n_scores, np.float32) for _ in range(threads)]


@contextmanager
def _worker_threads(threads: int) -> Iterator[tuple[ThreadPoolExecutor, Event]]:
    """Give threads whose matrix products use one core each, and an event that says to stop.

    Threads of BLAS's own would wait for the next product in a busy loop, and take cores from the
    counting.
    """
    from threadpoolctl import threadpool_limits

    is_stopped = Event()
    limits = threadpool_limits(1, user_api="blas")
    with limits, one_torch_thread(), ThreadPoolExecutor(threads) as workers:
        try:
            yield workers, is_stopped
        finally:
            is_stopped.set()


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
