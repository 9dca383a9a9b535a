"""Batch kinds: which languages of query and passage a batch may have, alike or row by row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from beir_hybrid.batches.kernels import SlotColumns, find_eligible
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.pairs.parallel_pairs import ParallelPairs

_SMALLEST = 1e-100  # no power of a share vanishes


@dataclass(frozen=True)
class LanguageTable:
    """The languages of all groups, as a strategy may draw them.

    Attributes
    ----------
    has_query, has_passage
        (groups, languages) bool; passages that are images are in the last column, `IMAGE`.
    is_own_passage
        (groups, languages) bool, or of no groups: queries that are their own passage, which a
        batch in one language leaves out.
    is_drawn
        (languages,) bool: the languages of texts that the strategy draws.
    has_images
        Whether the last language is `IMAGE`.
    temperature
        The power of a language's number of groups in its weight.
    """

    has_query: np.ndarray
    has_passage: np.ndarray
    is_own_passage: np.ndarray
    is_drawn: np.ndarray
    has_images: bool
    temperature: float

    @classmethod
    def from_pairs(
        cls, pairs: ParallelPairs, languages: tuple[str, ...], temperature: float
    ) -> "LanguageTable":
        """Return the table of parallel pairs; `languages` are the only ones to draw, if any."""
        names, groups = languages or pairs.languages, pairs.groups
        is_drawn = np.array([lang in names and lang != IMAGE for lang in pairs.languages])
        return cls(
            groups.has_query,
            groups.has_passage,
            groups.is_own_passage,
            is_drawn,
            pairs.has_images,
            temperature,
        )

    def weigh(self, sizes: np.ndarray) -> np.ndarray:
        """Return the weights of languages with these numbers of groups, (languages,) float64.

        A language that no group has weighs 0.
        """
        sizes = np.where(self.is_drawn, sizes, 0)
        # Shares of the largest: no power of them is too large.
        largest = max(sizes.max(initial=0), 1)
        weights = np.maximum((sizes / largest) ** self.temperature, _SMALLEST)
        return np.asarray(np.where(sizes > 0, weights, 0.0))


class LanguagePairs(NamedTuple):
    """The pairs of languages that a batch kind draws.

    A group can be drawn in languages q and p if ``has_query[group, q]``, ``has_passage[group, p]``
    and ``weights[q, p] > 0``.
    """

    has_query: np.ndarray  # (groups, languages) bool
    has_passage: np.ndarray  # (groups, languages) bool
    weights: np.ndarray  # (languages, languages) float64


def pair_same_language(table: LanguageTable) -> LanguagePairs:
    """Pair each language with itself; no caption is its own passage."""
    has_query = table.has_query & ~table.is_own_passage if table.has_images else table.has_query
    sizes = (has_query & table.has_passage).sum(axis=0)
    return LanguagePairs(has_query, table.has_passage, np.diag(table.weigh(sizes)))


def pair_two_languages(table: LanguageTable) -> LanguagePairs:
    """Pair each language with every other one, which need have no group with both."""
    query, passage = (table.weigh(has.sum(axis=0)) for has in (table.has_query, table.has_passage))
    weights = np.outer(query, passage)
    np.fill_diagonal(weights, 0)
    return LanguagePairs(table.has_query, table.has_passage, weights)


def pair_with_image(table: LanguageTable) -> LanguagePairs:
    """Pair each language of captions with images, the last language."""
    weights = np.zeros((len(table.is_drawn),) * 2)
    if table.has_images:
        sizes = (table.has_query & table.has_passage[:, -1:]).sum(axis=0)
        weights[:, -1] = table.weigh(sizes)
    return LanguagePairs(table.has_query, table.has_passage, weights)


@dataclass(frozen=True)
class BatchKind:
    """A kind of batch: which languages it pairs, and whether each row draws its own.

    Attributes
    ----------
    label
        The contents of such a batch, in words for people.
    pair_languages
        Return the pairs of languages that a batch of this kind draws.
    is_by_row
        Whether each row of a batch has languages of its own; else all rows have the same.
    needs_images
        Whether it draws nothing but groups with an image.
    """

    name: str
    label: str
    pair_languages: Callable[[LanguageTable], LanguagePairs]
    is_by_row: bool = False
    needs_images: bool = False


BATCH_KINDS: dict[str, BatchKind] = {
    kind.name: kind
    for kind in (
        BatchKind("mono", "monolingual", pair_same_language),
        BatchKind("mono-rows", "monolingual pairs", pair_same_language, is_by_row=True),
        BatchKind("cross", "cross-lingual", pair_two_languages),
        BatchKind("cross-rows", "cross-lingual", pair_two_languages, is_by_row=True),
        BatchKind("image", "captions and images", pair_with_image, needs_images=True),
        BatchKind(
            "image-rows", "captions and images", pair_with_image, is_by_row=True, needs_images=True
        ),
    )
}


class KindSlots:
    """The slots of a batch kind: the choices of languages that a whole batch can be drawn for.

    A kind whose rows draw their own languages has a single slot.

    Attributes
    ----------
    columns
        Which groups fit each slot.
    weights
        (slots,) float64, all above 0.
    """

    def __init__(self, kind: BatchKind, table: LanguageTable) -> None:
        self.kind = kind
        self.pairs = kind.pair_languages(table)
        query, passage = np.nonzero(self.pairs.weights)
        self.columns = SlotColumns(self.pairs.has_query, self.pairs.has_passage, query, passage)
        self.weights = self.pairs.weights[query, passage]
        if kind.is_by_row:
            can_be_drawn = find_eligible(self.columns)[:, None]
            first = np.zeros(1, np.int64)
            self.columns = SlotColumns(can_be_drawn, can_be_drawn, first, first)
            self.weights = np.ones(1)

    def draw_languages(
        self, slot: int, groups: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray | int, np.ndarray | int]:
        """Return the languages of query and passage, by number: of each group, or of all."""
        if not self.kind.is_by_row:
            return int(self.columns.query[slot]), int(self.columns.passage[slot])
        has_query, has_passage, weights = self.pairs
        fits = has_query[groups][:, :, None] & has_passage[groups][:, None, :] & (weights > 0)
        total = np.cumsum((fits * weights).reshape(len(groups), -1), axis=1)
        points = rng.random(len(groups))[:, None] * total[:, -1:]
        query, passage = np.divmod((total <= points).sum(axis=1), len(weights))
        if not (total[:, -1] > 0).all() or not fits[np.arange(len(groups)), query, passage].all():
            raise RuntimeError(f"a {self.kind.name} batch has groups without languages for it")
        return query, passage
