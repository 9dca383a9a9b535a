"""Merge the rankings of several languages into one pool, by scores that can be compared.

In a pool of several languages, a model's scores say as much about the language of a passage as
about its relevance. A merge method compares a passage with the other passages of its language
first: by its score less the best ones' (``local``), by normalised scores (``zscore``, ``min-max``),
or by its rank alone (``round-robin``, ``rrf``, ``quota``). The order within a language stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from beir_hybrid.checks import check_positive
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.text import parse_options


class Scale(NamedTuple):
    """How scores of a query's ranking become comparable: (score - shift) * factor."""

    shift: np.ndarray  # (rankings,) float64
    factor: np.ndarray  # (rankings,) float64, above 0


@dataclass(frozen=True)
class MergeMethod:
    """A method that merges the rankings of several languages.

    Attributes
    ----------
    sentence
        The method in a few words, for tables and help.
    k
        How many of the best scores of a ranking `fit_scale` sees; fewer if it has fewer. It is 0
        for methods that use ranks alone.
    fit_scale
        Return the scales of rankings from their best scores, (rankings, k) float64, descending.
    weigh_sizes
        Return how many places each language gets, in proportion, from its number of passages.
    """

    name: str
    sentence: str
    k: int = 0
    fit_scale: Callable[[np.ndarray], Scale] | None = None
    weigh_sizes: Callable[[np.ndarray], np.ndarray] = np.ones_like

    def __str__(self) -> str:
        return f"{self.name}:k={self.k}" if self.k else self.name


def _shift_by_mean(scores: np.ndarray) -> Scale:
    """Subtract the mean of the best scores."""
    return Scale(scores.mean(axis=1), np.ones(len(scores)))


def _standardise(scores: np.ndarray) -> Scale:
    """Subtract the mean of the best scores, and divide by their standard deviation."""
    return Scale(scores.mean(axis=1), _invert(scores.std(axis=1)))


def _stretch(scores: np.ndarray) -> Scale:
    """Bring the best scores to the range from 0 to 1."""
    return Scale(scores[:, -1].copy(), _invert(scores[:, 0] - scores[:, -1]))


def _invert(widths: np.ndarray) -> np.ndarray:
    """Return 1 / width, and 1 where all scores are equal."""
    return np.where(widths > 0, 1 / np.where(widths > 0, widths, 1), 1.0)


MERGE_METHODS: dict[str, MergeMethod] = {
    method.name: method
    for method in (
        MergeMethod("local", "score less the mean of the language's k best", 3, _shift_by_mean),
        MergeMethod(
            "zscore", "deviations from the mean of the language's k best", 100, _standardise
        ),
        MergeMethod("min-max", "from 0 to 1 over the language's k best", 100, _stretch),
        MergeMethod("round-robin", "one passage of each language in turn, ties by score"),
        # Of rankings that share no passage, reciprocal ranks make the order of a round robin.
        MergeMethod("rrf", "reciprocal ranks within the language, ties by score"),
        MergeMethod(
            "quota", "places in proportion to the language's passages", weigh_sizes=np.copy
        ),
    )
}


def parse_merge_method(method: str | MergeMethod) -> MergeMethod:
    """Return a merge method by name, such as ``local`` or ``local:k=5``.

    >>> parse_merge_method("local").k, str(parse_merge_method("local:k=5"))
    (3, 'local:k=5')
    """
    if isinstance(method, MergeMethod):
        return method
    name, _, text = method.partition(":")
    row = lookup("merge method", name, MERGE_METHODS)
    options = parse_options(text, method)
    if unknown := sorted(options.keys() - ({"k"} if row.k else set())):
        rest = "there is k" if row.k else "it has none"
        raise BadOption(f"{name} has no option {unknown[0]!r}; {rest}")
    if "k" not in options:
        return row
    check_positive(k=options["k"])
    return replace(row, k=int(options["k"]))


def scale_scores(scores: np.ndarray, shift: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return comparable scores, float32, of scores of any shape that the scales fit."""
    comparable: np.ndarray = ((scores.astype(np.float64) - shift) * factor).astype(np.float32)
    return comparable + np.float32(0)
