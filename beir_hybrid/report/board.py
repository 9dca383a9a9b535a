"""Entries on one collection in, the rows and columns of their table out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from ir_measures import parse_measure

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.compare import tied_ranks
from beir_hybrid.evaluation.measures import BiasMeasure
from beir_hybrid.evaluation.render import TITLES, figure
from beir_hybrid.evaluation.results import Estimate
from beir_hybrid.evaluation.settings import Kind
from beir_hybrid.report.entries import Entry, Group

FEW = 6  # systems of which every pair gets a page
_SAMPLES = 10_000  # of the tests behind tied ranks
_MAIN = ("AP", "nDCG@10")  # what the table shows first, if it is there
_RANKED_BY: tuple[Kind, ...] = ("multi", "mono", "cross", "one-target")


class Value(NamedTuple):
    """What stands in a cell: text, what it sorts by, small text below, length of its bar."""

    text: str = ""
    sort: float | str | None = None
    below: str = ""
    bar: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column: a measure in a kind of settings (the chosen measure if it names none), or a fact.

    Attributes
    ----------
    good
        Which of two values is better: the ``high``, the ``low``, or that ``near`` the unbiased one.
    """

    title: str
    band: str  # the heading above several columns
    about: str
    kind: str = ""
    measure: str = ""
    good: str = "high"
    text: bool = False  # not a number
    fact: Callable[[Entry], Value] | None = None


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
    kind: Kind  # of settings by which entries are sorted and ranked
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def main(self) -> str:
        """The measure that shows first."""
        return self.measures[0]

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
    there = [k for k in _RANKED_BY if any(entry.found(measures[0], k) for entry in entries)]
    kind = there[0] if there else "multi"
    entries = sorted(
        entries, key=lambda entry: (-_mean(entry.found(measures[0], kind)), entry.name)
    )
    ranks, notes = _ranks(entries, measures, kind)
    rows = [[_cell(entry, column, measures) for column in _columns(entries)] for entry in entries]
    ranked = [{name: _rank(ranks[name].get(entry.name)) for name in measures} for entry in entries]
    columns = [Column("Rank", "Effectiveness", _RANK.format(TITLES[kind]), good="low")]
    columns += _columns(entries)
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
    entries: Sequence[Entry], measures: Sequence[str], kind: Kind
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
            if cell[name].sort is not None and entries[n].source != "published"
        }
        best = min(losses.values(), default=0.0)
        for n, loss in losses.items():
            if loss == best and len(losses) > 1:
                marked[n][name] = marked[n][name]._replace(best=True)
    return list(marked)


def _unbiased(entry: Entry, column: Column) -> float:
    found = entry.found(column.measure, column.kind)
    return (found.unbiased or 0.0) if found else 0.0


def _loss(value: float, good: str, unbiased: float) -> float:
    return {"high": -value, "low": value, "near": abs(value - unbiased)}[good]


def _columns(entries: Sequence[Entry]) -> list[Column]:
    """Return the columns beside the rank; which passages a share is of, the entries say."""
    names = {name for entry in entries for row in entry.summary.values() for name in row}
    shares = sorted(name for name in names if name.startswith("SameLanguageShare"))
    first, bias, made = "Effectiveness", "Language bias", "System"
    return [
        Column("Mo", first, "monolingual: queries and passages in one language", "mono"),
        Column("Cr", first, "cross-lingual: queries in one language, passages in another", "cross"),
        Column("Mul", first, "multilingual: the passages of all languages in one pool", "multi"),
        Column("R@1 Mo", first, "share of answers that come first, monolingual", "mono", "R@1"),
        Column("R@1 Cr", first, "share of answers that come first, cross-lingual", "cross", "R@1"),
        Column("R@10 Mul", first, "share of answers among the first 10 of the pool", "multi",
               "R@10"),
        Column("Rank distance", bias, "how many ranks lie between the first and the last version "
               "of an answer; lower is better", "multi", "RankDistance", "low"),
        Column("Normalised", bias, "rank distance, 0 at best and 1 for a random ranking", "multi",
               "RankDistance(normalized=True)", "low"),
        Column("Preference", bias, "how often the answer in the query's language comes before all "
               "others; best near its unbiased value", "multi", "LanguagePreference", "near"),
        *(Column(f"Same language{name.removeprefix('SameLanguageShare')}", bias,
                 "share of the first passages that are in the query's language; best near its "
                 "unbiased value", "multi", name, "near") for name in shares[:1]),
        Column("Parameters", made, "of the encoder", good="low", fact=_parameters),
        Column("Texts/s", made, "encoded a second, on the machine that its page names",
               fact=_speed),
        Column("Date", made, "of the evaluation", text=True, fact=_date),
        Column("Recipe", made, "how it came about", good="low", text=True, fact=_recipe),
    ]  # fmt: skip


def _parameters(entry: Entry) -> Value:
    if entry.parameters is None:
        return Value()
    return Value(short(entry.parameters), entry.parameters)


def short(number: float) -> str:
    """Return a large number with three digits.

    >>> short(117_653_760), short(22_713), short(950)
    ('118M', '22.7k', '950')
    """
    for size, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:  # which rounds to it
            return f"{number / size:.3g}{sign}"
    return f"{number:.3g}"


def _speed(entry: Entry) -> Value:
    return Value() if entry.speed is None else Value(f"{entry.speed:,.0f}", entry.speed)


def _date(entry: Entry) -> Value:
    return Value(entry.date, entry.date or None)


def _recipe(entry: Entry) -> Value:
    text = entry.recipe or entry.origin[0]
    return Value(text, text or None)


_RANK = (
    "by the chosen measure, {}; systems share a rank where a randomisation test, Holm-corrected, "
    "does not tell them apart"
)
