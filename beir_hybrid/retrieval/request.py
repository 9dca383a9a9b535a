"""Requests for exact ranking: the relevant passages, the languages, and how many to collect."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from beir_hybrid.checks import check_not_negative
from beir_hybrid.retrieval.results import POOL, POOL_WITH_IMAGES

# With a batch of queries, the scores of a block of passages fit a processor's cache.
BLOCK_PASSAGES = 2048


@dataclass(frozen=True)
class RankRequest:
    """The golds to rank, the passages of each language, and the best passages to collect.

    Attributes
    ----------
    gold_queries, gold_passages
        Row numbers of queries, ascending, and of their relevant passages, (golds,).
    languages
        Rows of the passages of each language, adjacent and from 0 on.
    id_order
        For each passage, the place of its id among sorted ids: it breaks ties. (passages,) int32.
    k
        How many best passages to collect for each query, or fewer if there are fewer.
    collects_languages
        Whether to collect the k best of every language too.
    image_language
        The last entry of `languages`, if it holds images: they are ranked on their own and together
        with the pool of all languages, but are no part of that pool.
    """

    gold_queries: np.ndarray
    gold_passages: np.ndarray
    languages: Mapping[str, range]
    id_order: np.ndarray
    k: int = 0
    collects_languages: bool = False
    image_language: str = ""

    def __post_init__(self) -> None:
        check_not_negative(k=self.k)

    def without_empty_languages(self) -> "RankRequest":
        """Return the request without languages that have no passages."""
        filled = {name: rows for name, rows in self.languages.items() if len(rows)}
        return replace(self, languages=filled)

    def slice_passages(self, rows: range) -> "RankRequest":
        """Return the request for adjacent passages, numbered from 0, without golds.

        Every language is there, so that the numbers of languages stay.
        """
        languages = {}
        for name, language_rows in self.languages.items():
            start = max(language_rows.start, rows.start) - rows.start
            stop = min(language_rows.stop, rows.stop) - rows.start
            languages[name] = range(start, max(start, stop))
        no_golds = np.empty(0, np.int64)
        return replace(
            self,
            gold_queries=no_golds,
            gold_passages=no_golds,
            languages=languages,
            id_order=self.id_order[rows.start : rows.stop],
        )

    def list_pools(self) -> dict[str, range]:
        """Return the passages from which the best are collected, by name; none if k is 0."""
        if not self.k:
            return {}
        n = len(self.id_order)
        pools = {POOL: range(n)}
        if self.image_language:
            n_images = len(self.languages.get(self.image_language, ()))
            pools = {POOL: range(n - n_images), POOL_WITH_IMAGES: range(n)}
            pools = {name: rows for name, rows in pools.items() if rows}
        if self.collects_languages:
            pools |= {name: rows for name, rows in self.languages.items() if rows}
        return pools

    def list_blocks(self) -> Iterator[range]:
        """Yield blocks of passages, each of one language."""
        for rows in self.languages.values():
            yield from split_into_blocks(rows)


def split_into_blocks(rows: range) -> Iterator[range]:
    """Yield adjacent ranges of at most `BLOCK_PASSAGES` rows."""
    for start in range(rows.start, rows.stop, BLOCK_PASSAGES):
        yield range(start, min(start + BLOCK_PASSAGES, rows.stop))
