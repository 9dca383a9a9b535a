"""Numbers as short texts, so that pages hold many: a few letters each, between two bounds."""

from collections.abc import Iterable
from typing import TypedDict

import numpy as np

# Letters that stand as they are in JSON and in HTML.
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NO_NUMBER = ALPHABET[0]  # all letters of a missing number
_MOST_LETTERS = 8  # of a number: 48 bits
_MINUS_INFINITY = "."  # all letters of the logarithm of 0


class PackedNumbers(TypedDict):
    """Numbers as a text of `width` letters each, from `low` to `high`.

    AA... is no number, and a text of dots minus infinity, the logarithm of 0.
    """

    low: float
    high: float
    width: int
    text: str


def pack(numbers: Iterable[float | None], step: float) -> PackedNumbers:
    """Round numbers to equal steps, of `step` or less, between their lowest and highest.

    >>> pack([0.0, 1.0, None, 0.5, float("-inf")], 0.1)
    {'low': 0.0, 'high': 1.0, 'width': 1, 'text': 'B_Ag.'}
    """
    values = np.array([np.nan if number is None else number for number in numbers], np.float64)
    is_number = np.isfinite(values)
    low = float(values[is_number].min()) if is_number.any() else 0.0
    high = float(values[is_number].max()) if is_number.any() else 0.0
    width = 1
    while width < _MOST_LETTERS and (high - low) / (64**width - 2) > step:
        width += 1
    steps = 64**width - 2
    scaled = (np.where(is_number, values, low) - low) / ((high - low) or 1.0) * steps
    codes = np.where(is_number, np.rint(scaled).astype(np.int64) + 1, 0)
    powers = 64 ** np.arange(width - 1, -1, -1)
    letters = codes[:, None] // powers % 64
    letters[np.isneginf(values)] = len(ALPHABET)
    text = "".join((ALPHABET + _MINUS_INFINITY)[letter] for letter in letters.ravel().tolist())
    return {"low": low, "high": high, "width": width, "text": text}
