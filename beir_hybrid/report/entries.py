"""Folders of results and result files of mteb's in, the entries of a leaderboard out."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from beir_hybrid.collection.setting import ALL, KindName, Setting
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.report.recipes import recipe
from beir_hybrid.results.mteb import Score, read_mteb
from beir_hybrid.results.provenance import CollectionProvenance, Timing
from beir_hybrid.results.records import to_record
from beir_hybrid.results.results import RESULTS, Estimate, Matrix, Results
from beir_hybrid.text import escape_unprintable

Source = Literal["results", "mteb", "published"]
Summary = Mapping[str, Mapping[str, Estimate]]  # by kind of setting and name of measure
Given = str | Path | Results

# Kinds of settings that captions alone have not.
PICTURED: frozenset[str] = frozenset(("text-image", "image-text", "image-pool", "mixed"))
# Of the sixty measures that mteb writes, those that people read.
_OF_MTEB = ("nDCG@10", "AP@1000", "RR@10", "R@1", "R@10", "R@100")
_CARD = "model_meta.json"  # what mteb knows of a model, beside its result files


@dataclass(frozen=True)
class Group:
    """What entries have in common that can stand in one table: what they were judged on."""

    name: str
    key: str  # all that has to be equal
    languages: tuple[str, ...] = field(compare=False)
    facts: tuple[str, ...] = field(compare=False, default=())  # for people
    size: tuple[int, int] = field(compare=False, default=(0, 0))  # queries, passages
    pictures: bool = False  # whether they find pictures, or something for pictures


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of the leaderboard.

    Attributes
    ----------
    summary
        Each measure's average by kind of setting; NaN for bounds that are not known.
    scores
        Means by measure and setting, where there are no `results`.
    origin
        Where a published row was published: a text and an address.
    """

    name: str
    source: Source
    group: Group
    summary: Summary
    results: Results | None = None
    path: Path | None = None  # of the file that it was read from
    scores: Mapping[str, Mapping[Setting, float]] = field(default_factory=dict)
    date: str = ""
    parameters: int | None = None
    speed: float | None = None  # texts a second
    recipe: str = ""
    origin: tuple[str, str] = ("", "")

    def found(self, measure: str, kind: str) -> Estimate | None:
        """Return a measure's average over the settings of a kind."""
        return self.summary.get(kind, {}).get(measure)

    def means(self, measure: str) -> Mapping[Setting, float]:
        """Return a measure's mean in each setting; nothing if it has none."""
        if self.results is None:
            return self.scores.get(measure, {})
        known = {str(one) for one in self.results.measures}
        return self.results.means(measure) if measure in known else {}

    def matrix(self, measure: str, kinds: Iterable[KindName]) -> Matrix | None:
        """Return means by query and passage language, in settings of some kinds."""
        chosen = set(kinds)
        means = {(s.queries, s.passages): v for s, v in self.means(measure).items()
                 if s.kind in chosen}  # fmt: skip
        if not means:
            return None
        rows, columns = (tuple(sorted({pair[side] for pair in means})) for side in (0, 1))
        cells = [[means.get((row, column), math.nan) for column in columns] for row in rows]
        return Matrix(rows, columns, np.array(cells, np.float64))


def read_entries(given: Given | Iterable[Given]) -> list[Entry]:
    """Return an entry for each result that is named or lies somewhere in a folder that is."""
    items = [given] if isinstance(given, str | Path | Results) else list(given)
    if not items:
        raise BadOption("no results are named")
    found: list[Entry] = []
    seen: set[Path] = set()
    for item in items:
        if isinstance(item, Results):
            found.append(_of_results(item, None))
            continue
        paths = [path for path in _found(Path(item)) if path.resolve() not in seen]
        seen.update(path.resolve() for path in paths)
        for path in paths:
            if path.name == RESULTS:
                found.append(_of_results(Results.load(path.parent), path))
            else:
                found += _of_mteb(path)
    return _named(found)


def _found(path: Path) -> list[Path]:
    """Return the files of results that a path names or holds."""
    if path.is_file():
        if path.suffix == ".json":
            return [path]
        raise BadData(
            f"{path} is neither a folder of results nor a result file of mteb's; if it is a run, "
            "`beir-hybrid evaluate --run FILE --dataset NAME --output DIR` makes results of it"
        )
    if not path.is_dir():
        raise BadData(f"there is no folder {path}")
    found = sorted(_walked(path))
    if not found:
        raise BadData(
            f"{path} holds no results: neither {RESULTS} of `beir-hybrid evaluate --output`, nor "
            "result files of mteb's"
        )
    return found


def _walked(folder: Path) -> Iterator[Path]:
    """Yield files of results; what lies below a folder of results belongs to it."""
    if (folder / RESULTS).is_file():
        yield folder / RESULTS
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield from _walked(path)
        elif path.suffix == ".json" and path.is_file():
            text = path.read_bytes()
            if b'"task_name"' in text and b'"scores"' in text:
                yield path


def _of_results(results: Results, path: Path | None) -> Entry:
    folder = None if path is None else path.parent
    try:
        collection, timing = results.provenance.collection, results.timing
        summary: Summary = {
            kind: {str(measure): found for measure, found in row.items()}
            for kind, row in results.summary().items()
        }
        return Entry(
            name=_shown(results.model),
            source="results",
            group=_group(collection, not PICTURED.isdisjoint(summary)),
            summary=summary,
            results=results,
            path=path,
            date=timing.date,
            parameters=_whole(results.provenance.model.parameters),
            speed=_speed(timing),
            recipe=recipe(results, folder),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadData(
            f"{folder or results}: these are no results of this version: {error!r}"
        ) from error


def _shown(name: str) -> str:
    """Return a name that can be seen, and clicked on."""
    return escape_unprintable(name).strip() or "(no name)"


def _group(collection: CollectionProvenance, pictures: bool) -> Group:
    facts = [
        f"{len(collection.languages)} languages",
        f"{collection.queries:,} queries",
        f"{collection.passages:,} passages",
        *([f"{collection.images:,} pictures"] if collection.images else []),
        *(f"{name}: {value}" for name, value in collection.options.items()),
        *([f"licence: {collection.licence}"] if collection.licence else []),
        *([collection.caveat] if collection.caveat else []),
    ]
    return Group(
        name=escape_unprintable(collection.name),
        key=json.dumps(list(to_record(collection.identity).values()), sort_keys=True),
        languages=collection.languages,
        facts=tuple(facts),
        size=(collection.queries, collection.passages),
        pictures=pictures,
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _speed(timing: Timing) -> float | None:
    """Return how many texts and pictures a second were encoded, if any were."""
    texts = (timing.encoded_texts or 0) + (timing.encoded_images or 0)
    seconds = timing.seconds.get("encoding", 0)
    return texts / seconds if texts and seconds else None


def _of_mteb(path: Path) -> list[Entry]:
    """Return an entry for each split: mteb's own splits differ in their texts."""
    scores = read_mteb(path)
    name, parameters = _model_of(path)
    entries = []
    for split in dict.fromkeys(score.split for score in scores):
        means: dict[str, dict[Setting, float]] = {}
        for score in scores:
            if score.split == split and score.measure in _OF_MTEB:
                means.setdefault(score.measure, {})[_setting(score)] = score.value
        if not means:
            raise BadData(f"{path} has none of {', '.join(_OF_MTEB)}")
        entries.append(
            Entry(
                name=_shown(name),
                source="mteb",
                group=_task(scores[0], split, means),
                summary=_averages(means),
                path=path,
                scores=means,
                parameters=parameters,
                recipe=f"a result file of mteb's: {path.name}",
            )
        )
    if not entries:
        raise BadData(f"{path} has no scores")
    return entries


def _setting(score: Score) -> Setting:
    kind: KindName = "mono" if score.query_lang == score.passage_lang else "cross"
    return Setting("multi" if score.passage_lang == ALL else kind, score.query_lang,
                   score.passage_lang)  # fmt: skip


def _task(first: Score, split: str, means: Mapping[str, Mapping[Setting, float]]) -> Group:
    """Return what has to be equal: averages over other language pairs are of something else."""
    settings = sorted({setting for row in means.values() for setting in row})
    langs = sorted({s.queries for s in settings} | {s.passages for s in settings} - {ALL})
    facts = (
        "a task of mteb's, not comparable with the sentences of XQuAD-R and MLQA-R",
        f"{len(settings)} language pairs",
        f"revision {first.revision[:12]}",
    )
    key = json.dumps([first.task, first.revision, split, settings])
    return Group(
        f"{escape_unprintable(first.task)} {escape_unprintable(split)} (mteb)",
        key,
        tuple(langs),
        facts,
    )


def _averages(means: Mapping[str, Mapping[Setting, float]]) -> Summary:
    found: dict[str, dict[str, Estimate]] = {}
    for measure, row in means.items():
        for kind in dict.fromkeys(setting.kind for setting in row):
            values = [value for setting, value in row.items() if setting.kind == kind]
            mean = float(np.mean(values))
            unknown = (math.nan, math.nan, math.nan, 0)
            found.setdefault(kind, {})[measure] = Estimate(mean, *unknown)
    return found


def _model_of(path: Path) -> tuple[str, int | None]:
    """Return a model's name and size: by its card, or by the folders that mteb writes into."""
    card, folders = path.with_name(_CARD), path.absolute().parents
    if card.is_file():
        try:
            known = json.loads(card.read_bytes())
            return str(known["name"]), _whole(known.get("n_parameters"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadData(f"{card} is no card of mteb's: {error!r}") from error
    named = [folder.name for folder in folders[:2] if "__" in folder.name]
    return (named[0].replace("__", "/", 1) if named else folders[0].name), None


def _named(entries: list[Entry]) -> list[Entry]:
    """Tell entries of one table apart where their models have the same name."""
    found: list[Entry] = []
    taken: set[tuple[Group, str]] = set()
    for entry in entries:
        twins = [e for e in entries if (e.group, e.name) == (entry.group, entry.name)]
        name = entry.name
        if len(twins) > 1 and entry.path is not None:
            name = f"{entry.name} ({entry.path.absolute().parent.name})"
        number, wanted = 1, name
        while (entry.group, name) in taken:
            number += 1
            name = f"{wanted} [{number}]"
        taken.add((entry.group, name))
        found.append(replace(entry, name=name))
    return found
