"""MLQA-R in, its articles split three ways out: groups to train on, collections to judge on.

Titles are localised, so an article is a connected component of (language, title), joined by the
questions that its versions share. A fixed pseudo-random number of each component, from its name
alone, says which side it is on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from beir_hybrid.errors import BadData, lookup

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection, CollectionWriter
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs

Node = tuple[str, str]  # language, title
SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}
ARTICLES = 520  # of MLQA-R


def components(questions: Mapping[str, Iterable[Node]]) -> dict[Node, Node]:
    """Return the name of each node's component: its least node.

    Nodes that answer the same question belong together.

    >>> found = components({"q1": [("de", "Hund"), ("en", "Dog")], "q2": [("en", "Cat")]})
    >>> found["en", "Dog"], found["en", "Cat"]
    (('de', 'Hund'), ('en', 'Cat'))
    """
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for nodes in questions.values():
        first, *others = sorted(set(nodes))
        for other in others:
            one, two = sorted((root(first), root(other)))
            parent[two] = one  # the least stays the name
        root(first)
    return {node: root(node) for node in parent}


def part_of(component: Node) -> str:
    """Return on which side a component is, by a number from 0 to 1 made of its name."""
    number = int.from_bytes(sha256("\t".join(component).encode()).digest()[:8]) / 2**64
    for part, share in SHARES.items():
        if number < share:
            return part
        number -= share
    return "test"  # what rounding leaves


@dataclass(frozen=True, eq=False)
class Split:
    """A collection whose articles are split three ways.

    Attributes
    ----------
    articles
        The component of each (language, title).
    questions
        The nodes of each question, by its id.
    """

    collection: "Collection"
    articles: dict[Node, Node]
    questions: dict[str, list[Node]]

    @classmethod
    def of(cls, collection: "Collection") -> "Split":
        """Find the articles of a collection with titles, and check that no side shares anything."""
        questions = _nodes(collection)
        found = cls(collection, components(questions), questions)
        found.check()
        return found

    @cached_property
    def names(self) -> set[Node]:
        """The components."""
        return set(self.articles.values())

    def groups(self, part: str) -> list[str]:
        """Return the ids of the questions of a side, in order."""
        lookup("part", part, SHARES)
        return sorted(
            key for key, nodes in self.questions.items() if part_of(self.articles[nodes[0]]) == part
        )

    def check(self) -> None:
        """Raise `BadData` where a component or a question is on two sides, or an article on none.

        Looked at from the questions, whatever the components say.
        """
        sides: dict[Any, set[str]] = {}
        for key, nodes in self.questions.items():
            for node in nodes:
                part = part_of(self.articles[node])
                for what in (key, node, self.articles[node]):
                    sides.setdefault(what, set()).add(part)
        if torn := [what for what, parts in sides.items() if len(parts) > 1]:
            raise BadData(f"{len(torn)} articles or questions are on two sides, first {torn[0]!r}")
        titles = self._titles()
        if lost := titles.difference(self.articles):
            raise BadData(f"{len(lost)} articles have no question, first {min(lost)!r}")

    def _titles(self) -> set[Node]:
        table = self.collection.passages
        return set(zip(table["lang"].to_pylist(), table["title"].to_pylist(), strict=True))

    def held_out(self, part: str) -> "Collection":
        """Return a side's questions against the passages of its articles alone."""
        from beir_hybrid.collection.cache import load_or_build
        from beir_hybrid.training.record import hash_collection

        kept = set(self.groups(part))
        whole = self.collection
        recipe = {"part": part, "of": hash_collection(whole), "shares": SHARES, "version": 1}

        def build(writer: "CollectionWriter") -> None:
            for row in whole.passages.to_pylist():
                if part_of(self.articles[row["lang"], row["title"]]) == part:
                    writer.add_passage(row["lang"], _key(row["id"]), row["title"], row["text"])
            for row in whole.queries.to_pylist():
                if row["group"] in kept:
                    writer.add_query(row["lang"], _key(row["id"]), row["text"], row["group"])
            for row in _judged(whole):
                if row["group"] in kept:
                    writer.add_judgement(row["query_id"], row["passage_id"], row["relevance"])
            writer.finish(
                licence=whole.licence,
                citation=whole.citation,
                provenance=whole.provenance,
                options=whole.options | {"articles": part},
                title_policy=whole.title_policy,
                caveat=f"held-out articles of {whole.name} alone: a smaller pool than the whole",
            )

        return load_or_build(f"{whole.name}-{part}", recipe, build)

    def pairs(self, part: str = "train") -> "ParallelPairs":
        """Return a side's questions with their passages."""
        from beir_hybrid.pairs.reading import pairs_from_collection

        return pairs_from_collection(self.collection, queries=self.groups(part))

    def texts(self, part: str = "train") -> list[tuple[str, str]]:
        """Return the questions and passages of a side, each with its language."""
        kept = set(self.groups(part))
        asked = [
            (row["text"], row["lang"])
            for row in self.collection.queries.to_pylist()
            if row["group"] in kept
        ]
        return asked + [
            (row["text"], row["lang"])
            for row in self.collection.passages.to_pylist()
            if part_of(self.articles[row["lang"], row["title"]]) == part
        ]


def mlqa_r(passage_text: str = "sentence") -> Split:
    """Return MLQA-R, split by article."""
    import beir_hybrid as bh

    found = Split.of(bh.load("mlqa-r", passage_text=passage_text))
    if len(found.names) != ARTICLES:
        raise BadData(f"MLQA-R has {ARTICLES} articles, and {len(found.names)} were found")
    return found


def judged(name: str, passage_text: str = "sentence") -> "Collection":
    """Return a collection to judge on by its name."""
    import beir_hybrid as bh

    table = {
        "xquad-r": lambda: bh.load("xquad-r", passage_text=passage_text),
        "mlqa-r-dev": lambda: mlqa_r(passage_text).held_out("dev"),
        "mlqa-r-test": lambda: mlqa_r(passage_text).held_out("test"),
    }
    found: Collection = lookup("collection to judge on", name, table)()
    return found


def _key(identity: str) -> str:
    """Return an id without its language and mark: what a writer puts them before."""
    return identity.split(":", 1)[1].removeprefix("q:")


def _judged(collection: "Collection") -> list[dict[str, Any]]:
    """Return the judgements by id, with the question's own."""
    view = collection.view(collection.languages, collection.languages)
    group = dict(
        zip(
            collection.queries["id"].to_pylist(),
            collection.queries["group"].to_pylist(),
            strict=True,
        )
    )
    return [row | {"group": group[row["query_id"]]} for row in view.qrels.to_pylist()]


def _nodes(collection: "Collection") -> dict[str, list[Node]]:
    """Return the (language, title) pairs of the passages that answer each question."""
    table = collection.passages
    place = {
        key: (lang, title)
        for key, lang, title in zip(
            *(table[name].to_pylist() for name in ("id", "lang", "title")), strict=True
        )
    }
    found: dict[str, list[Node]] = {}
    for row in _judged(collection):
        if row["relevance"] > 0:
            nodes = found.setdefault(row["group"], [])
            if (node := place[row["passage_id"]]) not in nodes:
                nodes.append(node)
    return found
