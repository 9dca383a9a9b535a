"""Standard errors of the differences between any two of many systems."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.results.group_sums import CellSums, sum_cells
from beir_hybrid.results.measurements import Measurements
from beir_hybrid.results.values import Values

if TYPE_CHECKING:
    from beir_hybrid.collection.setting import KindName


_LEAST_GROUPS = 30  # with fewer, 1.96 errors to both sides are no interval of 95%


def compute_paired_errors(
    systems: Sequence[Values | None], least_groups: int = _LEAST_GROUPS
) -> np.ndarray:
    """Return the standard error of the difference of every two systems' averages, (n, n) float64.

    Groups of queries that translate each other count as one observation, as they do where intervals
    are resampled; the error is that of a sum over groups. NaN where two systems have not the same
    rows, or there are fewer than `least_groups`, which is at least 2.
    """
    errors = np.full((len(systems), len(systems)), np.nan)
    cells = [None if values is None else sum_cells(values) for values in systems]
    same_rows: dict[bytes, list[int]] = {}
    for i, cell in enumerate(cells):
        if cell is not None and len(cell.groups) >= least_groups:
            rows = b"".join(part.tobytes() for part in (cell.groups, cell.settings, cell.counts))
            same_rows.setdefault(rows, []).append(i)
    for places in same_rows.values():
        parts = np.stack([_list_parts(cell) for i in places if (cell := cells[i]) is not None])
        covariance = parts @ parts.T * parts.shape[1] / (parts.shape[1] - 1)
        variance = np.diag(covariance)
        squares = variance[:, None] + variance[None, :] - 2 * covariance
        errors[np.ix_(places, places)] = np.sqrt(np.maximum(squares, 0))
    return errors


def compute_setting_errors(
    first: Measurements, second: Measurements, measure: str
) -> dict[tuple[str, str], float]:
    """Return the standard error of a difference in each setting, by its languages.

    Settings are monolingual, cross-lingual and pools; see `compute_paired_errors`.
    """
    kinds: tuple[KindName, ...] = ("mono", "cross", "multi")
    errors = {}
    for kind in kinds:
        pair = [
            results.values(measure, kind) if kind in results.kinds else None
            for results in (first, second)
        ]
        settings = [setting for setting in first.means(measure) if setting.kind == kind]
        for number, setting in enumerate(settings):
            parts = [None if values is None else values.select_setting(number) for values in pair]
            error = float(compute_paired_errors(parts)[0, 1])
            errors[setting.queries, setting.passages] = error
    return errors


def _list_parts(cells: CellSums) -> np.ndarray:
    """Return each group's part of the average's deviation, (groups,); they add up to 0."""
    counts = cells.counts.sum(axis=1, keepdims=True)
    deviations = cells.sums - cells.counts * (cells.sums.sum(axis=1, keepdims=True) / counts)
    parts: np.ndarray = (deviations / counts).mean(axis=0)
    return parts
