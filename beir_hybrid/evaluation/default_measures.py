"""The measures of an evaluation for which none are named."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Iterable

from ir_measures import AP, Measure, R, Success, nDCG

from beir_hybrid.collection.setting import KindName
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.bias.language_disparity import LanguageDisparity
from beir_hybrid.measures.bias.language_exposure import LanguageExposure
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.modality_share import ModalityShare
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare

_BIAS_MEASURES: tuple[Measure, ...] = (
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
    LanguageExposure @ 10,
)
MEASURES: tuple[Measure, ...] = (AP, nDCG @ 10, R @ 1, R @ 10, R @ 100, *_BIAS_MEASURES)
# Papers on images mean either recall or success by R@k: both are here.
IMAGE_MEASURES: tuple[Measure, ...] = (
    AP,
    nDCG @ 10,
    R @ 1,
    R @ 10,
    Success @ 1,
    Success @ 10,
    *_BIAS_MEASURES,
    LanguageDisparity,
    LanguageDisparity(normalized=True),
    ModalityShare @ 10,
)


def default_measures(has_images: bool, kinds: Iterable[KindName] | None = None) -> list[Measure]:
    """Return the default measures, without those of bias that apply to none of the kinds."""
    measures = IMAGE_MEASURES if has_images else MEASURES
    if kinds is None:
        return list(measures)
    kind_set = set(kinds)
    return [m for m in measures if not isinstance(m, BiasMeasure) or m.SETTINGS & kind_set]
