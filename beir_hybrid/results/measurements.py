"""Values of measures for each query in each setting, with their averages and intervals."""
# mypy: allow-untyped-calls
# (ir_measures leaves functions without types.)

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from ir_measures import Measure

from beir_hybrid.collection.setting import (
    SETTING_KINDS,
    KindName,
    Setting,
    language_sort_key,
    parse_kinds,
)
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.results.estimate import Estimate, Matrix
from beir_hybrid.results.pool_languages import TOP, PoolLanguages, list_pool_kinds
from beir_hybrid.results.provenance import Provenance
from beir_hybrid.results.resampling import SAMPLES
from beir_hybrid.results.statistics import draw_weights, estimate_interval
from beir_hybrid.results.table import number_groups, number_settings, read_column
from beir_hybrid.results.values import RowNames, Values, average, hash_groups

Summary = Mapping[KindName, Mapping[Measure, Estimate]]

_MOST_GROUPS = 5000  # up to which all resamples are drawn at once, for all measures


@dataclass(frozen=True, eq=False)
class Measurements:
    """Values of measures for each query in each setting; `Results` describes the attributes."""

    table: pa.Table
    measures: tuple[Measure, ...]
    provenance: Provenance
    pools: Mapping[KindName, PoolLanguages] = field(default_factory=dict)
    stored_summary: Summary | None = None
    before_reranking: Mapping[KindName, Mapping[str, float]] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.provenance.model.name

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.provenance.collection.name

    @cached_property
    def kinds(self) -> tuple[KindName, ...]:
        """The kinds of settings, in the order of the paper's tables."""
        kinds = set(self.table["kind"].unique().to_pylist())
        return tuple(kind for kind in SETTING_KINDS if kind in kinds)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings, in the order of the table."""
        return self._settings[0]

    def summary(self) -> dict[KindName, dict[Measure, Estimate]]:
        """Return each measure's average over the settings of each kind, with its interval."""
        return {kind: dict(row) for kind, row in self._summary.items()}

    @cached_property
    def _summary(self) -> Summary:
        if self.stored_summary is not None:
            return self.stored_summary
        weights: dict[int, np.ndarray] = {}
        summary: dict[KindName, dict[Measure, Estimate]] = {}
        for kind in self.kinds:
            unbiased = self.provenance.list_unbiased(kind)
            summary[kind] = {}
            for measure in self.measures:
                values = self.values(measure, kind)
                if values is None:
                    continue
                n_groups = len(np.unique(values.group))
                if n_groups <= _MOST_GROUPS and n_groups not in weights:
                    weights[n_groups] = draw_weights(n_groups, SAMPLES)
                low, high = estimate_interval(
                    values, samples=SAMPLES, weights=weights.get(n_groups)
                )
                summary[kind][measure] = Estimate(
                    mean=average(values),
                    low=low,
                    high=high,
                    micro=average(values, macro=False),
                    queries=len(values.value),
                    unbiased=unbiased.get(str(measure)),
                )
        return summary

    def average_kinds(self) -> dict[KindName, dict[str, float]]:
        """Return the average over the settings of each kind, by name of measure."""
        means: dict[KindName, dict[str, float]] = {kind: {} for kind in self.kinds}
        for kind, row in means.items():
            for measure in self.measures:
                if (values := self.values(measure, kind)) is not None:
                    row[str(measure)] = average(values)
        return means

    def values(self, measure: Measure | str, kind: KindName) -> Values | None:
        """Return a measure's values in the settings of a kind, or None if there are none.

        The groups of the kind are numbered in the order of their ids, settings in that of `means`.
        """
        column, rows = self._read_column(measure), self._find_rows(kind)
        rows = rows[~np.isnan(column[rows])]
        if not len(rows):
            return None
        numbers, setting = np.unique(self._settings[1][rows], return_inverse=True)
        kind_groups, checksum = self._groups_by_kind[kind]
        group = np.searchsorted(kind_groups, self._groups[1][rows])
        names = RowNames(checksum, tuple(self.settings[number] for number in numbers.tolist()))
        return Values(group, setting, column[rows], names)

    def list_groups(self, kind: KindName) -> list[str]:
        """List the ids of the groups of a kind of settings, in the order of their numbers."""
        numbers, _ = self._groups_by_kind[kind]
        ids: list[str] = self._groups[0][numbers].tolist()
        return ids

    def matrix(self, measure: Measure | str, *, one_target: bool = False) -> Matrix:
        """Return a measure by query language and passage language.

        With ``one_target``, of the pool without the relevant passages of other languages.
        """
        kinds = {kind for kind, sides in SETTING_KINDS.items() if not sides.pool}
        kinds = {"one-target"} if one_target else kinds - {"one-target"}
        means = {
            (setting.queries, setting.passages): mean
            for setting, mean in self.means(measure).items()
            if setting.kind in kinds
        }
        if not means:
            name = "one-target" if one_target else "mono or cross"
            raise BadOption(f"these results have no {name} settings with {measure}")
        rows, columns = (
            tuple(sorted({pair[side] for pair in means}, key=language_sort_key)) for side in (0, 1)
        )
        cells = [[means.get((row, column), np.nan) for column in columns] for row in rows]
        return Matrix(rows, columns, np.array(cells, np.float64))

    def pool_languages(self, kind: KindName = "multi") -> PoolLanguages:
        """Return the share of each language among the first passages of the pool.

        Raises
        ------
        BadOption
            If the results have no such pool, or are of a version that did not count languages.
        """
        parse_kinds([kind])
        if kind not in self.pools:
            raise BadOption(
                f"these results do not count the languages of the first {TOP} passages in {kind} "
                "settings; evaluate the model again, in these settings"
            )
        return self.pools[kind]

    @property
    def lacks_pools(self) -> bool:
        """Whether there is a pool of several languages that `pool_languages` does not have."""
        is_multilingual = len(self.provenance.collection.languages) > 1
        return is_multilingual and not self.pools.keys() >= {*list_pool_kinds(self.kinds)}

    def means(self, measure: Measure | str) -> dict[Setting, float]:
        """Return a measure's mean in each setting with values."""
        column, (settings, setting) = self._read_column(measure), self._settings
        has_value = ~np.isnan(column)
        total = np.bincount(setting[has_value], column[has_value], len(settings))
        count = np.bincount(setting[has_value], minlength=len(settings))
        return {settings[i]: float(total[i] / count[i]) for i in np.flatnonzero(count).tolist()}

    @cached_property
    def _settings(self) -> tuple[tuple[Setting, ...], np.ndarray]:
        """The settings, and the number of each row's."""
        return number_settings(self.table)

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """The ids of groups, and the number of each row's."""
        return number_groups(self.table)

    @cached_property
    def _groups_by_kind(self) -> dict[KindName, tuple[np.ndarray, str]]:
        """By kind of settings, the numbers of its groups and a checksum of their ids."""
        groups: dict[KindName, tuple[np.ndarray, str]] = {}
        for kind in self.kinds:
            ids, group = self._groups
            numbers = np.unique(group[self._find_rows(kind)])
            groups[kind] = numbers, hash_groups(ids[numbers].tolist())
        return groups

    def _find_rows(self, kind: KindName) -> np.ndarray:
        parse_kinds([kind])
        settings, setting = self._settings
        is_kind = np.array([entry.kind == kind for entry in settings])
        return np.flatnonzero(is_kind[setting])

    def _read_column(self, measure: Measure | str) -> np.ndarray:
        names = {name: name for name in map(str, self.measures)}
        return read_column(self.table, lookup("measure of these results", str(measure), names))
