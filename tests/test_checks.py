"""Checks of arguments name the argument, its value and what would do."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from beir_hybrid import checks
from beir_hybrid.errors import BadOption


@pytest.mark.parametrize(
    ("check", "values"),
    [
        (checks.check_positive, [1, np.int64(7), 10**30]),
        (checks.check_positive_or_none, [None, 1]),
        (checks.check_fraction, [0, 0.5, 1, np.float32(0.25)]),
        (checks.check_proper_fraction, [1e-9, 0.95]),
        (checks.check_above_zero, [1e-9, 3]),
        (checks.check_not_negative, [0, 0.0, 3]),
        (checks.check_finite, [0, -1.5, "nan", None]),
        (checks.check_seed, [None, 0, 2**32 - 1]),
    ],
)
def test_values_within_bounds_pass(check: Callable[..., None], values: list[object]) -> None:
    for value in values:
        check(size=value, depth=value)


@pytest.mark.parametrize(
    ("check", "values", "cure"),
    [
        (checks.check_positive, [0, -1, 2.0, "2", None, True], "a whole number from 1 on"),
        (checks.check_positive_or_none, [0, False], "a whole number from 1 on"),
        (checks.check_fraction, [-0.1, 1.1, math.nan, "x", True], "a number from 0 to 1"),
        (checks.check_proper_fraction, [0, 1, 95, math.nan], "a number between 0 and 1"),
        (checks.check_above_zero, [0, -1, math.inf, math.nan, None], "a number above 0"),
        (checks.check_not_negative, [-1, math.inf, math.nan, "0"], "a number from 0 on"),
        (checks.check_finite, [math.nan, -math.inf], "a finite number"),
        (checks.check_seed, [-5, 2**32, 1.0], "a whole number from 0 to 4294967295"),
    ],
)
def test_other_values_are_named(
    check: Callable[..., None], values: list[object], cure: str
) -> None:
    for value in values:
        with pytest.raises(BadOption, match=re.escape(f"size is {value!r}; it must be {cure}")):
            check(size=value)
