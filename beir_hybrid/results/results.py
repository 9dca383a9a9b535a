"""Results of an evaluation: averages, intervals and matrices of values query by query."""
# mypy: allow-untyped-calls
# (ir_measures leaves functions without types.)

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

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
from beir_hybrid.measures.parsing import parse_stored_measure
from beir_hybrid.records import from_record, to_record
from beir_hybrid.results.estimate import Estimate, Matrix
from beir_hybrid.results.pool_languages import TOP, PoolLanguages, check_pools, list_pool_kinds
from beir_hybrid.results.provenance import Provenance, Timing
from beir_hybrid.results.resampling import SAMPLES
from beir_hybrid.results.statistics import draw_weights, estimate_interval
from beir_hybrid.results.storage import (
    PER_QUERY,
    RESULTS,
    TIMING,
    read_record,
    read_table,
    read_timing,
    write_results,
)
from beir_hybrid.results.stored_numbers import StoredSetting, check_stored_numbers
from beir_hybrid.results.table import check_table, number_groups, number_settings, read_column
from beir_hybrid.results.values import Values, average

Summary = Mapping[KindName, Mapping[Measure, Estimate]]

_MOST_GROUPS = 5000  # up to which all resamples are drawn at once, for all measures


@dataclass(frozen=True, eq=False)
class Results:
    """How a model did on a collection: values of measures for each query in each setting.

    Attributes
    ----------
    table
        See `per_query`.
    provenance
        The model and its fingerprint, the collection and its origin, and what else values depend
        on: equal provenance means equal values.
    timing
        Date, seconds, machine, and how model and data were named: what differs between runs of the
        same evaluation.
    stored_summary
        The averages of results that were read from a folder.
    pools
        See `pool_languages`.

    Examples
    --------
    >>> results = Results.load("e5-small")  # doctest: +SKIP
    >>> results.summary()["multi"][parse_measure("RankDistance")].mean  # doctest: +SKIP
    >>> results.matrix("AP")["en", "de"]  # doctest: +SKIP
    """

    table: pa.Table
    measures: tuple[Measure, ...]
    provenance: Provenance
    timing: Timing = field(default_factory=Timing)
    stored_summary: Summary | None = None
    pools: Mapping[KindName, PoolLanguages] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Name the model, the collection and the kinds of settings in a line."""
        kinds = ", ".join(self.kinds)
        return f"Results({self.model!r} on {self.collection!r}: {kinds})"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        from beir_hybrid.results.render import render_html

        return render_html(self)

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

    def values(self, measure: Measure | str, kind: KindName) -> Values | None:
        """Return a measure's values in the settings of a kind, or None if there are none.

        Groups are numbered in the order of their ids, settings in that of `means`.
        """
        column, rows = self._read_column(measure), self._find_rows(kind)
        rows = rows[~np.isnan(column[rows])]
        if not len(rows):
            return None
        _, setting = np.unique(self._settings[1][rows], return_inverse=True)
        return Values(self._groups[rows], setting, column[rows])

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

    def per_query(self) -> pa.Table:
        """Return a row for each query in each setting, with a column for each measure.

        ``question`` names the group of queries that translate each other. NaN: the measure does not
        apply. ``.to_pandas()`` turns the table into a data frame.
        """
        return self.table

    @cached_property
    def _settings(self) -> tuple[tuple[Setting, ...], np.ndarray]:
        """The settings, and the number of each row's."""
        return number_settings(self.table)

    @cached_property
    def _groups(self) -> np.ndarray:
        """The number of each row's group."""
        return number_groups(self.table)

    def _find_rows(self, kind: KindName) -> np.ndarray:
        parse_kinds([kind])
        settings, setting = self._settings
        is_kind = np.array([entry.kind == kind for entry in settings])
        return np.flatnonzero(is_kind[setting])

    def _read_column(self, measure: Measure | str) -> np.ndarray:
        names = {name: name for name in map(str, self.measures)}
        return read_column(self.table, lookup("measure of these results", str(measure), names))

    def save(self, folder: str | Path) -> Path:
        """Write ``results.json``, ``per_query.parquet`` and ``timing.json`` into a folder.

        The first two have the same bytes whenever the values are the same. Killed at any moment,
        it leaves the old results whole, or these.
        """
        folder = Path(folder)
        record = {
            "about": to_record(self.provenance),
            "measures": [str(measure) for measure in self.measures],
            "summary": {
                kind: {str(measure): asdict(estimate) for measure, estimate in row.items()}
                for kind, row in self._summary.items()
            },
            "settings": list(self._record_settings()),
            "pools": to_record(self.pools),
        }
        write_results(folder, record, to_record(self.timing), self.table)
        return folder

    def _record_settings(self) -> Iterator[dict[str, Any]]:
        means = {str(measure): self.means(measure) for measure in self.measures}
        for setting in self.settings:
            values = {name: row[setting] for name, row in means.items() if setting in row}
            yield {**setting._asdict(), "values": values}

    @classmethod
    def load(cls, folder: str | Path) -> "Results":
        """Read a folder that `save` wrote; raise `BadData` for damage or a newer version.

        ``timing.json`` may be missing.
        """
        folder = Path(folder)
        path = folder / RESULTS
        record = from_record(_StoredResults, read_record(folder), str(path))
        measures = tuple(parse_stored_measure(name, str(path)) for name in record.measures)
        summary = {
            kind: {
                parse_stored_measure(name, str(path)): estimate for name, estimate in row.items()
            }
            for kind, row in record.summary.items()
        }
        table = read_table(folder, record.per_query)
        check_table(table, list(map(str, measures)), str(folder / PER_QUERY))
        check_pools(record.pools, f"{path}: pools")
        timing = from_record(Timing, read_timing(folder), str(folder / TIMING))
        results = cls(table, measures, record.about, timing, summary, record.pools)
        check_stored_numbers(results, record.settings, str(path))
        return results


@dataclass(frozen=True)
class _StoredResults:
    """The contents of ``results.json``: `per_query` is the checksum of the table."""

    about: Provenance
    measures: tuple[str, ...]
    summary: Mapping[KindName, Mapping[str, Estimate]]
    per_query: str
    settings: tuple[StoredSetting, ...]
    pools: Mapping[KindName, PoolLanguages] = field(default_factory=dict)
