"""Shards of vectors on disk: which texts they hold, and where; damaged ones are removed.

A shard is the vectors of some texts in their order, the keys of the texts, and a note with
checksums, which is written last.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np

from beir_hybrid.array_files import map_array
from beir_hybrid.encoding.distinct_texts import KEY
from beir_hybrid.encoding.layouts import Layout
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file, explain_read_errors
from beir_hybrid.integrity import FileRecord, read_sealed_json, verify_files
from beir_hybrid.records import from_record

logger = logging.getLogger(__name__)

NOTE_SUFFIX = "note.json"
_CURE = "its texts are encoded again"
_MOST_OPEN = 16  # shards: opening one takes longer than reading a block of it


class Shards(Sequence[Any]):
    """The undamaged shards of a space: which texts they hold and where.

    As a sequence, their vectors as the layout joins them. The first shards that are read stay open;
    the files of others are open only while somebody holds their arrays.
    """

    def __init__(self, space: Path, layout: Layout) -> None:
        self.dim, self.layout = 0, layout
        self._shards: list[Shard] = []
        self._open_vectors: dict[int, Any] = {}  # by number of the shard
        for note in sorted(space.glob(f"*.{NOTE_SUFFIX}")):
            self.add(note)

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, number: Any) -> Any:
        vectors = self._open_vectors.get(number)
        if vectors is None:
            vectors = self.layout.join(_load_arrays(self._shards[number].vector_paths))
            if len(self._open_vectors) < _MOST_OPEN:
                self._open_vectors[number] = vectors
        return vectors

    def add(self, note: Path) -> None:
        """Add the shard of a note; remove a damaged one from disk."""
        shard = read_shard(note, self.layout)
        if shard is not None:
            self._shards.append(shard)
            self.dim = shard.dim

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each key's shard and row there, both (n,) int32; -1 if no shard has the key."""
        shard_numbers = np.full(len(keys), -1, dtype=np.int32)
        shard_rows = shard_numbers.copy()
        if self._shards:
            all_keys = np.concatenate([shard.keys for shard in self._shards])
            lengths = [len(shard.keys) for shard in self._shards]
            starts = np.cumsum([0, *lengths[:-1]])
            order = np.argsort(all_keys, kind="stable")
            all_keys = all_keys[order]
            position = np.minimum(np.searchsorted(all_keys, keys), len(all_keys) - 1)
            is_known = all_keys[position] == keys
            row = order[position[is_known]]
            shard_numbers[is_known] = np.searchsorted(starts, row, side="right") - 1
            shard_rows[is_known] = row - starts[shard_numbers[is_known]]
        return shard_numbers, shard_rows

    def count_truncated(self, shard_numbers: np.ndarray, shard_rows: np.ndarray) -> int | None:
        """Count the texts that the model truncated; None if that is not known of all."""
        total = 0
        for number in np.unique(shard_numbers):
            truncated_rows = self._shards[number].truncated_rows
            if truncated_rows is None:
                return None
            total += int(np.isin(shard_rows[shard_numbers == number], truncated_rows).sum())
        return total


class Shard(NamedTuple):
    """The parts of a shard; `truncated_rows` is None if the encoder does not find them."""

    vector_paths: dict[str, Path]  # by part of the layout
    keys: np.ndarray  # (n,) KEY
    truncated_rows: np.ndarray | None  # (any,) int32
    dim: int


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an ``.npy`` file; unlike `np.save` this raises the error of a full disk."""
    contiguous, npy = np.ascontiguousarray(array), np.lib.format
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(contiguous))
        file.write(contiguous.view(np.uint8).data)


def read_shard(note: Path, layout: Layout) -> Shard | None:
    """Return the shard of a note; None if there is none or a damaged one, which is removed.

    Nothing is removed where the system refuses to read: that raises `NotReadable`.
    """
    if not note.is_file():
        return None
    try:
        return _read_sound_shard(note, layout)
    except BadData as error:
        logger.warning("%s", error)
        note.unlink(missing_ok=True)
        return None


def _read_sound_shard(note: Path, layout: Layout) -> Shard:
    """Return the shard of a note, or raise `BadData`."""
    paths = {
        part: note.with_name(note.name.replace(NOTE_SUFFIX, f"{part}.npy"))
        for part in (*layout.parts, "keys")
    }
    entries = from_record(_Note, read_sealed_json(note, _CURE), str(note))
    with explain_read_errors(note, "is no note of arrays"):
        files = {path.name: entries["files"][path.name] for path in paths.values()}
        verify_files(note.parent, files, _CURE)
        keys = np.array(map_array(paths.pop("keys"))).view(KEY)
        truncated = None if entries["cut"] is None else np.array(entries["cut"], dtype=np.int32)
        n, dim = map(int, layout.join(_load_arrays(paths)).shape)
        if n != len(keys):
            raise BadData(f"{note} is of {n:,} vectors for {len(keys):,} texts; {_CURE}")
        return Shard(paths, keys, truncated, dim)


def _load_arrays(paths: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Map arrays into memory, by part of the layout."""
    arrays = {}
    for part, path in paths.items():
        with explain_read_errors(path, "is no array of vectors"):
            arrays[part] = map_array(path)
    return arrays


class _Note(TypedDict):
    """The checksums of a shard's arrays, and which texts were cut, if the encoder tells."""

    files: dict[str, FileRecord]
    cut: object  # a list of whole numbers or None; numpy checks it fast
