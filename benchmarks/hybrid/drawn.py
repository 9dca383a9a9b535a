"""Averages of variants in; the alpha curve, effectiveness against bias and learning curves out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid.report.figures import COLOURS, INK, plot_style, write_figure, write_title
from beir_hybrid.report.scatter import plot_points
from beir_hybrid.results.estimate import Estimate
from benchmarks.hybrid.pooled import COLUMNS, Pooled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = ("Mo mAP", "Cr mAP", "Mul mAP", "rank distance")


def alpha_curve(pooled: Mapping[float, Pooled], collection: str) -> "Figure":
    """Draw each measure by the share of batches in one language: intervals, and dots of seeds."""
    alphas = sorted(pooled)
    drawn = _figure(10.0, 2.9)
    with plot_style():
        write_title(
            drawn,
            "Batches in one language",
            f"on {collection}, 95% by question; dots: seeds",
        )
        for axes, name, colour in zip(
            drawn.subplots(1, len(_CURVES)), _CURVES, COLOURS, strict=False
        ):
            means = {a: pooled[a].mean(COLUMNS[name]) for a in alphas}
            there = {a: mean for a, mean in means.items() if mean is not None}
            centre = [mean.mean for mean in there.values()]
            reach = [
                [mean.mean - mean.low for mean in there.values()],
                [mean.high - mean.mean for mean in there.values()],
            ]
            look: Any = {"marker": "o", "markersize": 3.5, "linewidth": 1, "color": colour}
            axes.errorbar(list(there), centre, yerr=reach, elinewidth=0.9, **look)
            for a, mean in there.items():
                axes.scatter([a] * len(mean.by_seed), mean.by_seed, s=4, color=INK, alpha=0.4)
            axes.set_xticks(list(there), [f"{a:.2f}" for a in there], fontsize=6, rotation=45)
            axes.set_xlabel("share of batches in one language")
            axes.set_title(name, loc="left", fontsize=8)
            axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    return drawn


def bias(pooled: Mapping[str, Pooled], collection: str) -> "Figure":
    """Draw variants by their rank distance and mAP in the pool."""
    found = {}
    for label, one in pooled.items():
        pair = [_estimate(one, name) for name in ("rank distance", "Mul mAP")]
        if pair[0] is not None and pair[1] is not None:
            found[label] = pair[0], pair[1]
    return plot_points(found, "rank distance (less is better)", "mAP, multilingual", collection)


def _estimate(pooled: Pooled, name: str) -> Estimate | None:
    mean = pooled.mean(COLUMNS[name])
    if mean is None:
        return None
    free = pooled.unbiased.get(COLUMNS[name].measure)
    return Estimate(mean.mean, mean.low, mean.high, mean.mean, 0, free)


def learning(curves: Mapping[str, Mapping[int, float]]) -> "Figure":
    """Draw the mean over seeds of what the dev articles said on the way."""
    drawn = _figure(6.4, 3.4)
    with plot_style():
        write_title(drawn, "Learning curves", "mAP in the pool of MLQA-R's dev articles")
        axes = drawn.add_subplot()
        for number, (label, curve) in enumerate(curves.items()):
            style = ("-", "--", ":")[number // len(COLOURS) % 3]
            look: Any = {"color": COLOURS[number % len(COLOURS)], "linestyle": style}
            axes.plot(list(curve), list(curve.values()), label=label, linewidth=1.2, **look)
        axes.set_xlabel("step")
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        drawn.legend(loc="outside right upper", fontsize=7)
    return drawn


def save(drawn: "Figure", folder: Path, name: str) -> None:
    """Write a figure as SVG and as PNG."""
    for suffix in (".svg", ".png"):
        write_figure(drawn, folder / f"{name}{suffix}")


def _figure(wide: float, high: float) -> "Figure":
    with plot_style():
        from matplotlib.figure import Figure

        return Figure(figsize=(wide, high), layout="constrained")
