"""A dense index and a question in, the best passages out, to be looked at by eye."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.checks import check_positive
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow, to_numpy
from beir_hybrid.collection.collection import retrieval_texts
from beir_hybrid.collection.shards import rows_of
from beir_hybrid.encoding import Encoder, as_encoder
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.languages import choose
from beir_hybrid.pyserini.dense import DenseIndex, open_index, parts_of, read_manifest
from beir_hybrid.sources import load


@dataclass(frozen=True)
class Hit:
    """A passage that a search found; `gold` where it is judged relevant to the question."""

    rank: int
    lang: str
    score: float
    id: str
    text: str
    gold: bool


@dataclass(frozen=True)
class Found:
    """The best passages for a question.

    Attributes
    ----------
    relevant
        How many passages of the collection are relevant to the question, of `lang` only if that
        was asked for; ``None`` if the question is none of the collection's.
    """

    hits: list[Hit]
    relevant: int | None


def search(
    folder: str | Path,
    question: str,
    *,
    lang: str | None = None,
    k: int = 10,
    collection: Collection | None = None,
    model: Any = None,
    force: bool = False,
    **options: Any,
) -> Found:
    """Search an index that `build_index` made, in all its shards.

    Parameters
    ----------
    lang
        The language of passages to look for; all by default.
    collection
        What the index was built from; by default the dataset that the index names is loaded.
    model, options
        Of the query encoder; by default what the index was built with.
    force
        Take another model than the index was built with, too.
    """
    check_positive(k=k)
    if not question.strip():
        raise BadOption("the question is empty")
    folder = Path(folder)
    parts = parts_of(folder)
    about = read_manifest(parts[0])
    if lang is not None:
        (lang,) = choose(f"language of {folder}", lang, about["languages"])
    if collection is None:
        collection = _collection_of(folder, about)
    encoder = _encoder_of(about) if model is None else as_encoder(model, **options)
    best: list[tuple[float, str]] = []
    for part in parts:
        index = open_index(part, encoder, force=force)
        best += _nearest(index, question, lang, k)
        best = sorted(best, reverse=True)[:k]
    return _described(folder, best, question, lang, collection)


def _encoder_of(about: Mapping[str, Any]) -> Encoder:
    """Load the model that an index was built with."""
    model = about["model"]
    options = dict(model["options"])
    if model["revision"] and not Path(model["name"]).is_dir():
        options.setdefault("revision", model["revision"])
    return as_encoder(model["name"], **options)


def _collection_of(folder: Path, about: Mapping[str, Any]) -> Collection:
    """Load the dataset that an index was built from."""
    known, name = about.get("dataset"), about["collection"]["name"]
    cure = "name the dataset, such as --dataset jsonl -o path=FILE"
    if not known:
        raise BadOption(f"{folder} was built from {name!r}, which was given as an object; {cure}")
    found = load(known["name"], known["languages"], **known["options"])
    hashes = [origin["sha256"] for origin in about["collection"]["provenance"]]
    if [origin.sha256 for origin in found.provenance] != hashes:
        raise BadData(
            f"{name} has changed since {folder} was built from it; build it anew, or {cure}"
        )
    return found


def _nearest(index: DenseIndex, question: str, lang: str | None, k: int) -> list[tuple[float, str]]:
    """Return scores and ids of the k best passages, of a language if one is given."""
    wanted = min(k, len(index.ids))
    while True:
        (found,) = index.search([question], wanted)
        mine = [(score, key) for key, score in found if lang is None or key.startswith(f"{lang}:")]
        # No kind of index looks for one language: more is asked for until there is enough.
        if len(mine) >= k or wanted == len(index.ids):
            return mine[:k]
        wanted = min(4 * wanted, len(index.ids))


def _described(
    folder: Path,
    best: list[tuple[float, str]],
    question: str,
    lang: str | None,
    collection: Collection,
) -> Found:
    """Add what the collection knows of the passages."""
    rows = rows_of(collection.passages["id"], pa.array([key for _, key in best], pa.string()))
    if (rows < 0).any():
        lost = best[int(np.argmin(rows))][1]
        raise BadData(f"{folder} holds {lost!r}, which {collection.name} lacks: name its dataset")
    texts = retrieval_texts(collection.view().documents.take(to_arrow(rows))).to_pylist()
    relevant = _relevant(collection, question, lang)
    hits = [
        Hit(rank, key.partition(":")[0], score, key, text, row in (relevant or ()))
        for rank, ((score, key), row, text) in enumerate(
            zip(best, rows.tolist(), texts, strict=True), start=1
        )
    ]
    return Found(hits, None if relevant is None else len(relevant))


def _relevant(collection: Collection, question: str, lang: str | None) -> set[int] | None:
    """Return the rows of the passages relevant to a question, if it is one of the collection's."""
    same = pc.equal(pc.utf8_trim_whitespace(collection.queries["text"]), question.strip())
    asked = np.flatnonzero(same.to_numpy())
    if not len(asked):
        return None
    query, passage, relevance = (
        to_numpy(collection.judgements[name]) for name in ("query", "passage", "relevance")
    )
    rows = passage[np.isin(query, asked) & (relevance > 0)]
    if lang is not None:
        mine = collection.passage_rows(lang)
        rows = rows[(rows >= mine.start) & (rows < mine.stop)]
    return set(rows.tolist())
