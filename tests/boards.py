"""Systems of known quality on a small collection, to be put on a leaderboard."""

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

LANGS = ("ar", "de", "en")
QUESTIONS = 12
KINDS = ("mono", "cross", "multi", "one-target")
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')
_TEXTS = {
    "ar": "ما هي عاصمة البلد رقم {}؟",
    "de": "Hauptstadt von Land {}?",
    "en": "Capital of {}?",
}


def collection(folder: Path, name: str = "capitals.jsonl") -> Collection:
    """Return 12 questions in three languages, each with an answer in each; some texts are HTML."""
    rows: list[dict[str, Any]] = []
    for n in range(QUESTIONS):
        answers = {"ar": f"المدينة {n}", "de": f"Stadt {n} {HOSTILE[0]}", "en": f"City {n}"}
        asked = {lang: text.format(n) for lang, text in _TEXTS.items()}
        rows.append({"passage": f"p{n:02}", "text": answers})
        rows.append({"question": f"q{n:02}", "text": asked, "relevant": [f"p{n:02}"]})
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return bh.load("jsonl", path=str(path))


def system(
    name: str,
    on: Collection,
    *,
    lost: Iterable[tuple[str, int]] = (),
    own: bool = False,
    **options: Any,
) -> bh.Results:
    """Evaluate vectors that put all three answers first; with `own`, the other languages' last.

    For questions that are `lost`, by language and number, all answers come last.
    """
    wrong, n = set(lost), len(on.passages)
    place = {key: at for at, key in enumerate(on.passages["id"].to_pylist())}
    rows = np.zeros((len(on.queries), n), np.float32)
    for row, query in zip(rows, on.queries.to_pylist(), strict=True):
        number = int(query["id"][-2:])
        for lang in LANGS:
            good = lang == query["lang"] or not own
            sign = -1 if not good or (query["lang"], number) in wrong else 1
            row[place[f"{lang}:p{number:02}"]] = sign
    model = ModelProvenance(name, fingerprint={"kind": "vectors"})
    vectors = CollectionVectors(
        Embeddings.from_array(rows), Embeddings.from_array(np.eye(n, dtype=np.float32)), model
    )
    return bh.evaluate(vectors, on, **({"settings": KINDS} | options))


class Page(HTMLParser):
    """What a page holds, as a browser would read it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._cell = False  # whether text is in one
        self._hidden = 0  # spans, one in the other, that a browser does not show
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a table, a row, a cell."""
        self.tags.append((tag, dict(attrs)))
        if tag == "span" and (self._hidden or "hidden" in dict(attrs)):
            self._hidden += 1
        if tag in ("script", "style", "small", "caption", "option"):
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        """Close what is not text of the page."""
        if self._open and self._open[-1] == tag:
            self._open.pop()
        if tag == "span" and self._hidden:
            self._hidden -= 1
        if tag in ("td", "th", "table"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        """Add text to the page and the cell that is open."""
        inside = self._open[-1] if self._open else ""
        if inside in ("script", "style") or self._hidden:
            return
        self.text += data
        if inside == "caption":
            self.captions[-1] += data
        elif inside == "" and self._cell:
            self.tables[-1][-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def board(self) -> list[list[str]]:
        """Return the rows of the first table of systems, text stripped."""
        at = next(n for n, text in enumerate(self.captions) if "Bold: best value" in text)
        return [[cell.strip() for cell in row] for row in self.tables[at]]

    def table(self, caption: str) -> list[list[str]]:
        """Return the rows of the table whose caption begins so, text stripped."""
        at = next(n for n, text in enumerate(self.captions) if text.strip().startswith(caption))
        return [[cell.strip() for cell in row] for row in self.tables[at]]
