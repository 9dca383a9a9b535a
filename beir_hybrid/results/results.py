"""Results of an evaluation: shown in a notebook, saved to a folder and loaded again."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from beir_hybrid.collection.setting import KindName
from beir_hybrid.measures.parsing import parse_stored_measure
from beir_hybrid.records import from_record, json_key, to_record
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.measurements import Measurements
from beir_hybrid.results.pool_languages import PoolLanguages, check_pools
from beir_hybrid.results.provenance import Provenance
from beir_hybrid.results.render import render_html
from beir_hybrid.results.replacement import check_replaceable, list_facts
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
from beir_hybrid.results.table import check_table
from beir_hybrid.results.timing import Timing


@dataclass(frozen=True, eq=False)
class Results(Measurements):
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
    before_reranking
        Averages of the rankings before they were reranked, by kind of setting and name of measure,
        for measures that need no runs; empty without a reranker.

    Examples
    --------
    >>> results = Results.load("e5-small")  # doctest: +SKIP
    >>> results.summary()["multi"][parse_measure("RankDistance")].mean  # doctest: +SKIP
    >>> results.matrix("AP")["en", "de"]  # doctest: +SKIP
    """

    timing: Timing = field(default_factory=Timing)

    def __repr__(self) -> str:
        """Name the model, the collection and the kinds of settings in a line."""
        kinds = ", ".join(self.kinds)
        return f"Results({self.model!r} on {self.collection!r}: {kinds})"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        return render_html(self)

    def per_query(self) -> pa.Table:
        """Return a row for each query in each setting, with a column for each measure.

        ``question`` names the group of queries that translate each other. NaN: the measure does not
        apply. ``.to_pandas()`` turns the table into a data frame.
        """
        return self.table

    def save(self, folder: str | Path, *, replace: bool = False) -> Path:
        """Write ``results.json``, ``per_query.parquet`` and ``timing.json`` into a folder.

        The first two have the same bytes whenever the values are the same. Killed at any moment,
        it leaves the old results whole, or these.

        Parameters
        ----------
        replace
            Replace whatever results the folder holds. By default those of another system, in other
            settings or on other data are an error, and so are damaged ones.
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
        if self.before_reranking:
            record["before reranking"] = to_record(self.before_reranking)

        def check() -> None:
            if not replace:
                facts = list_facts(self.provenance, self.kinds)
                check_replaceable(
                    folder, self.model, facts, self.provenance.collection, is_complete=True
                )

        write_results(folder, record, to_record(self.timing), self.table, check)
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
        results = cls(
            table, measures, record.about, record.pools, summary, record.before_reranking, timing
        )
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
    before_reranking: Mapping[KindName, Mapping[str, float]] = field(
        default_factory=dict, metadata=json_key("before reranking")
    )
