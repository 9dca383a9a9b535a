"""Standard errors of differences equal those that are worked out group by group."""

import math

import numpy as np
import pytest

from beir_hybrid.report.heat_maps import map_differences, mark_differences
from beir_hybrid.report.packing import ALPHABET, pack
from beir_hybrid.results.estimate import Matrix
from beir_hybrid.results.paired_errors import PairedError, compute_paired_errors
from beir_hybrid.results.values import Values


def make_values(*cells: list[float]) -> Values:
    """Return values of settings, one list each, group by group."""
    rows = [(g, s, value) for s, row in enumerate(cells) for g, value in enumerate(row)]
    group, setting, value = zip(*rows, strict=True)
    return Values(np.array(group), np.array(setting), np.array(value, np.float64))


def test_an_error_by_hand() -> None:
    first, second = make_values([1.0, 0.0, 1.0, 1.0]), make_values([0.0, 0.0, 1.0, 0.0])
    # Differences 1, 0, 0, 1: their deviation is sqrt(1/3), that of their mean sqrt(1/12).
    errors = compute_paired_errors([first, second], 2)
    assert errors[0, 1] == errors[1, 0] == pytest.approx(math.sqrt(1 / 12))
    assert errors[0, 0] == 0


def test_translations_are_one_observation() -> None:
    """Twice the same rows make no smaller error; independent ones would."""
    once = compute_paired_errors([make_values([1.0, 0.0, 1.0]), make_values([0.0, 0.0, 1.0])], 2)
    row, other = [1.0, 0.0, 1.0], [0.0, 0.0, 1.0]
    twice = compute_paired_errors([make_values(row, row), make_values(other, other)], 2)
    assert twice[0, 1] == pytest.approx(once[0, 1])


def test_errors_are_those_of_resampled_differences() -> None:
    generator = np.random.default_rng(3)
    base = generator.random((3, 200))
    systems = [base + generator.normal(0, size, base.shape) for size in (0.1, 0.3)]
    values = [make_values(*system.tolist()) for system in systems]
    error = compute_paired_errors(values)[0, 1]
    difference = (systems[0] - systems[1]).mean(axis=0)
    draws = generator.integers(0, 200, (4000, 200))
    assert error == pytest.approx(difference[draws].mean(axis=1).std(), rel=0.05)


@pytest.mark.parametrize("seed", range(40))
def test_a_constant_difference_has_no_error(seed: int) -> None:
    """Whatever the rounding: p is that of as many equal signs."""
    generator = np.random.default_rng(seed)
    shape = int(generator.integers(1, 5)), int(generator.integers(6, 60))
    base, difference = generator.random(shape), generator.normal() / 10
    systems = [make_values(*values.tolist()) for values in (base + difference, base)]
    error = float(compute_paired_errors(systems)[0, 1])
    assert error == 0
    assert PairedError(error, shape[1]).find_p(difference) == 2.0 ** (1 - shape[1])


def test_a_difference_that_hardly_varies_has_an_error() -> None:
    base, changes = np.linspace(0, 1, 8), np.array([1, -1] * 4)
    systems = [make_values(values.tolist()) for values in (base + 1e-6 * changes, base)]
    # Deviations of 1e-6: their sum of squares is 8e-12.
    assert compute_paired_errors(systems)[0, 1] == pytest.approx(math.sqrt(8e-12 / 7 / 8), rel=1e-6)


def test_settings_of_different_sizes() -> None:
    """The mean of two settings' means, the second of which has two of three groups."""
    group, setting = np.array([0, 1, 2, 0, 1]), np.array([0, 0, 0, 1, 1])
    first = Values(group, setting, np.array([0.9, 0.3, 0.0, 1.0, 0.0]))
    second = Values(group, setting, np.zeros(5))
    parts = np.array([(0.9 - 0.4) / 3 + 0.25, (0.3 - 0.4) / 3 - 0.25, (0.0 - 0.4) / 3]) / 2
    expected = math.sqrt((parts**2).sum() * 3 / 2)
    assert compute_paired_errors([first, second], 2)[0, 1] == pytest.approx(expected)


def test_other_rows_have_no_error() -> None:
    systems = [make_values([1.0, 0.0]), make_values([1.0, 0.0, 1.0]), None]
    errors = compute_paired_errors(systems, 2)
    assert np.isnan(errors[0, 1])
    assert np.isnan(errors[2]).all()
    assert np.isnan(compute_paired_errors([make_values([1.0]), make_values([0.0])], 2)).all()


def test_few_groups_have_no_error() -> None:
    """Whatever their values, they cannot differ significantly."""
    row, zeros = [1.0, 0.0] * 3, [0.0] * 6
    assert compute_paired_errors([make_values(row), make_values(zeros)])[0, 1] > 0
    errors = compute_paired_errors([make_values(row[:-1]), make_values(zeros[:-1])])
    assert np.isnan(errors).all()


def test_significance_in_a_heat_map_by_hand() -> None:
    matrix = Matrix(("de", "en"), ("de", "en"), np.array([[0.3, 0.2], [-0.3, 0.1]]))
    # With eleven groups t's quantile is 2.228 (any table). t is 3, 3.4, 3, 1 and in the pool 2.8;
    # the last cell has no error and is no test. p of 3.4 is .0068, times five .034; p of 3 is
    # .0133, times four .053: no other cell is significant.
    numbers = {("de", "de"): 0.1, ("de", "en"): 0.2 / 3.4, ("en", "de"): 0.1, ("en", "en"): 0.1}
    numbers |= {("de", "all"): 0.1, ("en", "all"): math.nan}
    errors = {pair: PairedError(error, 11) for pair, error in numbers.items()}
    pool = [0.28, 0.9]
    plain = map_differences("", "", matrix, pool)
    marked = mark_differences(plain, matrix, pool, errors)
    bold = [[cell.is_significant for cell in cells] for _, cells in marked.rows]
    assert bold == [[False, True], [False, False]]
    assert [cell.is_significant for cell in marked.pool] == [False, False]
    assert [cell.note for _, cells in marked.rows for cell in cells] == [
        "±.2228", "±.1311", "±.2228", "±.2228"
    ]  # fmt: skip
    assert [cell.note for cell in marked.pool] == ["±.2228", ""]


def test_probabilities_of_a_table_of_t() -> None:
    for quantile, p in ((2.228, 0.05), (3.169, 0.01), (4.587, 0.001)):
        assert PairedError(1.0, 11).find_p(quantile) == pytest.approx(p, rel=2e-3)
        assert PairedError(1.0, 11).find_p(-quantile) == pytest.approx(p, rel=2e-3)
    assert PairedError(0.0, 6).find_p(0.3) == 1 / 32
    assert PairedError(0.0, 6).find_p(0.0) == 1


@pytest.mark.parametrize(("limit", "width"), [(200, 1), (100, 2), (1, 3), (0.01, 4), (1e-6, 6)])
def test_numbers_are_within_half_a_step(limit: float, width: int) -> None:
    numbers = [-2.5, 0.0, 1 / 3, None, 10_846.04, float("nan")]
    packed = pack(numbers, limit)
    assert packed["width"] == width
    step = (packed["high"] - packed["low"]) / (64**width - 2)
    assert step <= limit
    for place, number in enumerate(numbers):
        code = 0
        for letter in packed["text"][place * width : (place + 1) * width]:
            code = code * 64 + ALPHABET.index(letter)
        if number is None or math.isnan(number):
            assert code == 0
        else:
            value = packed["low"] + (code - 1) * step
            assert value == pytest.approx(number, abs=step / 2 * 1.000001)
    assert pack([], 0.1)["text"] == ""
    assert pack([0.5, 0.5], 0.1) == {"low": 0.5, "high": 0.5, "width": 1, "text": "BB"}
    assert pack([None], 0.1)["text"] == "A"
    assert pack([-math.inf, 3.0, 4.0], 0.01) == {
        "low": 3.0,
        "high": 4.0,
        "width": 2,
        "text": "..AB__",
    }
