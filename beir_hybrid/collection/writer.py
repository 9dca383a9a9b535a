"""Rows in any order in, a checked collection on disk out; memory does not grow with the rows."""

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.collection import Collection, Origin, TitlePolicy
from beir_hybrid.collection.setting import IMAGE, language_order
from beir_hybrid.collection.shards import (
    IMAGE_QUERIES,
    IMAGES,
    JUDGEMENTS,
    PASSAGES,
    QUERIES,
    ROWS,
    Problems,
    ShardWriter,
    blank,
    note_duplicates,
    read_shards,
    rows_of,
)
from beir_hybrid.collection.store import (
    FORMAT,
    MANIFEST,
    Shard,
    open_collection,
    write_manifest,
)
from beir_hybrid.errors import BadData
from beir_hybrid.files import cache_folder, locked, writing
from beir_hybrid.languages import normalise

logger = logging.getLogger(__name__)

_GRADES = 1 << 31
_LOST = "{} that judgements name and the collection lacks"


class CollectionWriter:
    """Takes queries, passages and judgements one by one, and writes them language by language.

    `finish` checks the whole and raises `BadData` with the first offender and the count of every
    kind of complaint; nothing is dropped silently.

    Examples
    --------
    >>> def build(writer):
    ...     passage = writer.passage("en", "1", "", "Here.")
    ...     writer.judge(writer.query("en", "1", "Where?", group="1"), passage)
    ...     writer.finish()
    >>> cached("tiny", {"version": 1}, build)
    Collection('tiny', 1 language, 1 query, 1 passage)
    """

    def __init__(self, folder: Path, name: str, *, images: bool = False) -> None:
        self.folder, self.name, self._images = folder, name, images
        self.warnings: list[str] = []  # given whenever the collection is opened
        self._problems = Problems()
        self._query_schema = IMAGE_QUERIES if images else QUERIES
        self._passage_schema = IMAGES if images else PASSAGES
        self._writers: dict[tuple[str, str], ShardWriter] = {}
        self._attached: list[Shard] = []
        self._judged: list[tuple[str, str, int]] = []
        self._judgements: list[pa.Table] = []

    def query(
        self, lang: str | None, key: str, text: str, group: str, image: str | None = None
    ) -> str:
        """Add a query and return its id, ``lang:q:key``; see `passage` on images."""
        writer = self._writer("queries", lang, self._query_schema, key)
        if writer is None:
            return ""
        identity = f"{writer.lang}:q:{key}"
        writer.append(identity, text, group, *([image] if self._images else []))
        return identity

    def passage(
        self, lang: str | None, key: str, title: str, text: str, image: str | None = None
    ) -> str:
        """Add a passage and return its id, ``lang:key``.

        The language of a picture is `IMAGE`, its text what identifies its content, such as a
        checksum, and `image` the path to it.
        """
        writer = self._writer("passages", lang, self._passage_schema, key)
        if writer is None:
            return ""
        identity = f"{writer.lang}:{key}"
        writer.append(identity, title, text, *([image] if self._images else []))
        return identity

    def judge(self, query: str, passage: str, relevance: int = 1) -> None:
        """Say how relevant a passage is to a query, both by their ids."""
        if not -_GRADES <= relevance < _GRADES:
            self._problems.note("relevances beyond 32 bits", query)
            return
        self._judged.append((query, passage, relevance))
        if len(self._judged) >= ROWS:
            self._flush_judgements()

    def spread(self) -> None:
        """Take the passages judged so far for keys: whatever their language, each is meant.

        All passages have to be added before.
        """
        self.close()
        self._flush_judgements()
        if not self._judgements:
            return
        judged = pa.concat_tables(self._judgements)
        keys, places = _encoded(judged["passage"])
        self._judgements = []
        found = np.zeros(len(keys), dtype=bool)
        for shard in self._shards("passages"):
            wanted = pc.binary_join_element_wise(f"{shard.lang}:", keys, "")
            ids = read_shards([self.folder / shard.path], self._passage_schema)["id"]
            here = rows_of(ids, wanted) >= 0
            found |= here
            rows = np.flatnonzero(here[places])
            passages = pa.chunked_array([wanted.take(places[rows])])
            self._judgements.append(judged.take(rows).set_column(1, "passage", passages))
        self.lacks("passages", keys.filter(pa.array(~found)).to_pylist())

    def lacks(self, kind: str, keys: Iterable[str]) -> None:
        """Complain of judged queries or passages that have no row."""
        for key in keys:
            self._problems.note(_LOST.format(kind), key)

    def attach(self, lang: str, path: Path, rows: int) -> None:
        """Add a file of passages that a `ShardWriter` wrote and checked earlier."""
        relative = os.path.relpath(path, self.folder)
        self._attached.append(Shard(relative, lang, rows, path.stat().st_size))

    def finish(
        self,
        *,
        licence: str = "",
        citation: str = "",
        provenance: Iterable[Origin] = (),
        options: dict[str, Any] | None = None,
        title_policy: TitlePolicy = "title+text",
        original_ids: bool = False,
        caveat: str = "",
    ) -> None:
        """Check everything and write judgements and manifest."""
        self.close()
        queries, passages = self._shards("queries"), self._shards("passages")
        asked, answering = (
            read_shards([self.folder / shard.path for shard in shards], schema)
            for shards, schema in (
                (queries, self._query_schema),
                (passages, self._passage_schema),
            )
        )
        query_ids, passage_ids = asked["id"], answering["id"]
        note_duplicates(query_ids, "query", self._problems)
        note_duplicates(passage_ids, "passage", self._problems)
        if title_policy == "text":
            _note_titles_alone(answering, self._problems)
        self._problems.raise_for(self.name)
        for kind, shards in (("queries", queries), ("passages", passages)):
            if not shards:
                raise BadData(f"{self.name}: there are no {kind}")
        self._write_judgements(query_ids, passage_ids)
        known = {
            "name": self.name,
            "licence": licence,
            "citation": citation,
            "options": options or {},
            "title_policy": title_policy,
            "original_ids": original_ids,
            "caveat": caveat,
            "provenance": [vars(origin) for origin in provenance],
            "warnings": self.warnings,
        }
        write_manifest(self.folder, known, queries, passages)

    def close(self) -> None:
        """Write what is held and close the files."""
        for writer in self._writers.values():
            writer.close()

    def abandon(self) -> None:
        """Close the files as they are."""
        for writer in self._writers.values():
            writer.abandon()

    def _writer(
        self, kind: str, lang: str | None, schema: pa.Schema, key: str
    ) -> ShardWriter | None:
        try:
            code = IMAGE if self._images and lang == IMAGE else normalise(lang or "")
        except BadData:
            what = f"with unknown language {lang!r}" if lang else "without language"
            self._problems.note(f"{kind} {what}", key)
            return None
        writer = self._writers.get((kind, code))
        if writer is None:
            path = self.folder / f"{kind}-{code}.arrow"
            writer = self._writers[kind, code] = ShardWriter(path, schema, code, self._problems)
        return writer

    def _shards(self, kind: str) -> list[Shard]:
        own = [
            Shard(writer.path.name, code, writer.rows, writer.path.stat().st_size)
            for (written, code), writer in self._writers.items()
            if written == kind
        ]
        shards = own + (self._attached if kind == "passages" else [])
        return sorted(shards, key=lambda shard: language_order(shard.lang))

    def _flush_judgements(self) -> None:
        if self._judged:
            names = ["query", "passage", "relevance"]
            columns = zip(*self._judged, strict=True)
            self._judgements.append(pa.table([pa.array(column) for column in columns], names))
            self._judged.clear()

    def _write_judgements(self, query_ids: pa.ChunkedArray, passage_ids: pa.ChunkedArray) -> None:
        problems = self._problems
        self._flush_judgements()
        if not self._judgements:
            raise BadData(f"{self.name}: there are no judgements")
        judged = pa.concat_tables(self._judgements)
        query = _resolved(judged["query"], query_ids, "queries", problems)
        passage = _resolved(judged["passage"], passage_ids, "passages", problems)
        relevance = judged["relevance"].to_numpy()
        answered = np.zeros(len(query_ids), dtype=bool)
        answered[query[(relevance > 0) & (query >= 0)]] = True
        if not answered.all():
            missing = np.flatnonzero(~answered)
            first = query_ids[int(missing[0])].as_py()
            problems.note("queries without a relevant passage", first, len(missing))
        order = np.lexsort((passage, query))
        order = order[(query[order] >= 0) & (passage[order] >= 0)]
        query, passage, relevance = query[order], passage[order], relevance[order]
        twice = np.flatnonzero((np.diff(query) == 0) & (np.diff(passage) == 0))
        if len(twice):
            first = query_ids[int(query[twice[0]])].as_py()
            problems.note("judgements given twice", first, len(twice))
        problems.raise_for(self.name)
        table = pa.table([query, passage, relevance.astype(np.int32)], schema=JUDGEMENTS)
        with (
            (self.folder / "judgements.arrow").open("wb") as file,
            pa.ipc.new_file(file, JUDGEMENTS) as writer,
        ):
            writer.write_table(table)


def cached(
    name: str,
    recipe: Mapping[str, object],
    build: Callable[[CollectionWriter], None],
    *,
    images: bool = False,
) -> Collection:
    """Return the collection of a recipe, building it once; equal recipes share one folder."""
    known = json.dumps({"format": FORMAT, **recipe}, sort_keys=True, ensure_ascii=False)
    digest = sha256(known.encode()).hexdigest()[:16]
    slug = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:60]
    folder = cache_folder() / "collections" / f"{slug}-{digest}"
    if ready := _opened(folder, logging.DEBUG):
        return ready
    with locked(folder):
        if ready := _opened(folder):  # another process was faster
            return ready
        # What a killed run left is cleared away and built anew.
        building = folder.with_name(f"{folder.name}.building")
        with writing(folder):
            shutil.rmtree(building, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            building.mkdir(parents=True)
            writer = CollectionWriter(building, name, images=images)
            try:
                build(writer)
                building.rename(folder)
            except BaseException:
                try:
                    writer.abandon()
                finally:
                    shutil.rmtree(building, ignore_errors=True)
                raise
    return open_collection(folder)


def _opened(folder: Path, level: int = logging.WARNING) -> Collection | None:
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return open_collection(folder)
    # A damaged manifest may be no JSON or lack a key, and a rival may just be clearing the folder.
    except (BadData, ValueError, KeyError, TypeError, FileNotFoundError) as error:
        logger.log(level, "building %s anew: %s", folder, error)
        return None


def _note_titles_alone(passages: pa.Table, problems: Problems) -> None:
    """Note passages of which models would read nothing, as the title policy leaves titles out."""
    for batch in passages.to_batches():
        # Where the title is blank as well, the complaint stands already.
        bare = pc.and_not(blank(batch["text"]), blank(batch["title"]))
        if "image" in batch.schema.names:
            bare = pc.and_(bare, blank(batch["image"]))
        if count := pc.sum(bare).as_py():
            first = batch["id"][pc.index(bare, value=True).as_py()].as_py()
            problems.note("passages with a title, which is not read, and no text", first, count)


def _resolved(
    wanted: pa.ChunkedArray, ids: pa.ChunkedArray, kind: str, problems: Problems
) -> np.ndarray:
    """Return row numbers for ids, noting those that point nowhere."""
    distinct, places = _encoded(wanted)
    rows = rows_of(ids, distinct)
    lost = np.flatnonzero(rows < 0)
    if len(lost):
        problems.note(_LOST.format(kind), distinct[int(lost[0])].as_py(), len(lost))
    return np.asarray(rows[places])


def _encoded(texts: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Return the distinct texts in the order in which they come, and where each text is there."""
    encoded = pc.dictionary_encode(texts).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)
