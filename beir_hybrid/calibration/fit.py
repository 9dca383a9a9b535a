"""Fit calibrations: statistics of the vectors of each language, from texts or a collection."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from beir_hybrid.calibration.calibration import Calibration
from beir_hybrid.calibration.calibration_record import CalibrationData
from beir_hybrid.calibration.methods import CalibrationMethod, parse_method
from beir_hybrid.calibration.statistics import (
    LENGTH_SAMPLE,
    LanguageVectors,
    have_unit_length,
)
from beir_hybrid.calibration.translations import number_passages, number_texts
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.tables import CollectionTables
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder, encode
from beir_hybrid.encoding.encoder import Role
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.languages import normalise, normalise_variant

logger = logging.getLogger(__name__)

Texts = Mapping[str, Sequence[str]]  # by language
FEW_TEXTS = 50  # fewer of a language make uncertain statistics


def calibrate(
    model: object,
    data: Collection | Texts,
    method: str | CalibrationMethod = "mean-language",
    *,
    queries: Texts | None = None,
    name: str = "",
    store: str | Path | None = None,
    **options: object,
) -> Calibration:
    """Fit a calibration, which takes language bias out of a model's vectors and scores.

    Parameters
    ----------
    model
        As for `evaluate`: a hub name, a folder, a ``SentenceTransformer``, an `Encoder`, ...
    data
        A collection, whose passages and queries are taken, or texts by language. Fit on other data
        than those that you evaluate on, unless the corpus is what you will serve.
    method
        A method for vectors, one that merges scores, or both, such as ``mean-language+local:k=3``;
        see `parse_method`.
    queries
        Queries by language, for texts. Without queries, their vectors are corrected by the
        statistics of passages.
    name
        What to call the data in records; by default the name of the collection.
    store
        The folder for vectors; the cache by default.
    options
        Of the encoder; see `EncoderOptions`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> dev = bh.load("mlqa-r")  # doctest: +SKIP
    >>> calibration = bh.calibrate("intfloat/multilingual-e5-small", dev)  # doctest: +SKIP
    >>> calibration.save("e5-calibration")  # doctest: +SKIP
    """
    calibration_method = parse_method(method)
    if calibration_method.vectors is None:
        return Calibration(calibration_method)
    encoder = as_encoder(model, **options)
    folder = None if store is None else Path(store)
    if isinstance(data, Collection):
        if queries is not None:
            raise BadOption("queries go with texts; a collection has its own")
        passages = _encode_passages(encoder, data, folder)
        query_vectors = encode_queries(encoder, data, folder)
    else:
        passages = _encode_texts(encoder, data, "passages", folder)
        query_vectors = _encode_texts(encoder, queries or {}, "queries", folder)
    return fit_calibration(
        calibration_method,
        passages,
        query_vectors,
        fingerprint=encoder.fingerprint,
        name=name or (data.name if isinstance(data, Collection) else "texts"),
    )


def fit_calibration(
    method: CalibrationMethod,
    passages: LanguageVectors,
    queries: LanguageVectors,
    *,
    fingerprint: Mapping[str, object],
    name: str,
) -> Calibration:
    """Fit a calibration to vectors; queries may have none."""
    if method.vectors is None:
        return Calibration(method)
    if not passages.languages:
        raise BadData("there are no passages to calibrate on")
    roles = method.vectors.roles
    if "queries" in roles and queries.languages:
        _check_counts(queries, "queries")
    elif "queries" in roles:
        logger.warning(
            "there are no queries to calibrate on: their vectors are corrected by the statistics "
            "of passages"
        )
    if "passages" in roles or not queries.languages:
        _check_counts(passages, "passages")
    sources = {"passages": passages, "queries": queries if queries.languages else passages}
    corrections = {role: method.vectors.fit_correction(sources[role]) for role in roles}
    if len(passages.languages) == 1:
        changes = any(correction.changes_vectors for correction in corrections.values())
        logger.warning(
            "all passages are in %s: there is no language bias to take out%s",
            *passages.languages, f", and {method.vectors} changes vectors all the same" * changes,
        )  # fmt: skip
    return Calibration(
        method,
        corrections,
        unit_length=have_unit_length(passages.vectors.take(slice(0, LENGTH_SAMPLE))),
        dim=passages.vectors.dim,
        fingerprint=dict(fingerprint),
        data=CalibrationData(name, queries.counts, passages.counts),
    )


def _check_counts(vectors: LanguageVectors, role: str) -> None:
    """Raise `BadData` without enough texts, and warn where statistics are uncertain."""
    if single := [lang for lang, count in vectors.counts.items() if count < 2]:  # noqa: PLR2004
        raise BadData(
            f"there is one text among the {role} in {', '.join(single)}: statistics need several"
        )
    small_counts = [
        f"{lang} {count}" for lang, count in vectors.counts.items() if count < FEW_TEXTS
    ]
    if small_counts:
        logger.warning(
            "the statistics of %s come from few texts (%s): take %d or more of each language",
            role, ", ".join(small_counts), FEW_TEXTS,
        )  # fmt: skip


def _encode_passages(encoder: Encoder, data: Collection, folder: Path | None) -> LanguageVectors:
    table = data.view().passages
    vectors = encode(encoder, join_titles(table), "passages", folder=folder)
    ranges = {lang: data.find_passage_rows(lang) for lang in data.languages}
    return LanguageVectors(vectors, ranges, lambda: number_passages(data.resolve()))


def encode_queries(
    encoder: Encoder, data: CollectionTables, folder: Path | None
) -> LanguageVectors:
    """Encode the queries of a collection that are texts."""
    ranges = {lang: data.find_query_rows(lang) for lang in data.languages}
    n_queries = max((rows.stop for rows in ranges.values()), default=0)
    texts = data.queries["text"].slice(0, n_queries)
    vectors = encode(encoder, texts, "queries", folder=folder)
    return LanguageVectors(vectors, ranges, partial(number_texts, data.queries["group"]))


def _name_languages(texts: Texts) -> Texts:
    """Return texts by the codes of their languages, as collections have them."""
    if not isinstance(texts, Mapping):
        cure = f": bh.load({texts!r}) loads the dataset of that name" * isinstance(texts, str)
        raise BadOption(
            "a calibration takes a collection, or texts by language such as {'de': [...]}, not a "
            f"{type(texts).__name__}{cure}"
        )
    for name in (normalise, normalise_variant):
        codes = {name(language): entries for language, entries in texts.items()}
        if len(codes) == len(texts):
            return codes
    raise BadOption(f"the texts in {', '.join(texts)} have a language twice")


def _encode_texts(
    encoder: Encoder, texts: Texts, role: Role, folder: Path | None
) -> LanguageVectors:
    """Encode texts by language; those at the same place translate each other if all are alike."""
    ranges: dict[str, range] = {}
    column: list[str] = []
    for language, entries in _name_languages(texts).items():
        if isinstance(entries, str):
            raise BadOption(f"the texts in {language} are one text; give a list of them")
        if strangers := [text for text in entries if not isinstance(text, str)]:
            raise BadOption(f"a text in {language} is {strangers[0]!r}, and no string")
        ranges[language] = range(len(column), len(column) + len(entries))
        column += entries
    sizes = {len(rows) for rows in ranges.values()}

    def find_keys() -> np.ndarray | None:
        return np.tile(np.arange(min(sizes)), len(ranges)) if len(sizes) == 1 else None

    if not column:
        return LanguageVectors(Embeddings([], np.empty(0, np.int32), np.empty(0, np.int32)), ranges)
    vectors = encode(encoder, pa.chunked_array([column], pa.string()), role, folder=folder)
    return LanguageVectors(vectors, ranges, find_keys)
