"""The content of a page that compares two systems."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures.base import is_higher_better
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.heat_maps import HeatMap, map_differences, mark_differences
from beir_hybrid.report.model_page import list_pool_values
from beir_hybrid.results.compare import Comparison, compare
from beir_hybrid.results.estimate import Matrix
from beir_hybrid.results.paired_errors import compute_setting_errors
from beir_hybrid.results.render import format_bounds, format_effect, format_signed, format_value

_SAMPLES = 10_000  # of a test and of its interval
_ALPHA = 0.05
# Enough measures to see effectiveness and bias, few enough to read.
_MEASURES = ("AP", "nDCG@10", "R@1", "R@10", "RankDistance", "LanguagePreference",
             "LanguageDisparity")  # fmt: skip


class ComparisonLine(NamedTuple):
    """A line of the table of differences; `first` and `second` are the values of the systems."""

    measure: str
    kind: str
    first: str
    second: str
    difference: str
    interval: str
    p: str
    effect: str
    verdict: str
    is_significant: bool


@dataclass(frozen=True)
class EntryComparison:
    """Two systems side by side; `obstacle` says why there are no lines."""

    first: Entry
    second: Entry
    lines: tuple[ComparisonLine, ...]
    differences: HeatMap | None
    obstacle: str = ""


def compare_entries(first: Entry, second: Entry, main_measure: str) -> EntryComparison:
    """Compare two systems on the same benchmark."""
    if first.results is None or second.results is None:
        raise BadOption("only results with values query by query can be compared")
    differences = _map_gains(first, second, main_measure)
    measures = [
        measure
        for measure in dict.fromkeys((main_measure, *_MEASURES))
        if _share_measure(first, second, measure)
    ]
    if not measures:
        obstacle = "they have no measure in common"
        return EntryComparison(first, second, (), differences, obstacle)
    try:
        comparisons = compare(first.results, second.results, measures=measures, samples=_SAMPLES)
    except BadData as error:  # such as runs of different settings
        return EntryComparison(first, second, (), differences, str(error))
    lines = tuple(_make_line(comparison, first, second) for comparison in comparisons)
    return EntryComparison(first, second, lines, differences)


def _share_measure(first: Entry, second: Entry, measure: str) -> bool:
    return any(
        first.estimate(measure, kind) and second.estimate(measure, kind) for kind in SETTING_KINDS
    )


def _make_line(comparison: Comparison, first: Entry, second: Entry) -> ComparisonLine:
    values = comparison.difference
    size = max(map(abs, (values.mean_a, values.mean_b, values.low, values.high)))
    p, setting = comparison.p_holm, comparison.setting
    return ComparisonLine(
        measure=str(comparison.measure),
        kind=SETTING_KINDS[setting].label if isinstance(setting, str) else "",
        first=format_value(values.mean_a, size),
        second=format_value(values.mean_b, size),
        difference=format_signed(values.value, size),
        interval=format_bounds(values.low, values.high, size),
        p=format_value(p) if p >= 0.0001 else "< .0001",  # noqa: PLR2004 - the last digit shown
        effect=format_effect(values.effect),
        verdict=_judge_difference(comparison, first, second),
        is_significant=p <= _ALPHA,
    )


def _judge_difference(comparison: Comparison, first: Entry, second: Entry) -> str:
    """Say which system is better, or nearer the unbiased value, where the difference is sure."""
    if comparison.p_holm > _ALPHA:
        return "no significant difference"
    try:
        prefers_higher = is_higher_better(comparison.measure)
    except BadOption:  # neither high nor low values are better
        distances = _measure_bias(comparison, first), _measure_bias(comparison, second)
        if distances[0] == distances[1]:
            return "equally far from the unbiased value"
        better = first if distances[0] < distances[1] else second
        return f"{better.name} is nearer the unbiased value"
    is_higher = comparison.difference.value > 0
    return f"{first.name if is_higher == prefers_higher else second.name} is better"


def _measure_bias(comparison: Comparison, entry: Entry) -> float:
    """Return how far a system's value is from the unbiased one; infinite without a value."""
    estimate = entry.estimate(str(comparison.measure), str(comparison.setting))
    if estimate is None or estimate.unbiased is None:
        return math.inf
    return abs(estimate.mean - estimate.unbiased)


def _map_gains(first: Entry, second: Entry, measure: str) -> HeatMap | None:
    """Return the first system's values less the second's, by language, with their intervals."""
    entries = (first, second)
    a, b = (entry.matrix(measure, ("mono", "cross")) for entry in entries)
    if a is None or b is None or (a.rows, a.columns) != (b.rows, b.columns):
        return None
    matrix = Matrix(a.rows, a.columns, a.values - b.values)
    pools = [list_pool_values(entry, measure, matrix) for entry in entries]
    pool = _subtract(*pools) if all(pools) else []
    if not any(map(math.isfinite, [*matrix.values.ravel().tolist(), *pool])):
        return None
    description = (
        f"{first.name} less {second.name}, in every setting. Small print: 95% intervals, "
        "where six groups of queries or more were compared. "
        "Bold: significant with Holm's correction over all cells. Outlined cells: queries and "
        "passages in one language."
    )
    title = f"Differences of {measure} by language"
    differences = map_differences(title, description, matrix, pool)
    if first.results is None or second.results is None:
        return differences
    errors = compute_setting_errors(first.results, second.results, measure)
    return mark_differences(differences, matrix, pool, errors)


def _subtract(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]
