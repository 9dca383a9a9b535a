"""Queries and passages of a file of groups as columns, each distinct text with a row number."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.arrays import take_rows
from beir_hybrid.collection.setting import language_sort_key
from beir_hybrid.curation.text_groups import Part, TextGroup
from beir_hybrid.encoding.distinct_texts import DistinctTexts

_CHUNK = 4096  # texts that become an Arrow array together
NO_GROUP = -1  # of passages that belong to no group


@dataclass(frozen=True)
class TextColumns:
    """The distinct texts of queries, or of passages, in all languages.

    Attributes
    ----------
    texts
        Each language's distinct texts, one language behind another.
    ranges
        The rows of each language.
    groups, rows
        For each language: the groups that have a text, ascending, and the row of each one's text.
    first_groups
        For each language: the groups of which it is the first, in the file's own order.
    """

    texts: pa.ChunkedArray
    ranges: Mapping[str, range]
    groups: Mapping[str, np.ndarray]  # (n,) int64
    rows: Mapping[str, np.ndarray]  # (n,) int64
    first_groups: Mapping[str, np.ndarray]  # (n,) int64

    def get_row_by_group(self, lang: str, n_groups: int) -> np.ndarray:
        """Return the row of each group's text in a language, -1 without any; (groups,) int64."""
        rows = np.full(n_groups, -1, np.int64)
        if lang in self.groups:
            rows[self.groups[lang]] = self.rows[lang]
        return rows


class ColumnBuilder:
    """Collects texts by language, as Arrow arrays; those of a group come together."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._chunks: dict[str, list[pa.Array]] = {}
        self._groups: dict[str, list[int]] = {}
        self._first_groups: dict[str, list[int]] = {}
        self._last_group = NO_GROUP

    def add(self, lang: str, text: str, group: int = NO_GROUP) -> None:
        """Add a text of a group."""
        texts = self._texts.setdefault(lang, [])
        texts.append(text)
        self._groups.setdefault(lang, []).append(group)
        if group not in (NO_GROUP, self._last_group):
            self._first_groups.setdefault(lang, []).append(group)
        self._last_group = group
        if len(texts) == _CHUNK:
            self._flush(lang)

    def build(self) -> TextColumns:
        """Return the columns; texts without a group are last in their languages."""
        parts, ranges, groups, rows = [], {}, {}, {}
        start = 0
        for lang in sorted(self._texts, key=language_sort_key):
            self._flush(lang)
            column = pa.chunked_array(self._chunks[lang], pa.string())
            distinct = DistinctTexts.from_column(column)
            parts += take_rows(column, distinct.first_rows).chunks
            ranges[lang] = range(start, start + len(distinct))
            numbers = np.array(self._groups[lang], np.int64)
            groups[lang] = numbers[numbers != NO_GROUP]
            rows[lang] = start + distinct.numbers[numbers != NO_GROUP]
            start += len(distinct)
        first_groups = {
            lang: np.array(numbers, np.int64) for lang, numbers in self._first_groups.items()
        }
        texts = pa.chunked_array(parts, pa.string())
        return TextColumns(texts, ranges, groups, rows, first_groups)

    def _flush(self, lang: str) -> None:
        if texts := self._texts[lang]:
            self._chunks.setdefault(lang, []).append(pa.array(texts, pa.string()))
            texts.clear()


def add_texts(builder: ColumnBuilder, groups: Iterable[TextGroup], part: Part) -> int:
    """Add one part of all groups to a builder, blank texts left out; return how many groups."""
    n_groups = 0
    for group in groups:
        for lang, text in group.get_texts(part).items():
            if text.strip():
                builder.add(lang, text, n_groups)
        n_groups += 1
    return n_groups


def find_classes(columns: TextColumns, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Find classes of texts that are equal, or translations of each other in some group.

    Equal texts are of one class in whatever languages, and texts are if a third text is of the
    class of both.

    Returns
    -------
        The class of each group's text, (groups,) int64, and of each row, (rows,) int64.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups = np.concatenate([np.empty(0, np.int64), *columns.groups.values()])
    rows = np.concatenate([np.empty(0, np.int64), *columns.rows.values()])
    numbers = DistinctTexts.from_column(columns.texts).numbers  # equal ones are rows by language
    n = n_groups + len(numbers)
    edges = coo_array(
        (np.ones(len(groups), bool), (groups, n_groups + numbers[rows])), shape=(n, n)
    )
    classes = connected_components(edges, directed=False)[1].astype(np.int64)
    return classes[:n_groups], classes[n_groups + numbers]
