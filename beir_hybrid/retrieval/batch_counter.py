"""Count passages and collect candidates for a batch of queries, block by block."""

from collections.abc import Mapping, Sequence
from threading import Event

import numpy as np

from beir_hybrid.retrieval.gold_scores import GoldScores
from beir_hybrid.retrieval.request import RankRequest, split_into_blocks
from beir_hybrid.retrieval.results import POOL, POOL_WITH_IMAGES
from beir_hybrid.retrieval.scorer import BatchGolds, ScoreBlock, Scorer
from beir_hybrid.retrieval.top_candidates import CHUNK, TopCandidates
from beir_hybrid.retrieval.top_keys import pack_keys

_KEPT_SCORES = 1 << 24  # scores of a batch that are kept for a second count, not computed again
_FEW_CHUNKS = 0.04  # of all: computing them exactly is faster than all of them again


class BatchCounter:
    """Counts and candidates of a batch of queries, block by block."""

    def __init__(
        self, scorer: Scorer, golds: GoldScores, request: RankRequest, queries: range, bound: float
    ) -> None:
        self.request, self.queries = request, queries
        self.golds = slice(*np.searchsorted(golds.queries, [queries.start, queries.stop]).tolist())
        self.gold_scores = golds.select(self.golds, queries.start)
        self.batch = scorer.open_batch(queries, bound)
        self.margin = self.batch.margin
        if request.compares_scores:
            self.batch_golds = [
                _split_by_language(
                    self.gold_scores.select(self.gold_scores.languages == number),
                    len(queries),
                    request,
                )[number]
                for number in range(len(request.languages))
            ]
        else:
            self.batch_golds = _split_by_language(self.gold_scores, len(queries), request)
        n_golds = len(self.gold_scores.queries)
        self.in_language, self.in_pool, self.in_images = (
            np.zeros((n_golds, 3), np.int64) for _ in range(3)
        )
        self.in_each = np.zeros((n_golds, len(request.languages) * request.takes_turns, 3), int)
        self.depths = {
            name: min(request.depth, len(rows)) for name, rows in request.list_pools().items()
        }
        n_scores = len(queries) * scorer.n_passages
        self.keeps_scores = request.compares_scores and n_scores <= _KEPT_SCORES
        self.keeps_maxima = request.compares_scores and not self.keeps_scores
        self.scored_blocks: dict[range, ScoreBlock] = {}
        self.maxima: dict[range, np.ndarray] = {}  # of chunks, by block
        self.candidates = {
            name: TopCandidates.allocate(len(queries), k) for name, k in self.depths.items()
        }

    def add_block(self, block: range) -> None:
        """Count and collect over one block of passages, all of one language."""
        from beir_hybrid.retrieval.kernels import collect_candidates, find_chunk_maxima

        number, name = self.request.find_language(block)
        is_image = name == self.request.image_language
        scored_block = self.batch.score_block(block)
        if self.keeps_scores:
            self.scored_blocks[block] = scored_block
        if self.keeps_maxima:
            self.maxima[block] = find_chunk_maxima(scored_block.scores)
        is_language = self.gold_scores.languages == number
        counts = np.zeros((len(self.batch_golds[number].low), 3), np.int64)
        id_order = self.request.id_order[block.start : block.stop]
        scored_block.count_above(self.batch_golds[number], id_order, counts)
        if self.request.compares_scores:  # the pool is counted later
            self.in_language[is_language] += counts
        else:
            (self.in_images if is_image else self.in_pool)[:] += counts
            self.in_language[is_language] += counts[is_language]
        if self.request.takes_turns:
            self.in_each[:, number] += counts
        pools = {POOL_WITH_IMAGES, name} if is_image else {POOL, POOL_WITH_IMAGES, name}
        for pool in pools & self.candidates.keys():
            candidates, k = self.candidates[pool], self.depths[pool]
            collect_candidates(scored_block.scores, block.start, self.margin, k, candidates)

    def recount_pool(self, top_keys: Mapping[str, np.ndarray], is_stopped: Event) -> np.ndarray:
        """Return counts over all passages by comparable scores, (golds, 3).

        Parameters
        ----------
        top_keys
            Those of each language, finished for the queries of this batch.
        """
        rows = slice(self.queries.start, self.queries.stop)
        lists = [top_keys[name][rows] for name in self.request.languages]
        golds = self.gold_scores.set_thresholds(self.request.fit_scales(lists))
        batch_golds = _split_by_language(golds, len(self.queries), self.request)
        counts = np.zeros_like(self.in_pool)
        chunks = self._find_needed_chunks(batch_golds)
        for block in self.request.list_blocks():
            if is_stopped.is_set():
                break
            number, _ = self.request.find_language(block)
            if chunks is not None:
                self._count_chunks(block, chunks[block], batch_golds[number], counts)
                continue
            scored_block = self.scored_blocks.pop(block, None) or self.batch.score_block(block)
            id_order = self.request.id_order[block.start : block.stop]
            scored_block.count_above(batch_golds[number], id_order, counts)
        return counts

    def _find_needed_chunks(
        self, batch_golds: Sequence[BatchGolds]
    ) -> dict[range, np.ndarray] | None:
        """Return which chunks of each block may hold passages that rank above or tie with a gold.

        Returns
        -------
            By block, (queries, chunks) bool; None if most scores have to be computed again.
        """
        if not self.maxima:
            return None
        lows = [_find_lowest(golds) - self.margin for golds in batch_golds]
        chunk_masks = {
            block: maxima >= lows[self.request.find_language(block)[0]][:, None]
            for block, maxima in self.maxima.items()
        }
        n_chunks = sum(chunks.size for chunks in chunk_masks.values())
        n_needed = sum(int(chunks.sum()) for chunks in chunk_masks.values())
        return chunk_masks if n_needed <= _FEW_CHUNKS * n_chunks else None

    def _count_chunks(
        self, block: range, chunks: np.ndarray, golds: BatchGolds, counts: np.ndarray
    ) -> None:
        """Count the passages of some chunks of a block for each query, by exact scores."""
        from beir_hybrid.retrieval.kernels import count_exact_above

        id_order = self.request.id_order
        for query in np.flatnonzero(chunks.any(axis=1)).tolist():
            part = slice(golds.bounds[query], golds.bounds[query + 1])
            query_golds = BatchGolds(
                np.array([0, part.stop - part.start]), golds.low[part], golds.high[part],
                golds.id_order[part],
            )  # fmt: skip
            for chunk in np.flatnonzero(chunks[query]).tolist():
                start = block.start + chunk * CHUNK
                rows = range(start, min(start + CHUNK, block.stop))
                scores = self.batch.score_all(query, rows)[None]
                count_exact_above(
                    scores, id_order[rows.start : rows.stop], query_golds, counts[part]
                )

    def finish_pool(self, name: str, keys: np.ndarray) -> None:
        """Score the candidates of a pool exactly, and write the keys of the best of all queries."""
        from beir_hybrid.retrieval.kernels import prune_candidates

        candidates, k, first = self.candidates[name], self.depths[name], self.queries.start
        prune_candidates(k, self.margin, candidates)
        sizes, rows = candidates.sizes, candidates.rows
        overfull = np.flatnonzero(sizes > rows.shape[1])  # too many scores are close together
        sizes[overfull] = 0
        is_candidate = np.arange(sizes.max(initial=0)) < sizes[:, None]
        rows = rows[:, : is_candidate.shape[1]]
        query = np.repeat(np.arange(len(sizes)), sizes)
        batch_keys = np.full(is_candidate.shape, np.iinfo(np.int64).min)
        scores = self.batch.score_pairs(query, rows[is_candidate])
        batch_keys[is_candidate] = pack_keys(scores, self.request.id_order[rows[is_candidate]])
        batch_keys.sort(axis=1)
        filled = np.flatnonzero(sizes)
        if len(filled):
            keys[first + filled] = batch_keys[filled, ::-1][:, :k]
        if len(overfull):
            keys[first + overfull] = self._find_top_keys(overfull, name)

    def _find_top_keys(self, queries: np.ndarray, name: str) -> np.ndarray:
        """Return the k largest keys of some queries, from the exact scores of all passages."""
        k = self.depths[name]
        top_keys = [np.empty(0, np.int64) for _ in queries]
        for block in split_into_blocks(self.request.list_pools()[name]):
            id_order = self.request.id_order[block.start : block.stop]
            for i, query in enumerate(queries.tolist()):
                block_keys = pack_keys(self.batch.score_all(query, block), id_order)
                keys = np.concatenate([top_keys[i], block_keys])
                top_keys[i] = np.partition(keys, len(keys) - k)[-k:] if len(keys) > k else keys
        return np.sort(np.stack(top_keys), axis=1)[:, ::-1]


def _find_lowest(golds: BatchGolds) -> np.ndarray:
    """Return the lowest score that ties with a gold of each query; infinity without golds."""
    lowest = np.full(len(golds.bounds) - 1, np.inf, np.float32)
    np.minimum.at(lowest, np.repeat(np.arange(len(lowest)), np.diff(golds.bounds)), golds.low)
    return lowest


def _split_by_language(golds: GoldScores, n_queries: int, request: RankRequest) -> list[BatchGolds]:
    """Return the golds of a batch as the kernels read them, for passages of each language."""
    bounds = np.searchsorted(golds.queries, np.arange(n_queries + 1)).astype(np.int64)
    columns = [
        BatchGolds(bounds, np.ascontiguousarray(low), np.ascontiguousarray(high), golds.id_order)
        for low, high in zip(golds.low.T, golds.high.T, strict=True)
    ]
    return columns if len(columns) > 1 else columns * max(1, len(request.languages))
