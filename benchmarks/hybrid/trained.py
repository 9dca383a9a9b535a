"""The runs of variants in; what they drew, learned and took out, as Markdown."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.hybrid import drawn
from benchmarks.hybrid.run import COST, RUNS
from benchmarks.hybrid.tables import table

Runs = tuple[Path, str, Sequence[int]]  # an experiment's folder, a label, seeds


@dataclass(frozen=True)
class Drawn:
    """What the trainings of a variant drew, on average over seeds.

    Attributes
    ----------
    mono
        The share of batches that are in one language.
    rows
        By source.
    asked
        By language of the question, the share of rows.
    """

    mono: float
    rows: Mapping[str, float]
    asked: Mapping[str, float]


def drawn_by(output: Path, label: str, seeds: Sequence[int]) -> Drawn | None:
    """Read what a variant drew from the records of its trainings; nothing where there are none."""
    batches, sources, asked = Counter[str](), Counter[str](), Counter[str]()
    there = 0
    for seed in seeds:
        run = output / RUNS / f"{label}-{seed}"
        if (last := _audit(run)) is None:
            continue
        there += 1
        for audit in (last, _audit(run.with_name(f"{run.name}-first")) or {}):
            batches.update(audit.get("batches", {}))
            sources.update(audit.get("sources", {}))
            for pair, count in audit.get("rows", {}).items():
                asked[pair.partition("-")[0]] += count
    if not there:
        return None
    return Drawn(
        batches["mono"] / batches.total(),
        {name: count / there for name, count in sources.items()},
        {lang: count / asked.total() for lang, count in asked.items()},
    )


def _audit(run: Path) -> dict[str, dict[str, int]] | None:
    """Return what a finished training drew."""
    path = run / "training.json"
    stored = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    audit: dict[str, dict[str, int]] | None = stored.get("audit")
    return audit


def drawn_table(every: Sequence[Runs]) -> str:
    """Say what each variant learned from."""
    there = {runs[1]: one for runs in every if (one := drawn_by(*runs))}
    if not there:
        return ""
    sources = sorted({name for one in there.values() for name in one.rows})
    langs = sorted({lang for one in there.values() for lang in one.asked})
    rows = [
        [
            label,
            f"{one.mono:.3f}",
            *(f"{one.rows.get(name, 0):,.0f}" for name in sources),
            *(f"{one.asked.get(lang, 0):.1%}" for lang in langs),
        ]
        for label, one in there.items()
    ]
    headings = ["batches", "in one language", *(f"rows of {name}" for name in sources), *langs]
    return (
        "## What was drawn\n\nMeans over seeds: the share of batches in one language, rows by "
        "source, and the share of rows by language of the question.\n\n"
    ) + table(headings, rows)


def learned(output: Path, label: str, seed: int) -> dict[int, float]:
    """Return the dev value by step, from the table of training logs in the model's card.

    The card is where sentence-transformers keeps what an evaluator found while it trained.
    """
    card = output / RUNS / f"{label}-{seed}" / "model" / "README.md"
    if not card.is_file():
        return {}
    rows = re.findall(r"^\|(.+)\|$", card.read_text("utf-8"), flags=re.MULTILINE)
    cells = [[cell.strip().strip("*") for cell in row.split("|")] for row in rows]
    heads = [n for n, row in enumerate(cells) if row[:2] == ["Epoch", "Step"]]
    if not heads:
        return {}
    names = cells[heads[0]]
    value = next((n for n, one in enumerate(names) if one.endswith("_multi_AP")), None)
    found = {}
    for row in cells[heads[0] + 2 :]:
        if value is None or len(row) != len(names) or not row[1].isdecimal():
            break
        if row[value] not in ("-", ""):
            found[int(row[1])] = float(row[value])
    return found


def curves(every: Sequence[Runs]) -> str:
    """Draw and write down the learning curves, if the dev articles were judged on the way."""
    found: dict[str, dict[int, list[float]]] = {}
    for output, label, seeds in every:
        if by_seed := [one for seed in seeds if (one := learned(output, label, seed))]:
            steps = sorted(set.intersection(*(set(one) for one in by_seed)))
            found[label] = {step: [one[step] for one in by_seed] for step in steps}
    if not any(len(one) > 1 for one in found.values()):
        return ""
    means = {
        label: {step: float(np.mean(some)) for step, some in curve.items()}
        for label, curve in found.items()
    }
    drawn.save(drawn.learning(means), every[0][0], "learning")
    steps = sorted({step for one in found.values() for step in one})
    rows = [
        [label, *(_spread(curve[step]) if step in curve else "-" for step in steps)]
        for label, curve in found.items()
    ]
    return (
        "## Learning curves\n\nmAP in the pool of the dev articles after so many steps, ± the "
        "standard deviation over seeds.\n\n![learning](learning.svg)\n\n"
    ) + table(["batches", *map(str, steps)], rows)


def _spread(values: Sequence[float]) -> str:
    spread = f" ±{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def costs(every: Sequence[Runs]) -> str:
    """Average what runs took that were made in one go."""
    rows = []
    for output, label, seeds in every:
        paths = [output / COST / f"{label}-{seed}.json" for seed in seeds]
        taken = [json.loads(path.read_text("utf-8")) for path in paths if path.is_file()]
        whole = [one for one in taken if not one["resumed"]]
        if whole:
            means = [np.mean([one[what] for one in whole]) for what in ("training", "whole", "cpu")]
            rows.append([label, str(len(whole)), *(f"{mean:,.1f}" for mean in means)])
    if not rows:
        return ""
    headings = ["batches", "runs", "training, s", "with judging, s", "processor, s"]
    return (
        "## Cost\n\nMeans of the runs that were not interrupted. Training includes judging for "
        "learning curves, if there are any; other work on the machine slows both.\n\n"
    ) + table(headings, rows)
