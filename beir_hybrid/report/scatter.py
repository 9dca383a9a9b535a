"""Scatter plots: systems by their effectiveness and their language bias."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from ir_measures import Measure, parse_measure

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.measures.base import DIRECTIONS, BiasMeasure
from beir_hybrid.report.figures import (
    COLOURS,
    INK,
    create_figure,
    plot_style,
    shorten_name,
    write_title,
)
from beir_hybrid.results.compare import check_same_collection
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vP"


def plot_scatter(
    systems: Mapping[str, Results],
    measure: Measure | str = "AP",
    bias: Measure | str = "RankDistance",
    kind: KindName = "multi",
) -> "Figure":
    """Plot systems by their bias (across) and effectiveness (up), with 95% intervals."""
    if not systems:
        raise BadOption("a scatter needs results")
    check_same_collection(list(systems.values()))
    pool: KindName = "image-pool" if SETTING_KINDS[kind].has_images else "multi"
    estimates = {
        name: (_find_estimate(results, bias, pool), _find_estimate(results, measure, kind))
        for name, results in systems.items()
    }
    collection = next(iter(systems.values())).collection
    x_label = f"{bias} ({describe_direction(bias)})"
    return plot_points(estimates, x_label, f"{measure}, {SETTING_KINDS[kind].label}", collection)


def plot_points(
    estimates: Mapping[str, tuple[Estimate, Estimate]], x_label: str, y_label: str, collection: str
) -> "Figure":
    """Plot names at two values each; a bound that is NaN leaves the interval out."""
    means = np.array([[value.mean for value in pair] for pair in estimates.values()])
    bounds = np.array([[(value.low, value.high) for value in pair] for pair in estimates.values()])
    reaches = np.abs(np.where(np.isnan(bounds), means[:, :, None], bounds) - means[:, :, None])
    figure = create_figure(7.2, max(3.6, 1.4 + 0.2 * len(estimates)))
    with plot_style():
        write_title(figure, "Effectiveness against bias", f"on {collection}, with 95% intervals")
        axes = figure.add_subplot()
        for i, (x, y) in enumerate(means):
            x_reach, y_reach = reaches[i][:, :, None]
            axes.errorbar(
                x,
                y,
                xerr=x_reach,
                yerr=y_reach,
                fmt=_MARKERS[i // len(COLOURS) % len(_MARKERS)],
                color=COLOURS[i % len(COLOURS)],
                markersize=5,
                elinewidth=0.9,
            )
        axes.margins(0.06)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        x_low, x_high = axes.get_xlim()
        for unbiased in {x.unbiased for x, _ in estimates.values() if x.unbiased is not None}:
            if x_low <= unbiased <= x_high:
                axes.axvline(unbiased, color=INK, alpha=0.5, linestyle="--", linewidth=1)
        _write_names(axes, list(estimates), means)
    return figure


def _write_names(axes: "Axes", names: Sequence[str], means: np.ndarray) -> None:
    """Write names in a column beside the plot, with a line from each name to its point."""
    low, high = axes.get_ylim()
    order = np.argsort(means[:, 1], kind="stable")
    heights = ((means[order, 1] - low) / (high - low)).tolist()
    heights = _spread_places(heights, 1 / max(len(names), 16))
    for i, height in zip(order.tolist(), heights, strict=True):
        line = {"arrowstyle": "-", "color": COLOURS[i % len(COLOURS)], "linewidth": 0.7}
        axes.annotate(
            shorten_name(names[i], 34),
            means[i],
            (1.03, height),
            textcoords="axes fraction",
            va="center",
            arrowprops=line | {"alpha": 0.55},
        )


def _spread_places(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places until neighbours are `gap` apart and all lie between 0 and 1.

    >>> [round(place, 2) for place in _spread_places([0.5, 0.5, 1.0, 1.0], 0.1)]
    [0.5, 0.6, 0.9, 1.0]
    """
    spread: list[float] = []
    for place in places:
        spread.append(max(place, spread[-1] + gap) if spread else place)
    top = 1.0
    for i in reversed(range(len(spread))):
        spread[i] = min(spread[i], top)
        top = spread[i] - gap
    return spread


def _find_estimate(results: Results, measure: Measure | str, kind: KindName) -> Estimate:
    estimates = {str(name): value for name, value in results.summary().get(kind, {}).items()}
    return lookup(f"measure of {results.model} in {kind} settings", str(measure), estimates)


def describe_direction(measure: Measure | str) -> str:
    """Describe the direction of a measure, such as ``lower is better``."""
    if isinstance(measure, str):
        measure = parse_measure(measure)
    return DIRECTIONS[measure.DIRECTION if isinstance(measure, BiasMeasure) else "higher"]
