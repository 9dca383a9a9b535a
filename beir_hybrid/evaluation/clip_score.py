"""Captions, pictures and a model in, how well each caption describes its picture out: CLIPScore."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder, encode
from beir_hybrid.errors import BadData
from beir_hybrid.evaluation.evaluate import called, checked
from beir_hybrid.languages import choose_languages
from beir_hybrid.measures.arrays import divide

PREFIX = "A photo depicts "
WEIGHT = 2.5
_BLOCK = 1 << 14  # pairs whose vectors are in memory at once


@dataclass(frozen=True)
class ClipScore:
    """How well a collection's captions describe their pictures, as one model sees it.

    Figures of different scorers are not comparable.

    Attributes
    ----------
    scorer, fingerprint
        The model, and everything on which its vectors depend.
    clip_score
        By language: the mean over captions.
    ref_clip_score
        By language: the mean over captions that have a reference; languages without one are left
        out.
    pairs, referenced
        By language: how many captions these are means of.
    """

    scorer: str
    fingerprint: Mapping[str, Any]
    collection: str
    clip_score: dict[str, float]
    ref_clip_score: dict[str, float]
    pairs: dict[str, int]
    referenced: dict[str, int]

    def __repr__(self) -> str:
        """Name the scorer beside the figures."""
        shown = ", ".join(f"{lang} {value:.4f}" for lang, value in self.clip_score.items())
        return f"ClipScore({shown}; {self.collection!r} as {self.scorer!r} sees it)"


def clip_score(
    model: Any,
    collection: Collection,
    *,
    references: str | None = None,
    store: str | Path | None = None,
    **options: Any,
) -> ClipScore:
    """Return CLIPScore and RefCLIPScore of a collection's captions, language by language.

    ``CLIPScore = 2.5 max(cos(c, v), 0)`` for a caption c and its picture v, and ``RefCLIPScore`` is
    the harmonic mean of that and ``max(max_r cos(c, r), 0)`` over the references r, the picture's
    other captions. "A photo depicts " goes before every caption. Both are means over captions;
    pictures of equal files are one picture. They are a diagnostic of captions and of the model, not
    of a ranking, and say something about one scorer only: published figures are those of OpenAI's
    CLIP ViT-B/32 on English captions.

    Hessel, Holtzman, Forbes, Le Bras and Choi, "CLIPScore: A Reference-free Evaluation Metric for
    Image Captioning", EMNLP 2021.

    Parameters
    ----------
    model
        As for `evaluate`; one that reads pictures.
    references
        The language of the references; by default that of the caption.
    store
        The folder that embeddings are kept in; the cache's by default.
    options
        Of the encoder; see `SentenceTransformerEncoder`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> collection = bh.load("jsonl-image-text", path="pictures")  # doctest: +SKIP
    >>> bh.clip_score("sentence-transformers/clip-ViT-B-32", collection)  # doctest: +SKIP
    ClipScore(de 0.6127, en 0.7482; 'pictures' as 'sentence-transformers/clip-ViT-B-32' sees it)
    """
    judgements = checked(collection).resolve()
    judgements = judgements.select(judgements.relevance > 0)
    pairs = judgements.select(judgements.match_sides(SETTING_KINDS["text-image"]))
    # Of pictures of equal files, whose vectors are equal, each caption is scored with the first.
    pairs = pairs.select(np.unique(pairs.query, return_index=True)[1])
    if not len(pairs.query):
        raise BadData(f"{collection.name} has no caption with its picture: nothing to score")
    wanted = None
    if references is not None:
        (wanted,) = choose_languages(
            f"language of {collection.name}", references, collection.languages
        )
    encoder = as_encoder(model, **options)
    folder = Path(store) if store is not None else None
    seen = collection.passages.slice(collection.find_passage_rows(IMAGE).start)
    pictures = encode(encoder, seen["text"], "images", folder=folder, paths=seen["image"])
    others = _references(judgements, wanted)
    asked, captions = _captions(encoder, collection, pairs.query, others.passage, folder)
    first = collection.find_passage_rows(IMAGE).start
    of_picture = _cosines(asked, pairs.query, pictures, pairs.passage - first)
    scores = WEIGHT * np.maximum(of_picture, 0)
    place, best = _best(others.query, _cosines(asked, others.query, captions, others.passage))
    referenced = np.isin(pairs.query, place)
    nearest = best[np.searchsorted(place, pairs.query[referenced])]
    harmonic = 2 * divide(scores[referenced] * nearest, scores[referenced] + nearest, 0.0)
    langs = pairs.query_language
    plain = _means(collection, langs, scores)
    ref = _means(collection, langs[referenced], harmonic)
    return ClipScore(
        scorer=called(encoder),
        fingerprint=dict(encoder.fingerprint),
        collection=collection.name,
        clip_score={lang: mean for lang, (mean, _) in plain.items()},
        ref_clip_score={lang: mean for lang, (mean, _) in ref.items()},
        pairs={lang: n for lang, (_, n) in plain.items()},
        referenced={lang: n for lang, (_, n) in ref.items()},
    )


def _references(judgements: Judgements, wanted: str | None) -> Judgements:
    """Return the other captions of each caption's picture, in its language or in one wanted."""
    others = judgements.select_texts()
    lang = others.query_language
    if wanted is not None:
        lang = np.full_like(lang, judgements.languages.index(wanted))
    return others.select(others.passage_language == lang)


@dataclass(frozen=True)
class _Rows:
    """Vectors of some rows of a table, found by the rows' numbers."""

    rows: np.ndarray  # ascending
    vectors: Embeddings

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors.take(np.searchsorted(self.rows, rows))


def _captions(
    encoder: Encoder,
    collection: Collection,
    queries: np.ndarray,
    passages: np.ndarray,
    folder: Path | None,
) -> tuple[_Rows, _Rows]:
    """Encode captions, each once, whether it is asked or found."""
    asked, found = np.unique(queries), np.unique(passages)
    texts = [
        PREFIX + text
        for table, rows in ((collection.queries, asked), (collection.passages, found))
        for text in table["text"].take(to_arrow(rows)).to_pylist()
    ]
    column = pa.chunked_array([pa.array(texts, pa.string())])
    vectors = encode(encoder, column, "passages", folder=folder)
    cut = len(asked)
    return (
        _Rows(asked, vectors.part(range(cut))),
        _Rows(found, vectors.part(range(cut, len(texts)))),
    )


def _cosines(
    left: _Rows, row: np.ndarray, right: "_Rows | Embeddings", other: np.ndarray
) -> np.ndarray:
    """Return the cosine of each pair of rows; 0 where a vector is."""
    found = np.empty(len(row))
    for start in range(0, len(row), _BLOCK):
        within = slice(start, start + _BLOCK)
        pair = [
            some.take(at[within]).astype(np.float64) for some, at in ((left, row), (right, other))
        ]
        products = [np.einsum("ij,ij->i", a, b) for a, b in (pair, pair[:1] * 2, pair[1:] * 2)]
        found[within] = divide(products[0], np.sqrt(products[1] * products[2]), 0.0)
    return found


def _best(query: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the queries that have references, and the best cosine of each, at least 0."""
    asking, at = np.unique(query, return_inverse=True)
    best = np.zeros(len(asking))
    np.maximum.at(best, at, cosine)
    return asking, best


def _means(
    collection: Collection, lang: np.ndarray, value: np.ndarray
) -> dict[str, tuple[float, int]]:
    """Return the mean and the count of the values of each language that has any."""
    table = {code: value[lang == number] for number, code in enumerate(collection.languages)}
    return {code: (float(some.mean()), len(some)) for code, some in table.items() if len(some)}
