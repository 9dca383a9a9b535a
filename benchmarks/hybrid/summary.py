"""A page that shows what training and calibration give: a table and three pictures."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid.files import atomic_file
from beir_hybrid.results.pool_languages import PoolLanguages
from beir_hybrid.results.render import format_value
from beir_hybrid.results.results import Results
from benchmarks.hybrid.calibration_figures import (
    ByMethod,
    plot_gains,
    plot_pool_languages,
    plot_settings,
)
from benchmarks.hybrid.calibration_report import choose_method
from benchmarks.hybrid.experiment import join_method
from benchmarks.hybrid.figures import save_figure
from benchmarks.hybrid.run import RESULTS, UNTRAINED
from benchmarks.hybrid.tables import MAIN_COLUMNS, read_published, write_table
from benchmarks.hybrid.variant_results import COLUMNS, VariantResults

if TYPE_CHECKING:
    from benchmarks.hybrid.report import SavedExperiment

SUMMARY = "summary.md"


def write_summary(saved: "SavedExperiment") -> Path | None:
    """Write ``summary.md`` and its pictures; return its path, or None before there are results.

    The calibration is the one that is chosen on the dev articles.
    """
    experiment = saved.experiment
    method = choose_method(saved.dev_calibrations, experiment.baseline)
    parts: list[str] = []
    for name in experiment.collections:
        results = saved.load_calibrated(name)
        sides = (results.get("", {}), results.get(method, {}))
        if method and all({UNTRAINED, experiment.baseline} <= side.keys() for side in sides):
            parts += _write_collection(saved, name, results, method)
    if not parts:
        return None
    path = saved.output / SUMMARY
    title = f"# {experiment.question}\n\nThe encoder is {experiment.encoder}.\n"
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join([title, *parts]), "utf-8")
    return path


def _write_collection(
    saved: "SavedExperiment", name: str, results: ByMethod, method: str
) -> Iterator[str]:
    experiment = saved.experiment
    baseline, published = experiment.baseline, read_published(experiment.published.values(), name)
    yield f"## {name}\n"
    rows = [
        ["as it is", *_list_means(results[""][UNTRAINED])],
        [f"calibrated ({method})", *_list_means(results[method][UNTRAINED])],
        [f"trained ({baseline})", *_list_means(results[""][baseline])],
        ["trained and calibrated", *_list_means(results[method][baseline])],
        *([f"{label}, published", *map(format_value, row)] for label, row in published.items()),
    ]
    yield write_table(["", *MAIN_COLUMNS], rows)
    pools = _load_pools(saved, name, method)
    points = {label: (row[0], row[2]) for label, row in published.items()}
    figures = {
        "languages": plot_pool_languages(pools, name) if pools else None,
        "settings": plot_settings(results, method, points, name),
        "gains": plot_gains(results, method, name),
    }
    for stem, figure in figures.items():
        if figure is not None:
            save_figure(figure, saved.output, f"{stem}-{name}")
            yield f"![{stem} on {name}]({stem}-{name}.svg)\n"


def _list_means(variant: VariantResults) -> list[str]:
    means = [variant.mean(COLUMNS[name]) for name in MAIN_COLUMNS]
    return ["-" if mean is None else format_value(mean.mean) for mean in means]


def _load_pools(saved: "SavedExperiment", name: str, method: str) -> Mapping[str, PoolLanguages]:
    """Return the languages of the pool's first ten, of the model before and after."""
    seed = saved.experiment.seeds[0]
    baseline = join_method(saved.experiment.baseline, method)
    folders = {
        "as it is": f"{UNTRAINED}-0",
        "calibrated": f"{join_method(UNTRAINED, method)}-0",
        "trained and calibrated": f"{baseline}-{seed}",
    }
    results = {
        title: Results.load(saved.output / RESULTS / name / folder)
        for title, folder in folders.items()
    }
    return {title: row.pools["multi"] for title, row in results.items() if "multi" in row.pools}
