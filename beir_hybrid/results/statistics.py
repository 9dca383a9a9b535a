"""Intervals, paired tests and tied ranks of systems, from values query by query.

Groups of queries that translate each other are resampled, flipped and counted as a whole; see
`beir_hybrid.results.values`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from beir_hybrid.checks import check_proper_fraction
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.results.group_sums import GroupSums, check_same_rows, merge_settings, sum_cells
from beir_hybrid.results.resampling import (
    TESTS,
    generate_weights,
    is_constant,
    is_exhaustive,
    subtract_shares,
)
from beir_hybrid.results.values import Values, average

Test = Literal["randomisation", "t"]


@dataclass(frozen=True)
class Difference:
    """The difference of two systems; averages and interval are in the unit of the measure."""

    mean_a: float
    mean_b: float
    value: float  # mean_a - mean_b
    low: float
    high: float
    p: float  # two-sided
    effect: float  # Cohen's d_z
    n_groups: int


def draw_weights(n_groups: int, samples: int = 1000, seed: int = 0) -> np.ndarray:
    """Draw bootstrap weights, to be used for several measures of the same groups.

    Row r says how often each group was drawn in resample r; it adds up to ``n_groups``. The array
    takes 8 bytes a number; `estimate_interval` without it draws the same weights in blocks.

    Returns
    -------
    np.ndarray
        (samples, n_groups) float64.
    """
    return np.concatenate(list(generate_weights(n_groups, samples, seed)))


def estimate_interval(
    values: Values,
    *,
    macro: bool = True,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return the bootstrap percentile interval of `average`, resampling groups.

    With w_q how often group q was drawn, and x_qs and n_qs the sum and number of its values in
    setting s, a resample's macro average is the mean over s of ``sum_q w_q x_qs / sum_q w_q n_qs``.
    A setting none of whose groups was drawn is left out of that resample's mean. The interval
    runs from the (1 - confidence) / 2 quantile of the resamples to the (1 + confidence) / 2
    quantile, interpolated linearly. With one group it is that group's average, twice.

    Parameters
    ----------
    weights
        The result of `draw_weights` for this number of groups, its columns in ascending order of
        group; ``samples`` and ``seed`` then do nothing.
    """
    sums = merge_settings(sum_cells(values), macro)
    return _estimate_interval(sums, samples, confidence, seed, weights)


def compare_values(
    a: Values,
    b: Values,
    *,
    test: Test = "randomisation",
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
    macro: bool = True,
    weights: np.ndarray | None = None,
) -> Difference:
    """Compare two systems on the same rows, in any order, group by group.

    Every group q gets a difference d_q whose mean over groups is the difference of the two
    averages: ``d_q = Q / S * sum_s (x_qs - y_qs) / n_s`` for Q groups, S settings, the sums x
    and y of a group's values in a setting, and the setting's n_s rows (micro: all rows are one
    setting). Where every setting has every group, d_q is the mean of the group's differences.

    - ``low`` and ``high``: the percentile interval of the difference, as `estimate_interval` has
      it.
    - ``p`` by ``"randomisation"``: the share of sign flips, by group, whose mean is at least as
      far from 0 as the observed one, ``(1 + hits) / (1 + samples)``; where all 2^Q flips are no
      more than ``samples``, each is counted once and p is exact, ``hits / 2^Q``.
    - ``p`` by ``"t"``: Student's t test of d_q against 0. Where all d_q are alike, p is 0, or 1 if
      they are 0.
    - ``effect``: Cohen's d_z, the mean of d_q over their standard deviation (divided by Q - 1);
      infinite when all d_q are alike but not 0, and 0 for one group.

    One group tells nothing: its p is 1. Differences as small as rounding errors count as 0.

    Raises
    ------
    BadData
        If the two do not hold the same rows of groups and settings.
    """
    compute_p = lookup("test", test, TESTS)
    cells = sum_cells(a), sum_cells(b)
    check_same_rows(*cells)
    first, second = (merge_settings(sums, macro) for sums in cells)
    delta = subtract_shares(first.shares, second.shares)
    sums = GroupSums(first.sums - second.sums, first.counts, first.sizes)
    low, high = _estimate_interval(sums, samples, confidence, seed, weights)
    mean_a, mean_b = average(a, macro), average(b, macro)
    p = compute_p(delta[:, None], samples, seed)[0]
    return Difference(
        mean_a, mean_b, mean_a - mean_b, low, high, float(p), _compute_effect(delta), len(delta)
    )


def _compute_effect(delta: np.ndarray) -> float:
    """Return Cohen's d_z of differences; infinite where all groups have the same one."""
    if not is_constant(delta):
        return float(delta.mean() / delta.std(ddof=1))
    if len(delta) == 1 or not delta.any():
        return 0.0
    return math.copysign(math.inf, delta[0])


def adjust_p_values(p_values: "np.ndarray | list[float]") -> np.ndarray:
    """Adjust p-values for their number by Holm's step-down method.

    The i-th smallest of m becomes the largest ``(m - j + 1) * p_(j)`` over j <= i, 1 at most.
    Rejecting what is then at most alpha keeps the chance of any false rejection within alpha,
    however the tests depend on each other. The result has the shape of the input, a matrix
    included.

    >>> adjust_p_values([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    bad = int(np.sum(~((p >= 0) & (p <= 1))))
    if bad:
        raise BadData(f"{bad} of {p.size} p-values are not between 0 and 1")
    flat = p.ravel()
    order = np.argsort(flat, kind="stable")
    stepped = np.maximum.accumulate(flat[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted.reshape(p.shape)


def rank_values(
    systems: Mapping[str, Values],
    *,
    alpha: float = 0.05,
    test: Test = "randomisation",
    samples: int = 10_000,
    seed: int = 0,
    macro: bool = True,
    higher: bool = True,
) -> dict[str, int]:
    """Rank systems from 1; those that cannot be told apart from the best of a tier share its rank.

    Systems are sorted by `average`, equal ones by name, and walked through from the best. The first
    opens a tier. A system joins the open tier, and has its rank, unless it differs from the
    *first* of that tier; then it opens a tier of its own, whose rank is one more than the number
    of systems before it (1, 1, 3). Tiers are thus neighbours in the order: a system below an
    opened tier never rejoins an earlier one. Two systems differ when their p of `compare_values`,
    Holm-corrected over all pairs of systems, is at most ``alpha``.

    Returns
    -------
    dict[str, int]
        In the order of the averages.

    Raises
    ------
    BadData
        If there is no system, or one does not hold the same rows as the first.
    BadOption
        If ``samples`` flips cannot give a p small enough for that many pairs.
    """
    if not systems:
        raise BadData("no systems to rank")
    check_proper_fraction(alpha=alpha)
    sign = -1 if higher else 1
    names = sorted(systems, key=lambda name: (sign * average(systems[name], macro), name))
    cells = [sum_cells(systems[name]) for name in names]
    for name, later in zip(names[1:], cells[1:], strict=True):
        check_same_rows(cells[0], later, (names[0], name))
    shares = [merge_settings(sums, macro).shares for sums in cells]
    p = _test_pairs(shares, alpha, samples, seed, test)
    ranks, first = {}, 0
    for place, name in enumerate(names):
        if place and p[first, place] <= alpha:
            first = place
        ranks[name] = first + 1
    return ranks


def _test_pairs(
    shares: list[np.ndarray], alpha: float, samples: int, seed: int, test: Test
) -> dict[tuple[int, int], float]:
    """Return the corrected p of each pair of systems, by their places."""
    pairs = list(combinations(range(len(shares)), 2))
    compute_p = lookup("test", test, TESTS)
    _check_samples(len(pairs), len(shares[0]), alpha, samples, test)
    if not pairs:
        return {}
    deltas = np.stack([subtract_shares(shares[i], shares[j]) for i, j in pairs], axis=1)
    p_values = adjust_p_values(compute_p(deltas, samples, seed))
    return dict(zip(pairs, p_values.tolist(), strict=True))


def _estimate_interval(
    sums: GroupSums, samples: int, confidence: float, seed: int, weights: np.ndarray | None
) -> tuple[float, float]:
    check_proper_fraction(confidence=confidence)
    n = sums.sums.shape[1]
    if weights is None:
        blocks: Iterator[np.ndarray] = generate_weights(n, samples, seed)
    elif weights.ndim == 2 and weights.shape[1] == n and len(weights):  # noqa: PLR2004
        blocks = iter([weights])
    else:
        raise BadOption(
            f"weights of shape {weights.shape} do not fit {n} groups: draw_weights({n})"
        )
    averages = np.concatenate([sums.resample(block) for block in blocks])
    low, high = np.quantile(averages, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _check_samples(pairs: int, n: int, alpha: float, samples: int, test: Test) -> None:
    """Refuse flips so few that no pair could ever differ; with few groups that is a result."""
    if test == "t" or is_exhaustive(n, samples) or pairs <= alpha * (samples + 1):
        return
    raise BadOption(
        f"{samples} samples give no p below {1 / (samples + 1):.2g}, too much for {pairs} pairs of "
        f"systems at alpha {alpha:g}: give at least samples={int(20 * pairs / alpha)}, or test='t'"
    )
