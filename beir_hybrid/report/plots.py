"""Plots of one system's results: matrices of languages, bars by language, language bias.

`beir_hybrid.report.scatter` places several systems by effectiveness and bias.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypedDict, TypeGuard

import numpy as np
from ir_measures import Measure

from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS, KindName, Setting
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures import BIAS_MEASURES
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.report.figures import COLOURS, create_figure, plot_style, write_title
from beir_hybrid.report.page_names import describe_language
from beir_hybrid.results.compare import check_same_collection
from beir_hybrid.results.estimate import Matrix
from beir_hybrid.results.render import format_signed, format_value
from beir_hybrid.results.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_matrix(
    results: Results,
    measure: Measure | str = "AP",
    *,
    one_target: bool = False,
    less: Results | None = None,
) -> "Figure":
    """Plot a measure by the languages of queries and passages.

    Parameters
    ----------
    one_target
        Take the pool without the relevant passages of other languages.
    less
        Other results on the same collection: cells hold what `results` gain on these.
    """
    matrix = results.matrix(measure, one_target=one_target)
    values, name = matrix.values, results.model
    if less is not None:
        check_same_collection([results, less])
        subtrahend = less.matrix(measure, one_target=one_target)
        if (subtrahend.rows, subtrahend.columns) != (matrix.rows, matrix.columns):
            raise BadData("the results have different settings, so that there is no difference")
        if np.isnan(values - subtrahend.values).all():
            raise BadData("the results share no setting, so that there is no difference")
        values, name = values - subtrahend.values, f"{results.model} less {less.model}"
    suffix = ", one target" if one_target else ""
    figure = create_figure(max(5.2, 2.5 + 0.5 * len(matrix.columns)), 1.7 + 0.36 * len(matrix.rows))
    with plot_style():
        write_title(figure, name, f"{measure} on {results.collection}{suffix}")
        _draw_cells(
            figure, Matrix(matrix.rows, matrix.columns, values), is_difference=less is not None
        )
    return figure


def _draw_cells(figure: "Figure", matrix: Matrix, *, is_difference: bool) -> None:
    """Draw coloured cells with their values, in ink that can be read on each colour."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    largest = float(np.nanmax(np.abs(matrix.values))) or 1.0
    scale = Normalize(-largest if is_difference else 0, largest)
    colours = colormaps["RdBu" if is_difference else "viridis"]
    axes = figure.add_subplot()
    values = np.ma.masked_invalid(matrix.values)
    axes.pcolormesh(values, cmap=colours, norm=scale, edgecolors="face", linewidth=0.3)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    columns = ["images" if code == IMAGE else code for code in matrix.columns]
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(matrix.rows)) + 0.5, list(map(_label_language, matrix.rows)))
    axes.set_xlabel("language of passages")
    axes.set_ylabel("language of queries")
    format_cell = format_signed if is_difference else format_value
    for (row, column), value in np.ndenumerate(matrix.values):
        if np.isfinite(value):
            axes.text(
                column + 0.5,
                row + 0.5,
                format_cell(value),
                ha="center",
                va="center",
                color=_choose_ink(colours(float(scale(value)))),
                fontsize=7,
            )


def _choose_ink(background: Sequence[float]) -> str:
    """Return white or near black, whichever has more contrast to a colour by WCAG's formula."""
    dark = 0.04045
    linear = [c / 12.92 if c <= dark else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    luminance = 0.05 + float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
    return "#ffffff" if 1.05 / luminance > luminance / 0.055 else "#111111"


def group_by_language(
    means: Mapping[Setting, float],
) -> dict[KindName, dict[str, list[float]]]:
    """Group values by kind of setting and by language.

    The language is that of the queries or, where images are the queries, that of the captions to
    find. An image that is the query of a pool of all languages is in no language, and left out.
    """
    table: dict[KindName, dict[str, list[float]]] = {}
    for setting, value in means.items():
        language = setting.passages if setting.queries == IMAGE else setting.queries
        if setting.kind not in ("one-target", "image-pool"):
            table.setdefault(setting.kind, {}).setdefault(language, []).append(value)
    return table


class _BarStyle(TypedDict, total=False):
    color: str
    label: str


class _BarRow(NamedTuple):
    """Where the bars of one kind of setting lie, in units of the distance between languages."""

    offset: float
    height: float


def plot_languages(results: Results, measure: Measure | str = "AP") -> "Figure":
    """Plot a measure by query language: in its own language, in others on average, in the pool."""
    table = group_by_language(results.means(measure))
    if not table:
        raise BadOption(f"these results have no mono, cross or multi settings with {measure}")
    languages = sorted({language for row in table.values() for language in row})
    figure = create_figure(6.4, 1.5 + len(languages) * (0.15 * len(table) + 0.12))
    has_images = any(SETTING_KINDS[kind].has_images for kind in table)
    with plot_style():
        sort = "language of captions" if has_images else "query language"
        write_title(figure, results.model, f"{measure} on {results.collection}, by {sort}")
        axes = figure.add_subplot()
        height = 0.84 / len(table)
        for i, (kind, row) in enumerate(table.items()):
            means = {language: float(np.mean(values)) for language, values in row.items()}
            place = _BarRow((i - (len(table) - 1) / 2) * height, height)
            style: _BarStyle = {"label": SETTING_KINDS[kind].label, "color": COLOURS[i]}
            _draw_bars(axes, languages, means, place, style)
        axes.set_xlabel(str(measure))
        axes.margins(x=0.1)
        figure.legend(loc="outside lower left", ncols=len(table))
    return figure


def plot_bias(results: Results) -> "Figure":
    """Plot how far each query language is preferred to others, beside the unbiased value."""
    measures = filter(measures_preference, results.measures)
    panels = {measure: means for measure in measures if (means := results.means(measure))}
    if not panels:
        names = map(str, filter(measures_preference, BIAS_MEASURES))
        raise BadOption(f"these results have no {' and no '.join(names)}")
    languages = sorted({setting.queries for means in panels.values() for setting in means})
    summary = results.summary()
    figure = create_figure(1.6 + 2.9 * len(panels), 1.6 + 0.26 * len(languages))
    with plot_style():
        write_title(figure, results.model, f"bias on {results.collection}, by query language")
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (measure, means) in zip(row, panels.items(), strict=True):
            by_language = {setting.queries: value for setting, value in means.items()}
            _draw_bars(axes, languages, by_language, _BarRow(0, 0.7), {"color": COLOURS[0]})
            kind = next(iter(means)).kind
            if (unbiased := summary[kind][measure].unbiased) is not None:
                axes.axvline(unbiased, color=COLOURS[1], linestyle="--", linewidth=1.2)
                title = f"- -  unbiased: {format_value(unbiased)}"
                axes.set_title(title, loc="left", fontsize=8, color=COLOURS[1])
            axes.set_xlabel(str(measure))
            if max(by_language.values()) <= 1:
                axes.set_xlim(0, 1.15)
                axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    return figure


def measures_preference(measure: Measure) -> TypeGuard[BiasMeasure]:
    """Return whether a measure says which languages are preferred: no direction is better."""
    return isinstance(measure, BiasMeasure) and measure.DIRECTION == "near the unbiased value"


def _draw_bars(
    axes: "Axes",
    languages: Sequence[str],
    means: Mapping[str, float],
    place: _BarRow,
    style: _BarStyle,
) -> None:
    """Draw a bar for each language that has a mean, the first on top, and write the means."""
    heights = [languages.index(language) + place.offset for language in means]
    bars = axes.barh(heights, list(means.values()), height=place.height, **style)
    axes.bar_label(bars, list(map(format_value, means.values())), padding=2, fontsize=6.5)
    axes.set_yticks(range(len(languages)), list(map(_label_language, languages)))
    axes.set_ylim(len(languages) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _label_language(code: str) -> str:
    return "images" if code == IMAGE else f"{describe_language(code)} ({code})"
