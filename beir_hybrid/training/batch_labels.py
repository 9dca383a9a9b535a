"""The numbers in a batch's labels, and the candidates that are no negatives by them."""

from typing import NamedTuple

import torch
from torch import Tensor

from beir_hybrid.errors import BadData
from beir_hybrid.pairs.labels import LANGUAGES_MARK, NEGATIVES_MARK


class BatchLabels(NamedTuple):
    """The parts of labels, which `ParallelPairs` describes.

    Attributes
    ----------
    passages
        The passage of each row, (rows,).
    golds
        The passages of its query, -1 where there is none, (rows, golds).
    hard
        Its hard negatives, (rows, negatives).
    languages
        Those of query, passage and, if it is there, translation: (rows, 2 or 3), or (rows, 0) of
        labels without languages.
    """

    passages: Tensor
    golds: Tensor
    hard: Tensor
    languages: Tensor

    def drop_golds(self) -> "BatchLabels":
        """Return the labels without the passages of queries, so that none is masked."""
        return self._replace(golds=self.golds[:, :0])


def split_labels(labels: Tensor, n_rows: int) -> BatchLabels:
    """Return the parts of labels, (rows, numbers); raise `BadData` if they have none."""
    first = labels[0].tolist() if len(labels) else []
    n_languages = len(first) - first.index(LANGUAGES_MARK) if LANGUAGES_MARK in first else 0
    end = len(first) - n_languages
    n_hard = end - first.index(NEGATIVES_MARK) if NEGATIVES_MARK in first[:end] else 0
    place = end - n_hard
    marks = (NEGATIVES_MARK, place, n_hard), (LANGUAGES_MARK, end, n_languages)
    has_marks = all((labels[:, column] == mark).all() for mark, column, width in marks if width)
    if len(labels) != n_rows or place < 2 or not has_marks:  # noqa: PLR2004 - a passage and a gold
        raise BadData(
            f"labels of shape {tuple(labels.shape)} do not fit {n_rows} rows: they name the "
            f"passage, the query's passages, behind a {NEGATIVES_MARK} the hard negatives and "
            f"behind a {LANGUAGES_MARK} the languages"
        )
    return BatchLabels(
        labels[:, 0], labels[:, 1:place], labels[:, place + 1 : end], labels[:, end + 1 :]
    )


def mask_golds(scores: Tensor, labels: BatchLabels, rows: Tensor) -> Tensor:
    """Set the scores of candidates that are no negatives to minus infinity.

    `scores` are those of some rows, (rows, candidates): passages, then hard negatives.
    """
    return scores.masked_fill(find_masked(labels, rows), -torch.inf)


def find_masked(labels: BatchLabels, rows: Tensor) -> Tensor:
    """Mark the candidates that are no negatives of some rows, (rows, candidates).

    These are relevant passages but a row's own, and hard negatives that their row has twice.
    """
    passages, golds, hard = labels.passages, labels.golds, labels.hard
    masked = find_golds(torch.cat([passages, *hard.T]), golds[rows])
    masked[:, len(passages) :] |= _find_repetitions(hard)
    masked[torch.arange(len(rows), device=rows.device), rows] = False  # the row's own passage
    return masked


def _find_repetitions(hard: Tensor) -> Tensor:
    """Return True for hard negatives that occur earlier in their row.

    `hard` is (rows, negatives); the result is flat, column after column.
    """
    repetitions = [(hard[:, :i] == hard[:, i : i + 1]).any(dim=1) for i in range(hard.shape[1])]
    return torch.cat([*repetitions, hard.new_zeros(0, dtype=torch.bool)])


def find_golds(numbers: Tensor, golds: Tensor) -> Tensor:
    """Mark the passages that are golds of each row, (rows, numbers); -1 is no gold.

    `golds` is (rows, languages).
    """
    is_gold = torch.zeros(len(golds), len(numbers), dtype=torch.bool, device=numbers.device)
    for column in golds.T:  # one language at a time: no array of rows by numbers by languages
        is_gold |= (column[:, None] == numbers[None, :]) & (column[:, None] >= 0)
    return is_gold
