"""A calibration: statistics of a model's vectors by language, on disk and applied to vectors."""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from beir_hybrid.calibration.calibration_record import (
    ARRAYS,
    CURE,
    FORMAT,
    RECORD,
    CalibrationData,
    CalibrationRecord,
)
from beir_hybrid.calibration.correction import Correction
from beir_hybrid.calibration.methods import CalibrationMethod, parse_method
from beir_hybrid.calibration.statistics import LENGTH_SAMPLE, have_unit_length
from beir_hybrid.calibration.statistics_file import read_arrays
from beir_hybrid.encoding import Embeddings
from beir_hybrid.encoding.fingerprint import list_differences, to_plain_json
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.files import atomic_folder
from beir_hybrid.integrity import (
    read_sealed_json,
    record_files,
    verify_files,
    write_sealed_json,
)
from beir_hybrid.records import from_record, to_record

logger = logging.getLogger(__name__)


class _CalibrationExists(Exception):  # noqa: N818 - a signal, no error
    """The folder has this calibration already."""


@dataclass(frozen=True)
class Calibration:
    """A correction of language bias for one model.

    Make one with `calibrate`, keep it with `save`, and give it to `evaluate`, `build_index` and
    others. Vectors of a language without statistics are treated as the method says; a warning names
    the language, once.

    Attributes
    ----------
    corrections
        By role, ``queries`` and ``passages``.
    unit_length
        Whether the vectors of passages have unit length; corrected ones then have it, too, and so
        do those of queries that had it.
    fingerprint
        That of the model.
    """

    method: CalibrationMethod
    corrections: Mapping[str, Correction] = field(default_factory=dict)
    unit_length: bool = False
    dim: int = 0
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    data: CalibrationData = field(default_factory=lambda: CalibrationData(""))
    _warned_languages: set[tuple[str, str]] = field(
        default_factory=set, init=False, repr=False, compare=False
    )

    def __str__(self) -> str:
        return str(self.method)

    def check_model(self, fingerprint: Mapping[str, Any], dim: int | None, name: str) -> None:
        """Raise `BadOption` if the calibration is of another model; `dim` may not be known yet."""
        if not self.corrections:
            return
        if dim not in (None, self.dim):
            raise BadOption(
                f"the calibration {self} is of vectors of {self.dim} dimensions, and {name}'s have "
                f"{dim}: calibrate {name} itself"
            )
        if differences := list_differences(self.fingerprint, fingerprint):
            raise BadOption(
                f"the calibration {self} is of another model than {name}, which differs in its "
                f"{' and '.join(differences)}: calibrate {name} itself"
            )

    def correct(
        self,
        vectors: Embeddings,
        ranges: Mapping[str, range],
        role: str,
        folder: Path | None = None,
    ) -> Embeddings:
        """Return corrected vectors of a role, ``queries`` or ``passages``.

        Parameters
        ----------
        ranges
            The rows of each language.
        folder
            Where a temporary file may lie, if the vectors are too many for the memory.
        """
        correction = self.corrections.get(role)
        languages = [lang for lang, rows in ranges.items() if rows and rows.start < len(vectors)]
        if self.method.merge and role == "passages" and len(languages) == 1:
            logger.warning("all passages are in %s: %s merges nothing", *languages, self)
        if correction is None:
            return vectors
        unit_length = self._keeps_length(vectors.take(slice(0, LENGTH_SAMPLE)), role)
        self._warn_of_missing(correction, languages, role)
        return correction.correct_embeddings(
            vectors, ranges, unit_length=unit_length, folder=folder
        )

    def correct_queries(self, vectors: np.ndarray, language: str | None) -> np.ndarray:
        """Return corrected vectors of queries in one language, or in one that is not known."""
        correction = self.corrections.get("queries")
        if correction is None:
            return vectors
        unit_length = self._keeps_length(vectors, "queries")
        self._warn_of_missing(correction, [language or "an unknown language"], "queries")
        return correction.correct_rows(vectors, language or "", unit_length=unit_length)

    def _keeps_length(self, vectors: np.ndarray, role: str) -> bool:
        """Return whether vectors get unit length again; raise `BadData` for other passages.

        The length of a query's vector changes no order.
        """
        if not self.unit_length or have_unit_length(vectors):
            return self.unit_length
        if role == "queries":
            return False
        raise BadData(f"the calibration {self} is for vectors of unit length; {CURE}")

    def _warn_of_missing(self, correction: Correction, languages: list[str], role: str) -> None:
        missing = [
            lang
            for lang in languages
            if lang not in correction.languages and (role, lang) not in self._warned_languages
        ]
        self._warned_languages.update((role, lang) for lang in missing)
        if missing and self.method.vectors:
            logger.warning(
                "the calibration %s has no statistics of %s in %s: a vector %s",
                self, role, ", ".join(missing), self.method.vectors.fallback,
            )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """Return the facts that results and indexes record."""
        facts = {"method": str(self.method), "data": to_record(self.data)}
        return facts | ({"statistics": self.compute_checksum()} if self.corrections else {})

    def compute_checksum(self) -> str:
        """Return a checksum of the statistics, by which calibrations of one method differ."""
        digest = xxhash.xxh3_128()
        for role, correction in sorted(self.corrections.items()):
            digest.update(f"{role} {correction.languages} {self.unit_length}".encode())
            digest.update(np.ascontiguousarray(correction.offsets).data)
            digest.update(np.ascontiguousarray(correction.directions).data)
        return digest.hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Write the calibration into a new folder, or leave an equal one as it is."""
        folder = Path(folder)
        with suppress(_CalibrationExists), atomic_folder(folder) as temporary:
            self._write_files(temporary)
            if os.path.lexists(folder):
                path = folder / RECORD
                if not path.is_file() or path.read_bytes() != (temporary / RECORD).read_bytes():
                    raise _refuse_existing(folder)
                verify_files(folder, record_files(temporary, [ARRAYS]), CURE)
                raise _CalibrationExists
        return folder

    def _write_files(self, folder: Path) -> None:
        arrays = {}
        for role, correction in self.corrections.items():
            arrays[f"{role}.offsets"] = correction.offsets
            arrays[f"{role}.directions"] = correction.directions
        np.savez(folder / ARRAYS, allow_pickle=False, **arrays)
        record = {
            "format": FORMAT,
            "method": str(self.method),
            "unit_length": self.unit_length,
            "dim": self.dim,
            "languages": {role: list(c.languages) for role, c in self.corrections.items()},
            "fingerprint": dict(self.fingerprint),
            "data": to_record(self.data),
            "files": record_files(folder, [ARRAYS]),
        }
        write_sealed_json(folder / RECORD, record)

    @classmethod
    def load(cls, folder: str | Path) -> "Calibration":
        """Read the calibration that `save` wrote; raise `BadData` if it is damaged."""
        folder = Path(folder)
        path = folder / RECORD
        record = from_record(CalibrationRecord, read_sealed_json(path, CURE), str(path))
        record.check(str(path))
        verify_files(folder, record.files, CURE)
        method = parse_method(record.method)
        strength = method.vectors.alpha if method.vectors else 1.0
        roles = method.vectors.roles if method.vectors else ()
        if sorted(roles) != sorted(record.languages):
            raise BadData(f"{path} has other statistics than {method} takes; {CURE}")
        names = [f"{role}.{part}" for role in roles for part in ("offsets", "directions")]
        arrays = read_arrays(folder / ARRAYS, names)
        corrections = {
            role: Correction(
                languages, arrays[f"{role}.offsets"], arrays[f"{role}.directions"], strength
            )
            for role, languages in record.languages.items()
        }
        if not all(correction.fits(record.dim) for correction in corrections.values()):
            raise BadData(f"{folder / ARRAYS} is not what {RECORD} beside it describes; {CURE}")
        return cls(
            method, corrections, record.unit_length, record.dim, record.fingerprint, record.data
        )


def check_calibration_folder(
    folder: Path, method: CalibrationMethod, fingerprint: Mapping[str, Any], name: str
) -> None:
    """Raise `BadOption` if a folder holds something else than such a calibration, before all work.

    Parameters
    ----------
    fingerprint, name
        Of the model and the data; a method that merges scores has none.
    """
    if not os.path.lexists(folder):
        return
    try:
        saved = Calibration.load(folder)
    except BadData as error:
        raise _refuse_existing(folder) from error
    facts: list[object] = [str(method)]
    saved_facts: list[object] = [str(saved.method)]
    if method.vectors:
        facts += [name, to_plain_json(fingerprint)]
        saved_facts += [saved.data.name, saved.fingerprint]
    if facts != saved_facts:
        raise _refuse_existing(folder)


def _refuse_existing(folder: Path) -> BadOption:
    return BadOption(f"{folder} is there already; name a new folder or remove it")


def as_calibration(calibration: object) -> Calibration | CalibrationMethod | None:
    """Return a calibration, that of a folder, or the method of a name.

    A method that merges scores needs no statistics: it is a calibration of any model.
    """
    if calibration is None or isinstance(calibration, Calibration | CalibrationMethod):
        return calibration
    if isinstance(calibration, str | Path) and (Path(calibration) / RECORD).is_file():
        return Calibration.load(calibration)
    if not isinstance(calibration, str | Path):
        raise BadOption(
            f"a calibration is one of bh.calibrate, its folder or a method such as mean-language, "
            f"not {calibration!r}"
        )
    if isinstance(calibration, Path) or "/" in calibration or (Path(calibration) / ARRAYS).exists():
        raise BadOption(f"{calibration} holds no calibration; beir-hybrid calibrate makes one")
    try:
        method = parse_method(calibration)
    except UnknownName as error:
        raise UnknownName(f"{calibration} is no folder of a calibration: {error}") from error
    return method if method.vectors else Calibration(method)
