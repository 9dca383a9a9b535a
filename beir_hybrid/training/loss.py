"""Questions' and passages' vectors and their numbers in, the contrastive loss out."""

import logging
from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin
from sentence_transformers.util import all_gather, all_gather_with_grad
from sentence_transformers.util.distributed import get_rank
from torch import Tensor, nn
from torch.nn import functional

from beir_hybrid.checks import check_above_zero, check_not_negative, check_positive_or_none
from beir_hybrid.errors import BadData
from beir_hybrid.pairs.labels import HARD

logger = logging.getLogger(__name__)


class HybridContrastiveLoss(CachedLossMixin, nn.Module):
    """The loss of hybrid batch training, over cosine similarities s and a temperature t.

    For a question q_i with its passage d_i, and the candidates C of the batch (everybody's passages
    and hard negatives)::

        L = mean_i -log( exp(s(q_i, d_i) / t) / sum_{c in C_i} exp(s(q_i, c) / t) )

    C_i is C without what answers q_i beside d_i: candidates whose number is among the numbers of
    q_i's passages, in whatever language (Elmahdy, Lin and Ahmad, arXiv 2408.10536, leave open
    whether other questions' passages are negatives, and print no temperature; here they are, and it
    is 0.05). The numbers come from the column ``label`` of `ParallelPairs`: the passage's, those of
    the question's passages (-1 for none), then, behind a -2, those of the row's hard negatives. A
    row's hard negative that comes again in the row counts once. Without such a column nothing is
    masked. Similarities are of single precision at least, whatever the model computes in.

    Parameters
    ----------
    symmetric
        Average with the loss from passages to questions.
    consistency
        The weight of a second term, ``mean_i (1 - s(q_i, t_i))``, for which the last column has to
        be the question's translation t_i; see `ParallelPairs.with_translations`.
    mask
        Whether what answers a question is kept from its negatives.
    mini_batch_size
        Embed so many rows at a time (GradCache): the same loss and gradients in less memory.
    gather_across_devices
        Whether candidates of all processes are negatives; then every process needs as many rows.

    Relations
    ---------
    Without numbers it is sentence-transformers' ``MultipleNegativesRankingLoss`` with
    ``scale=1/temperature``, with `mini_batch_size` its cached form.

    Examples
    --------
    Two questions, each alike to its own passage alone, so that each loss is log(1 + 1/e):

    >>> loss = HybridContrastiveLoss(None, temperature=1.0)
    >>> questions = passages = torch.eye(2)
    >>> round(loss.compute_loss_from_embeddings([questions, passages]).item(), 4)
    0.3133
    """

    def __init__(
        self,
        model: Any,
        *,
        temperature: float = 0.05,
        symmetric: bool = False,
        consistency: float = 0.0,
        mask: bool = True,
        mini_batch_size: int | None = None,
        gather_across_devices: bool = False,
    ) -> None:
        super().__init__()
        check_above_zero(temperature=temperature)
        check_not_negative(consistency=consistency)
        check_positive_or_none(mini_batch_size=mini_batch_size)
        self.model, self.temperature, self.symmetric = model, temperature, symmetric
        self.consistency, self.mask = consistency, mask
        self.uses_gradient_cache = mini_batch_size is not None
        self.mini_batch_size = mini_batch_size or 0
        self.gather_across_devices = gather_across_devices
        self._warned = False

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch as the trainer hands it over."""
        features = list(sentence_features)
        if self.uses_gradient_cache:
            loss: Tensor = self.forward_cached(features, labels)
            return loss
        columns = [self.model(feature)["sentence_embedding"] for feature in features]
        loss = self.compute_loss_from_embeddings(columns, labels)
        if getattr(self.model, "find_unused_parameters", True) is False:
            # A model that sees, in several processes: each column may be of another tower, and DDP
            # would look for unused weights in each alone. So all are used.
            loss = loss + 0 * sum(one.sum() for one in self.model.parameters() if one.requires_grad)
        return loss

    def compute_loss_from_embeddings(
        self, embeddings: list[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """Return the loss of a column of vectors each for questions, passages and negatives."""
        return self.calculate_loss([[column] for column in embeddings], labels)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Return the loss; `with_backward`, of some rows at a time, each with its gradients."""
        with torch.autocast(reps[0][0].device.type, enabled=False):
            columns = [_normalised(torch.cat(parts)) for parts in reps]
            return self._of_columns(columns, labels, with_backward=with_backward)

    def _of_columns(
        self, columns: list[Tensor], labels: Tensor | None, *, with_backward: bool
    ) -> Tensor:
        numbers = self._numbers(labels, columns)
        translations = columns.pop() if self.consistency else None
        if len(columns) < 2:  # noqa: PLR2004 - questions and passages
            raise BadData(f"the loss needs questions and passages, not {len(columns)} column(s)")
        queries, documents = columns[0], columns[1:]
        n = len(queries)
        if self.gather_across_devices:
            documents = [all_gather_with_grad(column) for column in documents]
            queries = all_gather_with_grad(queries)
            numbers = None if numbers is None else all_gather(numbers)
        first = get_rank() * n if self.gather_across_devices else 0
        # Chunks have backward passes of their own, which need the graph above to the end.
        step = self.mini_batch_size if with_backward else n
        total = queries.new_zeros(())
        for start in range(0, n, step):
            rows = torch.arange(start, min(start + step, n), device=queries.device)
            loss = self._of_rows(rows + first, queries, documents, numbers)
            if translations is not None:
                mine = queries[rows + first]
                loss = loss + self.consistency * (1 - (mine * translations[rows]).sum(dim=-1))
            part = loss.sum() / n
            if with_backward:
                part.backward(retain_graph=start + step < n)  # type: ignore[no-untyped-call]
                part = part.detach()
            total = total + part
        return total

    def _of_rows(
        self, rows: Tensor, queries: Tensor, documents: list[Tensor], numbers: Tensor | None
    ) -> Tensor:
        """Return the loss of some questions, (rows,)."""
        candidates = torch.cat(documents)
        scores = queries[rows] @ candidates.T / self.temperature
        mine = torch.arange(len(rows), device=rows.device)
        if numbers is not None:
            passages, golds, hard = self._split(numbers, len(documents) - 1)
            known = torch.cat([passages, *hard.T]) if len(documents) > 1 else passages
            answers = _among(known, golds[rows])
            answers[:, len(passages) :] |= _repeated(hard)
            answers[mine, rows] = False  # the passage that is to be found
            scores = scores.masked_fill(answers, -torch.inf)
        loss = torch.logsumexp(scores, dim=1) - scores[mine, rows]
        if self.symmetric:
            back = documents[0][rows] @ queries.T / self.temperature
            if numbers is not None:
                asked = _among(passages[rows], golds).T  # questions that the passage answers
                asked[mine, rows] = False
                back = back.masked_fill(asked, -torch.inf)
            loss = (loss + torch.logsumexp(back, dim=1) - back[mine, rows]) / 2
        return loss

    def _numbers(self, labels: Tensor | None, columns: list[Tensor]) -> Tensor | None:
        """Return the labels if they are to be used: vectors of numbers, a row each."""
        if labels is None or labels.dim() < 2:  # noqa: PLR2004
            if labels is not None and len(labels) and self.mask and not self._warned:
                self._warned = True
                logger.warning("labels name no passages: nothing is masked; see ParallelPairs")
            return None
        n, marks = len(columns[0]), (labels[:1] == HARD).flatten().tolist()
        place = marks.index(True) if True in marks else len(marks)
        if len(labels) != n or place < 2 or not (labels[:, place : place + 1] == HARD).all():  # noqa: PLR2004
            raise BadData(
                f"labels of shape {tuple(labels.shape)} do not fit {n} rows: they name the "
                f"passage, the question's passages and, behind a {HARD}, the hard negatives"
            )
        hard = len(marks[place + 1 :])
        needed = 2 + hard + bool(self.consistency)
        if len(columns) != needed:
            cure = (
                "with consistency the last one has translations: train on with_translations()"
                if self.consistency
                else "translations are for a loss with consistency"
            )
            raise BadData(
                f"a batch has {len(columns)} columns of texts, and by its labels, with {hard} hard "
                f"negatives, it should have {needed}; {cure}"
            )
        return labels if self.mask else None

    @staticmethod
    def _split(numbers: Tensor, hard: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the numbers of passages, of what answers each question, of hard negatives."""
        last = numbers.shape[1] - hard
        return numbers[:, 0], numbers[:, 1 : last - bool(hard)], numbers[:, last:]

    def get_config_dict(self) -> dict[str, Any]:
        """Return what the model card says of it."""
        return {
            "temperature": self.temperature,
            "symmetric": self.symmetric,
            "consistency": self.consistency,
            "mask": self.mask,
            "mini_batch_size": self.mini_batch_size or None,
            "gather_across_devices": self.gather_across_devices,
        }


def _normalised(vectors: Tensor) -> Tensor:
    """Return vectors of length 1; of half precision, similarities near 1 would all be alike."""
    wide = vectors if vectors.dtype == torch.float64 else vectors.float()
    return functional.normalize(wide, dim=-1)


def _repeated(hard: Tensor) -> Tensor:
    """Return which hard negatives are there before in their row, (rows * negatives,) by column."""
    again = [(hard[:, :i] == hard[:, i : i + 1]).any(dim=1) for i in range(hard.shape[1])]
    return torch.cat([*again, hard.new_zeros(0, dtype=torch.bool)])


def _among(numbers: Tensor, golds: Tensor) -> Tensor:
    """Return which numbers are among each row of golds, (rows, numbers); -1 is among none."""
    found = torch.zeros(len(golds), len(numbers), dtype=torch.bool, device=numbers.device)
    for column in golds.T:  # a language at a time: no array of rows by numbers by languages
        found |= (column[:, None] == numbers[None, :]) & (column[:, None] >= 0)
    return found
