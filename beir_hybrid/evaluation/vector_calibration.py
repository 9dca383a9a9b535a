"""Takes language bias out of the vectors of a collection."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from beir_hybrid.calibration import Calibration
from beir_hybrid.calibration.fit import fit_calibration
from beir_hybrid.calibration.methods import CalibrationMethod
from beir_hybrid.calibration.statistics import LanguageVectors
from beir_hybrid.calibration.translations import number_passages, number_texts
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.vectors import CollectionVectors


def calibrate_vectors(
    vectors: CollectionVectors,
    judgements: Judgements,
    calibration: Calibration | CalibrationMethod,
    *,
    folder: Path | None = None,
) -> CollectionVectors:
    """Take language bias out of vectors; a method without statistics is fitted to these vectors.

    `folder` is that of stored embeddings.
    """
    queries, passages, model = vectors.queries, vectors.passages, vectors.model
    if not isinstance(queries, Embeddings) or not isinstance(passages, Embeddings):
        raise BadOption(
            f"a calibration corrects dense vectors, and {model.name} is no dense model: leave the "
            "calibration out"
        )
    if model.calibration is not None:
        raise BadOption(
            f"the vectors of {model.name} are calibrated already, by {model.calibration['method']}"
        )
    query_ranges, passage_ranges = judgements.query_ranges, judgements.passage_ranges
    if isinstance(calibration, CalibrationMethod):
        find_keys = partial(number_passages, judgements)
        find_groups = partial(number_texts, judgements.query_groups)
        calibration = fit_calibration(
            calibration,
            LanguageVectors(passages, _select_texts(passage_ranges), find_keys),
            LanguageVectors(queries, _select_texts(query_ranges), find_groups),
            fingerprint=model.fingerprint,
            name=judgements.name,
        )
    calibration.check_model(model.fingerprint, passages.dim, model.name)
    correct = partial(calibration.correct, folder=folder)
    return replace(
        vectors,
        queries=correct(queries, query_ranges, "queries"),
        passages=correct(passages, passage_ranges, "passages"),
        model=replace(
            model, name=f"{model.name} + {calibration}", calibration=calibration.describe()
        ),
        merge=calibration.method.merge,
    )


def _select_texts(ranges: Mapping[str, range]) -> dict[str, range]:
    """Return the rows of languages; images are in none, and no statistics are theirs."""
    return {lang: rows for lang, rows in ranges.items() if lang != IMAGE}
