"""Standard errors of the differences between any two of many systems."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from beir_hybrid.collection.setting import Setting
from beir_hybrid.results.group_sums import CellSums, sum_cells
from beir_hybrid.results.measurements import Measurements
from beir_hybrid.results.values import RowNames, Values, hash_groups

if TYPE_CHECKING:
    from beir_hybrid.collection.setting import KindName


_LEAST_GROUPS = 6  # five signs are equal by chance in one of sixteen cases
_ROUNDING = 1e-12  # of deviations: a difference that varies less is the same in all groups


class PairedError(NamedTuple):
    """The standard error of a difference, NaN where it is not known, over a number of groups."""

    error: float
    n_groups: int

    @property
    def margin(self) -> float:
        """Half of the difference's 95% interval, by the t distribution."""
        return self.error * find_quantile(self.n_groups)

    def find_p(self, difference: float) -> float:
        """Return the probability of a difference as far from 0, in both directions, by t.

        If the difference is the same in all groups, it is that of as many equal signs.
        """
        from scipy.special import stdtr

        if not self.error:
            return 2.0 ** (1 - self.n_groups) if difference else 1.0
        return 2 * float(stdtr(self.n_groups - 1, -abs(difference) / self.error))


def find_quantile(n_groups: int) -> float:
    """Return how many standard errors a 95% interval reaches to both sides."""
    from scipy.special import stdtrit

    return float(stdtrit(n_groups - 1, 0.975))


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
    same_rows: dict[tuple[bytes, RowNames | None], list[int]] = {}
    for i, cell in enumerate(cells):
        if cell is not None and len(cell.groups) >= least_groups:
            rows = b"".join(part.tobytes() for part in (cell.groups, cell.settings, cell.counts))
            same_rows.setdefault((rows, cell.names), []).append(i)
    for places in same_rows.values():
        parts = np.stack([_list_parts(cell) for i in places if (cell := cells[i]) is not None])
        n_groups = parts.shape[1]
        squares = np.stack([((parts - row) ** 2).sum(axis=1) for row in parts])
        sizes = (parts**2).sum(axis=1)
        squares[squares < _ROUNDING**2 * (sizes[:, None] + sizes)] = 0
        errors[np.ix_(places, places)] = np.sqrt(squares * n_groups / (n_groups - 1))
    return errors


def count_groups(values: Values | None) -> int:
    """Return the number of groups of queries; 0 without values."""
    return 0 if values is None else len(np.unique(values.group))


def compute_setting_errors(
    first: Measurements, second: Measurements, measure: str
) -> dict[tuple[str, str], PairedError]:
    """Return the error of a difference in each setting that both have, by its languages.

    Settings are monolingual, cross-lingual and pools; see `compute_paired_errors`.
    """
    values, second_values = (_list_by_setting(results, measure) for results in (first, second))
    errors = {}
    for setting, setting_values in values.items():
        if setting not in second_values:
            continue
        parts = setting_values, second_values[setting]
        error = float(compute_paired_errors(parts)[0, 1])
        errors[setting.queries, setting.passages] = PairedError(error, count_groups(parts[0]))
    return errors


def _list_by_setting(results: Measurements, measure: str) -> dict[Setting, Values]:
    """Return the values of each monolingual or cross-lingual setting and pool.

    Groups are numbered in each setting by itself: others may have groups that it lacks.
    """
    kinds: tuple[KindName, ...] = ("mono", "cross", "multi")
    by_setting = {}
    for kind in kinds:
        values = results.values(measure, kind) if kind in results.kinds else None
        if values is None or values.names is None:
            continue
        ids = results.list_groups(kind)
        for number, setting in enumerate(values.names.settings):
            if part := values.select_setting(number):
                groups, group = np.unique(part.group, return_inverse=True)
                names = RowNames(hash_groups(ids[i] for i in groups.tolist()), (setting,))
                by_setting[setting] = replace(part, group=group, names=names)
    return by_setting


def _list_parts(cells: CellSums) -> np.ndarray:
    """Return each group's part of the average's deviation, (groups,); they add up to 0."""
    counts = cells.counts.sum(axis=1, keepdims=True)
    deviations = cells.sums - cells.counts * (cells.sums.sum(axis=1, keepdims=True) / counts)
    parts: np.ndarray = (deviations / counts).mean(axis=0)
    return parts
