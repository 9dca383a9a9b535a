"""Requests for exact ranking: the relevant passages, the languages, and how many to collect."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beir_hybrid.checks import check_not_negative
from beir_hybrid.errors import BadOption
from beir_hybrid.retrieval.merged_pool import fit_scales
from beir_hybrid.retrieval.merging import MergeMethod, Scale
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
    method
        How the languages' rankings are merged into the pool; None compares scores as they are.
    """

    gold_queries: np.ndarray
    gold_passages: np.ndarray
    languages: Mapping[str, range]
    id_order: np.ndarray
    k: int = 0
    collects_languages: bool = False
    image_language: str = ""
    method: MergeMethod | None = None

    def __post_init__(self) -> None:
        check_not_negative(k=self.k)
        if self.method and self.image_language:
            raise BadOption(f"{self.method} merges the languages of texts, and there are images")

    @property
    def depth(self) -> int:
        """How many of the best passages of each pool are collected."""
        return max(self.k, self.method.k) if self.method else self.k

    @property
    def takes_turns(self) -> bool:
        """Whether the pool is merged by ranks within the languages."""
        return self.method is not None and self.method.fit_scale is None

    @property
    def compares_scores(self) -> bool:
        """Whether the pool is merged by scores that are made comparable."""
        return self.method is not None and self.method.fit_scale is not None

    def fit_scales(self, lists: Sequence[np.ndarray]) -> Scale:
        """Return the scales of queries and languages; see `merged_pool.fit_scales`."""
        if self.method is None:
            raise ValueError("the pool is not merged")
        return fit_scales(lists, self.method)

    def find_language(self, block: range) -> tuple[int, str]:
        """Return the number and the name of a block's language."""
        languages = enumerate(self.languages.items())
        return next((n, name) for n, (name, rows) in languages if block.start in rows)

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
        """Return the passages from which the best are collected, by name; none if `depth` is 0.

        A pool that is merged from languages is none of them.
        """
        if not self.depth:
            return {}
        if self.method:
            return {name: rows for name, rows in self.languages.items() if rows}
        n = len(self.id_order)
        pools = {POOL: range(n)}
        if self.image_language:
            n_images = len(self.languages.get(self.image_language, ()))
            pools = {POOL: range(n - n_images), POOL_WITH_IMAGES: range(n)}
            pools = {name: rows for name, rows in pools.items() if rows}
        if self.collects_languages:
            pools |= {name: rows for name, rows in self.languages.items() if rows}
        return pools

    def list_blocks(self, size: int = BLOCK_PASSAGES) -> Iterator[range]:
        """Yield blocks of passages, each of one language."""
        for rows in self.languages.values():
            yield from split_into_blocks(rows, size)


def split_into_blocks(rows: range, size: int = BLOCK_PASSAGES) -> Iterator[range]:
    """Yield adjacent ranges of at most `size` rows."""
    for start in range(rows.start, rows.stop, size):
        yield range(start, min(start + size, rows.stop))
