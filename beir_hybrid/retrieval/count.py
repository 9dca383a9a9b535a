"""Some passages and judgements in, counts of what stands above these and the best passages out.

Passages pass by once for each part of the queries. Counts are made for every judgement among the
passages of its own group and among all of them, so one pass serves every setting.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData

WHOLE = "*"  # what all passages are called where a group lies apart from the pool
PART = 512  # queries that a thread takes through all passages
PASSAGES = 2048  # passages a block: with a part of the queries its scores fit a processor's cache
_UNIT = 2.0**-24  # half the distance from 1 to the next float32
_TINY = 2.0**-126  # what a product loses at most where processors take smaller numbers for zero


@dataclass(frozen=True)
class Golds:
    """Judgements to be placed: all that has to be known of them where other passages lie."""

    query: np.ndarray  # (judgements,) rows of queries, ascending
    score: np.ndarray  # (judgements,) float32
    order: np.ndarray  # (judgements,) int32: the place of the passage's id in the order of ids
    group: np.ndarray  # (judgements,) the number of the passage's group


@dataclass(frozen=True)
class Counted:
    """What some passages have to say: of judgements, and the best of them for each query."""

    own: np.ndarray  # (judgements, 3): above, ties with a later id, ties with an earlier id
    pool: np.ndarray
    best: dict[str, np.ndarray]  # (n_queries, k) int64, descending: score and order of id
    apart: np.ndarray | None = None  # (judgements, 3) in the group apart, if there is any


@dataclass(frozen=True)
class _Job:
    """What stays the same over batches and blocks."""

    queries: Embeddings
    passages: Embeddings
    golds: Golds
    groups: dict[str, range]
    order: np.ndarray  # (passages,) int32
    device: str
    apart: str


def count(
    queries: Embeddings,
    passages: Embeddings,
    golds: Golds,
    groups: dict[str, range],
    order: np.ndarray,
    *,
    k: int,
    per_group: bool,
    apart: str = "",
    device: str = "cpu",
    threads: int = 0,
    advance: Callable[[int], None] = lambda _scores: None,
) -> Counted:
    """Count the passages above each judged one, wherever that lies, and collect the best.

    See `rank`; `groups` may be empty here, and are numbered in their order. `threads` is as many as
    there are cores by default.
    """
    job = _Job(queries, passages, golds, groups, order, device, apart)
    own, pool, aside = (np.zeros((len(golds.query), 3), np.int64) for _ in range(3))
    scopes = _scopes(len(passages), groups, apart, per_group=per_group) if k else {}
    best = {
        name: np.empty((len(queries), min(k, len(rows))), np.int64) for name, rows in scopes.items()
    }
    parts = [slice(i, i + PART) for i in range(0, len(queries), PART)]
    with _working(threads or _threads()) as (workers, stopped):
        # By numpy, for unlike Python's `max` it does not lose a NaN.
        lengths = workers.map(partial(_longest, passages), _blocks(groups))
        longest = np.max(list(lengths), initial=0.0)

        def work(part: slice) -> None:
            rows = np.arange(part.start, min(part.stop, len(queries)))
            mine = slice(*np.searchsorted(golds.query, [rows[0], rows[-1] + 1]).tolist())
            batch = _Batch(job, rows, mine, longest)
            kept = {name: _Kept(len(rows), found.shape[1]) for name, found in best.items()}
            for block in _blocks(groups):
                if stopped.is_set():
                    return
                batch.add(block, kept)
                advance(len(rows) * len(block))
            own[mine], pool[mine], aside[mine] = batch.own, batch.pool, batch.apart
            for name, found in best.items():
                batch.finish(kept[name], found, scopes[name])

        list(workers.map(work, parts))
    return Counted(own, pool, best, aside if apart else None)


def _scopes(n: int, groups: dict[str, range], apart: str, *, per_group: bool) -> dict[str, range]:
    """Return the passages that the best are collected of, by name; a group apart lies last."""
    scopes = {"": range(n)}
    if apart:
        scopes = {"": range(n - len(groups.get(apart, ()))), WHOLE: range(n)}
        scopes = {name: rows for name, rows in scopes.items() if rows}
    return scopes | {name: rows for name, rows in groups.items() if per_group and rows}


@contextmanager
def _working(threads: int) -> Iterator[tuple[ThreadPoolExecutor, Event]]:
    """Give threads that multiply each for itself, and what stops them where one fails.

    BLAS's own threads would wait for the next product in a busy loop, and take from the counting
    what it needs.
    """
    from threadpoolctl import threadpool_limits

    stopped = Event()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as workers:
        try:
            yield workers, stopped
        finally:
            stopped.set()


class _Batch:
    """Some queries against all passages, block by block."""

    def __init__(self, job: _Job, rows: np.ndarray, mine: slice, longest: np.floating) -> None:
        golds = job.golds
        self.job, self.rows, self.query = job, rows, golds.query[mine] - rows[0]
        self.gold_scores, self.gold_order = golds.score[mine], golds.order[mine]
        self.gold_group = golds.group[mine]
        self.vectors = job.queries.take(rows)
        norms = np.sqrt(np.einsum("ij,ij->i", self.vectors, self.vectors, dtype=np.float64))
        if not (norms * longest < np.finfo(np.float32).max).all():
            raise BadData(
                "embeddings hold NaN, infinity, or numbers so large that scores are no float32; "
                "is the model damaged, or its arithmetic too narrow?"
            )
        # Rounding errors of dim products and sums, whatever their order; 16 for the roundings here.
        margin = (norms * longest * _UNIT + _TINY) * (job.queries.dim + 16)
        self.margin = margin.astype(np.float32)
        self.bounds = np.searchsorted(self.query, np.arange(len(rows) + 1)).astype(np.int64)
        self.own = np.zeros((len(self.query), 3), np.int64)
        self.pool = np.zeros((len(self.query), 3), np.int64)
        self.apart = np.zeros((len(self.query), 3), np.int64)

    def add(self, block: range, kept: "dict[str, _Kept]") -> None:
        """Count and collect over one block of passages, all of one group."""
        from beir_hybrid.retrieval.kernels import collect_best, count_above

        job, margin = self.job, self.margin
        places = enumerate(job.groups.items())
        group, name = next((n, name) for n, (name, rows) in places if block.start in rows)
        vectors = job.passages.take(slice(block.start, block.stop))
        fast = _product(self.vectors, vectors, job.device)
        counts = np.zeros_like(self.pool)
        golds = (self.bounds, self.gold_scores, margin, self.gold_order)
        order = job.order[block.start : block.stop]
        count_above(fast, self.vectors, vectors, order, *golds, counts)
        aside = name == job.apart
        (self.apart if aside else self.pool)[:] += counts
        mine = self.gold_group == group
        self.own[mine] += counts[mine]
        for some in (None if aside else kept.get(""), kept.get(WHOLE), kept.get(name)):
            if some:
                state = (some.scores, some.rows, some.filled, some.bar)
                collect_best(fast, block.start, margin, some.k, *state)

    def finish(self, kept: "_Kept", found: np.ndarray, scope: range) -> None:
        """Score what was kept exactly, and write the best in order."""
        from beir_hybrid.retrieval.kernels import prune

        filled, rows = kept.filled, kept.rows
        prune(kept.k, kept.scores, rows, filled, self.margin)
        room = rows.shape[1]
        lost = np.flatnonzero(filled > room)  # too many were too close to tell apart
        filled[lost] = 0
        inside = np.arange(filled.max(initial=0)) < filled[:, None]
        rows = rows[:, : inside.shape[1]]
        query = np.repeat(np.arange(len(filled)), filled)
        keys = np.full(inside.shape, np.iinfo(np.int64).min)
        exact = scores_of(self.vectors, query, self.job.passages, rows[inside])
        keys[inside] = _packed(exact, self.job.order[rows[inside]])
        keys.sort(axis=1)
        whole = np.flatnonzero(filled)
        if len(whole):
            found[self.rows[whole]] = keys[whole, ::-1][:, : kept.k]
        if len(lost):
            found[self.rows[lost]] = self._slowly(lost, kept.k, scope)

    def _slowly(self, some: np.ndarray, k: int, scope: range) -> np.ndarray:
        """Return the k best of some queries, by the scores of all."""
        from beir_hybrid.retrieval.kernels import all_scores

        best = [np.empty(0, np.int64) for _ in some]
        for block in _blocks({"": scope}):
            vectors = self.job.passages.take(slice(block.start, block.stop))
            order = self.job.order[block.start : block.stop]
            for place, i in enumerate(some.tolist()):
                keys = _packed(all_scores(self.vectors[i], vectors), order)
                keys = np.concatenate([best[place], keys])
                best[place] = np.partition(keys, len(keys) - k)[-k:] if len(keys) > k else keys
        return np.sort(np.stack(best), axis=1)[:, ::-1]


class _Kept:
    """What may be among the k best passages of a batch's queries so far."""

    def __init__(self, n: int, k: int) -> None:
        from beir_hybrid.retrieval.kernels import CHUNK

        self.k = k
        room = 2 * k + 4 * CHUNK
        self.scores = np.empty((n, room), np.float32)
        self.rows = np.empty((n, room), np.int32)
        self.filled = np.zeros(n, np.int64)
        self.bar = np.full(n, -np.inf, np.float32)


def _blocks(groups: dict[str, range]) -> Iterator[range]:
    """Yield ranges of passages, none of which reaches into two groups."""
    for rows in groups.values():
        for start in range(rows.start, rows.stop, PASSAGES):
            yield range(start, min(start + PASSAGES, rows.stop))


def scores_of(
    queries: np.ndarray, query: np.ndarray, passages: Embeddings, passage: np.ndarray
) -> np.ndarray:
    """Return the score of each pair of rows, read from where the passages lie."""
    from beir_hybrid.retrieval.kernels import pair_scores

    scores = np.empty(len(query), np.float32)
    shard, place = passages.shard_numbers[passage], passages.shard_rows[passage]
    for number in np.unique(shard):
        mine = np.flatnonzero(shard == number)
        rows, at = np.asarray(passages.shards[number]), place[mine]
        if rows.dtype != np.float32:
            rows, at = rows[at].astype(np.float32), np.arange(len(at), dtype=at.dtype)
        scores[mine] = pair_scores(queries, rows, query[mine], at)
    return scores


def _product(queries: np.ndarray, passages: np.ndarray, device: str) -> np.ndarray:
    """Return the fast scores, float32."""
    if device == "cpu":
        return queries @ passages.T
    import torch

    scores = torch.from_numpy(queries).to(device) @ torch.from_numpy(passages).to(device).T
    fast: np.ndarray = scores.cpu().numpy()
    return fast


def _packed(scores: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return numbers that sort by score and, where scores tie, by the order of ids."""
    return (_flipped(scores.view(np.int32)).astype(np.int64) << 32) | order


def unpacked(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and places in the order of ids that `_packed` joined."""
    return _flipped((keys >> 32).astype(np.int32)).view(np.float32), keys & 0xFFFFFFFF


def _flipped(bits: np.ndarray) -> np.ndarray:
    """Turn float32 bits into integers that sort as the floats do, and back."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


def _longest(passages: Embeddings, block: range) -> float:
    """Return the length of a block's longest vector; NaN if one of its numbers is."""
    rows = passages.take(slice(block.start, block.stop))
    return float(np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64).max()))


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
