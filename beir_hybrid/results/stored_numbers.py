"""Comparison of the averages in a file of results with the values that they are of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beir_hybrid.errors import BadData
from beir_hybrid.results.measurements import Measurements
from beir_hybrid.results.values import average

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12  # tolerances of sums: machines add numbers up in several orders


@dataclass(frozen=True)
class StoredSetting:
    """A setting in ``results.json``: the mean of each measure in it."""

    values: Mapping[str, float]


def check_stored_numbers(
    results: Measurements, settings: Sequence[StoredSetting], place: str
) -> None:
    """Raise `BadData` where averages of kinds or settings are not those of the table of values."""
    for kind, row in results.summary().items():
        for measure, estimate in row.items():
            values = results.values(measure, kind)
            means: tuple[float, ...] = ()
            if values is not None:
                means = average(values), average(values, macro=False), float(len(values.value))
            stored_means = estimate.mean, estimate.micro, float(estimate.queries)
            if not _are_close(stored_means, means):
                raise _explain_difference(place, f"{measure} of {kind} settings")
    means_by_setting = {setting: dict[str, float]() for setting in results.settings}
    for measure in results.measures:
        for setting, mean in results.means(measure).items():
            means_by_setting[setting][str(measure)] = mean
    if len(settings) != len(means_by_setting):
        raise _explain_difference(place, "the number of settings")
    for stored_setting, (setting, row_means) in zip(
        settings, means_by_setting.items(), strict=True
    ):
        is_same = stored_setting.values.keys() == row_means.keys() and _are_close(
            [stored_setting.values[name] for name in row_means], row_means.values()
        )
        if not is_same:
            raise _explain_difference(place, f"the setting {setting.name}")


def _are_close(stored_means: Iterable[float], means: Iterable[float]) -> bool:
    first, second = list(stored_means), list(means)
    return len(first) == len(second) and np.allclose(first, second, _RELATIVE, _ABSOLUTE)


def _explain_difference(place: str, subject: str) -> BadData:
    return BadData(f"{place}: {subject} is not that of the values beside it; evaluate again")
