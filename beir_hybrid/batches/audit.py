"""Count the batches, sources and languages that a sampler draws, and print the counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from beir_hybrid.batches.epoch import Batch
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.text import escape_unprintable

COUNTERS = ("batches", "sources", "rows")


@dataclass
class BatchCounts:
    """Counts of the batches that are drawn, and of the groups that are left out.

    Attributes
    ----------
    batches
        Batches by batch kind.
    sources
        Rows by source.
    rows
        Rows by the languages of query and passage, as in ``en-de``.
    left_out
        Groups that are not drawn, by reason; rows and these add up to all groups.
    coverage
        The share of words that the lexicon has, of the first thousand groups, if there is one.
    targets
        The shares of batch kinds that the strategy is to have.
    """

    batches: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, int] = field(default_factory=dict)
    coverage: float | None = None
    targets: dict[str, float] = field(default_factory=dict)

    @property
    def shares(self) -> dict[str, float]:
        """The realised shares of batch kinds, to be compared with `targets`."""
        total = max(self.batches.total(), 1)
        return {kind: self.batches[kind] / total for kind in {**self.targets, **self.batches}}

    def add(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add counts, by the names of `COUNTERS`."""
        for name in COUNTERS:
            getattr(self, name).update(counts[name])

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return the counts by the names of `COUNTERS`."""
        return {name: dict(sorted(getattr(self, name).items())) for name in COUNTERS}

    def format_lines(self) -> list[str]:
        """Format the counts as lines of text, and the rows as a table of languages."""
        pairs = {_split_pair(name): count for name, count in self.rows.items()}
        n_same = sum(count for (query, passage), count in pairs.items() if query == passage)
        total = self.rows.total()
        lines = [
            f"batches: {self._format_batches()}",
            (
                f"rows: {total:,}, {n_same / max(total, 1):.1%} in one language; "
                f"by source: {_format_counts(self.sources)}"
            ),
            "rows by language of query (down) and passage (across):",
            *_format_table(pairs),
        ]
        if self.coverage is not None:
            lines.append(f"words that the lexicon has: {self.coverage:.1%}")
        if self.left_out:
            lines.append(f"groups left out in an epoch: {_format_counts(self.left_out)}")
        return lines

    def _format_batches(self) -> str:
        """Format the batches by kind, with realised and target shares where kinds are mixed."""
        if len(self.targets) < 2:  # noqa: PLR2004 - a single kind is all there is
            return _format_counts(self.batches)
        return ", ".join(
            f"{self.batches[kind]:,} {kind} ({share:.1%}, target {self.targets.get(kind, 0):.1%})"
            for kind, share in self.shares.items()
        )


def count_batches(batches: Iterable[Batch], pairs: ParallelPairs, world_size: int) -> BatchCounts:
    """Count batches, each as many times as there are processes, and their rows."""
    names, langs = [name for name, _ in pairs.sources], pairs.languages
    counts = BatchCounts(sources=Counter(dict.fromkeys(names, 0)))
    for batch in batches:
        counts.batches[batch.kind] += world_size
        counts.sources[names[batch.source]] += len(batch.codes)
        numbers = (batch.codes - len(pairs)) % len(langs) ** 2
        for pair, count in zip(*np.unique(numbers, return_counts=True), strict=True):
            query, passage = divmod(int(pair), len(langs))
            counts.rows[f"{langs[query]}-{langs[passage]}"] += int(count)
    return counts


def _split_pair(name: str) -> tuple[str, str]:
    query, _, passage = name.partition("-")
    return query, passage


def _format_table(pairs: Mapping[tuple[str, str], int]) -> list[str]:
    """Format counts of pairs of languages as a table, queries down and passages across."""
    query_languages = sorted({query for query, _ in pairs})
    passage_languages = sorted({passage for _, passage in pairs})
    table = [["", *passage_languages, "all"]]
    for query in query_languages:
        counts = [pairs.get((query, passage), 0) for passage in passage_languages]
        table.append([query, *(f"{count:,}" for count in [*counts, sum(counts)])])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {_escape(name)}" for name, count in counts.items()) or "none"


def _escape(name: str) -> str:
    """Escape an untrusted name for terminals and for blocks of Markdown."""
    return escape_unprintable(name).replace("```", "'" * 3)
