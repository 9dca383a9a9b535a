"""Judgements by row number: everything that rankings and settings need of a collection."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.arrays import take_distinct, to_arrow
from beir_hybrid.collection.setting import (
    IMAGE,
    SETTING_KINDS,
    KindName,
    Setting,
    SettingKind,
    list_targets,
    parse_kinds,
)
from beir_hybrid.errors import BadData, BadOption

SELF_MATCH = -(1 << 31)  # the relevance of a passage that is the query itself
_COLUMNS = ("query", "passage", "relevance", "query_language", "passage_language", "key")


@dataclass(frozen=True, eq=False)
class Judgements:
    """The judgements of a collection by row number.

    Judgements are sorted by query. Those of relevance `SELF_MATCH` are included, so that these
    passages are ranked. Queries without a relevant passage are there only on request: they count
    as 0 where a passage is judged for them.

    Attributes
    ----------
    name, languages
        The collection's.
    query_ranges, passage_ranges
        The rows of each language's queries and passages, `IMAGE` last.
    query_ids, passage_ids
        The ids of all queries and passages, by row.
    query_groups
        The ids of the groups of all queries, by row.
    query, passage
        Rows of the collection's two tables; `query` ascends.
    query_language, passage_language
        Numbers of languages in the order of `codes`.
    key
        Numbers of passage ids without their language: parallel passages share one.
    """

    name: str
    languages: tuple[str, ...]
    query_ranges: dict[str, range]
    passage_ranges: dict[str, range]
    query_ids: pa.ChunkedArray
    passage_ids: pa.ChunkedArray
    query_groups: pa.ChunkedArray
    query: np.ndarray  # (judgements,) int64
    passage: np.ndarray  # (judgements,) int64
    relevance: np.ndarray  # (judgements,) int64
    query_language: np.ndarray  # (judgements,) int64
    passage_language: np.ndarray  # (judgements,) int64
    key: np.ndarray  # (judgements,) int64

    @classmethod
    def from_columns(
        cls,
        columns: Sequence[np.ndarray],
        *,
        name: str,
        languages: tuple[str, ...],
        query_ranges: dict[str, range],
        passage_ranges: dict[str, range],
        query_ids: pa.ChunkedArray,
        passage_ids: pa.ChunkedArray,
        query_groups: pa.ChunkedArray,
    ) -> "Judgements":
        """Make judgements of the columns ``query``, ``passage`` and ``relevance``."""
        query, passage, relevance = columns
        order = np.argsort(query, kind="stable")
        query, passage = query[order], passage[order]
        relevance = relevance[order].astype(np.int64)
        query_language = number_languages(query, query_ranges)
        passage_language = number_languages(passage, passage_ranges)
        gold_languages = (query * len(passage_ranges) + passage_language)[relevance > 0]
        if IMAGE in passage_ranges or len(np.unique(gold_languages)) < len(gold_languages):
            key = _number_keys(passage_ids, passage)
        else:  # no query has two relevant passages in a language: all of a query's are parallel
            key = np.zeros_like(passage)
        return cls(
            name=name,
            languages=languages,
            query_ranges=query_ranges,
            passage_ranges=passage_ranges,
            query_ids=query_ids,
            passage_ids=passage_ids,
            query_groups=query_groups,
            query=query,
            passage=passage,
            relevance=relevance,
            query_language=query_language,
            passage_language=passage_language,
            key=key,
        )

    @property
    def has_images(self) -> bool:
        """Whether there are images."""
        return IMAGE in self.passage_ranges

    @property
    def codes(self) -> tuple[str, ...]:
        """The languages, and `IMAGE` last where there are images."""
        return tuple(self.passage_ranges)

    @property
    def is_same_language(self) -> np.ndarray:
        """Whether each judgement's passage is in the language of its query; (judgements,) bool."""
        is_same: np.ndarray = self.query_language == self.passage_language
        return is_same

    @property
    def text_languages(self) -> tuple[str, ...]:
        """The languages that passages are in: a pool of one is none."""
        return tuple(lang for lang in self.languages if self.passage_ranges[lang])

    @property
    def targets(self) -> list[str]:
        """The values that `Setting.passages` may have; targets are numbered in this order."""
        return list_targets(self.codes)

    def select(self, rows: slice | np.ndarray) -> "Judgements":
        """Return some of the judgements, by number or bool."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    def select_queries(self, queries: range) -> "Judgements":
        """Return the judgements of some queries, by row."""
        start, stop = np.searchsorted(self.query, [queries.start, queries.stop]).tolist()
        return self.select(slice(start, stop))

    def select_texts(self) -> "Judgements":
        """Return the judgements of texts to texts, without images."""
        if not self.has_images:
            return self
        return self.select(self.match_sides(SETTING_KINDS["mono"]))

    def match_sides(self, kind: SettingKind) -> np.ndarray:
        """Return whether each judgement's query and passage suit a kind; (judgements,) bool."""
        image = len(self.languages)  # the number of images, where there are any
        query_fits = (self.query_language == image) == kind.image_queries
        passage_fits = np.where(
            self.passage_language == image, kind.image_passages, kind.text_passages
        )
        fits: np.ndarray = query_fits & passage_fits
        return fits

    def number_targets(self, kind: SettingKind) -> np.ndarray:
        """Return the number of the target that each judgement's passage is ranked in."""
        if not kind.pool:
            return self.passage_language
        return np.full_like(self.query, self.targets.index(kind.pool))

    def list_query_ids(self, rows: np.ndarray) -> list[str]:
        """Return the ids of queries by row."""
        ids: list[str] = take_distinct(self.query_ids, rows).to_pylist()
        return ids

    def list_passage_ids(self, rows: np.ndarray) -> list[str]:
        """Return the ids of passages by row."""
        ids: list[str] = take_distinct(self.passage_ids, rows).to_pylist()
        return ids

    def list_settings(self, kinds: Iterable[KindName] | None = None) -> list[Setting]:
        """Return the settings in which a query has a relevant passage, by kind and language.

        All kinds but ``one-target`` by default.
        """
        codes, targets = self.codes, self.targets
        settings: list[Setting] = []
        for name in self.list_kinds() if kinds is None else kinds:
            kind = SETTING_KINDS[name]
            rows = self.match_sides(kind) & (self.relevance > 0)
            if kind.same_language is not None:
                rows &= self.is_same_language == kind.same_language
            query, target = self.query_language[rows], self.number_targets(kind)[rows]
            # Counting is faster than sorting: there are many judgements, and few pairs.
            for pair in np.flatnonzero(np.bincount(query * len(targets) + target)).tolist():
                query_number, target_number = divmod(pair, len(targets))
                settings.append(Setting(name, codes[query_number], targets[target_number]))
        return settings

    def list_kinds(self, names: Iterable[str] | None = None) -> list[KindName]:
        """Return the kinds of settings of the collection; with `names`, check and return these.

        ``one-target`` settings exist where ``multi`` ones do, and come only by name.
        """
        kinds = self._find_kinds()
        if names is None:
            return kinds
        chosen_kinds = parse_kinds(names)
        for kind in chosen_kinds:
            if ("multi" if kind == "one-target" else kind) not in kinds:
                reason = ""
                if kind in ("multi", "one-target") and len(self.text_languages) == 1:
                    reason = f": its texts are in one language, {self.text_languages[0]}"
                raise BadOption(
                    f"{self.name} has no {kind} settings{reason}; it has {', '.join(kinds)}"
                )
        return chosen_kinds

    def _find_kinds(self) -> list[KindName]:
        is_gold = self.relevance > 0
        if not is_gold.any():
            raise BadData(f"{self.name} has no query with a relevant passage")
        golds = {name: self.match_sides(kind) & is_gold for name, kind in SETTING_KINDS.items()}
        is_same = self.is_same_language
        has_pool, has_texts = len(self.text_languages) > 1, bool(self.text_languages)
        exists: dict[KindName, bool] = {
            "mono": bool((golds["mono"] & is_same).any()),
            "cross": bool((golds["cross"] & ~is_same).any()),
            "multi": has_pool and bool(golds["multi"].any()),
            "text-image": bool(golds["text-image"].any()),
            "image-text": bool(golds["image-text"].any()),
            "image-pool": has_pool and bool(golds["image-pool"].any()),
            "mixed": has_texts and bool(golds["text-image"].any()),
        }
        return [kind for kind in exists if exists[kind]]


def number_languages(rows: np.ndarray, ranges: dict[str, range]) -> np.ndarray:
    """Return the number of the language that each row is in, in their order; -1 for the row -1."""
    stops = [span.stop for span in ranges.values()]
    return np.where(rows < 0, -1, np.searchsorted(stops, rows, side="right"))


def _number_keys(passage_ids: pa.ChunkedArray, passage: np.ndarray) -> np.ndarray:
    """Return a number for each passage's id without its language; parallel passages share one."""
    distinct, places = np.unique(passage, return_inverse=True)
    ids = passage_ids.take(to_arrow(distinct)).to_pylist()
    numbers: dict[str, int] = {}
    keys = [numbers.setdefault(identity.partition(":")[2], len(numbers)) for identity in ids]
    return np.asarray(np.array(keys, np.int64)[places])


def sort_ids(ids: pa.ChunkedArray) -> np.ndarray:
    """Return the place of each id in sorted order, which decides ties; (ids,) int32."""
    sorted_rows = pc.sort_indices(ids)
    chunks = sorted_rows.chunks if isinstance(sorted_rows, pa.ChunkedArray) else [sorted_rows]
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint64)[chunk.offset :][: len(chunk)]
        for chunk in chunks
    ]
    places = np.empty(len(ids), np.int32)
    places[np.concatenate(parts) if parts else []] = np.arange(len(ids), dtype=np.int32)
    return places
