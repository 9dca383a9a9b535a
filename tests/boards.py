"""Systems of known quality on a small collection, and a reader of the leaderboard's pages."""

import json
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import Embeddings
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.results.provenance import ModelProvenance

LANGUAGES = ("ar", "de", "en")
GROUPS = 12  # of queries that translate each other
KINDS = ("mono", "cross", "multi", "one-target")
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')
_QUERIES = {
    "ar": "ما هي عاصمة البلد رقم {}؟",
    "de": "Hauptstadt von Land {}?",
    "en": "Capital of {}?",
}


def build_capitals(folder: Path, name: str = "capitals.jsonl") -> Collection:
    """Load 12 queries in three languages, with an answer in each language; some texts are HTML."""
    rows: list[dict[str, Any]] = []
    for i in range(GROUPS):
        answers = {"ar": f"المدينة {i}", "de": f"Stadt {i} {HOSTILE[0]}", "en": f"City {i}"}
        queries = {lang: text.format(i) for lang, text in _QUERIES.items()}
        rows.append({"passage": f"p{i:02}", "text": answers})
        rows.append({"query": f"q{i:02}", "text": queries, "relevant": [f"p{i:02}"]})
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return bh.load("jsonl", path=str(path))


def evaluate_system(
    name: str,
    collection: Collection,
    *,
    failures: Iterable[tuple[str, int]] = (),
    is_biased: bool = False,
    **options: Any,
) -> bh.Results:
    """Evaluate vectors that rank all three answers first.

    Parameters
    ----------
    failures
        Queries whose answers come last instead, by language and number.
    is_biased
        Whether answers in other languages than the query's come last.
    """
    failures, count = set(failures), len(collection.passages)
    columns = {key: i for i, key in enumerate(collection.passages["id"].to_pylist())}
    vectors = np.zeros((len(collection.queries), count), np.float32)
    for vector, query in zip(vectors, collection.queries.to_pylist(), strict=True):
        number = int(query["id"][-2:])
        for lang in LANGUAGES:
            is_last = (is_biased and lang != query["lang"]) or (query["lang"], number) in failures
            vector[columns[f"{lang}:p{number:02}"]] = -1 if is_last else 1
    model = ModelProvenance(name, fingerprint={"kind": "vectors"})
    passages = Embeddings.from_array(np.eye(count, dtype=np.float32))
    system = CollectionVectors(Embeddings.from_array(vectors), passages, model)
    return bh.evaluate(system, collection, **({"settings": KINDS} | options))


class Page(HTMLParser):
    """The elements, tables and text of a page, as a browser would read it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.text = ""
        self._open: list[str] = []  # elements whose text is no text of a cell
        self._in_cell = False
        self._hidden_spans = 0  # that enclose the current text
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a table, a row, a cell."""
        self.elements.append((tag, dict(attrs)))
        if tag == "span" and (self._hidden_spans or "hidden" in dict(attrs)):
            self._hidden_spans += 1
        if tag in ("script", "style", "small", "caption", "option"):
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        if self._open and self._open[-1] == tag:
            self._open.pop()
        if tag == "span" and self._hidden_spans:
            self._hidden_spans -= 1
        if tag in ("td", "th", "table"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        """Add text to the page and to the open cell."""
        element = self._open[-1] if self._open else ""
        if element in ("script", "style") or self._hidden_spans:
            return
        self.text += data
        if element == "caption":
            self.captions[-1] += data
        elif element == "" and self._in_cell:
            self.tables[-1][-1][-1] += data

    def find_all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def find_table(self, caption: str) -> list[list[str]]:
        """Return the rows of the first table whose caption begins with a text, cells stripped."""
        captions = (text.strip() for text in self.captions)
        tables = zip(captions, self.tables, strict=True)
        rows = next(rows for text, rows in tables if text.startswith(caption))
        return [[cell.strip() for cell in row] for row in rows]

    def find_boards(self) -> list[list[list[str]]]:
        """Return the rows of each table of systems."""
        tables = zip(self.captions, self.tables, strict=True)
        return [
            [[cell.strip() for cell in row] for row in rows]
            for caption, rows in tables
            if "Bold: best measured value" in caption
        ]
