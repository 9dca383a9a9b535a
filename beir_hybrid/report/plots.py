"""Results in, figures out: heat maps, bars, bias, effectiveness against bias."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ir_measures import Measure, parse_measure

from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS, KindName, Setting
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.languages import name_language
from beir_hybrid.report.drawing import (
    COLOURS,
    INK,
    drawing,
    plot_suffix,
    short,
    svg,
    title,
    write,
)
from beir_hybrid.report.entries import PICTURED
from beir_hybrid.results.compare import rises, same_collection
from beir_hybrid.results.render import figure, signed
from beir_hybrid.results.results import Estimate, Matrix, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bias",
    "languages",
    "matrix",
    "plot_suffix",
    "points",
    "scatter",
    "svg",
    "write",
]
_MARKERS = "osD^vP"
_PREFERENCES = ("LanguagePreference", "SameLanguageShare", "ModalityShare")


def matrix(
    results: Results,
    measure: Measure | str = "AP",
    *,
    one_target: bool = False,
    less: Results | None = None,
) -> "Figure":
    """Draw a measure by the languages of queries and passages; with `less`, what it gains on that.

    With ``one_target``, of the pool without the relevant passages of other languages.
    """
    found = results.matrix(measure, one_target=one_target)
    values, name = found.values, results.model
    if less is not None:
        same_collection([results, less])
        other = less.matrix(measure, one_target=one_target)
        if (other.rows, other.columns) != (found.rows, found.columns):
            raise BadData("the results have different settings, so that there is no difference")
        values, name = values - other.values, f"{results.model} less {less.model}"
    where = ", one target" if one_target else ""
    drawn = _figure(max(5.2, 2.5 + 0.5 * len(found.columns)), 1.7 + 0.36 * len(found.rows))
    with drawing():
        title(drawn, name, f"{measure} on {results.collection}{where}")
        _cells(drawn, Matrix(found.rows, found.columns, values), difference=less is not None)
    return drawn


def _cells(drawn: "Figure", found: Matrix, *, difference: bool) -> None:
    """Draw coloured cells with their values, in ink that can be read on each."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    largest = float(np.nanmax(np.abs(found.values))) or 1.0
    scale = Normalize(-largest if difference else 0, largest)
    colours = colormaps["RdBu" if difference else "viridis"]
    axes = drawn.add_subplot()
    seen = np.ma.masked_invalid(found.values)
    axes.pcolormesh(seen, cmap=colours, norm=scale, edgecolors="face", linewidth=0.3)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    columns = ["pictures" if code == IMAGE else code for code in found.columns]
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(found.rows)) + 0.5, list(map(_language, found.rows)))
    axes.set_xlabel("language of passages")
    axes.set_ylabel("language of queries")
    written = signed if difference else figure
    for (row, column), value in np.ndenumerate(found.values):
        if np.isfinite(value):
            look: Any = {"color": _readable_on(colours(float(scale(value)))), "fontsize": 7}
            place = column + 0.5, row + 0.5
            axes.text(*place, written(value), ha="center", va="center", **look)


def _readable_on(colour: Sequence[float]) -> str:
    """Return white or near black, whichever has more contrast by WCAG's formula."""
    dark = 0.04045
    linear = [c / 12.92 if c <= dark else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.05 + float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
    return "#ffffff" if 1.05 / luminance > luminance / 0.055 else "#111111"


def by_language(means: Mapping[Setting, float]) -> dict[KindName, dict[str, list[float]]]:
    """Return values by kind of setting and by the language of queries, or of what a picture finds.

    A picture asked of all languages is in none.
    """
    table: dict[KindName, dict[str, list[float]]] = {}
    for setting, value in means.items():
        lang = setting.passages if setting.queries == IMAGE else setting.queries
        if setting.kind not in ("one-target", "image-pool"):
            table.setdefault(setting.kind, {}).setdefault(lang, []).append(value)
    return table


def languages(results: Results, measure: Measure | str = "AP") -> "Figure":
    """Draw a measure by query language: in its own, in others on average, and in the pool."""
    table = by_language(results.means(measure))
    if not table:
        raise BadOption(f"these results have no mono, cross or multi settings with {measure}")
    langs = sorted({lang for row in table.values() for lang in row})
    drawn = _figure(6.4, 1.5 + len(langs) * (0.15 * len(table) + 0.12))
    with drawing():
        by = "query language" if PICTURED.isdisjoint(table) else "language of captions"
        title(drawn, results.model, f"{measure} on {results.collection}, by {by}")
        axes = drawn.add_subplot()
        high = 0.84 / len(table)
        for number, (kind, row) in enumerate(table.items()):
            means = {lang: float(np.mean(found)) for lang, found in row.items()}
            shift = (number - (len(table) - 1) / 2) * high
            _bars(
                axes,
                langs,
                means,
                shift,
                high,
                label=SETTING_KINDS[kind].label,
                color=COLOURS[number],
            )
        axes.set_xlabel(str(measure))
        axes.margins(x=0.1)
        drawn.legend(loc="outside lower left", ncols=len(table))
    return drawn


def bias(results: Results) -> "Figure":
    """Draw how far each query language is preferred to others, beside what no bias would give."""
    chosen = [measure for measure in results.measures if measure.NAME in _PREFERENCES]
    panels = {measure: found for measure in chosen if (found := results.means(measure))}
    if not panels:
        raise BadOption(f"these results have no {' and no '.join(_PREFERENCES)}")
    langs = sorted({setting.queries for found in panels.values() for setting in found})
    summary = results.summary()
    drawn = _figure(1.6 + 2.9 * len(panels), 1.6 + 0.26 * len(langs))
    with drawing():
        title(drawn, results.model, f"bias on {results.collection}, by query language")
        row = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (measure, found) in zip(row, panels.items(), strict=True):
            means = {setting.queries: value for setting, value in found.items()}
            _bars(axes, langs, means, 0, 0.7, color=COLOURS[0])
            kind = next(iter(found)).kind
            if (free := summary[kind][measure].unbiased) is not None:
                axes.axvline(free, color=COLOURS[1], linestyle="--", linewidth=1.2)
                look = {"fontsize": 8, "color": COLOURS[1], "loc": "left"}
                axes.set_title(f"- -  unbiased: {figure(free)}", **look)
            axes.set_xlabel(str(measure))
            axes.set_xlim(0, 1.15)
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    return drawn


def _bars(
    axes: "Axes",
    langs: Sequence[str],
    means: Mapping[str, float],
    shift: float,
    high: float,
    **look: Any,
) -> None:
    """Draw a bar for each language that has a mean, the first on top, and write the means."""
    places = [langs.index(lang) + shift for lang in means]
    bars = axes.barh(places, list(means.values()), height=high, **look)
    axes.bar_label(bars, list(map(figure, means.values())), padding=2, fontsize=6.5)
    axes.set_yticks(range(len(langs)), list(map(_language, langs)))
    axes.set_ylim(len(langs) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def scatter(
    systems: Mapping[str, Results],
    measure: Measure | str = "AP",
    bias: Measure | str = "RankDistance",
    kind: KindName = "multi",
) -> "Figure":
    """Draw systems by their bias (across) and effectiveness (up), with 95% intervals."""
    if not systems:
        raise BadOption("a scatter needs results")
    same_collection(list(systems.values()))
    pool: KindName = "image-pool" if kind in PICTURED else "multi"
    found = {
        name: (_estimate(results, bias, pool), _estimate(results, measure, kind))
        for name, results in systems.items()
    }
    where = next(iter(systems.values())).collection
    return points(
        found, f"{bias} {_direction(bias)}", f"{measure}, {SETTING_KINDS[kind].label}", where
    )


def points(
    found: Mapping[str, tuple[Estimate, Estimate]], across: str, up: str, collection: str
) -> "Figure":
    """Draw names at two values each; a bound that is NaN leaves the interval out."""
    centre = np.array([[one.mean for one in pair] for pair in found.values()])
    ends = np.array([[(one.low, one.high) for one in pair] for pair in found.values()])
    spans = np.abs(np.where(np.isnan(ends), centre[:, :, None], ends) - centre[:, :, None])
    drawn = _figure(7.2, max(3.6, 1.4 + 0.2 * len(found)))
    with drawing():
        title(drawn, "Effectiveness against bias", f"on {collection}, with 95% intervals")
        axes = drawn.add_subplot()
        for number, (x, y) in enumerate(centre):
            across_by, up_by = spans[number][:, :, None]
            look: Any = {
                "color": COLOURS[number % len(COLOURS)],
                "markersize": 5,
                "elinewidth": 0.9,
            }
            marker = _MARKERS[number // len(COLOURS) % len(_MARKERS)]
            axes.errorbar(x, y, xerr=across_by, yerr=up_by, fmt=marker, **look)
        axes.margins(0.06)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        left, right = axes.get_xlim()
        for free in {x.unbiased for x, _ in found.values() if x.unbiased is not None}:
            if left <= free <= right:
                axes.axvline(free, color=INK, alpha=0.5, linestyle="--", linewidth=1)
        _names(axes, list(found), centre)
    return drawn


def _names(axes: "Axes", names: Sequence[str], centre: np.ndarray) -> None:
    """Write names in a column beside the plot, a line from each to its point."""
    low, high = axes.get_ylim()
    order = np.argsort(centre[:, 1], kind="stable")
    places = _apart(((centre[order, 1] - low) / (high - low)).tolist(), 1 / max(len(names), 16))
    for number, place in zip(order.tolist(), places, strict=True):
        line = {"arrowstyle": "-", "color": COLOURS[number % len(COLOURS)], "linewidth": 0.7}
        axes.annotate(
            short(names[number], 34),
            centre[number],
            (1.03, place),
            textcoords="axes fraction",
            va="center",
            arrowprops=line | {"alpha": 0.55},
        )


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places so that neighbours are `gap` apart and all lie between 0 and 1.

    >>> [round(place, 2) for place in _apart([0.5, 0.5, 1.0, 1.0], 0.1)]
    [0.5, 0.6, 0.9, 1.0]
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    top = 1.0
    for number in reversed(range(len(moved))):
        moved[number] = min(moved[number], top)
        top = moved[number] - gap
    return moved


def _figure(wide: float, high: float) -> "Figure":
    with drawing():
        from matplotlib.figure import Figure

        return Figure(figsize=(wide, high), layout="constrained")


def _estimate(results: Results, measure: Measure | str, kind: KindName) -> Estimate:
    there = {str(one): found for one, found in results.summary().get(kind, {}).items()}
    return lookup(f"measure of {results.model} in {kind} settings", str(measure), there)


def _direction(measure: Measure | str) -> str:
    known = measure if isinstance(measure, Measure) else parse_measure(measure)
    try:
        return "(more is better)" if rises(known) else "(less is better)"
    except BadOption:
        return "(best where unbiased)"


def _language(code: str) -> str:
    return "pictures" if code == IMAGE else f"{name_language(code)} ({code})"
