"""Tables of averages and of paired tests, as Markdown."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

import numpy as np

from beir_hybrid.results.render import format_signed, format_value
from benchmarks.hybrid.claims import SEEN, UNSEEN
from benchmarks.hybrid.variant_results import (
    COLUMNS,
    SeedMean,
    VariantDifference,
    VariantResults,
    compare_variants,
)

MAIN_COLUMNS = ("Mo mAP", "Cr mAP", "Mul mAP", "rank distance")
LATIN = frozenset({"de", "en", "es", "tr", "vi"})
NON_LATIN = frozenset({"ar", "el", "hi", "ru", "th", "zh"})
LANGUAGE_GROUPS = (
    ("Languages that arm A trains on, and languages that it does not train on", SEEN, UNSEEN),
    ("Latin and other scripts", LATIN, NON_LATIN),
)


def write_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], alignment: str = "---:"
) -> str:
    """Return a table in Markdown; `alignment` is that of all columns but the first.

    >>> print(write_table(["batches", "mAP"], [["x-y", ".1"]]))
    | batches | mAP |
    |---|---:|
    | x-y | .1 |
    <BLANKLINE>
    """
    first, *rest = [f"| {' | '.join(row)} |" for row in [headings, *rows]]
    return "\n".join([first, f"|---|{f'{alignment}|' * (len(headings) - 1)}", *rest, ""])


def write_means(
    results: Mapping[str, VariantResults], columns: Iterable[str] = tuple(COLUMNS)
) -> str:
    """Return the averages of every variant, and the unbiased values."""
    names = [
        name
        for name in columns
        if any(variant.values(COLUMNS[name]) is not None for variant in results.values())
    ]
    rows = [
        [label, *(_show_mean(variant.mean(COLUMNS[name])) for name in names)]
        for label, variant in results.items()
    ]
    first = next(iter(results.values()), None)
    unbiased = [first.unbiased.get(COLUMNS[name].measure) if first else None for name in names]
    if any(unbiased):
        cells = ("" if value is None else format_value(value) for value in unbiased)
        rows.append(["*unbiased*", *cells])
    return write_table(["batches", *names], rows)


def _show_mean(mean: SeedMean | None) -> str:
    if mean is None:
        return "-"
    deviation = "" if np.isnan(mean.deviation) else f" ±{format_value(mean.deviation)}"
    interval = f"[{format_value(mean.low)}, {format_value(mean.high)}]"
    return f"{format_value(mean.mean)} {interval}{deviation}"


def read_published(names: Iterable[str], collection: str) -> dict[str, tuple[float, ...]]:
    """Return the values of `MAIN_COLUMNS` of published rows, by name, on a collection."""
    text = resources.files("beir_hybrid.report").joinpath("published.toml").read_text("utf-8")
    figures = {row["name"]: row.get(collection, {}) for row in tomllib.loads(text)["rows"]}
    columns = ("mono", "cross", "multi", "distance")
    return {
        name: tuple(figures[name][column] for column in columns)
        for name in names
        if figures.get(name)
    }


def write_published(labels: Mapping[str, str], collection: str) -> str:
    """Return the paper's figures on a collection; its training data differ from ours.

    Parameters
    ----------
    labels
        Labels, and the rows of the published figures.
    """
    figures = read_published(labels.values(), collection)
    rows = [
        [label, *map(format_value, figures[name])]
        for label, name in labels.items()
        if name in figures
    ]
    if not rows:
        return ""
    table = write_table(["batches", *MAIN_COLUMNS], rows)
    return f"The paper's figures, from other training data:\n\n{table}"


def write_tests(results: Mapping[str, VariantResults], baseline: str) -> str:
    """Return comparisons of the baseline with every other variant."""
    rivals = [variant for label, variant in results.items() if label != baseline]
    if not rivals:
        return ""
    rows = [
        [f"{name}: {baseline} less {difference.second}", *_show_difference(difference)]
        for name in MAIN_COLUMNS
        for difference in compare_variants(results[baseline], rivals, COLUMNS[name])
    ]
    headings = ["", "difference", "over queries", "over seeds", "p", "p, Holm"]
    return (
        f"Paired randomisation tests of {baseline} with each other variant, over queries, of "
        "values averaged over seeds. Holm's correction is over the variants of a measure.\n\n"
    ) + write_table(headings, rows)


def _show_difference(difference: VariantDifference) -> list[str]:
    over_queries = f"[{format_signed(difference.low)}, {format_signed(difference.high)}]"
    over_seeds = "-"
    if not np.isinf(difference.seed_low):
        bounds = map(format_signed, (difference.seed_low, difference.seed_high))
        over_seeds = f"[{', '.join(bounds)}]"
    p_values = [f"{difference.p:.4f}", f"{difference.p_holm:.4f}"]
    return [format_signed(difference.difference), over_queries, over_seeds, *p_values]


def write_language_groups(results: Mapping[str, VariantResults]) -> str:
    """Return averages over groups of languages, if the collection has both groups."""
    parts = []
    for title, *groups in LANGUAGE_GROUPS:
        columns = {
            f"{name}, {' '.join(sorted(group & _find_languages(results)))}": COLUMNS[name].restrict(
                group
            )
            for name in MAIN_COLUMNS[:3]
            for group in groups
        }
        means = {
            label: [variant.mean(column) for column in columns.values()]
            for label, variant in results.items()
        }
        if means and all(None not in row for row in means.values()):
            rows = [[label, *map(_show_mean, row)] for label, row in means.items()]
            table = write_table(["batches", *columns], rows)
            parts.append(
                f"{title}. Queries and passages are in languages of the group; of the pool, "
                f"queries are:\n\n{table}"
            )
    return "\n".join(parts)


def _find_languages(results: Mapping[str, VariantResults]) -> frozenset[str]:
    """Return the languages of the queries."""
    tables = [table for variant in results.values() for table in variant.tables.values()]
    return frozenset(setting.queries for table in tables for setting in table.settings)


def write_one_target(variant: VariantResults) -> str:
    """Return mAP by the languages of queries and of the only relevant passages in the pool."""
    table = variant.tables.get(("AP", "one-target"))
    if table is None:
        return ""
    values = table.values.mean(axis=0)
    cells = {
        (setting.queries, setting.passages): format_value(float(values[table.setting == i].mean()))
        for i, setting in enumerate(table.settings)
    }
    languages = sorted({query for query, _ in cells})
    rows = [[query, *(cells[query, passage] for passage in languages)] for query in languages]
    title = (
        f"mAP of {variant.label} with one target. Rows: languages of queries; columns: the "
        "language of the only relevant passages in the pool.\n\n"
    )
    return title + write_table(["", *languages], rows)
