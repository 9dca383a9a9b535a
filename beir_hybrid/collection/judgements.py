"""A collection resolved for ranking: judgements by row number, settings, order of ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.setting import (
    IMAGE,
    SETTING_KINDS,
    KindName,
    Setting,
    SettingKind,
    find_kinds,
    list_targets,
)
from beir_hybrid.errors import BadData, BadOption

ITSELF = -(1 << 31)  # the relevance of a passage that is the query itself
_COLUMNS = ("query", "passage", "relevance", "query_language", "passage_language", "key")


@dataclass(frozen=True, eq=False)
class Judgements:
    """The judgements of a collection by row number, with what all settings derive from them.

    Judgements lie query by query; queries without a relevant passage are left out. Judgements of
    relevance `ITSELF` are kept, so that these passages are ranked.

    Attributes
    ----------
    name, languages
        The collection's.
    query_groups, passage_groups
        The rows of each language's queries and passages, `IMAGE` last.
    passage_ids
        The ids of all passages, by row.
    query, passage
        Rows of the collection's two tables; `query` ascends.
    query_language, passage_language
        Numbers of languages in the order of the collection's `groups`.
    key
        Numbers ids without their language: parallel passages share it.
    """

    name: str
    languages: tuple[str, ...]
    query_groups: dict[str, range]
    passage_groups: dict[str, range]
    passage_ids: pa.ChunkedArray
    query: np.ndarray  # (judgements,) int64
    passage: np.ndarray  # (judgements,) int64
    relevance: np.ndarray  # (judgements,) int64
    query_language: np.ndarray  # (judgements,) int64
    passage_language: np.ndarray  # (judgements,) int64
    key: np.ndarray  # (judgements,) int64

    @classmethod
    def of(
        cls,
        columns: Sequence[np.ndarray],
        *,
        name: str,
        languages: tuple[str, ...],
        query_groups: dict[str, range],
        passage_groups: dict[str, range],
        passage_ids: pa.ChunkedArray,
    ) -> "Judgements":
        """Resolve the columns ``query``, ``passage`` and ``relevance`` of a collection."""
        query, passage, relevance = columns
        rows = np.flatnonzero(np.isin(query, query[relevance > 0]))
        order = rows[np.argsort(query[rows], kind="stable")]
        query, passage = query[order], passage[order]
        relevance = relevance[order].astype(np.int64)
        query_language = number_languages(query, query_groups)
        passage_language = number_languages(passage, passage_groups)
        pair = (query * len(passage_groups) + passage_language)[relevance > 0]
        if IMAGE in passage_groups or len(np.unique(pair)) < len(pair):
            key = _number_keys(passage_ids, passage)
        else:  # no language has two relevant passages: all of a query are parallel
            key = np.zeros_like(passage)
        return cls(
            name=name,
            languages=languages,
            query_groups=query_groups,
            passage_groups=passage_groups,
            passage_ids=passage_ids,
            query=query,
            passage=passage,
            relevance=relevance,
            query_language=query_language,
            passage_language=passage_language,
            key=key,
        )

    @property
    def images(self) -> bool:
        """Whether there are images."""
        return IMAGE in self.passage_groups

    @property
    def groups(self) -> tuple[str, ...]:
        """The languages and, behind them, `IMAGE` where there are images."""
        return tuple(self.passage_groups)

    def of_queries(self, queries: range) -> "Judgements":
        """Return the judgements of some queries, by row."""
        start, stop = np.searchsorted(self.query, [queries.start, queries.stop]).tolist()
        return self.select(slice(start, stop))

    def of_texts(self) -> "Judgements":
        """Return the judgements of texts as answers to texts, without images."""
        if not self.images:
            return self
        return self.select(self.find_sides(SETTING_KINDS["mono"]))

    def select(self, rows: slice | np.ndarray) -> "Judgements":
        """Return some of the judgements, by number or bool."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    def find_sides(self, kind: SettingKind) -> np.ndarray:
        """Return which judgements have the queries and passages of a kind; (judgements,) bool."""
        image = len(self.languages)  # the number of images, where there are any
        query_fits = (self.query_language == image) == kind.image_queries
        passage_fits = np.where(
            self.passage_language == image, kind.image_passages, kind.text_passages
        )
        fits: np.ndarray = query_fits & passage_fits
        return fits

    def find_targets(self, kind: SettingKind) -> np.ndarray:
        """Return the passages that each judged one is ranked among, by number of `targets`."""
        if not kind.pool:
            return self.passage_language
        return np.full_like(self.query, self.targets.index(kind.pool))

    @property
    def targets(self) -> list[str]:
        """The values that `Setting.passages` may have; targets are numbered in this order."""
        return list_targets(self.groups)

    def settings(self, kinds: Iterable[KindName] | None = None) -> list[Setting]:
        """Return the settings in which a query has a relevant passage, by kind and language.

        All kinds but ``one-target`` by default.
        """
        names, targets = self.groups, self.targets
        settings: list[Setting] = []
        for name in self.kinds() if kinds is None else kinds:
            kind = SETTING_KINDS[name]
            inside = self.find_sides(kind) & (self.relevance > 0)
            if name in ("mono", "cross"):
                inside &= (self.query_language == self.passage_language) == (name == "mono")
            query, target = self.query_language[inside], self.find_targets(kind)[inside]
            pairs = np.unique(np.stack([query, target], axis=1), axis=0).tolist()
            settings += [Setting(name, names[query], targets[target]) for query, target in pairs]
        return settings

    def kinds(self, names: Iterable[str] | None = None) -> list[KindName]:
        """Return the kinds of settings that the collection has, or those `names` of them.

        ``one-target`` is there where ``multi`` is, but only by name.
        """
        existing = self._existing_kinds()
        if names is None:
            return existing
        chosen = find_kinds(names)
        for kind in chosen:
            if ("multi" if kind == "one-target" else kind) not in existing:
                raise BadOption(f"{self.name} has no {kind} settings; it has {', '.join(existing)}")
        return chosen

    def _existing_kinds(self) -> list[KindName]:
        is_relevant = self.relevance > 0
        if not is_relevant.any():
            raise BadData(f"{self.name} has no query with a relevant passage")
        relevant = {
            name: self.find_sides(kind) & is_relevant for name, kind in SETTING_KINDS.items()
        }
        same = self.query_language == self.passage_language
        has_pool = len(self.languages) > 1
        has_texts = any(self.passage_groups[lang] for lang in self.languages)
        exists: dict[KindName, bool] = {
            "mono": bool((relevant["mono"] & same).any()),
            "cross": bool((relevant["cross"] & ~same).any()),
            "multi": has_pool and bool(relevant["multi"].any()),
            "text-image": bool(relevant["text-image"].any()),
            "image-text": bool(relevant["image-text"].any()),
            "image-pool": has_pool and bool(relevant["image-pool"].any()),
            "mixed": has_texts and bool(relevant["text-image"].any()),
        }
        return [kind for kind in exists if exists[kind]]


def number_languages(rows: np.ndarray, groups: dict[str, range]) -> np.ndarray:
    """Return the number of the language that each row is in, in their order; -1 for the row -1."""
    stops = [span.stop for span in groups.values()]
    return np.where(rows < 0, -1, np.searchsorted(stops, rows, side="right"))


def _number_keys(passage_ids: pa.ChunkedArray, passage: np.ndarray) -> np.ndarray:
    """Return a number for each id without its language."""
    distinct, place = np.unique(passage, return_inverse=True)
    ids = passage_ids.take(to_arrow(distinct)).to_pylist()
    numbers: dict[str, int] = {}
    keys = [numbers.setdefault(key.partition(":")[2], len(numbers)) for key in ids]
    key_of_row: np.ndarray = np.array(keys, np.int64)[place]
    return key_of_row


def sort_ids(ids: pa.ChunkedArray) -> np.ndarray:
    """Return each id's place in the order of ids, which decides ties; (n,) int32."""
    by_id = pc.sort_indices(ids)
    chunks = by_id.chunks if isinstance(by_id, pa.ChunkedArray) else [by_id]
    parts = [np.frombuffer(c.buffers()[1], np.uint64)[c.offset :][: len(c)] for c in chunks]
    order = np.empty(len(ids), np.int32)
    order[np.concatenate(parts) if parts else []] = np.arange(len(ids), dtype=np.int32)
    return order
