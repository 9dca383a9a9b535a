"""The report of an experiment: tables, plots and verdicts as Markdown, from saved results alone.

Every sentence that depends on a figure follows a rule of this module, `claims` or `selection`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from benchmarks.hybrid.article_intervals import write_article_intervals
from benchmarks.hybrid.calibration_report import (
    choose_method,
    write_calibrations,
    write_gains,
)
from benchmarks.hybrid.claims import NOT_TESTABLE, RULE, describe_difference, judge_claims
from benchmarks.hybrid.experiment import ARMS, Experiment, join_method
from benchmarks.hybrid.figures import plot_alpha, plot_variants, save_figure
from benchmarks.hybrid.run import NOTES, UNTRAINED
from benchmarks.hybrid.selection import SELECTION_RULE, choose_candidate, decide_replacement
from benchmarks.hybrid.tables import (
    write_language_groups,
    write_means,
    write_one_target,
    write_published,
    write_table,
    write_tests,
)
from benchmarks.hybrid.training_records import (
    VariantRuns,
    read_batch_statistics,
    write_batch_table,
    write_costs,
    write_learning_curves,
)
from benchmarks.hybrid.variant_results import COLUMNS, VariantResults, compare_variants

DEV, REPORT = "mlqa-r-dev", "report.md"
LEGEND = """Square brackets hold 95% intervals over queries, of values averaged over seeds;
queries that translate each other are resampled together. ± is the standard deviation over seeds.
Seeds differ in the training pairs that they draw, not in the start model.
"""


@dataclass(frozen=True, eq=False)
class SavedExperiment:
    """An experiment and its folder."""

    experiment: Experiment
    output: Path
    notes: Mapping[str, Any]

    @classmethod
    def load(cls, experiment: Experiment, output: Path) -> "SavedExperiment":
        """Open a folder that `run_experiment` filled, completely or partly."""
        path = output / NOTES
        if not path.is_file():
            raise BadData(f"{output} holds no runs of an experiment")
        return cls(experiment, output, json.loads(path.read_text("utf-8")))

    @cached_property
    def results(self) -> dict[str, dict[str, VariantResults]]:
        """The variants that have results, by collection and label."""
        seeds = self.experiment.seeds
        variants = {
            name: [
                VariantResults.load(self.output, name, label, seeds)
                for label in self.experiment.labels
            ]
            for name in self.experiment.collections
        }
        return {
            name: {variant.label: variant for variant in row if variant.seeds}
            for name, row in variants.items()
        }

    @cached_property
    def dev_calibrations(self) -> dict[str, dict[str, VariantResults]]:
        """The variants on the dev articles, by calibration and label."""
        return self.load_calibrated(DEV) if DEV in self.experiment.collections else {}

    def load_calibrated(self, name: str) -> dict[str, dict[str, VariantResults]]:
        """Return the variants that have results on a collection, by calibration and label."""
        experiment = self.experiment
        rows = {UNTRAINED: (0,), **dict.fromkeys(experiment.labels, experiment.seeds)}
        variants = {
            method: {
                label: VariantResults.load(self.output, name, join_method(label, method), seeds)
                for label, seeds in rows.items()
            }
            for method in experiment.methods
        }
        return {
            method: {label: variant for label, variant in row.items() if variant.seeds}
            for method, row in variants.items()
        }

    def find_runs(self, label: str) -> VariantRuns:
        """Return the folders of the runs of a variant."""
        return VariantRuns(self.output, label, self.experiment.seeds)

    def list_variants(self, name: str) -> dict[str, VariantResults]:
        """Return the variants with results on a collection, the untrained model first."""
        untrained = VariantResults.load(self.output, name, UNTRAINED, (0,))
        return ({UNTRAINED: untrained} if untrained.seeds else {}) | self.results[name]


def write_report(saved: SavedExperiment, command: str) -> Path:
    """Write ``report.md`` and its plots; return its path."""
    experiment, output = saved.experiment, saved.output
    title = f"# {experiment.name}\n"
    parts = [title, write_introduction(saved, command), LEGEND, write_gaps(saved)]
    for name, results in saved.results.items():
        parts += [f"## {name}\n", write_means(saved.list_variants(name))]
        parts.append(write_published(experiment.published, name))
        if experiment.baseline in results:
            parts.append(write_tests(results, experiment.baseline))
            parts.append(write_one_target(results[experiment.baseline]))
        parts += [write_language_groups(results), *_plot_collection(saved, name)]
        if experiment.calibrations:
            parts += _write_calibrated(saved, name)
        if (
            articles := saved.notes.get("articles", {}).get(name)
        ) and experiment.baseline in results:
            parts.append(write_article_intervals(results, experiment.baseline, np.array(articles)))
    parts += [write_order(saved), write_selection(saved), _write_claims(saved)]
    runs = [saved.find_runs(label) for label in experiment.labels]
    parts += [write_batch_table(runs), write_learning_curves(runs), write_costs(runs)]
    path = output / REPORT
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(part for part in parts if part), "utf-8")
    return path


def _write_calibrated(saved: SavedExperiment, name: str) -> list[str]:
    """Return the sections about calibrations on a collection."""
    baseline, results = saved.experiment.baseline, saved.load_calibrated(name)
    method = choose_method(saved.dev_calibrations, baseline)
    return [write_calibrations(results), write_gains(results, baseline, method) if method else ""]


def write_introduction(saved: SavedExperiment, command: str) -> str:
    """Return question, prediction, command and settings."""
    experiment = saved.experiment
    details = f", texts of up to {experiment.max_length} tokens" if experiment.max_length else ""
    details += ", products in bfloat16" if experiment.bf16 else ""
    details += "" if experiment.dropout else ", without dropout"
    disclosure = " ".join(experiment.disclosure.split())
    return (
        f"**Question.** {experiment.question}\n\n**Prediction, made before the runs.** "
        f"{' '.join(experiment.prediction.split())}\n\n`{command}`\n\n"
        f"Arm {experiment.arm} ({ARMS[experiment.arm]}), encoder {experiment.encoder}, "
        f"{experiment.steps:,} steps of {experiment.batch_size} pairs, learning rate "
        f"{experiment.learning_rate:g}{details}, seeds {', '.join(map(str, experiment.seeds))}.\n"
        + (f"\n**Disclosure.** {disclosure}\n" if disclosure else "")
    )


def write_gaps(saved: SavedExperiment) -> str:
    """Name variants and seeds without results, with reasons, and the coverage of the lexicon."""
    lines = list(_list_gaps(saved))
    text = "Not in the tables:\n\n" + "\n".join(lines) + "\n" if lines else ""
    if "coverage" in saved.notes:
        coverage, entries = saved.notes["coverage"], saved.notes["entries"]
        by_language = saved.notes.get("by language", {})
        languages = ", ".join(f"{name} {share:.0%}" for name, share in by_language.items())
        text += (
            f"\nThe lexicon from NTREX's word alignments has {entries:,} English words with words "
            f"of other languages, and {coverage:.1%} of the words of MLQA-R's training articles "
            f"({languages or 'all languages'}), mostly frequent ones.\n"
        )
    return text


def _list_gaps(saved: SavedExperiment) -> Iterator[str]:
    skipped = saved.notes["skipped"]
    for label, reason in skipped.items():
        yield f"- {label}: not testable; {reason}."
    for name, results in saved.results.items():
        missing: dict[str, list[str]] = {}
        for label in set(saved.experiment.labels).difference(skipped):
            seeds = results[label].seeds if label in results else ()
            if absent := [str(seed) for seed in saved.experiment.seeds if seed not in seeds]:
                missing.setdefault(", ".join(absent), []).append(label)
        for absent_seeds, labels in missing.items():
            yield f"- {', '.join(sorted(labels))} on {name}: no results of seed {absent_seeds}."


def _plot_collection(saved: SavedExperiment, name: str) -> Iterator[str]:
    results = saved.results[name]
    alphas = {
        statistics.monolingual: results[variant.label]
        for variant in saved.experiment.variants
        if variant.alpha is not None
        and variant.label in results
        and (statistics := read_batch_statistics(saved.find_runs(variant.label)))
    }
    figures = {}
    if len(alphas) > 2:
        figures["alpha"] = plot_alpha(alphas, name)
    if len(results) > 1:
        figures["bias"] = plot_variants(results, name)
    for plot, figure in figures.items():
        save_figure(figure, saved.output, f"{plot}-{name}")
        yield f"![{plot} on {name}]({plot}-{name}.svg)\n"


def write_order(saved: SavedExperiment) -> str:
    """Return whether variants have the expected order, and the exceptions."""
    rows = []
    for name, columns in saved.experiment.expected_order.items():
        results = saved.results.get(name, {})
        for column, ranks in columns.items():
            order = " > ".join(", ".join(labels) for labels in ranks)
            answer = "no results"
            if all(label in results for labels in ranks for label in labels):
                variants = [[results[label] for label in labels] for labels in ranks]
                answer = find_inversions(variants, column)
            rows.append([f"{column} on {name}", order, answer])
    headings = ["", "order of the full run", "order of this run"]
    return "## Order of the variants\n\n" + write_table(headings, rows, "---") if rows else ""


def find_inversions(ranks: Sequence[Sequence[VariantResults]], column: str) -> str:
    """Name the variants of neighbouring ranks, best first, that have the opposite order here."""
    inversions = []
    for upper, lower in pairwise(ranks):
        for better, worse in product(upper, lower):
            differences = compare_variants(better, [worse], COLUMNS[column])
            if not differences:
                return "no results"
            difference = differences[0]
            if difference.difference * COLUMNS[column].sign < 0:
                low, high = difference.widest
                verdict = "not significant" if low <= 0 <= high else "significant"
                inversions.append(
                    f"{worse.label} before {better.label}, {verdict}: "
                    f"{describe_difference(difference)}"
                )
    return "; ".join(inversions) if inversions else "the same"


def write_selection(saved: SavedExperiment) -> str:
    """Return the variant that the dev articles select, and the decision on the baseline."""
    experiment, dev = saved.experiment, saved.results.get(DEV, {})
    label = choose_candidate({name: dev[name] for name in experiment.candidates if name in dev})
    if not label:
        return ""
    pairs = {
        name: (results[label], results[experiment.baseline])
        for name, results in saved.results.items()
        if name != DEV and {label, experiment.baseline} <= results.keys()
    }
    decisions = decide_replacement(pairs)
    rows = []
    for name, decision in decisions.items():
        verdict = "better" if decision.is_better else "not better"
        differences = (
            f"{column} {describe_difference(difference)}" for column, difference in decision.rows
        )
        rows.append([name, verdict, "; ".join(differences)])
    is_complete = bool(decisions) and decisions.keys() == set(experiment.collections) - {DEV}
    is_kept = is_complete and all(decision.is_better for decision in decisions.values())
    text = (
        f"## Selection\n\n{SELECTION_RULE}\n\n"
        f"The chosen variant is {label}: **{'kept' if is_kept else 'not kept'}**.\n\n"
    )
    headings = ["collection", "verdict", f"{label} less {experiment.baseline}"]
    return text + write_table(headings, rows, "---")


def _write_claims(saved: SavedExperiment) -> str:
    """Return the verdicts on the paper's claims, if the experiment can test one."""
    verdicts = judge_claims(saved.experiment.arm, saved.results)
    if all(verdict.word == NOT_TESTABLE for verdict in verdicts):
        return ""
    rows = [
        [
            verdict.claim.text,
            "all" if verdict.claim.obstacle else verdict.collection,
            f"**{verdict.word}**",
            verdict.reason,
        ]
        for verdict in verdicts
    ]
    headings = ["claim", "collection", "verdict", "reason"]
    return f"## The paper's claims\n\n{RULE}\n\n" + write_table(headings, rows, "---")
