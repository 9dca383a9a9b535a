"""Values of measures query by query in; averages, intervals, matrices and files out."""
# mypy: allow-untyped-calls
# (ir_measures and pyarrow.parquet leave functions without types.)

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ir_measures import Measure, parse_measure

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow, to_numpy
from beir_hybrid.collection.setting import (
    SETTING_KINDS,
    KindName,
    Setting,
    language_sort_key,
    list_targets,
    parse_kinds,
)
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.files import atomic_file, explain_write_errors, file_lock, sha256
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.results.provenance import Provenance, Timing
from beir_hybrid.results.records import from_record, to_record
from beir_hybrid.results.statistics import Values, average, draw, interval

FORMAT = 1
RESULTS, PER_QUERY, TIMING = "results.json", "per_query.parquet", "timing.json"
COMING = "results.coming.parquet"  # where the table lies until `RESULTS` names it
SAMPLES = 1000  # of the bootstrap
_FEW = 5000  # questions, up to which all resamples are drawn at once
_KEYS = ("kind", "queries", "passages", "query", "question")


@dataclass(frozen=True)
class Estimate:
    """A measure over the settings of a kind.

    Attributes
    ----------
    mean
        The mean over settings of each setting's mean (macro), as the paper has it.
    low, high
        Its 95% bootstrap interval, resampling questions with all their translations.
    micro
        The mean over all queries, whatever their setting.
    queries
        How many rankings have a value.
    unbiased
        What a model without language bias has, for a measure of bias.
    """

    mean: float
    low: float
    high: float
    micro: float
    queries: int
    unbiased: float | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """A measure by the languages of queries (rows) and passages (columns); NaN where unjudged.

    Pictures are a row and a column of their own, ``image``, behind the languages.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray  # (rows, columns) float64

    def __getitem__(self, languages: tuple[str, str]) -> float:
        """Return the value of a query language and a passage language."""
        query, passage = languages
        at = self.rows.index(lookup("query language", query, dict.fromkeys(self.rows, query)))
        columns = dict.fromkeys(self.columns, passage)
        return float(self.values[at, self.columns.index(lookup("language", passage, columns))])


@dataclass(frozen=True, eq=False)
class Results:
    """How a model did on a collection: values of measures for each query in each setting.

    Attributes
    ----------
    provenance
        The model and its fingerprint, the collection and its origin, and what else values depend
        on: equal provenance means equal values.
    timing
        Date, seconds, machine, and how model and data were named: what differs between runs of the
        same evaluation.

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
    known: Mapping[KindName, dict[Measure, Estimate]] | None = None

    def __repr__(self) -> str:
        """Say in a line whose they are."""
        kinds = ", ".join(self.kinds)
        return f"Results({self.model!r} on {self.collection!r}: {kinds})"

    def _repr_html_(self) -> str:
        from beir_hybrid.results.render import html_table

        return html_table(self)

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
        there = set(self.table["kind"].unique().to_pylist())
        return tuple(kind for kind in SETTING_KINDS if kind in there)

    def summary(self) -> dict[KindName, dict[Measure, Estimate]]:
        """Return each measure's average over the settings of each kind, with its interval."""
        return {kind: dict(row) for kind, row in self._summary.items()}

    @cached_property
    def _summary(self) -> Mapping[KindName, dict[Measure, Estimate]]:
        if self.known is not None:
            return self.known
        weights: dict[int, np.ndarray] = {}
        found: dict[KindName, dict[Measure, Estimate]] = {}
        for kind in self.kinds:
            found[kind] = {}
            for measure in self.measures:
                values = self.values(measure, kind)
                if values is None:
                    continue
                n = len(np.unique(values.question))
                if n <= _FEW and n not in weights:
                    weights[n] = draw(n, SAMPLES)
                low, high = interval(values, samples=SAMPLES, weights=weights.get(n))
                macro, micro = average(values), average(values, macro=False)
                reference = self.provenance.list_unbiased(kind).get(str(measure))
                found[kind][measure] = Estimate(
                    macro, low, high, micro, len(values.value), reference
                )
        return found

    def values(self, measure: Measure | str, kind: KindName) -> Values | None:
        """Return a measure's values in the settings of a kind, or nothing if it has none there.

        Questions are numbered in the order of their ids, settings in that of `means`.
        """
        column, rows = self._column(measure), self._rows(kind)
        value = column[rows]
        there = ~np.isnan(value)
        if not there.any():
            return None
        question, setting = self._codes
        _, setting = np.unique(setting[rows][there], return_inverse=True)
        return Values(question[rows][there], setting, value[there])

    def matrix(self, measure: Measure | str, *, one_target: bool = False) -> Matrix:
        """Return a measure by query language and passage language.

        With ``one_target``, of the pool without the relevant passages of other languages.
        """
        kinds = {kind for kind, sides in SETTING_KINDS.items() if not sides.pool}
        kinds = {"one-target"} if one_target else kinds - {"one-target"}
        means = {
            (setting.queries, setting.passages): found
            for setting, found in self.means(measure).items()
            if setting.kind in kinds
        }
        if not means:
            wanted = "one-target" if one_target else "mono or cross"
            raise BadOption(f"these results have no {wanted} settings with {measure}")
        rows, columns = (
            tuple(sorted({pair[side] for pair in means}, key=language_sort_key)) for side in (0, 1)
        )
        cells = [[means.get((row, column), np.nan) for column in columns] for row in rows]
        return Matrix(rows, columns, np.array(cells, np.float64))

    def means(self, measure: Measure | str) -> dict[Setting, float]:
        """Return a measure's mean in each setting that has it."""
        column, (_, setting) = self._column(measure), self._codes
        there = ~np.isnan(column)
        total = np.bincount(setting[there], column[there], len(self.settings))
        count = np.bincount(setting[there], minlength=len(self.settings))
        return {
            self.settings[i]: float(total[i] / count[i]) for i in np.flatnonzero(count).tolist()
        }

    def per_query(self) -> pa.Table:
        """Return a row for each query in each setting, with a column for each measure.

        ``question`` is what translations of a query have in common. NaN: the measure does not
        apply. ``.to_pandas()`` turns it into a data frame.
        """
        return self.table

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """The settings, in the order of the table."""
        return tuple(self._numbered[0])

    @cached_property
    def _numbered(self) -> tuple[list[Setting], np.ndarray]:
        """The settings, and the number of each row's."""
        parts = [self.table[name].combine_chunks() for name in _KEYS[:3]]
        codes = [to_numpy(pa.chunked_array([part.indices])).astype(np.int64) for part in parts]
        names = [part.dictionary.to_pylist() for part in parts]
        width = len(names[2])
        code = (codes[0] * len(names[1]) + codes[1]) * width + codes[2]
        _, first, place = np.unique(code, return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        settings = [
            Setting(names[0][one[0]], names[1][one[1]], names[2][one[2]])
            for one in zip(*(column[first[order]].tolist() for column in codes), strict=True)
        ]
        return settings, number[place]

    @cached_property
    def _codes(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of each row's question and setting."""
        questions = self.table["question"].combine_chunks()
        by_id = np.argsort(np.array(questions.dictionary.to_pylist(), dtype=object), kind="stable")
        number = np.empty_like(by_id)
        number[by_id] = np.arange(len(by_id))
        codes = to_numpy(pa.chunked_array([questions.indices]))
        return number[codes], self._numbered[1]

    def _rows(self, kind: KindName) -> np.ndarray:
        parse_kinds([kind])
        mine = np.array([setting.kind == kind for setting in self.settings])
        return np.flatnonzero(mine[self._codes[1]])

    def _column(self, measure: Measure | str) -> np.ndarray:
        name = lookup("measure of these results", str(measure), {str(m): 0 for m in self.measures})
        del name
        column = self.table[str(measure)].combine_chunks()
        return np.frombuffer(column.buffers()[1], np.float64)[column.offset :][: len(column)]

    def save(self, folder: str | Path) -> Path:
        """Write ``results.json``, ``per_query.parquet`` and ``timing.json`` into a folder.

        The first two have the same bytes whenever the values are the same. Killed at any moment,
        it leaves the whole results that were there, or these.
        """
        import pyarrow.parquet as pq

        folder = Path(folder)
        path, coming = folder / RESULTS, folder / COMING
        # The lock sweeps what a killed run left of `RESULTS` and `COMING`.
        with file_lock(folder / "results"), explain_write_errors(path):
            _settle(folder)
            with atomic_file(coming) as temporary:
                pq.write_table(self.table, temporary, compression="zstd")
            with atomic_file(folder / TIMING) as temporary:
                temporary.write_text(_json(to_record(self.timing)), "utf-8")
            with atomic_file(path) as temporary:
                temporary.write_text(_json(self._stored(sha256(coming))), "utf-8")
            _settle(folder)
        return folder

    def _stored(self, per_query: str) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "about": to_record(self.provenance),
            "measures": [str(measure) for measure in self.measures],
            "summary": {
                kind: {str(measure): asdict(found) for measure, found in row.items()}
                for kind, row in self._summary.items()
            },
            "settings": list(self._stored_settings()),
            "per_query": per_query,
        }

    def _stored_settings(self) -> Iterator[dict[str, Any]]:
        means = {str(measure): self.means(measure) for measure in self.measures}
        for setting in self.settings:
            values = {name: found[setting] for name, found in means.items() if setting in found}
            yield {**setting._asdict(), "values": values}

    @classmethod
    def load(cls, folder: str | Path) -> "Results":
        """Read what `save` wrote; raise `BadData` if it is damaged or of a newer version.

        ``timing.json`` may be missing.
        """
        import pyarrow.parquet as pq

        folder = Path(folder)
        path = folder / RESULTS
        if not path.is_file():
            raise BadData(f"{folder} holds no results: it lacks {RESULTS}")
        try:
            stored = json.loads(path.read_bytes())
            if stored["format"] > FORMAT:
                raise BadData(
                    f"{path} has format {stored['format']}, and this version reads {FORMAT}: "
                    "upgrade beir-hybrid"
                )
            measures = tuple(parse_measure(name) for name in stored["measures"])
            summary = {
                SETTING_KINDS[kind].name: {
                    parse_measure(name): Estimate(**one) for name, one in row.items()
                }
                for kind, row in stored["summary"].items()
            }
            provenance = from_record(Provenance, stored["about"], f"{path}: about")
            table = pq.read_table(_whole(folder, stored["per_query"]))
        except _DAMAGE as error:
            raise BadData(f"{path} is no results file: {error!r}") from error
        return cls(table, measures, provenance, _read_timing(folder / TIMING), summary)


# What reading something else than results raises, parsing of measures included.
_DAMAGE = (ValueError, KeyError, TypeError, NameError, AttributeError)


def _read_timing(path: Path) -> Timing:
    """Read the timing; an empty one if there is no file."""
    if not path.is_file():
        return Timing()
    try:
        return from_record(Timing, json.loads(path.read_bytes()), str(path))
    except ValueError as error:
        raise BadData(f"{path} is not JSON: {error}") from error


def _settle(folder: Path) -> None:
    """Give the table its name if `RESULTS` means it; a killed run may have left that undone."""
    coming, path = folder / COMING, folder / RESULTS
    if coming.is_file() and path.is_file():
        try:
            meant = json.loads(path.read_bytes())["per_query"]
        except (ValueError, KeyError, TypeError):
            return
        if meant == sha256(coming):
            coming.replace(folder / PER_QUERY)


def _whole(folder: Path, checksum: str) -> Path:
    """Return the file of the table with a checksum."""
    # The last again, for a save may just have renamed it.
    for path in (folder / PER_QUERY, folder / COMING, folder / PER_QUERY):
        try:
            if sha256(path) == checksum:
                return path
        except FileNotFoundError:
            continue
    path = folder / PER_QUERY
    reason = "is damaged: its checksum is not the stored one" if path.is_file() else "is not there"
    raise BadData(f"{path} {reason}")


def _json(stored: object) -> str:
    return json.dumps(stored, ensure_ascii=False, indent=1) + "\n"


def table_of(
    collection: Collection,
    parts: Sequence[tuple[Rankings, Mapping[Measure, np.ndarray]]],
    measures: Sequence[Measure],
) -> pa.Table:
    """Return the per-query table of rankings' values: by kind, setting and query."""
    kinds = list(SETTING_KINDS)
    number = np.concatenate(
        [np.full(len(some.query_rows), kinds.index(some.kind)) for some, _ in parts]
    )
    asked = np.concatenate([some.judgements.query_language for some, _ in parts])
    target = np.concatenate([some.targets for some, _ in parts])
    row = np.concatenate([some.query_rows for some, _ in parts])
    order = np.lexsort((row, target, asked, number))
    langs = pa.array(list_targets(collection.codes))
    columns = {
        name: pa.DictionaryArray.from_arrays(to_arrow(codes[order].astype(np.int32)), names)
        for name, codes, names in (
            ("kind", number, pa.array(kinds)),
            ("queries", asked, langs),
            ("passages", target, langs),
        )
    }
    distinct, at = np.unique(row[order], return_inverse=True)
    rows = collection.queries.take(to_arrow(distinct))
    for name, source in (("query", "id"), ("question", "group")):
        texts = pc.dictionary_encode(rows[source].combine_chunks())
        codes = to_numpy(pa.chunked_array([texts.indices]))[at].astype(np.int32)
        columns[name] = pa.DictionaryArray.from_arrays(to_arrow(codes), texts.dictionary)
    for measure in measures:
        found = [
            values.get(measure, np.full(len(some.query_rows), np.nan)) for some, values in parts
        ]
        column = np.concatenate(found)[order]
        columns[str(measure)] = pa.Array.from_buffers(
            pa.float64(), len(column), [None, pa.py_buffer(column)]
        )
    return pa.table(columns)
