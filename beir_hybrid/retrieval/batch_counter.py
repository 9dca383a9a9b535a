"""Count passages and collect candidates for a batch of queries, block by block."""

from collections.abc import Mapping, Sequence
from functools import partial
from threading import Event

import numpy as np

from beir_hybrid.retrieval.gold_scores import GoldScores
from beir_hybrid.retrieval.request import RankRequest
from beir_hybrid.retrieval.results import POOL, POOL_WITH_IMAGES
from beir_hybrid.retrieval.scorer import BatchDemand, BatchGolds, Candidates, ScoreBlock, Scorer
from beir_hybrid.retrieval.top_candidates import CHUNK

_FEW_CHUNKS = 0.04  # of all: computing them exactly is faster than all of them again


class BatchCounter:
    """Counts and candidates of a batch of queries, block by block.

    Parameters
    ----------
    memory
        For all scores of the batch, (queries * passages,) float32 or larger, if they are to be
        kept for a second count; else they are computed again.
    """

    def __init__(
        self,
        scorer: Scorer,
        golds: GoldScores,
        request: RankRequest,
        queries: range,
        bound: np.ndarray,
        memory: np.ndarray | None = None,
    ) -> None:
        self.request, self.queries, self.memory = request, queries, memory
        self.golds = slice(*np.searchsorted(golds.queries, [queries.start, queries.stop]).tolist())
        self.gold_scores = golds.select(self.golds, queries.start)
        self.batch_golds = _split_by_language(self.gold_scores, len(queries), request)
        is_known = bool(self.batch_golds) and not request.compares_scores
        demand = BatchDemand(self.batch_golds[0], request.depth) if is_known else None
        self.batch = scorer.open_batch(queries, bound, demand)
        self.margin = self.batch.margin
        n_golds, n_languages = len(self.gold_scores.queries), len(request.languages)
        self.golds_by_language = [
            np.flatnonzero(self.gold_scores.languages == number) for number in range(n_languages)
        ]
        self.in_language, self.in_pool, self.in_images = (
            np.zeros((n_golds, 3), np.int64) for _ in range(3)
        )
        self.counts_by_language = np.zeros((n_golds, n_languages * request.takes_turns), np.int64)
        self.pools = request.list_pools()
        self.blocks = list(request.list_blocks(scorer.plan.passages))
        self.keeps_maxima = request.compares_scores and memory is None
        self.scored_blocks: dict[range, ScoreBlock] = {}
        self.maxima: dict[range, np.ndarray] = {}  # of chunks, by block
        self.candidates: dict[str, Candidates] = {}  # of pools that are not finished
        self.free_candidates: list[Candidates] = []

    def add_block(self, block: range) -> None:
        """Count and collect over one block of passages, all of one language."""
        from beir_hybrid.retrieval.kernels import find_chunk_maxima

        number, name = self.request.find_language(block)
        is_image = name == self.request.image_language
        if self.memory is None:
            scored_block = self.batch.score_block(block)
        else:
            part = slice(block.start * len(self.queries), block.stop * len(self.queries))
            scored_block = self.batch.score_block(block, self.memory[part])
            self.scored_blocks[block] = scored_block
        if self.keeps_maxima:
            self.maxima[block] = find_chunk_maxima(scored_block.scores)
        if not self.request.compares_scores:
            counts = self._count_block(block, scored_block, self.batch_golds[number])
            (self.in_images if is_image else self.in_pool)[:] += counts
            in_language = self.golds_by_language[number]
            self.in_language[in_language] += counts[in_language]
            if self.request.takes_turns:
                self.counts_by_language[:, number] += counts[:, 0] + counts[:, 1]
        pools = {POOL_WITH_IMAGES, name} if is_image else {POOL, POOL_WITH_IMAGES, name}
        for pool in pools & self.pools.keys():
            k = min(self.request.depth, len(self.pools[pool]))
            if pool not in self.candidates:
                self.candidates[pool] = self._open_candidates()
            self.candidates[pool].collect(scored_block, block.start, k)

    def _count_block(self, block: range, scores: ScoreBlock, golds: BatchGolds) -> np.ndarray:
        """Return counts over a block of passages, (golds, 3)."""
        counts = np.zeros((len(golds.low), 3), np.int64)
        scores.count_above(golds, self.request.id_order[block.start : block.stop], counts)
        return counts

    def count_comparable(self, top_keys: Mapping[str, np.ndarray], is_stopped: Event) -> None:
        """Count over all passages by comparable scores, once the best of each language are known.

        Parameters
        ----------
        top_keys
            Those of each language for the queries of this batch, finished.
        """
        lists = [top_keys[name] for name in self.request.languages]
        golds = self.gold_scores.set_thresholds(self.request.fit_scales(lists))
        batch_golds = _split_by_language(golds, len(self.queries), self.request)
        chunks = self._find_needed_chunks(batch_golds)
        # Among the passages of a gold's language the order stays, but rounding may add ties.
        has_rounding_ties = golds.find_rounding_ties()
        for block in self.blocks:
            if is_stopped.is_set():
                break
            number, _ = self.request.find_language(block)
            if chunks is None:
                scores = self.scored_blocks.pop(block, None) or self.batch.score_block(block)
                count = partial(self._count_block, block, scores)
            else:
                count = partial(self._count_chunks, block, chunks[block])
            counts = count(batch_golds[number])
            self.in_pool += counts
            in_language = self.golds_by_language[number]
            tied_golds = in_language[has_rounding_ties[in_language]]
            if len(tied_golds):
                plain = self.gold_scores.select(tied_golds)
                [plain_golds, *_] = _split_by_language(plain, len(self.queries), self.request)
                counts[tied_golds] = count(plain_golds)
            self.in_language[in_language] += counts[in_language]

    def _find_needed_chunks(
        self, batch_golds: Sequence[BatchGolds]
    ) -> dict[range, np.ndarray] | None:
        """Mark the chunks of each block that may hold passages above a gold or tied with it.

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

    def _count_chunks(self, block: range, chunks: np.ndarray, golds: BatchGolds) -> np.ndarray:
        """Return counts over some chunks of a block for each query, (golds, 3), by exact scores."""
        from beir_hybrid.retrieval.kernels import count_exact_above

        id_order, counts = self.request.id_order, np.zeros((len(golds.low), 3), np.int64)
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
        return counts

    def finish_pools(self, stop: int, top_keys: Mapping[str, np.ndarray]) -> None:
        """Write the keys of the best of the pools whose last passage is before `stop`.

        Parameters
        ----------
        top_keys
            By pool, for the queries of this batch.
        """
        for name in list(self.candidates):
            if self.pools[name].stop <= stop:
                candidates = self.candidates.pop(name)
                candidates.write_best(self.pools[name], self.request.id_order, top_keys[name])
                self.free_candidates.append(candidates)

    def _open_candidates(self) -> Candidates:
        if self.free_candidates:
            return self.free_candidates.pop().empty()
        return self.batch.open_candidates(self.request.depth)


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
