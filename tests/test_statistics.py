"""Averages, intervals, tests and ranks, against cases by hand, scipy and plain definitions."""

import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.results.statistics import (
    adjust_p_values,
    compare_values,
    draw_weights,
    estimate_interval,
    rank_values,
)
from beir_hybrid.results.values import Values, average


def make_values(*rows: tuple[int, int, float]) -> Values:
    """Make values from rows of question, setting and value."""
    question, setting, value = zip(*rows, strict=True)
    return Values(np.array(question), np.array(setting), np.array(value))


def make_single_setting(*numbers: float) -> Values:
    """Make values with one row for each question, in one setting."""
    return make_values(*((q, 0, value) for q, value in enumerate(numbers)))


# Question 9 is asked in setting 4 only, questions 2 and 5 in both; 5 twice in setting 1.
UNEVEN = make_values((9, 4, 0.9), (2, 4, 0.0), (5, 4, 0.3), (2, 1, 1.0), (5, 1, 0.2), (5, 1, 0.6))


def make_random_values(seed: int, n_questions: int = 12, n_settings: int = 4) -> Values:
    """Make values of which a third are missing; the last two settings have the same questions."""
    generator = np.random.default_rng(seed)
    question, setting = np.divmod(np.arange(n_questions * n_settings), n_settings)
    is_present = generator.random((n_questions, n_settings)) > 0.35
    is_present[:, -1] = is_present[:, -2]
    keep = is_present.ravel()
    return Values(question[keep] * 3 + 1, setting[keep], generator.random(keep.sum()))


def average_plainly(rows: list[tuple[int, float]], macro: bool) -> float:
    """Average rows of setting and value by the definition."""
    if not macro:
        return sum(value for _, value in rows) / len(rows)
    means = []
    for number in {setting for setting, _ in rows}:
        values = [value for setting, value in rows if setting == number]
        means.append(sum(values) / len(values))
    return sum(means) / len(means)


def test_averages_by_hand() -> None:
    assert average(UNEVEN) == pytest.approx(((0.9 + 0.0 + 0.3) / 3 + (1.0 + 0.2 + 0.6) / 3) / 2)
    uneven = make_values((0, 0, 1.0), (1, 0, 0.0), (2, 0, 0.0), (0, 7, 0.5))
    assert average(uneven) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert average(uneven, macro=False) == pytest.approx(1.5 / 4)


def test_an_interval_of_two_groups_by_hand() -> None:
    # Averages of resamples: 0 for a quarter of them, 0.5 for a half, 1 for a quarter.
    values = make_single_setting(0.0, 1.0)
    assert estimate_interval(values, samples=2000) == (0.0, 1.0)
    assert estimate_interval(values, samples=2000, confidence=0.4) == (0.5, 0.5)
    averages = draw_weights(2, samples=4000, seed=3) @ [0, 0.5]
    shares = [float(np.mean(averages == value)) for value in (0, 0.5, 1)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.025)


def test_the_same_difference_in_all_groups_has_no_finite_effect() -> None:
    zeros = make_values(*((group, 0, 0.0) for group in range(4)))
    ones = make_values(*((group, 0, 1.0) for group in range(4)))
    difference = compare_values(zeros, ones)
    assert (difference.value, difference.low, difference.high) == (-1, -1, -1)
    assert difference.effect == -np.inf
    assert compare_values(ones, zeros).effect == np.inf
    assert compare_values(ones, ones).effect == 0


def test_one_group_has_no_spread() -> None:
    values = make_values((3, 0, 0.25), (3, 1, 0.5), (3, 1, 1.0))
    assert estimate_interval(values) == (0.5, 0.5)
    difference = compare_values(values, make_values((3, 0, 0.0), (3, 1, 0.0), (3, 1, 0.0)))
    assert (difference.value, difference.low, difference.high) == (0.5, 0.5, 0.5)
    assert (difference.p, difference.effect) == (1, 0)
    assert compare_values(values, values, test="t").p == 1


@pytest.mark.parametrize("macro", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_an_interval_is_the_quantiles_of_resampled_rows(macro: bool, seed: int) -> None:
    values = make_random_values(seed, n_questions=5)  # so few that settings go missing
    numbers = np.unique(values.group)
    weights = draw_weights(len(numbers), samples=150, seed=seed)
    averages = []
    for times in weights:
        rows = [
            (int(s), float(v))
            for number, count in zip(numbers, times, strict=True)
            for q, s, v in zip(values.group, values.setting, values.value, strict=True)
            for _ in range(int(count))
            if q == number
        ]
        averages.append(average_plainly(rows, macro))
    expected = np.percentile(averages, [5, 95])
    interval = estimate_interval(values, macro=macro, confidence=0.9, weights=weights)
    assert interval == pytest.approx(tuple(expected), abs=1e-12)
    assert (
        estimate_interval(values, macro=macro, confidence=0.9, samples=150, seed=seed) == interval
    )


def test_weights_are_draws_with_replacement() -> None:
    n = 50
    weights = draw_weights(n, samples=4000, seed=1)
    assert weights.shape == (4000, n)
    assert np.array_equal(weights.sum(axis=1), np.full(4000, n))
    assert weights.mean(axis=0) == pytest.approx(np.ones(n), abs=0.08)
    assert weights.var() == pytest.approx(1 - 1 / n, abs=0.02)  # of a multinomial
    # Two questions compete for the same n draws: covariance -1/n.
    covariance = np.cov(weights.T)[~np.eye(n, dtype=bool)].mean()
    assert covariance == pytest.approx(-1 / n, rel=0.05)
    assert np.array_equal(weights, draw_weights(n, samples=4000, seed=1))
    assert not np.array_equal(weights, draw_weights(n, samples=4000, seed=2))


def test_intervals_agree_with_scipy() -> None:
    numbers = np.random.default_rng(5).beta(2, 3, size=80)
    theirs = stats.bootstrap(
        (numbers,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    ours = estimate_interval(make_single_setting(*numbers), samples=20_000)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.002)


def make_translations(seed: int, n_questions: int, languages: int) -> Values:
    """Make values of expectation 0 whose translations share most of their luck."""
    generator = np.random.default_rng(seed)
    luck = generator.normal(size=(n_questions, 1))
    value = luck + 0.5 * generator.normal(size=(n_questions, languages))
    question, setting = np.indices(value.shape)
    return Values(question.ravel(), setting.ravel(), value.ravel())


def test_intervals_cover_when_groups_are_resampled_and_not_when_rows_are() -> None:
    covered, naively = 0, 0
    for seed in range(400):
        values = make_translations(seed, n_questions=60, languages=11)
        low, high = estimate_interval(values, samples=400, seed=seed)
        covered += low <= 0 <= high
        rows = Values(np.arange(len(values.value)), values.setting, values.value)
        low, high = estimate_interval(rows, macro=False, samples=100, seed=seed)
        naively += low <= 0 <= high
    assert 0.92 <= covered / 400 <= 0.97
    # The width falls by sqrt((1 + .25 / 11) / (1.25 / 11)) = 3: 1.96 / 3 deviations cover .49.
    assert 0.40 <= naively / 400 <= 0.57


def test_no_difference_is_found_in_one_of_twenty_cases() -> None:
    false = {"randomisation": 0, "t": 0}
    for seed in range(300):
        a, b = (make_translations(2 * seed + i, n_questions=30, languages=6) for i in (0, 1))
        false["randomisation"] += compare_values(a, b, samples=199, seed=seed).p <= 0.05
        false["t"] += compare_values(a, b, test="t", samples=9).p <= 0.05
    assert 0.02 <= false["randomisation"] / 300 <= 0.085
    assert 0.02 <= false["t"] / 300 <= 0.085


def test_a_comparison_by_hand() -> None:
    a, b = make_single_setting(0.5, 0.7, 0.9), make_single_setting(0.4, 0.5, 0.6)
    difference = compare_values(a, b)
    assert (difference.mean_a, difference.mean_b) == pytest.approx((0.7, 0.5))
    assert difference.value == pytest.approx(0.2)
    assert difference.p == 2 / 8  # only all as they are, and all flipped, are as far from 0
    assert difference.effect == pytest.approx(0.2 / 0.1)
    assert difference.n_groups == 3
    assert (difference.low, difference.high) == pytest.approx(
        (0.1, 0.3)
    )  # 1/27 of the resamples each
    # Student's distribution has a closed form for two degrees of freedom.
    t = 0.2 / (0.1 / 3**0.5)
    assert compare_values(a, b, test="t").p == pytest.approx(1 - t / (t**2 + 2) ** 0.5)
    turned = compare_values(b, a)
    assert (turned.value, turned.effect) == pytest.approx((-0.2, -2.0))
    assert (turned.low, turned.high, turned.p) == pytest.approx((-0.3, -0.1, 0.25))


def test_groups_count_as_their_settings_do() -> None:
    # Setting 0 has three questions, setting 1 one: that one makes half of the average.
    a = make_values((0, 0, 0.3), (1, 0, 0.0), (2, 0, 0.0), (3, 1, 0.1))
    b = make_values((0, 0, 0.0), (1, 0, 0.0), (2, 0, 0.0), (3, 1, 0.0))
    difference = compare_values(a, b)
    # Shares of the questions, times four: .2, 0, 0, .2.
    assert difference.value == pytest.approx(0.1)
    assert difference.p == 8 / 16  # the two that matter have equal signs in half of the flips
    assert difference.effect == pytest.approx(0.1 / (0.04 / 3) ** 0.5)
    expected = stats.ttest_1samp([0.2, 0.0, 0.0, 0.2], 0).pvalue
    assert compare_values(a, b, test="t").p == pytest.approx(expected)
    micro = compare_values(a, b, macro=False)  # .3, 0, 0, .1: .3 outweighs .1 whatever its sign
    assert (micro.value, micro.p) == pytest.approx((0.1, 8 / 16))
    assert micro.effect == pytest.approx(0.1 / (0.06 / 3) ** 0.5)


def test_a_comparison_has_the_interval_of_its_differences() -> None:
    a = make_random_values(7)
    b = Values(a.group, a.setting, np.random.default_rng(8).random(len(a.value)))
    difference = compare_values(a, b, samples=500, seed=4, confidence=0.8)
    differences = Values(a.group, a.setting, a.value - b.value)
    expected = estimate_interval(differences, samples=500, seed=4, confidence=0.8)
    assert (difference.low, difference.high) == pytest.approx(expected)
    weights = draw_weights(difference.n_groups, samples=500, seed=4)
    assert compare_values(a, b, weights=weights, samples=500, seed=4, confidence=0.8) == difference


def test_rows_may_come_in_any_order() -> None:
    a = make_random_values(1)
    b = Values(a.group, a.setting, a.value**2)
    mixed = np.random.default_rng(0).permutation(len(a.value))
    shuffled = Values(b.group[mixed], b.setting[mixed], b.value[mixed])
    first, second = compare_values(a, b), compare_values(a, shuffled)
    assert second.p == first.p
    assert second.value == pytest.approx(first.value)
    assert (second.low, second.high) == pytest.approx((first.low, first.high))


def test_systems_that_differ_by_rounding_do_not_differ() -> None:
    values = make_random_values(2)
    again = Values(values.group, values.setting, values.value * 3 / 3)
    assert not np.array_equal(again.value, values.value)
    difference = compare_values(values, again)
    assert (difference.p, difference.effect) == (1, 0)
    assert compare_values(values, again, test="t").p == 1


def test_equal_differences_have_an_infinite_effect_size() -> None:
    a, b = make_single_setting(*np.arange(1, 31) / 10), make_single_setting(*np.arange(30) / 10)
    difference = compare_values(a, b, samples=999)
    assert difference.value == pytest.approx(0.1)
    assert difference.effect == np.inf
    assert difference.p == 1 / 1000  # no flip of 30 questions was as far: only the +1 is left
    assert compare_values(a, b, test="t").p == 0


@pytest.mark.parametrize("seed", range(3))
def test_exact_randomisation_agrees_with_scipy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a = np.round(generator.random(10), 1)  # so coarse that many flips tie with what was observed
    b = np.round(generator.random(10) * 0.8, 1)
    theirs = stats.permutation_test(
        (a - b,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=1024,
    )
    assert compare_values(
        make_single_setting(*a), make_single_setting(*b), samples=1024
    ).p == pytest.approx(theirs.pvalue)
    sampled = compare_values(make_single_setting(*a), make_single_setting(*b), samples=1023).p
    assert sampled == pytest.approx(theirs.pvalue, abs=0.06)


def test_sampled_randomisation_agrees_with_scipy() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.random(40), generator.random(40) * 0.65
    theirs = stats.permutation_test(
        (a - b,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    difference = compare_values(make_single_setting(*a), make_single_setting(*b), samples=20_000)
    assert 0.005 < theirs.pvalue < 0.3  # else the comparison says little
    assert difference.p == pytest.approx(theirs.pvalue, abs=0.01)
    assert (
        compare_values(make_single_setting(*a), make_single_setting(*b), samples=20_000)
        == difference
    )
    assert (
        compare_values(make_single_setting(*a), make_single_setting(*b), samples=20_000, seed=1).p
        != difference.p
    )


def test_flips_turn_all_rows_of_a_group_together() -> None:
    # Six languages each: were rows flipped one by one, p would be far below 2 / 2^4.
    rows = [(q, s) for q in range(4) for s in range(6)]
    a = make_values(*((q, s, 1.0 + q) for q, s in rows))
    b = make_values(*((q, s, 0.5) for q, s in rows))
    assert compare_values(a, b).p == 2 / 16


def test_the_t_test_agrees_with_scipy_on_means_of_groups() -> None:
    a, b = (make_translations(seed, n_questions=25, languages=4) for seed in (1, 2))
    means = [values.value.reshape(25, 4).mean(axis=1) for values in (a, b)]
    difference = compare_values(a, b, test="t", samples=50)
    assert difference.p == pytest.approx(stats.ttest_rel(*means).pvalue)
    delta = means[0] - means[1]
    assert difference.effect == pytest.approx(delta.mean() / delta.std(ddof=1))


def test_systems_must_hold_the_same_rows() -> None:
    fewer = make_values((2, 4, 0.0), (5, 4, 0.3), (2, 1, 1.0), (5, 1, 0.2), (7, 1, 0.1))
    with pytest.raises(
        BadData,
        match="2 rows are only in the first and 1 only in the second; 4 in both",
    ):
        compare_values(UNEVEN, fewer)
    with pytest.raises(BadData, match="1 rows are only in b and 0 only in a; 2 in both"):
        rank_values({"a": make_single_setting(0.1, 0.2), "b": make_single_setting(0.5, 0.5, 0.5)})


def test_holm_by_hand() -> None:
    # Ascending .005, .01, .03, .04 times 4, 3, 2, 1; the last may not fall below the third.
    assert adjust_p_values([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_p_values([0.9, 0.6]).tolist() == [1, 1]
    assert adjust_p_values(np.array([[0.01, 0.04], [0.03, 0.005]])) == pytest.approx(
        np.array([[0.03, 0.06], [0.06, 0.02]])
    )
    assert adjust_p_values([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_holm_is_bonferroni_over_every_set_of_hypotheses(p: list[float]) -> None:
    # Closed testing: a hypothesis falls when every set that holds it falls by Bonferroni.
    sets = [s for k in range(1, len(p) + 1) for s in combinations(range(len(p)), k)]
    expected = [
        min(1, max(len(s) * min(p[j] for j in s) for s in sets if i in s)) for i in range(len(p))
    ]
    assert adjust_p_values(p) == pytest.approx(expected)


NEAR = np.array([0.01, -0.01, 0.02, -0.02, 0.01, -0.01, 0.005, -0.01])


def test_ranks_are_shared_and_the_next_is_skipped() -> None:
    systems = {
        "low": make_single_setting(*np.full(8, 0.3)),
        "near": make_single_setting(*(0.5 + NEAR)),
        "best": make_single_setting(*np.full(8, 0.5)),
    }
    # All signs agree against "low": p = 2 / 256, times 3 below .05; "near" has both signs.
    ranks = rank_values(systems)
    assert ranks == {"best": 1, "near": 1, "low": 3}
    assert list(ranks) == ["best", "near", "low"]
    assert rank_values(systems, higher=False) == {"low": 1, "near": 2, "best": 2}
    # Holm's factor is 3 for the smallest: 6 / 256 = .0234 stands at the border.
    assert rank_values(systems, alpha=0.0235)["low"] == 3
    assert rank_values(systems, alpha=0.0234) == {"best": 1, "near": 1, "low": 1}
    assert rank_values(systems, test="t") == {"best": 1, "near": 1, "low": 3}


def test_a_tier_is_held_together_by_its_best() -> None:
    noise = np.array([1, -1, 1, -1, 1, -1, 1, -1, 1, -1])
    systems = {
        "a": make_single_setting(*np.full(10, 0.60)),
        "b": make_single_setting(*np.full(10, 0.50)),
        "c": make_single_setting(*(0.45 + 0.4 * noise)),  # differs from neither a nor b
        "d": make_single_setting(*np.full(10, 0.40)),  # differs from b, not from c
    }
    assert rank_values(systems) == {"a": 1, "b": 2, "c": 2, "d": 4}
    del systems["b"]
    assert rank_values(systems) == {"a": 1, "c": 1, "d": 3}


def test_ranks_of_one_system_and_of_equal_ones() -> None:
    assert rank_values({"only": make_single_setting(0.1, 0.3)}) == {"only": 1}
    same = {"z": make_single_setting(0.1, 0.3), "a": make_single_setting(0.3, 0.1)}
    assert list(rank_values(same).items()) == [("a", 1), ("z", 1)]


def test_too_few_flips_for_many_systems_are_refused() -> None:
    generator = np.random.default_rng(0)
    systems = {str(i): make_single_setting(*(generator.random(12) + i)) for i in range(5)}
    with pytest.raises(BadOption, match=r"10 pairs .* give at least samples=4000, or test='t'"):
        rank_values(systems, samples=100)
    assert list(rank_values(systems, samples=4000).values()) == [1, 2, 3, 4, 5]
    assert list(rank_values(systems, samples=100, test="t").values()) == [1, 2, 3, 4, 5]
    # Eight or fewer questions are a finding: no number of flips would help.
    few = {name: make_single_setting(*systems.value[:3]) for name, systems in systems.items()}
    assert set(rank_values(few, samples=100).values()) == {1}


def test_bad_values_are_refused() -> None:
    one = np.array([1])
    with pytest.raises(BadData, match="no values"):
        Values(np.array([], int), np.array([], int), np.array([]))
    with pytest.raises(BadData, match="2 of 4 values are NaN or infinite, the first in row 1"):
        make_single_setting(0.1, np.nan, 0.2, np.inf)
    with pytest.raises(BadData, match=r"shapes \[\(1,\), \(1,\), \(2,\)\]"):
        Values(one, one, np.array([0.1, 0.2]))
    with pytest.raises(BadData, match="group needs whole numbers, not float64"):
        Values(np.array([1.0]), one, np.array([0.1]))
    with pytest.raises(BadData, match="2 of 3 p-values"):
        adjust_p_values([0.1, np.nan, 1.5])
    with pytest.raises(BadData, match="no systems"):
        rank_values({})


def test_bad_options_are_refused() -> None:
    values = make_single_setting(0.1, 0.2, 0.4)
    with pytest.raises(BadOption, match="confidence is 95; it must be a number between 0 and 1"):
        estimate_interval(values, confidence=95)
    with pytest.raises(BadOption, match="alpha is 0; it must be a number between 0 and 1"):
        rank_values({"a": values}, alpha=0)
    with pytest.raises(BadOption, match="samples is 0; it must be a whole number from 1 on"):
        estimate_interval(values, samples=0)
    with pytest.raises(BadOption, match="samples is 0; it must be a whole number from 1 on"):
        compare_values(values, values, samples=0)
    with pytest.raises(BadOption, match=r"shape \(10, 4\) do not fit 3 groups"):
        estimate_interval(values, weights=draw_weights(4, samples=10))
    with pytest.raises(UnknownName, match="did you mean 'randomisation'"):
        compare_values(values, values, test="randomization")  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_samples() -> None:
    n = 20_000
    many = Values(np.arange(n), np.arange(n) % 3, np.random.default_rng(0).random(n))
    tracemalloc.start()
    compare_values(many, Values(many.group, many.setting, many.value**2), samples=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # the weights of all samples alone take 160 MB


def test_an_impossible_seed_is_named() -> None:
    with pytest.raises(BadOption, match="seed is -1"):
        draw_weights(20, seed=-1)
