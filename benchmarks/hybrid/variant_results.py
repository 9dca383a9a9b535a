"""Results of variants over several seeds: averages, intervals and paired differences.

Values are averaged over seeds query by query before they are resampled or tested. So a difference
is between ways of training on average, and its interval says what other queries would change. The
effect of other seeds is a second interval, Student's over the seeds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from ir_measures import parse_measure

from beir_hybrid.collection.setting import ALL, KindName, Setting
from beir_hybrid.errors import BadData
from beir_hybrid.measures.base import is_higher_better
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import (
    adjust_p_values,
    compare_values,
    draw_weights,
    estimate_interval,
)
from beir_hybrid.results.storage import RESULTS as FILE
from beir_hybrid.results.values import Values, average
from benchmarks.hybrid.run import RESULTS

Predicate = Callable[[Setting], bool]
FLIPS, SAMPLES = 2000, 1000


@dataclass(frozen=True)
class Column:
    """A measure in settings of a kind; only settings for which `includes` is true count."""

    measure: str
    kind: KindName
    includes: Predicate = lambda _: True

    def restrict(self, languages: frozenset[str]) -> "Column":
        """Return the column of some languages, of queries and of passages that are no pool."""
        passages = languages | {ALL}
        return Column(
            self.measure,
            self.kind,
            lambda setting: (
                self.includes(setting)
                and setting.queries in languages
                and setting.passages in passages
            ),
        )

    @property
    def sign(self) -> int:
        """1 if higher values are better, -1 if lower ones are."""
        return 1 if is_higher_better(parse_measure(self.measure)) else -1


COLUMNS: dict[str, Column] = {
    "Mo mAP": Column("AP", "mono"),
    "Cr mAP": Column("AP", "cross"),
    "Mul mAP": Column("AP", "multi"),
    "Mo R@1": Column("R@1", "mono"),
    "Cr R@1": Column("R@1", "cross"),
    "Mul R@10": Column("R@10", "multi"),
    "rank distance": Column("RankDistance", "multi"),
    "normalised": Column("RankDistance(normalized=True)", "multi"),
    "language preference": Column("LanguagePreference", "multi"),
    "same-language share": Column("SameLanguageShare@10", "multi"),
    "one target, diagonal": Column("AP", "one-target", lambda s: s.queries == s.passages),
    "one target, others": Column("AP", "one-target", lambda s: s.queries != s.passages),
}


@dataclass(frozen=True, eq=False)
class SeedValues:
    """A measure's values in the settings of a kind, with a row for each seed."""

    group: np.ndarray  # (n,) groups of queries
    setting: np.ndarray  # (n,) indexes of `settings`
    settings: tuple[Setting, ...]
    values: np.ndarray  # (seeds, n) float64

    def average_seeds(self, includes: Predicate) -> Values | None:
        """Return the mean over seeds for each query."""
        return self._select(includes, self.values.mean(axis=0))

    def average_by_seed(self, includes: Predicate) -> list[float]:
        """Return the average of each seed; nothing if no setting is included."""
        rows = [self._select(includes, row) for row in self.values]
        return [average(values) for values in rows if values is not None]

    def _select(self, includes: Predicate, values: np.ndarray) -> Values | None:
        is_included = np.array([includes(setting) for setting in self.settings])[self.setting]
        if not is_included.any():
            return None
        return Values(self.group[is_included], self.setting[is_included], values[is_included])


@dataclass(frozen=True)
class SeedMean:
    """An average over seeds, its 95% interval over queries, and the average of each seed."""

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """The standard deviation over seeds; NaN for one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else math.nan


@dataclass(frozen=True)
class VariantDifference:
    """A variant's average less another variant's.

    Attributes
    ----------
    mean
        The second variant's average.
    low, high
        The 95% interval over queries, of values averaged over seeds.
    seed_low, seed_high
        Student's 95% interval over the seeds that both have; infinite for one seed.
    p, p_holm
        Of the randomisation test over queries; corrected over a family of comparisons.
    """

    first: str
    second: str
    mean: float
    difference: float
    low: float
    high: float
    seed_low: float
    seed_high: float
    p: float
    p_holm: float

    @property
    def widest(self) -> tuple[float, float]:
        """The wider of the bounds over queries and over seeds, at either end."""
        return min(self.low, self.seed_low), max(self.high, self.seed_high)


@dataclass(frozen=True, eq=False)
class VariantResults:
    """The results of a variant on a collection.

    Attributes
    ----------
    tables
        By measure and kind.
    unbiased
        The value of a model without bias in the pool, by measure.
    """

    label: str
    collection: str
    seeds: tuple[int, ...]
    tables: Mapping[tuple[str, KindName], SeedValues]
    unbiased: Mapping[str, float]

    @classmethod
    def load(
        cls, output: Path, collection: str, label: str, seeds: Sequence[int]
    ) -> "VariantResults":
        """Read the seeds that have results; raise `BadData` if their rows differ."""
        by_seed: dict[int, Results] = {}
        for seed in seeds:
            folder = output / RESULTS / collection / f"{label}-{seed}"
            if (folder / FILE).is_file():
                by_seed[seed] = Results.load(folder)
        tables = {}
        for measure, kind in {(column.measure, column.kind) for column in COLUMNS.values()}:
            parts = [_read_values(results, measure, kind) for results in by_seed.values()]
            present = [part for part in parts if part is not None]
            if present:
                tables[measure, kind] = _stack_seeds(present, f"{label} on {collection}")
        unbiased = [results.provenance.unbiased for results in by_seed.values()]
        return cls(label, collection, tuple(by_seed), tables, unbiased[-1] if unbiased else {})

    def select_seeds(self, seeds: Sequence[int]) -> "VariantResults":
        """Return the results of some of the seeds."""
        if tuple(seeds) == self.seeds:
            return self
        rows = [self.seeds.index(seed) for seed in seeds]
        tables = {
            key: replace(table, values=table.values[rows]) for key, table in self.tables.items()
        }
        return replace(self, seeds=tuple(seeds), tables=tables)

    def values(self, column: Column) -> Values | None:
        """Return the values of a column, averaged over seeds."""
        table = self.tables.get((column.measure, column.kind))
        return None if table is None else table.average_seeds(column.includes)

    def average_by_seed(self, column: Column) -> dict[int, float]:
        """Return each seed's average."""
        table = self.tables.get((column.measure, column.kind))
        averages = [] if table is None else table.average_by_seed(column.includes)
        return dict(zip(self.seeds, averages, strict=False))

    def mean(self, column: Column) -> SeedMean | None:
        """Return the average of a column, with its interval."""
        values = self.values(column)
        if values is None:
            return None
        weights = self._draw_weights(len(np.unique(values.group)))
        low, high = estimate_interval(values, weights=weights)
        return SeedMean(average(values), low, high, tuple(self.average_by_seed(column).values()))

    def _draw_weights(self, groups: int) -> np.ndarray:
        if groups not in self._weights:
            self._weights[groups] = draw_weights(groups, SAMPLES)
        return self._weights[groups]

    @cached_property
    def _weights(self) -> dict[int, np.ndarray]:
        return {}


SettingValues = tuple[Values, tuple[Setting, ...]]


def _read_values(results: Results, measure: str, kind: KindName) -> SettingValues | None:
    """Return the values of a measure in settings of a kind, and these settings."""
    if measure not in {str(name) for name in results.measures} or kind not in results.kinds:
        return None
    values = results.values(measure, kind)
    if values is None:
        return None
    return values, tuple(setting for setting in results.means(measure) if setting.kind == kind)


def _stack_seeds(parts: Sequence[SettingValues], place: str) -> SeedValues:
    first, settings = parts[0]
    for values, seed_settings in parts[1:]:
        is_equal = settings == seed_settings and all(
            np.array_equal(getattr(first, name), getattr(values, name))
            for name in ("group", "setting")
        )
        if not is_equal:
            raise BadData(f"{place}: the seeds were evaluated on different queries or settings")
    stacked = np.stack([values.value for values, _ in parts])
    return SeedValues(first.group, first.setting, settings, stacked)


def compare_variants(
    first: VariantResults, rivals: Sequence[VariantResults], column: Column
) -> list[VariantDifference]:
    """Compare a variant with others, each over the seeds that both have, if there are any.

    p is corrected over these comparisons by Holm's method.
    """
    p_values, rows = [], []
    for rival in rivals:
        seeds = [seed for seed in first.seeds if seed in rival.seeds]
        if not seeds:
            continue
        sides = first.select_seeds(seeds), rival.select_seeds(seeds)
        a, b = (side.values(column) for side in sides)
        if a is None or b is None:
            continue
        difference = compare_values(a, b, samples=FLIPS)
        p_values.append(difference.p)
        seed_bounds = _estimate_seed_interval(*(side.average_by_seed(column) for side in sides))
        bounds = difference.low, difference.high, *seed_bounds
        rows.append((rival.label, difference.mean_b, difference.value, *bounds, difference.p))
    corrected = adjust_p_values(p_values).tolist()
    return [VariantDifference(first.label, *row, p) for row, p in zip(rows, corrected, strict=True)]


def _estimate_seed_interval(
    first: Mapping[int, float], second: Mapping[int, float]
) -> tuple[float, float]:
    """Return Student's 95% interval of the mean difference between equal seeds."""
    from scipy.stats import t

    differences = np.array([first[seed] - second[seed] for seed in first if seed in second])
    count = len(differences)
    if count < 2:
        return -math.inf, math.inf
    reach = t.ppf(0.975, count - 1) * differences.std(ddof=1) / math.sqrt(count)
    return float(differences.mean() - reach), float(differences.mean() + reach)
