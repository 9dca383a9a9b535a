"""The outcome of a check of results, in a file beside them, for the page of their system."""

import re
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from beir_hybrid._version import __version__
from beir_hybrid.errors import BadData
from beir_hybrid.integrity import compute_checksum, read_sealed_json, write_sealed_json
from beir_hybrid.report.plain_files import is_plain_file
from beir_hybrid.results.storage import RESULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beir_hybrid.report.reproduction_check import CheckedAverage

REPRODUCTION = "reproduction.json"
_VERSION = re.compile(r"[\w.+]{1,40}", re.ASCII)
_CURE = "delete it, or check the results again with `beir-hybrid reproduce --check`"


class Reproduction(NamedTuple):
    """How many averages a check found equal, close and otherwise, and when."""

    equal: int
    close: int
    different: int
    missing: int
    date: str
    version: str

    @property
    def total(self) -> int:
        """The number of averages."""
        return self.equal + self.close + self.different + self.missing

    @property
    def verdict(self) -> Literal["reproduced", "nearly reproduced", "not reproduced"]:
        """The verdict on all averages: that on the worst of them."""
        if self.different or self.missing or not self.total:
            return "not reproduced"
        return "nearly reproduced" if self.close else "reproduced"


def write_reproduction(folder: Path, averages: "Sequence[CheckedAverage]") -> None:
    """Write the outcome of a check into the folder of the results that were checked."""
    counts = Counter(average.verdict for average in averages)
    record = {
        "results": compute_checksum(folder / RESULTS),
        "date": datetime.now(UTC).date().isoformat(),
        "beir-hybrid": __version__,
        **{verdict: counts[verdict] for verdict in ("equal", "close", "different", "missing")},
    }
    write_sealed_json(folder / REPRODUCTION, record)


def read_reproduction(folder: Path) -> Reproduction | None:
    """Return the outcome of the last check of results; None without one, or if they are newer."""
    path = folder / REPRODUCTION
    if not is_plain_file(path):
        return None
    record = read_sealed_json(path, _CURE)
    if record.get("results") != compute_checksum(folder / RESULTS):
        return None
    equal, close, different, missing = (
        _read_count(path, record, name) for name in ("equal", "close", "different", "missing")
    )
    version = str(record.get("beir-hybrid", ""))
    return Reproduction(
        equal, close, different, missing,
        _read_date(record), version if _VERSION.fullmatch(version) else "",
    )  # fmt: skip


def _read_date(record: dict[str, Any]) -> str:
    """Return the date of a check, empty if it is none."""
    try:
        return date.fromisoformat(str(record.get("date", ""))).isoformat()
    except ValueError:
        return ""


def _read_count(path: Path, record: dict[str, Any], name: str) -> int:
    count = record.get(name)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise BadData(f"{path} has no number of {name} averages; {_CURE}")
    return count
