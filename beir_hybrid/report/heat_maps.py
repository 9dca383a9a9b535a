"""Heat maps: tables of query languages by passage languages, coloured by value."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from beir_hybrid.collection.setting import ALL
from beir_hybrid.results.estimate import Estimate, Matrix
from beir_hybrid.results.paired_errors import PairedError
from beir_hybrid.results.pool_languages import PoolLanguages
from beir_hybrid.results.render import format_ratio, format_signed, format_value
from beir_hybrid.results.statistics import adjust_p_values

_ALPHA = 0.05


class HeatCell(NamedTuple):
    """A cell of a heat map.

    Attributes
    ----------
    strength
        Of the colour, from 0 to 1; None for an empty cell.
    side
        Which of two colours, in a map of differences: ``more`` or ``less``.
    is_monolingual
        Whether query and passages are in one language.
    note
        Small text below.
    is_significant
        Whether a difference is more than chance.
    """

    text: str
    strength: float | None = None
    side: str = ""
    is_monolingual: bool = False
    note: str = ""
    is_significant: bool = False


class HeatMap(NamedTuple):
    """A table of query languages (rows) by passage languages (columns), coloured by value.

    Attributes
    ----------
    pool
        One more column: the pool of all languages, for each row.
    scale
        The lowest and the highest value, for the legend.
    """

    title: str
    description: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]
    pool: tuple[HeatCell, ...] = ()
    scale: str = ""


def map_values(title: str, description: str, matrix: Matrix, pool: Sequence[float] = ()) -> HeatMap:
    """Colour values from the lowest to the highest."""
    values = _list_values(matrix, pool)
    low, high = min(values), max(values)

    def colour_cell(value: float, is_monolingual: bool) -> HeatCell:
        if math.isnan(value):
            return HeatCell("", is_monolingual=is_monolingual)
        strength = _divide(value - low, high - low)
        return HeatCell(format_value(value), strength, is_monolingual=is_monolingual)

    column = tuple(colour_cell(value, False) for value in pool)
    scale = f"{format_value(low)} to {format_value(high)}"
    rows = _colour_rows(matrix, colour_cell)
    return HeatMap(title, description, matrix.columns, rows, column, scale)


def map_differences(
    title: str, description: str, matrix: Matrix, pool: Sequence[float] = ()
) -> HeatMap:
    """Colour differences by their distance from 0, with one colour for each sign."""
    largest = max(abs(value) for value in _list_values(matrix, pool))

    def colour_cell(value: float, is_monolingual: bool) -> HeatCell:
        if math.isnan(value):
            return HeatCell("", is_monolingual=is_monolingual)
        side = "more" if value > 0 else "less"
        return HeatCell(format_signed(value), _divide(abs(value), largest), side, is_monolingual)

    column = tuple(colour_cell(value, False) for value in pool)
    scale = f"{format_signed(-largest)} to {format_signed(largest)}"
    rows = _colour_rows(matrix, colour_cell)
    return HeatMap(title, description, matrix.columns, rows, column, scale)


def mark_differences(
    heat_map: HeatMap,
    matrix: Matrix,
    pool: Sequence[float],
    errors: Mapping[tuple[str, str], PairedError],
) -> HeatMap:
    """Add the reach of its 95% interval to each difference, and mark those that are significant.

    Parameters
    ----------
    errors
        By the languages of queries and passages, ``all`` for the pool.
    """
    columns = (*matrix.columns, *([ALL] if len(pool) else []))
    pairs = [(row, column) for row in matrix.rows for column in columns]
    values = np.column_stack([matrix.values, pool]) if len(pool) else matrix.values
    tested = {
        pair: errors[pair].find_p(value)
        for pair, value in zip(pairs, values.ravel().tolist(), strict=True)
        if pair in errors and not math.isnan(errors[pair].error)
    }
    is_sure = dict(zip(tested, (adjust_p_values([*tested.values()]) <= _ALPHA), strict=True))

    def mark(cell: HeatCell, row: str, column: str) -> HeatCell:
        pair = row, column
        if not cell.text or pair not in tested:
            return cell
        note = f"±{format_value(errors[pair].margin)}" if errors[pair].error else ""
        return cell._replace(note=note, is_significant=bool(is_sure[pair]))

    rows = tuple(
        (row, tuple(mark(cell, row, column) for cell, column in zip(cells, columns, strict=False)))
        for row, cells in heat_map.rows
    )
    marked = tuple(
        mark(cell, row, ALL) for cell, row in zip(heat_map.pool, matrix.rows, strict=False)
    )
    return heat_map._replace(rows=rows, pool=marked)


def map_pool_languages(title: str, description: str, pool: PoolLanguages) -> HeatMap:
    """Colour shares of languages by their distance from the share of the relevant passages."""
    cells = [estimate for row in pool.estimates.values() for estimate in row.values()]
    largest = max(abs(_compute_excess(estimate)) for estimate in cells)

    def colour_cell(query: str, language: str) -> HeatCell:
        estimate = pool[query, language]
        excess = _compute_excess(estimate)
        text = f"{estimate.mean:.0%} {format_ratio(pool.ratio(query, language))}".strip()
        side = "more" if excess > 0 else "less"
        return HeatCell(text, _divide(abs(excess), largest), side, query == language)

    rows = tuple(
        (query, tuple(colour_cell(query, language) for language in pool.languages))
        for query in pool.estimates
    )
    scale = f"{-largest:+.0%} to {largest:+.0%}"
    return HeatMap(title, description, pool.languages, rows, scale=scale)


def _compute_excess(estimate: Estimate) -> float:
    """Return by how much a share is above the share of the relevant passages."""
    return estimate.mean - (estimate.unbiased or 0.0)


def subtract_row_means(matrix: Matrix) -> Matrix:
    """Return each value less the mean of its row: the effect of the passages' language."""
    means = np.nanmean(matrix.values, axis=1, keepdims=True)
    return Matrix(matrix.rows, matrix.columns, matrix.values - means)


def _list_values(matrix: Matrix, pool: Sequence[float]) -> list[float]:
    values = (*matrix.values.ravel().tolist(), *pool)
    return [value for value in values if not math.isnan(value)]


def _divide(value: float, largest: float) -> float:
    return round(value / largest, 3) if largest > 0 else 0.0


def _colour_rows(
    matrix: Matrix, colour_cell: Callable[[float, bool], HeatCell]
) -> tuple[tuple[str, tuple[HeatCell, ...]], ...]:
    return tuple(
        (
            row,
            tuple(
                colour_cell(value, row == column)
                for value, column in zip(values, matrix.columns, strict=True)
            ),
        )
        for row, values in zip(matrix.rows, matrix.values.tolist(), strict=True)
    )
