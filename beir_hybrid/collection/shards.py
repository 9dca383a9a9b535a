"""Arrow files of queries and passages: schemas, a writer that checks every row, reading, look-ups.

Files are read memory-mapped, so that a collection may be larger than memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData
from beir_hybrid.files import explain_read_errors

_LANGUAGE = pa.dictionary(pa.int8(), pa.string())
QUERY_SCHEMA = pa.schema(
    {"id": pa.string(), "lang": _LANGUAGE, "text": pa.string(), "group": pa.string()}.items()
)
PASSAGE_SCHEMA = pa.schema(
    {"id": pa.string(), "lang": _LANGUAGE, "title": pa.string(), "text": pa.string()}.items()
)
_IMAGE_FIELD = pa.field("image", pa.string())
IMAGE_QUERY_SCHEMA = QUERY_SCHEMA.append(_IMAGE_FIELD)
IMAGE_PASSAGE_SCHEMA = PASSAGE_SCHEMA.append(_IMAGE_FIELD)
JUDGEMENT_SCHEMA = pa.schema(
    {"query": pa.int64(), "passage": pa.int64(), "relevance": pa.int32()}.items()
)

BATCH_ROWS = 1 << 14  # rows that are held as Python objects before they become an Arrow batch
_SEARCH_ROWS = 1 << 18  # rows that `find_rows` hashes at a time
# What pyserini, trec_eval and `str.split` take for white space, and control characters.
_WHITE_SPACE = r"[\s\p{Z}\x{85}\x00-\x1f\x7f]"


class _RowKind(NamedTuple):
    """The names of rows in complaints, and the pattern of an id that is only a prefix."""

    plural: str
    singular: str
    bare_id: str


_QUERY_KIND = _RowKind("queries", "query", "^[^:]*:q:$")
_PASSAGE_KIND = _RowKind("passages", "passage", "^[^:]*:$")


@dataclass
class Problems:
    """Complaints about a collection: for each the first offender and the number of offenders."""

    complaints: dict[str, tuple[str, int]] = field(default_factory=dict)

    def note(self, complaint: str, offender: str, count: int = 1) -> None:
        """Add offenders to a complaint; the first offender ever noted is named."""
        if count:
            first, total = self.complaints.get(complaint, (offender, 0))
            self.complaints[complaint] = (first, total + count)

    def note_rows(self, complaint: str, is_offender: pa.Array, ids: pa.Array) -> None:
        """Add the rows for which `is_offender` is true."""
        if count := pc.sum(is_offender).as_py():
            self.note(complaint, ids[pc.index(is_offender, value=True).as_py()].as_py(), count)

    def raise_if_any(
        self, name: str, find_place: Callable[[str], str] = lambda _: "", hint: str = ""
    ) -> None:
        """Raise `BadData` with all complaints, the place of each, and a hint, if there are any."""
        if self.complaints:
            phrases = []
            for complaint, (first, count) in self.complaints.items():
                place = find_place(first)
                phrases.append(f"{count:,} {complaint}, first {first!r}{place and f' in {place}'}")
            raise BadData(f"{name}: {'; '.join([*phrases, *([hint] if hint else [])])}")


class ShardWriter:
    """Writes rows of one language to one Arrow file, a batch at a time, and checks them."""

    def __init__(self, path: Path, schema: pa.Schema, lang: str, problems: Problems) -> None:
        self.path, self.schema, self.lang, self.rows = path, schema, lang, 0
        self._problems = problems
        self._columns = [name for name in schema.names if name != "lang"]
        self._buffer: list[Sequence[str | None]] = []
        self._file = path.open("wb")
        self._writer = pa.ipc.new_file(self._file, schema)

    def append(self, *values: str | None) -> None:
        """Add a row: the values of all columns but ``lang``, in the schema's order."""
        self._buffer.append(values)
        if len(self._buffer) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows in memory as one batch."""
        rows, self._buffer = self._buffer, []
        try:
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        except UnicodeEncodeError as error:
            raise BadData(
                f"{error.object!a:.60} holds half a character, a lone surrogate"
            ) from error
        if rows:
            self.extend(*columns)

    def extend(self, *columns: pa.Array) -> None:
        """Write rows as one batch: all columns but ``lang``, in the schema's order."""
        self.flush()
        n = len(columns[0])
        table = dict(zip(self._columns, columns, strict=True))
        table["lang"] = pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), [self.lang])
        batch = pa.record_batch([table[name] for name in self.schema.names], schema=self.schema)
        _check_rows(batch, self._problems)
        if self.lang == IMAGE:
            is_pathless = is_blank(batch["image"])
            self._problems.note_rows("images without a path", is_pathless, batch["id"])
        self._writer.write_batch(batch)
        self.rows += n

    def close(self) -> None:
        """Write the rows in memory and finish the file."""
        if not self._file.closed:
            self.flush()
            self._writer.close()
            self._file.close()

    def abandon(self) -> None:
        """Close the file unfinished, so that reading fails."""
        with suppress(OSError):  # a full disk refuses the buffered bytes once more
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def read_shards(paths: Sequence[Path], schema: pa.Schema) -> pa.Table:
    """Read Arrow files as one table whose bytes stay on disk."""
    tables = []
    for path in paths:
        with explain_read_errors(path, "is no Arrow file"):
            tables.append(pa.ipc.open_file(pa.memory_map(str(path))).read_all())
    return pa.concat_tables(tables) if tables else schema.empty_table()


def iterate_chunks(column: pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    """Yield the first row number and the values of each chunk of a column."""
    start = 0
    for chunk in column.chunks:
        yield start, chunk
        start += len(chunk)


def find_rows(column: pa.ChunkedArray, ids: pa.Array) -> np.ndarray:
    """Return the row number of each distinct id in a column, -1 for missing ids; (ids,) int64.

    Memory grows with `ids`, not with the column.
    """
    rows = np.full(len(ids), -1, dtype=np.int64)
    # Arrow hashes `ids` anew for every slice: the more ids, the larger the slices.
    size = max(4 * len(ids), _SEARCH_ROWS)
    for start in range(0, len(column), size):
        places = pc.index_in(column.slice(start, size), value_set=ids)
        hits = np.flatnonzero(pc.is_valid(places).to_numpy())
        rows[pc.drop_null(places).to_numpy()] = hits + start
    return rows


def note_duplicates(column: pa.ChunkedArray, kind: str, problems: Problems) -> None:
    """Note ids that occur more than once; needs 8 bytes a row, not the ids themselves."""
    hashes = np.empty(len(column), dtype=np.int64)
    for start, chunk in iterate_chunks(column):
        hashes[start : start + len(chunk)] = list(map(hash, chunk.to_pylist()))
    hashes.sort()
    equal_hashes = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if not equal_hashes:
        return
    # Two ids may share a hash by accident: compare the few ids that do by their text.
    ids: set[str] = set()
    duplicates: dict[str, None] = {}
    for _, chunk in iterate_chunks(column):
        for key in chunk.to_pylist():
            if hash(key) in equal_hashes:
                if key in ids:
                    duplicates[key] = None
                ids.add(key)
    if duplicates:
        problems.note(f"{kind} ids occur more than once", next(iter(duplicates)), len(duplicates))


def is_blank(texts: pa.Array) -> pa.Array:
    """Return whether each text is missing or nothing but white space; (texts,) bool."""
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), fill_value=True)


def _check_rows(batch: pa.RecordBatch, problems: Problems) -> None:
    kind = _QUERY_KIND if "group" in batch.schema.names else _PASSAGE_KIND
    ids = batch["id"]
    has_space = pc.match_substring_regex(ids, _WHITE_SPACE)
    problems.note_rows(f"{kind.singular} ids with white space", has_space, ids)
    is_bare = pc.match_substring_regex(ids, kind.bare_id)
    problems.note_rows(f"{kind.plural} without an id", is_bare, ids)
    is_empty = is_blank(batch["text"])
    for name in ("title", "image"):
        if name in batch.schema.names:
            is_empty = pc.and_(is_empty, is_blank(batch[name]))
    problems.note_rows(f"{kind.plural} without text", is_empty, ids)
    if kind is _PASSAGE_KIND:
        # A query's id is `lang:q:...`; BEIR drops documents whose id is the query's.
        is_query_id = pc.match_substring_regex(ids, "^[^:]*:q:")
        problems.note_rows("passage ids that start with 'q:' as query ids do", is_query_id, ids)
