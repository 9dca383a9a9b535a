"""Modality share: how many of the first places images have among captions and images."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

from __future__ import annotations

from typing import TYPE_CHECKING

from beir_hybrid.measures.arrays import cut_top_languages, divide, find_relevant
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.parameters import pick_parameters

if TYPE_CHECKING:
    import numpy as np

    from beir_hybrid.measures.ranked_judgements import RankedJudgements


class _ModalityShare(BiasMeasure):
    """The share of the first k places of a pool of captions and images that images have.

    ``MS@k = |{i <= k: d_i is a image}| / min(k, retrieved)``; the cutoff is required. An image's
    id starts with ``image:``.

    Neither high nor low is better: the share of images among the relevant passages is unbiased
    (``rel`` says which are relevant, for that alone). A model whose vectors of texts lie apart from
    those of images finds captions only.

    A query that the run lacks counts 1.

    Examples
    --------
    >>> import ir_measures
    >>> measure, qrels = ModalityShare @ 3, {"de:q:1": {"image:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"en:1": 0.9, "image:1": 0.8, "en:2": 0.6}}
    >>> values = ir_measures.calc_aggregate([measure], qrels, run)
    >>> round(values[measure], 4)
    0.3333
    """

    NAME = __name__ = "ModalityShare"
    PRETTY_NAME = "Modality Share at k"
    SHORT_DESC = "The share of the first k passages that are images."
    SUPPORTED_PARAMS = pick_parameters("cutoff rel langs")
    LABEL = "Images"
    SENTENCE = (
        "share of the first places that images have, where captions and images are ranked together"
    )
    DIRECTION = "near the unbiased value"
    SETTINGS = frozenset(("mixed",))
    NEEDS_CUTOFF = True

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        top, counts = cut_top_languages(self, judgements)
        n_images = ((top == judgements.image_number) & (top >= 0)).sum(axis=1)
        return divide(n_images, counts, otherwise=1.0)

    def _compute_unbiased(self, judgements: RankedJudgements) -> np.ndarray:
        rows = find_relevant(self, judgements)
        is_image = judgements.passage_language[rows] == judgements.image_number
        n_images = judgements.sum_by_query(rows[is_image])
        return divide(n_images, judgements.sum_by_query(rows))


ModalityShare = _ModalityShare()
