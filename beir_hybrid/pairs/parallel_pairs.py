"""Questions and passages in several languages in, a dataset that a trainer samples pairs from out.

Each text is stored once for its language. A pair of languages is no row: it is a number, of which
the dataset makes the row when the trainer asks for it.
"""

import copy
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakSet

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Image, List, Value

from beir_hybrid.collection.setting import IMAGE, language_sort_key
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.pairs.code_switching import CodeSwitch, Sides
from beir_hybrid.pairs.columns import taken, there, widened
from beir_hybrid.pairs.decoding import SWITCHES, Drawn, decoded, rows_of, text_columns
from beir_hybrid.pairs.labels import numbers_of
from beir_hybrid.pairs.unsupported import refusing


@refusing
class ParallelPairs(Dataset):  # type: ignore[misc] # datasets leaves its classes untyped
    """Groups of a question and its passage, each in some languages, as a `datasets.Dataset`.

    A plain index is a group, shown in the first language that it has both in; a number that `code`
    makes is a group, a language for the question and one for the passage, and such numbers are what
    `HybridBatchSampler` draws. Rows have the columns ``anchor``, ``positive``, ``negative_1`` ...
    and ``label``: the number of the passage's text, those of the question's passages in each
    language and of further ones (-1 where there is none), and, behind a -2, those of the hard
    negatives. Equal texts have equal numbers, so a loss can tell which candidates are no negatives.

    A passage may be a picture: it is in one language more, ``image``, behind all others, its number
    is that of its file's content, and only strategies that are named for it draw it. The row has it
    decoded. A group with a picture is shown with it.

    Make one with `bh.read_pairs`, `bh.pairs_from_collection` or `bh.pairs_from_groups`. To hold
    groups out, take a `subset`; what changes texts or columns comes before: rows are made when they
    are asked for.
    """

    def __init__(
        self,
        table: pa.Table,
        languages: Sequence[str],
        *,
        negatives: int = 0,
        sources: Sequence[tuple[str, int]] = (),
        further: np.ndarray | None = None,
    ) -> None:
        # Its own fingerprint would read all texts into memory; nothing here is cached by it.
        super().__init__(table, fingerprint=secrets.token_hex(8))
        n = table.num_rows
        self.languages, self.negatives = tuple(languages), negatives
        self.translations = False
        self.shown: tuple[str, ...] | None = None  # columns, if not all
        self.sources = tuple(sources) or (("pairs", n),)
        self.asked, self.answered = (  # (groups, languages) bool
            np.stack([there(table[f"{part}.{lang}"]) for lang in languages], axis=1)
            for part in ("query", "positive")
        )
        # Numbers of the texts that answer a question, by language and then further ones.
        width = len(languages)
        more = 0 if further is None else further.shape[1]
        self.golds = np.empty((n, width + more), np.int64)
        for at, lang in enumerate(languages):  # a column at a time: there are many rows
            self.golds[:, at] = numbers_of(table[f"positive.{lang}"])
        if further is not None:
            self.golds[:, width:] = further
        # Captions that are their own passages: right in another language, never in their own.
        self.itself = np.zeros((n if self.images else 0, width), bool)
        for at, lang in enumerate(languages if self.images else ()):
            self.itself[:, at] = numbers_of(table[f"query.{lang}"]) == self.golds[:, at]
        self.itself &= self.answered[: len(self.itself), -1:]  # the picture is there
        self.samplers: WeakSet[Any] = WeakSet()
        self.switches: list[CodeSwitch] = []

    @property
    def images(self) -> bool:
        """Whether there are pictures: passages in the last of the languages, `IMAGE`."""
        return self.languages[-1] == IMAGE

    def __len__(self) -> int:
        """Return the number of groups."""
        return int(self._data.num_rows)

    def __repr__(self) -> str:
        """Return what there is, in short."""
        return (
            f"ParallelPairs({len(self):,} groups in {', '.join(self.languages)}; "
            f"columns {', '.join(self.column_names)})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the samplers, which are of one process."""
        return {name: value for name, value in self.__dict__.items() if name != "samplers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what `__getstate__` gave."""
        super().__setstate__(state)
        self.samplers = WeakSet()

    @property
    def num_rows(self) -> int:
        """The number of groups."""
        return len(self)

    @property
    def num_columns(self) -> int:
        """The number of columns of a row."""
        return len(self.column_names)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of groups and of columns."""
        return len(self), self.num_columns

    @property
    def column_names(self) -> list[str]:
        """The columns of a row, not those that texts are stored in."""
        return self._names() if self.shown is None else list(self.shown)

    def _names(self) -> list[str]:
        return [*text_columns(self.negatives), *["translation"] * self.translations, "label"]

    @property
    def features(self) -> Features:
        """The types of a row's columns."""
        types = {"label": List(Value("int64"))} | ({"positive": Image()} if self.images else {})
        return Features({name: types.get(name, Value("string")) for name in self.column_names})

    def code(
        self,
        group: np.ndarray | int,
        query_lang: np.ndarray | int,
        passage_lang: np.ndarray | int,
        draw: int = 0,
    ) -> Any:
        """Return the numbers of groups with languages, all by number.

        `draw` tells apart what one group with its languages is shown as: see `drawn_with`.
        """
        n, width = len(self), len(self.languages)
        return n + ((draw * n + np.asarray(group)) * width + query_lang) * width + passage_lang

    def drawn_with(self, switch: CodeSwitch | None, turn: int) -> int:
        """Return the `draw` of texts that are switched, differently in each turn.

        The number carries all that a row depends on: any process of a data loader makes the same.
        """
        if switch is None:
            return 0
        if switch not in self.switches:
            if len(self.switches) == SWITCHES - 1:
                raise BadOption(f"one set of pairs is switched in {SWITCHES - 1} ways at most")
            self.switches.append(switch)
        return turn * SWITCHES + self.switches.index(switch) + 1

    def decode(self, code: int) -> Drawn:
        """Return what a number stands for."""
        group, query_lang, passage_lang, _ = decoded(self, np.array([code]))
        return Drawn(int(group[0]), self.languages[query_lang[0]], self.languages[passage_lang[0]])

    def __getitems__(self, keys: Sequence[int]) -> list[dict[str, Any]]:
        """Return the rows of numbers."""
        rows = rows_of(self, keys, pictures="positive" in self.column_names)
        if self.shown is None:
            return rows
        return [{name: row[name] for name in self.shown} for row in rows]

    def digest(self) -> str:
        """Return a SHA-256 of all questions and passages and of what belongs together."""
        found = hashlib.sha256(repr((self.languages, self.sources)).encode())
        found.update(np.ascontiguousarray(self.golds).data)
        columns = [f"query.{lang}" for lang in self.languages]
        columns += [f"negative.{lang}" for lang in self.languages if self.negatives]
        for name in columns:
            column = self._data.table[name]
            flat = pc.list_flatten(column) if name.startswith("negative.") else column
            found.update(numbers_of(pa.chunked_array(flat.chunks, pa.string())).data)
        return found.hexdigest()

    def sample(self, groups: int, sides: Sides) -> Iterator[tuple[str, str]]:
        """Yield the texts, and their languages, of the first groups: queries, passages or both."""
        parts = {"queries": ["query"], "passages": ["positive"]}.get(sides, ["query", "positive"])
        for part in parts:
            for lang in self.languages[: -1 if self.images else None]:
                for text in self._data.table[f"{part}.{lang}"].slice(0, groups).to_pylist():
                    if text is not None:
                        yield text, lang

    def with_translations(self) -> "ParallelPairs":
        """Return these pairs with a last column ``translation``: the question in another language.

        It is in the passage's language, if that is another and has the question, or else in the
        next one; the question itself where there is no other.
        """
        copied = copy.copy(self)
        copied.translations, copied.switches = True, []
        return copied

    def subset(self, indices: Iterable[int]) -> "ParallelPairs":
        """Return some of the groups, in the order they are in, as to hold out the others.

        Sources keep their names; those of which nothing is left are gone.

        Examples
        --------
        >>> order = np.random.default_rng(0).permutation(len(pairs))  # doctest: +SKIP
        >>> dev, train = pairs.subset(order[:100]), pairs.subset(order[100:])  # doctest: +SKIP
        """
        rows = np.unique(places := np.asarray(list(indices), np.int64))
        if len(rows) < len(places):
            raise BadOption(f"{len(places) - len(rows)} of the groups of a subset are named twice")
        if not len(rows) or rows[0] < 0 or rows[-1] >= len(self):
            shown = f"from {rows[0]} to {rows[-1]}" if len(rows) else "none at all"
            raise BadOption(f"a subset is of groups from 0 to {len(self) - 1}, not {shown}")
        bounds = np.cumsum([0, *(count for _, count in self.sources)])
        counts = np.diff(np.searchsorted(rows, bounds)).tolist()
        found = ParallelPairs(
            taken(self._data.table, rows),
            self.languages,
            negatives=self.negatives,
            sources=[(name, n) for (name, _), n in zip(self.sources, counts, strict=True) if n],
            further=self.golds[rows, len(self.languages) :],
        )
        found.translations, found.shown = self.translations, self.shown
        return found

    def __getitem__(self, key: Any) -> Any:
        """Return a row, rows as columns, or a column, of plain indices."""
        if isinstance(key, str):
            lookup("column", key, dict.fromkeys(self.column_names))
            return [row[key] for row in self]
        n, one = len(self), isinstance(key, int | np.integer)
        places = [key] if one else range(n)[key] if isinstance(key, slice) else list(key)
        if wrong := [place for place in places if not -n <= place < n]:
            raise IndexError(f"there is no group {wrong[0]}: there are {n}")
        rows = self.__getitems__([place + n if place < 0 else place for place in places])
        return rows[0] if one else {name: [row[name] for row in rows] for name in self.column_names}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield every group in the first language that it has."""
        for start in range(0, len(self), 1000):
            yield from self.__getitems__(range(start, min(start + 1000, len(self))))

    def select(self, indices: Any, *_args: Any, **_options: Any) -> Dataset:
        """Return some groups, in the first language that each has, as a plain dataset."""
        rows = self.__getitems__(list(indices))
        if self.images and len({isinstance(row.get("positive"), str) for row in rows}) > 1:
            raise BadOption(
                "a plain dataset has texts or pictures in a column; these groups have both"
            )
        return Dataset.from_list(rows, features=self.features)

    def select_columns(self, column_names: Any, *_args: Any, **_options: Any) -> "ParallelPairs":
        """Return these pairs with some of the columns alone."""
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        for name in names:
            lookup("column", name, dict.fromkeys(self.column_names))
        copied = copy.copy(self)
        copied.shown = tuple(names)
        return copied

    def to_list(self) -> list[dict[str, Any]]:
        """Return every group in the first language that it has."""
        return list(self)

    def set_epoch(self, epoch: int) -> None:
        """Tell the samplers of these pairs which epoch it is."""
        for sampler in self.samplers:
            sampler.set_epoch(epoch)

    def sampled_by(self, sampler: Any) -> None:
        """Remember a sampler, for `set_epoch`."""
        self.samplers.add(sampler)


def join_pairs(parts: Sequence[ParallelPairs]) -> ParallelPairs:
    """Return the groups of several sources as one dataset; their names and sizes are kept.

    Examples
    --------
    >>> from beir_hybrid.pairs.reading import pairs_from_bitext
    >>> news = pairs_from_bitext({"de": ["Hallo"], "en": ["Hello"]}, "news")
    >>> talks = pairs_from_bitext({"en": ["Thanks"], "fr": ["Merci"]}, "talks")
    >>> joined = join_pairs([news, talks])
    >>> joined.languages, joined.sources
    (('de', 'en', 'fr'), (('news', 1), ('talks', 1)))
    """
    if not parts:
        raise BadOption("no pairs are named")
    if wrong := [part for part in parts if not isinstance(part, ParallelPairs)]:
        raise BadOption(f"pairs to join are a list of ParallelPairs; {wrong[0]!r:.40} is none")
    if len({part.negatives for part in parts}) > 1:
        counts = [part.negatives for part in parts]
        raise BadData(f"sources have different numbers of hard negatives: {counts}")
    languages = sorted({lang for part in parts for lang in part.languages}, key=language_sort_key)
    width = max(part.golds.shape[1] - len(part.languages) for part in parts)
    further = [
        np.pad(
            part.golds[:, len(part.languages) :],
            ((0, 0), (0, width - part.golds.shape[1] + len(part.languages))),
            constant_values=-1,
        )
        for part in parts
    ]
    names = [name for part in parts for name, _ in part.sources]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f"two sources are called {twice!r}; give them names")
    tables = [widened(part._data.table, languages, part.negatives) for part in parts]  # noqa: SLF001
    return ParallelPairs(
        pa.concat_tables(tables),
        languages,
        negatives=parts[0].negatives,
        sources=[source for part in parts for source in part.sources],
        further=np.concatenate(further) if width else None,
    )
