"""Parallel training pairs as a dataset that a trainer reads.

Each text is stored once for its language. A pair of languages is no row: it is a number, of which
the dataset makes the row when the trainer asks for it.
"""

import copy
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Image, List, Value

from beir_hybrid.collection.arrays import take_rows, to_numpy
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.pairs.code_switching import CodeSwitch, Sides
from beir_hybrid.pairs.group_table import GroupTable
from beir_hybrid.pairs.labels import hash_texts
from beir_hybrid.pairs.row_codes import SWITCH_LIMIT, RowCodes, SampledRow, join_variant
from beir_hybrid.pairs.rows import Row, decode_codes, list_text_columns, make_rows
from beir_hybrid.pairs.unsupported import refuse_unsupported

_CHUNK = 1000  # rows that are made at once


class EpochSampler(Protocol):
    """A sampler that is told the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch."""


@refuse_unsupported
class ParallelPairs(Dataset):  # type: ignore[misc] # datasets leaves its classes untyped
    """Groups of a query and its passage, each in some languages, as a `datasets.Dataset`.

    A plain index is a group, shown in the first language that it has both in; a number that
    `row_codes` makes is a group, a language for the query and one for the passage, and such
    numbers are what `HybridBatchSampler` draws. Rows have the columns ``anchor``, ``positive``,
    ``negative_1`` ... and ``label``: the number of the passage's text, those of the query's
    passages in each language and of further ones (-1 where there is none), behind a -2 those of
    the hard negatives, and behind a -3 those of the languages of query and passage. Equal texts
    have equal numbers, so a loss can tell which candidates are no negatives.

    A passage may be an image: it is in one language more, ``image``, behind all others, its number
    is that of its file's content, and only strategies that are named for it draw it. The row has it
    decoded. A group with an image is shown with it.

    Make one with `bh.read_pairs`, `bh.pairs_from_collection` or `bh.pairs_from_groups`. To hold
    groups out, take a `subset`; change texts or columns before: rows are made when they are asked
    for.

    Attributes
    ----------
    languages
        The languages of queries and passages, ``image`` last.
    negatives
        How many hard negatives a row has.
    sources
        The names of the data sets that are joined, and their numbers of groups.
    groups
        The texts, and arrays of which exist.
    """

    def __init__(
        self,
        table: pa.Table,
        languages: Sequence[str],
        *,
        negatives: int = 0,
        sources: Sequence[tuple[str, int]] = (),
        further_golds: np.ndarray | None = None,
    ) -> None:
        # Its own fingerprint would read all texts into memory; nothing here is cached by it.
        super().__init__(table, fingerprint=secrets.token_hex(8))
        self.languages, self.negatives = tuple(languages), negatives
        self.sources = tuple(sources) or (("pairs", table.num_rows),)
        self.groups = GroupTable.from_table(self._data.table, languages, negatives, further_golds)
        self.has_translations = False
        self.selected_columns: tuple[str, ...] | None = None  # if not all
        self.code_switches: list[CodeSwitch] = []  # by number
        self.samplers: WeakSet[EpochSampler] = WeakSet()

    @property
    def has_images(self) -> bool:
        """Whether some passages are images: passages in the last of the languages."""
        return self.groups.has_images

    def __len__(self) -> int:
        """Return the number of groups."""
        return int(self._data.num_rows)

    def __repr__(self) -> str:
        """Return the number of groups, the languages and the columns."""
        return (
            f"ParallelPairs({len(self):,} groups in {', '.join(self.languages)}; "
            f"columns {', '.join(self.column_names)})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the samplers, which are of one process, and the table only once."""
        state = {name: value for name, value in self.__dict__.items() if name != "samplers"}
        return state | {"groups": replace(self.groups, table=None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of `__getstate__`."""
        super().__setstate__(state)
        self.groups = replace(self.groups, table=self._data.table)
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
        if self.selected_columns is not None:
            return list(self.selected_columns)
        translation = ["translation"] if self.has_translations else []
        return [*list_text_columns(self.negatives), *translation, "label"]

    @property
    def features(self) -> Features:
        """The types of a row's columns."""
        types = {"label": List(Value("int64"))} | ({"positive": Image()} if self.has_images else {})
        return Features({name: types.get(name, Value("string")) for name in self.column_names})

    @property
    def row_codes(self) -> RowCodes:
        """The numbers of rows by those of groups and languages."""
        return RowCodes(len(self), len(self.languages))

    def decode_row(self, code: int) -> SampledRow:
        """Return the group and the languages of a row by its number."""
        group, query, passage, _ = decode_codes(self.groups, np.array([code]))
        languages = self.languages
        return SampledRow(int(group[0]), languages[query[0]], languages[passage[0]])

    def register_variant(self, switch: CodeSwitch | None, turn: int) -> int:
        """Return the variant of rows whose texts are switched, differently in each turn.

        The number carries all that a row depends on: any process of a data loader makes the same.
        """
        if switch is None:
            return 0
        if switch not in self.code_switches:
            if len(self.code_switches) == SWITCH_LIMIT - 1:
                raise BadOption(f"one set of pairs is switched in {SWITCH_LIMIT - 1} ways at most")
            self.code_switches.append(switch)
        return join_variant(turn, self.code_switches.index(switch))

    def __getitems__(self, keys: Sequence[int]) -> list[Row]:
        """Return the rows of numbers of `row_codes`, or of plain indices."""
        rows = make_rows(
            self.groups,
            keys,
            switches=self.code_switches,
            has_images="positive" in self.column_names,
            has_translations=self.has_translations,
        )
        if self.selected_columns is None:
            return rows
        return [{name: row[name] for name in self.selected_columns} for row in rows]

    def digest(self) -> str:
        """Return a SHA-256 of all queries and passages and of their groups."""
        checksum = hashlib.sha256(repr((self.languages, self.sources)).encode())
        checksum.update(np.ascontiguousarray(self.groups.gold_hashes).data)
        columns = [f"query.{lang}" for lang in self.languages]
        columns += [f"negative.{lang}" for lang in self.languages if self.negatives]
        for name in columns:
            column = self._data.table[name]
            is_list = name.startswith("negative.")
            if is_list:
                checksum.update(to_numpy(pc.list_value_length(column).fill_null(-1)).tobytes())
            texts = pc.list_flatten(column) if is_list else column
            checksum.update(hash_texts(pa.chunked_array(texts.chunks, pa.string())).data)
        return checksum.hexdigest()

    def iterate_texts(self, n_groups: int, sides: Sides) -> Iterator[tuple[str, str]]:
        """Yield the texts of the first groups with their languages: queries, passages or both."""
        parts = {"queries": ["query"], "passages": ["positive"]}.get(sides, ["query", "positive"])
        for part in parts:
            for lang in self.languages[: -1 if self.has_images else None]:
                for text in self._data.table[f"{part}.{lang}"].slice(0, n_groups).to_pylist():
                    if text is not None:
                        yield text, lang

    def with_translations(self) -> "ParallelPairs":
        """Return these pairs with a last column ``translation``: the query in another language.

        It is in the passage's language, if that is another and has the query, or else in the
        next one; the query itself where there is no other.
        """
        pairs = copy.copy(self)
        pairs.has_translations, pairs.code_switches = True, []
        return pairs

    def subset(self, indices: Iterable[int]) -> "ParallelPairs":
        """Return some of the groups, in the order they are in, as to hold out the others.

        Sources keep their names; those of which nothing is left are gone.

        Examples
        --------
        >>> order = np.random.default_rng(0).permutation(len(pairs))  # doctest: +SKIP
        >>> dev, train = pairs.subset(order[:100]), pairs.subset(order[100:])  # doctest: +SKIP
        """
        rows = np.unique(numbers := np.asarray(list(indices), np.int64))
        if len(rows) < len(numbers):
            raise BadOption(f"{len(numbers) - len(rows)} of the groups of a subset are named twice")
        if not len(rows) or rows[0] < 0 or rows[-1] >= len(self):
            span = f"from {rows[0]} to {rows[-1]}" if len(rows) else "none at all"
            raise BadOption(f"a subset is of groups from 0 to {len(self) - 1}, not {span}")
        bounds = np.cumsum([0, *(count for _, count in self.sources)])
        counts = np.diff(np.searchsorted(rows, bounds)).tolist()
        subset = ParallelPairs(
            take_rows(self._data.table, rows),
            self.languages,
            negatives=self.negatives,
            sources=[(name, n) for (name, _), n in zip(self.sources, counts, strict=True) if n],
            further_golds=self.groups.further_golds[rows],
        )
        subset.has_translations = self.has_translations
        subset.selected_columns = self.selected_columns
        return subset

    def __getitem__(self, key: Any) -> Any:
        """Return a row, rows as columns, or a column, of plain indices."""
        if isinstance(key, str):
            lookup("column", key, dict.fromkeys(self.column_names))
            return [row[key] for row in self]
        n, is_single = len(self), isinstance(key, int | np.integer)
        numbers = [key] if is_single else range(n)[key] if isinstance(key, slice) else list(key)
        if wrong := [number for number in numbers if not -n <= number < n]:
            raise IndexError(f"there is no group {wrong[0]}: there are {n}")
        rows = self.__getitems__([number + n if number < 0 else number for number in numbers])
        if is_single:
            return rows[0]
        return {name: [row[name] for row in rows] for name in self.column_names}

    def __iter__(self) -> Iterator[Row]:
        """Yield every group in its first language."""
        for start in range(0, len(self), _CHUNK):
            yield from self.__getitems__(range(start, min(start + _CHUNK, len(self))))

    def select(self, indices: Iterable[int], *_args: object, **_options: object) -> Dataset:
        """Return some groups, in the first language that each has, as a plain dataset."""
        rows = self.__getitems__(list(indices))
        if self.has_images and len({isinstance(row.get("positive"), str) for row in rows}) > 1:
            raise BadOption(
                "a plain dataset has texts or images in a column; these groups have both"
            )
        return Dataset.from_list(rows, features=self.features)

    def select_columns(
        self, column_names: str | Iterable[str], *_args: object, **_options: object
    ) -> "ParallelPairs":
        """Return these pairs with some of the columns alone."""
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        for name in names:
            lookup("column", name, dict.fromkeys(self.column_names))
        pairs = copy.copy(self)
        pairs.selected_columns = tuple(names)
        return pairs

    def to_list(self) -> list[Row]:
        """Return every group in its first language."""
        return list(self)

    def set_epoch(self, epoch: int) -> None:
        """Tell the samplers of these pairs the epoch."""
        for sampler in self.samplers:
            sampler.set_epoch(epoch)

    def add_sampler(self, sampler: EpochSampler) -> None:
        """Remember a sampler, for `set_epoch`."""
        self.samplers.add(sampler)
