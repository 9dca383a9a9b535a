"""Results in, the same table for a terminal and for a notebook out."""

from collections.abc import Callable, Collection, Mapping
from html import escape
from typing import TYPE_CHECKING

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.results.provenance import RunsProvenance
from beir_hybrid.results.results import Estimate, Results
from beir_hybrid.text import escape_unprintable, plural

if TYPE_CHECKING:
    from rich.console import Group


def figure(value: float) -> str:
    """Return a figure with the digits that it deserves.

    >>> figure(0.79183), figure(10846.04), figure(1.0)
    ('.7918', '10,846.0', '1.0000')
    """
    if abs(value) >= 10:  # noqa: PLR2004 - a number of ranks, no share
        return f"{value:,.1f}"
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.4f}"


def signed(difference: float) -> str:
    """Return a difference with its sign, if it has any in the digits shown.

    >>> signed(0.00591), signed(-123.0), signed(-0.00001)
    ('+.0059', '-123.0', '.0000')
    """
    size = figure(abs(difference))
    if not size.strip("0.,"):
        return size
    return f"{'+' if difference > 0 else '-'}{size}"


def cells(
    results: Results, cell: Callable[[Estimate], str], *, images: bool | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows: a measure each, with its averages by kind of setting.

    Of all kinds of settings, of those with pictures, or of those without.
    """
    summary = {
        kind: found
        for kind, found in results.summary().items()
        if images in (None, SETTING_KINDS[kind].has_images)
    }
    biased = any(one.unbiased is not None for row in summary.values() for one in row.values())
    headings = ["measure", *(SETTING_KINDS[kind].label for kind in summary), *["unbiased"] * biased]
    rows = []
    for measure in results.measures:
        found = [summary[kind].get(measure) for kind in summary]
        if any(found):
            unbiased = [_unbiased(dict(zip(summary, found, strict=True)))] * biased
            rows.append([str(measure), *(cell(one) if one else "" for one in found), *unbiased])
    return headings, rows


def _unbiased(found: Mapping[KindName, Estimate | None]) -> str:
    """Return the unbiased value, with the kinds of settings where theirs differ."""
    free = {
        kind: figure(one.unbiased)
        for kind, one in found.items()
        if one and one.unbiased is not None
    }
    if len(set(free.values())) <= 1:
        return next(iter(free.values()), "")
    return ", ".join(f"{value} {kind}" for kind, value in free.items())


def _whole(found: Estimate) -> str:
    return f"{figure(found.mean)} [{figure(found.low)}, {figure(found.high)}]"


def _short(found: Estimate) -> str:
    return f"{figure(found.mean)} ±{figure((found.high - found.low) / 2)}"


def notes(results: Results) -> list[str]:
    """Return what a reader must know beside the figures."""
    known = []
    if caveat := results.provenance.collection.caveat:
        known.append(caveat)
    counts = results.provenance.truncation
    if any(counts.values()):
        texts = " and ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        known.append(f"{texts} are longer than the model reads, and were cut")
    if runs := results.provenance.runs:
        known.append(f"runs hold {runs.depth:,} passages a query at most: measures see no more")
        if runs.missing:
            known.append(_missing(runs))
        if runs.unmatched:
            known.append(
                f"{runs.unmatched:,} of {runs.queries:,} rankings are empty: no passage shares a "
                "term"
            )
    summary = results.summary().values()
    silent = [m for m in results.measures if not any(m in row for row in summary)]
    reasons: dict[str, list[str]] = {}
    for measure in silent:
        reason = "no query here has what it looks at"
        if isinstance(measure, BiasMeasure) and not measure.applies_to(results.kinds):
            reason = f"it takes settings of the kind {' or '.join(_sort_kinds(measure.SETTINGS))}"
        reasons.setdefault(reason, []).append(str(measure))
    known += [f"no value of {', '.join(some)}: {reason}" for reason, some in reasons.items()]
    if alone := results.summary().get("one-target"):
        others = [m for m in results.measures if m not in alone and m not in silent]
        if unseen := [str(m) for m in others if not isinstance(m, BiasMeasure)]:
            known.append(
                f"no value of {', '.join(unseen)} in one-target: it needs a run to look at"
            )
    return known


def _sort_kinds(kinds: Collection[str]) -> list[str]:
    """Return kinds of settings in the order of the paper's tables, unknown ones last."""
    order = [*SETTING_KINDS, *sorted(kinds)]
    return sorted(kinds, key=order.index)


def _missing(runs: RunsProvenance) -> str:
    """Say how many queries runs lack, and of which languages."""
    lost = f"the runs lack {runs.missing:,} of {plural(runs.queries, 'queries')}"
    by_lang = runs.missing_by_language.items()  # older results have no such entry
    langs = [f"{lang} {n:,} of {of:,}" for lang, (n, of) in by_lang if n]
    return f"{lost}, which counts as finding nothing{': ' * bool(langs)}{', '.join(langs)}"


def heading(results: Results) -> str:
    """Return the line above the table."""
    collection = results.provenance.collection
    counts = {
        "languages": len(collection.languages),
        **({"pictures": collection.images} if collection.images else {}),
        "queries": collection.queries,
        "passages": collection.passages,
        "settings": len(results.settings),
    }
    shown = ", ".join(plural(count, of) for of, count in counts.items())
    return escape_unprintable(f"{results.model} on {results.collection}: {shown}")


def terminal_table(results: Results) -> "Group":
    """Return a table for rich's console; what is too wide for it is folded, never cut."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    short = {
        kind.label: name for name, kind in SETTING_KINDS.items()
    }  # as the command line names them
    tables = []
    for images in sorted({SETTING_KINDS[kind].has_images for kind in results.kinds}):
        headings, rows = cells(results, _short, images=images)
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for number, name in enumerate(headings):
            table.add_column(
                short.get(name, name), justify="right" if number else "left", overflow="fold"
            )
        for row in rows:
            table.add_row(*map(Text, row))  # what stands in cells is no markup
        tables.append(table)
    below = "± half of the 95% interval, resampling questions"
    return Group(Text(heading(results)), *tables, Text(below, style="dim italic"))


def html_table(results: Results) -> str:
    """Return a table for a notebook."""
    headings, rows = cells(results, _whole)
    head = "".join(f"<th>{escape(name)}</th>" for name in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    below = "".join(f"<p>{escape(note)}</p>" for note in notes(results))
    return (
        f"<table><caption>{escape(heading(results))}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
    )
