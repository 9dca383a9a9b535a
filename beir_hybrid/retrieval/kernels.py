"""Compiled loops over blocks of approximate scores that give exact counts and best passages.

A product of matrices is fast, but its last bits depend on the sizes of the blocks, on the library
and on the processor; ranks that depend on them cannot be reproduced. So the *score* of a query and
a passage is defined independently of it: the inner product in float64, summed in one fixed order,
rounded to float32. The fast product only decides what is certain: a passage whose fast score is
above a threshold by more than the largest possible rounding error of the product (Higham, Accuracy
and Stability of Numerical Algorithms, section 3.1) has the higher score. The few passages within
that margin are scored again. Equal vectors tie, on every machine and whatever the blocks.
"""

# The arrays' elements have types and shapes that numba infers; it compiles loops well.
import numba as nb
import numpy as np

from beir_hybrid.retrieval.scorer import BatchGolds
from beir_hybrid.retrieval.top_candidates import CHUNK

LANES = 32  # sums of a score: enough for vector instructions to run at full speed


@nb.njit(nogil=True, cache=True, inline="always")
def dot(a: np.ndarray, b: np.ndarray, sums: np.ndarray) -> np.float32:
    """Return the score of two float32 vectors: `LANES` sums in float64, then theirs by halves."""
    n = a.shape[0]
    n_even = n - n % LANES
    for lane in range(LANES):
        sums[lane] = 0.0
    for k in range(0, n_even, LANES):
        for lane in range(LANES):
            sums[lane] += np.float64(a[k + lane]) * np.float64(b[k + lane])
    for k in range(n_even, n):
        sums[k - n_even] += np.float64(a[k]) * np.float64(b[k])
    half = LANES // 2
    while half:
        for lane in range(half):
            sums[lane] += sums[lane + half]
        half //= 2
    # Adding zero makes -0 and 0 one number.
    return np.float32(sums[0]) + np.float32(0.0)


@nb.njit(nogil=True, cache=True)
def dot_pairs(
    queries: np.ndarray, passages: np.ndarray, query_rows: np.ndarray, passage_rows: np.ndarray
) -> np.ndarray:
    """Return the score of each pair of a row of `queries` and a row of `passages`."""
    scores = np.empty(len(query_rows), dtype=np.float32)
    sums = np.empty(LANES)
    for i in range(len(query_rows)):
        scores[i] = dot(queries[query_rows[i]], passages[passage_rows[i]], sums)
    return scores


@nb.njit(nogil=True, cache=True)
def dot_all(query: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return the scores of one query and every passage of a block."""
    scores = np.empty(len(block), dtype=np.float32)
    sums = np.empty(LANES)
    for k in range(len(block)):
        scores[k] = dot(query, block[k], sums)
    return scores


@nb.njit(nogil=True, cache=True)
def count_dense_above(
    fast: np.ndarray,  # (n, block) float32: the product of these queries and this block
    queries: np.ndarray,  # (n, dim) float32
    block: np.ndarray,  # (block, dim) float32
    margin: np.ndarray,  # (n,) float32: how far a fast score may be from the score
    id_order: np.ndarray,  # (block,) int32: places of the passages' ids among sorted ids
    golds: BatchGolds,
    counts: np.ndarray,  # (golds, 3) int64: above, ties with a later id, ties with an earlier id
) -> None:
    """Add to `counts` how many passages of the block rank above, or tie with, each gold."""
    bounds, gold_order = golds.bounds, golds.id_order
    close = np.empty(CHUNK, dtype=np.int64)
    sums = np.empty(LANES)
    for i in range(fast.shape[0]):
        for start in range(0, fast.shape[1], CHUNK):
            row = fast[i, start : start + CHUNK]
            for gold in range(bounds[i], bounds[i + 1]):
                high = golds.high[gold] + margin[i]
                low = golds.low[gold] - margin[i]
                # Sums of 32 bits compile to the fastest vector instructions.
                n_above = np.uint32(0)
                n_near = np.uint32(0)
                for k in range(row.shape[0]):
                    n_above = np.uint32(n_above + np.uint32(row[k] > high))
                    n_near = np.uint32(n_near + np.uint32(row[k] >= low))
                counts[gold, 0] += n_above
                if n_near == n_above:
                    continue
                n_close = 0
                for k in range(row.shape[0]):  # without a branch to mispredict
                    close[n_close] = start + k
                    n_close += (row[k] >= low) & (row[k] <= high)
                for k in close[:n_close]:
                    exact = dot(queries[i], block[k], sums)
                    if exact > golds.high[gold]:
                        counts[gold, 0] += 1
                    elif exact >= golds.low[gold]:
                        counts[gold, 1] += id_order[k] > gold_order[gold]
                        counts[gold, 2] += id_order[k] < gold_order[gold]


@nb.njit(nogil=True, cache=True)
def count_exact_above(
    scores: np.ndarray,  # (n, block) float32, exact
    id_order: np.ndarray,  # (block,) int32
    golds: BatchGolds,
    counts: np.ndarray,  # (golds, 3) int64
) -> None:
    """Add to `counts` as `count_dense_above` does, where the block's scores are exact."""
    for i in range(scores.shape[0]):
        for start in range(0, scores.shape[1], CHUNK):
            row, order = scores[i, start : start + CHUNK], id_order[start : start + CHUNK]
            for gold in range(golds.bounds[i], golds.bounds[i + 1]):
                low, high, gold_order = golds.low[gold], golds.high[gold], golds.id_order[gold]
                # Unsigned 32-bit sums of comparisons compile to vector instructions.
                n_above = np.uint32(0)
                n_near = np.uint32(0)
                for k in range(row.shape[0]):
                    n_above += np.uint32(row[k] > high)
                    n_near += np.uint32(row[k] >= low)
                counts[gold, 0] += n_above
                if n_near == n_above:
                    continue
                n_later = np.uint32(0)
                n_earlier = np.uint32(0)
                for k in range(row.shape[0]):
                    is_tied = (row[k] >= low) & (row[k] <= high)
                    n_later += np.uint32(is_tied & (order[k] > gold_order))
                    n_earlier += np.uint32(is_tied & (order[k] < gold_order))
                counts[gold, 1] += n_later
                counts[gold, 2] += n_earlier


@nb.njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})  # so that it becomes vector code
def find_chunk_maxima(scores: np.ndarray) -> np.ndarray:
    """Return the largest score of each chunk of a block, (n, chunks) float32."""
    n_chunks = (scores.shape[1] + CHUNK - 1) // CHUNK
    maxima = np.empty((scores.shape[0], n_chunks), dtype=np.float32)
    for i in range(scores.shape[0]):
        for chunk in range(n_chunks):
            largest = np.float32(-np.inf)
            for score in scores[i, chunk * CHUNK : (chunk + 1) * CHUNK]:
                largest = max(largest, score)
            maxima[i, chunk] = largest
    return maxima


@nb.njit(nogil=True, cache=True)
def merge_descending(first: np.ndarray, second: np.ndarray, largest: np.ndarray) -> None:
    """Fill each row of `largest` with the largest numbers of two rows; all descend, (n, any)."""
    for i in range(largest.shape[0]):
        a = b = 0
        for c in range(largest.shape[1]):
            if b == second.shape[1] or (a < first.shape[1] and first[i, a] >= second[i, b]):
                largest[i, c] = first[i, a]
                a += 1
            else:
                largest[i, c] = second[i, b]
                b += 1
