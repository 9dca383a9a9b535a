"""Intervals by article: queries about one article are alike, so that articles are resampled."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from beir_hybrid.results.render import format_signed, format_value
from beir_hybrid.results.statistics import compare_values, estimate_interval
from benchmarks.hybrid.tables import MAIN_COLUMNS, write_table
from benchmarks.hybrid.variant_results import COLUMNS, FLIPS, VariantResults


def write_article_intervals(
    results: Mapping[str, VariantResults], baseline: str, articles: np.ndarray
) -> str:
    """Return averages and differences from the baseline with 95% intervals over articles."""
    rows = []
    for label, variant in results.items():
        cells = [_show_column(variant, results[baseline], name, articles) for name in MAIN_COLUMNS]
        rows.append([label, *cells])
    return (
        f"### Intervals by article\n\n{len(set(articles.tolist()))} articles are resampled, with "
        "all their queries. Averages, and differences from "
        f"{baseline}, of values averaged over seeds.\n\n"
    ) + write_table(["", *MAIN_COLUMNS], rows)


def _show_column(
    variant: VariantResults, baseline: VariantResults, name: str, articles: np.ndarray
) -> str:
    sides = [side.values(COLUMNS[name]) for side in (variant, baseline)]
    values, other = (
        None if side is None else replace(side, group=articles[side.group]) for side in sides
    )
    if values is None or other is None:
        return "-"
    bounds: Sequence[float] = estimate_interval(values)
    text = f"[{', '.join(map(format_value, bounds))}]"
    if variant.label == baseline.label:
        return text
    difference = compare_values(values, other, samples=FLIPS)
    reach = ", ".join(map(format_signed, (difference.low, difference.high)))
    return f"{text}; {format_signed(difference.value)} [{reach}]"
