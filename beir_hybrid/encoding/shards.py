"""A folder of shards in, which texts they hold and their vectors out; what is damaged goes.

A shard is the vectors of some texts in their order, the texts' keys, and a note with checksums,
which is written last.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.files import atomic_file, sha256

logger = logging.getLogger(__name__)

KEY = np.dtype("V16")  # 128 bits of a text's hash


class Shards(Sequence[np.ndarray]):
    """The whole shards of a space: which texts they hold and where.

    As a sequence, their vectors; a file is open only while somebody holds its array.
    """

    def __init__(self, space: Path) -> None:
        self.dim = 0
        self._paths: list[Path] = []
        self._cut: list[np.ndarray | None] = []
        self._keys: list[np.ndarray] = []
        for note in sorted(space.glob("*.note.json")):
            self.add(note)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: Any) -> Any:
        return np.load(self._paths[number], mmap_mode="r", allow_pickle=False)

    def add(self, note: Path) -> None:
        """Take a shard in, or remove it if it is damaged."""
        whole = opened(note)
        if whole is None:
            return
        path, keys, cut, self.dim = whole
        self._paths.append(path)
        self._cut.append(cut)
        self._keys.append(keys)

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return shard and place of each key, -1 where no shard holds it."""
        shard = np.full(len(keys), -1, dtype=np.int32)
        place = shard.copy()
        if self._keys:
            known = np.concatenate(self._keys)
            lengths = [len(some) for some in self._keys]
            starts = np.cumsum([0, *lengths[:-1]])
            order = np.argsort(known, kind="stable")
            known = known[order]
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            hit = known[at] == keys
            found = order[at[hit]]
            shard[hit] = np.searchsorted(starts, found, side="right") - 1
            place[hit] = found - starts[shard[hit]]
        return shard, place

    def count_cut(self, shard: np.ndarray, place: np.ndarray) -> int | None:
        """Return how many of some texts were longer than the model reads, if that is known."""
        total = 0
        for number in np.unique(shard):
            cut = self._cut[number]
            if cut is None:
                return None
            total += int(np.isin(place[shard == number], cut).sum())
        return total


def save(path: Path, array: np.ndarray) -> None:
    """Write an ``.npy`` file; unlike `np.save` it says what the disk refused."""
    whole, npy = np.ascontiguousarray(array), np.lib.format
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(whole))
        file.write(whole.view(np.uint8).data)


def opened(note: Path) -> tuple[Path, np.ndarray, np.ndarray | None, int] | None:
    """Return vectors' path, keys, places of cut texts, and dimensions; nothing if not whole.

    The places are ``None`` where the encoder did not tell.
    """
    if not note.is_file():
        return None
    paths = {
        part: note.with_name(note.name.replace("note.json", f"{part}.npy"))
        for part in ("vectors", "keys")
    }
    try:
        about = json.loads(note.read_text("utf-8"))
        if {part: sha256(path) for part, path in paths.items()} != about["sha256"]:
            raise ValueError("wrong checksum")  # noqa: TRY301 - one way out for all damage
        keys = np.load(paths["keys"], allow_pickle=False).view(KEY)
        vectors = np.load(paths["vectors"], mmap_mode="r", allow_pickle=False)
        cut = None if about["cut"] is None else np.array(about["cut"], dtype=np.int32)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        logger.warning("%s is damaged (%s); its texts are encoded again", note, error)
        note.unlink(missing_ok=True)
        return None
    return paths["vectors"], keys, cut, int(vectors.shape[1])
