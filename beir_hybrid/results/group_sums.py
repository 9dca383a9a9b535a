"""Sums of values by setting and group, which averages, intervals and tests need no more than."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from beir_hybrid.errors import BadData
from beir_hybrid.results.values import RowNames, Values


@dataclass(frozen=True)
class CellSums:
    """Values added up by setting and group."""

    groups: np.ndarray  # (Q,) ascending
    settings: np.ndarray  # (S,) ascending
    sums: np.ndarray  # (S, Q) float64
    counts: np.ndarray  # (S, Q) float64
    names: RowNames | None = None


@dataclass(frozen=True)
class GroupSums:
    """Values added up by group, over settings that hold the same groups.

    XQuAD-R's settings all become one row; a micro average is one row by definition.
    """

    sums: np.ndarray  # (G, Q) float64
    counts: np.ndarray  # (G, Q) float64, rows in *one* of the settings
    sizes: np.ndarray  # (G,) float64, how many settings were added up

    @property
    def shares(self) -> np.ndarray:
        """Each group's part of the average, times the number of groups; (Q,)."""
        means = self.sums / self.counts.sum(axis=1, keepdims=True)
        shares: np.ndarray = means.sum(axis=0) / self.sizes.sum() * self.sums.shape[1]
        return shares

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """Return the average of each resample; ``weights`` is (samples, Q)."""
        counts = weights @ self.counts.T
        has_rows = counts > 0
        means = np.divide(weights @ self.sums.T, counts, out=np.zeros_like(counts), where=has_rows)
        averages: np.ndarray = means.sum(axis=1) / (has_rows @ self.sizes)
        return averages


def sum_cells(values: Values) -> CellSums:
    """Add up values by setting and group."""
    groups, group = np.unique(values.group, return_inverse=True)
    settings, setting = np.unique(values.setting, return_inverse=True)
    shape = len(settings), len(groups)
    cell = setting * len(groups) + group
    size = len(settings) * len(groups)
    sums = np.bincount(cell, values.value, size).reshape(shape)
    counts = np.bincount(cell, minlength=size).reshape(shape)
    return CellSums(groups, settings, sums, counts.astype(np.float64), values.names)


def merge_settings(cells: CellSums, macro: bool) -> GroupSums:
    """Add up settings that hold the same groups; all settings if the average is not macro."""
    if not macro:
        return GroupSums(cells.sums.sum(0)[None], cells.counts.sum(0)[None], np.ones(1))
    numbers: dict[bytes, int] = {}
    row_numbers = [numbers.setdefault(row.tobytes(), len(numbers)) for row in cells.counts]
    sums = np.zeros((len(numbers), len(cells.groups)))
    np.add.at(sums, row_numbers, cells.sums)
    counts = np.stack([np.frombuffer(row) for row in numbers])
    return GroupSums(sums, counts, np.bincount(row_numbers).astype(np.float64))


def check_same_rows(
    a: CellSums, b: CellSums, names: tuple[str, str] = ("the first", "the second")
) -> None:
    """Raise `BadData` unless two systems have values for the same groups in the same settings."""
    if a.names != b.names:
        raise BadData(
            "systems are compared on the same groups of queries and settings, but "
            f"{names[0]} and {names[1]} have values of others"
        )
    if (
        np.array_equal(a.groups, b.groups)
        and np.array_equal(a.settings, b.settings)
        and np.array_equal(a.counts, b.counts)
    ):
        return
    first, second = _count_rows(a), _count_rows(b)
    raise BadData(
        "systems are compared on the same groups of queries and settings, but "
        f"{(first - second).total()} rows are only in {names[0]} and "
        f"{(second - first).total()} only in {names[1]}; {(first & second).total()} in both"
    )


def _count_rows(cells: CellSums) -> Counter[tuple[int, int]]:
    """Count the rows of each group and setting."""
    return Counter(
        {
            (int(cells.groups[q]), int(cells.settings[s])): int(cells.counts[s, q])
            for s, q in np.argwhere(cells.counts)
        }
    )
