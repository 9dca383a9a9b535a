"""MLQA-R, split by article into training, dev and test data.

Titles are localised, so an article is a connected component of (language, title) pairs, which are
connected by the queries that they answer. A pseudo-random number, made of a component's name alone,
decides on which side it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.errors import BadData, lookup

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.collection.writer import CollectionWriter
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs

Title = tuple[str, str]  # a language and a title in it
SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}
MLQA_R_ARTICLES = 520


def connect_titles(titles_by_group: Mapping[str, Iterable[Title]]) -> dict[Title, Title]:
    """Return the name of each title's article: the least title of its connected component.

    Titles that answer the same group of queries belong to one article.

    >>> articles = connect_titles({"q1": [("de", "Hund"), ("en", "Dog")], "q2": [("en", "Cat")]})
    >>> articles["en", "Dog"], articles["en", "Cat"]
    (('de', 'Hund'), ('en', 'Cat'))
    """
    parents: dict[Title, Title] = {}

    def find_root(title: Title) -> Title:
        parents.setdefault(title, title)
        while parents[title] != title:
            parents[title] = parents[parents[title]]
            title = parents[title]
        return title

    for titles in titles_by_group.values():
        first, *rest = sorted(set(titles))
        for title in rest:
            least, greatest = sorted((find_root(first), find_root(title)))
            parents[greatest] = least
        find_root(first)
    return {title: find_root(title) for title in parents}


def choose_part(article: Title) -> str:
    """Return the part that an article is in, by a number from 0 to 1 made of its name."""
    number = int.from_bytes(sha256("\t".join(article).encode()).digest()[:8]) / 2**64
    for part, share in SHARES.items():
        if number < share:
            return part
        number -= share
    return "test"  # after rounding


@dataclass(frozen=True, eq=False)
class ArticleSplit:
    """A collection whose articles are split three ways.

    Attributes
    ----------
    articles
        The article of each title.
    titles_by_group
        The titles that answer each group of queries.
    """

    collection: "Collection"
    articles: dict[Title, Title]
    titles_by_group: dict[str, list[Title]]

    @classmethod
    def from_collection(cls, collection: "Collection") -> "ArticleSplit":
        """Split a collection that has titles, and check that the parts share nothing."""
        titles_by_group = find_titles(collection)
        split = cls(collection, connect_titles(titles_by_group), titles_by_group)
        split.check()
        return split

    @cached_property
    def names(self) -> set[Title]:
        """The names of the articles."""
        return set(self.articles.values())

    def list_groups(self, part: str) -> list[str]:
        """Return the groups of queries of a part, in order."""
        lookup("part", part, SHARES)
        return sorted(
            group
            for group, titles in self.titles_by_group.items()
            if choose_part(self.articles[titles[0]]) == part
        )

    def check(self) -> None:
        """Raise `BadData` where two parts share an article or group, or an article has no query."""
        parts: dict[str | Title, set[str]] = {}
        for group, titles in self.titles_by_group.items():
            for title in titles:
                part = choose_part(self.articles[title])
                for key in (group, title, self.articles[title]):
                    parts.setdefault(key, set()).add(part)
        if shared := [key for key, names in parts.items() if len(names) > 1]:
            raise BadData(
                f"{len(shared)} articles or queries are in two parts, first {shared[0]!r}"
            )
        if missing := self._list_titles().difference(self.articles):
            raise BadData(f"{len(missing)} articles have no query, first {min(missing)!r}")

    def _list_titles(self) -> set[Title]:
        table = self.collection.passages
        return set(zip(table["lang"].to_pylist(), table["title"].to_pylist(), strict=True))

    def _rows_of_passages(self, part: str) -> Iterator[dict[str, Any]]:
        for row in self.collection.passages.to_pylist():
            if choose_part(self.articles[row["lang"], row["title"]]) == part:
                yield row

    def hold_out(self, part: str) -> "Collection":
        """Return the queries of a part, with the passages of its articles alone."""
        from beir_hybrid.collection.cache import load_or_build
        from beir_hybrid.collection.checksum import hash_collection

        groups = set(self.list_groups(part))
        original = self.collection
        recipe = {"part": part, "of": hash_collection(original), "shares": SHARES, "version": 1}

        def build(writer: "CollectionWriter") -> None:
            for row in self._rows_of_passages(part):
                writer.add_passage(row["lang"], _strip_id(row["id"]), row["title"], row["text"])
            for row in original.queries.to_pylist():
                if row["group"] in groups:
                    writer.add_query(row["lang"], _strip_id(row["id"]), row["text"], row["group"])
            for row in _read_judgements(original):
                if row["group"] in groups:
                    writer.add_judgement(row["query_id"], row["passage_id"], row["relevance"])
            writer.finish(
                licence=original.licence,
                citation=original.citation,
                provenance=original.provenance,
                options=original.options | {"articles": part},
                title_policy=original.title_policy,
                caveat=f"held-out articles of {original.name} alone: a smaller pool than the whole",
            )

        return load_or_build(f"{original.name}-{part}", recipe, build)

    def build_pairs(self, part: str = "train") -> "ParallelPairs":
        """Return the queries of a part with their relevant passages."""
        from beir_hybrid.pairs.reading import pairs_from_collection

        return pairs_from_collection(self.collection, queries=self.list_groups(part))

    def list_texts(self, part: str = "train") -> list[tuple[str, str]]:
        """Return the queries and passages of a part, each with its language."""
        groups = set(self.list_groups(part))
        queries = [row for row in self.collection.queries.to_pylist() if row["group"] in groups]
        rows = [*queries, *self._rows_of_passages(part)]
        return [(row["text"], row["lang"]) for row in rows]


def number_articles(collection: "Collection") -> np.ndarray:
    """Return the number of each group's article, groups of queries in the order of their ids."""
    titles = find_titles(collection)
    names = connect_titles(titles)
    articles = [names[titles[group][0]] for group in sorted(titles)]
    numbers = {name: number for number, name in enumerate(sorted(set(articles)))}
    return np.array([numbers[article] for article in articles])


def load_mlqa_r(passage_text: str = "sentence") -> ArticleSplit:
    """Return MLQA-R, split by article."""
    import beir_hybrid as bh

    split = ArticleSplit.from_collection(bh.load("mlqa-r", passage_text=passage_text))
    if len(split.names) != MLQA_R_ARTICLES:
        raise BadData(f"MLQA-R has {MLQA_R_ARTICLES} articles, not {len(split.names)}")
    return split


def load_test_collection(name: str, passage_text: str = "sentence") -> "Collection":
    """Return a collection to evaluate on by its name."""
    import beir_hybrid as bh

    table = {
        "xquad-r": lambda: bh.load("xquad-r", passage_text=passage_text),
        "mlqa-r-dev": lambda: load_mlqa_r(passage_text).hold_out("dev"),
        "mlqa-r-test": lambda: load_mlqa_r(passage_text).hold_out("test"),
    }
    collection: Collection = lookup("collection to evaluate on", name, table)()
    return collection


def _strip_id(identity: str) -> str:
    """Return an id without the language and the mark of a query, which a writer adds."""
    return identity.split(":", 1)[1].removeprefix("q:")


def _read_judgements(collection: "Collection") -> list[dict[str, Any]]:
    """Return the judgements by id, with the groups of the queries."""
    view = collection.view(collection.languages, collection.languages)
    queries = collection.queries
    groups = dict(zip(queries["id"].to_pylist(), queries["group"].to_pylist(), strict=True))
    return [row | {"group": groups[row["query_id"]]} for row in view.qrels.to_pylist()]


def find_titles(collection: "Collection") -> dict[str, list[Title]]:
    """Return the titles of the passages that answer each group of queries."""
    table = collection.passages
    columns = (table[name].to_pylist() for name in ("id", "lang", "title"))
    titles_by_id = {key: (lang, title) for key, lang, title in zip(*columns, strict=True)}
    titles: dict[str, list[Title]] = {}
    for row in _read_judgements(collection):
        if row["relevance"] > 0:
            group_titles = titles.setdefault(row["group"], [])
            if (title := titles_by_id[row["passage_id"]]) not in group_titles:
                group_titles.append(title)
    return titles
