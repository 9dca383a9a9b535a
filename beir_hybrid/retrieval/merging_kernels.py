"""Compiled inversion of scales: which scores become the same float32 as another language's."""

# The arrays' elements have types and shapes that numba infers; it compiles loops well.
import numba as nb
import numpy as np

_LARGEST_BITS = 0x7F7FFFFF  # of the largest finite float32


@nb.njit(nogil=True, cache=True, inline="always")
def _flip(bits: int) -> int:
    """Turn the bits of a float32 into integers that sort as the numbers do, or back."""
    return bits if bits >= 0 else bits ^ 0x7FFFFFFF


@nb.njit(nogil=True, cache=True, inline="always")
def _scale(score: np.float32, shift: float, factor: float) -> np.float32:
    """Return the comparable score."""
    return np.float32((np.float64(score) - shift) * factor) + np.float32(0.0)


@nb.njit(nogil=True, cache=True, inline="always")
def _scale_bits(
    bits: int, shift: float, factor: float, ints: np.ndarray, floats: np.ndarray
) -> np.float32:
    """Return the comparable score of the float32 with these sortable bits.

    `ints` and `floats` are views of one number.
    """
    ints[0] = _flip(bits)
    return _scale(floats[0], shift, factor)


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
    guess = min(max(_flip(int(ints[0])), -_LARGEST_BITS), _LARGEST_BITS)
    low, step = guess - 1, 1
    while low > -_LARGEST_BITS:
        value = _scale_bits(low, shift, factor, ints, floats)
        if value < target or (is_above and value == target):
            break
        step *= 2
        low = max(low - step, -_LARGEST_BITS)
    high, step = low + 1, 1
    while high < _LARGEST_BITS:
        value = _scale_bits(high, shift, factor, ints, floats)
        if value > target or (not is_above and value == target):
            break
        low = high
        step *= 2
        high = min(high + step, _LARGEST_BITS)
    while high - low > 1:
        middle = (high + low) // 2
        value = _scale_bits(middle, shift, factor, ints, floats)
        if value > target or (not is_above and value == target):
            high = middle
        else:
            low = middle
    return high


@nb.njit(nogil=True, cache=True)
def _try_neighbours(
    targets: np.ndarray,
    queries: np.ndarray,
    shift: np.ndarray,
    factor: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Do what `invert_scale` does where the result of the inverse and its neighbours tell.

    Mostly they do, and the loops over languages become vector code.

    Returns
    -------
        Whether they do, (golds,) bool.
    """
    numbers = np.empty((3, shift.shape[1]), np.float32)
    near, lower, upper = numbers
    near_bits, lower_bits, upper_bits = numbers.view(np.int32)
    is_certain = np.empty(len(targets), np.bool_)
    for gold in range(len(targets)):
        target, shifts, factors = targets[gold], shift[queries[gold]], factor[queries[gold]]
        for language in range(len(shifts)):
            near[language] = np.float64(target) / factors[language] + shifts[language]
        for language in range(len(shifts)):
            bits = _flip(near_bits[language])
            lower_bits[language], upper_bits[language] = _flip(bits - 1), _flip(bits + 1)
        n_certain = np.uint32(0)
        for language in range(len(shifts)):
            a, b = shifts[language], factors[language]
            value = _scale(near[language], a, b)
            low[gold, language] = near[language] if value >= target else upper[language]
            high[gold, language] = near[language] if value <= target else lower[language]
            is_above = _scale(upper[language], a, b) > target
            n_certain += np.uint32(is_above & (_scale(lower[language], a, b) < target))
        is_certain[gold] = n_certain == len(shifts)
    return is_certain


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
    is_certain = _try_neighbours(targets, queries, shift, factor, low, high)
    for gold in np.flatnonzero(~is_certain):
        query = queries[gold]
        for language in range(shift.shape[1]):
            a, b = shift[query, language], factor[query, language]
            first = _find_lowest(targets[gold], a, b, False, ints, floats)
            last = _find_lowest(targets[gold], a, b, True, ints, floats) - 1
            ints[0] = _flip(first)
            low[gold, language] = floats[0]
            ints[0] = _flip(last)
            high[gold, language] = floats[0]
