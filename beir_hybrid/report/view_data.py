"""The figures that a page computes with: means by setting, averages, errors of differences."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.collection.setting import ALL, IMAGE, MIXED, SETTING_KINDS, KindName, Setting
from beir_hybrid.report.board import Board
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.packing import NO_NUMBER, PackedNumbers, pack
from beir_hybrid.report.page_names import describe_language
from beir_hybrid.report.page_tables import find_ceilings
from beir_hybrid.results.paired_errors import compute_paired_errors, count_groups, find_quantile

if TYPE_CHECKING:
    from markupsafe import Markup

# With more systems, errors of differences are kept for the main measure alone: a page stays small.
_SYSTEMS = 24
_STEP = 1e-6  # pages show four decimals of values, and write six digits of them to files
_ERROR_STEP = 5e-3  # of logarithms: errors of differences are right within a quarter of a percent

Figure = tuple[str, KindName]  # a measure in a kind of settings


def describe_board(
    board: Board, slugs: Mapping[Entry, str], pages: Sequence[tuple[Entry, Entry, str]]
) -> dict[str, object]:
    """Collect the data from which a page recomputes a table, its plot and its comparisons.

    Systems are in the order of the table's rows; figures of systems are packed in that order.
    """
    entries = [row.entry for row in board.rows]
    places = {entry: place for place, entry in enumerate(entries)}
    figures = list(_list_figures(board))
    settings = _list_settings(entries, figures)
    return {
        "systems": _describe_systems(board, slugs, places),
        "kinds": {kind: SETTING_KINDS[kind].label for _, kind in figures},
        "languages": {
            code: describe_language(code)
            for setting in settings
            for code in (setting.queries, setting.passages)
            if code not in (ALL, MIXED, IMAGE)
        },
        "settings": [list(setting) for setting in settings],
        "columns": _describe_columns(board),
        "ranking": board.kind,
        "estimates": {
            f"{measure} {kind}": _pack_estimates(entries, measure, kind)
            for measure, kind in figures
        },
        "compared": [places[entry] for entry in board.systems],
        "means": {
            f"{measure} {kind}": _pack_means(
                entries, measure, [setting for setting in settings if setting.kind == kind]
            )
            for measure, kind in figures
        },
        "errors": {
            f"{measure} {kind}": _pack_errors(entries, measure, kind)
            for measure, kind in _choose_compared(board, figures)
        },
        "ceilings": next(filter(None, map(find_ceilings, entries)), {}),
        "ranks": _list_ranks(board),
        "gains": _list_gains(board),
        "pages": {f"{places[a]} {places[b]}": slug for a, b, slug in pages},
    }


def _describe_systems(
    board: Board, slugs: Mapping[Entry, str], places: Mapping[Entry, int]
) -> list[dict[str, object]]:
    """Return facts about systems by which a page filters, and the place of a variant's model."""
    return [
        {
            key: value
            for key, value in (
                ("name", row.entry.name),
                ("page", slugs.get(row.entry, "")),
                ("size", row.entry.parameters),
                ("speed", row.entry.speed),
                ("family", row.entry.family or None),
                ("licence", row.entry.licence or None),
                ("isTrainedOn", row.entry.is_trained_on or None),
                ("model", None if row.variant is None else places[row.variant.model]),
            )
            if value is not None
        }
        for row in board.rows
    ]


def _describe_columns(board: Board) -> list[dict[str, object]]:
    """Describe the columns of a table, leaving out empty facts to keep pages small."""
    columns = (
        {
            "title": column.title,
            "kind": board.pool_kind if column.role == "gain" else column.kind,
            "measure": column.measure,
            "direction": column.direction,
            "role": column.role,
        }
        for column in board.columns
    )
    return [{key: value for key, value in column.items() if value} for column in columns]


def write_json(record: object) -> "Markup":
    """Return JSON that may stand inside an element of a page, whatever its texts hold."""
    from markupsafe import Markup

    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - no sign of HTML is left


def _list_ranks(board: Board) -> dict[str, list[object]]:
    """Return the ranks of systems by measure; None for a system without one."""
    place = next((i for i, column in enumerate(board.columns) if column.role == "rank"), None)
    if place is None:
        return {}
    cells = [row.cells[place] for row in board.rows]
    return {name: [cell[name].sort_key for cell in cells] for name in board.measures}


def _list_gains(board: Board) -> dict[str, dict[str, list[float]]]:
    """Return by variant and measure how much a calibration gains in the pool, with its interval."""
    return {
        str(place): {
            measure: [round(number, 6) for number in (gain.value, gain.low, gain.high)]
            for (kind, measure), gain in row.variant.differences.items()
            if kind == board.pool_kind and measure in board.measures
        }
        for place, row in enumerate(board.rows)
        if row.variant is not None
    }


def _list_figures(board: Board) -> Iterator[Figure]:
    """Yield the measures that columns show, in their kinds of settings."""
    figures: dict[Figure, None] = {}
    for column in board.columns:
        if column.kind is not None:
            names = [column.measure] if column.measure else board.measures
            figures |= {(name, column.kind): None for name in names}
    entries = [row.entry for row in board.rows]
    for measure, kind in figures:
        if any(entry.estimate(measure, kind) for entry in entries):
            yield measure, kind


def _choose_compared(board: Board, figures: Sequence[Figure]) -> list[Figure]:
    if len(board.rows) <= _SYSTEMS:
        return list(figures)
    biases = {column.measure for column in board.columns if not column.is_extra} - {""}
    return [figure for figure in figures if figure[0] in (board.main_measure, *sorted(biases)[:1])]


def _list_settings(entries: Sequence[Entry], figures: Sequence[Figure]) -> list[Setting]:
    kinds = list(dict.fromkeys(kind for _, kind in figures))
    settings = {
        setting
        for entry in entries
        for measure, kind in figures
        for setting in entry.means(measure)
        if setting.kind == kind
    }
    return sorted(settings, key=lambda setting: (kinds.index(setting.kind), setting))


def _pack_estimates(
    entries: Sequence[Entry], measure: str, kind: KindName
) -> dict[str, PackedNumbers]:
    """Pack means, bounds of intervals and unbiased values of systems; each only if any has one."""
    estimates = [entry.estimate(measure, kind) for entry in entries]
    arrays = {
        name: pack((getattr(estimate, name, None) for estimate in estimates), _STEP)
        for name in ("mean", "low", "high", "unbiased")
    }
    return {name: numbers for name, numbers in arrays.items() if {*numbers["text"]} != {NO_NUMBER}}


def _pack_means(
    entries: Sequence[Entry], measure: str, settings: Sequence[Setting]
) -> PackedNumbers:
    means = [entry.means(measure) for entry in entries]
    return pack((row.get(setting) for row in means for setting in settings), _STEP)


def _pack_errors(entries: Sequence[Entry], measure: str, kind: KindName) -> dict[str, object]:
    """Pack the errors of the differences of every two systems, row by row above the diagonal.

    They are logarithms: errors of close and of distant systems differ by orders of magnitude, and
    all need their first digits. With them go the number of groups of each system, a single number
    if all have as many, and the quantile of t for an interval by this number.
    """
    values = [
        entry.results.values(measure, kind)
        if entry.results is not None and entry.estimate(measure, kind) is not None
        else None
        for entry in entries
    ]
    errors = compute_paired_errors(values)[np.triu_indices(len(entries), 1)]
    with np.errstate(divide="ignore"):  # minus infinity for an error of 0
        numbers = pack(np.log(errors).tolist(), _ERROR_STEP)
    counts = [count_groups(part) for part in values]
    sizes = sorted({count for count in counts if count > 1})
    quantiles = {str(count): round(find_quantile(count), 4) for count in sizes}
    return {**numbers, "groups": counts if len(sizes) > 1 else max(counts), "quantiles": quantiles}
