"""Record reports in ``RESULTS.md`` and beside it, and make a leaderboard of experiments."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import beir_hybrid as bh
from beir_hybrid.collection.setting import KindName
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from beir_hybrid.records import from_record, to_record
from beir_hybrid.results.local_paths import hide_local_paths
from beir_hybrid.results.results import Results
from beir_hybrid.results.timing import Timing
from benchmarks.__main__ import RESULTS, replace_section
from benchmarks.hybrid.calibration_report import choose_method
from benchmarks.hybrid.claims import NOT_TESTABLE, judge_claims
from benchmarks.hybrid.experiment import join_method
from benchmarks.hybrid.report import (
    DEV,
    REPORT,
    SavedExperiment,
    write_gaps,
    write_introduction,
    write_order,
    write_selection,
)
from benchmarks.hybrid.run import RESULTS as FOLDER
from benchmarks.hybrid.run import UNTRAINED
from benchmarks.hybrid.summary import SUMMARY
from benchmarks.hybrid.tables import write_means, write_table
from benchmarks.measure import describe_machine

RECORDED, SYSTEMS = "recorded", "systems"
SYSTEM_MEASURES = ("AP", "RankDistance", "LanguagePreference")
SYSTEM_KINDS: tuple[KindName, ...] = ("mono", "cross", "multi")
COLUMNS = (
    "Mo mAP", "Cr mAP", "Mul mAP", "rank distance", "normalised", "language preference",
)  # fmt: skip


def record_report(saved: SavedExperiment, command: str, results: Path = RESULTS) -> Path:
    """Copy report and plots beside ``RESULTS.md``, write its section, and return the folder."""
    name = saved.experiment.name
    folder = results.parent / RECORDED / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = [page for name in (REPORT, SUMMARY) if (page := saved.output / name).is_file()]
    for path in sorted([*pages, *saved.output.glob("*.svg")]):
        shutil.copyfile(path, folder / path.name)
    for label, system in list_systems(saved):
        save_system(system, folder / SYSTEMS / label)
    text = results.read_text("utf-8")
    with atomic_file(results) as temporary:
        section = build_section(saved, command)
        temporary.write_text(replace_section(text, f"hybrid-{name}", section), "utf-8")
    return folder


def list_systems(saved: SavedExperiment) -> Iterator[tuple[str, Results]]:
    """Yield the results that `make leaderboard` shows: those of an experiment with calibrations.

    They are the untrained model and the variants with the first seed, and the untrained model and
    the baseline with the calibration that is chosen on the dev articles. Of an experiment on these
    articles there are none.
    """
    experiment = saved.experiment
    method = choose_method(saved.dev_calibrations, experiment.baseline)
    collection = experiment.collections[0]
    if not method or collection == DEV:
        return
    for label, variant in saved.list_variants(collection).items():
        seed = variant.seeds[0]
        methods = ("", method) if label in (UNTRAINED, experiment.baseline) else ("",)
        for name in (join_method(label, each) for each in methods):
            results = Results.load(saved.output / FOLDER / collection / f"{name}-{seed}")
            title = f"{experiment.encoder}: {name}" + (f", seed {seed}" if seed else "")
            yield name.replace(":", "-"), rename_model(select_main_parts(results), title)


def save_system(results: Results, folder: Path) -> None:
    """Save results for the repository: placeholders stand for paths of this machine."""
    timing = from_record(Timing, hide_local_paths(to_record(results.timing)), "timing")
    replace(results, timing=timing).save(folder)
    (folder / ".results.lock").unlink()


def select_main_parts(results: Results) -> Results:
    """Return results with few measures and settings, which make a small file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_main = pc.is_in(results.table["kind"].cast(pa.string()), pa.array(SYSTEM_KINDS))
    measures = tuple(name for name in results.measures if str(name) in SYSTEM_MEASURES)
    others = [str(name) for name in results.measures if name not in measures]
    table = results.table.filter(is_main).drop_columns(others)
    return replace(results, table=table, measures=measures, stored_summary=None)


def build_section(saved: SavedExperiment, command: str) -> str:
    """Return the tables and verdicts that a reader needs first."""
    name, folder = saved.experiment.name, f"{RECORDED}/{saved.experiment.name}"
    origin = f"{datetime.now(tz=UTC):%Y-%m-%d}, {describe_machine()}"
    parts = [
        f"## hybrid-{name}\n",
        write_introduction(saved, command),
        write_gaps(saved),
        f"Recorded {origin}. All tables and the rules: [{REPORT}]({folder}/{REPORT}).\n",
    ]
    for collection in saved.results:
        table = write_means(saved.list_variants(collection), COLUMNS)
        parts += [f"**{collection}**\n", table]
    parts += [write_order(saved), write_selection(saved), _write_claim_words(saved)]
    parts += [f"![{path.stem}]({folder}/{path.name})\n" for path in _list_plots(saved)]
    text = "\n".join(part for part in parts if part)
    return text.replace("\n## ", "\n### ")  # the section itself begins with `##`


def _list_plots(saved: SavedExperiment) -> Sequence[Path]:
    return sorted(path for path in saved.output.glob("*.svg") if DEV not in path.name)


def _write_claim_words(saved: SavedExperiment) -> str:
    """Return a row for each claim, with the verdict's word for each collection."""
    words: dict[str, dict[str, str]] = {}
    for verdict in judge_claims(saved.experiment.arm, saved.results):
        names = saved.results if verdict.claim.obstacle else (verdict.collection,)
        for name in names:
            words.setdefault(verdict.claim.text, {})[name] = verdict.word
    collections = [name for name in saved.results if name != DEV]
    if all(word == NOT_TESTABLE for row in words.values() for word in row.values()):
        return ""
    rows = [[text, *(row[name] for name in collections)] for text, row in words.items()]
    return "### The paper's claims\n\n" + write_table(["claim", *collections], rows, "---")


def build_site(experiments: Iterable[SavedExperiment], folder: Path) -> Path:
    """Make a leaderboard of each variant's first seed, and of the untrained models."""
    systems = []
    for saved in experiments:
        for collection in saved.results:
            for label, variant in saved.list_variants(collection).items():
                seed = variant.seeds[0]
                results = Results.load(saved.output / FOLDER / collection / f"{label}-{seed}")
                suffix = "" if label == UNTRAINED else f", seed {seed}"
                systems.append(rename_model(results, f"{saved.experiment.name}: {label}{suffix}"))
    if not systems:
        raise BadData("there are no results to make a leaderboard of")
    return bh.leaderboard(systems, folder)


def rename_model(results: Results, name: str) -> Results:
    """Return results with another name of the model."""
    model = replace(results.provenance.model, name=name)
    return replace(results, provenance=replace(results.provenance, model=model))
