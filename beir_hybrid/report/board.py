"""A table of the leaderboard: entries on one benchmark, with their values and ranks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ir_measures import parse_measure

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures.base import BiasMeasure, Direction
from beir_hybrid.report.columns import CellValue, Column, list_columns
from beir_hybrid.report.entries import Benchmark, Entry
from beir_hybrid.report.variants import (
    Variant,
    fill_gains,
    find_variants,
    group_variants,
    make_gain_column,
)
from beir_hybrid.results.compare import rank_systems
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.render import format_value

PAIRED_SYSTEMS = 6  # at most: every pair of these gets a page
_SAMPLES = 10_000  # of the tests behind tied ranks
_MAIN_MEASURES = ("AP", "nDCG@10")  # the table shows the first of these that the entries have
# Kinds of settings by which entries may be ranked: the first that an entry has.
_TEXT_RANKING: tuple[KindName, ...] = ("multi", "mono", "cross", "one-target")
_IMAGE_RANKING: tuple[KindName, ...] = ("text-image", "image-text", "image-pool", "mixed")
_RANK_DESCRIPTION = (
    "by the chosen measure, {}; a system shares a rank if a randomisation test with Holm's "
    "correction does not tell it apart from the best of that rank; for chosen languages, the order "
    "of the figures that the caption names"
)


@dataclass(frozen=True)
class Row:
    """An entry and its cells.

    A cell holds values by the measure that the reader may choose; a cell that always shows the
    same has one value, under the empty name.
    """

    entry: Entry
    cells: tuple[Mapping[str, CellValue], ...]
    variant: Variant | None = None


@dataclass(frozen=True)
class Board:
    """A table of the leaderboard: entries on one benchmark, best first.

    The variants of a model stand below it, wherever the best of them belongs.

    Attributes
    ----------
    measures
        Those that the reader can choose, the main one first.
    kind
        The kind of settings by which entries are sorted and ranked.
    notes
        Why there are no ranks.
    """

    benchmark: Benchmark
    measures: tuple[str, ...]
    kind: KindName
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def main_measure(self) -> str:
        """The measure that shows first."""
        return self.measures[0]

    @property
    def pool_kind(self) -> KindName:
        """The kind of settings whose pool holds all languages, so that a system may prefer some."""
        return _get_pool_kind(self.benchmark)

    @property
    def groups(self) -> list[list[Row]]:
        """The rows in groups: a model and its variants."""
        groups: list[list[Row]] = []
        for row in self.rows:
            if row.variant is None:
                groups.append([])
            groups[-1].append(row)
        return groups

    @property
    def chosen_columns(self) -> list[Column]:
        """The columns that show the measure that the reader chooses."""
        return [column for column in self.columns if column.kind and not column.measure]

    @property
    def sort_column(self) -> Column | None:
        """The column by which entries are sorted; None if that column is empty."""
        columns = [column for column in self.chosen_columns if column.kind == self.kind]
        return columns[0] if columns else None

    def list_variants(self, entry: Entry) -> list[Entry]:
        """Return the variants of a model."""
        return [row.entry for row in self.rows if row.variant and row.variant.model is entry]

    @property
    def systems(self) -> list[Entry]:
        """The entries with values query by query, best first."""
        systems = [row.entry for row in self.rows if row.entry.results is not None]
        return _sort_entries(systems, self.main_measure, self.kind)

    @property
    def pairs(self) -> list[tuple[Entry, Entry]]:
        """The pairs to compare, the better one first."""
        return list(combinations(self.systems[:PAIRED_SYSTEMS], 2))

    @property
    def headings(self) -> list[tuple[str, int]]:
        """The headings above columns, and how many columns are below each."""
        names = list(dict.fromkeys(column.heading for column in self.columns))
        return [(name, sum(column.heading == name for column in self.columns)) for name in names]


def build_board(entries: Sequence[Entry]) -> Board:
    """Return the table of entries on one benchmark, without columns that would be empty."""
    benchmark = entries[0].benchmark
    measures = _list_measures(entries)
    kind = _choose_kind(entries, measures[0])
    direction = _find_direction(measures[0])
    entries = _sort_entries(entries, measures[0], kind)
    variants = find_variants(entries, measures[0], _get_pool_kind(benchmark))
    entries = [entry for group in group_variants(entries, variants) for entry in group]
    ranks, notes = _rank_entries(entries, measures, kind)
    columns = [
        column if column.measure or not column.kind else replace(column, direction=direction)
        for column in list_columns(entries)
    ]
    description = _RANK_DESCRIPTION.format(SETTING_KINDS[kind].label)
    rank_column = Column("Rank", columns[0].heading, description, direction="lower", role="rank")
    table = [(rank_column, _fill_ranks(entries, measures, ranks))]
    for column in columns:
        table.append((column, _fill_column(entries, column, measures)))
        if column.kind == _get_pool_kind(benchmark) and not column.measure:
            table.append(
                (make_gain_column(column), fill_gains(entries, column, measures, variants))
            )
    table = [(column, cells) for column, cells in table if _has_text(cells)]
    rows = zip(*(cells for _, cells in table), strict=True)
    return Board(
        benchmark=benchmark,
        measures=measures,
        kind=kind,
        columns=tuple(column for column, _ in table),
        rows=tuple(
            Row(entry, cells, variants.get(entry))
            for entry, cells in zip(entries, rows, strict=True)
        ),
        notes=tuple(notes),
    )


def _get_pool_kind(benchmark: Benchmark) -> KindName:
    return "image-pool" if benchmark.has_images else "multi"


def _sort_entries(entries: Sequence[Entry], measure: str, kind: KindName) -> list[Entry]:
    """Return entries in the order of a measure, best first; those of a value by name."""
    direction = _find_direction(measure)
    losses = {id(e): _compute_loss(e.estimate(measure, kind), direction) for e in entries}
    return sorted(entries, key=lambda entry: (losses[id(entry)], entry.name))


def _list_measures(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the measures of effectiveness, the main one first; or else one measure of bias."""
    names: dict[str, None] = {}
    for entry in entries:
        for row in entry.summary.values():
            names |= {name: None for name in row if not _measures_bias(name)}
    measures = list(names) or [name for row in entries[0].summary.values() for name in row][:1]
    default = measures[0] if measures else _MAIN_MEASURES[0]
    main = next((name for name in _MAIN_MEASURES if name in measures), default)
    return (main, *(name for name in measures if name != main))


def _measures_bias(name: str) -> bool:
    return isinstance(parse_measure(name), BiasMeasure)


def _find_direction(name: str) -> Direction:
    """Return which values of a measure are better."""
    measure = parse_measure(name)
    return measure.DIRECTION if isinstance(measure, BiasMeasure) else "higher"


def _choose_kind(entries: Sequence[Entry], measure: str) -> KindName:
    """Return the kind of settings to rank by: the first in which an entry has the measure."""
    kinds = _IMAGE_RANKING if entries[0].benchmark.has_images else _TEXT_RANKING
    present = (kind for kind in kinds if any(entry.estimate(measure, kind) for entry in entries))
    return next(present, kinds[0])


def _rank_entries(
    entries: Sequence[Entry], measures: Sequence[str], kind: KindName
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return tied ranks by measure and entry, and notes that say why there are none."""
    ranks: dict[str, dict[str, int]] = {}
    notes: dict[str, None] = {}
    for measure in measures:
        systems = {
            entry.name: entry.results
            for entry in entries
            if entry.results and entry.estimate(measure, kind)
        }
        samples = max(_SAMPLES, 10 * len(systems) ** 2)  # enough for any pair to differ
        try:
            ranks[measure] = (
                rank_systems(systems, measure, kind, samples=samples) if systems else {}
            )
        except (BadData, BadOption) as error:
            ranks[measure] = {}
            notes[f"No ranks: {error}."] = None
    return ranks, list(notes)


Cells = Sequence[Mapping[str, CellValue]]  # of a column: for each entry, values by measure


def _fill_ranks(
    entries: Sequence[Entry], measures: Sequence[str], ranks: Mapping[str, Mapping[str, int]]
) -> Cells:
    def show_rank(entry: Entry, measure: str) -> CellValue:
        # A published row has no rank, but may have the name of a system that has one.
        rank = ranks[measure].get(entry.name) if entry.results is not None else None
        return CellValue() if rank is None else CellValue(str(rank), rank)

    return [{measure: show_rank(entry, measure) for measure in measures} for entry in entries]


def _fill_column(entries: Sequence[Entry], column: Column, measures: Sequence[str]) -> Cells:
    """Return the cells of a column, with the best values marked."""
    if column.read is not None:
        return [{"": column.read(entry)} for entry in entries]
    names = {"": column.measure} if column.measure else {name: name for name in measures}
    kind = column.kind or ""
    filled = {
        key: _mark_best([entry.estimate(name, kind) for entry in entries], entries, column)
        for key, name in names.items()
    }
    return [{key: values[i] for key, values in filled.items()} for i in range(len(entries))]


def _mark_best(
    estimates: Sequence[Estimate | None], entries: Sequence[Entry], column: Column
) -> list[CellValue]:
    """Show estimates and mark the best; published figures do not compete."""
    losses = {
        i: _compute_loss(estimate, column.direction)
        for i, (estimate, entry) in enumerate(zip(estimates, entries, strict=True))
        if estimate is not None
        and entry.source != "published"
        and (column.direction != "near the unbiased value" or estimate.unbiased is not None)
    }
    best = min(losses.values(), default=0.0)
    is_contest = len(losses) > 1
    return [
        _show_estimate(estimate)._replace(is_best=is_contest and losses.get(i) == best)
        for i, estimate in enumerate(estimates)
    ]


def _compute_loss(estimate: Estimate | None, direction: Direction) -> float:
    """Return a number that is lower for a better value, infinity for none."""
    if estimate is None:
        return math.inf
    value, unbiased = estimate.mean, estimate.unbiased or 0.0
    return {
        "higher": -value,
        "lower": value,
        "near the unbiased value": abs(value - unbiased),
    }[direction]


def _show_estimate(estimate: Estimate | None) -> CellValue:
    if estimate is None:
        return CellValue()
    notes = []
    if not math.isnan(estimate.low):
        notes.append(f"{format_value(estimate.low)} to {format_value(estimate.high)}")
    if estimate.unbiased:
        notes.append(f"unbiased {format_value(estimate.unbiased)}")
    return CellValue(format_value(estimate.mean), estimate.mean, "\n".join(notes))


def _has_text(cells: Cells) -> bool:
    return any(value.text for cell in cells for value in cell.values())
