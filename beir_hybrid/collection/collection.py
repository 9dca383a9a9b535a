"""Collections: queries, passages and judgements in several languages, and views of them."""

# Collection and View refer to each other, so that they share a file of more than 300 lines.

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.arrays import (
    empty_texts,
    is_in_ranges,
    take_distinct,
    to_arrow,
    to_numpy,
)
from beir_hybrid.collection.judgements import SELF_MATCH, Judgements
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import (
    ALL,
    IMAGE,
    MIXED,
    KindName,
    Setting,
    language_sort_key,
    make_setting,
    parse_kinds,
)
from beir_hybrid.languages import as_list, choose_languages
from beir_hybrid.text import plural

TitlePolicy = Literal["title+text", "text"]
# BEIR's corpus, queries and qrels.
BeirTriple = tuple[dict[str, dict[str, str]], dict[str, str], dict[str, dict[str, int]]]


class Prefixes(NamedTuple):
    """Prefixes that turn ids of the origin into ids of the collection; empty where they agree."""

    queries: str = ""
    passages: str = ""


# Compared by identity: tables can be millions of rows long, and arrays have no truth value.
@dataclass(frozen=True, eq=False)
class Collection:
    """Queries, passages and judgements in several languages, each text stored once.

    Rows are Arrow tables, memory-mapped when they come from disk. They lie language by language
    in the order of `codes`, so that the passages of a language are a slice.

    Queries and passages may be images. Images have no language: their code is `IMAGE`, and they lie
    behind all languages. Where captions and images are queries and passages alike, a judgement of
    relevance `SELF_MATCH` marks the passage that is the query itself; rankings of the query leave
    it out.

    Attributes
    ----------
    queries
        Columns ``id``, ``lang``, ``text`` and ``group``: queries of one group translate each other,
        or are an image and its captions; and ``image`` as in `passages`.
    passages
        Columns ``id``, ``lang``, ``title``, ``text``, and ``image`` where there are images: the
        path of an image, whose text is the checksum of its file.
    judgements
        Columns ``query`` and ``passage`` (row numbers in the two tables) and ``relevance``.
    title_policy
        Whether a passage's text for retrieval includes its title.
    original_ids
        Whether the origin had ids of its own: then an id is ``lang:`` (``lang:q:`` for queries)
        followed by the origin's, and exports restore the latter.
    caveat
        Why figures on this collection cannot be compared with published ones; empty if they can.
    dataset
        The name, languages and options that load the collection again with `load`; empty if it was
        not loaded by name.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> corpus = {"de:1": {"text": "Berlin, Deutschland"}, "en:1": {"text": "Berlin, Germany"}}
    >>> queries = {"de:q:1": "Wo ist Berlin?", "en:q:1": "Where is Berlin?"}
    >>> qrels = {query: {"de:1": 1, "en:1": 1} for query in queries}
    >>> collection = bh.from_beir(corpus, queries, qrels)
    >>> collection
    Collection('beir', 2 languages, 2 queries, 2 passages)
    >>> [setting.name for setting in collection.list_settings()]
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
    dataset: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the name and the numbers of languages, images, queries and passages."""
        counts = {"languages": len(self.languages)}
        if self.has_images:
            counts["images"] = len(self.find_passage_rows(IMAGE))
        counts |= {"queries": len(self.queries), "passages": len(self.passages)}
        phrases = [plural(count, things) for things, count in counts.items()]
        return f"Collection({self.name!r}, {', '.join(phrases)})"

    @property
    def has_images(self) -> bool:
        """Whether there are images."""
        return IMAGE in self.query_counts or IMAGE in self.passage_counts

    @property
    def codes(self) -> tuple[str, ...]:
        """The languages in the order of rows, and `IMAGE` last where there are images."""
        return (*self.languages, *[IMAGE] * self.has_images)

    def find_query_rows(self, code: str) -> range:
        """Return the row numbers of the queries in a language, or of those that are images."""
        return _find_range(self.query_counts, *self._parse_codes([code]))

    def find_passage_rows(self, code: str) -> range:
        """Return the row numbers of the passages in a language, or of those that are images."""
        return _find_range(self.passage_counts, *self._parse_codes([code]))

    @property
    def query_ranges(self) -> dict[str, range]:
        """The row numbers of the queries by language, in the order of `codes`."""
        return {code: self.find_query_rows(code) for code in self.codes}

    @property
    def passage_ranges(self) -> dict[str, range]:
        """The row numbers of the passages by language, in the order of `codes`."""
        return {code: self.find_passage_rows(code) for code in self.codes}

    def view(
        self,
        query_languages: str | Iterable[str] | None = None,
        passage_languages: str | Iterable[str] | None = None,
    ) -> "View":
        """Return one evaluation setting: some languages' queries against some languages' passages.

        ``view("en", "en")`` is monolingual, ``view("en", "de")`` cross-lingual and ``view("en")``
        the multilingual pool. Either side may be several languages; ``None`` means all.
        ``"image"`` stands for images beside languages: ``view("en", "image")`` ranks images for
        English captions, ``view("image")`` captions of all languages for images, and
        ``view("en", collection.codes)`` captions and images together.
        """
        return View(self, self._parse_codes(query_languages), self._parse_codes(passage_languages))

    def view_setting(self, setting: Setting) -> "View":
        """Return the queries, passages and judgements of a setting."""
        sides = {ALL: self.languages, MIXED: self.codes}
        queries, passages = (
            sides.get(side, tuple(side.split("+"))) for side in (setting.queries, setting.passages)
        )
        return self.view(queries, passages)

    def list_settings(self, kind: KindName | None = None) -> list[Setting]:
        """Return the settings in which at least one query has a relevant passage.

        Monolingual settings come first, then cross-lingual ones, then pools of all languages; a
        collection in one language has no pool. Behind these come, where there are images, images
        for captions, captions for images in each language and in all, and captions and images
        together for captions.

        Parameters
        ----------
        kind
            The only kind of settings to return; ``one-target`` settings come only by name.
        """
        judgements = self.resolve()
        if kind is None:
            return judgements.list_settings()
        (name,) = parse_kinds([kind])
        required = "multi" if name == "one-target" else name
        return judgements.list_settings([name]) if required in judgements.list_kinds() else []

    def resolve(self) -> Judgements:
        """Return the judgements by row number, with everything that rankings need."""
        columns = [to_numpy(self.judgements[name]) for name in ("query", "passage", "relevance")]
        return Judgements.from_columns(
            columns,
            name=self.name,
            languages=self.languages,
            query_ranges=self.query_ranges,
            passage_ranges=self.passage_ranges,
            query_ids=self.queries["id"],
            passage_ids=self.passages["id"],
        )

    def _parse_codes(self, tags: str | Iterable[str] | None) -> tuple[str, ...]:
        """Return the codes that language tags name, `IMAGE` last; all languages for None."""
        if tags is None:
            return self.languages
        names = as_list(tags)
        has_image = self.has_images and IMAGE in names
        language_tags = [name for name in names if not (has_image and name == IMAGE)]
        languages: tuple[str, ...] = ()
        if language_tags or not has_image:
            kind = f"language of {self.name}"
            languages = choose_languages(kind, language_tags, self.languages)
        return (*languages, *[IMAGE] * has_image)


@dataclass(frozen=True, eq=False)
class View:
    """One evaluation setting of a collection; a table is copied only when it is read.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> corpus = {"de:1": {"text": "Hier."}, "en:1": {"text": "Here."}}
    >>> qrels = {"en:q:1": {"de:1": 1, "en:1": 1}}
    >>> collection = bh.from_beir(corpus, {"en:q:1": "Where?"}, qrels)
    >>> view = collection.view("en", "de")
    >>> view.kind, view.name, view.to_beir()[2]
    ('cross', 'en-de', {'en:q:1': {'de:1': 1}})
    """

    collection: Collection
    query_languages: tuple[str, ...]
    passage_languages: tuple[str, ...]

    @property
    def setting(self) -> Setting:
        """The setting whose queries, passages and judgements these are."""
        return make_setting(self.query_languages, self.passage_languages, self.collection.languages)

    @property
    def kind(self) -> KindName:
        """The kind of the setting, such as ``mono``, ``cross`` or ``multi``."""
        return self.setting.kind

    @property
    def name(self) -> str:
        """The name of the setting, such as ``en-de``, or ``en-all`` for all languages."""
        return self.setting.name

    @cached_property
    def judgements(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows of queries, the rows of passages, and the relevance of each judgement.

        Queries without a relevant passage in the view are left out, and `SELF_MATCH`.
        """
        query, passage, relevance = self._all_judgements
        is_other = relevance != SELF_MATCH
        if is_other.all():
            return self._all_judgements
        return query[is_other], passage[is_other], relevance[is_other]

    @property
    def self_matches(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of judged queries, and the rows of the passages that are these queries."""
        query, passage, relevance = self._all_judgements
        is_self = relevance == SELF_MATCH
        return query[is_self], passage[is_self]

    @cached_property
    def _all_judgements(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = self.collection.judgements
        query, passage, relevance = (
            to_numpy(table[name]) for name in ("query", "passage", "relevance")
        )
        rows = is_in_ranges(query, map(self.collection.find_query_rows, self.query_languages))
        rows &= is_in_ranges(passage, self.passage_ranges)
        query, passage, relevance = query[rows], passage[rows], relevance[rows]
        has_gold = np.isin(query, query[relevance > 0])
        return query[has_gold], passage[has_gold], relevance[has_gold]

    @cached_property
    def query_rows(self) -> np.ndarray:
        """The row numbers of the judged queries: those with a relevant passage in the view."""
        return np.unique(self.judgements[0])

    @property
    def passage_ranges(self) -> list[range]:
        """The row numbers of the passages, a range for each language."""
        return [self.collection.find_passage_rows(code) for code in self.passage_languages]

    @property
    def queries(self) -> pa.Table:
        """The judged queries."""
        return self.collection.queries.take(to_arrow(self.query_rows))

    @property
    def passages(self) -> pa.Table:
        """The passages; the ``title`` is empty unless the title policy includes titles."""
        table = pa.concat_tables(
            self.collection.passages.slice(rows.start, len(rows)) for rows in self.passage_ranges
        )
        if self.collection.title_policy == "text":
            index = table.schema.get_field_index("title")
            table = table.set_column(index, "title", empty_texts(len(table)))
        return table

    @property
    def qrels(self) -> pa.Table:
        """The judgements by id: columns ``query_id``, ``passage_id`` and ``relevance``."""
        query, passage, relevance = self.judgements
        return pa.table(
            {
                "query_id": take_distinct(self.collection.queries["id"], query),
                "passage_id": take_distinct(self.collection.passages["id"], passage),
                "relevance": to_arrow(relevance),
            }
        )

    @property
    def prefixes(self) -> Prefixes:
        """The prefixes of ids that files of this view leave out.

        Files hold the origin's own ids if the origin had any and both sides are in one language;
        over several languages those would not be unique.
        """
        is_pair = len(self.query_languages) == len(self.passage_languages) == 1
        if not self.collection.original_ids or not is_pair:
            return Prefixes()
        return Prefixes(f"{self.query_languages[0]}:q:", f"{self.passage_languages[0]}:")

    def to_beir(self) -> BeirTriple:
        """Return BEIR's ``(corpus, queries, qrels)`` dicts; query and passage ids are disjoint."""
        passages, queries = self.passages, self.queries
        documents = passages.select(["title", "text"]).to_pylist()
        corpus = dict(zip(passages["id"].to_pylist(), documents, strict=True))
        texts = dict(zip(queries["id"].to_pylist(), queries["text"].to_pylist(), strict=True))
        qrels: dict[str, dict[str, int]] = {key: {} for key in texts}
        for row in self.qrels.to_pylist():
            qrels[row["query_id"]][row["passage_id"]] = row["relevance"]
        return corpus, texts, qrels


def _find_range(counts: dict[str, int], code: str) -> range:
    """Return a language's rows; they lie in the order of codes, also where a language has none."""
    position = language_sort_key(code)
    start = sum(count for lang, count in counts.items() if language_sort_key(lang) < position)
    return range(start, start + counts.get(code, 0))
