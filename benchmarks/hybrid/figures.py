"""Plots of variants: by the share of monolingual batches, by bias, by training step."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid.report.figures import (
    COLOURS,
    INK,
    create_figure,
    plot_style,
    write_figure,
    write_title,
)
from beir_hybrid.report.scatter import plot_points
from beir_hybrid.results.estimate import Estimate
from benchmarks.hybrid.variant_results import COLUMNS, VariantResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = ("Mo mAP", "Cr mAP", "Mul mAP", "rank distance")


def plot_alpha(results: Mapping[float, VariantResults], collection: str) -> "Figure":
    """Plot each measure by the share of monolingual batches, with intervals and dots of seeds."""
    figure = create_figure(10.0, 2.9)
    with plot_style():
        write_title(
            figure,
            "Batches in one language",
            f"on {collection}, 95% intervals over queries; dots: seeds",
        )
        panels = figure.subplots(1, len(_PANELS))
        for axes, name, colour in zip(panels, _PANELS, COLOURS, strict=False):
            _draw_alpha(axes, results, name, colour)
    return figure


def _draw_alpha(
    axes: "Axes", results: Mapping[float, VariantResults], name: str, colour: str
) -> None:
    all_means = {alpha: results[alpha].mean(COLUMNS[name]) for alpha in sorted(results)}
    means = {alpha: mean for alpha, mean in all_means.items() if mean is not None}
    reaches = [
        [mean.mean - mean.low for mean in means.values()],
        [mean.high - mean.mean for mean in means.values()],
    ]
    axes.errorbar(
        list(means),
        [mean.mean for mean in means.values()],
        yerr=reaches,
        elinewidth=0.9,
        marker="o",
        markersize=3.5,
        linewidth=1,
        color=colour,
    )
    for alpha, mean in means.items():
        axes.scatter([alpha] * len(mean.by_seed), mean.by_seed, s=4, color=INK, alpha=0.4)
    axes.set_xticks(list(means), [f"{alpha:.2f}" for alpha in means], fontsize=6, rotation=45)
    axes.set_xlabel("share of batches in one language")
    axes.set_title(name, loc="left", fontsize=8)
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)


def plot_variants(results: Mapping[str, VariantResults], collection: str) -> "Figure":
    """Plot variants by their rank distance and mAP in the pool."""
    points = {}
    for label, variant in results.items():
        x, y = (_find_estimate(variant, name) for name in ("rank distance", "Mul mAP"))
        if x is not None and y is not None:
            points[label] = x, y
    return plot_points(points, "rank distance (lower is better)", "mAP, multilingual", collection)


def _find_estimate(variant: VariantResults, name: str) -> Estimate | None:
    mean = variant.mean(COLUMNS[name])
    if mean is None:
        return None
    unbiased = variant.unbiased.get(COLUMNS[name].measure)
    return Estimate(mean.mean, mean.low, mean.high, mean.mean, 0, unbiased)


def plot_learning(curves: Mapping[str, Mapping[int, float]]) -> "Figure":
    """Plot the mean over seeds of mAP on the dev articles, by training step."""
    figure = create_figure(6.4, 3.4)
    with plot_style():
        write_title(figure, "Learning curves", "mAP in the pool of MLQA-R's dev articles")
        axes = figure.add_subplot()
        for i, (label, curve) in enumerate(curves.items()):
            axes.plot(
                list(curve),
                list(curve.values()),
                label=label,
                linewidth=1.2,
                color=COLOURS[i % len(COLOURS)],
                linestyle=("-", "--", ":")[i // len(COLOURS) % 3],
            )
        axes.set_xlabel("step")
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        figure.legend(loc="outside right upper", fontsize=7)
    return figure


def save_figure(figure: "Figure", folder: Path, name: str) -> None:
    """Write a figure as SVG and as PNG."""
    for suffix in (".svg", ".png"):
        write_figure(figure, folder / f"{name}{suffix}")
