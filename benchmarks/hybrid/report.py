"""A folder of saved results in; tables, plots and verdicts as Markdown out, from the results alone.

Every sentence that depends on a figure is chosen by a rule that stands here or in `claims`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.errors import BadData
from beir_hybrid.files import replacing
from benchmarks.hybrid import drawn
from benchmarks.hybrid.claims import (
    CLAIMS,
    KEPT,
    RULE,
    Verdict,
    candidate,
    is_kept,
    judge,
    shown,
)
from benchmarks.hybrid.experiment import ARMS, Experiment
from benchmarks.hybrid.pooled import COLUMNS, Pooled, gaps, sense
from benchmarks.hybrid.run import COST, NOTES, RUNS, UNTRAINED
from benchmarks.hybrid.tables import groups, means, one_target, published, table, tests

DEV, REPORT = "mlqa-r-dev", "report.md"


@dataclass(frozen=True, eq=False)
class Found:
    """What is saved of an experiment."""

    experiment: Experiment
    output: Path
    notes: Mapping[str, Any]

    @classmethod
    def load(cls, experiment: Experiment, output: Path) -> "Found":
        """Look at a folder that `run` filled, wholly or in part."""
        path = output / NOTES
        if not path.is_file():
            raise BadData(f"{output} holds no runs of an experiment")
        return cls(experiment, output, json.loads(path.read_text("utf-8")))

    @cached_property
    def pooled(self) -> dict[str, dict[str, Pooled]]:
        """The variants that have results, by collection."""
        loaded = {
            name: {
                label: Pooled.load(self.output, name, label, self.experiment.seeds)
                for label in self.experiment.labels
            }
            for name in self.experiment.judged
        }
        return {
            name: {label: one for label, one in some.items() if one.seeds}
            for name, some in loaded.items()
        }

    def all(self, name: str) -> dict[str, Pooled]:
        """Return the variants of a collection, the untrained model before them."""
        untrained = Pooled.load(self.output, name, UNTRAINED, (0,))
        return ({UNTRAINED: untrained} if untrained.seeds else {}) | self.pooled[name]


def write(found: Found, command: str) -> Path:
    """Write ``report.md`` and its plots; return its path."""
    experiment, output = found.experiment, found.output
    parts = [f"# {experiment.name}\n", head(found, command), _missing(found)]
    for name, pooled in found.pooled.items():
        parts += [f"## {name}\n", means(found.all(name)), published(experiment.published, name)]
        if experiment.baseline in pooled:
            parts.append(tests(pooled, experiment.baseline))
            parts.append(one_target(pooled[experiment.baseline]))
        parts += [groups(pooled), *_plots(found, name, pooled)]
    parts += [order(found), improved(found), _claims(found), _curve(found), _cost(found)]
    path = output / REPORT
    with replacing(path) as temporary:
        temporary.write_text("\n".join(part for part in parts if part), "utf-8")
    return path


def head(found: Found, command: str) -> str:
    """Say what was asked, and of what the answer is."""
    one = found.experiment
    length = f", texts of up to {one.max_length} tokens" if one.max_length else ""
    length += ", products in bfloat16" if one.bf16 else ""
    declared = f"\n**To declare.** {' '.join(one.declared.split())}\n" if one.declared else ""
    return (
        f"**Asked.** {one.question}\n\n**Expected, before the runs.** "
        f"{' '.join(one.prediction.split())}\n\n`{command}`\n\n"
        f"Arm {one.arm} ({ARMS[one.arm]}), encoder {one.encoder}, {one.steps:,} steps of "
        f"{one.batch_size} pairs, learning rate {one.learning_rate:g}{length}, seeds "
        f"{', '.join(map(str, one.seeds))}. Brackets are 95% intervals, resampling questions with "
        "all their translations, of values averaged over seeds; ± is the standard deviation over "
        f"seeds.\n{declared}"
    )


def _missing(found: Found) -> str:
    """Say what is not there, and why."""
    lines = [f"- {label}: not testable; {why}." for label, why in found.notes["skipped"].items()]
    for name, pooled in found.pooled.items():
        lost: dict[str, list[str]] = {}
        for label in set(found.experiment.labels).difference(found.notes["skipped"]):
            there = pooled[label].seeds if label in pooled else ()
            if seeds := [str(seed) for seed in found.experiment.seeds if seed not in there]:
                lost.setdefault(", ".join(seeds), []).append(label)
        lines += [
            f"- {', '.join(sorted(labels))} on {name}: no results of seed {seeds}."
            for seeds, labels in lost.items()
        ]
    text = "Not in the tables:\n\n" + "\n".join(lines) + "\n" if lines else ""
    if "coverage" in found.notes:
        share, entries = found.notes["coverage"], found.notes["entries"]
        text += (
            f"\nThe lexicon of NTREX's word alignments, {entries:,} words of English with those of "
            f"other languages, has {share:.1%} of the words of MLQA-R's training articles.\n"
        )
    return text


def _plots(found: Found, name: str, pooled: Mapping[str, Pooled]) -> list[str]:
    alphas = {
        variant.alpha: pooled[variant.label]
        for variant in found.experiment.variants
        if variant.alpha is not None and variant.label in pooled
    }
    figures = {}
    if len(alphas) > 2:
        figures["alpha"] = drawn.alpha_curve(alphas, name)
    if len(pooled) > 1:
        figures["bias"] = drawn.bias(pooled, name)
    lines = []
    for what, shape in figures.items():
        drawn.save(shape, found.output, f"{what}-{name}")
        lines.append(f"![{what} on {name}]({what}-{name}.svg)\n")
    return lines


def order(found: Found) -> str:
    """Say whether labels come in the order that is expected, and what tells them apart if not."""
    rows = []
    for name, columns in found.experiment.expected.items():
        pooled = found.pooled.get(name, {})
        for what, ranks in columns.items():
            there = [[pooled[label] for label in labels if label in pooled] for labels in ranks]
            order = " > ".join(", ".join(labels) for labels in ranks)
            rows.append([f"{what} on {name}", order, out_of_order(there, what)])
    headings = ["", "order of the full run", "here"]
    return "## The same order?\n\n" + table(headings, rows, "---") if rows else ""


def out_of_order(ranks: Sequence[Sequence[Pooled]], what: str) -> str:
    """Return which of neighbouring ranks, best first, are the other way round here."""
    column = COLUMNS[what]
    found = []
    for one, next_one in pairwise(ranks):
        for better, worse in product(one, next_one):
            for gap in gaps(better, [worse], column):
                if gap.difference * sense(column) < 0:
                    low, high = gap.widest
                    told = "not told apart" if low <= 0 <= high else "told apart"
                    found.append(f"{worse.label} before {better.label}, {told}: {shown(gap)}")
    return "; ".join(found) if found else "the same"


def improved(found: Found) -> str:
    """Choose a variant on the dev articles, and say whether it is kept on the others."""
    one, dev = found.experiment, found.pooled.get(DEV, {})
    label = candidate({name: dev[name] for name in one.candidates if name in dev})
    if not label:
        return ""
    rows, every = [], []
    for name, pooled in found.pooled.items():
        if name != DEV and {label, one.baseline} <= pooled.keys():
            kept, compared = is_kept(pooled[label], pooled[one.baseline])
            every.append(kept)
            told = "; ".join(f"{what} {shown(gap)}" for what, gap in compared)
            rows.append([name, "better" if kept else "not better", told])
    verdict = "kept" if every and all(every) else "not kept"
    text = f"## Kept?\n\n{KEPT}\n\nChosen is {label}: **{verdict}**.\n\n"
    headings = ["judged on", "verdict", f"{label} less {one.baseline}"]
    return text + table(headings, rows, "---")


def verdicts(found: Found) -> list[Verdict]:
    """Return what each collection says of each claim; where nothing can, once."""
    rows = []
    for claim in CLAIMS:
        each = [
            judge(claim, found.experiment.arm, pooled, name)
            for name, pooled in found.pooled.items()
        ]
        rows += each[:1] if claim.untestable else each
    return rows


def _claims(found: Found) -> str:
    """Say what became of the paper's claims, where the experiment has what they compare."""
    rows = verdicts(found)
    if all(one.word == "not testable here" for one in rows):
        return ""
    lines = [
        [one.claim.text, "all" if one.claim.untestable else one.collection, f"**{one.word}**",
         one.reason]
        for one in rows
    ]  # fmt: skip
    headings = ["claim", "judged on", "verdict", "because"]
    return f"## The paper's claims\n\n{RULE}\n\n" + table(headings, lines, "---")


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


def _curve(found: Found) -> str:
    """Draw the learning curves, if the dev articles were judged on the way."""
    curves: dict[str, dict[int, float]] = {}
    for label in found.experiment.labels:
        seeds = [learned(found.output, label, seed) for seed in found.experiment.seeds]
        seeds = [one for one in seeds if one]
        if seeds:
            steps = set.intersection(*(set(one) for one in seeds))
            curves[label] = {s: float(np.mean([one[s] for one in seeds])) for s in sorted(steps)}
    if not any(len(one) > 1 for one in curves.values()):
        return ""
    drawn.save(drawn.learning(curves), found.output, "learning")
    return (
        "## Learning curves\n\nmAP in the pool of the dev articles.\n\n![learning](learning.svg)\n"
    )


def _cost(found: Found) -> str:
    """Average what runs took that were made in one go."""
    rows = []
    for label in found.experiment.labels:
        paths = [found.output / COST / f"{label}-{seed}.json" for seed in found.experiment.seeds]
        taken = [json.loads(path.read_text("utf-8")) for path in paths if path.is_file()]
        whole = [one for one in taken if not one["resumed"]]
        if whole:
            means = [np.mean([one[what] for one in whole]) for what in ("training", "whole", "cpu")]
            rows.append([label, str(len(whole)), *(f"{mean:,.1f}" for mean in means)])
    if not rows:
        return ""
    headings = ["batches", "runs", "training, s", "with judging, s", "processor, s"]
    return "## Cost\n\nMeans of the runs that were not interrupted.\n\n" + table(headings, rows)
