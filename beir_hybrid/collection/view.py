"""Views: the queries, passages and judgements of one setting of a collection."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.arrays import (
    empty_texts,
    is_in_ranges,
    take_distinct,
    take_rows,
    to_arrow,
    to_numpy,
)
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.setting import KindName, Setting, make_setting
from beir_hybrid.collection.tables import CollectionTables

# BEIR's corpus, queries and qrels.
BeirTriple = tuple[dict[str, dict[str, str]], dict[str, str], dict[str, dict[str, int]]]


class Prefixes(NamedTuple):
    """Prefixes that turn ids of the origin into ids of the collection; empty where they agree."""

    queries: str = ""
    passages: str = ""


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

    collection: CollectionTables
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

        Queries whose relevant passages are all outside the view are left out, and `SELF_MATCH`;
        queries without any relevant passage, which count as 0, are not.
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
        answered_queries = query[relevance > 0]
        query, passage, relevance = query[rows], passage[rows], relevance[rows]
        is_counted = np.isin(query, query[relevance > 0]) | ~np.isin(query, answered_queries)
        return query[is_counted], passage[is_counted], relevance[is_counted]

    @cached_property
    def query_rows(self) -> np.ndarray:
        """The row numbers of the queries of `judgements`, ascending."""
        return np.unique(self.judgements[0])

    @property
    def passage_ranges(self) -> list[range]:
        """The row numbers of the passages, a range for each language."""
        return [self.collection.find_passage_rows(code) for code in self.passage_languages]

    @property
    def queries(self) -> pa.Table:
        """The judged queries."""
        return take_rows(self.collection.queries, self.query_rows)

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
