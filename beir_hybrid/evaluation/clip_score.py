"""CLIPScore: how well captions describe their images, as a model of texts and images sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder, encode
from beir_hybrid.errors import BadData
from beir_hybrid.evaluation.arguments import check_collection
from beir_hybrid.evaluation.dtype_choice import choose_dtype
from beir_hybrid.evaluation.vectors import name_model
from beir_hybrid.languages import choose_languages
from beir_hybrid.measures.arrays import divide

PREFIX = "A photo depicts "
WEIGHT = 2.5
_BLOCK_SIZE = 1 << 14  # pairs whose vectors are in memory at once


@dataclass(frozen=True)
class ClipScore:
    """How well a collection's captions describe their images, as one model sees it.

    Scores of different models are not comparable.

    Attributes
    ----------
    scorer, fingerprint
        The model, and everything on which its vectors depend.
    clip_score
        By language: the mean over captions.
    ref_clip_score
        By language: the mean over captions that have a reference; languages without one are left
        out.
    caption_counts, reference_counts
        By language: how many captions the two means are of.
    """

    scorer: str
    fingerprint: Mapping[str, object]
    collection: str
    clip_score: dict[str, float]
    ref_clip_score: dict[str, float]
    caption_counts: dict[str, int]
    reference_counts: dict[str, int]

    def __repr__(self) -> str:
        """Return the scores by language, and the model's name."""
        scores = ", ".join(f"{lang} {value:.4f}" for lang, value in self.clip_score.items())
        return f"ClipScore({scores}; {self.collection!r} as {self.scorer!r} sees it)"


def compute_clip_score(
    model: object,
    collection: Collection,
    *,
    references: str | None = None,
    store: str | Path | None = None,
    **options: object,
) -> ClipScore:
    """Compute CLIPScore and RefCLIPScore of a collection's captions, language by language.

    ``CLIPScore = 2.5 max(cos(c, v), 0)`` for a caption c and its image v, and ``RefCLIPScore`` is
    the harmonic mean of that and ``max(max_r cos(c, r), 0)`` over the references r, the image's
    other captions. "A photo depicts " goes before every caption. Both are means over captions;
    images of equal files are one image. They are a diagnostic of captions and of the model, not of
    a ranking, and hold for one model only: published figures are those of OpenAI's CLIP ViT-B/32 on
    English captions.

    Hessel, Holtzman, Forbes, Le Bras and Choi, "CLIPScore: A Reference-free Evaluation Metric for
    Image Captioning", EMNLP 2021.

    Parameters
    ----------
    model
        As for `evaluate`; one that reads images.
    references
        The language of the references; by default that of the caption.
    store
        The folder for embeddings; the cache by default.
    options
        Of the encoder; see `EncoderOptions`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> collection = bh.load("jsonl-image-text", path="photos")  # doctest: +SKIP
    >>> bh.compute_clip_score("sentence-transformers/clip-ViT-B-32", collection)  # doctest: +SKIP
    ClipScore(de 0.6127, en 0.7482; 'photos' as 'sentence-transformers/clip-ViT-B-32' sees it)
    """
    judgements = check_collection(collection).resolve()
    judgements = judgements.select(judgements.relevance > 0)
    captions = _pair_captions_with_images(judgements)
    reference_pairs = _pair_captions_with_references(judgements, references)
    folder = Path(store) if store is not None else None
    encoder = choose_dtype(as_encoder(model, **options), collection, folder)
    images = _encode_images(encoder, collection, folder)
    query_vectors, reference_vectors = _encode_captions(
        encoder, collection, captions.query, reference_pairs.passage, folder
    )
    image_cosines = _compute_cosines(query_vectors, captions.query, images, captions.passage)
    scores = WEIGHT * np.maximum(image_cosines, 0)
    reference_cosines = _compute_cosines(
        query_vectors, reference_pairs.query, reference_vectors, reference_pairs.passage
    )
    has_reference, reference_scores = _score_references(
        captions.query, scores, reference_pairs.query, reference_cosines
    )
    language = captions.query_language
    means = _average_by_language(judgements, language, scores)
    reference_means = _average_by_language(judgements, language[has_reference], reference_scores)
    return ClipScore(
        scorer=name_model(encoder),
        fingerprint=dict(encoder.fingerprint),
        collection=collection.name,
        clip_score={lang: mean for lang, (mean, _) in means.items()},
        ref_clip_score={lang: mean for lang, (mean, _) in reference_means.items()},
        caption_counts={lang: n for lang, (_, n) in means.items()},
        reference_counts={lang: n for lang, (_, n) in reference_means.items()},
    )


def _pair_captions_with_images(judgements: Judgements) -> Judgements:
    """Return the judgements of captions as queries for their images, one for each caption.

    Of several images with equal files, whose vectors are equal, the first counts.
    """
    pairs = judgements.select(judgements.match_sides(SETTING_KINDS["text-image"]))
    pairs = pairs.select(np.unique(pairs.query, return_index=True)[1])
    if not len(pairs.query):
        raise BadData(f"{judgements.name} has no caption with its image: nothing to score")
    return pairs


def _pair_captions_with_references(judgements: Judgements, language: str | None) -> Judgements:
    """Return the judgements of captions as queries for other captions of their images.

    The references are in the given language or, by default, in that of the caption.
    """
    pairs = judgements.select_texts()
    reference_language = pairs.query_language
    if language is not None:
        kind = f"language of {judgements.name}"
        (code,) = choose_languages(kind, language, judgements.languages)
        number = judgements.languages.index(code)
        reference_language = np.full_like(reference_language, number)
    return pairs.select(pairs.passage_language == reference_language)


class _RowVectors(NamedTuple):
    """Vectors of some rows of a table."""

    rows: np.ndarray  # ascending
    vectors: Embeddings

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors.take(np.searchsorted(self.rows, rows))


def _encode_images(encoder: Encoder, collection: Collection, folder: Path | None) -> _RowVectors:
    rows = collection.find_passage_rows(IMAGE)
    images = collection.passages.slice(rows.start)
    vectors = encode(encoder, images["text"], "images", folder=folder, paths=images["image"])
    return _RowVectors(np.arange(rows.start, rows.stop), vectors)


def _encode_captions(
    encoder: Encoder,
    collection: Collection,
    query: np.ndarray,
    passage: np.ndarray,
    folder: Path | None,
) -> tuple[_RowVectors, _RowVectors]:
    """Encode captions among queries and among passages, each once."""
    query_rows, passage_rows = np.unique(query), np.unique(passage)
    texts = [
        PREFIX + text
        for table, rows in ((collection.queries, query_rows), (collection.passages, passage_rows))
        for text in table["text"].take(to_arrow(rows)).to_pylist()
    ]
    column = pa.chunked_array([pa.array(texts, pa.string())])
    vectors = encode(encoder, column, "passages", folder=folder)
    n = len(query_rows)
    return (
        _RowVectors(query_rows, vectors.slice_rows(range(n))),
        _RowVectors(passage_rows, vectors.slice_rows(range(n, len(texts)))),
    )


def _compute_cosines(
    left_vectors: _RowVectors,
    left_rows: np.ndarray,
    right_vectors: _RowVectors,
    right_rows: np.ndarray,
) -> np.ndarray:
    """Return the cosine of each pair of rows; 0 where a vector is 0."""
    cosines = np.empty(len(left_rows))
    for start in range(0, len(left_rows), _BLOCK_SIZE):
        block = slice(start, start + _BLOCK_SIZE)
        left = left_vectors.take(left_rows[block]).astype(np.float64)
        right = right_vectors.take(right_rows[block]).astype(np.float64)
        product, left_square, right_square = (
            np.einsum("ij,ij->i", a, b) for a, b in ((left, right), (left, left), (right, right))
        )
        cosines[block] = divide(product, np.sqrt(left_square * right_square), 0.0)
    return cosines


def _score_references(
    query: np.ndarray, scores: np.ndarray, reference_query: np.ndarray, cosine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mark the queries with a reference, (n,) bool, and compute RefCLIPScore of these."""
    distinct, best_cosine = _find_best_cosines(reference_query, cosine)
    has_reference = np.isin(query, distinct)
    nearest = best_cosine[np.searchsorted(distinct, query[has_reference])]
    product, total = scores[has_reference] * nearest, scores[has_reference] + nearest
    return has_reference, 2 * divide(product, total, 0.0)


def _find_best_cosines(query: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct queries, and the best cosine of each, at least 0."""
    distinct, place = np.unique(query, return_inverse=True)
    best = np.zeros(len(distinct))
    np.maximum.at(best, place, cosine)
    return distinct, best


def _average_by_language(
    judgements: Judgements, language: np.ndarray, values: np.ndarray
) -> dict[str, tuple[float, int]]:
    """Return the mean and the count of the values of each language that has any."""
    values_by_language = {
        code: values[language == number] for number, code in enumerate(judgements.languages)
    }
    return {code: (float(v.mean()), len(v)) for code, v in values_by_language.items() if len(v)}
