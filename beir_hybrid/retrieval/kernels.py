"""Blocks of fast scores in, exact counts and best passages out.

A product of matrices is fast, but its last bits depend on the sizes of the blocks, on the library
and on the processor; ranks that hang on them cannot be reproduced. So the *score* of a query and a
passage is defined apart from it: the inner product in float64, summed in one fixed order, rounded
to float32. The fast product only decides what is certain: a passage whose fast score is above a
threshold by more than the product's rounding error can ever be (Higham, Accuracy and Stability of
Numerical Algorithms, section 3.1) has the higher score. The few within that margin are scored anew.
Equal vectors tie, on every machine and whatever the blocks.
"""

# The arrays' elements have types and shapes that numba infers; the loops are what it compiles well.
import numba as nb
import numpy as np

CHUNK = 128  # scores looked at together; where one is close to a threshold, all are looked at again
LANES = 32  # sums of a score: enough for vector instructions to run at full speed


@nb.njit(nogil=True, cache=True, inline="always")
def _dot(a: np.ndarray, b: np.ndarray, sums: np.ndarray) -> np.float32:
    """Return the score of two float32 vectors: `LANES` sums in float64, then theirs by halves."""
    n = a.shape[0]
    whole = n - n % LANES
    for lane in range(LANES):
        sums[lane] = 0.0
    for k in range(0, whole, LANES):
        for lane in range(LANES):
            sums[lane] += np.float64(a[k + lane]) * np.float64(b[k + lane])
    for k in range(whole, n):
        sums[k - whole] += np.float64(a[k]) * np.float64(b[k])
    half = LANES // 2
    while half:
        for lane in range(half):
            sums[lane] += sums[lane + half]
        half //= 2
    # Zero is one number, whatever its sign.
    return np.float32(sums[0]) + np.float32(0.0)


@nb.njit(nogil=True, cache=True)
def pair_scores(
    queries: np.ndarray, passages: np.ndarray, query: np.ndarray, passage: np.ndarray
) -> np.ndarray:
    """Return the score of each pair of a row of `queries` and a row of `passages`."""
    scores = np.empty(len(query), dtype=np.float32)
    sums = np.empty(LANES)
    for i in range(len(query)):
        scores[i] = _dot(queries[query[i]], passages[passage[i]], sums)
    return scores


@nb.njit(nogil=True, cache=True)
def count_above(
    fast: np.ndarray,  # (n, block) float32: the product of these queries and this block
    queries: np.ndarray,  # (n, dim) float32
    block: np.ndarray,  # (block, dim) float32
    order: np.ndarray,  # (block,) int32: places of the passages' ids in the order of ids
    bounds: np.ndarray,  # (n + 1,) int64: the golds of query i are bounds[i]:bounds[i + 1]
    score: np.ndarray,  # (golds,) float32
    margin: np.ndarray,  # (n,) float32: how far a fast score may be from the score
    gold_order: np.ndarray,  # (golds,) int32
    counts: np.ndarray,  # (golds, 3) int64: above, ties with a later id, ties with an earlier id
) -> None:
    """Add to `counts` how many passages of the block stand above, or tie with, each gold."""
    close = np.empty(CHUNK, dtype=np.int64)
    sums = np.empty(LANES)
    for i in range(fast.shape[0]):
        for start in range(0, fast.shape[1], CHUNK):
            row = fast[i, start : start + CHUNK]
            for gold in range(bounds[i], bounds[i + 1]):
                high = score[gold] + margin[i]
                low = score[gold] - margin[i]
                # Unsigned 32-bit sums of comparisons are what compiles to vector instructions.
                above = np.uint32(0)
                near = np.uint32(0)
                for k in range(row.shape[0]):
                    above += np.uint32(row[k] > high)
                    near += np.uint32(row[k] >= low)
                counts[gold, 0] += above
                if near == above:
                    continue
                found = 0
                for k in range(row.shape[0]):  # without a branch to mispredict
                    close[found] = start + k
                    found += (row[k] >= low) & (row[k] <= high)
                for k in close[:found]:
                    exact = _dot(queries[i], block[k], sums)
                    if exact > score[gold]:
                        counts[gold, 0] += 1
                    elif exact == score[gold]:
                        counts[gold, 1] += order[k] > gold_order[gold]
                        counts[gold, 2] += order[k] < gold_order[gold]


@nb.njit(nogil=True, cache=True)
def collect_best(
    fast: np.ndarray,
    first: int,  # the row number of the block's first passage
    margin: np.ndarray,  # (n,) float32
    k: int,
    scores: np.ndarray,  # (n, room) float32: fast scores that may be among the k best
    rows: np.ndarray,  # (n, room) int32: their passages
    filled: np.ndarray,  # (n,) int64: how many there are; room + 1 if they ever did not fit
    bar: np.ndarray,  # (n,) float32: no lower fast score can be among the k best
) -> None:
    """Keep the passages of the block that may be among the k best of each query."""
    room = scores.shape[1]
    for i in range(fast.shape[0]):
        for start in range(0, fast.shape[1], CHUNK):
            row = fast[i, start : start + CHUNK]
            some = np.uint32(0)
            for c in range(row.shape[0]):
                some += np.uint32(row[c] >= bar[i])
            if some == 0 or filled[i] > room:
                continue
            if filled[i] + some > room:
                bar[i] = _kth(scores[i, : filled[i]].copy(), k) - 2 * margin[i]
                filled[i] = _keep(bar[i], scores[i], rows[i], filled[i])
                if filled[i] > room - CHUNK:
                    filled[i] = room + 1
                    continue
            for c in range(row.shape[0]):
                if row[c] >= bar[i]:
                    scores[i, filled[i]], rows[i, filled[i]] = row[c], first + start + c
                    filled[i] += 1


@nb.njit(nogil=True, cache=True)
def prune(
    k: int, scores: np.ndarray, rows: np.ndarray, filled: np.ndarray, margin: np.ndarray
) -> None:
    """Drop what cannot be among the k best; for `collect_best`'s arrays, at the end."""
    for i in range(len(filled)):
        if k < filled[i] <= scores.shape[1]:
            bar = _kth(scores[i, : filled[i]].copy(), k) - 2 * margin[i]
            filled[i] = _keep(bar, scores[i], rows[i], filled[i])


@nb.njit(nogil=True, cache=True)
def _keep(bar: np.float32, scores: np.ndarray, rows: np.ndarray, filled: int) -> int:
    kept = 0
    for c in range(filled):
        if scores[c] >= bar:
            scores[kept], rows[kept] = scores[c], rows[c]
            kept += 1
    return kept


@nb.njit(nogil=True, cache=True)
def _kth(values: np.ndarray, k: int) -> np.float32:
    """Return the k-th largest value (Hoare's selection); changes the order of `values`."""
    low, high, target = 0, len(values) - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] > pivot:
                left += 1
            while values[right] < pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if target <= right:
            high = right
        elif target >= left:
            low = left
        else:
            break
    return values[target]


@nb.njit(nogil=True, cache=True)
def all_scores(query: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return the scores of one query and every passage of a block."""
    scores = np.empty(len(block), dtype=np.float32)
    sums = np.empty(LANES)
    for k in range(len(block)):
        scores[k] = _dot(query, block[k], sums)
    return scores


@nb.njit(nogil=True, cache=True)
def merge(one: np.ndarray, other: np.ndarray, found: np.ndarray) -> None:
    """Fill each row of `found` with the largest numbers of two rows; all descend, (n, any)."""
    for i in range(found.shape[0]):
        a = b = 0
        for c in range(found.shape[1]):
            if b == other.shape[1] or (a < one.shape[1] and one[i, a] >= other[i, b]):
                found[i, c] = one[i, a]
                a += 1
            else:
                found[i, c] = other[i, b]
                b += 1
