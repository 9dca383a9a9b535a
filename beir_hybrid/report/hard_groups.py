"""The hardest groups of queries, with the passages that were retrieved for them.

A group holds queries that translate each other, or an image and its captions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import IMAGE, KindName, language_sort_key
from beir_hybrid.report.previews import Previews, Thumbnail, load_previews
from beir_hybrid.report.top_passages import read_top_passages
from beir_hybrid.results.results import Results

COUNT = 10  # groups
# Kinds of settings whose values enter a group's mean.
_KINDS: tuple[KindName, ...] = ("mono", "cross", "multi", "text-image", "image-text", "image-pool")
# Kinds whose rankings a page shows where images take part: the first of each line that exists.
_IMAGE_KINDS: tuple[tuple[KindName, ...], ...] = (("text-image",), ("image-pool", "image-text"))


@dataclass(frozen=True)
class Hit:
    """A passage of a ranking, or a relevant passage; None for anything that is unknown."""

    passage: str
    text: str | None = None
    is_relevant: bool | None = None
    thumbnail: Thumbnail | None = None

    @property
    def language(self) -> str:
        """The language of the passage."""
        return self.passage.partition(":")[0]


@dataclass(frozen=True)
class HardQuery:
    """A query of a group, its value, and the first passages of its ranking."""

    language: str
    query: str
    value: float
    text: str | None
    hits: tuple[Hit, ...]
    thumbnail: Thumbnail | None = None


@dataclass(frozen=True)
class HardGroup:
    """A group of queries; `mean` is over all its queries and settings."""

    name: str
    mean: float
    queries: tuple[HardQuery, ...]
    gold: tuple[Hit, ...]  # the relevant passages

    @property
    def title_query(self) -> HardQuery:
        """The query that stands for all: the English one, or the first."""
        return next((query for query in self.queries if query.language == "en"), self.queries[0])

    @property
    def thumbnail(self) -> Thumbnail | None:
        """The image that the group is about."""
        thumbnails = [
            *(query.thumbnail for query in self.queries),
            *(hit.thumbnail for hit in self.gold),
        ]
        return next((thumbnail for thumbnail in thumbnails if thumbnail), None)


def find_hard_groups(
    results: Results,
    measure: str,
    runs: Path | None = None,
    collection: Collection | None = None,
    count: int = COUNT,
) -> list[HardGroup]:
    """Return the groups with the lowest mean over settings; a group with the mean 1 is not hard.

    Parameters
    ----------
    runs
        The folder of saved runs, from which the first passages of the pool are read.
    collection
        The collection that the results are on, for texts, thumbnails and relevance.
    """
    means = _average_groups(results, measure)
    hard = [name for name, mean in means.items() if mean < 1]
    worst = sorted(hard, key=lambda name: (means[name], name))[:count]
    kinds = _choose_kinds(results)
    rows = _find_query_rows(results, measure, kinds, worst)
    rankings = {}
    if runs is not None and kinds != ["mono"]:
        rankings = read_top_passages(runs, [(row.queries, row.passages, row.query) for row in rows])
    details = _load_details(collection, [row.query for row in rows], rankings)
    groups = []
    for name in worst:
        group_rows = [row for row in rows if row.group == name]
        if group_rows:
            queries = tuple(
                _make_query(row, rankings.get((row.passages, row.query), []), details)
                for row in group_rows
            )
            gold = {passage for row in group_rows for passage in details.gold_of(row.query)}
            ordered = sorted(gold, key=lambda key: (key.startswith(f"{IMAGE}:"), key))
            hits = tuple(_make_hit(passage, details, is_relevant=True) for passage in ordered)
            groups.append(HardGroup(name, means[name], queries, hits))
    return groups


@dataclass(frozen=True)
class _QueryRow:
    """A query in a setting."""

    queries: str
    passages: str
    query: str
    group: str
    value: float


@dataclass(frozen=True)
class _Details:
    """Texts of a collection's queries and passages; `gold` is None without a collection."""

    previews: Previews
    gold: Mapping[str, set[str]] | None

    def gold_of(self, query: str) -> set[str]:
        """Return the relevant passages of a query."""
        return set() if self.gold is None else self.gold.get(query, set())


def _load_details(
    collection: Collection | None,
    queries: Sequence[str],
    rankings: Mapping[tuple[str, str], list[str]],
) -> _Details:
    if collection is None:
        return _Details(Previews(), None)
    gold = _find_gold(collection, queries)
    passages = [passage for ids in (*rankings.values(), *gold.values()) for passage in ids]
    return _Details(load_previews(collection, queries, passages), gold)


def _make_query(row: _QueryRow, passages: Sequence[str], details: _Details) -> HardQuery:
    gold = details.gold_of(row.query)
    hits = tuple(
        _make_hit(passage, details, is_relevant=None if details.gold is None else passage in gold)
        for passage in passages
    )
    previews = details.previews
    text, thumbnail = previews.texts.get(row.query), previews.thumbnails.get(row.query)
    return HardQuery(row.queries, row.query, row.value, text, hits, thumbnail)


def _make_hit(passage: str, details: _Details, *, is_relevant: bool | None) -> Hit:
    previews = details.previews
    text, thumbnail = previews.texts.get(passage), previews.thumbnails.get(passage)
    return Hit(passage, text, is_relevant, thumbnail)


def _choose_kinds(results: Results) -> list[KindName]:
    """Return the kinds of settings whose queries and rankings are shown."""
    kinds = [next((kind for kind in line if kind in results.kinds), None) for line in _IMAGE_KINDS]
    if any(kinds):
        return [kind for kind in kinds if kind]
    return ["multi"] if "multi" in results.kinds else ["mono"]


def _average_groups(results: Results, measure: str) -> dict[str, float]:
    """Return each group's mean over all its queries and settings."""
    totals: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for kind in _KINDS:
        values = results.values(measure, kind) if kind in results.kinds else None
        if values is not None:
            names = results.list_groups(kind)
            sums = np.bincount(values.group, values.value, len(names)).tolist()
            totals.update(dict(zip(names, sums, strict=True)))
            sizes = np.bincount(values.group, minlength=len(names)).tolist()
            counts.update(dict(zip(names, sizes, strict=True)))
    return {name: totals[name] / counts[name] for name in sorted(counts) if counts[name]}


def _find_query_rows(
    results: Results, measure: str, kinds: Sequence[KindName], groups: Sequence[str]
) -> list[_QueryRow]:
    """Return the queries of some groups in settings of some kinds, images last."""
    table = results.table.select(["kind", "queries", "passages", "query", "question", measure])
    is_shown = pc.and_(
        pc.is_in(table["kind"].cast(pa.string()), pa.array(kinds, pa.string())),
        pc.is_in(table["question"].cast(pa.string()), pa.array(groups, pa.string())),
    )
    columns = ("queries", "passages", "query", "question", measure)
    rows = [
        _QueryRow(*(row[name] for name in columns)) for row in table.filter(is_shown).to_pylist()
    ]
    return sorted(rows, key=lambda row: (*language_sort_key(row.queries), row.query, row.passages))


def _find_gold(collection: Collection, queries: Sequence[str]) -> dict[str, set[str]]:
    """Return the ids of the relevant passages of some queries."""
    table, ids = collection.judgements, collection.queries["id"]
    numbers = np.flatnonzero(
        np.array(pc.is_in(ids, pa.array(list(queries), pa.string())).to_pylist())
    )
    is_asked = pc.is_in(table["query"], pa.array(numbers.tolist(), table["query"].type))
    rows = table.filter(pc.and_(is_asked, pc.greater(table["relevance"], 0)))
    gold: dict[str, set[str]] = {}
    for query, passage in zip(
        ids.take(rows["query"]).to_pylist(),
        collection.passages["id"].take(rows["passage"]).to_pylist(),
        strict=True,
    ):
        gold.setdefault(query, set()).add(passage)
    return gold
