"""The calibration of an index: stored with it, applied to its passages and to queries."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beir_hybrid.calibration import Calibration, as_calibration
from beir_hybrid.calibration.detection import detect_languages
from beir_hybrid.calibration.fit import encode_queries, fit_calibration
from beir_hybrid.calibration.methods import CalibrationMethod
from beir_hybrid.calibration.statistics import LanguageVectors
from beir_hybrid.calibration.translations import number_passages
from beir_hybrid.collection import View
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.encoding import Embeddings, Encoder
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.vectors import name_model
from beir_hybrid.languages import match_code, normalise
from beir_hybrid.pyserini.manifest import (
    CALIBRATION,
    MANIFEST,
    OWN_STATISTICS,
    CalibrationRecord,
    IndexManifest,
    list_shards,
    read_manifest,
)
from beir_hybrid.records import to_record

logger = logging.getLogger(__name__)


def describe_calibration(calibration: Calibration | CalibrationMethod) -> CalibrationRecord:
    """Return the facts that determine an index's passages after a calibration."""
    if isinstance(calibration, CalibrationMethod):
        return {"method": str(calibration), "statistics": OWN_STATISTICS}
    return {
        "method": str(calibration),
        "statistics": calibration.compute_checksum(),
        "data": to_record(calibration.data),
    }


def check_calibration(
    calibration: Calibration | CalibrationMethod | None, encoder: Encoder
) -> None:
    """Raise `BadOption`, before anything is encoded, if a calibration is of another model."""
    if isinstance(calibration, Calibration):
        calibration.check_model(encoder.fingerprint, calibration.dim, name_model(encoder))


def calibrate_passages(
    calibration: Calibration | CalibrationMethod,
    vectors: Embeddings,
    view: View,
    encoder: Encoder,
    judgements: Judgements,
    folder: Path | None,
) -> tuple[Embeddings, Calibration]:
    """Return the calibrated vectors of a view's passages, and the calibration.

    A method is fitted to these passages, and to the queries of the collection if it has any.
    """
    bounds = np.cumsum([0, *map(len, view.passage_ranges)]).tolist()
    languages = zip(view.passage_languages, bounds, bounds[1:], strict=False)
    ranges = {language: range(start, stop) for language, start, stop in languages}
    if isinstance(calibration, CalibrationMethod):

        def find_keys() -> np.ndarray | None:
            numbers = number_passages(judgements)
            rows = [np.arange(span.start, span.stop) for span in view.passage_ranges]
            return None if numbers is None else numbers[np.concatenate(rows)]

        calibration = fit_calibration(
            calibration,
            LanguageVectors(vectors, ranges, find_keys),
            encode_queries(encoder, view.collection, folder),
            fingerprint=encoder.fingerprint,
            name=view.collection.name,
        )
    calibration.check_model(encoder.fingerprint, vectors.dim, name_model(encoder))
    return calibration.correct(vectors, ranges, "passages", folder=folder), calibration


def load_index_calibration(folder: Path, manifest: IndexManifest) -> Calibration | None:
    """Return the calibration of an index, or None if it is not calibrated."""
    return Calibration.load(folder / CALIBRATION) if "calibration" in manifest else None


def find_calibration(
    calibration: object, encoder: Encoder, *, merges: bool = False
) -> Calibration | None:
    """Return a calibration for the queries of a model, by its folder or that of an index.

    Parameters
    ----------
    merges
        Whether the caller merges languages; if not, a method that does is warned of.
    """
    if isinstance(calibration, str | Path) and _is_index(Path(calibration)):
        shard = list_shards(calibration)[0]
        folder, calibration = calibration, load_index_calibration(shard, read_manifest(shard))
        if calibration is None:
            raise BadOption(f"{folder} is an index without a calibration")
    choice = as_calibration(calibration)
    if isinstance(choice, CalibrationMethod):
        raise BadOption(
            f"{choice} needs the statistics of passages and queries: name the folder of a "
            "calibration, or of an index that is calibrated"
        )
    check_calibration(choice, encoder)
    if choice and choice.method.merge and not merges:
        logger.warning(
            "Pyserini does not merge languages: %s is left out; beir-hybrid search and "
            "bh.open_index apply it", choice.method.merge,
        )  # fmt: skip
    return choice


def _is_index(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or any(folder.glob(f"shard-*/{MANIFEST}"))


def find_query_languages(
    queries: Sequence[str],
    languages: str | Sequence[str | None] | None,
    calibration: Calibration | None,
) -> list[str | None]:
    """Return the language of each query, as far as its correction needs that.

    Parameters
    ----------
    languages
        The language of all queries, or of each; None detects them.
    """
    if isinstance(queries, str):
        raise BadOption("a text is given for the queries; give a list of texts")
    correction = calibration.corrections.get("queries") if calibration else None
    if languages is not None:
        tags = [languages] * len(queries) if isinstance(languages, str) else list(languages)
        if len(tags) != len(queries):
            raise BadOption(f"there are {len(tags)} languages for {len(queries)} queries")
        codes = [None if tag is None else match_query_language(tag, calibration) for tag in tags]
        if correction is None:
            logger.warning("the language of a query changes nothing here: no query is calibrated")
        return codes
    if correction is None:
        return [None] * len(queries)
    return detect_languages(queries, correction.languages)


def match_query_language(tag: str, calibration: Calibration | None) -> str:
    """Return the code of a language in a calibration's statistics of queries, or its usual code."""
    correction = calibration.corrections.get("queries") if calibration else None
    code = match_code(tag, correction.languages) if correction else None
    return code or normalise(tag)


def correct_queries(
    vectors: np.ndarray, languages: Sequence[str | None], calibration: Calibration | None
) -> np.ndarray:
    """Return the vectors of queries, each corrected by its language, (n, dim) float32."""
    if calibration is None or "queries" not in calibration.corrections:
        return vectors
    corrected = np.empty(vectors.shape, np.float32)
    for language in dict.fromkeys(languages):
        rows = [number for number, code in enumerate(languages) if code == language]
        corrected[rows] = calibration.correct_queries(vectors[rows], language)
    return corrected
