"""Compiled loops of late interaction: sums of the largest products of tokens (MaxSim).

The *score* of a query and a passage is a sum in float64, over the query's tokens in their order, of
the largest score of the token and a token of the passage, as `kernels` defines scores of two
vectors; it is rounded to float32 at the end. It depends on the two texts alone.
"""

import numba as nb
import numpy as np

from beir_hybrid.retrieval.kernels import LANES, dot
from beir_hybrid.retrieval.scorer import BatchGolds

# The score of a passage without tokens: below all others.
NO_TOKENS = np.float32(-1e30)


@nb.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _dot_fast(a: np.ndarray, b: np.ndarray) -> np.float32:
    """Return the inner product of two float32 vectors, summed in any order."""
    total = np.float32(0)
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@nb.njit(nogil=True, cache=True)
def score_token_pairs(
    query_tokens: np.ndarray,  # (tokens, dim) float32
    query_bounds: np.ndarray,  # (queries + 1,) int64
    query_slack: np.ndarray,  # (tokens,) float32: twice the largest error of its fast products
    passage_tokens: np.ndarray,
    passage_bounds: np.ndarray,
    query_rows: np.ndarray,
    passage_rows: np.ndarray,
) -> np.ndarray:
    """Return the score of each pair of rows, (n,) float32.

    Of a passage's tokens only those are scored whose fast products may be the largest.
    """
    scores = np.empty(len(query_rows), dtype=np.float32)
    products = np.empty(np.diff(passage_bounds).max() if len(passage_bounds) > 1 else 0, np.float32)
    sums = np.empty(LANES)
    for pair in range(len(query_rows)):
        start, stop = query_bounds[query_rows[pair]], query_bounds[query_rows[pair] + 1]
        first, last = passage_bounds[passage_rows[pair]], passage_bounds[passage_rows[pair] + 1]
        total = np.float64(0)
        for query_token in range(start, stop):
            bar = np.float32(-np.inf)
            for token in range(first, last):
                product = _dot_fast(query_tokens[query_token], passage_tokens[token])
                products[token - first] = product
                bar = max(bar, product)
            bar -= query_slack[query_token]
            largest = np.float32(-np.inf)
            for token in range(first, last):
                if products[token - first] >= bar:
                    product = dot(query_tokens[query_token], passage_tokens[token], sums)
                    largest = max(largest, product)
            total += largest
        scores[pair] = np.float32(total) + np.float32(0.0) if first < last else NO_TOKENS
    return scores


@nb.njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})  # so that it becomes vector code
def find_maxima(
    products: np.ndarray,  # (passages' tokens, queries' tokens) float32
    passage_bounds: np.ndarray,  # (passages + 1,) int64, from 0
    maxima: np.ndarray,  # (passages, queries' tokens) float32, to be written
) -> None:
    """Write the largest product of each query's token with the tokens of each passage."""
    for passage in range(len(passage_bounds) - 1):
        largest = maxima[passage]
        largest[:] = -np.inf
        for token in range(passage_bounds[passage], passage_bounds[passage + 1]):
            row = products[token]
            for i in range(len(largest)):
                largest[i] = max(largest[i], row[i])


@nb.njit(nogil=True, cache=True)
def add_maxima(
    maxima: np.ndarray,  # (passages, queries' tokens) float32
    query_bounds: np.ndarray,  # (queries + 1,) int64, from 0
    passage_bounds: np.ndarray,
    scores: np.ndarray,  # (queries, passages) float32, to be written
) -> None:
    """Add up the largest products of each query's tokens."""
    for passage in range(len(maxima)):
        has_tokens = passage_bounds[passage] < passage_bounds[passage + 1]
        for query in range(len(query_bounds) - 1):
            total = 0.0
            for token in range(query_bounds[query], query_bounds[query + 1]):
                total += maxima[passage, token]
            scores[query, passage] = np.float32(total) if has_tokens else NO_TOKENS


@nb.njit(nogil=True, cache=True)
def count_certain(
    fast: np.ndarray,  # (n, block) float32
    margin: np.ndarray,  # (n,) float32
    golds: BatchGolds,
    counts: np.ndarray,  # (golds, 3) int64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the passages that are above each gold for sure.

    Returns
    -------
        The pairs that exact scores have to decide: their golds, queries and passages of the block.
    """
    n_close = 0
    for is_filling in range(2):
        close_golds, close_queries, close_passages = (
            np.empty(n_close * is_filling, np.int64),
            np.empty(n_close * is_filling, np.int64),
            np.empty(n_close * is_filling, np.int64),
        )
        n_close = 0
        for i in range(fast.shape[0]):
            for gold in range(golds.bounds[i], golds.bounds[i + 1]):
                high, low = golds.high[gold] + margin[i], golds.low[gold] - margin[i]
                if not is_filling:
                    n_above = np.uint32(0)
                    n_near = np.uint32(0)
                    for k in range(fast.shape[1]):
                        n_above += np.uint32(fast[i, k] > high)
                        n_near += np.uint32(fast[i, k] >= low)
                    counts[gold, 0] += n_above
                    n_close += int(n_near) - min(int(n_near), int(n_above))
                    continue
                for k in range(fast.shape[1]):
                    if low <= fast[i, k] <= high:
                        close_golds[n_close] = gold
                        close_queries[n_close], close_passages[n_close] = i, k
                        n_close += 1
    return close_golds, close_queries, close_passages
