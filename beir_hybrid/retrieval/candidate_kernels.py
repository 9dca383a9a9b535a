"""Compiled loops that collect the passages that may be among the best, from approximate scores.

A passage whose approximate score is below the k-th best one by more than two rounding errors is not
among the k best; see `kernels`. A lower bar than that keeps a few candidates more, and is found in
a few passes of vector instructions.
"""

# The arrays' elements have types and shapes that numba infers; it compiles loops well.
import numba as nb
import numpy as np

from beir_hybrid.retrieval.top_candidates import CHUNK, TopCandidates

_SMALLEST_STEP, _MOST_STEPS = np.float32(1e-30), 64  # of a search for a bar
_GROUPS = 64  # of scores, whose maxima tell a bar if k is small
_SMALL_K = 8
_PART = 32  # scores among which a loop finds those from a bar on


@nb.njit(nogil=True, cache=True)
def collect_candidates(
    fast: np.ndarray,
    first_row: int,  # the row number of the block's first passage
    margin: np.ndarray,  # (n,) float32
    k: int,
    candidates: TopCandidates,
) -> None:
    """Add the passages of the block that may be among the k best of each query."""
    scores, rows, sizes, bars = candidates
    capacity = scores.shape[1]
    places, maxima = np.empty(CHUNK, np.int64), np.empty(_GROUPS, np.float32)
    guess, step = _guess_bar(fast[0])
    for i in range(fast.shape[0]):
        size = sizes[i]
        if size > capacity:
            continue
        if bars[i] == -np.inf and size + fast.shape[1] > k + _count_spare(k):
            values = fast[i] if k > _SMALL_K or size else _find_group_maxima(fast[i], maxima)
            bar = _find_bar(scores[i, :size], values, k, guess, step)
            bars[i] = bar - 2 * margin[i]
            guess = bar if bar > -np.inf else guess
            size = _drop_below(bars[i], scores[i], rows[i], size)
        for start in range(0, fast.shape[1], CHUNK):
            row = fast[i, start : start + CHUNK]
            n_new = _count_from(bars[i], row)
            if size + n_new > capacity:
                bar = _find_bar(scores[i, :size], row, k, bars[i], step)
                bars[i] = max(bars[i], bar - 2 * margin[i])
                size = _drop_below(bars[i], scores[i], rows[i], size)
                n_new = _count_from(bars[i], row)
                if size + n_new > capacity:
                    size = capacity + 1
                    break
            if n_new:
                _find_from(bars[i], row, places)
                for c in places[:n_new]:
                    scores[i, size], rows[i, size] = row[c], first_row + start + c
                    size += 1
        sizes[i] = size


@nb.njit(nogil=True, cache=True, inline="always")
def _count_spare(k: int) -> int:
    """Return the number of candidates beyond k up to which a higher bar is no use."""
    return k // 4 + 4


@nb.njit(nogil=True, cache=True, inline="always")
def _count_from(bar: np.float32, values: np.ndarray) -> int:
    """Count the values that are at least `bar`."""
    total = np.uint32(0)  # see `count_dense_above`
    for c in range(values.shape[0]):
        total = np.uint32(total + np.uint32(values[c] >= bar))
    return int(total)


@nb.njit(nogil=True, cache=True, inline="always")
def _find_from(bar: np.float32, values: np.ndarray, places: np.ndarray) -> None:
    """Fill in the places of the values that are at least `bar`."""
    n = 0
    for start in range(0, values.shape[0], _PART):
        part = values[start : start + _PART]
        if _count_from(bar, part):
            for c in range(part.shape[0]):  # without a branch to mispredict
                places[n] = start + c
                n += part[c] >= bar


@nb.njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})  # so that it becomes vector code
def _find_group_maxima(values: np.ndarray, maxima: np.ndarray) -> np.ndarray:
    """Return `maxima`, filled with the largest of every `_GROUPS`-th value from each of the first.

    What k of the maxima reach, k values reach.
    """
    maxima[:] = -np.inf
    for start in range(0, values.shape[0], _GROUPS):
        part = values[start : start + _GROUPS]
        for group in range(part.shape[0]):
            maxima[group] = max(maxima[group], part[group])
    return maxima


@nb.njit(nogil=True, cache=True)
def _guess_bar(values: np.ndarray) -> tuple[np.float32, np.float32]:
    """Return the middle of some values, and the first step of a search for a bar from there."""
    low, high = values.min(), values.max()
    return (low + high) / np.float32(2), max((high - low) / np.float32(16), _SMALLEST_STEP)


@nb.njit(nogil=True, cache=True)
def _find_bar(
    first: np.ndarray, second: np.ndarray, k: int, guess: np.float32, step: np.float32
) -> np.float32:
    """Return a number that k values of two arrays reach, and few more; -inf if there is none.

    The steps from the guess double until the number is between two of them, then they are halved.
    """
    low, high = np.float32(-np.inf), np.float32(np.inf)
    for _ in range(_MOST_STEPS):
        n = _count_from(guess, first) + _count_from(guess, second)
        if n < k:
            high = guess
        else:
            low = guess
            if n <= k + _count_spare(k):
                break
        if low == -np.inf or high == np.inf:
            guess = guess - step if n < k else guess + step
            step *= np.float32(2)
        else:
            guess = low + (high - low) / np.float32(2)
            if not low < guess < high:
                break
    return low


@nb.njit(nogil=True, cache=True)
def prune_candidates(k: int, margin: np.ndarray, candidates: TopCandidates) -> None:
    """Drop the candidates that cannot be among the k best, after the last block."""
    scores, rows, sizes, _ = candidates
    for i in range(len(sizes)):
        if k < sizes[i] <= scores.shape[1]:
            bar = _kth_largest(scores[i, : sizes[i]].copy(), k) - 2 * margin[i]
            sizes[i] = _drop_below(bar, scores[i], rows[i], sizes[i])


@nb.njit(nogil=True, cache=True)
def list_candidates(sizes: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the queries, ascending, and the passages of all candidates, (candidates,)."""
    n = sizes.sum()
    queries, passages = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    c = 0
    for i in range(len(sizes)):
        for place in range(sizes[i]):
            queries[c], passages[c] = i, rows[i, place]
            c += 1
    return queries, passages


@nb.njit(nogil=True, cache=True)
def fill_keys(
    score_bits: np.ndarray,  # (candidates,) int32: the bits of exact scores, query by query
    rows: np.ndarray,  # (candidates,) their passages
    id_order: np.ndarray,  # (passages,) int32
    sizes: np.ndarray,  # (n,) int64: how many candidates each query has
    keys: np.ndarray,  # (n, any) int64, to be filled
) -> None:
    """Fill in the keys of each query's candidates, as `pack_keys` makes them, behind the lowest."""
    c = 0
    for i in range(len(sizes)):
        n_empty = keys.shape[1] - sizes[i]
        keys[i, :n_empty] = np.iinfo(np.int64).min
        for place in range(n_empty, keys.shape[1]):
            bits = np.int64(score_bits[c])
            bits = bits if bits >= 0 else bits ^ 0x7FFFFFFF
            keys[i, place] = (bits << 32) | id_order[rows[c]]
            c += 1


@nb.njit(nogil=True, cache=True)
def _drop_below(bar: np.float32, scores: np.ndarray, rows: np.ndarray, size: int) -> int:
    """Move the entries from `bar` on to the front; return how many there are."""
    new_size = 0
    for c in range(size):
        if scores[c] >= bar:
            scores[new_size], rows[new_size] = scores[c], rows[c]
            new_size += 1
    return new_size


@nb.njit(nogil=True, cache=True)
def _kth_largest(values: np.ndarray, k: int) -> np.float32:
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
