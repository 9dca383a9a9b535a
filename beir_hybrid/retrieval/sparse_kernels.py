"""Compiled loops that score sparse vectors, each score summed in one fixed order.

The *score* of a query and a passage is the sum, in float32, of the products of their weights, in
ascending order of the terms that both have: scipy's product of two CSR matrices sums the same way.
So it depends on the two texts alone, and equal passages tie.
"""

import numba as nb
import numpy as np

LANES = 16  # passages whose scores are written together: a line of a processor's cache


@nb.njit(nogil=True, cache=True)
def score_sparse_block(
    query_bounds: np.ndarray,  # (terms + 1,): where the queries of each term begin
    query_rows: np.ndarray,  # (entries,): their rows in the batch
    query_weights: np.ndarray,  # (entries,) float32
    passage_bounds: np.ndarray,  # (passages + 1,)
    passage_terms: np.ndarray,  # (entries,), ascending in each passage
    passage_weights: np.ndarray,  # (entries,) float32
    scores: np.ndarray,  # (queries, passages) float32, to be written
) -> None:
    """Score the queries of a batch, transposed, against a block of passages."""
    sums = np.empty((LANES, scores.shape[0]), dtype=np.float32)
    n_passages = scores.shape[1]
    for start in range(0, n_passages, LANES):
        stop = min(start + LANES, n_passages)
        sums[: stop - start] = 0
        for passage in range(start, stop):
            row = sums[passage - start]
            for entry in range(passage_bounds[passage], passage_bounds[passage + 1]):
                term, weight = passage_terms[entry], passage_weights[entry]
                for posting in range(query_bounds[term], query_bounds[term + 1]):
                    row[query_rows[posting]] += weight * query_weights[posting]
        for query in range(scores.shape[0]):  # whole lines of the cache at a time
            for passage in range(start, stop):
                scores[query, passage] = sums[passage - start, query]


@nb.njit(nogil=True, cache=True)
def score_sparse_pairs(
    query_bounds: np.ndarray,
    query_terms: np.ndarray,
    query_weights: np.ndarray,
    passage_bounds: np.ndarray,
    passage_terms: np.ndarray,
    passage_weights: np.ndarray,
    query_rows: np.ndarray,
    passage_rows: np.ndarray,
) -> np.ndarray:
    """Return the score of each pair of rows of two CSR matrices, (n,) float32."""
    scores = np.zeros(len(query_rows), dtype=np.float32)
    for pair in range(len(query_rows)):
        a, a_stop = query_bounds[query_rows[pair]], query_bounds[query_rows[pair] + 1]
        b, b_stop = passage_bounds[passage_rows[pair]], passage_bounds[passage_rows[pair] + 1]
        total = np.float32(0)
        while a < a_stop and b < b_stop:
            if query_terms[a] == passage_terms[b]:
                total += passage_weights[b] * query_weights[a]
                a, b = a + 1, b + 1
            elif query_terms[a] < passage_terms[b]:
                a += 1
            else:
                b += 1
        scores[pair] = total
    return scores
