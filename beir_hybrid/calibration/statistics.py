"""Statistics of the vectors of each language: numbers, means, second moments, pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from beir_hybrid.calibration.translations import NO_TRANSLATION
from beir_hybrid.encoding import Embeddings

LENGTH_SAMPLE = 1000  # vectors whose lengths tell those of all
_NEAR_ONE = 1e-2  # how far the length of a unit vector may be from 1, as in bfloat16
_BLOCK_ROWS = 8192  # vectors that are in memory at once


@dataclass(frozen=True)
class LanguageVectors:
    """The vectors of one role, with the rows of each language.

    Attributes
    ----------
    find_keys
        Returns the number of the text that each row translates: equal numbers in two languages are
        translations of each other. Where translations are not known it is `NO_TRANSLATION`, or
        None for all. Few methods ask for it.
    """

    vectors: Embeddings
    ranges: Mapping[str, range]
    find_keys: Callable[[], np.ndarray | None] = lambda: None

    @cached_property
    def keys(self) -> np.ndarray | None:
        """The number of the text that each row translates, where that is known."""
        return self.find_keys()

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that have vectors."""
        return tuple(lang for lang, rows in self.ranges.items() if len(rows))

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many vectors each language has."""
        return {lang: len(self.ranges[lang]) for lang in self.languages}

    @cached_property
    def means(self) -> np.ndarray:
        """The mean vector of each language, (languages, dim) float64."""
        return np.stack([self._average(self._list_rows(lang)) for lang in self.languages])

    def moments(self, language: str) -> np.ndarray:
        """Return the mean of v v^T over the vectors of a language, (dim, dim) float64."""
        total = np.zeros((self.vectors.dim, self.vectors.dim))
        rows = self._list_rows(language)
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = self.vectors.take(rows[start : start + _BLOCK_ROWS]).astype(np.float64)
            total += block.T @ block
        return total / max(1, len(rows))

    def find_pair_shift(self, language: str, source: str) -> tuple[np.ndarray, int]:
        """Return the mean difference of translations, (dim,) float64, and how many there are."""
        if self.keys is None:
            return np.zeros(self.vectors.dim), 0
        rows, source_rows = (
            part[self.keys[part] != NO_TRANSLATION]
            for part in (self._list_rows(language), self._list_rows(source))
        )
        _, places, source_places = np.intersect1d(
            self.keys[rows], self.keys[source_rows], return_indices=True
        )
        difference = self._average(rows[places]) - self._average(source_rows[source_places])
        return difference, len(places)

    def _list_rows(self, language: str) -> np.ndarray:
        return np.arange(self.ranges[language].start, self.ranges[language].stop)

    def _average(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean vector of some rows, (dim,) float64."""
        total = np.zeros(self.vectors.dim)
        for start in range(0, len(rows), _BLOCK_ROWS):
            total += self.vectors.take(rows[start : start + _BLOCK_ROWS]).sum(
                axis=0, dtype=np.float64
            )
        return total / max(1, len(rows))


def have_unit_length(rows: np.ndarray) -> bool:
    """Return whether vectors have unit length, apart from those of texts without any word."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    return bool((np.abs(lengths[lengths > 0] - 1) < _NEAR_ONE).all())
