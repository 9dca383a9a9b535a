"""The numbers in a batch's labels: passages, golds, hard negatives and languages of its rows."""

from typing import NamedTuple

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
