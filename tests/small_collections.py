"""Small collections for tests."""

import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from beir_hybrid.collection import Collection, CollectionWriter, open_collection
from beir_hybrid.collection.beir_dicts import from_beir

Fill = Callable[[CollectionWriter], object]


def write_small(writer: CollectionWriter) -> None:
    """Write four passages in three languages, and three queries, two of them translations."""
    writer.add_passage("en", "p1", "Rome", "All roads lead there.")
    writer.add_passage("es", "p1", "Roma", "Todos los caminos llevan.")
    writer.add_passage("en", "p2", "", "A river runs.")
    writer.add_passage("de", "p1", "Rom", "Alle Wege führen dorthin.")
    english = writer.add_query("en", "a", "Where do roads lead?", "a")
    german = writer.add_query("de", "a", "Wohin führen Wege?", "a")
    river = writer.add_query("en", "b", "What runs?", "b")
    for query in (english, german):
        for passage in ("en:p1", "de:p1", "es:p1"):
            writer.add_judgement(query, passage)
    writer.add_judgement(river, "en:p2", 2)
    writer.add_judgement(river, "en:p1", 0)
    writer.add_judgement(river, "de:p1", 0)


def collect(folder: Path, fill: Fill, title_policy: str = "title+text") -> Collection:
    folder.mkdir(exist_ok=True)
    writer = CollectionWriter(folder, "tiny")
    fill(writer)
    writer.finish(title_policy="text" if title_policy == "text" else "title+text")
    return open_collection(folder)


def write_parallel_words(path: Path, languages: Sequence[str]) -> Path:
    """Write 60 passages and queries of words of `tests.models`, translated, as JSON lines."""
    rows: list[dict[str, object]] = []
    for n in range(60):
        texts = {lang: f"w{n} w{n + at}" for at, lang in enumerate(languages)}
        rows.append({"passage": f"p{n}", "text": texts})
        rows.append({"query": f"q{n}", "text": texts, "relevant": [f"p{n}"]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def make_word_collection() -> Collection:
    """Make queries and passages of words of `tests.models` in three languages; passages repeat."""
    draw = np.random.default_rng(4)

    def draw_text(n: int) -> str:
        return " ".join(f"w{word}" for word in draw.integers(0, 40, n))

    corpus, queries, qrels = {}, {}, {}
    for lang, size in (("de", 30), ("en", 24), ("th", 9)):
        for number in range(size):
            corpus[f"{lang}:{number}"] = {"text": draw_text(int(draw.integers(1, 12)))}
        corpus[f"{lang}:{size - 1}"] = corpus["de:0"]
    for number, lang in product(range(5), ("de", "en", "th")):
        queries[f"{lang}:q:{number}"] = draw_text(3)
        qrels[f"{lang}:q:{number}"] = {f"{other}:{number}": 1 for other in ("de", "en", "th")}
        qrels[f"{lang}:q:{number}"][f"en:{number + 8}"] = 2
    return from_beir(corpus, queries, qrels, name="words")
