"""Matrices of languages in, the cells of coloured tables out."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from beir_hybrid.results.render import figure, signed
from beir_hybrid.results.results import Matrix


class Cell(NamedTuple):
    """A cell: its text, how strong its colour is (0 to 1), which of two colours, own language."""

    text: str
    share: float | None = None
    side: str = ""  # of a map that has two: "more" or "less"
    own: bool = False


class HeatMap(NamedTuple):
    """A table of query languages (rows) by passage languages (columns), coloured by value."""

    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    pool: tuple[Cell, ...] = ()  # one more column: the pool, for each row
    scale: str = ""  # what the colours run from and to


def heat_map(title: str, about: str, matrix: Matrix, pool: Sequence[float] = ()) -> HeatMap:
    """Colour values from the lowest to the highest."""
    known = [v for v in (*matrix.values.ravel().tolist(), *pool) if not math.isnan(v)]
    low, high = min(known), max(known)

    def cell(value: float, own: bool) -> Cell:
        if math.isnan(value):
            return Cell("", own=own)
        return Cell(figure(value), _share(value - low, high - low), own=own)

    scale = f"{figure(low)} to {figure(high)}"
    column = tuple(cell(value, False) for value in pool)
    return HeatMap(title, about, matrix.columns, _rows(matrix, cell), column, scale)


def signed_map(title: str, about: str, matrix: Matrix, pool: Sequence[float] = ()) -> HeatMap:
    """Colour differences by how far they are from 0, and to which side."""
    known = [abs(v) for v in (*matrix.values.ravel().tolist(), *pool) if not math.isnan(v)]
    most = max(known)

    def cell(value: float, own: bool) -> Cell:
        if math.isnan(value):
            return Cell("", own=own)
        side = "more" if value > 0 else "less"
        return Cell(signed(value), _share(abs(value), most), side, own)

    column = tuple(cell(value, False) for value in pool)
    scale = f"{signed(-most)} to {signed(most)}"
    return HeatMap(title, about, matrix.columns, _rows(matrix, cell), column, scale)


def less_mean(matrix: Matrix) -> Matrix:
    """Return each value less the mean of its row: what a passage's language makes of it."""
    means = np.nanmean(matrix.values, axis=1, keepdims=True)
    return Matrix(matrix.rows, matrix.columns, matrix.values - means)


def _share(value: float, most: float) -> float:
    return round(value / most, 3) if most > 0 else 0.0


def _rows(
    matrix: Matrix, cell: Callable[[float, bool], Cell]
) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    return tuple(
        (row, tuple(cell(v, row == lang) for v, lang in zip(values, matrix.columns, strict=True)))
        for row, values in zip(matrix.rows, matrix.values.tolist(), strict=True)
    )
