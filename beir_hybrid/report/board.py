"""Entries on one collection in, the rows and columns of their table out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from ir_measures import parse_measure

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.report.columns import Column, Value, columns_of
from beir_hybrid.report.entries import Entry, Group
from beir_hybrid.results.compare import tied_ranks
from beir_hybrid.results.render import figure
from beir_hybrid.results.results import Estimate

FEW = 6  # systems of which every pair gets a page
_SAMPLES = 10_000  # of the tests behind tied ranks
_MAIN = ("AP", "nDCG@10")  # what the table shows first, if it is there
# By what systems are ranked, the first that there is, and the columns of the measure chosen.
_TEXTS: dict[KindName, str] = {"multi": "Mul", "mono": "Mo", "cross": "Cr", "one-target": "1T"}
_PICTURES: dict[KindName, str] = {"text-image": "T2I", "image-text": "I2T", "image-pool": "Pool",
                              "mixed": "Mix"}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """An entry and its cells: in each, values by the measure chosen, or one that always shows."""

    entry: Entry
    cells: tuple[Mapping[str, Value], ...]


@dataclass(frozen=True)
class Board:
    """A table of the leaderboard: entries on one collection, best first."""

    group: Group
    measures: tuple[str, ...]  # that can be chosen, the main one first
    kind: KindName  # of settings by which entries are sorted and ranked
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def main(self) -> str:
        """The measure that shows first."""
        return self.measures[0]

    @property
    def pool(self) -> KindName:
        """The settings whose passages are in all languages, where systems may prefer some."""
        return "image-pool" if self.group.pictures else "multi"

    @property
    def chosen(self) -> list[str]:
        """The titles of the columns that show the measure chosen."""
        if not self.group.pictures:
            return ["Mo", "Cr", "Mul"]
        return [column.title for column in self.columns if column.kind and not column.measure]

    @property
    def by(self) -> str:
        """The title of the column by which entries are sorted."""
        return (_PICTURES | _TEXTS)[self.kind]

    @property
    def judged(self) -> list[Entry]:
        """The entries with values query by query, best first."""
        return [row.entry for row in self.rows if row.entry.results is not None]

    @property
    def pairs(self) -> list[tuple[Entry, Entry]]:
        """The pairs to compare, the better one first."""
        return list(combinations(self.judged[:FEW], 2))

    @property
    def bands(self) -> list[tuple[str, int]]:
        """The headings above columns, and how many each is above."""
        names = list(dict.fromkeys(column.band for column in self.columns))
        return [(name, sum(column.band == name for column in self.columns)) for name in names]


def board_of(entries: Sequence[Entry]) -> Board:
    """Return the table of entries on one collection."""
    measures = _measures(entries)
    ranked_by = list(_PICTURES if entries[0].group.pictures else _TEXTS)
    there = [k for k in ranked_by if any(entry.found(measures[0], k) for entry in entries)]
    kind = there[0] if there else ranked_by[0]
    entries = sorted(
        entries, key=lambda entry: (-_mean(entry.found(measures[0], kind)), entry.name)
    )
    ranks, notes = _ranks(entries, measures, kind)
    rows = [[_cell(entry, column, measures) for column in columns_of(entries)] for entry in entries]
    # What is published may have the name of an entry that has a rank.
    known = [ranks if entry.results is not None else {} for entry in entries]
    ranked = [
        {name: _rank(mine.get(name, {}).get(entry.name)) for name in measures}
        for mine, entry in zip(known, entries, strict=True)
    ]
    band = columns_of(entries)[0].band
    columns = [Column("Rank", band, _RANK.format(SETTING_KINDS[kind].label), good="low")]
    columns += columns_of(entries)
    table = [[mine, *row] for mine, row in zip(ranked, rows, strict=True)]
    kept = [n for n in range(len(columns)) if any(_filled(row[n]) for row in table)]
    marked = [_marked([row[n] for row in table], columns[n], entries) for n in kept]
    cells = list(zip(*marked, strict=True))
    return Board(
        group=entries[0].group,
        measures=measures,
        kind=kind,
        columns=tuple(columns[n] for n in kept),
        rows=tuple(Row(entry, row) for entry, row in zip(entries, cells, strict=True)),
        notes=tuple(notes),
    )


def _measures(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the measures of effectiveness that some entry has, the main one first."""
    found: dict[str, None] = {}
    for entry in entries:
        for row in entry.summary.values():
            found |= {name: None for name in row if not is_bias(name)}
    names = list(found) or [name for row in entries[0].summary.values() for name in row]
    first = next((name for name in _MAIN if name in names), names[0] if names else _MAIN[0])
    return (first, *(name for name in names if name != first))


def is_bias(measure: str) -> bool:
    """Return whether a measure is of language bias."""
    return isinstance(parse_measure(measure), BiasMeasure)


def _ranks(
    entries: Sequence[Entry], measures: Sequence[str], kind: KindName
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return tied ranks by measure, and what a reader must know where there are none."""
    found: dict[str, dict[str, int]] = {}
    notes: dict[str, None] = {}
    for measure in measures:
        systems = {e.name: e.results for e in entries if e.results and e.found(measure, kind)}
        samples = max(_SAMPLES, 10 * len(systems) ** 2)  # so that any pair could differ
        try:
            found[measure] = tied_ranks(systems, measure, kind, samples=samples) if systems else {}
        except (BadData, BadOption) as error:
            found[measure] = {}
            notes[f"No ranks: {error}."] = None
    return found, list(notes)


def _rank(rank: int | None) -> Value:
    return Value() if rank is None else Value(str(rank), rank)


def _cell(entry: Entry, column: Column, measures: Sequence[str]) -> dict[str, Value]:
    if column.fact is not None:
        return {"": column.fact(entry)}
    if column.measure:
        return {"": _value(entry.found(column.measure, column.kind))}
    return {name: _value(entry.found(name, column.kind)) for name in measures}


def _value(found: Estimate | None) -> Value:
    if found is None:
        return Value()
    below = []
    if not math.isnan(found.low):
        below.append(f"{figure(found.low)} to {figure(found.high)}")
    if found.unbiased:
        below.append(f"unbiased {figure(found.unbiased)}")
    share = found.mean if 0 <= found.mean <= 1 else None
    return Value(figure(found.mean), found.mean, "\n".join(below), share)


def _mean(found: Estimate | None) -> float:
    return -math.inf if found is None else found.mean


def _filled(cell: Mapping[str, Value]) -> bool:
    return any(value.text for value in cell.values())


def _marked(
    cells: Sequence[Mapping[str, Value]], column: Column, entries: Sequence[Entry]
) -> list[Mapping[str, Value]]:
    """Mark the best of a column; what is published is not of our making, and does not compete."""
    if not column.kind:
        return list(cells)
    marked = [dict(cell) for cell in cells]
    for name in cells[0]:
        free = {entry: _unbiased(entry, column) for entry in entries}
        losses = {
            n: _loss(float(cell[name].sort), column.good, free[entries[n]])  # type: ignore[arg-type]
            for n, cell in enumerate(cells)
            if cell[name].sort is not None
            and entries[n].source != "published"
            and (column.good != "near" or free[entries[n]] is not None)
        }
        best = min(losses.values(), default=0.0)
        for n, loss in losses.items():
            if loss == best and len(losses) > 1:
                marked[n][name] = marked[n][name]._replace(best=True)
    return list(marked)


def _unbiased(entry: Entry, column: Column) -> float | None:
    found = entry.found(column.measure, column.kind)
    return found.unbiased if found else None


def _loss(value: float, good: str, unbiased: float | None) -> float:
    return {"high": -value, "low": value, "near": abs(value - (unbiased or 0.0))}[good]


_RANK = (
    "by the chosen measure, {}; systems share a rank where a randomisation test, Holm-corrected, "
    "does not tell them apart"
)
