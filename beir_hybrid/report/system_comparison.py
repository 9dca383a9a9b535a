"""Compare several systems on one collection with each other and with a baseline."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ir_measures import Measure

from beir_hybrid.collection.setting import KindName, Setting
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.measures.base import BiasMeasure, is_higher_better
from beir_hybrid.results.compare import By, Comparison, compare, rank_systems
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import Test, adjust_p_values

ALPHA = 0.05

MeasureColumn = tuple[Measure, KindName]


class BaselineDifference(NamedTuple):
    """How a system differs from the baseline; ``p_holm`` counts the comparisons of all systems."""

    system: str
    comparison: Comparison


@dataclass(frozen=True, eq=False)
class SystemComparison:
    """Systems, their ranks, and their differences from the baseline.

    Attributes
    ----------
    systems
        The baseline first.
    averages
        Differences from the baseline over the settings of a kind.
    differences
        The same, or the differences in every setting if these were requested.
    ranks
        Of systems by measure and kind; see `beir_hybrid.rank_systems`. There are none for a measure
        without direction, and where a system has no values.
    columns
        The measures and kinds that the table of systems shows.
    """

    systems: Mapping[str, Results]
    test: Test
    averages: tuple[BaselineDifference, ...]
    differences: tuple[BaselineDifference, ...]
    ranks: Mapping[MeasureColumn, Mapping[str, int]]
    columns: tuple[MeasureColumn, ...]

    @property
    def baseline(self) -> str:
        """The system that all others are compared with."""
        return next(iter(self.systems))

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.systems[self.baseline].collection

    def estimate(self, system: str, measure: Measure, kind: KindName) -> Estimate | None:
        """Return a system's average; None without values."""
        return self.systems[system].summary().get(kind, {}).get(measure)

    def find_rank(self, system: str, measure: Measure, kind: KindName) -> int | None:
        """Return a system's rank; None where systems are not ranked."""
        return self.ranks.get((measure, kind), {}).get(system)

    def is_significant(self, system: str, measure: Measure, kind: KindName) -> bool:
        """Return whether a system's average differs significantly from the baseline's."""
        return any(
            comparison.p_holm <= ALPHA
            for name, comparison in self.averages
            if (name, comparison.measure, comparison.setting) == (system, measure, kind)
        )


def compare_systems(
    systems: Mapping[str, Results],
    *,
    baseline: str | None = None,
    measures: Iterable[Measure | str] | None = None,
    by: By = "kind",
    test: Test = "randomisation",
) -> SystemComparison:
    """Compare two systems or more with a baseline, by default the first.

    Holm's correction is over all systems and settings that are compared by one measure.

    Parameters
    ----------
    measures
        By default those that all results have; the table of systems then shows AP and
        `RankDistance`, as the paper's does.
    """
    if len(systems) < 2:  # noqa: PLR2004 - a comparison takes two
        raise BadOption(f"a comparison takes two systems or more, not {len(systems)}")
    first = next(iter(systems)) if baseline is None else baseline
    lookup("system", first, systems)
    ordered = {first: systems[first]} | dict(systems)
    names = None if measures is None else list(measures)
    averages = _compare_with_first(ordered, names, "kind", test)
    differences = averages if by == "kind" else _compare_with_first(ordered, names, by, test)
    columns: list[MeasureColumn] = []
    for _, comparison in averages:
        setting = comparison.setting
        if not isinstance(setting, Setting) and (comparison.measure, setting) not in columns:
            columns.append((comparison.measure, setting))
    samples = max(10_000, 10 * len(ordered) ** 2)  # enough for any pair to differ
    ranks = {
        (measure, kind): rank_systems(
            ordered, measure, kind, alpha=ALPHA, test=test, samples=samples
        )
        for measure, kind in columns
        if all(results.values(measure, kind) for results in ordered.values())
        and _has_direction(measure)
    }
    main_columns = columns if names is not None else _choose_main_columns(columns)
    return SystemComparison(ordered, test, averages, differences, ranks, tuple(main_columns))


def _compare_with_first(
    systems: Mapping[str, Results], measures: Sequence[Measure | str] | None, by: By, test: Test
) -> tuple[BaselineDifference, ...]:
    """Compare every system but the first with the first, and correct p over all comparisons."""
    (_, baseline), *rest = systems.items()
    shared = set(baseline.measures).intersection(*(results.measures for _, results in rest))
    rows = [
        BaselineDifference(name, comparison)
        for name, results in rest
        for comparison in compare(results, baseline, measures=measures, by=by, test=test)
        if measures is not None or comparison.measure in shared
    ]
    if not rows:
        raise BadOption("the results have no measure with values in common")
    for measure in {row.comparison.measure for row in rows}:
        places = [i for i, row in enumerate(rows) if row.comparison.measure == measure]
        corrected = adjust_p_values([rows[i].comparison.difference.p for i in places]).tolist()
        for i, p in zip(places, corrected, strict=True):
            rows[i] = rows[i]._replace(comparison=replace(rows[i].comparison, p_holm=p))
    return tuple(rows)


def _choose_main_columns(columns: Sequence[MeasureColumn]) -> Sequence[MeasureColumn]:
    """Return the columns of rank distance and of AP, or else of the first effectiveness measure."""
    names = [str(measure) for measure, _ in columns if not isinstance(measure, BiasMeasure)]
    main = "AP" if "AP" in names else next(iter(names), "")
    return [column for column in columns if str(column[0]) in (main, "RankDistance")] or columns


def _has_direction(measure: Measure) -> bool:
    try:
        is_higher_better(measure)
    except BadOption:
        return False
    return True
