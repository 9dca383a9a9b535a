"""What trainings recorded: the batches that they drew, learning curves, cost; as Markdown."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.hybrid.figures import plot_learning, save_figure
from benchmarks.hybrid.run import COST, RUNS
from benchmarks.hybrid.tables import write_table


class VariantRuns(NamedTuple):
    """The runs of a variant: an experiment's folder, a label, seeds."""

    output: Path
    label: str
    seeds: Sequence[int]

    def folder(self, seed: int) -> Path:
        """Return the folder of a run."""
        return self.output / RUNS / f"{self.label}-{seed}"


@dataclass(frozen=True)
class BatchStatistics:
    """The batches of a variant's trainings, on average over seeds.

    Attributes
    ----------
    monolingual
        The share of batches in one language.
    rows
        The number of rows by source.
    query_languages
        The share of rows by language of the query.
    """

    monolingual: float
    rows: Mapping[str, float]
    query_languages: Mapping[str, float]


def read_batch_statistics(runs: VariantRuns) -> BatchStatistics | None:
    """Read the batches of a variant from its training records; None without records."""
    batches, sources, languages = Counter[str](), Counter[str](), Counter[str]()
    count = 0
    for seed in runs.seeds:
        folder = runs.folder(seed)
        audit = _read_audit(folder)
        if audit is None:
            continue
        count += 1
        for stage in (audit, _read_audit(folder.with_name(f"{folder.name}-first")) or {}):
            batches.update(stage.get("batches", {}))
            sources.update(stage.get("sources", {}))
            for pair, rows in stage.get("rows", {}).items():
                languages[pair.partition("-")[0]] += rows
    if not count:
        return None
    return BatchStatistics(
        batches["mono"] / batches.total(),
        {name: rows / count for name, rows in sources.items()},
        {language: rows / languages.total() for language, rows in languages.items()},
    )


def _read_audit(run: Path) -> dict[str, dict[str, int]] | None:
    """Return the audit of a finished training."""
    path = run / "training.json"
    stored = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    audit: dict[str, dict[str, int]] | None = stored.get("audit")
    return audit


def write_batch_table(variants: Sequence[VariantRuns]) -> str:
    """Return the section about the batches of each variant."""
    statistics = {
        runs.label: record for runs in variants if (record := read_batch_statistics(runs))
    }
    if not statistics:
        return ""
    sources = sorted({name for record in statistics.values() for name in record.rows})
    languages = sorted(
        {language for record in statistics.values() for language in record.query_languages}
    )
    rows = [
        [
            label,
            f"{record.monolingual:.3f}",
            *(f"{record.rows.get(name, 0):,.0f}" for name in sources),
            *(f"{record.query_languages.get(language, 0):.1%}" for language in languages),
        ]
        for label, record in statistics.items()
    ]
    headings = ["batches", "in one language", *(f"rows of {name}" for name in sources), *languages]
    return (
        "## Training batches\n\nMeans over seeds: the share of batches in one language, rows by "
        "source, and the share of rows by language of the query.\n\n"
    ) + write_table(headings, rows)


def read_learning_curve(runs: VariantRuns, seed: int) -> dict[int, float]:
    """Return the dev value by step, from the table of training logs in the model's card.

    The card is where sentence-transformers keeps what an evaluator returned during training.
    """
    card = runs.folder(seed) / "model" / "README.md"
    if not card.is_file():
        return {}
    lines = re.findall(r"^\|(.+)\|$", card.read_text("utf-8"), flags=re.MULTILINE)
    rows = [[cell.strip().strip("*") for cell in line.split("|")] for line in lines]
    heads = [i for i, row in enumerate(rows) if row[:2] == ["Epoch", "Step"]]
    if not heads:
        return {}
    names = rows[heads[0]]
    column = next((i for i, name in enumerate(names) if name.endswith("_multi_AP")), None)
    curve = {}
    for row in rows[heads[0] + 2 :]:
        if column is None or len(row) != len(names) or not row[1].isdecimal():
            break
        if row[column] not in ("-", ""):
            curve[int(row[1])] = float(row[column])
    return curve


def write_learning_curves(variants: Sequence[VariantRuns]) -> str:
    """Plot learning curves and return their section; empty if trainings were not evaluated."""
    curves: dict[str, dict[int, list[float]]] = {}
    for runs in variants:
        seed_curves = [read_learning_curve(runs, seed) for seed in runs.seeds]
        if present := [curve for curve in seed_curves if curve]:
            steps = sorted(set.intersection(*(set(curve) for curve in present)))
            curves[runs.label] = {step: [curve[step] for curve in present] for step in steps}
    if not any(len(curve) > 1 for curve in curves.values()):
        return ""
    means = {
        label: {step: float(np.mean(values)) for step, values in curve.items()}
        for label, curve in curves.items()
    }
    save_figure(plot_learning(means), variants[0].output, "learning")
    steps = sorted({step for curve in curves.values() for step in curve})
    rows = [
        [label, *(_show_values(curve[step]) if step in curve else "-" for step in steps)]
        for label, curve in curves.items()
    ]
    return (
        "## Learning curves\n\nmAP in the pool of the dev articles by training step, ± the "
        "standard deviation over seeds.\n\n![learning](learning.svg)\n\n"
    ) + write_table(["batches", *map(str, steps)], rows)


def _show_values(values: Sequence[float]) -> str:
    deviation = f" ±{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{deviation}"


def write_costs(variants: Sequence[VariantRuns]) -> str:
    """Return the section about the cost of uninterrupted runs."""
    rows = []
    for runs in variants:
        paths = [runs.output / COST / f"{runs.label}-{seed}.json" for seed in runs.seeds]
        costs = [json.loads(path.read_text("utf-8")) for path in paths if path.is_file()]
        uninterrupted = [cost for cost in costs if not cost["resumed"]]
        if uninterrupted:
            means = [
                np.mean([cost[name] for cost in uninterrupted])
                for name in ("training", "whole", "cpu")
            ]
            row = [runs.label, str(len(uninterrupted)), *(f"{mean:,.1f}" for mean in means)]
            rows.append(row)
    if not rows:
        return ""
    headings = ["batches", "runs", "training, s", "with evaluation, s", "processor, s"]
    return (
        "## Cost\n\nMeans of the runs that were not interrupted. Training includes the evaluation "
        "for learning curves, if there are any. Other work on the machine slows both.\n\n"
    ) + write_table(headings, rows)
