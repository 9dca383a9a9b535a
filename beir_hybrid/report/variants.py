"""Variants of models on a leaderboard: a model with a calibration, beside the model without."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.encoding.fingerprint import list_differences
from beir_hybrid.errors import BadData
from beir_hybrid.report.columns import CellValue, Column
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.page_tables import TextTable
from beir_hybrid.results.render import format_bounds, format_signed, format_value
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import Difference, compare_values


class Variant(NamedTuple):
    """The model of which an entry is a variant, and the differences from it.

    Attributes
    ----------
    model
        The entry of the same model without calibration.
    suffix
        What the variant's name adds to the model's; its whole name if it does not begin with that.
    differences
        The variant less the model, by kind of settings and measure.
    """

    model: Entry
    suffix: str
    differences: Mapping[tuple[KindName, str], Difference]


def find_variants(
    entries: Sequence[Entry], measure: str, pool_kind: KindName
) -> dict[Entry, Variant]:
    """Return the calibrated entries whose model is there without calibration, and how they differ.

    They are compared by one measure in every kind of settings, and by all measures in the pool.
    """
    variants = {}
    for entry in entries:
        model = _find_model(entry, entries)
        if entry.results is None or model is None or model.results is None:
            continue
        begins_alike = entry.name.startswith(model.name)
        suffix = entry.name.removeprefix(model.name).strip() if begins_alike else ""
        variants[entry] = Variant(
            model,
            suffix or entry.name,
            dict(_compare(entry.results, model.results, measure, pool_kind)),
        )
    return variants


def _find_model(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    """Return the entry of the same model without calibration; that of the longest common name."""
    if entry.results is None or not entry.calibration:
        return None
    provenance = entry.results.provenance
    candidates = [
        candidate
        for candidate in entries
        if candidate.results is not None
        and not candidate.calibration
        and candidate.results.provenance.reranker == provenance.reranker
        and not list_differences(
            candidate.results.provenance.model.fingerprint, provenance.model.fingerprint
        )
    ]
    return max(
        candidates,
        key=lambda candidate: len(candidate.name) * entry.name.startswith(candidate.name),
        default=None,
    )


def _compare(
    variant: Results, model: Results, main_measure: str, pool_kind: KindName
) -> Iterable[tuple[tuple[KindName, str], Difference]]:
    measures = [str(measure) for measure in variant.measures if measure in model.measures]
    for kind in SETTING_KINDS:
        for measure in measures if kind == pool_kind else {main_measure}.intersection(measures):
            pair = [results.values(measure, kind) for results in (variant, model)]
            if pair[0] is None or pair[1] is None:
                continue
            try:
                yield (kind, measure), compare_values(pair[0], pair[1])
            except BadData:  # of other queries or languages
                continue


def group_variants(
    entries: Iterable[Entry], variants: Mapping[Entry, Variant]
) -> list[tuple[Entry, ...]]:
    """Return groups of a model and its variants, which is first, in the order of entries.

    A group has the place of its foremost member.
    """
    groups: dict[Entry, list[Entry]] = {}
    for entry in entries:
        model = variants[entry].model if entry in variants else entry
        groups.setdefault(model, [model]).extend([entry] if entry in variants else [])
    return [tuple(group) for group in groups.values()]


def make_gain_column(column: Column) -> Column:
    """Return the column beside the pool's that shows the gain of a calibration."""
    return Column(
        f"{column.title} gain",
        column.heading,
        f"{column.title} of a calibrated model less that of the same model without calibration, "
        "query by query",
        role="gain",
    )


def fill_gains(
    entries: Sequence[Entry],
    column: Column,
    measures: Sequence[str],
    variants: Mapping[Entry, Variant],
) -> list[Mapping[str, CellValue]]:
    """Return the cells of that column: for each entry, differences by measure."""

    def show_gain(entry: Entry, measure: str) -> CellValue:
        differences = variants[entry].differences if entry in variants else {}
        difference = differences.get((column.kind or "multi", measure))
        if difference is None:
            return CellValue()
        text = format_signed(difference.value)
        return CellValue(text, difference.value, format_bounds(difference.low, difference.high))

    return [{measure: show_gain(entry, measure) for measure in measures} for entry in entries]


def build_variant_table(variant: Variant) -> TextTable:
    """List measures with a calibration, without it, and their differences."""
    rows = tuple(
        (
            f"{measure}, {SETTING_KINDS[kind].label}",
            format_value(difference.mean_a),
            format_value(difference.mean_b),
            format_signed(difference.value),
            format_bounds(difference.low, difference.high),
        )
        for (kind, measure), difference in variant.differences.items()
    )
    columns = ("measure", "with", "without", "difference", "95% interval")
    return TextTable("With the calibration and without, query by query", columns, rows)
