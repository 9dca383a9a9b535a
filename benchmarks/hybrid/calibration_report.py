"""What a calibration gives beside training, and what training adds to it, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from beir_hybrid.results.render import format_value
from benchmarks.hybrid.claims import MAP_COLUMNS, describe_difference
from benchmarks.hybrid.run import UNTRAINED
from benchmarks.hybrid.tables import MAIN_COLUMNS, write_table
from benchmarks.hybrid.variant_results import (
    COLUMNS,
    VariantDifference,
    VariantResults,
    compare_variants,
)

ByMethod = Mapping[str, Mapping[str, VariantResults]]  # a calibration, then a label of a variant


def choose_method(dev: ByMethod, baseline: str) -> str:
    """Choose the calibration with which the baseline has the highest mean of mAPs on dev articles.

    It is empty where the baseline has no results with any.
    """
    averages = {}
    for method, variants in dev.items():
        if method and baseline in variants:
            means = [variants[baseline].mean(COLUMNS[name]) for name in MAP_COLUMNS]
            averages[method] = sum(mean.mean for mean in means if mean)
    return max(averages, key=lambda method: averages[method]) if averages else ""


def write_calibrations(results: ByMethod) -> str:
    """Return a table of each measure: variants by calibration."""
    methods = [method for method, variants in results.items() if variants]
    if len(methods) < 2:
        return ""
    parts = ["### With calibrations\n\nVariants by calibration, fitted to the collection.\n"]
    for name in MAIN_COLUMNS:
        rows = [
            [label, *(_show_value(results[method].get(label), name) for method in methods)]
            for label in results[methods[0]]
        ]
        parts.append(write_table([name, *(method or "as it is" for method in methods)], rows))
    return "\n".join(parts)


def _show_value(variant: VariantResults | None, name: str) -> str:
    mean = variant.mean(COLUMNS[name]) if variant else None
    if mean is None:
        return "-"
    deviation = "" if np.isnan(mean.deviation) else f" ±{format_value(mean.deviation)}"
    return f"{format_value(mean.mean)}{deviation}"


def write_gains(results: ByMethod, baseline: str, method: str) -> str:
    """Return paired tests of training, calibration, and both together."""
    differences = list(compare_gains(results, baseline, method))
    if not differences:
        return ""
    rows = [
        [question, *(describe_difference(row) for row in columns)]
        for question, columns in differences
    ]
    title = (
        f"### Training and calibration\n\nThe calibration is {method}, with which {baseline} is "
        "best on the dev articles.\n\n"
    )
    return title + write_table(["", *MAIN_COLUMNS], rows, "---")


def compare_gains(
    results: ByMethod, baseline: str, method: str
) -> Iterator[tuple[str, list[VariantDifference]]]:
    """Compare the untrained model and the baseline, both as they are and calibrated."""
    sides = {
        (label, calibration): results[calibration][label]
        for label, calibration in product((UNTRAINED, baseline), ("", method))
        if label in results.get(calibration, {})
    }
    if len(sides) < 4:
        return
    trained = sides[baseline, ""]
    for question, first, second in (
        ("what training gives", (baseline, ""), (UNTRAINED, "")),
        ("what calibration gives", (UNTRAINED, method), (UNTRAINED, "")),
        ("calibration less training", (UNTRAINED, method), (baseline, "")),
        ("what training adds to calibration", (baseline, method), (UNTRAINED, method)),
        ("what calibration adds to training", (baseline, method), (baseline, "")),
    ):
        one, other = (repeat_seeds(sides[key], trained.seeds) for key in (first, second))
        columns = [compare_variants(one, [other], COLUMNS[name]) for name in MAIN_COLUMNS]
        if all(columns):
            yield question, [column[0] for column in columns]


def repeat_seeds(variant: VariantResults, seeds: Sequence[int]) -> VariantResults:
    """Return the untrained model's results once for each seed; trained ones as they are."""
    if variant.label.partition("+")[0] != UNTRAINED:
        return variant
    tables = {
        key: replace(table, values=np.repeat(table.values[:1], len(seeds), axis=0))
        for key, table in variant.tables.items()
    }
    return replace(variant, seeds=tuple(seeds), tables=tables)
