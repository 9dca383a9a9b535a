"""Rows of real data that no collection can hold: refused, or left out and counted."""

from typing import Literal

from beir_hybrid.collection import CollectionWriter
from beir_hybrid.errors import BadData

OnBad = Literal["refuse", "drop"]


class BadRows:
    """Refuses bad rows, or counts them by problem.

    Examples
    --------
    >>> bad_rows = BadRows("drop")
    >>> bad_rows.note("empty contexts", "de.json, paragraph 3")
    >>> bad_rows.counts
    {'empty contexts': 1}
    """

    def __init__(self, on_bad: OnBad) -> None:
        self.on_bad = on_bad
        self.counts: dict[str, int] = {}

    def note(self, problem: str, location: str) -> None:
        """Count a row that is to be left out, or raise `BadData` for it.

        `problem` is in the plural, for it stands behind a count.
        """
        if self.on_bad == "refuse":
            raise BadData(
                f"{location} is one of the {problem}; on_bad='drop' leaves these out, counted"
            )
        self.counts[problem] = self.counts.get(problem, 0) + 1

    def record(self, writer: CollectionWriter) -> dict[str, object]:
        """Return the counts as options of a collection, which warns of them when it is opened."""
        if not self.counts:
            return {}
        phrases = [f"{count:,} {problem}" for problem, count in self.counts.items()]
        writer.warnings.append(f"{writer.name}: left out {', '.join(phrases)}")
        return {"dropped": dict(self.counts)}
