"""Encode texts or images and write their vectors as a shard, complete or not at all."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beir_hybrid.collection.arrays import take_rows
from beir_hybrid.encoding.distinct_texts import DistinctTexts
from beir_hybrid.encoding.drafts import Draft
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.images import decode_batches
from beir_hybrid.encoding.shards import NOTE_SUFFIX, Shards, read_shard, save_array
from beir_hybrid.encoding.stored_rows import BadRows
from beir_hybrid.errors import BadData, BadOption, NotWritable
from beir_hybrid.files import file_lock
from beir_hybrid.integrity import record_files, write_sealed_json


class ShardReport(NamedTuple):
    """A shard's note, how many texts were encoded for it, and in how many seconds."""

    note: Path
    n_encoded: int
    seconds: float


@dataclass(frozen=True, eq=False)
class ShardWriter:
    """Encodes texts of one role into shards of a space."""

    encoder: Encoder
    role: Role
    space: Path
    texts: DistinctTexts
    shards: Shards  # of the space, for their dimensions

    def write(self, numbers: np.ndarray, advance: Callable[[int], None]) -> ShardReport:
        """Encode distinct texts, by their numbers, and write one shard of vectors.

        `advance` is told of the number of texts whenever some have their vectors. A draft keeps
        them where this is interrupted or killed.
        """
        keys = self.texts.keys[numbers]
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        note = self.space / f"{name}.{NOTE_SUFFIX}"
        with file_lock(self.space / name):
            if read_shard(note, self.shards.layout):  # another process was faster
                advance(len(keys))
                return ShardReport(note, 0, 0.0)
            texts = self.texts.take_texts(numbers)
            draft = Draft(self.space / name, self.shards.layout, len(texts), self.shards.dim)
            n_missing = len(draft.list_missing_rows())
            advance(len(texts) - n_missing)
            start = time.perf_counter()
            try:
                for rows, vectors in self._encode(texts, numbers, draft):
                    draft.add(rows, vectors)
                    advance(len(rows))
            except BaseException:  # an interrupt, or an endpoint that is away
                with suppress(OSError, NotWritable):  # on a full disk the first error counts
                    draft.save()
                raise
            if n_left := len(draft.list_missing_rows()):
                raise BadData(f"{self.encoder.name}: its batches lack {n_left:,} of the texts")
            vectors = draft.merge()
            seconds = time.perf_counter() - start
            parts = {"keys": keys, **self.shards.layout.split(vectors)}
            arrays = {f"{name}.{part}.npy": array for part, array in parts.items()}
            for file, array in arrays.items():
                save_array(self.space / file, array)
            truncated = (
                [] if self.role == "images" else self.encoder.find_truncated(texts, self.role)
            )
            truncated = None if truncated is None else [int(row) for row in truncated]
            files = record_files(self.space, arrays)
            write_sealed_json(note, {"rows": len(texts), "cut": truncated, "files": files})
            draft.remove()
        return ShardReport(note, n_missing, seconds)

    def _encode(
        self, texts: list[str], numbers: np.ndarray, draft: Draft
    ) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield batches of the rows that a draft lacks: which rows, and their vectors."""
        rows = draft.list_missing_rows()
        inputs = [texts[row] for row in rows]
        if not inputs:  # all had their vectors when a run was killed
            return
        if self.role == "images":
            if self.texts.paths is None:
                raise BadOption("to encode images takes the paths of their files: give paths")
            paths = take_rows(self.texts.paths, self.texts.first_rows[numbers[rows]]).to_pylist()
            batches, inputs = self._encode_images(inputs, paths), paths
        else:
            batches = self.encoder.encode_batches(inputs, self.role)
        is_done = np.zeros(len(rows), bool)
        for batch, vectors in batches:
            indexes = self._check_batch(np.asarray(batch), is_done)
            yield rows[indexes], self._check(vectors, [inputs[i] for i in indexes], draft.dim)

    def _encode_images(
        self, keys: list[str], paths: list[str]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the indexes of images and their vectors, with only a batch of images in memory."""
        start = 0
        with closing(decode_batches(keys, paths)) as batches:
            for images in batches:
                indexes = np.arange(start, start + len(images))
                yield indexes, self.encoder.encode_images(images)
                start += len(images)

    def _check_batch(self, indexes: np.ndarray, is_done: np.ndarray) -> np.ndarray:
        """Check a batch and note its texts as done; raise `BadData` for a text twice."""
        if not indexes.size:
            return indexes.astype(np.int64)
        is_text = indexes.dtype.kind in "iu" and 0 <= indexes.min() <= indexes.max() < len(is_done)
        if not is_text or len(np.unique(indexes)) < len(indexes) or is_done[indexes].any():
            raise BadData(
                f"{self.encoder.name}: its batches have a text twice, or one that was not asked for"
            )
        is_done[indexes] = True
        return indexes

    def _check(self, rows: object, inputs: list[str], dim: int) -> Any:
        """Return the rows, or raise `BadData` that names the text or image of the first bad one."""
        try:
            return self.shards.layout.check(rows, len(inputs), dim)
        except BadRows as error:
            bad_input = inputs[error.row]
            # A text is shortened; a path is of use only in full.
            is_image = self.role == "images"
            place = f"image is {bad_input!r}" if is_image else f"text is {bad_input!r:.80}"
            raise BadData(f"{self.encoder.name}: {error}; the {place}") from error
