"""Pooled results of variants in, tables of averages and of paired tests as Markdown out."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

import numpy as np

from beir_hybrid.results.render import format_signed, format_value
from benchmarks.hybrid.claims import SEEN, UNSEEN
from benchmarks.hybrid.pooled import COLUMNS, Column, Gap, Pooled, gaps

TESTED = ("Mo mAP", "Cr mAP", "Mul mAP", "rank distance")
LATIN = frozenset({"de", "en", "es", "tr", "vi"})
OTHERS = frozenset({"ar", "el", "hi", "ru", "th", "zh"})
GROUPS = (
    ("Languages that arm A trains on, and those that it does not", SEEN, UNSEEN),
    ("Latin and other scripts", LATIN, OTHERS),
)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], align: str = "---:") -> str:
    """Return a table in Markdown, its columns but the first to the right.

    >>> print(table(["batches", "mAP"], [["x-y", ".1"]]))
    | batches | mAP |
    |---|---:|
    | x-y | .1 |
    <BLANKLINE>
    """
    first, *others = [f"| {' | '.join(row)} |" for row in [headings, *rows]]
    return "\n".join([first, f"|---|{f'{align}|' * (len(headings) - 1)}", *others, ""])


def means(pooled: Mapping[str, Pooled], columns: Iterable[str] = tuple(COLUMNS)) -> str:
    """Return columns of every variant, and what a model without bias has."""
    there = [name for name in columns
             if any(one.values(COLUMNS[name]) is not None for one in pooled.values())]  # fmt: skip
    rows = []
    for label, one in pooled.items():
        cells = [label]
        for name in there:
            mean = one.mean(COLUMNS[name])
            cells.append(
                "-" if mean is None else _cell(mean.mean, mean.low, mean.high, mean.spread)
            )
        rows.append(cells)
    first = next(iter(pooled.values()), None)
    free = [first.unbiased.get(COLUMNS[name].measure) if first else None for name in there]
    if any(free):
        rows.append(["*unbiased*", *("" if one is None else format_value(one) for one in free)])
    return table(["batches", *there], rows)


def _cell(mean: float, low: float, high: float, spread: float) -> str:
    seeds = "" if np.isnan(spread) else f" ±{format_value(spread)}"
    return f"{format_value(mean)} [{format_value(low)}, {format_value(high)}]{seeds}"


def published(labels: Mapping[str, str], name: str) -> str:
    """Put the paper's figures of the same collection beside ours: of other training data."""
    text = resources.files("beir_hybrid.report").joinpath("published.toml").read_text("utf-8")
    known = {row["name"]: row.get(name, {}) for row in tomllib.loads(text)["rows"]}
    rows = [
        [
            label,
            *(format_value(known[row][what]) for what in ("mono", "cross", "multi", "distance")),
        ]
        for label, row in labels.items()
        if known.get(row)
    ]
    if not rows:
        return ""
    return "The paper's own figures, of other training data:\n\n" + table(
        ["batches", *TESTED], rows
    )


def tests(pooled: Mapping[str, Pooled], baseline: str) -> str:
    """Compare the baseline with every other variant."""
    others = [one for label, one in pooled.items() if label != baseline]
    if not others:
        return ""
    rows = []
    for name in TESTED:
        rows += [
            [f"{name}: {baseline} less {gap.second}", *_gap(gap)]
            for gap in gaps(pooled[baseline], others, COLUMNS[name])
        ]
    headings = ["", "difference", "by question", "over seeds", "p", "p, Holm"]
    return (
        f"Paired randomisation tests of {baseline} with each other variant, by question, of values "
        "averaged over seeds; Holm's correction is over the variants of a measure.\n\n"
    ) + table(headings, rows)


def _gap(gap: Gap) -> list[str]:
    seeds = (
        "-"
        if np.isinf(gap.seed_low)
        else f"[{format_signed(gap.seed_low)}, {format_signed(gap.seed_high)}]"
    )
    by_question = f"[{format_signed(gap.low)}, {format_signed(gap.high)}]"
    return [format_signed(gap.difference), by_question, seeds, f"{gap.p:.4f}", f"{gap.p_holm:.4f}"]


def groups(pooled: Mapping[str, Pooled]) -> str:
    """Average over groups of languages, where the collection has both."""
    parts = []
    for heading, *groups in GROUPS:
        columns = {
            f"{name}, {' '.join(sorted(group & _languages(pooled)))}": COLUMNS[name].within(group)
            for name in TESTED[:3]
            for group in groups
        }
        rows, full = _grouped(pooled, columns)
        if full:
            parts.append(f"{heading}: questions and passages both in the group, and, of the pool, "
                         "the questions:\n\n" + table(["batches", *columns], rows))  # fmt: skip
    return "\n".join(parts)


def _languages(pooled: Mapping[str, Pooled]) -> frozenset[str]:
    """Return the languages that questions are in."""
    tables = [table for one in pooled.values() for table in one.tables.values()]
    return frozenset(setting.queries for table in tables for setting in table.settings)


def _grouped(
    pooled: Mapping[str, Pooled], columns: Mapping[str, Column]
) -> tuple[list[list[str]], bool]:
    """Return rows of averages, and whether every group has some."""
    rows, full = [], bool(pooled)
    for label, one in pooled.items():
        cells = [label]
        for column in columns.values():
            mean = one.mean(column)
            full &= mean is not None
            cells.append(
                "-" if mean is None else _cell(mean.mean, mean.low, mean.high, mean.spread)
            )
        rows.append(cells)
    return rows, full


def one_target(one: Pooled) -> str:
    """Return mAP by the languages of questions and of the only relevant passage in the pool."""
    found = one.tables.get(("AP", "one-target"))
    if found is None:
        return ""
    value = found.values.mean(axis=0)
    cells = {
        (setting.queries, setting.passages): format_value(
            float(value[found.setting == number].mean())
        )
        for number, setting in enumerate(found.settings)
    }
    langs = sorted({query for query, _ in cells})
    rows = [[query, *(cells[query, passage] for passage in langs)] for query in langs]
    heading = (
        f"mAP of {one.label} with one target: questions by row, and by column the language of the "
        "one passage in the pool that counts:\n\n"
    )
    return heading + table(["", *langs], rows)
