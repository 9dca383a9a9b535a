"""Saved results of several seeds in; averages, intervals and paired differences of variants out.

Values are averaged over seeds question by question before anything is resampled or tested: what is
compared is how a way of training does on average, and another draw of questions is what intervals
are about. What another seed would change stands beside it, as Student's interval over the seeds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from beir_hybrid.collection.setting import KindName, Setting
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

Keep = Callable[[Setting], bool]
FLIPS, SAMPLES = 2000, 1000


@dataclass(frozen=True)
class Column:
    """A measure in the settings of a kind, those of them that are kept."""

    measure: str
    kind: KindName
    keep: Keep = lambda _: True

    def within(self, langs: frozenset[str]) -> "Column":
        """Return the column of some languages: of questions, and of passages unless of a pool."""
        inside = langs | {"all"}
        return Column(
            self.measure,
            self.kind,
            lambda one: self.keep(one) and one.queries in langs and one.passages in inside,
        )


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
    "one target, diagonal": Column("AP", "one-target", lambda one: one.queries == one.passages),
    "one target, others": Column("AP", "one-target", lambda one: one.queries != one.passages),
}


@dataclass(frozen=True, eq=False)
class Table:
    """A measure's values in the settings of a kind: a row of them for each seed."""

    question: np.ndarray  # (n,)
    setting: np.ndarray  # (n,)
    settings: tuple[Setting, ...]
    values: np.ndarray  # (seeds, n) float64

    def pooled(self, keep: Keep) -> Values | None:
        """Return the mean over seeds."""
        return self._kept(keep, self.values.mean(axis=0))

    def by_seed(self, keep: Keep) -> list[float]:
        """Return the average of each seed; none where no setting is kept."""
        found = [self._kept(keep, row) for row in self.values]
        return [average(one) for one in found if one is not None]

    def _kept(self, keep: Keep, value: np.ndarray) -> Values | None:
        kept = np.array([keep(one) for one in self.settings])[self.setting]
        if not kept.any():
            return None
        return Values(self.question[kept], self.setting[kept], value[kept])


@dataclass(frozen=True)
class Mean:
    """An average over seeds, its 95% interval by question, and each seed's own."""

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def spread(self) -> float:
        """The standard deviation over seeds; NaN of one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else math.nan


@dataclass(frozen=True)
class Gap:
    """How a variant differs from another, first less second.

    Attributes
    ----------
    low, high
        The 95% interval by question, of values averaged over seeds.
    seed_low, seed_high
        Student's 95% interval over the seeds that both have; infinite of one.
    p, p_holm
        Of the randomisation test by question; corrected for all that is compared with it.
    """

    first: str
    second: str
    mean: float  # of the second
    difference: float
    low: float
    high: float
    seed_low: float
    seed_high: float
    p: float
    p_holm: float

    @property
    def widest(self) -> tuple[float, float]:
        """The bounds that hold by question and by seed."""
        return min(self.low, self.seed_low), max(self.high, self.seed_high)


@dataclass(frozen=True, eq=False)
class Pooled:
    """What is saved of a variant on a collection.

    Attributes
    ----------
    tables
        By measure and kind.
    unbiased
        What a model without bias has, by measure, in the pool.
    """

    label: str
    collection: str
    seeds: tuple[int, ...]
    tables: Mapping[tuple[str, KindName], Table]
    unbiased: Mapping[str, float]

    @classmethod
    def load(cls, output: Path, collection: str, label: str, seeds: Sequence[int]) -> "Pooled":
        """Read the seeds that are there; raise `BadData` if their rows are not alike."""
        found: dict[tuple[str, KindName], list[tuple[Values, tuple[Setting, ...]]]] = {}
        there: list[int] = []
        free: Mapping[str, float] = {}
        for seed in seeds:
            folder = output / RESULTS / collection / f"{label}-{seed}"
            if not (folder / FILE).is_file():
                continue
            results = Results.load(folder)
            there.append(seed)
            free = results.provenance.unbiased
            names = {str(measure) for measure in results.measures}
            for key in {(one.measure, one.kind) for one in COLUMNS.values()}:
                measure, kind = key
                if measure not in names or kind not in results.kinds:
                    continue
                if (values := results.values(measure, kind)) is not None:
                    settings = tuple(one for one in results.means(measure) if one.kind == kind)
                    found.setdefault(key, []).append((values, settings))
        tables = {key: _joined(parts, f"{label} on {collection}") for key, parts in found.items()}
        return cls(label, collection, tuple(there), tables, free)

    def of(self, seeds: Sequence[int]) -> "Pooled":
        """Return what some of the seeds are."""
        if tuple(seeds) == self.seeds:
            return self
        rows = [self.seeds.index(seed) for seed in seeds]
        tables = {key: replace(one, values=one.values[rows]) for key, one in self.tables.items()}
        return replace(self, seeds=tuple(seeds), tables=tables)

    def values(self, column: Column) -> Values | None:
        """Return the values of a column, averaged over seeds."""
        table = self.tables.get((column.measure, column.kind))
        return None if table is None else table.pooled(column.keep)

    def by_seed(self, column: Column) -> dict[int, float]:
        """Return each seed's average."""
        table = self.tables.get((column.measure, column.kind))
        found = [] if table is None else table.by_seed(column.keep)
        return dict(zip(self.seeds, found, strict=False))

    def mean(self, column: Column) -> Mean | None:
        """Return the average of a column, with its interval."""
        values = self.values(column)
        if values is None:
            return None
        weights = self._weights(len(np.unique(values.group)))
        low, high = estimate_interval(values, weights=weights)
        return Mean(average(values), low, high, tuple(self.by_seed(column).values()))

    def _weights(self, questions: int) -> np.ndarray:
        if questions not in self._drawn:
            self._drawn[questions] = draw_weights(questions, SAMPLES)
        return self._drawn[questions]

    @cached_property
    def _drawn(self) -> dict[int, np.ndarray]:
        return {}


def _joined(parts: Sequence[tuple[Values, tuple[Setting, ...]]], where: str) -> Table:
    first, settings = parts[0]
    for other, others in parts[1:]:
        same = settings == others and all(
            np.array_equal(getattr(first, name), getattr(other, name))
            for name in ("group", "setting")
        )
        if not same:
            raise BadData(f"{where}: the seeds were not judged on the same questions and settings")
    values = np.stack([one.value for one, _ in parts])
    return Table(first.group, first.setting, settings, values)


def gaps(first: Pooled, others: Sequence[Pooled], column: Column) -> list[Gap]:
    """Compare a variant with others, each over the seeds that both have, if there are any.

    p is corrected for their number by Holm's method.
    """
    found, rows = [], []
    for other in others:
        both = [seed for seed in first.seeds if seed in other.seeds]
        if not both:
            continue
        mine, theirs = first.of(both), other.of(both)
        a, b = mine.values(column), theirs.values(column)
        if a is None or b is None:
            continue
        one = compare_values(a, b, samples=FLIPS)
        found.append(one.p)
        seeds = _over_seeds(mine.by_seed(column), theirs.by_seed(column))
        rows.append((other.label, one.mean_b, one.value, one.low, one.high, *seeds, one.p))
    corrected = adjust_p_values(found).tolist()
    return [Gap(first.label, *row, p) for row, p in zip(rows, corrected, strict=True)]


def _over_seeds(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[float, float]:
    """Return Student's 95% interval of the mean difference of equal seeds."""
    from scipy.stats import t

    deltas = np.array([first[seed] - second[seed] for seed in first if seed in second])
    if len(deltas) < 2:
        return -math.inf, math.inf
    reach = t.ppf(0.975, len(deltas) - 1) * deltas.std(ddof=1) / math.sqrt(len(deltas))
    return float(deltas.mean() - reach), float(deltas.mean() + reach)


def sense(column: Column) -> int:
    """Return 1 where more is better, -1 where less is."""
    from ir_measures import parse_measure

    return 1 if is_higher_better(parse_measure(column.measure)) else -1
