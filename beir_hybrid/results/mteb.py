"""Result files of mteb, read as scores of its subsets and written from results."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

import langcodes

from beir_hybrid.collection.setting import ALL
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from beir_hybrid.languages import normalise
from beir_hybrid.records import from_record, read_json
from beir_hybrid.results.results import Results

# What ir-measures and mteb call the same measure at a cutoff. Other names stay as they are.
_MTEB_NAMES = {
    "nDCG": "ndcg",
    "AP": "map",
    "R": "recall",
    "P": "precision",
    "RR": "mrr",
    "Success": "hit_rate",
}
_OUR_NAMES = {mteb_name: name for name, mteb_name in _MTEB_NAMES.items()}
# Keys of a subset that hold no measure.
_OTHER_KEYS = {"hf_subset", "languages", "main_score", "mteb_version"}


class Score(NamedTuple):
    """One number of one model: a measure on a subset of a task's split.

    Subsets are named as mteb names them, the passages' language first: German queries on English
    passages are ``en-de``; on passages in all languages, ``all-de``.
    """

    task: str
    revision: str
    split: str
    subset: str
    languages: tuple[str, ...]
    query_lang: str
    passage_lang: str
    measure: str
    value: float


def read_mteb(path: str | Path) -> list[Score]:
    """Read a result file of mteb's, in the layout of mteb 1.11 and later.

    Measures have ir-measures' names where it has them. ``main_score`` repeats one of them and is
    left out, and so are measures without a value (NaN).

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> score = Score("Task", "1", "test", "en-de", ("en", "de"), "de", "en", "nDCG@10", 0.5)
    >>> path = write_mteb(Path(mkdtemp()) / "task.json", [score])
    >>> read_mteb(path) == [score]
    True
    """
    path = Path(path)
    record = from_record(_TaskRecord, read_json(path), str(path))
    try:
        return list(_read_scores(record))
    except BadData as error:
        raise BadData(f"{path}: {error}") from error


class _SubsetRecord(TypedDict):
    """A subset, which has a value for each measure, too."""

    hf_subset: str
    languages: list[str]
    main_score: object


class _TaskRecord(TypedDict):
    """The contents of a result file: a list of subsets for each split."""

    task_name: str
    dataset_revision: str
    scores: dict[str, list[_SubsetRecord]]


def _read_scores(record: _TaskRecord) -> Iterator[Score]:
    for split, subsets in record["scores"].items():
        for values in subsets:
            subset = values["hf_subset"]
            languages = [normalise(tag) for tag in values["languages"]]
            distinct = tuple(dict.fromkeys(languages))
            sides = _find_sides(subset, languages if len(distinct) > 1 else list(distinct))
            place = (record["task_name"], record["dataset_revision"], split, subset, distinct)
            for name, value in values.items():
                if name in _OTHER_KEYS or value is None or isinstance(value, list | dict):
                    continue  # lists are the values of several experiments
                if not (isinstance(value, float) and math.isnan(value)):
                    number = float(from_record(float, value, f"{name} of {subset}"))
                    yield Score(*place, *sides, _find_our_name(name), number)


def _find_sides(subset: str, languages: list[str]) -> tuple[str, str]:
    """Return the languages of queries and of passages."""
    first, _, query = subset.partition("-")
    if first == ALL and query:
        return normalise(query), ALL
    match languages:
        case [language]:
            return language, language
        case [passages, queries]:
            return queries, passages
        case _:
            return ALL, ALL


def list_mteb_scores(results: Results, split: str = "test") -> list[Score]:
    """Return results as mteb's scores: each setting is a subset, the passages' language first.

    The task is the collection, at the revision of its first file. mteb has no task for sentences of
    XQuAD and MLQA, no pool and no bias, so these are comparable with our own figures alone.
    ``one-target`` settings, and those with images, are left out: mteb has none.
    """
    collection = results.provenance.collection
    revision = next((origin.revision or origin.sha256 for origin in collection.origins), "unknown")
    scores = []
    for measure in results.measures:
        for setting, value in results.means(measure).items():
            query, passage = setting.queries, setting.passages
            langs = collection.languages if passage == ALL else (passage, query)
            place = (collection.name, revision, split, f"{passage}-{query}")
            distinct = tuple(dict.fromkeys(langs))
            if setting.kind in ("mono", "cross", "multi"):
                scores.append(Score(*place, distinct, query, passage, str(measure), value))
    return scores


def write_mteb(
    path: str | Path,
    scores: Results | Iterable[Score],
    *,
    main: str = "nDCG@10",
    mteb_version: str | None = None,
) -> Path:
    """Write the scores of one task in mteb's layout, which its ``TaskResult`` reads.

    Parameters
    ----------
    scores
        `Results`, whose settings are the task's subsets (see `list_mteb_scores`), or scores.
    main
        The measure that is written as ``main_score``; every subset must have it.
    mteb_version
        The version of mteb that made the scores, if one did.
    """
    path = Path(path)
    rows = list_mteb_scores(scores) if isinstance(scores, Results) else list(scores)
    tasks = list(dict.fromkeys((score.task, score.revision) for score in rows))
    if not tasks:
        raise BadData(f"there are no scores to write to {path}")
    if len(tasks) > 1:
        raise BadData(f"a file is for one task: {tasks[0]} and {tasks[1]}")
    task, revision = tasks[0]
    splits = _group_scores(rows, main)
    record = {
        "dataset_revision": revision,
        "task_name": task,
        "mteb_version": mteb_version,
        "scores": {split: list(subsets.values()) for split, subsets in splits.items()},
        "evaluation_time": None,
        "kg_co2_emissions": None,
    }
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, allow_nan=False), "utf-8")
    return path


def _group_scores(
    scores: Iterable[Score], main: str
) -> dict[str, dict[str, dict[str, str | float | list[str]]]]:
    """Return the entry of each subset by split, with its main score."""
    splits: dict[str, dict[str, dict[str, str | float | list[str]]]] = {}
    for score in scores:
        values = splits.setdefault(score.split, {}).setdefault(score.subset, {})
        name = find_mteb_name(score.measure)
        if name in values:
            raise BadData(f"{score.split} {score.subset} has {score.measure} twice")
        if not math.isfinite(score.value):
            raise BadData(f"{score.split} {score.subset}: {score.measure} is {score.value}")
        values[name] = score.value
        values["hf_subset"] = score.subset
        values["languages"] = _list_language_tags(score)
    for split, subsets in splits.items():
        for subset, values in subsets.items():
            if find_mteb_name(main) not in values:
                raise BadData(f"{split} {subset} lacks {main}, which is to be its main score")
            values["main_score"] = values[find_mteb_name(main)]
    return splits


def _list_language_tags(score: Score) -> list[str]:
    """Return languages with their scripts; of a pair both, the passages' first."""
    codes: Iterable[str] = score.languages
    if score.passage_lang != ALL and "-" in score.subset:
        codes = (score.passage_lang, score.query_lang)
    languages = [langcodes.Language.get(code) for code in codes]
    return [f"{lang.to_alpha3()}-{lang.maximize().script}" for lang in languages]


def find_mteb_name(measure: str) -> str:
    """Return mteb's name of a measure, if it has one.

    >>> find_mteb_name("nDCG@10"), find_mteb_name("RankDistance")
    ('ndcg_at_10', 'RankDistance')
    """
    match = re.fullmatch(r"(\w+)@(\d+)", measure)
    if match and match[1] in _MTEB_NAMES:
        return f"{_MTEB_NAMES[match[1]]}_at_{match[2]}"
    return measure


def _find_our_name(measure: str) -> str:
    match = re.fullmatch(r"(\w+)_at_(\d+)", measure)
    if match and match[1] in _OUR_NAMES:
        return f"{_OUR_NAMES[match[1]]}@{match[2]}"
    return measure
