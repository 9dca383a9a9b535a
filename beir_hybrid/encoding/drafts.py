"""Drafts: vectors of a shard that is not finished, so that a killed run loses a few seconds' work.

A draft is one file or more beside the shard to come, each with the vectors of some of its texts. A
run that goes on encodes the other texts, in the batches that an uninterrupted one has.
"""

import logging
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.encoding.layouts import Layout
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file, explain_read_errors

logger = logging.getLogger(__name__)

_INTERVAL = 3.0  # seconds between two files, if batches take less
_ROWS = "rows"  # the array, beside those of the layout, of the places of the texts in the shard


class Draft:
    """The vectors of some texts of a shard, in memory and on disk; a lock protects the shard.

    Parameters
    ----------
    stem
        The path of the shard without ending.
    n
        The number of texts of the shard.
    dim
        The number of dimensions; 0 if that is not known yet.
    """

    def __init__(self, stem: Path, layout: Layout, n: int, dim: int) -> None:
        self._stem, self._layout, self.dim = stem, layout, dim
        self._batches: list[tuple[np.ndarray, Any]] = []
        self._is_done = np.zeros(n, bool)
        self._next_file = 0
        for path in self._list_files():
            self._read(path)
        self._n_saved, self._save_time = len(self._batches), time.monotonic()

    def list_missing_rows(self) -> np.ndarray:
        """Return the places of the texts that have no vector yet."""
        return np.flatnonzero(~self._is_done)

    def add(self, rows: np.ndarray, vectors: Any) -> None:
        """Add the vectors of the texts in some places; save if the last time is seconds ago.

        Raises ValueError for places that have vectors, or are none.
        """
        self._check_rows(rows)
        self._append(rows, vectors)
        if time.monotonic() - self._save_time > _INTERVAL:
            self.save()

    def save(self) -> None:
        """Write the vectors that are not on disk yet."""
        if batches := self._batches[self._n_saved :]:
            rows = np.sort(np.concatenate([rows for rows, _ in batches]))
            arrays: dict[str, Any] = {_ROWS: rows, **self._layout.split(self._merge(batches))}
            path = self._stem.with_name(f"{self._stem.name}.draft-{self._next_file:06}.npz")
            with atomic_file(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
        self._next_file += 1
        self._n_saved, self._save_time = len(self._batches), time.monotonic()

    def merge(self) -> Any:
        """Return all vectors in the order of the texts."""
        return self._merge(self._batches)

    def remove(self) -> None:
        """Remove the files."""
        for path in self._list_files():
            path.unlink(missing_ok=True)

    def _append(self, rows: np.ndarray, vectors: Any) -> None:
        self._batches.append((rows, vectors))
        self._is_done[rows] = True
        self.dim = vectors.shape[1]

    def _merge(self, batches: list[tuple[np.ndarray, Any]]) -> Any:
        n = sum(len(rows) for rows, _ in batches)
        return self._layout.check(self._layout.merge(batches), n, self.dim)

    def _read(self, path: Path) -> None:
        """Add the vectors of a file; remove it if it is damaged."""
        self._next_file = int(path.suffixes[-2].removeprefix(".draft-")) + 1
        try:
            with explain_read_errors(path, "is no draft of a shard"), path.open("rb") as file:
                arrays = dict(np.load(file, allow_pickle=False))
                rows = arrays.pop(_ROWS)
                vectors = self._layout.check(self._layout.join(arrays), len(rows), self.dim)
                self._check_rows(rows)
        except BadData as error:
            logger.warning("%s; its texts are encoded again", error)
            path.unlink(missing_ok=True)
        else:
            self._append(rows, vectors)

    def _check_rows(self, rows: np.ndarray) -> None:
        is_place = (rows >= 0) & (rows < len(self._is_done))
        if not is_place.all() or self._is_done[rows].any() or len(np.unique(rows)) < len(rows):
            raise ValueError("it has other texts than the shard, or some twice")

    def _list_files(self) -> list[Path]:
        pattern = re.compile(rf"{self._stem.name}\.draft-\d+\.npz")
        entries = self._stem.parent.glob(f"{self._stem.name}.draft-*.npz")
        return sorted(path for path in entries if pattern.fullmatch(path.name))
