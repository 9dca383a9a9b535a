"""mteb's result files in, plain rows out; and rows of ours into files that mteb reads."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import langcodes

from beir_hybrid.collection.setting import ALL
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from beir_hybrid.languages import normalise
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
_OUR_NAMES = {theirs: ours for ours, theirs in _MTEB_NAMES.items()}
_ABOUT = {"hf_subset", "languages", "main_score", "mteb_version"}


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
    try:
        stored = json.loads(path.read_bytes())
        return list(_scores(stored))
    except FileNotFoundError as error:
        raise BadData(f"there is no file {path}") from error
    except (ValueError, RecursionError) as error:  # bad JSON and bad UTF-8
        raise BadData(f"{path} is not JSON: {error}") from error
    except BadData as error:
        raise BadData(f"{path}: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise BadData(f"{path} is no result file of mteb's: {error!r}") from error


def _scores(stored: dict[str, Any]) -> Iterator[Score]:
    task, revision = stored["task_name"], stored["dataset_revision"]
    if not isinstance(task, str) or not isinstance(revision, str):
        raise TypeError("task_name and dataset_revision must be text")
    for split, subsets in stored["scores"].items():
        for found in subsets:
            subset, _ = found["hf_subset"], found["main_score"]
            languages = [normalise(tag) for tag in found["languages"]]
            distinct = tuple(dict.fromkeys(languages))
            sides = _sides(subset, languages if len(distinct) > 1 else list(distinct))
            for name, value in found.items():
                if name in _ABOUT or value is None or isinstance(value, list | dict):
                    continue  # lists hold what several experiments gave
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise TypeError(f"{name} of {subset} is {value!r:.40}, no number")
                if not math.isnan(value):
                    where = (task, revision, split, subset, distinct)
                    yield Score(*where, *sides, _our_name(name), float(value))


def _sides(subset: str, languages: list[str]) -> tuple[str, str]:
    """Return the languages of queries and of passages."""
    first, _, query = subset.partition("-")
    if first == ALL and query:
        return normalise(query), ALL
    match languages:
        case [both]:
            return both, both
        case [passages, queries]:
            return queries, passages
        case _:
            return ALL, ALL


def mteb_scores(results: Results, split: str = "test") -> list[Score]:
    """Return results as mteb's rows: each setting is a subset, the passages' language first.

    The task is the collection, at the revision of its first file. mteb has no task for sentences of
    XQuAD and MLQA, no pool and no bias, so these are comparable with our own figures alone.
    ``one-target`` settings, and those with pictures, have no place in them, and are left out.
    """
    collection = results.provenance.collection
    revision = next((one.revision or one.sha256 for one in collection.origins), "unknown")
    scores = []
    for measure in results.measures:
        for setting, value in results.means(measure).items():
            query, passage = setting.queries, setting.passages
            langs = collection.languages if passage == ALL else (passage, query)
            where = (collection.name, revision, split, f"{passage}-{query}")
            distinct = tuple(dict.fromkeys(langs))
            if setting.kind in ("mono", "cross", "multi"):
                scores.append(Score(*where, distinct, query, passage, str(measure), value))
    return scores


def write_mteb(
    path: str | Path,
    scores: Results | Iterable[Score],
    *,
    main: str = "nDCG@10",
    mteb_version: str | None = None,
) -> Path:
    """Write the scores of one task as mteb writes them, so that its ``TaskResult`` reads them.

    Parameters
    ----------
    scores
        `Results`, whose settings are the task's subsets (see `mteb_scores`), or rows.
    main
        The measure that stands as ``main_score``; every subset must have it.
    mteb_version
        The version of mteb that made the scores, if one did.
    """
    path = Path(path)
    splits: dict[str, dict[str, dict[str, Any]]] = {}
    of: tuple[str, str] | None = None
    for score in mteb_scores(scores) if isinstance(scores, Results) else scores:
        of = of or (score.task, score.revision)
        if of != (score.task, score.revision):
            raise BadData(f"a file is for one task: {of} and {(score.task, score.revision)}")
        found = splits.setdefault(score.split, {}).setdefault(score.subset, {})
        name = _mteb_name(score.measure)
        if name in found:
            raise BadData(f"{score.split} {score.subset} has {score.measure} twice")
        if not math.isfinite(score.value):
            raise BadData(f"{score.split} {score.subset}: {score.measure} is {score.value}")
        found[name] = score.value
        found["hf_subset"] = score.subset
        found["languages"] = _tags(score)
    if of is None:
        raise BadData(f"there are no scores to write to {path}")
    for split, subsets in splits.items():
        for subset, found in subsets.items():
            if _mteb_name(main) not in found:
                raise BadData(f"{split} {subset} lacks {main}, which is to be its main score")
            found["main_score"] = found[_mteb_name(main)]
    stored = {
        "dataset_revision": of[1],
        "task_name": of[0],
        "mteb_version": mteb_version,
        "scores": {split: list(subsets.values()) for split, subsets in splits.items()},
        "evaluation_time": None,
        "kg_co2_emissions": None,
    }
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(stored, indent=2, allow_nan=False), "utf-8")
    return path


def _tags(score: Score) -> list[str]:
    """Return languages with their scripts; of a pair both, the passages' first."""
    codes: Iterable[str] = score.languages
    if score.passage_lang != ALL and "-" in score.subset:
        codes = (score.passage_lang, score.query_lang)
    languages = [langcodes.Language.get(code) for code in codes]
    return [f"{lang.to_alpha3()}-{lang.maximize().script}" for lang in languages]


def _mteb_name(measure: str) -> str:
    found = re.fullmatch(r"(\w+)@(\d+)", measure)
    if found and found[1] in _MTEB_NAMES:
        return f"{_MTEB_NAMES[found[1]]}_at_{found[2]}"
    return measure


def _our_name(measure: str) -> str:
    found = re.fullmatch(r"(\w+)_at_(\d+)", measure)
    if found and found[1] in _OUR_NAMES:
        return f"{_OUR_NAMES[found[1]]}@{found[2]}"
    return measure
