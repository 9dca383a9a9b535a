"""Checks of arguments: counts, fractions and other numbers, each with one wording.

Every check takes keyword arguments, so that the message has the argument's name, its value and what
would do.
"""

import math
from numbers import Integral, Real

from beir_hybrid.errors import BadOption


def check_positive(**values: object) -> None:
    """Raise `BadOption` unless each value is a whole number of at least 1.

    >>> check_positive(batch_size=32)
    >>> check_positive(depth=0)
    Traceback (most recent call last):
    ...
    beir_hybrid.errors.BadOption: depth is 0; it must be a whole number from 1 on
    """
    for name, value in values.items():
        is_count = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
        _require(is_count, name, value, "a whole number from 1 on")


def check_positive_or_none(**values: object) -> None:
    """Raise `BadOption` unless each value is None or a whole number of at least 1."""
    check_positive(**{name: value for name, value in values.items() if value is not None})


def check_fraction(**values: object) -> None:
    """Raise `BadOption` unless each value is a number from 0 to 1, both included."""
    for name, value in values.items():
        _require(_is_within(value, 0, 1), name, value, "a number from 0 to 1")


def check_proper_fraction(**values: object) -> None:
    """Raise `BadOption` unless each value is a number between 0 and 1, neither included."""
    for name, value in values.items():
        is_proper = _is_within(value, 0, 1) and value not in (0, 1)
        _require(is_proper, name, value, "a number between 0 and 1")


def check_above_zero(**values: object) -> None:
    """Raise `BadOption` unless each value is a finite number above 0."""
    for name, value in values.items():
        _require(_is_within(value, 0, math.inf) and value != 0, name, value, "a number above 0")


def check_not_negative(**values: object) -> None:
    """Raise `BadOption` unless each value is a finite number of at least 0."""
    for name, value in values.items():
        _require(_is_within(value, 0, math.inf), name, value, "a number from 0 on")


def check_finite(**values: object) -> None:
    """Raise `BadOption` for numbers that are infinite or NaN; other values are not looked at."""
    for name, value in values.items():
        is_finite = not isinstance(value, Real) or math.isfinite(value)
        _require(is_finite, name, value, "a finite number")


def check_seed(**values: object) -> None:
    """Raise `BadOption` unless each value is a seed for all generators: None or of 32 bits."""
    for name, value in values.items():
        is_seed = isinstance(value, Integral) and 0 <= int(value) < 1 << 32
        _require(value is None or is_seed, name, value, "a whole number from 0 to 4294967295")


def _is_within(value: object, low: float, high: float) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return math.isfinite(value) and low <= float(value) <= high


def _require(is_fine: bool, name: str, value: object, cure: str) -> None:
    if not is_fine:
        raise BadOption(f"{name} is {value!r}; it must be {cure}")
