"""Texts and an encoder in, vectors on disk out; a text is encoded once, a half shard never counts.

Pictures are told apart by the checksums of their files, which stand for them as texts do.

A *space* is a folder for everything that vectors depend on: the encoder's fingerprint and the
prompt. In it lie *shards*: the vectors of some texts in their order, the texts' keys, and a note
with checksums, which is written last. A shard is named by its keys, so two processes that encode
the same texts write the same file.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.encoding.embeddings import BadRows, Embeddings, check_rows
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.images import image_encoder, windows
from beir_hybrid.encoding.shards import KEY, Shards, opened, save
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file, cache_folder, file_lock, sha256
from beir_hybrid.progress import progress_bar

FORMAT = 1
_MANIFEST = "space.json"
# Between these bounds a shard holds 1/32 of the texts: little is lost by a kill, and a corpus of
# a hundred million passages still makes few files.
_SMALLEST, _LARGEST = 1 << 10, 1 << 16


@dataclass
class Encoded:
    """What calls of `encode` did beside the vectors.

    Attributes
    ----------
    texts, pictures, seconds
        How many were encoded, the store's own left out, and how long that took.
    cut
        How many distinct texts of each call were longer than the model reads, added up; ``None``
        where it is not known.
    """

    texts: int = 0
    pictures: int = 0
    seconds: float = 0.0
    cut: int | None = 0


def encode(
    encoder: Encoder,
    texts: Sequence[str] | pa.ChunkedArray,
    role: Role,
    *,
    folder: Path | None = None,
    encoded: Encoded | None = None,
    paths: Sequence[str] | pa.ChunkedArray | None = None,
) -> Embeddings:
    """Return the vectors of texts, encoding only those that the store lacks.

    Parameters
    ----------
    texts
        For the role ``"images"``, what names their content: ``sha256:`` and the file's checksum.
    folder
        Where spaces lie; ``embeddings`` in the cache by default.
    encoded
        Told how many texts were encoded and how many are cut, and how long it took.
    paths
        For the role ``"images"``: the files, in the order of `texts`. Those that the store lacks
        are opened.

    Examples
    --------
    >>> class Lengths:
    ...     fingerprint = {"kind": "lengths"}
    ...     def encode_queries(self, texts):
    ...         return np.array([[len(text), 1] for text in texts], np.float32)
    ...     encode_passages = encode_queries
    >>> encode(Lengths(), ["one", "three", "one"], "passages").take(slice(None)).tolist()
    [[3.0, 1.0], [5.0, 1.0], [3.0, 1.0]]
    """
    known = Distinct.of(texts, paths)
    if role == "images" and len(known.keys):
        image_encoder(encoder)  # or it says at once that it reads none
    space, n = space_folder(encoder, role, folder), len(known.keys)
    shards = fill(encoder, role, space, known, np.arange(n), shard_size(n), encoded)
    shard, place = shards.find(known.keys)
    if (shard < 0).any():
        raise BadData(f"{space} changed while it was read; run again")
    cut = shards.count_cut(shard, place)
    if encoded is not None:
        encoded.cut = None if cut is None or encoded.cut is None else encoded.cut + cut
    return Embeddings(shards, shard[known.number], place[known.number], cut)


@dataclass(frozen=True, eq=False)
class Distinct:
    """The distinct texts of a column, in the order in which they first occur.

    Attributes
    ----------
    keys, first
        Each one's key, and the row in which it occurs first.
    number
        For each row, which of them it holds.
    paths
        For each row, the file of the picture that the text stands for.
    """

    column: pa.ChunkedArray
    keys: np.ndarray
    first: np.ndarray
    number: np.ndarray
    paths: pa.ChunkedArray | None = None

    @classmethod
    def of(
        cls,
        texts: Sequence[str] | pa.ChunkedArray,
        paths: Sequence[str] | pa.ChunkedArray | None = None,
    ) -> "Distinct":
        """Find them."""
        column = _column(texts)
        keys = _keys(column)
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        first = first[order]
        files = None if paths is None else _column(paths)
        return cls(column, keys[first], first, number[inverse], files)


def _column(values: Sequence[str] | pa.ChunkedArray) -> pa.ChunkedArray:
    chunked = isinstance(values, pa.ChunkedArray)
    return values if chunked else pa.chunked_array([pa.array(values)])


def shard_size(n: int, parts: int = 1) -> int:
    """Return how many of n texts a shard holds where `parts` jobs share them."""
    return min(max(_SMALLEST, n // max(32, 4 * parts)), _LARGEST)


def fill(
    encoder: Encoder,
    role: Role,
    space: Path,
    texts: Distinct,
    wanted: np.ndarray,
    size: int,
    encoded: Encoded | None = None,
) -> Shards:
    """Encode those wanted of some texts, by number, that a space lacks; return what it holds."""
    shards = Shards(space)
    missing = wanted[shards.find(texts.keys[wanted])[0] < 0]
    pieces = [missing[start : start + size] for start in range(0, len(missing), size)]
    work = _Work(encoder, role, space, texts, shards)
    unit = "pictures" if role == "images" else "texts"
    with (
        progress_bar(f"encoding {role}", len(missing), unit=unit) as advance,
        _calls(encoder, size) as (at_once, each),
    ):
        for rows, (note, n, seconds) in zip(pieces, each(work.shard, pieces), strict=True):
            shards.add(note)
            advance(len(rows))
            if encoded is not None:
                setattr(encoded, unit, getattr(encoded, unit) + n)
                encoded.seconds += seconds / at_once
    return shards


@contextmanager
def _calls(
    encoder: Encoder, size: int
) -> Iterator[tuple[int, Callable[[Callable[..., Any], Iterable[Any]], Iterator[Any]]]]:
    """Give a `map`, and how many of its calls run at once, for an encoder that wants several."""
    in_flight = getattr(encoder, "in_flight", 0)
    if not in_flight:
        yield 1, map
        return
    at_once = in_flight // size + 2  # the next shard is there when one draws to its end
    with ThreadPoolExecutor(at_once) as pool:
        yield at_once, pool.map


def space_folder(encoder: Encoder, role: Role, folder: Path | None = None) -> Path:
    """Return the folder of a space, made with its manifest if it is new."""
    known = dict(encoder.fingerprint)
    prompts = known.pop("prompts", None)
    seen = prompts and role != "images"  # no prompt goes before a picture
    known |= {"format": FORMAT} | ({"prompt": prompts[role]} if seen else {"role": role})
    text = _json(known, type(encoder).__name__)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    space = (folder or cache_folder() / "embeddings") / digest
    if not (space / _MANIFEST).is_file():
        with atomic_file(space / _MANIFEST) as temporary:
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
    keys = np.empty(len(column), dtype=KEY)
    start = 0
    for chunk in column.chunks:
        for piece in range(0, len(chunk), _LARGEST):
            found = [
                hashlib.blake2b(text.encode(), digest_size=16).digest()
                for text in chunk.slice(piece, _LARGEST).to_pylist()
            ]
            keys[start : start + len(found)] = np.frombuffer(b"".join(found), dtype=KEY)
            start += len(found)
    return keys


@dataclass(frozen=True, eq=False)
class _Work:
    """What encodes texts into the shards of a space."""

    encoder: Encoder
    role: Role
    space: Path
    texts: Distinct
    shards: Shards  # those that are there

    def shard(self, numbers: np.ndarray) -> tuple[Path, int, float]:
        """Encode some texts; return the shard's note, and how many were encoded in what time."""
        keys = self.texts.keys[numbers]
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        note = self.space / f"{name}.note.json"
        with file_lock(self.space / name):
            if opened(note):  # another process was faster
                return note, 0, 0.0
            texts = self.texts.column.take(self.texts.first[numbers]).to_pylist()
            started = time.perf_counter()
            vectors = self._of_files(texts, numbers) if self._seen else self._of_texts(texts)
            seconds = time.perf_counter() - started
            files = {}
            for suffix, array in (("keys", keys), ("vectors", vectors)):
                path = self.space / f"{name}.{suffix}.npy"
                save(path, array)
                files[suffix] = sha256(path)
            about = {"rows": len(texts), "cut": self._cut(texts), "sha256": files}
            with atomic_file(note) as temporary:
                temporary.write_text(json.dumps(about), "utf-8")
        return note, len(texts), seconds

    @property
    def _seen(self) -> bool:
        return self.role == "images"

    def _cut(self, texts: list[str]) -> list[int] | None:
        find: Callable[[list[str], Role], list[int] | None]
        find = getattr(self.encoder, "find_cut", lambda _texts, _role: None)
        return [] if self._seen else find(texts, self.role)

    def _of_texts(self, texts: list[str]) -> np.ndarray:
        encoder = self.encoder
        encode = encoder.encode_queries if self.role == "queries" else encoder.encode_passages
        return self._checked(encode(texts), texts, self.shards.dim)

    def _of_files(self, keys: list[str], numbers: np.ndarray) -> np.ndarray:
        """Return the vectors of pictures, of which some at a time are in memory."""
        if self.texts.paths is None:
            raise BadOption("to encode pictures takes the paths of their files: give paths")
        files = self.texts.paths.take(self.texts.first[numbers]).to_pylist()
        encode, done, dim = image_encoder(self.encoder), 0, self.shards.dim
        rows: list[np.ndarray] = []
        with closing(windows(keys, files)) as some:
            for pictures in some:
                end = done + len(pictures)
                rows.append(self._checked(encode(pictures), files[done:end], dim))
                done, dim = end, rows[0].shape[1]
        return np.concatenate(rows)

    def _checked(self, rows: np.ndarray, of: list[str], dim: int) -> np.ndarray:
        try:
            return check_rows(rows, len(of), dim)
        except BadRows as error:
            row = of[error.row]  # a path is of no use in parts
            what = f"picture is {row!r}" if self._seen else f"text is {row!r:.80}"
            raise BadData(f"{type(self.encoder).__name__}: {error}; the {what}") from error
