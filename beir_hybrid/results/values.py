"""Values of one measure, a row for each query in each setting, and their average.

Translations of a query are not independent: what a model finds hard in German it finds hard in
Spanish. So a row says which group of translations its query belongs to, and intervals and tests
resample *groups*, all rows of one together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData


@dataclass(frozen=True)
class RowNames:
    """What the numbers of groups and settings stand for.

    Attributes
    ----------
    groups
        A checksum of the ids of all groups, in the order of their numbers.
    settings
        The settings in the order of their numbers.
    """

    groups: str
    settings: tuple[Setting, ...]


def hash_groups(ids: Iterable[str]) -> str:
    """Return a checksum of the ids of groups."""
    return sha256("\0".join(ids).encode()).hexdigest()


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
    names
        What the numbers stand for, where that is known: systems are compared only if they have the
        same.
    """

    group: np.ndarray  # (n,) integers
    setting: np.ndarray  # (n,) integers
    value: np.ndarray  # (n,) float64
    names: RowNames | None = None

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
        rows = np.flatnonzero(self.setting == number)
        if not len(rows):
            return None
        names = self.names and RowNames(self.names.groups, (self.names.settings[number],))
        setting = np.zeros(len(rows), np.int64)
        return Values(self.group[rows], setting, self.value[rows], names)


def average(values: Values, macro: bool = True) -> float:
    """Return the mean over settings of each setting's mean; the mean over all rows if not macro."""
    if not macro:
        return float(np.mean(values.value, dtype=np.float64))
    _, setting = np.unique(values.setting, return_inverse=True)
    return float(np.mean(np.bincount(setting, values.value) / np.bincount(setting)))
