"""Encode texts or images and write their vectors as a shard, complete or not at all."""

import hashlib
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beir_hybrid.encoding.distinct_texts import DistinctTexts
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.images import decode_batches
from beir_hybrid.encoding.shards import NOTE_SUFFIX, Shards, read_shard, save_array
from beir_hybrid.encoding.stored_rows import BadRows
from beir_hybrid.errors import BadData, BadOption
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

    def write(self, numbers: np.ndarray) -> ShardReport:
        """Encode distinct texts, by their numbers, and write one shard of vectors."""
        keys = self.texts.keys[numbers]
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        note = self.space / f"{name}.{NOTE_SUFFIX}"
        with file_lock(self.space / name):
            if read_shard(note, self.shards.layout):  # another process was faster
                return ShardReport(note, 0, 0.0)
            texts = self.texts.take_texts(numbers)
            start = time.perf_counter()
            is_image = self.role == "images"
            vectors = self._encode_images(texts, numbers) if is_image else self._encode_texts(texts)
            seconds = time.perf_counter() - start
            parts = {"keys": keys, **self.shards.layout.split(vectors)}
            arrays = {f"{name}.{part}.npy": array for part, array in parts.items()}
            for file, array in arrays.items():
                save_array(self.space / file, array)
            truncated = [] if is_image else self.encoder.find_truncated(texts, self.role)
            files = record_files(self.space, arrays)
            write_sealed_json(note, {"rows": len(texts), "cut": truncated, "files": files})
        return ShardReport(note, len(texts), seconds)

    def _encode_texts(self, texts: list[str]) -> Any:
        encoder = self.encoder
        encode = encoder.encode_queries if self.role == "queries" else encoder.encode_passages
        return self._check(encode(texts), texts, self.shards.dim)

    def _encode_images(self, keys: list[str], numbers: np.ndarray) -> np.ndarray:
        """Return the vectors of images, with only a batch of images in memory."""
        if self.texts.paths is None:
            raise BadOption("to encode images takes the paths of their files: give paths")
        paths = self.texts.paths.take(self.texts.first_rows[numbers]).to_pylist()
        start, dim = 0, self.shards.dim
        rows: list[np.ndarray] = []
        with closing(decode_batches(keys, paths)) as batches:
            for images in batches:
                stop = start + len(images)
                vectors = self.encoder.encode_images(images)
                rows.append(self._check(vectors, paths[start:stop], dim))
                start, dim = stop, rows[0].shape[1]
        return np.concatenate(rows)

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
