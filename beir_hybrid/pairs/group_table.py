"""Groups of queries and passages in several languages: their texts and which of them exist."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.pairs.columns import find_present
from beir_hybrid.pairs.labels import hash_texts

_QUERY_MARK = 0x2545F4914F6CDD1D  # 62 bits, by which hashes of queries differ from passages'


@dataclass(frozen=True, eq=False)
class GroupTable:
    """The texts of groups, and arrays that say in which languages each text exists.

    Attributes
    ----------
    table
        A row a group: ``id``, and ``query.de``, ``positive.de``, ``negative.de`` for each language.
    languages
        The languages of the columns; images are the last one, `IMAGE`.
    negatives
        How many hard negatives a row has.
    has_query, has_passage
        (groups, languages) bool.
    gold_hashes
        (groups, width) int64: the passages of a query by `hash_texts`, in each language and then
        further ones; -1 where there is none.
    is_own_passage
        (groups, languages) bool, of no groups without images: captions that are their own passage.
        They answer their query in other languages, and never in their own.
    """

    table: pa.Table
    languages: tuple[str, ...]
    negatives: int
    has_query: np.ndarray
    has_passage: np.ndarray
    gold_hashes: np.ndarray
    is_own_passage: np.ndarray

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        languages: Sequence[str],
        negatives: int,
        further_golds: np.ndarray | None,
    ) -> "GroupTable":
        """Read from a table which texts exist; `further_golds` are more passages by hash."""
        n, width = table.num_rows, len(languages)
        has_query, has_passage = (
            np.stack([find_present(table[f"{part}.{lang}"]) for lang in languages], axis=1)
            for part in ("query", "positive")
        )
        n_further = 0 if further_golds is None else further_golds.shape[1]
        gold_hashes = np.empty((n, width + n_further), np.int64)
        for column, lang in enumerate(languages):  # a column at a time: there are many rows
            gold_hashes[:, column] = hash_texts(table[f"positive.{lang}"])
        if further_golds is not None:
            gold_hashes[:, width:] = further_golds
        has_images = languages[-1] == IMAGE
        is_own_passage = np.zeros((n if has_images else 0, width), bool)
        for column, lang in enumerate(languages if has_images else ()):
            query_hashes = hash_texts(table[f"query.{lang}"])
            is_own_passage[:, column] = query_hashes == gold_hashes[:, column]
        is_own_passage &= has_passage[: len(is_own_passage), -1:]  # only with an image
        return cls(
            table, tuple(languages), negatives, has_query, has_passage, gold_hashes, is_own_passage
        )

    @property
    def has_images(self) -> bool:
        """Whether some passages are images: passages in the last of the languages, `IMAGE`."""
        return self.languages[-1] == IMAGE

    @property
    def further_golds(self) -> np.ndarray:
        """The hashes of further passages, behind those in each language; (groups, further)."""
        return self.gold_hashes[:, len(self.languages) :]

    @cached_property
    def shared_queries(self) -> np.ndarray:
        """Hashes of the queries that several groups have, in any language; (groups, any) int64.

        A column for each language in which there are any; -1 for other queries. No hash is that of
        a passage with the same text.
        """
        hashes = np.stack(
            [hash_texts(self.table[f"query.{lang}"]) for lang in self.languages], axis=1
        )
        values, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        is_shared = (counts > 1) & (values >= 0)
        marks = np.where(is_shared, values ^ _QUERY_MARK, -1)[inverse.reshape(hashes.shape)]
        shared: np.ndarray = marks[:, (marks >= 0).any(axis=0)]
        return shared

    def choose_languages(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the languages, by number, in which groups are shown if none are named.

        The first language that a group has query and passage in, or else the first of each; an
        image, if it has one.
        """
        has_query, has_passage = self.has_query[groups], self.has_passage[groups]
        has_both = has_query & has_passage
        query, passage = has_query.argmax(axis=1), has_passage.argmax(axis=1)
        is_bilingual = has_both.any(axis=1)
        if self.has_images:
            has_image = has_passage[:, -1]
            is_bilingual &= ~has_image
            passage = np.where(has_image, len(self.languages) - 1, passage)
        first_both = has_both.argmax(axis=1)
        return np.where(is_bilingual, first_both, query), np.where(
            is_bilingual, first_both, passage
        )
