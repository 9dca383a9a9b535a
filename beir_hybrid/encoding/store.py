"""Texts and an encoder in, vectors on disk out; a text is encoded once, a half shard never counts.

A *space* is a folder for everything that vectors depend on: the encoder's fingerprint and the
prompt. In it lie *shards*: the vectors of some texts in their order, the texts' keys, and a note
with checksums, which is written last. A shard is named by its keys, so two processes that encode
the same texts write the same file.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.encoding.embeddings import Embeddings, check_rows
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.errors import BadData
from beir_hybrid.files import cache_folder, locked, replacing, sha256
from beir_hybrid.progress import progress

logger = logging.getLogger(__name__)

FORMAT = 1
_KEY = np.dtype("V16")  # 128 bits of a text's hash
_MANIFEST = "space.json"
# Between these bounds a shard holds 1/32 of the texts: little is lost by a kill, and a corpus of
# a hundred million passages still makes few files.
_SMALLEST, _LARGEST = 1 << 10, 1 << 16


@dataclass
class Encoded:
    """What `encode` did beside the vectors: texts it encoded, and the seconds that took."""

    texts: int = 0
    seconds: float = 0.0


def encode(
    encoder: Encoder,
    texts: Sequence[str] | pa.ChunkedArray,
    role: Role,
    *,
    folder: Path | None = None,
    encoded: Encoded | None = None,
) -> Embeddings:
    """Return the vectors of texts, encoding only those that the store lacks.

    Parameters
    ----------
    folder
        Where spaces lie; ``embeddings`` in the cache by default.
    encoded
        Told how many texts were encoded, and how long it took.
    """
    column = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([pa.array(texts)])
    space = space_folder(encoder, role, folder)
    keys = _keys(column)
    # Distinct texts in the order in which they first occur: `distinct` numbers them.
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    distinct, first = number[inverse], first[order]

    shards = _Shards(space)
    missing = np.flatnonzero(shards.find(keys[first])[0] < 0)
    size = min(max(_SMALLEST, len(first) // 32), _LARGEST)
    with progress(f"encoding {role}", len(missing), unit="texts") as advance:
        for start in range(0, len(missing), size):
            rows = first[missing[start : start + size]]
            shards.add(_encode_shard(encoder, column, keys[rows], rows, role, space, encoded))
            advance(len(rows))
    shard, place = shards.find(keys[first])
    return Embeddings(
        shards.vectors, shard[distinct], place[distinct], shards.cut(np.unique(shard))
    )


def space_folder(encoder: Encoder, role: Role, folder: Path | None = None) -> Path:
    """Return the folder of a space, made with its manifest if it is new."""
    known = dict(encoder.fingerprint)
    prompts = known.pop("prompts", None)
    known |= {"format": FORMAT} | ({"prompt": prompts[role]} if prompts else {"role": role})
    text = json.dumps(known, sort_keys=True, ensure_ascii=False, indent=1)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    space = (folder or cache_folder() / "embeddings") / digest
    if not (space / _MANIFEST).is_file():
        with replacing(space / _MANIFEST) as temporary:
            temporary.write_text(text, "utf-8")
    return space


def _keys(column: pa.ChunkedArray) -> np.ndarray:
    """Return each text's key; texts become Python objects a chunk at a time."""
    keys = np.empty(len(column), dtype=_KEY)
    start = 0
    for chunk in column.chunks:
        for piece in range(0, len(chunk), _LARGEST):
            found = [
                hashlib.blake2b(text.encode(), digest_size=16).digest()
                for text in chunk.slice(piece, _LARGEST).to_pylist()
            ]
            keys[start : start + len(found)] = np.frombuffer(b"".join(found), dtype=_KEY)
            start += len(found)
    return keys


class _Shards:
    """The whole shards of a space: which texts they hold and where."""

    def __init__(self, space: Path) -> None:
        self.vectors: list[np.ndarray] = []
        self._cut: list[int] = []
        self._keys: list[np.ndarray] = []
        for note in sorted(space.glob("*.note.json")):
            self.add(note)

    def add(self, note: Path) -> None:
        """Take a shard in, or remove it if it is damaged."""
        opened = _open(note)
        if opened is None:
            return
        vectors, keys, cut = opened
        self.vectors.append(vectors)
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

    def cut(self, shards: np.ndarray) -> int:
        """Return how many texts of some shards were longer than the model reads."""
        return sum(self._cut[number] for number in shards.tolist())


def _encode_shard(
    encoder: Encoder,
    column: pa.ChunkedArray,
    keys: np.ndarray,
    rows: np.ndarray,
    role: Role,
    space: Path,
    encoded: Encoded | None,
) -> Path:
    """Encode the texts of some rows and return the shard's note."""
    name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
    note = space / f"{name}.note.json"
    with locked(note):
        if _open(note):  # another process was faster
            return note
        texts = column.take(rows).to_pylist()
        started = time.perf_counter()
        method = encoder.encode_queries if role == "queries" else encoder.encode_passages
        try:
            vectors = check_rows(method(texts), len(texts))
        except BadData as error:
            raise BadData(f"{error}; the shard starts with {texts[0]!r:.80}") from error
        if encoded is not None:
            encoded.texts += len(texts)
            encoded.seconds += time.perf_counter() - started
        count: Callable[[list[str], Role], int] = getattr(encoder, "count_cut", _nothing)
        files = {}
        for suffix, array in (("keys", keys), ("vectors", vectors)):
            path = space / f"{name}.{suffix}.npy"
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, array, allow_pickle=False)
            files[suffix] = sha256(path)
        about: dict[str, Any] = {"rows": len(texts), "cut": count(texts, role), "sha256": files}
        with replacing(note) as temporary:
            temporary.write_text(json.dumps(about), "utf-8")
    return note


def _nothing(_texts: list[str], _role: Role) -> int:
    return 0


def _open(note: Path) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Return vectors, keys and the number of cut texts, or nothing if the shard is not whole."""
    if not note.is_file():
        return None
    try:
        about = json.loads(note.read_text("utf-8"))
        paths = {part: note.with_name(note.name.replace("note.json", f"{part}.npy"))
                 for part in ("vectors", "keys")}  # fmt: skip
        if {part: sha256(path) for part, path in paths.items()} != about["sha256"]:
            logger.warning("%s has a wrong checksum and its texts are encoded again", note)
            note.unlink()
            return None
        vectors = np.load(paths["vectors"], mmap_mode="r", allow_pickle=False)
        keys = np.load(paths["keys"], allow_pickle=False).view(_KEY)
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s is damaged (%s) and its texts are encoded again", note.parent, error)
        note.unlink(missing_ok=True)
        return None
    return vectors, keys, about["cut"]
