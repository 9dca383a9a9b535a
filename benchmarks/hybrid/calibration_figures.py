"""Plots of what training and calibration give: one beside the other, and both together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.report.figures import COLOURS, INK, create_figure, plot_style, write_title
from beir_hybrid.results.pool_languages import PoolLanguages
from benchmarks.hybrid.variant_results import COLUMNS, Column, VariantResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ByMethod = Mapping[str, Mapping[str, VariantResults]]  # a calibration, then a label of a variant
_PANELS = ("Mo mAP", "Cr mAP", "Mul mAP", "rank distance")
_PLAIN, _CALIBRATED, _PUBLISHED = COLOURS[0], COLOURS[1], COLOURS[2]


def plot_pool_languages(pools: Mapping[str, PoolLanguages], collection: str) -> "Figure":
    """Plot for each model how far each language is from its share in the pool's first ten."""
    figure = create_figure(4.2 * len(pools) + 0.6, 4.2)
    with plot_style():
        write_title(
            figure,
            "Languages of the first ten passages",
            f"share less the share of the relevant ones, on {collection}; rows: query languages",
        )
        panels = np.ravel(figure.subplots(1, len(pools), squeeze=False))
        excess = {title: _compute_excess(pool) for title, pool in pools.items()}
        limit = max(float(np.nanmax(np.abs(values))) for values in excess.values())
        image = None
        for axes, (title, pool) in zip(panels, pools.items(), strict=True):
            image = axes.imshow(100 * excess[title], "PuOr_r", vmin=-100 * limit, vmax=100 * limit)
            axes.set_title(title, loc="left", fontsize=8)
            axes.set_xticks(range(len(pool.languages)), pool.languages)
            axes.set_yticks(range(len(pool.languages)), pool.languages)
            axes.spines[:].set_visible(False)
        if image is not None:
            figure.colorbar(image, ax=panels.tolist(), shrink=0.7, label="points of share")
    return figure


def _compute_excess(pool: PoolLanguages) -> np.ndarray:
    """Return each language's share less that of the relevant passages, by query language."""
    rows = [
        [
            pool[query, passage].mean - (pool[query, passage].unbiased or 0)
            for passage in pool.languages
        ]
        for query in pool.languages
    ]
    return np.array(rows)


def plot_settings(
    results: ByMethod, method: str, published: Mapping[str, tuple[float, float]], collection: str
) -> "Figure":
    """Plot mAP in the pool by mAP within a language, of variants plain, calibrated, published.

    Parameters
    ----------
    published
        Values within a language and in the pool, by label.
    """
    figure = create_figure(7.2, 4.8)
    with plot_style():
        write_title(
            figure,
            "Within a language and in the pool of all",
            f"mAP on {collection}; an arrow leads from a model to the same model calibrated",
        )
        axes = figure.add_subplot()
        for label, variant in results[""].items():
            plain = _find_point(variant)
            axes.scatter(*plain, s=18, color=_PLAIN, zorder=3)
            axes.annotate(label, plain, xytext=(4, -8), textcoords="offset points", fontsize=6.5)
            if label in results.get(method, {}):
                calibrated = _find_point(results[method][label])
                axes.scatter(*calibrated, s=18, color=_CALIBRATED, zorder=3)
                axes.annotate(
                    "",
                    calibrated,
                    xytext=plain,
                    arrowprops={"arrowstyle": "->", "color": INK, "alpha": 0.4},
                )
        for label, point in published.items():
            axes.scatter(*point, s=22, marker="D", color=_PUBLISHED, zorder=3)
            axes.annotate(label, point, xytext=(4, 4), textcoords="offset points", fontsize=6.5)
        axes.set_xlabel("mAP, monolingual")
        axes.set_ylabel("mAP, multilingual")
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        colours = {"as it is": _PLAIN, method: _CALIBRATED}
        _add_legend(figure, colours | ({"published": _PUBLISHED} if published else {}))
    return figure


def _find_point(variant: VariantResults) -> tuple[float, float]:
    x, y = (variant.mean(COLUMNS[name]) for name in ("Mo mAP", "Mul mAP"))
    return (x.mean if x else np.nan), (y.mean if y else np.nan)


def plot_gains(results: ByMethod, method: str, collection: str) -> "Figure":
    """Plot each variant's values as it is and calibrated, with intervals over queries."""
    labels = [label for label in results[""] if label in results.get(method, {})]
    figure = create_figure(10.0, 1.4 + 0.22 * len(labels))
    with plot_style():
        write_title(
            figure,
            "What training adds to a calibration",
            f"on {collection}, with 95% intervals over queries",
        )
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, name in zip(panels, _PANELS, strict=True):
            for method_name, colour, shift in (("", _PLAIN, -0.15), (method, _CALIBRATED, 0.15)):
                variants = [results[method_name][label] for label in labels]
                _draw_means(axes, variants, COLUMNS[name], colour, shift)
            axes.set_title(name, loc="left", fontsize=8)
            axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.5, -0.5)
        _add_legend(figure, {"as it is": _PLAIN, method: _CALIBRATED})
    return figure


def _draw_means(
    axes: "Axes", variants: Sequence[VariantResults], column: Column, colour: str, shift: float
) -> None:
    for row, variant in enumerate(variants):
        mean = variant.mean(column)
        if mean is not None:
            reach = [[mean.mean - mean.low], [mean.high - mean.mean]]
            axes.errorbar(
                [mean.mean], [row + shift], xerr=reach, fmt="o", markersize=3.5, color=colour
            )


def _add_legend(figure: "Figure", colours: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=label)
        for label, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=7)
