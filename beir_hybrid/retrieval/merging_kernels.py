"""Compiled inversion of scales: which scores become the same float32 as another language's."""

# The arrays' elements have types and shapes that numba infers; it compiles loops well.
import numba as nb
import numpy as np

_LARGEST_BITS = 0x7F7FFFFF  # of the largest finite float32


@nb.njit(nogil=True, cache=True, inline="always")
def _scale(
    bits: int, shift: float, factor: float, ints: np.ndarray, floats: np.ndarray
) -> np.float32:
    """Return the comparable score of the float32 with these sortable bits.

    `ints` and `floats` are views of one number.
    """
    ints[0] = bits if bits >= 0 else bits ^ 0x7FFFFFFF
    return np.float32((np.float64(floats[0]) - shift) * factor) + np.float32(0.0)


@nb.njit(nogil=True, cache=True)
def _find_lowest(
    target: np.float32,
    shift: float,
    factor: float,
    is_above: bool,
    ints: np.ndarray,
    floats: np.ndarray,
) -> int:
    """Return the sortable bits of the lowest score that becomes `target` or more.

    If `is_above`, of the lowest score that becomes more than `target`. Scores grow with their bits,
    so the search doubles its steps and then halves the interval.
    """
    floats[0] = np.float32(np.float64(target) / factor + shift)
    bits = int(ints[0])
    guess = bits if bits >= 0 else bits ^ 0x7FFFFFFF
    guess = min(max(guess, -_LARGEST_BITS), _LARGEST_BITS)
    low, step = guess - 1, 1
    while low > -_LARGEST_BITS:
        value = _scale(low, shift, factor, ints, floats)
        if value < target or (is_above and value == target):
            break
        step *= 2
        low = max(low - step, -_LARGEST_BITS)
    high, step = low + 1, 1
    while high < _LARGEST_BITS:
        value = _scale(high, shift, factor, ints, floats)
        if value > target or (not is_above and value == target):
            break
        low = high
        step *= 2
        high = min(high + step, _LARGEST_BITS)
    while high - low > 1:
        middle = (high + low) // 2
        value = _scale(middle, shift, factor, ints, floats)
        if value > target or (not is_above and value == target):
            high = middle
        else:
            low = middle
    return high


@nb.njit(nogil=True, cache=True)
def invert_scale(
    targets: np.ndarray,  # (golds,) float32, comparable scores
    queries: np.ndarray,  # (golds,) rows of `shift`
    shift: np.ndarray,  # (queries, languages) float64
    factor: np.ndarray,  # (queries, languages) float64
    low: np.ndarray,  # (golds, languages) float32, to be filled
    high: np.ndarray,  # (golds, languages) float32, to be filled
) -> None:
    """Fill in the lowest and the highest score of each language that becomes each gold's target."""
    ints = np.empty(1, np.int32)
    floats = ints.view(np.float32)
    for gold in range(len(targets)):
        query = queries[gold]
        for language in range(shift.shape[1]):
            a, b = shift[query, language], factor[query, language]
            first = _find_lowest(targets[gold], a, b, False, ints, floats)
            last = _find_lowest(targets[gold], a, b, True, ints, floats) - 1
            ints[0] = first if first >= 0 else first ^ 0x7FFFFFFF
            low[gold, language] = floats[0]
            ints[0] = last if last >= 0 else last ^ 0x7FFFFFFF
            high[gold, language] = floats[0]
