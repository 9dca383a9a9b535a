"""Candidates for the best passages of a pool: collected from fast scores, then scored exactly."""

import numpy as np

from beir_hybrid.retrieval.request import split_into_blocks
from beir_hybrid.retrieval.scorer import QueryBatch, ScoreBlock
from beir_hybrid.retrieval.top_candidates import TopCandidates
from beir_hybrid.retrieval.top_keys import pack_keys


class HostCandidates:
    """The `Candidates` of a batch whose scores are in the memory of the processor.

    Parameters
    ----------
    depth
        The most passages of a query that will be asked for.
    """

    def __init__(self, batch: QueryBatch, depth: int) -> None:
        self._batch = batch
        self._arrays = TopCandidates.allocate(len(batch.margin), depth)

    def empty(self) -> "HostCandidates":
        """Remove all candidates."""
        self._arrays.empty()
        return self

    def collect(self, block: ScoreBlock, first_row: int, k: int) -> None:
        """Add the passages of a block that may be among the k best of a query."""
        from beir_hybrid.retrieval.candidate_kernels import collect_candidates

        collect_candidates(block.scores, first_row, self._batch.margin, k, self._arrays)

    def write_best(self, passages: range, id_order: np.ndarray, keys: np.ndarray) -> None:
        """Score the candidates exactly, and write the keys of the best, (queries, k) int64."""
        from beir_hybrid.retrieval.candidate_kernels import (
            fill_keys,
            list_candidates,
            prune_candidates,
        )

        k = keys.shape[1]
        prune_candidates(k, self._batch.margin, self._arrays)
        sizes, rows = self._arrays.sizes, self._arrays.rows
        overfull = np.flatnonzero(sizes > rows.shape[1])  # too many scores are close together
        sizes[overfull] = 0
        query_rows, passage_rows = list_candidates(sizes, rows)
        scores = self._batch.score_pairs(query_rows, passage_rows)
        batch_keys = np.empty((len(sizes), sizes.max(initial=k)), np.int64)
        fill_keys(scores.view(np.int32), passage_rows, id_order, sizes, batch_keys)
        batch_keys.sort(axis=1)
        keys[:] = batch_keys[:, ::-1][:, :k]
        if len(overfull):
            keys[overfull] = find_top_keys(self._batch, overfull, passages, id_order, k)


def find_top_keys(
    batch: QueryBatch, queries: np.ndarray, passages: range, id_order: np.ndarray, k: int
) -> np.ndarray:
    """Return the k largest keys of some queries, from better scores or the exact ones of all."""
    if finer := batch.refine(queries):
        candidates, keys = finer.open_candidates(k), np.empty((len(queries), k), np.int64)
        for block in split_into_blocks(passages):
            candidates.collect(finer.score_block(block), block.start, k)
        candidates.write_best(passages, id_order, keys)
        return keys
    top_keys = [np.empty(0, np.int64) for _ in queries]
    for block in split_into_blocks(passages):
        for i, query in enumerate(queries.tolist()):
            scores = batch.score_all(query, block)
            keys = np.concatenate(
                [top_keys[i], pack_keys(scores, id_order[block.start : block.stop])]
            )
            top_keys[i] = np.partition(keys, len(keys) - k)[-k:] if len(keys) > k else keys
    return np.sort(np.stack(top_keys), axis=1)[:, ::-1]
