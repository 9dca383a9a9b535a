"""The output of the quick start: a table of the models, and lines that explain it."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ir_measures import AP, Measure, R

from beir_hybrid.extras.e5_demonstration import CALIBRATIONS, METHOD, MODEL
from beir_hybrid.integrity import read_sealed_json
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.render import format_value
from beir_hybrid.results.results import Results

if TYPE_CHECKING:
    from beir_hybrid.collection.setting import KindName

STRATEGIES = ("x-x-mono", "x-y", "hybrid")
MODELS, INDEX, SITE = "models", "index", "site"  # folders
BATCH_SIZE = 128


def choose_best(results: Mapping[str, Results]) -> str:
    """Return the strategy with the best multilingual AP."""
    return max(STRATEGIES, key=lambda strategy: results[strategy].summary()["multi"][AP].mean)


def make_table(results: Mapping[str, Results]) -> tuple[list[str], list[list[str]]]:
    """Return headings and a row for each model, in the shape of the paper's tables."""
    columns: dict[str, tuple[Measure, KindName]] = {
        "mAP mono": (AP, "mono"),
        "mAP cross": (AP, "cross"),
        "mAP multi": (AP, "multi"),
        "R@1 mono": (R @ 1, "mono"),
        "rank distance": (RankDistance, "multi"),
    }
    rows = []
    for name, model_results in results.items():
        summary = model_results.summary()
        cells = [_format_estimate(summary[kind][measure]) for measure, kind in columns.values()]
        rows.append([name, *cells])
    return ["model", *columns], rows


def list_notes(results: Mapping[str, Results], output: str | Path) -> list[str]:
    """Return the lines below the table: sizes, caveats, and the files to open next."""
    folder, best = Path(output), choose_best(results)
    collection = next(iter(results.values())).provenance.collection
    record = read_sealed_json(folder / MODELS / best / "training.json", "remove its folder")
    arguments = record["recipe"]["arguments"]
    page = (folder / SITE / "index.html").resolve().as_uri()
    return [
        (
            f"{collection.queries:,} queries in {len(collection.languages)} languages, "
            f"{collection.passages:,} passages; ± half of the 95% interval; rank distance: the "
            "lower, the less the language of a passage matters"
        ),
        (
            f"{', '.join(STRATEGIES)}: trained for {record['steps']:,} steps of {BATCH_SIZE} "
            f"pairs, with seed {arguments['seed']}; in x-x-mono a batch is in one language, in x-y "
            "query and passage differ in language, hybrid has batches of both kinds"
        ),
        *_describe_e5(results),
        (
            f"the texts are generated from Unicode CLDR (babel {collection.options['babel']}): "
            "this is a demonstration, and no benchmark"
        ),
        f"index of {best}, for Pyserini: {folder / INDEX}",
        f"open {page}",
    ]


def _describe_e5(results: Mapping[str, Results]) -> list[str]:
    if not CALIBRATIONS.keys() & results.keys():
        return []
    return [
        (
            f"e5-small: {MODEL}, a real model, not trained on these texts; calibrated: its "
            f"language bias is taken out by {METHOD}, without training"
        )
    ]


def _format_estimate(estimate: Estimate) -> str:
    return f"{format_value(estimate.mean)} ±{format_value((estimate.high - estimate.low) / 2)}"
