"""Results in, their hardest questions out, with what was retrieved where runs and texts are."""

import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import IMAGE, KindName
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.report.shown import Known, Thumbnail, known_of
from beir_hybrid.results.provenance import describe_collection
from beir_hybrid.results.results import Results
from beir_hybrid.sources import find_dataset

COUNT, TOP = 10, 3  # questions, and passages of each
_MOST = 2_000_000  # passages of a collection whose texts are looked up
_TAG = b"beir-hybrid"  # of our runs: a query's lines lie together, best first
# Whose values make a question hard.
_KINDS: tuple[KindName, ...] = ("mono", "cross", "multi", "text-image", "image-text", "image-pool")
# Whose queries are shown with what was retrieved: the first of a line that there is.
_SHOWN: tuple[tuple[KindName, ...], ...] = (("text-image",), ("image-pool", "image-text"))


@dataclass(frozen=True)
class Hit:
    """A retrieved passage; nothing for its text and whether it is relevant, if not known."""

    passage: str
    text: str | None = None
    relevant: bool | None = None
    picture: Thumbnail | None = None

    @property
    def lang(self) -> str:
        """The language of the passage."""
        return self.passage.partition(":")[0]


@dataclass(frozen=True)
class Asked:
    """A question in one language."""

    lang: str
    query: str
    value: float
    text: str | None
    hits: tuple[Hit, ...]
    picture: Thumbnail | None = None


@dataclass(frozen=True)
class Hard:
    """A question with all its translations."""

    question: str
    mean: float
    asked: tuple[Asked, ...]
    answers: tuple[Hit, ...]  # the relevant passages

    @property
    def shown(self) -> Asked:
        """The translation that stands for all: English, or the first."""
        return next((one for one in self.asked if one.lang == "en"), self.asked[0])

    @property
    def picture(self) -> Thumbnail | None:
        """The picture that it is about."""
        seen = [*(one.picture for one in self.asked), *(hit.picture for hit in self.answers)]
        return next((one for one in seen if one), None)


def hardest(
    results: Results,
    measure: str,
    runs: Path | None = None,
    collection: Collection | None = None,
    count: int = COUNT,
) -> list[Hard]:
    """Return the questions with the lowest mean over settings, all their translations together.

    One that is always answered best is not hard. What was retrieved is the best of the pool, as
    the saved runs have it.
    """
    means = _means(results, measure)
    hard = [name for name, mean in means.items() if mean < 1]
    worst = sorted(hard, key=lambda name: (means[name], name))[:count]
    kinds = _shown(results)
    rows = _rows(results, measure, kinds, worst)
    queries = [row["query"] for row in rows]
    hits = _retrieved(runs, rows) if runs is not None and kinds != ["mono"] else {}
    relevant = _relevant(collection, queries) if collection else {}
    known = Known({}, {})
    if collection:
        named = [*(p for found in hits.values() for p in found),
                 *(p for found in relevant.values() for p in found)]  # fmt: skip
        known = known_of(collection, queries, named)
    found = []
    for name in worst:
        mine = [row for row in rows if row["question"] == name]
        asked = [_asked(row, hits, relevant if collection else None, known, measure)
                 for row in mine]  # fmt: skip
        golds = sorted({p for row in mine for p in relevant.get(row["query"], ())}, key=_language)
        answers = tuple(
            Hit(gold, known.texts.get(gold), relevant=True, picture=known.pictures.get(gold))
            for gold in golds
        )
        if asked:
            found.append(Hard(name, means[name], tuple(asked), answers))
    return found


def _language(key: str) -> tuple[bool, str]:
    """Return what ids are sorted by: languages first, then pictures."""
    return key.startswith(f"{IMAGE}:"), key


def _shown(results: Results) -> list[KindName]:
    """Return the kinds of settings whose queries are shown."""
    pictured = [next((kind for kind in line if kind in results.kinds), None) for line in _SHOWN]
    if any(pictured):
        return [kind for kind in pictured if kind]
    return ["multi"] if "multi" in results.kinds else ["mono"]


def _asked(
    row: Mapping[str, Any],
    hits: Mapping[tuple[str, str], list[str]],
    relevant: Mapping[str, set[str]] | None,
    known: Known,
    measure: str,
) -> Asked:
    query = row["query"]
    found = tuple(
        Hit(
            p,
            known.texts.get(p),
            None if relevant is None else p in relevant.get(query, ()),
            known.pictures.get(p),
        )
        for p in hits.get((row["passages"], query), ())
    )
    seen = known.pictures.get(query)
    return Asked(row["queries"], query, row[measure], known.texts.get(query), found, seen)


def _means(results: Results, measure: str) -> dict[str, float]:
    """Return each question's mean over all queries and settings."""
    names = sorted(results.table["question"].combine_chunks().dictionary.to_pylist())
    total, count = np.zeros(len(names)), np.zeros(len(names))
    for kind in _KINDS:
        values = results.values(measure, kind) if kind in results.kinds else None
        if values is not None:
            total += np.bincount(values.question, values.value, len(names))
            count += np.bincount(values.question, minlength=len(names))
    there = np.flatnonzero(count).tolist()
    return {names[n]: float(total[n] / count[n]) for n in there}


def _rows(
    results: Results, measure: str, kinds: list[KindName], questions: list[str]
) -> list[dict[str, Any]]:
    """Return the queries of some questions in the settings of some kinds."""
    table = results.table.select(["kind", "queries", "passages", "query", "question", measure])
    wanted = pc.and_(
        pc.is_in(table["kind"].cast(pa.string()), pa.array(kinds, pa.string())),
        pc.is_in(table["question"].cast(pa.string()), pa.array(questions, pa.string())),
    )
    rows: list[dict[str, Any]] = table.filter(wanted).to_pylist()
    return sorted(
        rows,
        key=lambda row: (row["queries"] == IMAGE, row["queries"], row["query"], row["passages"]),
    )


def _retrieved(runs: Path, rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """Return the best passages by what they were looked for in and by query."""
    by_run: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        by_run.setdefault((row["queries"], row["passages"]), []).append(row["query"])
    found: dict[tuple[str, str], list[str]] = {}
    for (lang, passages), queries in by_run.items():
        path = runs / f"{lang}-{passages}.trec"
        if path.is_file() and path.stat().st_size:
            best = _best(path, queries)
            found |= {(passages, query): hits for query, hits in best.items()}
    return found


def _best(path: Path, queries: Iterable[str]) -> dict[str, list[str]]:
    """Return the best passages of some queries; runs are long, so nothing else is read."""
    found: dict[str, list[str]] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        for query in queries:
            start = f"{query} ".encode()
            at = 0 if text[: len(start)] == start else text.find(b"\n" + start, 0) + 1
            if at == 0 and text[: len(start)] != start:
                continue
            text.seek(at)
            lines = [text.readline().split() for _ in range(TOP)]
            found[query] = [
                words[2].decode("utf-8", "replace")
                for words in lines
                if len(words) == 6 and words[0] == query.encode() and words[5] == _TAG  # noqa: PLR2004
            ]
    return found


def _relevant(collection: Collection, queries: Iterable[str]) -> dict[str, set[str]]:
    """Return the ids of the relevant passages of some queries."""
    table, ids = collection.judgements, collection.queries["id"]
    wanted = np.flatnonzero(
        np.array(pc.is_in(ids, pa.array(list(queries), pa.string())).to_pylist())
    )
    inside = pc.is_in(table["query"], pa.array(wanted.tolist(), table["query"].type))
    rows = table.filter(pc.and_(inside, pc.greater(table["relevance"], 0)))
    found: dict[str, set[str]] = {}
    for query, passage in zip(
        ids.take(rows["query"]).to_pylist(),
        collection.passages["id"].take(rows["passage"]).to_pylist(),
        strict=True,
    ):
        found.setdefault(query, set()).add(passage)
    return found


def offline_collection(results: Results) -> Collection | None:
    """Return the collection that results are on, if it lies on this machine, whole and the same."""
    request, then = results.timing.request, results.provenance.collection
    data = None if request is None else request.dataset
    if data is None or then.passages > _MOST:
        return None
    try:
        with _offline():
            collection = find_dataset(data.name)(data.languages, **data.options)
        now = describe_collection(collection)
    except (BeirHybridError, OSError, KeyError, TypeError, ValueError):
        return None
    same = ("name", "languages", "queries", "passages", "origins")
    is_equal = all(getattr(now, name) == getattr(then, name) for name in same)
    return collection if is_equal else None


@contextmanager
def _offline() -> Iterator[None]:
    """Keep datasets off the network: a page is not worth a download."""
    before = os.environ.get("BEIR_HYBRID_OFFLINE")
    os.environ["BEIR_HYBRID_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["BEIR_HYBRID_OFFLINE"]
        else:
            os.environ["BEIR_HYBRID_OFFLINE"] = before
