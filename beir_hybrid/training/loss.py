"""The contrastive loss of hybrid batch training, with relevant passages masked."""

import logging
from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin
from sentence_transformers.util import all_gather, all_gather_with_grad
from sentence_transformers.util.distributed import get_rank
from torch import Tensor, nn
from torch.nn import functional

from beir_hybrid.checks import (
    check_above_zero,
    check_not_negative,
    check_positive_or_none,
    check_proper_fraction,
)
from beir_hybrid.errors import BadData
from beir_hybrid.training.batch_labels import BatchLabels, find_golds, mask_golds, split_labels
from beir_hybrid.training.language_means import ROLES, LanguageMeans

logger = logging.getLogger(__name__)


class HybridContrastiveLoss(CachedLossMixin, nn.Module):
    """The loss of hybrid batch training, over cosine similarities s and a temperature t.

    For a query q_i with its passage d_i, and the candidates C of the batch (the passages and hard
    negatives of all rows)::

        L = mean_i -log( exp(s(q_i, d_i) / t) / sum_{c in C_i} exp(s(q_i, c) / t) )

    C_i is C without the passages that are relevant for q_i, in any language, except d_i itself
    (Elmahdy, Lin and Ahmad, arXiv 2408.10536, do not say whether other queries' passages are
    negatives, and print no temperature; here they are, and it is 0.05). Relevant passages are
    recognised by the numbers in the column ``label`` of `ParallelPairs`: the number of the passage,
    those of the query's relevant passages (-1 where a language has none), then, behind a -2, those
    of the row's hard negatives, and, behind a -3, those of the languages of query and passage. A
    hard negative that occurs twice in a row counts once. Without such a column nothing is masked.
    Similarities have at least single precision, whatever the model computes in.

    Parameters
    ----------
    symmetric
        Average with the loss from passages to queries.
    consistency
        The weight of a second term, ``mean_i (1 - s(q_i, t_i))``, for which the last column has to
        be the query's translation t_i; see `ParallelPairs.with_translations`.
    mask
        Whether a query's relevant passages are excluded from its negatives.
    centre
        The momentum p, below 1, of means that are taken out of the vectors: for a query q in the
        language l, brought to unit length, s is of ``q - m_l`` (images are a language of their
        own). The mean m_l, without gradient, is that of the queries of l in batches before this
        one, the last k of them with the weight ``1 - p^k``; passages have means of their own. In
        evaluation the means stay as they are. The model is trained for use with a calibration
        ``centre``. 0, the default, takes nothing out.
    mini_batch_size
        Embed this many rows at a time (GradCache): the same loss and gradients in less memory.
    gather_across_devices
        Whether passages of all processes are candidates; every process needs equally many rows.

    Relations
    ---------
    Without labels it is sentence-transformers' ``MultipleNegativesRankingLoss`` with
    ``scale=1/temperature``, with `mini_batch_size` its cached form.

    Examples
    --------
    Two queries, each similar to its own passage alone, so that each loss is log(1 + 1/e):

    >>> loss = HybridContrastiveLoss(None, temperature=1.0)
    >>> queries = passages = torch.eye(2)
    >>> round(loss.compute_loss_from_embeddings([queries, passages]).item(), 4)
    0.3133
    """

    def __init__(
        self,
        model: Any,  # a SentenceTransformer, or any module that is called like one
        *,
        temperature: float = 0.05,
        symmetric: bool = False,
        consistency: float = 0.0,
        mask: bool = True,
        centre: float = 0.0,
        mini_batch_size: int | None = None,
        gather_across_devices: bool = False,
    ) -> None:
        super().__init__()
        check_above_zero(temperature=temperature)
        check_not_negative(consistency=consistency)
        check_positive_or_none(mini_batch_size=mini_batch_size)
        if centre != 0:
            check_proper_fraction(centre=centre)
        self.model, self.temperature, self.symmetric = model, temperature, symmetric
        self.consistency, self.mask, self.centre = consistency, mask, centre
        self.language_means = LanguageMeans(momentum=centre)
        self.uses_gradient_cache = mini_batch_size is not None
        self.mini_batch_size = mini_batch_size or 0
        self.gather_across_devices = gather_across_devices
        self._has_warned = False

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch of the trainer."""
        features = list(sentence_features)
        if self.uses_gradient_cache:
            loss: Tensor = self.forward_cached(features, labels)
            return loss
        columns = [self.model(feature)["sentence_embedding"] for feature in features]
        loss = self.compute_loss_from_embeddings(columns, labels)
        if getattr(self.model, "find_unused_parameters", True) is False:
            # A vision-language model in several processes: each column may use another tower, and
            # DDP would look for unused weights in each column alone. So all weights are used.
            weights = (weight for weight in self.model.parameters() if weight.requires_grad)
            loss = loss + 0 * sum(weight.sum() for weight in weights)
        return loss

    def compute_loss_from_embeddings(
        self, embeddings: list[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """Return the loss of columns of vectors: queries, passages, hard negatives."""
        return self.calculate_loss([[column] for column in embeddings], labels)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Return the loss; `with_backward` computes gradients too, by chunks of rows."""
        with torch.autocast(reps[0][0].device.type, enabled=False):
            columns = [self.prepare_rows(torch.cat(chunks)) for chunks in reps]
            return self._sum_chunks(columns, labels, with_backward=with_backward)

    def prepare_rows(self, vectors: Tensor) -> Tensor:
        """Return vectors whose inner products are the similarities."""
        return _normalize_rows(vectors)

    def _sum_chunks(
        self, columns: list[Tensor], labels: Tensor | None, *, with_backward: bool
    ) -> Tensor:
        parts = self._check_labels(labels, columns)
        if self.centre:
            columns = self._centre_columns(columns, parts)
        translations = columns.pop() if self.consistency else None
        if len(columns) < 2:  # noqa: PLR2004 - queries and passages
            raise BadData(f"the loss needs queries and passages, not {len(columns)} column(s)")
        queries, documents = columns[0], columns[1:]
        n = len(queries)
        if self.gather_across_devices:
            documents = [all_gather_with_grad(column) for column in documents]
            queries = all_gather_with_grad(queries)
            if parts is not None and labels is not None:
                labels = all_gather(labels)
                parts = split_labels(labels, len(labels))
        if not self.mask and parts is not None:
            parts = parts.drop_golds()
        offset = get_rank() * n if self.gather_across_devices else 0
        # Chunks have backward passes of their own, which need the graph before them until the end.
        step = self.mini_batch_size if with_backward else n
        total = queries.new_zeros(())
        for start in range(0, n, step):
            rows = torch.arange(start, min(start + step, n), device=queries.device)
            losses = self._compute_row_losses(rows + offset, queries, documents, parts)
            if translations is not None:
                anchors = queries[rows + offset]
                losses = losses + self.consistency * (
                    1 - (anchors * translations[rows]).sum(dim=-1)
                )
            part = losses.sum() / n
            if with_backward:
                part.backward(retain_graph=start + step < n)  # type: ignore[no-untyped-call]
                part = part.detach()
            total = total + part
        return total

    def _compute_row_losses(
        self, rows: Tensor, queries: Tensor, documents: list[Tensor], labels: BatchLabels | None
    ) -> Tensor:
        """Return the losses of the queries in these rows, (rows,).

        `queries` and each of `documents` (passages, then a column for each hard negative) are
        (batch, dim).
        """
        candidates = torch.cat(documents)
        scores = queries[rows] @ candidates.T / self.temperature
        places = torch.arange(len(rows), device=rows.device)
        if labels is not None:
            scores = mask_golds(scores, labels, rows)
        losses = torch.logsumexp(scores, dim=1) - scores[places, rows]
        if self.symmetric:
            query_logits = documents[0][rows] @ queries.T / self.temperature
            if labels is not None:
                passages = labels.passages[rows]
                masked = find_golds(passages, labels.golds).T  # queries with this gold passage
                masked[places, rows] = False
                query_logits = query_logits.masked_fill(masked, -torch.inf)
            losses = (
                losses + torch.logsumexp(query_logits, dim=1) - query_logits[places, rows]
            ) / 2
        return losses

    def _centre_columns(self, columns: list[Tensor], labels: BatchLabels | None) -> list[Tensor]:
        """Return columns of unit vectors without the means of their languages, which they change.

        Translations are queries.
        """
        if labels is None or labels.languages.shape[1] < 2 + bool(self.consistency):
            raise BadData(
                "centre needs labels that name the languages of a row's texts, as ParallelPairs has"
            )
        sides = [*range(2), *[1] * (len(columns) - 2)]  # hard negatives are passages
        languages = [labels.languages[:, side] for side in sides]
        if self.consistency:
            sides[-1], languages[-1] = 0, labels.languages[:, -1]
        centred_columns = self.language_means.centre_columns(
            columns,
            [ROLES[side] for side in sides],
            languages,
            hard=range(2, len(columns) - bool(self.consistency)),
            # The trainer switches the model alone to evaluation.
            is_training=self.training and getattr(self.model, "training", True),
        )
        return [_normalize_rows(column) for column in centred_columns]

    def _check_labels(self, labels: Tensor | None, columns: list[Tensor]) -> BatchLabels | None:
        """Return the parts of the labels, or None if they name no passages."""
        if labels is None or labels.dim() < 2:  # noqa: PLR2004
            if labels is not None and len(labels) and self.mask and not self._has_warned:
                self._has_warned = True
                logger.warning("labels name no passages: nothing is masked; see ParallelPairs")
            return None
        parts = split_labels(labels, len(columns[0]))
        n_hard = parts.hard.shape[1]
        n_columns = 2 + n_hard + bool(self.consistency)
        if len(columns) != n_columns:
            cure = (
                "with consistency the last one has translations: train on with_translations()"
                if self.consistency
                else "translations are for a loss with consistency"
            )
            raise BadData(
                f"a batch has {len(columns)} columns of texts, and by its labels, with {n_hard} "
                f"hard negatives, it should have {n_columns}; {cure}"
            )
        return parts

    def get_config_dict(self) -> dict[str, object]:
        """Return the parameters, for the model card."""
        return {
            "temperature": self.temperature,
            "symmetric": self.symmetric,
            "consistency": self.consistency,
            "mask": self.mask,
            "centre": self.centre,
            "mini_batch_size": self.mini_batch_size or None,
            "gather_across_devices": self.gather_across_devices,
        }


def _normalize_rows(vectors: Tensor) -> Tensor:
    """Return rows of length 1, in single precision at least.

    In half precision all similarities near 1 would be equal.
    """
    vectors = vectors if vectors.dtype == torch.float64 else vectors.float()
    return functional.normalize(vectors, dim=-1)
