"""Values of one measure, a row for each query in each setting, and their average.

Translations of a query are not independent: what a model finds hard in German it finds hard in
Spanish. So a row says which group of translations its query belongs to, and intervals and tests
resample *groups*, all rows of one together.
"""

from dataclasses import dataclass

import numpy as np

from beir_hybrid.errors import BadData


@dataclass(frozen=True, eq=False)
class Values:
    """One measure's values, a query in a setting a row.

    Raises `BadData` for no rows, columns of different lengths, and values that are NaN or infinite.

    Parameters
    ----------
    group
        The number of a row's group: queries that translate each other share it.
    setting
        The number of a row's setting, for example of a pair of query and passage language.
    value
        In the unit of the measure.
    """

    group: np.ndarray  # (n,) integers
    setting: np.ndarray  # (n,) integers
    value: np.ndarray  # (n,) float64

    def __post_init__(self) -> None:
        shapes = [np.shape(column) for column in (self.group, self.setting, self.value)]
        if len(set(shapes)) > 1 or len(shapes[0]) != 1:
            raise BadData(f"values need three columns of one length, these have shapes {shapes}")
        if shapes[0] == (0,):
            raise BadData("no values: there is nothing to average")
        for name in ("group", "setting"):
            if getattr(self, name).dtype.kind not in "iu":
                raise BadData(f"{name} needs whole numbers, not {getattr(self, name).dtype}")
        bad = np.flatnonzero(~np.isfinite(self.value))
        if len(bad):
            n = len(self.value)
            raise BadData(
                f"{len(bad)} of {n} values are NaN or infinite, the first in row {bad[0]}"
            )

    def select_setting(self, number: int) -> "Values | None":
        """Return the values of a setting; None if it has none."""
        is_there = self.setting == number
        if not is_there.any():
            return None
        return Values(self.group[is_there], self.setting[is_there], self.value[is_there])


def average(values: Values, macro: bool = True) -> float:
    """Return the mean over settings of each setting's mean; the mean over all rows if not macro."""
    if not macro:
        return float(np.mean(values.value, dtype=np.float64))
    _, setting = np.unique(values.setting, return_inverse=True)
    return float(np.mean(np.bincount(setting, values.value) / np.bincount(setting)))
