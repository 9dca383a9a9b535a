"""Rows in, Arrow files out, every row checked on the way; the files are read memory-mapped."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData

LANG = pa.dictionary(pa.int8(), pa.string())
QUERIES = pa.schema(
    {"id": pa.string(), "lang": LANG, "text": pa.string(), "group": pa.string()}.items()
)
PASSAGES = pa.schema(
    {"id": pa.string(), "lang": LANG, "title": pa.string(), "text": pa.string()}.items()
)
_IMAGE = pa.field("image", pa.string())
IMAGES = PASSAGES.append(_IMAGE)
IMAGE_QUERIES = QUERIES.append(_IMAGE)
JUDGEMENTS = pa.schema(
    {"query": pa.int64(), "passage": pa.int64(), "relevance": pa.int32()}.items()
)

_PIECE = 1 << 18  # rows looked through at a time
ROWS = 1 << 14  # rows held as Python objects before they become an Arrow batch
# What pyserini, trec_eval and `str.split` take for white space, and control characters.
_SPACE = r"[\s\p{Z}\x{85}\x00-\x1f\x7f]"

# What to call rows in complaints, and an id with nothing behind its prefix.
_QUERY = ("queries", "query", "^[^:]*:q:$")
_PASSAGE = ("passages", "passage", "^[^:]*:$")


@dataclass
class Problems:
    """What is wrong with a collection: for each complaint the first offender and how many."""

    found: dict[str, tuple[str, int]] = field(default_factory=dict)

    def note(self, complaint: str, first: str, count: int = 1) -> None:
        """Add offenders; the first one noted is kept."""
        if count:
            known = self.found.get(complaint)
            self.found[complaint] = (known[0], known[1] + count) if known else (first, count)

    def raise_for(self, name: str) -> None:
        """Raise `BadData` if anything was noted."""
        if self.found:
            lines = [f"{n:,} {what}, first {first!r}" for what, (first, n) in self.found.items()]
            raise BadData(f"{name}: {'; '.join(lines)}")


class ShardWriter:
    """Writes rows of one language to one Arrow file, a batch at a time."""

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
        if len(self._buffer) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one batch."""
        held, self._buffer = self._buffer, []
        if held:
            self.extend(*(pa.array(column, pa.string()) for column in zip(*held, strict=True)))

    def extend(self, *columns: pa.Array) -> None:
        """Write rows as one batch: all columns but ``lang``, in the schema's order."""
        self.flush()
        n = len(columns[0])
        named = dict(zip(self._columns, columns, strict=True))
        named["lang"] = pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), [self.lang])
        batch = pa.record_batch([named[name] for name in self.schema.names], schema=self.schema)
        _check_rows(batch, self._problems)
        if self.lang == IMAGE:
            _note(blank(batch["image"]), batch["id"], "pictures without a path", self._problems)
        self._writer.write_batch(batch)
        self.rows += n

    def close(self) -> None:
        """Write the rest and finish the file."""
        if not self._file.closed:
            self.flush()
            self._writer.close()
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is; it cannot be read."""
        with suppress(OSError):  # a full disk refuses what is held once more
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def read_shards(paths: Sequence[Path], schema: pa.Schema) -> pa.Table:
    """Return the rows of Arrow files as one table whose bytes stay on disk."""
    tables = []
    for path in paths:
        try:
            tables.append(pa.ipc.open_file(pa.memory_map(str(path))).read_all())
        except (pa.ArrowInvalid, FileNotFoundError) as error:
            raise BadData(f"{path} is damaged: {error}") from error
    return pa.concat_tables(tables) if tables else schema.empty_table()


def chunks(column: pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    """Yield the pieces of a column, each with the row number that it starts at."""
    start = 0
    for chunk in column.chunks:
        yield start, chunk
        start += len(chunk)


def rows_of(column: pa.ChunkedArray, wanted: pa.Array) -> np.ndarray:
    """Return the row number of each wanted id, -1 where there is none.

    Memory grows with `wanted`, not with the column.
    """
    rows = np.full(len(wanted), -1, dtype=np.int64)
    # Arrow hashes `wanted` anew for every piece: the larger it is, the larger the pieces are.
    piece = max(4 * len(wanted), _PIECE)
    for start in range(0, len(column), piece):
        places = pc.index_in(column.slice(start, piece), value_set=wanted)
        hits = np.flatnonzero(pc.is_valid(places).to_numpy())
        rows[pc.drop_null(places).to_numpy()] = hits + start
    return rows


def note_duplicates(column: pa.ChunkedArray, kind: str, problems: Problems) -> None:
    """Note ids that occur more than once; needs 8 bytes a row, not the ids themselves."""
    hashes = np.empty(len(column), dtype=np.int64)
    for start, chunk in chunks(column):
        hashes[start : start + len(chunk)] = list(map(hash, chunk.to_pylist()))
    hashes.sort()
    twice = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(twice):
        return
    # Two ids may share a hash by accident: look at the few ids that do, by their text.
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    suspects = set(twice.tolist())
    for _, chunk in chunks(column):
        for key in chunk.to_pylist():
            if hash(key) in suspects:
                if key in seen:
                    repeated[key] = None
                seen.add(key)
    if repeated:
        problems.note(f"{kind} ids occur more than once", next(iter(repeated)), len(repeated))


def _check_rows(batch: pa.RecordBatch, problems: Problems) -> None:
    many, one, bare = _QUERY if "group" in batch.schema.names else _PASSAGE
    ids = batch["id"]
    _note(pc.match_substring_regex(ids, _SPACE), ids, f"{one} ids with white space", problems)
    _note(pc.match_substring_regex(ids, bare), ids, f"{many} without an id", problems)
    empty = blank(batch["text"])
    for name in ("title", "image"):
        if name in batch.schema.names:
            empty = pc.and_(empty, blank(batch[name]))
    _note(empty, ids, f"{many} without text", problems)
    if one == "passage":
        # A query's id is `lang:q:...`; BEIR drops documents whose id is the query's.
        clash = pc.match_substring_regex(ids, "^[^:]*:q:")
        _note(clash, ids, "passage ids that start with 'q:' as query ids do", problems)


def blank(texts: pa.Array) -> pa.Array:
    """Return which texts are missing or nothing but white space."""
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), fill_value=True)


def _note(mask: pa.Array, ids: pa.Array, complaint: str, problems: Problems) -> None:
    if count := pc.sum(mask).as_py():
        problems.note(complaint, ids[pc.index(mask, value=True).as_py()].as_py(), count)
