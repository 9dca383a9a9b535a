"""The record of a stored calibration, ``calibration.json``."""

from dataclasses import dataclass, field
from typing import Any

from beir_hybrid.errors import BadData
from beir_hybrid.integrity import FileRecord

FORMAT = 1
RECORD, ARRAYS = "calibration.json", "statistics.npz"
CURE = "make it again with beir-hybrid calibrate"


@dataclass(frozen=True)
class CalibrationData:
    """The texts that a calibration was fitted on: a name, and numbers of texts by language."""

    name: str
    queries: dict[str, int] = field(default_factory=dict)
    passages: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CalibrationRecord:
    """The contents of ``calibration.json``."""

    format: int
    method: str
    unit_length: bool
    dim: int
    languages: dict[str, tuple[str, ...]]
    fingerprint: dict[str, Any]
    data: CalibrationData
    files: dict[str, FileRecord]

    def check(self, place: str) -> None:
        """Raise `BadData` for impossible statistics, even with a checksum that fits."""
        if self.format != FORMAT:
            raise BadData(f"{place} has format {self.format}, not {FORMAT}; {CURE}")
        if [*self.files] != [ARRAYS]:
            raise BadData(f"{place} has no checksum of {ARRAYS}; {CURE}")
        for role, languages in self.languages.items():
            if len(set(languages)) < len(languages):
                raise BadData(f"{place} names a language of {role} twice; {CURE}")
        if self.fingerprint.get("normalize") is True and not self.unit_length:
            raise BadData(
                f"{place} is of a model whose vectors have unit length, and says that they have "
                f"not; {CURE}"
            )
