"""The table of results for a terminal and a notebook, and the notes below it."""

import math
from collections.abc import Callable, Collection, Mapping
from html import escape
from typing import TYPE_CHECKING

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.measurements import Measurements
from beir_hybrid.results.pool_languages import TOP
from beir_hybrid.results.provenance_notes import list_model_notes, list_run_notes, list_sum_notes
from beir_hybrid.text import escape_unprintable, plural

if TYPE_CHECKING:
    from rich.console import Group


_MOST_LANGUAGES = 12  # side by side in a terminal of 80 columns


def format_value(value: float, size: float | None = None) -> str:
    """Format a value for a table: four decimals for shares, one for numbers of ranks.

    Parameters
    ----------
    size
        The largest of the values that stand beside each other, and shall have equal decimals.

    Examples
    --------
    >>> format_value(0.79183), format_value(10846.04), format_value(1.0)
    ('.7918', '10,846.0', '1.0000')
    >>> format_value(9.9183, 12.5), format_value(0.52, 12.5)
    ('9.9', '0.5')
    """
    if abs(value if size is None else size) >= 10:  # noqa: PLR2004 - a number of ranks, no share
        return f"{value:,.1f}"
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.4f}"


def format_ratio(ratio: float) -> str:
    """Format how many times more something is than expected; nothing for NaN.

    >>> format_ratio(7.6556), format_ratio(float("nan"))
    ('7.7x', '')
    """
    return "" if math.isnan(ratio) else f"{ratio:.1f}x"


def format_effect(effect: float) -> str:
    """Format an effect size, which is infinite where every query has the same difference.

    >>> format_effect(-0.251), format_effect(float("inf"))
    ('-0.25', '+∞')
    """
    return f"{effect:+.2f}" if math.isfinite(effect) else f"{'-' if effect < 0 else '+'}∞"


def format_signed(difference: float, size: float | None = None) -> str:
    """Format a difference with its sign, or without a sign if the digits are all 0.

    Parameters
    ----------
    size
        As for `format_value`.

    Examples
    --------
    >>> format_signed(0.00591), format_signed(-123.0), format_signed(-0.00001)
    ('+.0059', '-123.0', '.0000')
    >>> format_signed(-2.25, 35.0)
    '-2.2'
    """
    text = format_value(abs(difference), size)
    if not text.strip("0.,"):
        return text
    return f"{'+' if difference > 0 else '-'}{text}"


def format_bounds(low: float, high: float, size: float | None = None) -> str:
    """Format the bounds of a difference, with their signs and with equal decimals.

    Parameters
    ----------
    size
        As for `format_value`; by default the larger of the two.

    Examples
    --------
    >>> format_bounds(-0.0021, 0.0148), format_bounds(-30.71, 5.7335)
    ('-.0021 to +.0148', '-30.7 to +5.7')
    """
    size = max(abs(low), abs(high)) if size is None else size
    return f"{format_signed(low, size)} to {format_signed(high, size)}"


def build_cells(
    results: Measurements, show: Callable[[Estimate, float], str], *, images: bool | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of a table: measures by kinds of settings.

    Parameters
    ----------
    show
        Turns an average into the text of a cell; the second argument is the largest of the row.
    images
        Whether to take kinds of settings with images or those without; by default both.
    """
    summary = {
        kind: estimates
        for kind, estimates in results.summary().items()
        if images in (None, SETTING_KINDS[kind].has_images)
    }
    has_unbiased = any(
        estimate.unbiased is not None for row in summary.values() for estimate in row.values()
    )
    headings = ["measure", *(SETTING_KINDS[kind].label for kind in summary)]
    headings += ["unbiased"] * has_unbiased
    rows = []
    for measure in results.measures:
        estimates = {kind: row.get(measure) for kind, row in summary.items()}
        if any(estimates.values()):
            size = max(abs(estimate.mean) for estimate in estimates.values() if estimate)
            cells = [show(estimate, size) if estimate else "" for estimate in estimates.values()]
            cells += [_format_unbiased(estimates, size)] * has_unbiased
            rows.append([str(measure), *cells])
    return headings, rows


def _format_unbiased(estimates: Mapping[KindName, Estimate | None], size: float) -> str:
    """Return the unbiased value, with the kinds of settings where theirs differ."""
    values = {
        kind: format_value(estimate.unbiased, size)
        for kind, estimate in estimates.items()
        if estimate and estimate.unbiased is not None
    }
    if len(set(values.values())) <= 1:
        return next(iter(values.values()), "")
    return ", ".join(f"{value} {kind}" for kind, value in values.items())


def format_interval(estimate: Estimate, size: float | None = None) -> str:
    """Format an average with its interval, all with the decimals of the average or of `size`."""
    values = (estimate.mean, estimate.low, estimate.high)
    mean, low, high = (format_value(value, size or estimate.mean) for value in values)
    return f"{mean} [{low}, {high}]"


def _format_half_width(estimate: Estimate, size: float) -> str:
    half_width = (estimate.high - estimate.low) / 2
    return f"{format_value(estimate.mean, size)} ±{format_value(half_width, size)}"


def list_notes(results: Measurements) -> list[str]:
    """List notes that belong to the figures, such as a caveat or truncated texts."""
    notes = []
    if caveat := results.provenance.collection.caveat:
        notes.append(caveat)
    counts = results.provenance.truncation
    if any(counts.values()):
        texts = " and ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        notes.append(f"{texts} are longer than the model reads, and were cut")
    notes += [*list_model_notes(results.provenance.model), *list_sum_notes(results.measures)]
    for kind, row in results.before_reranking.items():
        means = ", ".join(f"{name} {format_value(mean)}" for name, mean in row.items())
        notes.append(f"before reranking, {SETTING_KINDS[kind].label}: {means}")
    if runs := results.provenance.runs:
        notes += list_run_notes(runs, results.provenance.collection.passages, results.measures)
    if language := results.provenance.collection.passage_language:
        notes.append(f"all passages are in one language, {language}: no language bias to measure")
    for kind, pool in results.pools.items():
        if pool.ties:
            notes.append(
                f"{kind}: for {plural(pool.ties, 'queries')} a relevant passage has the score of "
                "another one, and ids decide their order"
            )
    if results.lacks_pools:
        notes.append(
            f"the languages of the first {TOP} passages are not counted: these results are older "
            "than that count, or rank nothing"
        )
    return notes + _list_missing_values(results)


def _list_missing_values(results: Measurements) -> list[str]:
    """Return notes on measures that have no value, each with the reason."""
    summary = results.summary()
    empty = [m for m in results.measures if not any(m in row for row in summary.values())]
    reasons: dict[str, list[str]] = {}
    for measure in empty:
        reason = "no query here has what it looks at"
        if isinstance(measure, BiasMeasure) and not measure.applies_to(results.kinds):
            reason = f"it takes settings of the kind {' or '.join(_sort_kinds(measure.SETTINGS))}"
        reasons.setdefault(reason, []).append(str(measure))
    notes = [f"no value of {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    if one_target := summary.get("one-target"):
        absent = [
            str(measure)
            for measure in results.measures
            if measure not in one_target
            and measure not in empty
            and not isinstance(measure, BiasMeasure)
        ]
        if absent:
            notes.append(
                f"no value of {', '.join(absent)} in one-target: it needs a run to look at"
            )
    return notes


def _sort_kinds(kinds: Collection[str]) -> list[str]:
    """Return kinds of settings in the order of the paper's tables, unknown ones last."""
    order = [*SETTING_KINDS, *sorted(kinds)]
    return sorted(kinds, key=order.index)


def describe_results(results: Measurements) -> str:
    """Return the line above the table: model, collection and its size."""
    collection = results.provenance.collection
    counts = {
        "languages": len(collection.languages),
        **({"images": collection.images} if collection.images else {}),
        "queries": collection.queries,
        "passages": collection.passages,
        "settings": len(results.settings),
    }
    sizes = ", ".join(plural(count, things) for things, count in counts.items())
    return escape_unprintable(f"{results.model} on {results.collection}: {sizes}")


def render_terminal(results: Measurements) -> "Group":
    """Return a table for rich's console; cells that are too wide are folded, never cut."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    # Kinds of settings by the names that the command line has for them, which are shorter.
    short_labels = {kind.label: name for name, kind in SETTING_KINDS.items()}
    tables = []
    for images in sorted({SETTING_KINDS[kind].has_images for kind in results.kinds}):
        headings, rows = build_cells(results, _format_half_width, images=images)
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for number, heading in enumerate(headings):
            table.add_column(
                short_labels.get(heading, heading),
                justify="right" if number else "left",
                overflow="fold",
            )
        for row in rows:
            table.add_row(*map(Text, row))  # texts of cells are no markup
        tables.append(table)
    note = "± half of the 95% interval, resampling groups of queries"
    return Group(Text(describe_results(results)), *tables, Text(note, style="dim italic"))


def render_pools(results: Measurements) -> "Group":
    """Return tables of the languages of the first passages in pools, for rich's console.

    A cell has two lines: the share of a language, and how many times its share of the relevant
    passages that is.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Text | Table] = []
    for kind, pool in results.pools.items():
        title = f"{kind}, first {pool.depth}: % in each language, x its share of the relevant"
        parts.append(Text(title))
        for start in range(0, len(pool.languages), _MOST_LANGUAGES):
            languages = pool.languages[start : start + _MOST_LANGUAGES]
            table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
            table.add_column("queries", overflow="fold")
            for language in languages:
                table.add_column(language, justify="right", overflow="fold")
            for query in pool.estimates:
                cells = [
                    f"{pool[query, language].mean:.0%}\n{format_ratio(pool.ratio(query, language))}"
                    for language in languages
                ]
                table.add_row(query, *map(Text, cells))
            parts.append(table)
        parts.append(Text(pool.describe()))
    return Group(*parts)


def render_html(results: Measurements) -> str:
    """Return a table for a notebook."""
    headings, rows = build_cells(results, format_interval)
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in list_notes(results))
    return (
        f"<table><caption>{escape(describe_results(results))}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
    )
