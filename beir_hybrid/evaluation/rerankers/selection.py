"""Selects a reranker by name or object, and the settings that it can rerank."""

from collections.abc import Sequence
from pathlib import Path

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding.endpoint import PREFIX
from beir_hybrid.encoding.families import Family, check_family, check_object_family
from beir_hybrid.encoding.pair_scorer import PairScorer
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.rerankers.blip import BlipMatcher
from beir_hybrid.evaluation.rerankers.cross_encoder import CrossEncoderScorer, locate_reranker
from beir_hybrid.evaluation.rerankers.endpoint import EndpointScorer
from beir_hybrid.evaluation.rerankers.image_matcher import ImageMatcher
from beir_hybrid.evaluation.rerankers.late_interaction import LateInteractionScorer
from beir_hybrid.evaluation.rerankers.vectors import VectorScorer
from beir_hybrid.results.replacement import RERANKER_WEIGHTS
from beir_hybrid.results.request import resolve_path

_RERANKERS: tuple[Family, ...] = ("cross-encoder", "late-interaction")
_BLIP_PREFIX = "blip:"  # of names of matchers


def open_pair_scorer(
    model: object, collection: Collection, store: Path | None = None
) -> PairScorer | VectorScorer:
    """Return the scorer of a collection's pairs by a reranker, or its name.

    Parameters
    ----------
    store
        The folder for vectors of tokens; the cache where it is None.
    """
    if isinstance(model, VectorScorer):
        return model
    if isinstance(model, str) and model.startswith(_BLIP_PREFIX):
        model = BlipMatcher(model.removeprefix(_BLIP_PREFIX))
    if isinstance(model, str) and model.startswith(PREFIX):
        return EndpointScorer(model)
    if isinstance(model, ImageMatcher):
        return model.bind(collection)
    if isinstance(model, str | Path):
        model = locate_reranker(model)
        family = check_family(model, _RERANKERS)
    else:
        family = check_object_family(model, _RERANKERS)
    if family == "late-interaction":
        return LateInteractionScorer(model, store)
    return CrossEncoderScorer(model)


def open_text_scorer(model: object) -> PairScorer:
    """Return the scorer of pairs of texts by a cross-encoder or an endpoint, or its name."""
    if isinstance(model, str) and model.startswith(PREFIX):
        return EndpointScorer(model)
    return CrossEncoderScorer(model)


def name_reranker(model: object) -> str | None:
    """Return a name by which `open_pair_scorer` finds a reranker again, or None."""
    if isinstance(model, BlipMatcher):
        model = f"{_BLIP_PREFIX}{model.model_name}"
    if not isinstance(model, str | Path):
        return None
    name = str(model)
    if name.startswith(_BLIP_PREFIX):
        return f"{_BLIP_PREFIX}{resolve_path(name.removeprefix(_BLIP_PREFIX))}"
    return resolve_path(name)


def list_reranker_facts(name: str) -> dict[str, object]:
    """Return the facts by which results tell rerankers apart, as far as a name tells them."""
    if name.startswith(_BLIP_PREFIX):
        return {}  # results describe a matcher in more words
    if name.startswith(PREFIX):
        scorer = EndpointScorer(name)  # asks no server
        return {"reranker": scorer.name, RERANKER_WEIGHTS: scorer.fingerprint}
    return {"reranker": name}


def select_reranked_kinds(
    scorer: PairScorer | VectorScorer, kinds: Sequence[KindName], *, must_have_all: bool
) -> list[KindName]:
    """Return the kinds of settings that a scorer can rerank.

    Raises
    ------
    BadOption
        If there is none or, where it must have all, if there is one that the scorer cannot rerank.
    """
    rerankable = [kind for kind in kinds if kind in scorer.setting_kinds]
    unsupported = [kind for kind in kinds if kind not in scorer.setting_kinds]
    if unsupported and (must_have_all or not rerankable):
        raise BadOption(
            f"{', '.join(unsupported)} settings cannot be reranked by {scorer.name}: it compares "
            f"{scorer.input_description}, in {', '.join(scorer.setting_kinds)}"
        )
    return rerankable
