"""A folder of saved results in; tables, plots and verdicts as Markdown out, from the results alone.

Every sentence that depends on a figure is chosen by a rule that stands here or in `claims`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from benchmarks.hybrid import drawn
from benchmarks.hybrid.claims import (
    KEPT,
    RULE,
    candidate,
    kept,
    shown,
    verdicts,
)
from benchmarks.hybrid.experiment import ARMS, Experiment
from benchmarks.hybrid.pooled import COLUMNS, Pooled, gaps, sense
from benchmarks.hybrid.run import NOTES, UNTRAINED
from benchmarks.hybrid.tables import groups, means, one_target, published, table, tests
from benchmarks.hybrid.trained import costs, curves, drawn_by, drawn_table

DEV, REPORT = "mlqa-r-dev", "report.md"
LEGEND = """Brackets are 95% intervals, resampling questions with all their translations, of values
averaged over seeds; ± is the standard deviation over seeds, which differ in what is drawn, not in
the model that all start from.
"""


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

    def runs(self, label: str) -> tuple[Path, str, tuple[int, ...]]:
        """Say where the runs of a variant are."""
        return self.output, label, self.experiment.seeds

    def all(self, name: str) -> dict[str, Pooled]:
        """Return the variants of a collection, the untrained model before them."""
        untrained = Pooled.load(self.output, name, UNTRAINED, (0,))
        return ({UNTRAINED: untrained} if untrained.seeds else {}) | self.pooled[name]


def write(found: Found, command: str) -> Path:
    """Write ``report.md`` and its plots; return its path."""
    experiment, output = found.experiment, found.output
    parts = [f"# {experiment.name}\n", head(found, command), LEGEND, missing(found)]
    for name, pooled in found.pooled.items():
        parts += [f"## {name}\n", means(found.all(name)), published(experiment.published, name)]
        if experiment.baseline in pooled:
            parts.append(tests(pooled, experiment.baseline))
            parts.append(one_target(pooled[experiment.baseline]))
        parts += [groups(pooled), *_plots(found, name, pooled)]
    parts += [order(found), improved(found), _claims(found)]
    runs = [found.runs(label) for label in experiment.labels]
    parts += [drawn_table(runs), curves(runs), costs(runs)]
    path = output / REPORT
    with atomic_file(path) as temporary:
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
        f"{', '.join(map(str, one.seeds))}.\n{declared}"
    )


def missing(found: Found) -> str:
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
        langs = ", ".join(f"{k} {v:.0%}" for k, v in found.notes.get("by language", {}).items())
        text += (
            f"\nThe lexicon of NTREX's word alignments, {entries:,} words of English with those of "
            f"other languages, has {share:.1%} of the words of MLQA-R's training articles "
            f"({langs or 'all languages'}), mostly frequent ones.\n"
        )
    return text


def _plots(found: Found, name: str, pooled: Mapping[str, Pooled]) -> list[str]:
    alphas = {
        rows.mono: pooled[variant.label]
        for variant in found.experiment.variants
        if variant.alpha is not None
        and variant.label in pooled
        and (rows := drawn_by(*found.runs(variant.label)))
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
            order = " > ".join(", ".join(labels) for labels in ranks)
            here = "not there"
            if all(label in pooled for labels in ranks for label in labels):
                here = out_of_order([[pooled[label] for label in labels] for labels in ranks], what)
            rows.append([f"{what} on {name}", order, here])
    headings = ["", "order of the full run", "here"]
    return "## The same order?\n\n" + table(headings, rows, "---") if rows else ""


def out_of_order(ranks: Sequence[Sequence[Pooled]], what: str) -> str:
    """Return which of neighbouring ranks, best first, are the other way round here."""
    column = COLUMNS[what]
    found = []
    for one, next_one in pairwise(ranks):
        for better, worse in product(one, next_one):
            if not (some := gaps(better, [worse], column)):
                return "not there"
            if some[0].difference * sense(column) < 0:
                low, high = some[0].widest
                told = "not told apart" if low <= 0 <= high else "told apart"
                found.append(f"{worse.label} before {better.label}, {told}: {shown(some[0])}")
    return "; ".join(found) if found else "the same"


def improved(found: Found) -> str:
    """Choose a variant on the dev articles, and say whether it is kept on the others."""
    one, dev = found.experiment, found.pooled.get(DEV, {})
    label = candidate({name: dev[name] for name in one.candidates if name in dev})
    if not label:
        return ""
    pairs = {
        name: (pooled[label], pooled[one.baseline])
        for name, pooled in found.pooled.items()
        if name != DEV and {label, one.baseline} <= pooled.keys()
    }
    every = kept(pairs)
    rows = [
        [name, "better" if good else "not better", "; ".join(f"{w} {shown(g)}" for w, g in some)]
        for name, (good, some) in every.items()
    ]
    whole = every.keys() == set(one.judged) - {DEV}
    better = whole and bool(every) and all(good for good, _ in every.values())
    verdict = "kept" if better else "not kept"
    text = f"## Kept?\n\n{KEPT}\n\nChosen is {label}: **{verdict}**.\n\n"
    headings = ["judged on", "verdict", f"{label} less {one.baseline}"]
    return text + table(headings, rows, "---")


def _claims(found: Found) -> str:
    """Say what became of the paper's claims, where the experiment has what they compare."""
    rows = verdicts(found.experiment.arm, found.pooled)
    if all(one.word == "not testable here" for one in rows):
        return ""
    lines = [
        [one.claim.text, "all" if one.claim.untestable else one.collection, f"**{one.word}**",
         one.reason]
        for one in rows
    ]  # fmt: skip
    headings = ["claim", "judged on", "verdict", "because"]
    return f"## The paper's claims\n\n{RULE}\n\n" + table(headings, lines, "---")
