"""Reading of leaderboard entries: folders of results, `Results`, result files of mteb's."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.records import parse_json, to_record
from beir_hybrid.report.entries import (
    Benchmark,
    Entry,
    Summary,
    make_visible,
    name_licence,
    parse_count,
)
from beir_hybrid.report.mteb_entries import read_mteb_entries
from beir_hybrid.report.page_names import add_number
from beir_hybrid.report.plain_files import is_link, is_plain_file
from beir_hybrid.report.recipes import describe_recipe, name_family
from beir_hybrid.report.reproduction_record import read_reproduction
from beir_hybrid.results.local_paths import hide_path
from beir_hybrid.results.provenance import CollectionProvenance
from beir_hybrid.results.results import Results
from beir_hybrid.results.storage import NEW_TABLE, PER_QUERY, RESULTS, TIMING
from beir_hybrid.results.timing import Timing
from beir_hybrid.text import escape_unprintable

logger = logging.getLogger(__name__)

LEADERBOARD, MADE_WITH = "leaderboard.json", "beir-hybrid leaderboard"
ResultsOrPath = str | Path | Results


def read_entries(
    sources: ResultsOrPath | Iterable[ResultsOrPath], *, local_files: bool = False
) -> list[Entry]:
    """Return an entry for each of some results, and for each result file below some folders.

    Symbolic links below the folders are left out, and so are leaderboards and, with a warning,
    result files of mteb's that are of no retrieval.

    Parameters
    ----------
    local_files
        Whether to read the records of trainings beside models that the results name.
    """
    items = [sources] if isinstance(sources, str | Path | Results) else list(sources)
    if not items:
        raise BadOption("no results are named")
    entries: list[Entry] = []
    visited: set[Path] = set()
    for item in items:
        if isinstance(item, Results):
            entries.append(_make_entry(item, None, local_files))
            continue
        paths = [path for path in _find_result_files(Path(item)) if path.resolve() not in visited]
        visited.update(path.resolve() for path in paths)
        entries += _read_files(paths, local_files, is_named=Path(item).is_file())
    return _make_names_unique(entries)


def _read_files(paths: Sequence[Path], local_files: bool, *, is_named: bool) -> list[Entry]:
    """Return the entries of result files, of which one of mteb's may be unfit if it is not named.

    Folders of mteb's have the results of all kinds of tasks.
    """
    entries: list[Entry] = []
    errors: list[BadData] = []
    for path in paths:
        if path.name == RESULTS:
            entries.append(_make_entry(_load_results(path.parent), path, local_files))
            continue
        try:
            entries += read_mteb_entries(path)
        except BadData as error:
            if is_named:
                raise
            errors.append(error)
    if errors and not entries:
        raise errors[0]
    for reason in errors:
        logger.warning("left out: %s", reason)
    return entries


def _find_result_files(path: Path) -> list[Path]:
    """Return a path that is a result file, or the result files below a folder."""
    if path.is_file():
        if path.suffix == ".json":
            return [path]
        raise BadData(
            f"{path} is neither a folder of results nor a result file of mteb's; if it is a run, "
            "`beir-hybrid evaluate --run FILE --dataset NAME --output DIR` makes results of it"
        )
    if not path.is_dir():
        raise BadData(f"there is no folder {path}")
    paths = sorted(_walk_result_files(path))
    if not paths:
        raise BadData(
            f"{path} holds no results: neither {RESULTS} of `beir-hybrid evaluate --output`, nor "
            "result files of mteb's"
        )
    return paths


def _walk_result_files(folder: Path) -> Iterator[Path]:
    """Yield result files; everything below a folder of results belongs to these results."""
    if (folder / RESULTS).is_file():
        yield folder / RESULTS
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            if not is_link(path) and not is_leaderboard(path):  # which has copies of results
                yield from _walk_result_files(path)
        elif path.suffix == ".json" and is_plain_file(path):
            text = path.read_bytes()
            if b'"task_name"' in text and b'"scores"' in text:
                yield path


def is_leaderboard(folder: Path) -> bool:
    """Return whether `bh.leaderboard` made a folder."""
    path = folder / LEADERBOARD
    if not is_plain_file(path):  # a pipe would never end
        return False
    try:
        return bool(parse_json(path.read_bytes())["made with"] == MADE_WITH)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _load_results(folder: Path) -> Results:
    """Load the results of a folder; raise `BadData` if a file of theirs is a link."""
    for name in (RESULTS, PER_QUERY, NEW_TABLE, TIMING):
        if (folder / name).is_symlink():
            raise BadData(
                f"{folder / name} is a symbolic link, and a leaderboard would publish what it "
                "points at; name the folder of results itself"
            )
    return Results.load(folder)


def _make_entry(results: Results, path: Path | None, local_files: bool) -> Entry:
    folder = None if path is None else path.parent
    try:
        collection, timing = results.provenance.collection, results.timing
        summary: Summary = {
            kind: {str(measure): estimate for measure, estimate in row.items()}
            for kind, row in results.summary().items()
        }
        has_images = any(SETTING_KINDS[kind].has_images for kind in results.summary())
        return Entry(
            name=make_visible(hide_path(results.model)),
            source="results",
            benchmark=_make_benchmark(collection, has_images=has_images),
            summary=summary,
            results=results,
            path=path,
            date=timing.date,
            parameters=parse_count(results.provenance.model.parameters),
            speed=_compute_speed(timing),
            recipe=describe_recipe(results, folder, local_files=local_files),
            calibration=_name_calibration(results),
            family=name_family(results),
            licence=name_licence(results.provenance.model.licence),
            is_trained_on=results.provenance.model.trained_on.get("shared", 0) > 0,
            reproduction=None if folder is None else read_reproduction(folder),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadData(
            f"{folder or results}: these are no results of this version: {error!r}"
        ) from error


def _name_calibration(results: Results) -> str:
    calibration = results.provenance.model.calibration
    return "" if calibration is None else make_visible(str(calibration.get("method", "")))


def _make_benchmark(collection: CollectionProvenance, *, has_images: bool) -> Benchmark:
    facts = [
        f"{len(collection.languages)} languages",
        f"{collection.queries:,} queries",
        f"{collection.passages:,} passages",
        *([f"{collection.images:,} images"] if collection.images else []),
        *(f"{name}: {hide_path(str(value))}" for name, value in collection.options.items()),
        *([f"licence: {collection.licence}"] if collection.licence else []),
        *([collection.caveat] if collection.caveat else []),
    ]
    return Benchmark(
        name=escape_unprintable(hide_path(collection.name)),
        key=json.dumps(list(to_record(collection.identity).values()), sort_keys=True),
        languages=collection.languages,
        facts=tuple(facts),
        size=(collection.queries, collection.passages),
        has_images=has_images,
    )


def _compute_speed(timing: Timing) -> float | None:
    """Return the number of texts and images encoded a second, if any were."""
    count = (timing.encoded_texts or 0) + (timing.encoded_images or 0)
    seconds = timing.seconds.get("encoding", 0)
    return count / seconds if count and seconds else None


def _make_names_unique(entries: list[Entry]) -> list[Entry]:
    """Add folders or numbers to the names of entries that share a table and a name."""
    unique: list[Entry] = []
    names: dict[Benchmark, set[str]] = {}
    for entry in entries:
        twins = [
            twin for twin in entries if (twin.benchmark, twin.name) == (entry.benchmark, entry.name)
        ]
        name = entry.name
        if len(twins) > 1 and entry.path is not None:
            name = f"{entry.name} ({entry.path.absolute().parent.name})"
        name = add_number(name, names.setdefault(entry.benchmark, set()), "{} [{}]")
        unique.append(replace(entry, name=name))
    return unique
