"""Entries of a leaderboard: one system on one benchmark each."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from beir_hybrid.collection.setting import KindName, Setting
from beir_hybrid.report.reproduction_record import Reproduction
from beir_hybrid.results.estimate import Estimate, Matrix
from beir_hybrid.results.results import Results
from beir_hybrid.text import escape_unprintable

Source = Literal["results", "mteb", "published"]
Summary = Mapping[str, Mapping[str, Estimate]]  # by kind of setting and name of measure


@dataclass(frozen=True)
class Benchmark:
    """The data that all entries of one table were evaluated on.

    Attributes
    ----------
    key
        Everything that has to be equal, as JSON.
    facts
        Short texts for the reader, such as ``3 languages``.
    size
        The numbers of queries and of passages.
    has_images
        Whether images are among the queries or passages of a setting.
    """

    name: str
    key: str
    languages: tuple[str, ...] = field(compare=False)
    facts: tuple[str, ...] = field(compare=False, default=())
    size: tuple[int, int] = field(compare=False, default=(0, 0))
    has_images: bool = False


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of the leaderboard.

    Attributes
    ----------
    summary
        Each measure's average by kind of setting; NaN for unknown bounds.
    path
        The file that the entry was read from.
    scores
        Means by measure and setting, where there are no `results`.
    speed
        Texts and images that were encoded a second.
    calibration
        The method that took language bias out; empty without one.
    family
        How the system retrieves; empty where that is not known.
    licence
        Of the model; empty where that is not known.
    is_trained_on
        Whether queries of the benchmark are among the training data.
    reproduction
        The outcome of a check of the results, if they were checked.
    origin
        Where a published row was published: a text and an address.
    """

    name: str
    source: Source
    benchmark: Benchmark
    summary: Summary
    results: Results | None = None
    path: Path | None = None
    scores: Mapping[str, Mapping[Setting, float]] = field(default_factory=dict)
    date: str = ""
    parameters: int | None = None
    speed: float | None = None
    recipe: str = ""
    calibration: str = ""
    family: str = ""
    licence: str = ""
    is_trained_on: bool = False
    reproduction: Reproduction | None = None
    origin: tuple[str, str] = ("", "")

    def estimate(self, measure: str, kind: str) -> Estimate | None:
        """Return a measure's average over the settings of a kind."""
        return self.summary.get(kind, {}).get(measure)

    def means(self, measure: str) -> Mapping[Setting, float]:
        """Return a measure's mean in each setting; nothing for a measure without values."""
        if self.results is None:
            return self.scores.get(measure, {})
        names = {str(name) for name in self.results.measures}
        return self.results.means(measure) if measure in names else {}

    def matrix(self, measure: str, kinds: Iterable[KindName]) -> Matrix | None:
        """Return means by query and passage language, in settings of some kinds."""
        kinds = set(kinds)
        means = {
            (setting.queries, setting.passages): value
            for setting, value in self.means(measure).items()
            if setting.kind in kinds
        }
        if not means:
            return None
        rows, columns = (tuple(sorted({pair[side] for pair in means})) for side in (0, 1))
        cells = [[means.get((row, column), math.nan) for column in columns] for row in rows]
        return Matrix(rows, columns, np.array(cells, np.float64))


def make_visible(name: str) -> str:
    """Return a name that a reader can see and click on."""
    return escape_unprintable(name).strip() or "(no name)"


def name_licence(value: object) -> str:
    """Return a licence as a reader can see it, or an empty text for any other value."""
    return make_visible(value) if isinstance(value, str) and value.strip() else ""


def parse_count(value: object) -> int | None:
    """Return a positive whole number of 64 bits, or None for any other value."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63:
        return value
    return None
