"""The tables of a collection: its rows, and which of them are in which language."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import IMAGE, language_sort_key
from beir_hybrid.languages import as_list, choose_languages

TitlePolicy = Literal["title+text", "text"]


# Compared by identity: tables can be millions of rows long, and arrays have no truth value.
@dataclass(frozen=True, eq=False)
class CollectionTables:
    """Queries, passages and judgements as tables; `Collection` describes the attributes."""

    name: str
    languages: tuple[str, ...]
    queries: pa.Table
    passages: pa.Table
    judgements: pa.Table
    query_counts: dict[str, int]
    passage_counts: dict[str, int]
    licence: str = ""
    citation: str = ""
    provenance: tuple[Origin, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    title_policy: TitlePolicy = "title+text"
    original_ids: bool = False
    caveat: str = ""
    dataset: dict[str, Any] = field(default_factory=dict)

    @property
    def has_images(self) -> bool:
        """Whether there are images."""
        return IMAGE in self.query_counts or IMAGE in self.passage_counts

    @property
    def codes(self) -> tuple[str, ...]:
        """The languages in the order of rows, and `IMAGE` last where there are images."""
        return (*self.languages, *[IMAGE] * self.has_images)

    def find_query_rows(self, code: str) -> range:
        """Return the row numbers of the queries in a language, or of those that are images."""
        return _find_range(self.query_counts, *self.parse_codes([code]))

    def find_passage_rows(self, code: str) -> range:
        """Return the row numbers of the passages in a language, or of those that are images."""
        return _find_range(self.passage_counts, *self.parse_codes([code]))

    @property
    def query_ranges(self) -> dict[str, range]:
        """The row numbers of the queries by language, in the order of `codes`."""
        return {code: self.find_query_rows(code) for code in self.codes}

    @property
    def passage_ranges(self) -> dict[str, range]:
        """The row numbers of the passages by language, in the order of `codes`."""
        return {code: self.find_passage_rows(code) for code in self.codes}

    def parse_codes(self, tags: str | Iterable[str] | None) -> tuple[str, ...]:
        """Return the codes that language tags name, `IMAGE` last; all languages for None."""
        if tags is None:
            return self.languages
        names = as_list(tags)
        has_image = self.has_images and IMAGE in names
        language_tags = [name for name in names if not (has_image and name == IMAGE)]
        languages: tuple[str, ...] = ()
        if language_tags or not has_image:
            kind = f"language of {self.name}"
            languages = choose_languages(kind, language_tags, self.languages)
        return (*languages, *[IMAGE] * has_image)


def _find_range(counts: dict[str, int], code: str) -> range:
    """Return a language's rows; they lie in the order of codes, also where a language has none."""
    position = language_sort_key(code)
    start = sum(count for lang, count in counts.items() if language_sort_key(lang) < position)
    return range(start, start + counts.get(code, 0))
