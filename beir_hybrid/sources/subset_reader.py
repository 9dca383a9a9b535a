"""Subsets of other tools' datasets as rows of a collection: one pair of languages each."""

import re
from collections.abc import Iterable, Mapping
from typing import TypedDict
from urllib.parse import quote

from xxhash import xxh3_128_intdigest

from beir_hybrid.collection import CollectionWriter
from beir_hybrid.errors import BadData
from beir_hybrid.sources.bad_rows import BadRows


class Subset(TypedDict):
    """Passages with ``id``, ``title`` and ``text``, queries, and grades by id of both."""

    corpus: Iterable[Mapping[str, str | None]]
    queries: Iterable[Mapping[str, str | None]]
    relevant_docs: Mapping[str, Mapping[str, int]]


class SubsetReader:
    """Turns subsets into rows; queries and passages that subsets share are written once."""

    def __init__(self, writer: CollectionWriter, bad_rows: BadRows) -> None:
        self.writer, self.bad_rows = writer, bad_rows
        self.digests: dict[str, int] = {}  # of title and text, by id
        self.queries: dict[tuple[str, str], str] = {}  # text by language and key
        self.golds: dict[tuple[str, str], dict[str, int]] = {}  # grades by id of passages

    def read(self, subset: str, data: Subset, passage_language: str, query_language: str) -> None:
        """Read the rows of a subset."""
        passages = self._read_passages(subset, data["corpus"], passage_language)
        texts: dict[str, str] = {}
        for row in data["queries"]:
            raw_id, text = str(row["id"]), row["text"] or ""
            location = f"{subset}, query {raw_id!r}"
            if texts.setdefault(raw_id, text) != text:
                self.bad_rows.note("queries with the id of another one", location)
                continue
            relevances = data["relevant_docs"].get(raw_id, {})
            grades = self._find_grades(relevances, passages, location)
            if not text.strip():
                self.bad_rows.note("queries without text", location)
            elif not any(grade > 0 for grade in grades.values()):
                self.bad_rows.note("queries without a relevant passage", location)
            else:
                self._add_query(subset, query_language, raw_id, text, grades)
        for raw_id in sorted(data["relevant_docs"].keys() - texts.keys()):
            self.bad_rows.note("judged queries that are not there", f"{subset}, query {raw_id!r}")

    def _read_passages(
        self, subset: str, rows: Iterable[Mapping[str, str | None]], lang: str
    ) -> dict[str, str]:
        """Write the passages of a subset, and return their ids by those in the subset."""
        passages: dict[str, str] = {}
        for row in rows:
            raw_id, content = str(row["id"]), (row.get("title") or "", row.get("text") or "")
            location = f"{subset}, passage {raw_id!r}"
            if not "".join(content).strip():
                self.bad_rows.note("passages without text", location)
            elif raw_id not in passages:
                passages[raw_id] = f"{lang}:{self._choose_key(lang, subset, raw_id, content)}"
            elif self.digests[passages[raw_id]] != _digest(content):
                self.bad_rows.note("passages with the id of another one", location)
        return passages

    def _add_query(
        self, subset: str, lang: str, raw_id: str, text: str, grades: Mapping[str, int]
    ) -> None:
        """Keep a query under its id; the name of the subset precedes an id that is taken."""
        query = lang, _quote(raw_id)
        if self.queries.setdefault(query, text) != text:
            query = lang, f"{subset}.{query[1]}"
            if self.queries.setdefault(query, text) != text:
                raise BadData(f"{subset} has two queries with the id {raw_id!r}")
        self.golds.setdefault(query, {}).update(grades)

    def finish(self, *, parallel: bool) -> None:
        """Write queries and judgements; with `parallel`, those of one key share judgements."""
        grades_by_key: dict[str, dict[str, int]] = {}
        for (_, key), grades in self.golds.items():
            grades_by_key.setdefault(key, {}).update(grades)
        for (lang, key), text in self.queries.items():
            group = key if parallel else f"{lang}:{key}"
            query = self.writer.add_query(lang, key, text, group)
            grades = grades_by_key[key] if parallel else self.golds[lang, key]
            for passage, grade in grades.items():
                self.writer.add_judgement(query, passage, grade)

    def _choose_key(self, lang: str, subset: str, raw_id: str, content: tuple[str, str]) -> str:
        """Return the key of a passage, and write the passage if it is new."""
        digest = _digest(content)
        for key in (_quote(raw_id), f"{subset}.{_quote(raw_id)}"):
            identity = f"{lang}:{key}"
            if identity not in self.digests:
                self.digests[identity] = digest
                self.writer.add_passage(lang, key, *content)
            if self.digests[identity] == digest:
                return key
        raise BadData(f"{subset} has two passages with the id {raw_id!r}")

    def _find_grades(
        self, relevances: Mapping[str, int], passages: Mapping[str, str], location: str
    ) -> dict[str, int]:
        grades = {}
        for passage, grade in relevances.items():
            if passage in passages:
                grades[passages[passage]] = int(grade)
            else:
                self.bad_rows.note("judgements of passages that are not there", location)
        return grades


def _digest(content: tuple[str, str]) -> int:
    return xxh3_128_intdigest("\0".join(content).encode())


def _quote(raw_id: str) -> str:
    """Return an id without white space, as collections and runs have ids."""
    return re.sub(r"[\s\x00-\x1f\x7f]", lambda match: quote(match[0]), raw_id)
