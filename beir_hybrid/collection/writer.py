"""A writer of collections: rows come in any order, and lie checked and by language on disk."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.judgement_rows import (
    MISSING,
    JudgementRows,
    find_distinct,
    find_judged_rows,
    note_unanswered,
    sort_judgements,
)
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import IMAGE, language_sort_key
from beir_hybrid.collection.shards import (
    BATCH_ROWS,
    IMAGE_PASSAGE_SCHEMA,
    IMAGE_QUERY_SCHEMA,
    JUDGEMENT_SCHEMA,
    PASSAGE_SCHEMA,
    QUERY_SCHEMA,
    Problems,
    ShardWriter,
    find_rows,
    is_blank,
    note_duplicates,
    read_shards,
)
from beir_hybrid.collection.store import JUDGEMENTS, Shard, write_manifest
from beir_hybrid.collection.tables import TitlePolicy
from beir_hybrid.errors import BadData
from beir_hybrid.languages import normalise, normalise_variant

_RELEVANCE_LIMIT = 1 << 31


class CollectionWriter:
    """Takes queries, passages and judgements one by one, and writes them language by language.

    `finish` checks all of them and raises `BadData` with the first offender and the count of every
    kind of complaint; nothing is dropped silently. Memory does not grow with the number of rows.

    Examples
    --------
    >>> from beir_hybrid.collection.cache import load_or_build
    >>> def build(writer):
    ...     passage = writer.add_passage("en", "1", "", "Here.")
    ...     writer.add_judgement(writer.add_query("en", "1", "Where?", group="1"), passage)
    ...     writer.finish()
    >>> load_or_build("tiny", {"version": 1}, build)
    Collection('tiny', 1 language, 1 query, 1 passage)
    """

    def __init__(self, folder: Path, name: str, *, has_images: bool = False) -> None:
        self.folder, self.name, self._has_images = folder, name, has_images
        self.warnings: list[str] = []  # logged whenever the collection is opened
        # Whether zh-Hans and zh-Hant, say, are two languages; None where nobody can choose that.
        self.keeps_variants: bool | None = None
        # Where a file has a query or passage, for messages; it is asked once, when all is lost.
        self.find_place: Callable[[str], str] = lambda _: ""
        self.keeps_unanswered = False  # whether there may be queries without a relevant passage
        self._codes: dict[str, str] = {}  # of language tags
        self._problems = Problems()
        self._schemas = {
            "queries": IMAGE_QUERY_SCHEMA if has_images else QUERY_SCHEMA,
            "passages": IMAGE_PASSAGE_SCHEMA if has_images else PASSAGE_SCHEMA,
        }
        self._writers: dict[tuple[str, str], ShardWriter] = {}
        self._passage_files: list[Shard] = []
        self._judgement_buffer: list[tuple[str, str, int]] = []
        self._judgement_tables: list[pa.Table] = []

    def add_query(
        self, lang: str | None, key: str, text: str, group: str, image: str | None = None
    ) -> str:
        """Add a query and return its id, ``lang:q:key``; see `add_passage` on images."""
        writer = self._get_writer("queries", lang, key)
        if writer is None:
            return ""
        identity = f"{writer.lang}:q:{key}"
        writer.append(identity, text, group, *([image] if self._has_images else []))
        return identity

    def add_passage(
        self, lang: str | None, key: str, title: str, text: str, image: str | None = None
    ) -> str:
        """Add a passage and return its id, ``lang:key``.

        The language of an image is `IMAGE`, its text what identifies its content, such as a
        checksum, and `image` its path.
        """
        writer = self._get_writer("passages", lang, key)
        if writer is None:
            return ""
        identity = f"{writer.lang}:{key}"
        writer.append(identity, title, text, *([image] if self._has_images else []))
        return identity

    def add_judgement(self, query: str, passage: str, relevance: int = 1) -> None:
        """Add the relevance of a passage to a query, by the ids that other methods return.

        Before `expand_judgements` a passage is named by its key alone.
        """
        if not -_RELEVANCE_LIMIT <= relevance < _RELEVANCE_LIMIT:
            self._problems.note("relevances beyond 32 bits", query)
            return
        self._judgement_buffer.append((query, passage, relevance))
        if len(self._judgement_buffer) >= BATCH_ROWS:
            self._flush_judgements()

    def expand_judgements(self) -> None:
        """Apply each judgement so far to its passage in every language.

        These judgements name passages by key, without a language. All passages have to be added
        before.
        """
        self.close()
        self._flush_judgements()
        if not self._judgement_tables:
            return
        judgements = pa.concat_tables(self._judgement_tables)
        keys, places = find_distinct(judgements["passage"])
        self._judgement_tables = []
        has_passage = np.zeros(len(keys), dtype=bool)
        for shard in self._list_shards("passages"):
            passage_ids = pc.binary_join_element_wise(f"{shard.lang}:", keys, "")
            is_in_shard = find_rows(self._read("passages", [shard])["id"], passage_ids) >= 0
            has_passage |= is_in_shard
            rows = np.flatnonzero(is_in_shard[places])
            passages = pa.chunked_array([passage_ids.take(places[rows])])
            table = judgements.take(rows).set_column(1, "passage", passages)
            self._judgement_tables.append(table)
        self.note_missing("passages", keys.filter(pa.array(~has_passage)).to_pylist())

    def note_missing(self, kind: str, keys: Iterable[str]) -> None:
        """Complain of judged ``queries`` or ``passages`` that have no row."""
        for key in keys:
            self._problems.note(MISSING.format(kind), key)

    def add_passage_file(self, lang: str, path: Path, rows: int) -> None:
        """Add a file of passages that a `ShardWriter` wrote and checked earlier."""
        relative_path = os.path.relpath(path, self.folder)
        self._passage_files.append(Shard.describe(self.folder, relative_path, lang, rows))

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
        """Check everything and write judgements and manifest; `Collection` has the arguments."""
        self.close()
        shards = {kind: self._list_shards(kind) for kind in ("queries", "passages")}
        queries, passages = (self._read(kind, shards[kind]) for kind in ("queries", "passages"))
        note_duplicates(queries["id"], "query", self._problems)
        note_duplicates(passages["id"], "passage", self._problems)
        if title_policy == "text":
            _note_titles_only(passages, self._problems)
        variants = self._describe_variants()
        self._problems.raise_if_any(self.name, self.find_place, variants)
        if variants:
            self.warnings.append(f"{self.name}: {variants}")
        for kind, files in shards.items():
            if not files:
                raise BadData(f"{self.name}: there are no {kind}")
        self._write_judgements(queries["id"], passages["id"])
        description = {
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
        write_manifest(self.folder, description, shards["queries"], shards["passages"])

    def close(self) -> None:
        """Write the rows in memory and finish the files."""
        for writer in self._writers.values():
            writer.close()

    def abandon(self) -> None:
        """Close the files unfinished."""
        for writer in self._writers.values():
            writer.abandon()

    def _get_writer(self, kind: str, lang: str | None, key: str) -> ShardWriter | None:
        """Return the writer of a language; for other tags, note a problem and return None."""
        try:
            code = self._codes.get(lang or "") or self._find_code(lang or "")
        except BadData:
            reason = f"with unknown language {lang!r}" if lang else "without language"
            self._problems.note(f"{kind} {reason}", key)
            return None
        writer = self._writers.get((kind, code))
        if writer is None:
            path = self.folder / f"{kind}-{code}.arrow"
            writer = ShardWriter(path, self._schemas[kind], code, self._problems)
            self._writers[kind, code] = writer
        return writer

    def _find_code(self, tag: str) -> str:
        """Return the code of a language tag, and remember it."""
        if self._has_images and tag == IMAGE:
            code = IMAGE
        else:
            code = normalise_variant(tag) if self.keeps_variants else normalise(tag)
        self._codes[tag] = code
        return code

    def _describe_variants(self) -> str:
        """Name the tags of different scripts and regions that have become one code."""
        variants: dict[str, set[str]] = {}
        for tag, code in self._codes.items():
            if code != IMAGE:
                variants.setdefault(code, set()).add(normalise_variant(tag))
        phrases = [
            f"{code!r} stands for {' and '.join(map(repr, sorted(tags)))}"
            for code, tags in sorted(variants.items())
            if len(tags) > 1
        ]
        cure = ": variants=True keeps them apart" if self.keeps_variants is False else ""
        return f"{', '.join(phrases)}{cure}" if phrases else ""

    def _list_shards(self, kind: str) -> list[Shard]:
        shards = [
            Shard.describe(self.folder, writer.path.name, code, writer.rows)
            for (writer_kind, code), writer in self._writers.items()
            if writer_kind == kind
        ]
        shards += self._passage_files if kind == "passages" else []
        return sorted(shards, key=lambda shard: language_sort_key(shard.lang))

    def _read(self, kind: str, shards: list[Shard]) -> pa.Table:
        return read_shards([self.folder / shard.path for shard in shards], self._schemas[kind])

    def _flush_judgements(self) -> None:
        if self._judgement_buffer:
            names = ["query", "passage", "relevance"]
            columns = zip(*self._judgement_buffer, strict=True)
            table = pa.table([pa.array(column) for column in columns], names)
            self._judgement_tables.append(table)
            self._judgement_buffer.clear()

    def _write_judgements(self, query_ids: pa.ChunkedArray, passage_ids: pa.ChunkedArray) -> None:
        self._flush_judgements()
        if not self._judgement_tables:
            raise BadData(f"{self.name}: there are no judgements")
        table = pa.concat_tables(self._judgement_tables)
        judgements = JudgementRows(
            find_judged_rows(table["query"], query_ids, "queries", self._problems),
            find_judged_rows(table["passage"], passage_ids, "passages", self._problems),
            table["relevance"].to_numpy(),
        )
        problems = Problems() if self.keeps_unanswered else self._problems
        note_unanswered(judgements, query_ids, problems)
        self.warnings += [
            f"{self.name}: {count:,} {complaint} count as 0, first {first!r}"
            for complaint, (first, count) in problems.complaints.items()
            if self.keeps_unanswered
        ]
        columns = sort_judgements(judgements, query_ids, self._problems)
        self._problems.raise_if_any(self.name, self.find_place)
        with (
            (self.folder / JUDGEMENTS).open("wb") as file,
            pa.ipc.new_file(file, JUDGEMENT_SCHEMA) as writer,
        ):
            writer.write_table(pa.table(list(columns), schema=JUDGEMENT_SCHEMA))


def _note_titles_only(passages: pa.Table, problems: Problems) -> None:
    """Note passages of which models would read nothing, as the title policy leaves titles out."""
    for batch in passages.to_batches():
        # Passages without title and text are noted already.
        is_title_only = pc.and_not(is_blank(batch["text"]), is_blank(batch["title"]))
        if "image" in batch.schema.names:
            is_title_only = pc.and_(is_title_only, is_blank(batch["image"]))
        complaint = "passages with a title, which is not read, and no text"
        problems.note_rows(complaint, is_title_only, batch["id"])
