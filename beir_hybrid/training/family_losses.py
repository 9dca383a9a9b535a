"""Losses of hybrid batch training for sparse, late-interaction and cross-encoder models.

As in `HybridContrastiveLoss`, a query's passage stands against those of the other rows and hard
negatives, and relevant passages are no negatives.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from sentence_transformers.sparse_encoder.losses import SpladeLoss
from sentence_transformers.util import batch_to_device
from sentence_transformers.util.similarity import maxsim
from torch import Tensor, nn

from beir_hybrid.checks import check_above_zero, check_not_negative, check_positive
from beir_hybrid.errors import BadData
from beir_hybrid.training.batch_labels import (
    BatchLabels,
    find_masked,
    mask_golds,
    split_labels,
)
from beir_hybrid.training.loss import HybridContrastiveLoss


class HybridSparseLoss(SpladeLoss):
    """The loss of sparse models: the contrastive one of inner products, and FLOPS regularisers.

    Relations
    ---------
    sentence-transformers' ``SpladeLoss`` around its ``SparseMultipleNegativesRankingLoss``, with
    relevant passages masked.

    Parameters
    ----------
    temperature
        What inner products are divided by.
    mask
        Whether a query's relevant passages are excluded from its negatives.
    query_weight, passage_weight
        Of the regularisers, by which most weights of terms become 0; more makes fewer terms.
    """

    def __init__(
        self,
        model: Any,  # a SparseEncoder
        *,
        temperature: float = 1.0,
        mask: bool = True,
        query_weight: float = 5e-5,
        passage_weight: float = 3e-5,
    ) -> None:
        check_not_negative(query_weight=query_weight, passage_weight=passage_weight)
        contrast = _InnerProductLoss(None, temperature=temperature, mask=mask)
        super().__init__(model, contrast, passage_weight, query_weight)

    def get_config_dict(self) -> dict[str, object]:
        """Return the parameters, for the model card."""
        return {
            "temperature": self.loss.temperature,
            "mask": self.loss.mask,
            "query_weight": self.query_regularizer_weight,
            "passage_weight": self.document_regularizer_weight,
        }


class _InnerProductLoss(HybridContrastiveLoss):
    """The contrastive loss of inner products of weights of terms."""

    def prepare_rows(self, vectors: Tensor) -> Tensor:
        """Return vectors in single precision."""
        return (vectors.to_dense() if vectors.is_sparse else vectors).float()


class HybridLateLoss(nn.Module):
    """The loss of late-interaction models: the contrastive one of MaxSim.

    Relations
    ---------
    sentence-transformers' ``MultiVectorMultipleNegativesRankingLoss``, with relevant passages
    masked.

    Parameters
    ----------
    temperature
        What scores, which are sums over the tokens of a query, are divided by.
    mask
        Whether a query's relevant passages are excluded from its negatives.
    """

    def __init__(
        self,
        model: Any,  # a MultiVectorEncoder
        *,
        temperature: float = 1.0,
        mask: bool = True,
    ) -> None:
        super().__init__()
        check_above_zero(temperature=temperature)
        self.model, self.temperature, self.mask = model, temperature, mask

    def forward(
        self, sentence_features: Iterable[dict[str, Any]], labels: Tensor | None = None
    ) -> Tensor:
        """Return the loss of a batch of the trainer."""
        columns = []
        for number, features in enumerate(sentence_features):
            task = features.get("task", "document" if number else "query")
            output = self.model(dict(features), task=task)
            columns.append((output["token_embeddings"], output["attention_mask"].bool()))
        (queries, query_mask), *documents = columns
        scores = torch.cat(
            [
                maxsim(queries, vectors, a_mask=query_mask, b_mask=mask)
                for vectors, mask in documents
            ],
            dim=1,
        )
        rows = torch.arange(len(scores), device=scores.device)
        scores = scores / self.temperature
        if parts := _split_if_present(labels, len(scores)):
            scores = mask_golds(scores, parts if self.mask else parts.drop_golds(), rows)
        return (torch.logsumexp(scores, dim=1) - scores[rows, rows]).mean()

    def get_config_dict(self) -> dict[str, object]:
        """Return the parameters, for the model card."""
        return {"temperature": self.temperature, "mask": self.mask}


class HybridCrossLoss(nn.Module):
    """The loss of cross-encoders: each query's passage against its hard negatives and drawn ones.

    Relations
    ---------
    sentence-transformers' ``MultipleNegativesRankingLoss`` for cross-encoders with
    ``scale=1/temperature``, without relevant passages among the negatives.

    Parameters
    ----------
    temperature
        What scores, brought between 0 and 1 by a sigmoid, are divided by.
    mask
        Whether a query's relevant passages are excluded from its negatives.
    negatives
        How many passages of other rows are drawn for a query: each is a pair to score.
    """

    def __init__(
        self,
        model: Any,  # a CrossEncoder
        *,
        temperature: float = 0.1,
        mask: bool = True,
        negatives: int = 4,
    ) -> None:
        super().__init__()
        check_above_zero(temperature=temperature)
        check_positive(negatives=negatives)
        self.model, self.temperature = model, temperature
        self.mask, self.negatives = mask, negatives

    def forward(
        self,
        inputs: Sequence[Sequence[str]],
        labels: Sequence[Tensor] | Tensor | None = None,
        prompt: str | None = None,
        task: str | None = None,
    ) -> Tensor:
        """Return the loss of a batch of the trainer, whose columns are texts."""
        queries, *columns = inputs
        is_candidate = self.choose_candidates(len(queries), len(columns), labels)
        rows, candidates = is_candidate.nonzero(as_tuple=True)
        texts = list(chain(*columns))
        pairs = [
            (queries[row], texts[candidate])
            for row, candidate in zip(rows.tolist(), candidates.tolist(), strict=True)
        ]
        features = self.model.preprocess(pairs, prompt=prompt, task=task)
        # Several processes look for tensors in dicts, and not in a BatchEncoding.
        inputs_on_device = dict(batch_to_device(features, self.model.device))
        logits = self.model(inputs_on_device)["scores"].squeeze(1)
        scores = torch.full(is_candidate.shape, -torch.inf, device=logits.device)
        scores[rows, candidates] = torch.sigmoid(logits.float()) / self.temperature
        places = torch.arange(len(queries), device=scores.device)
        return (torch.logsumexp(scores, dim=1) - scores[places, places]).mean()

    def choose_candidates(
        self, n: int, n_columns: int, labels: Sequence[Tensor] | Tensor | None
    ) -> Tensor:
        """Mark the candidates of each row: its own ones, and some that are drawn of the others.

        Candidates are the passages of all rows, then a column for each hard negative; the result
        is (rows, candidates).
        """
        is_own = torch.eye(n, dtype=torch.bool).repeat(1, n_columns)
        masked = torch.zeros_like(is_own)
        stacked = torch.stack([*labels]).cpu() if labels is not None and len(labels) else None
        if parts := _split_if_present(stacked, n):
            if parts.hard.shape[1] != n_columns - 1:
                raise BadData(
                    f"a batch has {n_columns - 1} columns of hard negatives, and its labels name "
                    f"{parts.hard.shape[1]}"
                )
            parts = parts if self.mask else parts.drop_golds()
            masked = find_masked(parts, torch.arange(n))
        # Evaluations draw alike, so that losses of checkpoints differ by their weights alone.
        generator = None if self.model.training else torch.Generator().manual_seed(0)
        random_keys = torch.rand(is_own.shape, generator=generator)
        random_keys[is_own | masked] = -1.0
        largest = random_keys.topk(min(self.negatives, random_keys.shape[1]), dim=1)
        is_drawn = torch.zeros_like(is_own).scatter_(1, largest.indices, largest.values >= 0)
        return (is_own & ~masked) | is_drawn

    def get_config_dict(self) -> dict[str, object]:
        """Return the parameters, for the model card."""
        return {"temperature": self.temperature, "mask": self.mask, "negatives": self.negatives}


def _split_if_present(labels: Tensor | None, n_rows: int) -> BatchLabels | None:
    """Return the parts of labels, or None if they name no passages."""
    if labels is None or labels.dim() < 2:  # noqa: PLR2004 - rows of numbers
        return None
    return split_labels(labels, n_rows)
