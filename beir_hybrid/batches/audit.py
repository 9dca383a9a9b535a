"""Batches in, numbers of what they drew, and the numbers in words, out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beir_hybrid.batches.epoch import Batch
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.text import escape_unprintable

SUMS = ("batches", "sources", "rows")


@dataclass
class BatchCounts:
    """What was drawn, in numbers, and what was left out.

    Attributes
    ----------
    batches
        By kind.
    sources
        Rows by source.
    rows
        By the languages of question and passage, as in ``en-de``.
    left_out
        Groups that are not drawn, by reason; rows and these add up to all groups.
    coverage
        The share of words that the lexicon has, of the first thousand groups, if there is one.
    """

    batches: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, int] = field(default_factory=dict)
    coverage: float | None = None

    def add(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Count more in, by the names of `SUMS`."""
        for part in SUMS:
            getattr(self, part).update(counts[part])

    def sums(self) -> dict[str, dict[str, int]]:
        """Return the numbers of what was drawn, by the names of `SUMS`."""
        return {part: dict(sorted(getattr(self, part).items())) for part in SUMS}

    def lines(self) -> list[str]:
        """Return all of it in words, and the rows as a table of languages."""
        pairs = {tuple(name.split("-")): count for name, count in self.rows.items()}
        same = sum(count for (query, passage), count in pairs.items() if query == passage)
        total = self.rows.total()
        lines = [
            f"batches: {_listed(self.batches)}",
            (
                f"rows: {total:,}, {same / max(total, 1):.1%} in one language; "
                f"by source: {_listed(self.sources)}"
            ),
            "rows by language of question (down) and passage (across):",
            *_table(pairs),
        ]
        if self.coverage is not None:
            lines.append(f"words that the lexicon has: {self.coverage:.1%}")
        if self.left_out:
            lines.append(f"groups left out in an epoch: {_listed(self.left_out)}")
        return lines


def count_batches(batches: Iterable[Batch], pairs: ParallelPairs, world_size: int) -> BatchCounts:
    """Count batches, each as many as there are processes, and their rows."""
    found = BatchCounts(sources=Counter({name: 0 for name, _ in pairs.sources}))
    names, langs = [name for name, _ in pairs.sources], pairs.languages
    for batch in batches:
        found.batches[batch.kind] += world_size
        found.sources[names[batch.source]] += len(batch.codes)
        numbers = (batch.codes - len(pairs)) % len(langs) ** 2
        for pair, count in zip(*np.unique(numbers, return_counts=True), strict=True):
            query, passage = divmod(int(pair), len(langs))
            found.rows[f"{langs[query]}-{langs[passage]}"] += int(count)
    return found


def _table(pairs: Mapping[tuple[Any, ...], int]) -> list[str]:
    asked = sorted({query for query, _ in pairs})
    answered = sorted({passage for _, passage in pairs})
    table = [["", *answered, "all"]]
    for query in asked:
        counts = [pairs.get((query, passage), 0) for passage in answered]
        table.append([query, *(f"{count:,}" for count in [*counts, sum(counts)])])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {_shown(name)}" for name, count in counts.items()) or "none"


def _shown(name: str) -> str:
    """Return a name, which is anyone's: it steers no terminal, and ends no block of Markdown."""
    return escape_unprintable(name).replace("```", "'" * 3)
