"""Saved experiments in; a section of ``RESULTS.md``, what it points to, and a leaderboard out."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import beir_hybrid as bh
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from beir_hybrid.results.results import Results
from benchmarks.__main__ import RESULTS, placed
from benchmarks.hybrid import report
from benchmarks.hybrid.claims import verdicts
from benchmarks.hybrid.report import DEV, Found
from benchmarks.hybrid.run import RESULTS as FOLDER
from benchmarks.hybrid.run import UNTRAINED
from benchmarks.hybrid.tables import means, table
from benchmarks.measure import machine

RECORDED = "recorded"
COLUMNS = (
    "Mo mAP", "Cr mAP", "Mul mAP", "rank distance", "normalised", "language preference",
)  # fmt: skip


def record(found: Found, command: str, results: Path = RESULTS) -> Path:
    """Keep an experiment's report and plots beside ``RESULTS.md``, what they come to in it."""
    name = found.experiment.name
    kept = results.parent / RECORDED / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for path in sorted([found.output / report.REPORT, *found.output.glob("*.svg")]):
        shutil.copyfile(path, kept / path.name)
    with atomic_file(results) as temporary:
        text = placed(results.read_text("utf-8"), f"hybrid-{name}", section(found, command))
        temporary.write_text(text, "utf-8")
    return kept


def section(found: Found, command: str) -> str:
    """Return the few tables and verdicts that a reader needs first."""
    name, where = found.experiment.name, f"{RECORDED}/{found.experiment.name}"
    made = f"{datetime.now(tz=UTC):%Y-%m-%d}, {machine()}"
    whole = f"[{report.REPORT}]({where}/{report.REPORT})"
    parts = [
        f"## hybrid-{name}\n",
        report.head(found, command),
        report.missing(found),
        f"Recorded {made}. What figures and verdicts mean, and everything else: {whole}.\n",
    ]
    for one in found.pooled:
        parts += [f"**{one}**\n", means(found.all(one), COLUMNS)]
    parts += [report.order(found), report.improved(found), _claims(found)]
    parts += [f"![{path.stem}]({where}/{path.name})\n" for path in _plots(found)]
    text = "\n".join(part for part in parts if part)
    return text.replace("\n## ", "\n### ")  # a section of its own begins with `##`


def _plots(found: Found) -> Sequence[Path]:
    return sorted(path for path in found.output.glob("*.svg") if DEV not in path.name)


def _claims(found: Found) -> str:
    """Return a row for each claim, and the word of each collection."""
    words: dict[str, dict[str, str]] = {}
    for one in verdicts(found.experiment.arm, found.pooled):
        for name in found.pooled if one.claim.untestable else (one.collection,):
            words.setdefault(one.claim.text, {})[name] = one.word
    names = [name for name in found.pooled if name != DEV]
    if all(word == "not testable here" for row in words.values() for word in row.values()):
        return ""
    rows = [[text, *(row[name] for name in names)] for text, row in words.items()]
    return "### The paper's claims\n\n" + table(["claim", *names], rows, "---")


def site(experiments: Iterable[Found], folder: Path) -> Path:
    """Make a leaderboard of each variant's first seed, and of the untrained models."""
    every = []
    for found in experiments:
        for name in found.pooled:
            for label, one in found.all(name).items():
                results = Results.load(found.output / FOLDER / name / f"{label}-{one.seeds[0]}")
                seed = "" if label == UNTRAINED else f", seed {one.seeds[0]}"
                every.append(_named(results, f"{found.experiment.name}: {label}{seed}"))
    if not every:
        raise BadData("there are no results to make a leaderboard of")
    return bh.leaderboard(every, folder)


def _named(results: Results, name: str) -> Results:
    model = replace(results.provenance.model, name=name)
    return replace(results, provenance=replace(results.provenance, model=model))
