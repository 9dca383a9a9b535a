"""Corrections of vectors: for each language a vector and directions that are taken out."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadOption
from beir_hybrid.files import cache_folder, explain_write_errors

_MEMORY_BYTES = 1 << 30  # of corrected vectors; more of them go into a temporary file
_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Correction:
    """How the vectors of one role are corrected, language by language.

    A vector v becomes v - offset - strength * D^T D v, where the rows of D are the directions of
    its language; it is then brought to unit length, if the model's vectors have that.

    Attributes
    ----------
    offsets
        (languages + 1, dim) float32; the last is for languages without statistics.
    directions
        (languages + 1, k, dim) float32, orthonormal for each language.
    """

    languages: tuple[str, ...]
    offsets: np.ndarray
    directions: np.ndarray
    strength: float = 1.0

    def fits(self, dim: int) -> bool:
        """Return whether the arrays are finite and have the shapes for vectors of `dim` numbers.

        The compiled correction does not look again.
        """
        n, k = len(self.languages) + 1, self.directions.shape[1:2]
        return all(
            array.shape == shape and array.dtype == np.float32 and bool(np.isfinite(array).all())
            for array, shape in ((self.offsets, (n, dim)), (self.directions, (n, *k, dim)))
        )

    @property
    def changes_vectors(self) -> bool:
        """Whether a vector of any language with statistics changes."""
        return bool(self.offsets[:-1].any() or (self.strength and self.directions[:-1].any()))

    def number_language(self, language: str) -> int:
        """Return the row of a language, or the last one for a language without statistics."""
        return self.languages.index(language) if language in self.languages else len(self.languages)

    def correct_rows(
        self, rows: np.ndarray, language: str, *, unit_length: bool, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Return corrected vectors, (n, dim) float32; the bits of a row depend on it alone."""
        from beir_hybrid.calibration.kernels import correct_vectors

        out = np.empty(rows.shape, np.float32) if out is None else out
        if rows.shape[1] != self.offsets.shape[1]:
            raise BadOption(
                f"a calibration of {self.offsets.shape[1]} dimensions does not fit vectors of "
                f"{rows.shape[1]}: calibrate their model"
            )
        number = self.number_language(language)
        correct_vectors(
            np.ascontiguousarray(rows, np.float32), self.offsets[number], self.directions[number],
            self.strength, unit_length, out,
        )  # fmt: skip
        return out

    def correct_embeddings(
        self,
        vectors: Embeddings,
        ranges: Mapping[str, range],
        *,
        unit_length: bool,
        folder: Path | None = None,
    ) -> Embeddings:
        """Return corrected vectors of all rows; arguments are as for `Calibration.correct`."""
        shape = (len(vectors), vectors.dim)
        corrected = _allocate(shape, folder)
        for language, rows in ranges.items():
            for start in range(rows.start, min(rows.stop, len(vectors)), _BLOCK_ROWS):
                block = slice(start, min(start + _BLOCK_ROWS, rows.stop, len(vectors)))
                self.correct_rows(
                    vectors.take(block), language, unit_length=unit_length, out=corrected[block]
                )
        numbers = np.zeros(len(vectors), np.int32)
        return Embeddings(
            [corrected], numbers, np.arange(len(vectors), dtype=np.int32), vectors.truncated
        )


def _allocate(shape: tuple[int, int], folder: Path | None) -> np.ndarray:
    """Return an array in memory or, if large, in a file that disappears with the array."""
    size = 4 * shape[0] * shape[1]
    if size <= _MEMORY_BYTES:
        return np.empty(shape, np.float32)
    folder = cache_folder() if folder is None else folder
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # a full disk would kill the process later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "w+", shape=shape)
