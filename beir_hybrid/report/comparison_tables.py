"""The tables of a comparison: all systems, then each system less the baseline."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ir_measures import Measure

from beir_hybrid.collection.setting import SETTING_KINDS, KindName, Setting
from beir_hybrid.measures.base import is_higher_better
from beir_hybrid.report.system_comparison import ALPHA, BaselineDifference, SystemComparison
from beir_hybrid.results.render import format_effect, format_signed, format_value
from beir_hybrid.text import escape_unprintable, plural

_TESTS = {"randomisation": "randomisation test over queries", "t": "t test over queries"}
RANK_NOTE = "In brackets: rank, shared if no test tells a system apart from the best of that rank."


class TableCell(NamedTuple):
    """A text, its rank among systems, and whether it differs from the baseline."""

    text: str
    rank: int | None = None
    is_significant: bool = False


class ComparisonTable(NamedTuple):
    """A table with a title above and notes below.

    Attributes
    ----------
    text_columns
        How many columns, from the left, hold words; all others hold figures.
    """

    title: str
    headings: list[str]
    rows: list[list[TableCell]]
    notes: list[str]
    text_columns: int = 1

    @property
    def has_ranks(self) -> bool:
        """Whether a cell has a rank."""
        return any(cell.rank for row in self.rows for cell in row)


def build_tables(comparison: SystemComparison) -> Iterator[ComparisonTable]:
    """Yield the table of all systems, then one for each system that is not the baseline."""
    yield _build_overview(comparison)
    note = (
        "In square brackets: 95% interval; queries that translate each other are resampled "
        f"together. p: {_TESTS[comparison.test]}, with Holm's correction over all comparisons by a "
        "measure. Effect: Cohen's d."
    )
    headings = ["measure", "setting", "value", "difference", "95% interval", "p", "effect"]
    unbiased_values = _list_unbiased(comparison)
    headings += ["unbiased"] * bool(unbiased_values)
    for system in list(comparison.systems)[1:]:
        rows = [
            _build_row(row, unbiased_values)
            for row in comparison.differences
            if row.system == system
        ]
        title = escape_unprintable(f"{system} less {comparison.baseline}, the baseline")
        yield ComparisonTable(title, headings, rows, [note], text_columns=2)


def _build_overview(comparison: SystemComparison) -> ComparisonTable:
    rows = []
    sizes = {
        column: max(
            (
                abs(estimate.mean)
                for system in comparison.systems
                if (estimate := comparison.estimate(system, *column))
            ),
            default=0.0,
        )
        for column in comparison.columns
    }
    for system in comparison.systems:
        cells = [TableCell(escape_unprintable(system))]
        for measure, kind in comparison.columns:
            estimate = comparison.estimate(system, measure, kind)
            text = format_value(estimate.mean, sizes[measure, kind]) if estimate else ""
            rank = comparison.find_rank(system, measure, kind)
            is_significant = comparison.is_significant(system, measure, kind)
            cells.append(TableCell(text, rank, is_significant))
        rows.append(cells)
    title = f"{len(comparison.systems)} systems on {comparison.collection}"
    headings = ["system", *(_build_heading(comparison, *column) for column in comparison.columns)]
    notes = [_explain_overview(comparison), *_list_training_notes(comparison)]
    return ComparisonTable(
        escape_unprintable(title), headings, rows, [escape_unprintable(note) for note in notes]
    )


def _explain_overview(comparison: SystemComparison) -> str:
    """Explain the kinds of settings, daggers and ranks of the table of all systems."""
    kinds = dict.fromkeys(SETTING_KINDS[kind] for _, kind in comparison.columns)
    labels = ", ".join(f"{kind.short_label} {kind.label}" for kind in kinds)
    note = (
        f"{labels}: means over settings. † differs from the baseline, {comparison.baseline}: "
        f"{_TESTS[comparison.test]}, p at most {ALPHA:g} after Holm's correction."
    )
    if _has_tied_difference(comparison):
        note += (
            " It may share the baseline's rank all the same: a rank tests against the best system "
            "of that rank, and corrects for all pairs of systems."
        )
    if _has_ranked_tie(comparison):
        note += (
            " A system without † may have another rank than the baseline all the same: a rank "
            "corrects for the pairs of systems in its column, † for all kinds of settings."
        )
    return note


def _list_training_notes(comparison: SystemComparison) -> Iterator[str]:
    """Yield a note for each system that was trained on queries of this collection."""
    for system, results in comparison.systems.items():
        trained_on = results.provenance.model.trained_on
        if n_shared := trained_on.get("shared", 0):
            queries = plural(trained_on.get("compared", 0), "queries")
            yield f"{system} was trained on {n_shared:,} of {queries} of {comparison.collection}."


def _has_tied_difference(comparison: SystemComparison) -> bool:
    """Return whether a system differs from the baseline and has its rank."""
    return any(
        comparison.is_significant(system, *column)
        and comparison.find_rank(system, *column) is not None
        and comparison.find_rank(system, *column)
        == comparison.find_rank(comparison.baseline, *column)
        for system in comparison.systems
        for column in comparison.columns
    )


def _has_ranked_tie(comparison: SystemComparison) -> bool:
    """Return whether a system has another rank than the baseline and does not differ from it."""
    return any(
        comparison.find_rank(system, *column) != comparison.find_rank(comparison.baseline, *column)
        and not comparison.is_significant(system, *column)
        for system in list(comparison.systems)[1:]
        for column in comparison.columns
        if comparison.find_rank(system, *column) is not None
    )


def _build_heading(comparison: SystemComparison, measure: Measure, kind: KindName) -> str:
    """Return a measure and its settings, with an arrow where lower is better."""
    is_lower_better = (measure, kind) in comparison.ranks and not is_higher_better(measure)
    return f"{measure} {SETTING_KINDS[kind].short_label}{' ↓' * is_lower_better}"


def _list_unbiased(comparison: SystemComparison) -> dict[tuple[str, KindName], float]:
    """Return the values without bias, by name of measure and kind of settings.

    There are none where settings are compared one by one: theirs may differ from those of the kind.
    """
    if any(isinstance(row.comparison.setting, Setting) for row in comparison.differences):
        return {}
    estimates = {
        (str(measure), kind): estimate.unbiased
        for results in comparison.systems.values()
        for kind, row in results.summary().items()
        for measure, estimate in row.items()
    }
    return {column: value for column, value in estimates.items() if value is not None}


def _build_row(
    row: BaselineDifference, unbiased_values: Mapping[tuple[str, KindName], float]
) -> list[TableCell]:
    values, p = row.comparison.difference, row.comparison.p_holm
    measure, setting = str(row.comparison.measure), row.comparison.setting
    # Of a setting it may be another than on average.
    unbiased = None if isinstance(setting, Setting) else unbiased_values.get((measure, setting))
    size = max(map(abs, (values.mean_a, values.mean_b, values.low, values.high)))
    low, high = format_signed(values.low, size), format_signed(values.high, size)
    return [
        TableCell(measure),
        TableCell(_name_settings(setting)),
        TableCell(format_value(values.mean_a, size)),
        TableCell(format_signed(values.value, size)),
        TableCell(f"[{low}, {high}]"),
        TableCell("<.0001" if p < 0.00005 else format_value(p), is_significant=p <= ALPHA),  # noqa: PLR2004 - would show as 0
        TableCell(format_effect(values.effect)),
        *[TableCell("" if unbiased is None else format_value(unbiased, size))]
        * bool(unbiased_values),
    ]


def _name_settings(setting: KindName | Setting) -> str:
    if not isinstance(setting, Setting):
        return setting
    suffix = " alone" if setting.kind == "one-target" else ""
    return escape_unprintable(f"{setting.queries} → {setting.passages}{suffix}")


Record = Mapping[str, object]


def list_comparison_records(comparison: SystemComparison) -> list[Record]:
    """Return a row for each comparison with the baseline, with all digits."""
    rows: list[Record] = []
    for system, row in comparison.differences:
        setting, values = row.setting, row.difference
        kind, queries, passages = setting if isinstance(setting, Setting) else (setting, None, None)
        ranks = {} if queries else comparison.ranks.get((row.measure, kind), {})
        rows.append({
            "system": system, "baseline": comparison.baseline, "measure": str(row.measure),
            "kind": kind, "queries": queries, "passages": passages,
            "mean": values.mean_a, "baseline_mean": values.mean_b,
            "difference": values.value, "low": values.low, "high": values.high,
            "p": values.p, "p_holm": row.p_holm,
            "effect": values.effect if math.isfinite(values.effect) else None,
            "questions": values.n_groups,
            "rank": ranks.get(system), "baseline_rank": ranks.get(comparison.baseline),
        })  # fmt: skip
    return rows


def build_comparison_record(comparison: SystemComparison) -> Record:
    """Return the whole comparison as a record for JSON."""
    systems = []
    for system in comparison.systems:
        values = []
        for measure, kind in comparison.columns:
            if estimate := comparison.estimate(system, measure, kind):
                interval = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
                rank = comparison.find_rank(system, measure, kind)
                values.append({"measure": str(measure), "kind": kind, **interval, "rank": rank})
        record: dict[str, object] = {"system": system, "values": values}
        if trained_on := comparison.systems[system].provenance.model.trained_on:
            record["trained_on"] = dict(trained_on)
        systems.append(record)
    return {
        "collection": comparison.collection,
        "baseline": comparison.baseline,
        "test": comparison.test,
        "systems": systems,
        "comparisons": list_comparison_records(comparison),
    }
