"""Choose a variant on the dev articles, and decide whether it replaces the baseline."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.hybrid.claims import (
    MAP_COLUMNS,
    ColumnDifference,
    correct_family,
    correct_row,
    holds,
)
from benchmarks.hybrid.variant_results import COLUMNS, VariantResults, compare_variants

GAINS = ("Mul mAP", "rank distance")
SELECTION_RULE = """The candidate with the highest mean of the three mAPs on the dev articles is
chosen. It is kept if, on each held-out collection, it is better than the baseline in
multilingual mAP or in rank distance, and best or equal in all three mAPs, both as the rule for
the claims defines them. p is corrected by Holm's method for multilingual mAP and rank distance
on all collections."""


class Decision(NamedTuple):
    """Whether a variant is better than the baseline on a collection, and the comparisons."""

    is_better: bool
    rows: list[ColumnDifference]


def choose_candidate(results: Mapping[str, VariantResults]) -> str:
    """Return the label with the highest mean of mAPs on the dev articles; empty if none has any."""
    averages = {}
    for label, variant in results.items():
        means = [mean.mean for name in MAP_COLUMNS if (mean := variant.mean(COLUMNS[name]))]
        if means:
            averages[label] = sum(means) / len(means)
    return max(averages, key=lambda label: averages[label]) if averages else ""


def decide_replacement(
    pairs: Mapping[str, tuple[VariantResults, VariantResults]],
) -> dict[str, Decision]:
    """Decide on each collection whether a variant is better than the baseline.

    Parameters
    ----------
    pairs
        The variant and the baseline by collection.
    """
    rows = {
        collection: [
            ColumnDifference(name, difference)
            for name in (*MAP_COLUMNS, "rank distance")
            for difference in compare_variants(variant, [baseline], COLUMNS[name])
        ]
        for collection, (variant, baseline) in pairs.items()
    }
    p_holm = correct_family(
        [row.difference for part in rows.values() for row in part if row.column in GAINS]
    )
    return {collection: _decide(part, p_holm) for collection, part in rows.items()}


def _decide(rows: list[ColumnDifference], p_holm: Mapping[int, float]) -> Decision:
    corrected = [correct_row(row, p_holm) for row in rows]
    gains = [
        holds(difference, "better", COLUMNS[column].sign)
        for column, difference in corrected
        if column in GAINS
    ]
    equal = [
        holds(difference, "best or equal", 1)
        for column, difference in corrected
        if column in MAP_COLUMNS
    ]
    is_better = any(gains) and all(equal) and len(equal) == len(MAP_COLUMNS)
    return Decision(is_better, corrected)
