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

from beir_hybrid.encoding.embeddings import BadRows, Embeddings, check_rows
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
    """What calls of `encode` did beside the vectors.

    Attributes
    ----------
    texts, seconds
        How many texts were encoded, the store's own left out, and how long that took.
    cut
        How many distinct texts of each call were longer than the model reads, added up; ``None``
        where it is not known.
    """

    texts: int = 0
    seconds: float = 0.0
    cut: int | None = 0


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
        Told how many texts were encoded and how many are cut, and how long it took.
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

    shards = Shards(space)
    missing = np.flatnonzero(shards.find(keys[first])[0] < 0)
    size = min(max(_SMALLEST, len(first) // 32), _LARGEST)
    with progress(f"encoding {role}", len(missing), unit="texts") as advance:
        for start in range(0, len(missing), size):
            rows = first[missing[start : start + size]]
            work = _Work(encoder, role, space, shards.dim)
            shards.add(work.shard(keys[rows], column.take(rows), encoded))
            advance(len(rows))
    shard, place = shards.find(keys[first])
    if (shard < 0).any():
        raise BadData(f"{space} changed while it was read; run again")
    cut = shards.count_cut(shard, place)
    if encoded is not None:
        encoded.cut = None if cut is None or encoded.cut is None else encoded.cut + cut
    return Embeddings(shards, shard[distinct], place[distinct], cut)


def space_folder(encoder: Encoder, role: Role, folder: Path | None = None) -> Path:
    """Return the folder of a space, made with its manifest if it is new."""
    known = dict(encoder.fingerprint)
    prompts = known.pop("prompts", None)
    known |= {"format": FORMAT} | ({"prompt": prompts[role]} if prompts else {"role": role})
    text = _json(known, type(encoder).__name__)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    space = (folder or cache_folder() / "embeddings") / digest
    if not (space / _MANIFEST).is_file():
        with replacing(space / _MANIFEST) as temporary:
            temporary.write_text(text, "utf-8")
    return space


def _json(fingerprint: dict[str, Any], of: str) -> str:
    try:
        return json.dumps(fingerprint, sort_keys=True, ensure_ascii=False, indent=1)
    except (TypeError, ValueError) as error:
        where = next((name for name, value in fingerprint.items() if not _is_json(value)), "")
        raise BadData(
            f"{of}: its fingerprint cannot be written as JSON, at {where!r}: {error}"
        ) from error


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return False
    return True


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
        opened = _open(note)
        if opened is None:
            return
        path, keys, cut, self.dim = opened
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


@dataclass(frozen=True)
class _Work:
    """What encodes texts into the shards of a space."""

    encoder: Encoder
    role: Role
    space: Path
    dim: int  # of the vectors that are there, or 0

    def shard(self, keys: np.ndarray, column: pa.ChunkedArray, encoded: Encoded | None) -> Path:
        """Encode texts and return the shard's note."""
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        note = self.space / f"{name}.note.json"
        with locked(self.space / name):
            if _open(note):  # another process was faster
                return note
            texts = column.to_pylist()
            started = time.perf_counter()
            vectors = self._vectors(texts)
            if encoded is not None:
                encoded.texts += len(texts)
                encoded.seconds += time.perf_counter() - started
            files = {}
            for suffix, array in (("keys", keys), ("vectors", vectors)):
                path = self.space / f"{name}.{suffix}.npy"
                _save(path, array)
                files[suffix] = sha256(path)
            find: Callable[[list[str], Role], list[int] | None]
            find = getattr(self.encoder, "find_cut", lambda _texts, _role: None)
            about = {"rows": len(texts), "cut": find(texts, self.role), "sha256": files}
            with replacing(note) as temporary:
                temporary.write_text(json.dumps(about), "utf-8")
        return note

    def _vectors(self, texts: list[str]) -> np.ndarray:
        encoder = self.encoder
        encode = encoder.encode_queries if self.role == "queries" else encoder.encode_passages
        try:
            return check_rows(encode(texts), len(texts), self.dim)
        except BadRows as error:
            text = texts[error.row]
            raise BadData(f"{type(encoder).__name__}: {error}; the text is {text!r:.80}") from error


def _save(path: Path, array: np.ndarray) -> None:
    """Write an ``.npy`` file; unlike `np.save` it says what the disk refused."""
    whole, npy = np.ascontiguousarray(array), np.lib.format
    with replacing(path) as temporary, temporary.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(whole))
        file.write(whole.view(np.uint8).data)


def _open(note: Path) -> tuple[Path, np.ndarray, np.ndarray | None, int] | None:
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
        keys = np.load(paths["keys"], allow_pickle=False).view(_KEY)
        vectors = np.load(paths["vectors"], mmap_mode="r", allow_pickle=False)
        cut = None if about["cut"] is None else np.array(about["cut"], dtype=np.int32)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        logger.warning("%s is damaged (%s); its texts are encoded again", note, error)
        note.unlink(missing_ok=True)
        return None
    return paths["vectors"], keys, cut, int(vectors.shape[1])
