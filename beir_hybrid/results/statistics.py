"""Values of one measure, query by query, into averages, intervals, tests and tied ranks.

Translations of one question are not independent: what one model finds hard in German it finds hard
in Spanish. So everything here resamples, flips and counts *questions*, all rows of one together.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from beir_hybrid.checks import check_proper_fraction
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.results.resampling import TESTS, alike, all_flips, differences_of, weights_of

Test = Literal["randomisation", "t"]


@dataclass(frozen=True, eq=False)
class Values:
    """One measure's values, a query in a setting a row.

    Raises `BadData` for no rows, columns of different lengths, and values that are NaN or infinite.

    Parameters
    ----------
    question
        Which question a row belongs to; its translations share the number.
    setting
        Which setting, for example which pair of query and passage language.
    value
        In the unit of the measure.
    """

    question: np.ndarray  # (n,) integers
    setting: np.ndarray  # (n,) integers
    value: np.ndarray  # (n,) float64

    def __post_init__(self) -> None:
        shapes = [np.shape(column) for column in (self.question, self.setting, self.value)]
        if len(set(shapes)) > 1 or len(shapes[0]) != 1:
            raise BadData(f"values need three columns of one length, these have shapes {shapes}")
        if shapes[0] == (0,):
            raise BadData("no values: there is nothing to average")
        for name in ("question", "setting"):
            if getattr(self, name).dtype.kind not in "iu":
                raise BadData(f"{name} needs whole numbers, not {getattr(self, name).dtype}")
        bad = np.flatnonzero(~np.isfinite(self.value))
        if len(bad):
            n = len(self.value)
            raise BadData(
                f"{len(bad)} of {n} values are NaN or infinite, the first in row {bad[0]}"
            )


@dataclass(frozen=True)
class Difference:
    """What `compare` found; averages, difference and interval in the unit of the measure."""

    mean_a: float
    mean_b: float
    difference: float  # mean_a - mean_b
    low: float
    high: float
    p: float  # two-sided
    effect: float  # Cohen's d_z
    n_questions: int


def average(values: Values, macro: bool = True) -> float:
    """Return the mean over settings of each setting's mean; the mean over all rows if not macro."""
    if not macro:
        return float(np.mean(values.value, dtype=np.float64))
    _, setting = np.unique(values.setting, return_inverse=True)
    return float(np.mean(np.bincount(setting, values.value) / np.bincount(setting)))


def draw(n_questions: int, samples: int = 1000, seed: int = 0) -> np.ndarray:
    """Draw bootstrap weights, to be used for several measures of the same questions.

    Row r says how often each question was drawn in resample r; it adds up to ``n_questions``. The
    array takes 8 bytes a number; `interval` without it draws the same weights in blocks.

    Returns
    -------
    np.ndarray
        (samples, n_questions) float64.
    """
    return np.concatenate(list(weights_of(n_questions, samples, seed)))


def interval(
    values: Values,
    *,
    macro: bool = True,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return the bootstrap percentile interval of `average`, resampling questions.

    With w_q how often question q was drawn, and x_qs and n_qs the sum and number of its values in
    setting s, a resample's macro average is the mean over s of ``sum_q w_q x_qs / sum_q w_q n_qs``.
    A setting none of whose questions was drawn is left out of that resample's mean. The interval
    runs from the (1 - confidence) / 2 quantile of the resamples to the (1 + confidence) / 2
    quantile, interpolated linearly. With one question it is that question's average, twice.

    Parameters
    ----------
    weights
        What `draw` returned for this number of questions, its columns in ascending order of
        question; ``samples`` and ``seed`` then do nothing.
    """
    return _interval(_gather(_cells(values), macro), samples, confidence, seed, weights)


def compare(
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
    """Compare two systems on the same rows, in any order, question by question.

    Every question q gets a difference d_q whose mean over questions is the difference of the two
    averages: ``d_q = Q / S * sum_s (x_qs - y_qs) / n_s`` for Q questions, S settings, the sums x
    and y of a question's values in a setting, and the setting's n_s rows (micro: all rows are one
    setting). Where every setting has every question, d_q is the mean of the question's differences.

    - ``low`` and ``high``: the percentile interval of the difference, as `interval` computes it.
    - ``p`` by ``"randomisation"``: the share of sign flips, by question, whose mean is at least as
      far from 0 as the observed one, ``(1 + hits) / (1 + samples)``; where all 2^Q flips are no
      more than ``samples``, each is counted once and p is exact, ``hits / 2^Q``.
    - ``p`` by ``"t"``: Student's t test of d_q against 0. Where all d_q are alike, p is 0, or 1 if
      they are 0.
    - ``effect``: Cohen's d_z, the mean of d_q over their standard deviation (divided by Q - 1);
      0 when all d_q are alike, one question included.

    One question tells nothing: its p is 1. Differences as small as rounding errors count as 0.

    Raises
    ------
    BadData
        If the two do not hold the same rows of questions and settings.
    """
    find_p = lookup("test", test, TESTS)
    cells = _cells(a), _cells(b)
    _same_rows(*cells)
    first, second = (_gather(each, macro) for each in cells)
    delta = differences_of(first.shares, second.shares)
    n = len(delta)
    sums = _Gathered(first.sums - second.sums, first.counts, first.sizes)
    low, high = _interval(sums, samples, confidence, seed, weights)
    means = average(a, macro), average(b, macro)
    p = find_p(delta[:, None], samples, seed)[0]
    effect = 0.0 if alike(delta) else delta.mean() / delta.std(ddof=1)
    return Difference(*means, means[0] - means[1], low, high, float(p), float(effect), n)


def holm(p_values: "np.ndarray | list[float]") -> np.ndarray:
    """Adjust p-values for their number by Holm's step-down method.

    The i-th smallest of m becomes the largest ``(m - j + 1) * p_(j)`` over j <= i, 1 at most.
    Rejecting what is then at most alpha keeps the chance of any false rejection within alpha,
    however the tests depend on each other. The result has the shape of the input, a matrix
    included; nothing in, nothing out.

    >>> holm([0.01, 0.04, 0.03]).tolist()
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


def tied_ranks(
    systems: Mapping[str, Values],
    *,
    alpha: float = 0.05,
    test: Test = "randomisation",
    samples: int = 10_000,
    seed: int = 0,
    macro: bool = True,
    higher: bool = True,
) -> dict[str, int]:
    """Rank systems from 1; those that cannot be told apart from the best of their group share it.

    Systems are sorted by `average`, equal ones by name, and walked through from the best. The first
    opens a group. A system joins the open group, and has its rank, unless it differs from the
    *first* of that group; then it opens a group of its own, whose rank is one more than the number
    of systems before it (1, 1, 3). Groups are thus neighbours in the order: a system below an
    opened group never rejoins an earlier one. Two systems differ when their p of `compare`,
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
    cells = [_cells(systems[name]) for name in names]
    for name, other in zip(names[1:], cells[1:], strict=True):
        _same_rows(cells[0], other, (names[0], name))
    shares = [_gather(each, macro).shares for each in cells]
    pairs = list(combinations(range(len(names)), 2))
    find_p = lookup("test", test, TESTS)
    _enough(len(pairs), len(shares[0]), alpha, samples, test)
    p: dict[tuple[int, int], float] = {}
    if pairs:
        deltas = np.stack([differences_of(shares[i], shares[j]) for i, j in pairs], axis=1)
        p = dict(zip(pairs, holm(find_p(deltas, samples, seed)).tolist(), strict=True))
    ranks, best = {}, 0
    for place, name in enumerate(names):
        if place and p[best, place] <= alpha:
            best = place
        ranks[name] = best + 1
    return ranks


@dataclass(frozen=True)
class _Cells:
    """Values by setting and question."""

    questions: np.ndarray  # (Q,) ascending
    settings: np.ndarray  # (S,) ascending
    sums: np.ndarray  # (S, Q) float64
    counts: np.ndarray  # (S, Q) float64


@dataclass(frozen=True)
class _Gathered:
    """Settings that hold the same questions, added up: their average needs no more than that.

    XQuAD-R's settings all become one; a micro average is one by definition.
    """

    sums: np.ndarray  # (G, Q) float64
    counts: np.ndarray  # (G, Q) float64, rows of *one* of the settings
    sizes: np.ndarray  # (G,) float64, how many settings were added up

    @property
    def shares(self) -> np.ndarray:
        """What each question adds to the average, times the number of questions; (Q,)."""
        means = self.sums / self.counts.sum(axis=1, keepdims=True)
        shares: np.ndarray = means.sum(axis=0) / self.sizes.sum() * self.sums.shape[1]
        return shares

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """Return the average of each resample; ``weights`` is (samples, Q)."""
        counts = weights @ self.counts.T
        there = counts > 0
        means = np.divide(weights @ self.sums.T, counts, out=np.zeros_like(counts), where=there)
        averages: np.ndarray = means.sum(axis=1) / (there @ self.sizes)
        return averages


def _cells(values: Values) -> _Cells:
    questions, question = np.unique(values.question, return_inverse=True)
    settings, setting = np.unique(values.setting, return_inverse=True)
    shape = len(settings), len(questions)
    at = setting * len(questions) + question
    size = len(settings) * len(questions)
    sums = np.bincount(at, values.value, size).reshape(shape)
    counts = np.bincount(at, minlength=size).reshape(shape)
    return _Cells(questions, settings, sums, counts.astype(np.float64))


def _gather(cells: _Cells, macro: bool) -> _Gathered:
    if not macro:
        one = np.ones(1)
        return _Gathered(cells.sums.sum(0)[None], cells.counts.sum(0)[None], one)
    numbers: dict[bytes, int] = {}
    group = [numbers.setdefault(row.tobytes(), len(numbers)) for row in cells.counts]
    sums = np.zeros((len(numbers), len(cells.questions)))
    np.add.at(sums, group, cells.sums)
    counts = np.stack([np.frombuffer(row) for row in numbers])
    return _Gathered(sums, counts, np.bincount(group).astype(np.float64))


def _same_rows(a: _Cells, b: _Cells, names: tuple[str, str] = ("the first", "the second")) -> None:
    if (
        np.array_equal(a.questions, b.questions)
        and np.array_equal(a.settings, b.settings)
        and np.array_equal(a.counts, b.counts)
    ):
        return
    rows = [
        Counter(
            {
                (int(each.questions[q]), int(each.settings[s])): int(each.counts[s, q])
                for s, q in np.argwhere(each.counts)
            }
        )
        for each in (a, b)
    ]
    raise BadData(
        "systems are compared on the same questions and settings, but "
        f"{(rows[0] - rows[1]).total()} rows are only in {names[0]} and "
        f"{(rows[1] - rows[0]).total()} only in {names[1]}; {(rows[0] & rows[1]).total()} in both"
    )


def _interval(
    gathered: _Gathered, samples: int, confidence: float, seed: int, weights: np.ndarray | None
) -> tuple[float, float]:
    check_proper_fraction(confidence=confidence)
    n = gathered.sums.shape[1]
    if weights is None:
        blocks: Iterator[np.ndarray] = weights_of(n, samples, seed)
    elif weights.ndim == 2 and weights.shape[1] == n and len(weights):  # noqa: PLR2004
        blocks = iter([weights])
    else:
        raise BadOption(f"weights of shape {weights.shape} do not fit {n} questions: draw({n})")
    averages = np.concatenate([gathered.resample(block) for block in blocks])
    low, high = np.quantile(averages, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _enough(pairs: int, n: int, alpha: float, samples: int, test: Test) -> None:
    """Refuse flips so few that no pair could ever differ; with few questions that is a finding."""
    if test == "t" or all_flips(n, samples) or pairs <= alpha * (samples + 1):
        return
    raise BadOption(
        f"{samples} samples give no p below {1 / (samples + 1):.2g}, too much for {pairs} pairs of "
        f"systems at alpha {alpha:g}: give at least samples={int(20 * pairs / alpha)}, or test='t'"
    )
