"""Embeddings and judgements in, exact ranks and best passages out, in memory of one block.

Passages pass by once for a batch of queries. Ranks are counted for every judged passage among the
passages of its own language and among all of them, so one pass serves every setting.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.progress import progress

QUERIES = 1024  # queries a batch
PASSAGES = 4096  # passages a block: with a batch of queries its scores fit a processor's cache
_UNIT = 2.0**-24  # half the distance from 1 to the next float32
_TINY = 2.0**-126  # what a product loses at most where processors take smaller numbers for zero


@dataclass(frozen=True)
class Places:
    """Where judged passages stand in a ranking: counts for each, and how ties are broken.

    trec_eval orders tied passages by id, the last one first; MS MARCO's evaluation, the first one
    first. ``rank("desc")`` is the former, from 1.
    """

    above: np.ndarray
    tied_later: np.ndarray  # ties whose ids come later in the order of ids
    tied_earlier: np.ndarray

    def rank(self, ties: str = "desc") -> np.ndarray:
        """Return ranks from 1, ties broken by descending or ascending id."""
        return 1 + self.above + (self.tied_later if ties == "desc" else self.tied_earlier)


@dataclass(frozen=True)
class Best:
    """The k best passages of each query, best first; ties by descending id, as trec_eval's."""

    rows: np.ndarray  # (n_queries, k) int64 row numbers of passages
    scores: np.ndarray  # (n_queries, k) float32

    @classmethod
    def empty(cls, n: int, k: int) -> "Best":
        """Return room for the k best of n queries."""
        return cls(np.empty((n, k), np.int64), np.empty((n, k), np.float32))


@dataclass(frozen=True)
class Ranked:
    """What `rank` found: for each judgement its score and places, and the best passages."""

    scores: np.ndarray  # (judgements,) float32
    own: Places  # among the passages of the passage's group
    pool: Places  # among all passages
    best: dict[str, Best]  # by group, and for all of them under ""


@dataclass(frozen=True)
class _Job:
    """What stays the same over batches and blocks."""

    queries: Embeddings
    passages: Embeddings
    groups: dict[str, range]
    order: np.ndarray  # (passages,) int32
    by_order: np.ndarray  # its inverse
    device: str


def rank(
    queries: Embeddings,
    passages: Embeddings,
    judged: tuple[np.ndarray, np.ndarray],
    groups: dict[str, range],
    order: np.ndarray,
    *,
    k: int = 0,
    per_group: bool = False,
    device: str | None = None,
) -> Ranked:
    """Rank every judged passage exactly, and collect the best.

    Parameters
    ----------
    judged
        Row numbers of queries, ascending, and of passages, a judgement a place.
    groups
        Ranges of passage rows by name (languages), side by side from 0.
    order
        For each passage, the place of its id in the order of ids: it decides ties.
    k
        How many best passages to collect for each query; clamped to what there is.
    per_group
        Collect the k best of every group as well.
    device
        ``"cuda"`` to multiply on a GPU; by default there is one, or the processor.
    """
    _check(queries, passages, k)
    query, passage = judged
    groups = {name: rows for name, rows in groups.items() if len(rows)}
    job = _Job(
        queries, passages, groups, order, np.argsort(order) if k else order, device or _device()
    )
    scores = np.empty(len(query), np.float32)
    own = np.zeros((len(query), 3), np.int64)
    pool = np.zeros((len(query), 3), np.int64)
    sizes = {"": len(passages)} | {name: len(rows) for name, rows in groups.items()}
    wanted = ([""] + list(groups) * per_group) if k else []
    best = {name: Best.empty(len(queries), min(k, sizes[name])) for name in wanted}
    # By numpy, for unlike Python's `max` it does not lose a NaN.
    longest = np.max([_longest(passages, block) for block in _blocks(groups)], initial=0.0)
    with (
        ThreadPoolExecutor(_threads()) as threads,
        progress("ranking", len(queries) * len(passages), unit="scores") as advance,
    ):
        for start in range(0, len(queries), QUERIES):
            rows = np.arange(start, min(start + QUERIES, len(queries)))
            first, last = np.searchsorted(query, [rows[0], rows[-1] + 1])
            batch = _Batch(job, rows, query[first:last] - start, passage[first:last], longest)
            kept = {name: _Kept(len(rows), found.rows.shape[1]) for name, found in best.items()}
            for block in _blocks(groups):
                batch.add(block, kept, threads)
                advance(len(rows) * len(block))
            scores[first:last] = batch.gold_scores
            own[first:last], pool[first:last] = batch.own, batch.pool
            for name, found in best.items():
                scope = groups[name] if name else range(len(passages))
                parts = [slice(i, min(i + 128, len(rows))) for i in range(0, len(rows), 128)]
                finish = partial(batch.finish, kept=kept[name], found=found, scope=scope)
                list(threads.map(finish, parts))
    return Ranked(scores, Places(*own.T), Places(*pool.T), best)


class _Batch:
    """Some queries against all passages, block by block."""

    def __init__(
        self,
        job: _Job,
        rows: np.ndarray,
        query: np.ndarray,
        passage: np.ndarray,
        longest: np.floating,
    ) -> None:
        self.job, self.rows, self.query, self.passage = job, rows, query, passage
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
        self.bounds = np.searchsorted(query, np.arange(len(rows) + 1)).astype(np.int64)
        self.gold_scores = _scores(self.vectors, query, job.passages, passage)
        self.gold_order = job.order[passage]
        self.own = np.zeros((len(query), 3), np.int64)
        self.pool = np.zeros((len(query), 3), np.int64)

    def add(self, block: range, kept: "dict[str, _Kept]", threads: ThreadPoolExecutor) -> None:
        """Count and collect over one block of passages, all of one group."""
        from beir_hybrid.retrieval.kernels import collect_best, count_above

        job = self.job
        name = next(name for name, rows in job.groups.items() if block.start in rows)
        vectors = job.passages.take(slice(block.start, block.stop))
        fast = _product(self.vectors, vectors, job.device)
        order = job.order[block.start : block.stop]
        counts = np.zeros_like(self.pool)

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            bounds = self.bounds[start : stop + 1]
            golds = (bounds, self.gold_scores, self.margin[part], self.gold_order)
            count_above(fast[part], self.vectors[part], vectors, order, *golds, counts)
            for some in (kept.get(""), kept.get(name)):
                if some:
                    state = (some.scores[part], some.rows[part], some.filled[part], some.bar[part])
                    collect_best(fast[part], block.start, self.margin[part], some.k, *state)

        # Few enough queries at a time that their scores stay close to the processor.
        edges = [*range(0, len(self.vectors), 32), len(self.vectors)]
        list(threads.map(work, edges[:-1], edges[1:]))
        self.pool += counts
        rows = job.groups[name]
        mine = (self.passage >= rows.start) & (self.passage < rows.stop)
        self.own[mine] += counts[mine]

    def finish(self, part: slice, kept: "_Kept", found: Best, scope: range) -> None:
        """Score what was kept for some queries exactly, and write the best in order."""
        from beir_hybrid.retrieval.kernels import prune

        filled, rows = kept.filled[part], kept.rows[part]
        prune(kept.k, kept.scores[part], rows, filled, self.margin[part])
        room = rows.shape[1]
        lost = np.flatnonzero(filled > room)  # too many were too close to tell apart
        filled[lost] = 0
        inside = np.arange(filled.max(initial=0)) < filled[:, None]
        rows = rows[:, : inside.shape[1]]
        query = np.repeat(np.arange(part.start, part.stop), filled)
        keys = np.full(inside.shape, np.iinfo(np.int64).min)
        exact = _scores(self.vectors, query, self.job.passages, rows[inside])
        keys[inside] = _packed(exact, self.job.order[rows[inside]])
        keys.sort(axis=1)
        whole = np.flatnonzero(filled)
        mine = self.rows[part]
        if len(whole):
            scores, order = _unpacked(keys[whole, ::-1][:, : kept.k])
            found.scores[mine[whole]], found.rows[mine[whole]] = scores, self.job.by_order[order]
        if len(lost):
            found.scores[mine[lost]], found.rows[mine[lost]] = self._slowly(
                part.start + lost, kept.k, scope
            )

    def _slowly(self, some: np.ndarray, k: int, scope: range) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and rows of the k best of some queries, by the scores of all."""
        from beir_hybrid.retrieval.kernels import all_scores

        best = [np.empty(0, np.int64) for _ in some]
        for block in _blocks({"": scope}):
            vectors = self.job.passages.take(slice(block.start, block.stop))
            order = self.job.order[block.start : block.stop]
            for place, i in enumerate(some.tolist()):
                keys = _packed(all_scores(self.vectors[i], vectors), order)
                keys = np.concatenate([best[place], keys])
                best[place] = np.partition(keys, len(keys) - k)[-k:] if len(keys) > k else keys
        scores, order = _unpacked(np.sort(np.stack(best), axis=1)[:, ::-1])
        return scores, self.job.by_order[order]


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


def _scores(
    queries: np.ndarray, query: np.ndarray, passages: Embeddings, passage: np.ndarray
) -> np.ndarray:
    """Return the score of each pair of rows, read from where the passages lie."""
    from beir_hybrid.retrieval.kernels import pair_scores

    scores = np.empty(len(query), np.float32)
    shard, place = passages.shard[passage], passages.place[passage]
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


def _unpacked(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and places in the order of ids that `_packed` joined."""
    return _flipped((keys >> 32).astype(np.int32)).view(np.float32), keys & 0xFFFFFFFF


def _flipped(bits: np.ndarray) -> np.ndarray:
    """Turn float32 bits into integers that sort as the floats do, and back."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


def _longest(passages: Embeddings, block: range) -> float:
    """Return the length of a block's longest vector; NaN if one of its numbers is."""
    rows = passages.take(slice(block.start, block.stop))
    return float(np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64).max()))


def _check(queries: Embeddings, passages: Embeddings, k: int) -> None:
    if queries.dim != passages.dim:
        raise BadData(
            f"queries have {queries.dim} dimensions and passages {passages.dim}; "
            "they must come from one model"
        )
    if k < 0:
        raise BadOption(f"k is {k}; it must not be negative")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
