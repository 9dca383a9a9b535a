"""Collections: queries, passages and judgements in several languages, and views of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.arrays import empty_texts, to_arrow, to_numpy
from beir_hybrid.collection.judgements import ITSELF, Judgements
from beir_hybrid.collection.setting import (
    ALL,
    IMAGE,
    MIXED,
    KindName,
    Setting,
    find_kinds,
    find_setting,
    language_order,
)
from beir_hybrid.languages import choose, listed
from beir_hybrid.text import plural

TitlePolicy = Literal["title+text", "text"]
Triple = tuple[dict[str, dict[str, str]], dict[str, str], dict[str, dict[str, int]]]


@dataclass(frozen=True)
class Origin:
    """Where a file of a collection came from: its address or path, checksum and revision.

    `lang` is the language that all its rows are in, if there is one and the origin says so.
    """

    file: str
    sha256: str
    revision: str = ""
    lang: str = ""


class Prefixes(NamedTuple):
    """What stands before the origin's own ids to make them ours; empty where ours are used."""

    queries: str = ""
    documents: str = ""


# Compared by identity: tables can be millions of rows long, and arrays have no truth value.
@dataclass(frozen=True, eq=False)
class Collection:
    """Queries, passages and judgements in several languages, each text stored once.

    Rows are Arrow tables, memory-mapped when they come from disk, and lie language by language
    in the order of `groups`; so the passages of a language are a slice, not a selection.

    Queries and passages may be pictures, which are in no language: they are in `IMAGE`, behind all
    languages. Where captions and pictures are both asked and found, a judgement of relevance
    `ITSELF` says that a passage is the query itself, which its rankings leave out.

    Attributes
    ----------
    queries
        Columns ``id``, ``lang``, ``text`` and ``group``: the question that a query translates,
        or the picture that it is or describes; and ``image`` as passages have it.
    passages
        Columns ``id``, ``lang``, ``title``, ``text``, and ``image`` where there are any: the path
        of a picture, whose text is the checksum of its file.
    judgements
        Columns ``query`` and ``passage`` (row numbers in the two tables) and ``relevance``.
    title_policy
        Whether a passage's text for retrieval includes its title.
    original_ids
        Whether the origin had ids of its own: then an id is ``lang:`` (``lang:q:`` for queries)
        followed by the origin's, and exports restore the latter.
    caveat
        Why figures on this collection cannot be compared with published ones; empty if they can.
    loaded
        The dataset's name, languages and options that load it again; empty if none did.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> corpus = {"de:1": {"text": "Berlin, Deutschland"}, "en:1": {"text": "Berlin, Germany"}}
    >>> queries = {"de:q:1": "Wo ist Berlin?", "en:q:1": "Where is Berlin?"}
    >>> qrels = {query: {"de:1": 1, "en:1": 1} for query in queries}
    >>> collection = bh.from_beir(corpus, queries, qrels)
    >>> collection
    Collection('beir', 2 languages, 2 queries, 2 passages)
    >>> [setting.name for setting in collection.settings()]
    ['de-de', 'en-en', 'de-en', 'en-de', 'de-all', 'en-all']
    """

    name: str
    languages: tuple[str, ...]
    queries: pa.Table
    passages: pa.Table
    judgements: pa.Table
    query_counts: dict[str, int]
    passage_counts: dict[str, int]
    licence: str = ""
    citation: str = ""
    provenance: tuple[Origin, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    title_policy: TitlePolicy = "title+text"
    original_ids: bool = False
    caveat: str = ""
    loaded: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say in a line what is in it."""
        counts = {"languages": len(self.languages)}
        if self.images:
            counts["pictures"] = len(self.passage_rows(IMAGE))
        counts |= {"queries": len(self.queries), "passages": len(self.passages)}
        shown = [plural(count, things) for things, count in counts.items()]
        return f"Collection({self.name!r}, {', '.join(shown)})"

    @property
    def images(self) -> bool:
        """Whether there are pictures."""
        return IMAGE in self.query_counts or IMAGE in self.passage_counts

    @property
    def groups(self) -> tuple[str, ...]:
        """The languages and, behind them, `IMAGE` where there are pictures: how rows lie."""
        return (*self.languages, *[IMAGE] * self.images)

    def query_rows(self, lang: str) -> range:
        """Return the row numbers of the queries in a language."""
        return _span(self.query_counts, *self._chosen([lang]))

    def passage_rows(self, lang: str) -> range:
        """Return the row numbers of the passages in a language."""
        return _span(self.passage_counts, *self._chosen([lang]))

    def view(
        self,
        query_lang: str | Iterable[str] | None = None,
        passage_lang: str | Iterable[str] | None = None,
    ) -> "View":
        """Return one evaluation setting: some languages' queries against some languages' passages.

        ``view("en", "en")`` is monolingual, ``view("en", "de")`` cross-lingual and ``view("en")``
        the multilingual pool; either side may be several languages, and ``None`` means all.
        ``"image"`` stands for pictures beside languages: ``view("en", "image")`` is pictures for
        English captions, ``view("image")`` captions of all languages for pictures, and
        ``view("en", collection.groups)`` captions and pictures together.
        """
        return View(self, self._chosen(query_lang), self._chosen(passage_lang))

    @property
    def query_groups(self) -> dict[str, range]:
        """The rows of the queries by language, in the order of languages and rows."""
        return {lang: self.query_rows(lang) for lang in self.groups}

    @property
    def passage_groups(self) -> dict[str, range]:
        """The rows of the passages by language, in the order of languages and rows."""
        return {lang: self.passage_rows(lang) for lang in self.groups}

    def resolve(self) -> Judgements:
        """Return the judgements by row number, with all that rankings need of the collection."""
        columns = [to_numpy(self.judgements[name]) for name in ("query", "passage", "relevance")]
        return Judgements.of(
            columns,
            name=self.name,
            languages=self.languages,
            query_groups=self.query_groups,
            passage_groups=self.passage_groups,
            passage_ids=self.passages["id"],
        )

    def settings(self, kind: KindName | None = None) -> list[Setting]:
        """Return the settings in which at least one query has a relevant passage, or of one kind.

        Monolingual settings come first, then cross-lingual ones, then pools of all languages; a
        collection in one language has no pool. Behind these come, where there are images, images
        for captions, captions for images in each language and in all, and captions and images
        together for captions. ``one-target`` settings come only by name.
        """
        judgements = self.resolve()
        if kind is None:
            return judgements.settings()
        (name,) = find_kinds([kind])
        existing = judgements.kinds()
        required = "multi" if name == "one-target" else name
        return judgements.settings([name]) if required in existing else []

    def view_setting(self, setting: Setting) -> "View":
        """Return the queries, passages and judgements of a setting."""
        sides = {ALL: self.languages, MIXED: self.groups}
        queries, passages = (
            sides.get(side, tuple(side.split("+"))) for side in (setting.queries, setting.passages)
        )
        return self.view(queries, passages)

    def _chosen(self, langs: str | Iterable[str] | None) -> tuple[str, ...]:
        if langs is None:
            return self.languages
        asked = listed(langs)
        pictures = self.images and IMAGE in asked
        codes = [lang for lang in asked if not (pictures and lang == IMAGE)]
        chosen: tuple[str, ...] = ()
        if codes or not pictures:
            chosen = choose(f"language of {self.name}", codes, self.languages)
        # Pictures lie last, whatever the order they are named in.
        return (*chosen, *[IMAGE] * pictures)


@dataclass(frozen=True, eq=False)
class View:
    """One evaluation setting of a collection; nothing is copied until a table is asked for.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> corpus = {"de:1": {"text": "Hier."}, "en:1": {"text": "Here."}}
    >>> qrels = {"en:q:1": {"de:1": 1, "en:1": 1}}
    >>> collection = bh.from_beir(corpus, {"en:q:1": "Where?"}, qrels)
    >>> view = collection.view("en", "de")
    >>> view.kind, view.name, view.beir()[2]
    ('cross', 'en-de', {'en:q:1': {'de:1': 1}})
    """

    collection: Collection
    query_langs: tuple[str, ...]
    passage_langs: tuple[str, ...]

    @property
    def setting(self) -> Setting:
        """The setting whose queries, passages and judgements these are."""
        return find_setting(self.query_langs, self.passage_langs, self.collection.languages)

    @property
    def kind(self) -> KindName:
        """The kind of its setting, such as ``mono``, ``cross`` or ``multi``."""
        return self.setting.kind

    @property
    def name(self) -> str:
        """The name of its setting, such as ``en-de``, or ``en-all`` for all languages."""
        return self.setting.name

    @cached_property
    def judgements(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row numbers of queries and of passages, and the relevance, one judgement a place.

        Those of queries without a relevant passage in the view are left out, and `ITSELF`.
        """
        query, passage, relevance = self._judged
        others = relevance != ITSELF
        if others.all():
            return self._judged
        return query[others], passage[others], relevance[others]

    @property
    def itself(self) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of judged queries and of the passages that are these queries themselves."""
        query, passage, relevance = self._judged
        same = relevance == ITSELF
        return query[same], passage[same]

    @cached_property
    def _judged(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = self.collection.judgements
        query, passage, relevance = (
            to_numpy(table[name]) for name in ("query", "passage", "relevance")
        )
        inside = _inside(query, [self.collection.query_rows(lang) for lang in self.query_langs])
        inside &= _inside(passage, self.passage_ranges)
        query, passage, relevance = query[inside], passage[inside], relevance[inside]
        answered = np.isin(query, query[relevance > 0])
        return query[answered], passage[answered], relevance[answered]

    @cached_property
    def query_rows(self) -> np.ndarray:
        """Row numbers of the judged queries: those with a relevant passage in the view."""
        return np.unique(self.judgements[0])

    @property
    def passage_ranges(self) -> list[range]:
        """Row numbers of the passages, a range for each language."""
        return [self.collection.passage_rows(lang) for lang in self.passage_langs]

    @property
    def queries(self) -> pa.Table:
        """The judged queries."""
        return self.collection.queries.take(to_arrow(self.query_rows))

    @property
    def documents(self) -> pa.Table:
        """The passages, with a ``title`` only where the title policy includes it."""
        table = pa.concat_tables(
            self.collection.passages.slice(rows.start, len(rows)) for rows in self.passage_ranges
        )
        if self.collection.title_policy == "text":
            at = table.schema.get_field_index("title")
            table = table.set_column(at, "title", empty_texts(len(table)))
        return table

    @property
    def qrels(self) -> pa.Table:
        """The judgements by id: columns ``query_id``, ``passage_id`` and ``relevance``."""
        query, passage, relevance = self.judgements
        return pa.table(
            {
                "query_id": _ids(self.collection.queries, query),
                "passage_id": _ids(self.collection.passages, passage),
                "relevance": to_arrow(relevance),
            }
        )

    @property
    def prefixes(self) -> Prefixes:
        """What files of this view leave out of the ids.

        They hold the origin's own ids, if it had any and either side is in one language; over
        several languages those would not be unique.
        """
        one = len(self.query_langs) == len(self.passage_langs) == 1
        if not self.collection.original_ids or not one:
            return Prefixes()
        return Prefixes(f"{self.query_langs[0]}:q:", f"{self.passage_langs[0]}:")

    def beir(self) -> Triple:
        """Return BEIR's ``(corpus, queries, qrels)`` dicts; query and passage ids are disjoint."""
        documents = self.documents
        ids = documents["id"].to_pylist()
        corpus = dict(zip(ids, documents.select(["title", "text"]).to_pylist(), strict=True))
        asked = self.queries
        queries = dict(zip(asked["id"].to_pylist(), asked["text"].to_pylist(), strict=True))
        qrels: dict[str, dict[str, int]] = {key: {} for key in queries}
        for row in self.qrels.to_pylist():
            qrels[row["query_id"]][row["passage_id"]] = row["relevance"]
        return corpus, queries, qrels


def retrieval_texts(documents: pa.Table) -> pa.ChunkedArray:
    """Return what a model reads of each passage: title and text, or the text where no title is."""
    joined = pc.binary_join_element_wise(documents["title"], documents["text"], " ")
    return pc.if_else(pc.equal(documents["title"], ""), documents["text"], joined)


def _span(counts: dict[str, int], lang: str) -> range:
    """Return a language's rows; they lie in the order of codes, also where a language has none."""
    before = sum(
        count for other, count in counts.items() if language_order(other) < language_order(lang)
    )
    return range(before, before + counts.get(lang, 0))


def _inside(rows: np.ndarray, ranges: Sequence[range]) -> np.ndarray:
    inside = np.zeros(len(rows), dtype=bool)
    for span in ranges:
        inside |= (rows >= span.start) & (rows < span.stop)
    return inside


def _ids(table: pa.Table, rows: np.ndarray) -> pa.ChunkedArray:
    """Look each distinct row's id up once."""
    distinct, places = np.unique(rows, return_inverse=True)
    return table["id"].take(to_arrow(distinct)).combine_chunks().take(to_arrow(places))
