"""A collection in; its kinds of settings, and its judgements as columns, out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection, View
from beir_hybrid.collection.arrays import to_arrow, to_numpy
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.evaluation.judged import Judged

Kind = Literal[
    "mono", "cross", "multi", "one-target", "text-image", "image-text", "image-pool", "mixed"
]
KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
ALL, MIXED = "all", "mixed"


class Setting(NamedTuple):
    """What is asked in which language, and where it is looked for.

    ``mono`` and ``cross`` rank the passages of one language, ``multi`` the pool of all. In
    ``one-target`` it is the pool without the relevant passages of other languages than
    `passages`, as in LAReQA.

    ``text-image`` ranks pictures for captions, ``image-text`` the captions of one language for
    pictures, ``image-pool`` the pool of all captions, and ``mixed`` captions and pictures together
    for captions. What is a query itself is in no ranking.
    """

    kind: Kind
    queries: str
    passages: str  # `ALL` of the pool, `MIXED` of all captions and pictures

    def view(self, collection: Collection) -> View:
        """Return the queries and passages that it is about."""
        wider = {ALL: collection.languages, MIXED: collection.groups}
        return collection.view(self.queries, wider.get(self.passages, self.passages))


class Sides(NamedTuple):
    """What a kind of settings is about."""

    asks_images: bool
    finds_images: bool
    finds_texts: bool
    together: str | None = None  # one ranking of all such passages, not one for each language

    @property
    def images(self) -> bool:
        """Whether pictures take part."""
        return self.asks_images or self.finds_images


_TEXTS = Sides(asks_images=False, finds_images=False, finds_texts=True)
SIDES: dict[Kind, Sides] = {
    "mono": _TEXTS,
    "cross": _TEXTS,
    "multi": _TEXTS._replace(together=ALL),
    "one-target": _TEXTS,
    "text-image": Sides(asks_images=False, finds_images=True, finds_texts=False),
    "image-text": _TEXTS._replace(asks_images=True),
    "image-pool": _TEXTS._replace(asks_images=True, together=ALL),
    "mixed": _TEXTS._replace(finds_images=True, together=MIXED),
}


@dataclass(frozen=True, eq=False)
class Scored:
    """The rankings of a kind of setting: whose they are, and where judged passages stand."""

    kind: Kind
    row: np.ndarray  # (n,) query rows of the collection
    target: np.ndarray  # (n,) by number: see `targets`
    passage: np.ndarray  # (judgements,) passage rows of the collection
    judged: Judged

    def only(self, kept: np.ndarray) -> "Scored":
        """Return some of the rankings; (n,) bool."""
        inside = kept[self.judged.query]
        return replace(
            self,
            row=self.row[kept],
            target=self.target[kept],
            passage=self.passage[inside],
            judged=self.judged.only(kept),
        )


@dataclass(frozen=True, eq=False)
class Judgements:
    """A collection's judgements by row number, with what all settings derive from them.

    Judgements lie query by query; queries without a relevant passage are left out. Those of
    relevance `ITSELF` are among them, so that they are ranked.
    """

    collection: Collection
    query: np.ndarray  # (judgements,) ascending
    passage: np.ndarray
    relevance: np.ndarray
    query_lang: np.ndarray
    passage_lang: np.ndarray
    key: np.ndarray  # see `Judged`

    @classmethod
    def of(cls, collection: Collection) -> "Judgements":
        """Read them from a collection."""
        table = collection.judgements
        query, passage, relevance = (
            to_numpy(table[name]) for name in ("query", "passage", "relevance")
        )
        rows = np.flatnonzero(np.isin(query, query[relevance > 0]))
        order = rows[np.argsort(query[rows], kind="stable")]
        query, passage = query[order], passage[order]
        relevance = relevance[order].astype(np.int64)
        asked = language_numbers(query, query_groups(collection))
        found = language_numbers(passage, passage_groups(collection))
        pair = (query * len(collection.groups) + found)[relevance > 0]
        if collection.images or len(np.unique(pair)) < len(pair):
            key = _keys(collection, passage)
        else:  # no language has two relevant passages, so nothing asks which are parallel
            key = np.zeros_like(passage)
        return cls(collection, query, passage, relevance, asked, found, key)

    def among(self, queries: range) -> "Judgements":
        """Return those of some queries, by row."""
        return self.only(
            slice(*np.searchsorted(self.query, [queries.start, queries.stop]).tolist())
        )

    def of_texts(self) -> "Judgements":
        """Return those of texts as answers to texts: no picture takes part."""
        return self.only(self.inside(_TEXTS)) if self.collection.images else self

    def only(self, rows: slice | np.ndarray) -> "Judgements":
        """Return some of them, by number or bool."""
        columns = ("query", "passage", "relevance", "query_lang", "passage_lang", "key")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def inside(self, sides: Sides) -> np.ndarray:
        """Return which are of such queries and passages; (judgements,) bool."""
        image = len(self.collection.languages)  # the number of pictures, where there are any
        asked = (self.query_lang == image) == sides.asks_images
        found = np.where(self.passage_lang == image, sides.finds_images, sides.finds_texts)
        inside: np.ndarray = asked & found
        return inside


def kinds_of(judgements: Judgements, wanted: Iterable[str] | None) -> list[Kind]:
    """Return the kinds of settings to evaluate: those named, or those that the collection has."""
    name = judgements.collection.name
    there = _there(judgements)
    chosen = set(there)
    if wanted is not None:
        chosen = {lookup("kind of setting", kind, KINDS) for kind in wanted}
    if not chosen:
        raise BadOption(f"no kind of setting is named; there are {', '.join(KINDS)}")
    for kind in chosen:
        if ("multi" if kind == "one-target" else kind) not in there:
            raise BadOption(f"{name} has no {kind} settings; it has {', '.join(there)}")
    return [kind for kind in KINDS.values() if kind in chosen]


def _there(judgements: Judgements) -> list[Kind]:
    """Return the kinds of settings that a collection has, but for ``one-target``."""
    collection, relevant = judgements.collection, judgements.relevance > 0
    if not relevant.any():
        raise BadData(f"{collection.name} has no query with a relevant passage")
    found = {kind: judgements.inside(sides) & relevant for kind, sides in SIDES.items()}
    same = judgements.query_lang == judgements.passage_lang
    several = len(collection.languages) > 1
    texts = any(collection.passage_counts.get(lang) for lang in collection.languages)
    table: dict[Kind, bool] = {
        "mono": bool((found["mono"] & same).any()),
        "cross": bool((found["cross"] & ~same).any()),
        "multi": several and bool(found["multi"].any()),
        "text-image": bool(found["text-image"].any()),
        "image-text": bool(found["image-text"].any()),
        "image-pool": several and bool(found["image-pool"].any()),
        "mixed": texts and bool(found["text-image"].any()),
    }
    return [kind for kind, is_there in table.items() if is_there]


def targets(collection: Collection) -> list[str]:
    """Return what `Setting.passages` may be, in the order of the numbers of targets."""
    return [*collection.groups, ALL, *[MIXED] * collection.images]


def query_groups(collection: Collection) -> dict[str, range]:
    """Return the rows of each language's queries, in the order of languages and rows."""
    return {lang: collection.query_rows(lang) for lang in collection.groups}


def passage_groups(collection: Collection) -> dict[str, range]:
    """Return the rows of each language's passages, in the order of languages and rows."""
    return {lang: collection.passage_rows(lang) for lang in collection.groups}


def language_numbers(rows: np.ndarray, groups: dict[str, range]) -> np.ndarray:
    """Return the number of the language that each row is in, in their order; -1 for the row -1."""
    stops = [span.stop for span in groups.values()]
    return np.where(rows < 0, -1, np.searchsorted(stops, rows, side="right"))


def _keys(collection: Collection, passage: np.ndarray) -> np.ndarray:
    """Return a number for each id without its language."""
    distinct, place = np.unique(passage, return_inverse=True)
    ids = collection.passages["id"].take(to_arrow(distinct)).to_pylist()
    numbers: dict[str, int] = {}
    keys = [numbers.setdefault(key.partition(":")[2], len(numbers)) for key in ids]
    found: np.ndarray = np.array(keys, np.int64)[place]
    return found


def id_order(ids: pa.ChunkedArray) -> np.ndarray:
    """Return each id's place in the order of ids, which decides ties; (n,) int32."""
    by_id = pc.sort_indices(ids)
    chunks = by_id.chunks if isinstance(by_id, pa.ChunkedArray) else [by_id]
    parts = [np.frombuffer(c.buffers()[1], np.uint64)[c.offset :][: len(c)] for c in chunks]
    order = np.empty(len(ids), np.int32)
    order[np.concatenate(parts) if parts else []] = np.arange(len(ids), dtype=np.int32)
    return order
