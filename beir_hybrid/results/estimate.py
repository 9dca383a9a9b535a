"""Averages of a measure with their intervals, and its matrix over languages."""

from dataclasses import dataclass

import numpy as np

from beir_hybrid.errors import lookup


@dataclass(frozen=True)
class Estimate:
    """A measure over the settings of a kind.

    Attributes
    ----------
    mean
        The mean over settings of each setting's mean (macro), as the paper has it.
    low, high
        Its 95% bootstrap interval, resampling groups of queries that translate each other.
    micro
        The mean over all queries, whatever their setting.
    queries
        How many rankings have a value.
    unbiased
        The value of a model without language bias, for a measure of bias.
    """

    mean: float
    low: float
    high: float
    micro: float
    queries: int
    unbiased: float | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """A measure by the languages of queries (rows) and passages (columns); NaN for no value.

    Images are a row and a column of their own, ``image``, behind the languages.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray  # (rows, columns) float64

    def __getitem__(self, languages: tuple[str, str]) -> float:
        """Return the value of a query language and a passage language."""
        query, passage = languages
        row = lookup("query language", query, {lang: i for i, lang in enumerate(self.rows)})
        column = lookup("language", passage, {lang: i for i, lang in enumerate(self.columns)})
        return float(self.values[row, column])
