"""The store: vectors on disk, where each text is encoded once.

Images are known by the checksums of their files, which stand for them as texts do.

A *space* is a folder for all vectors of one fingerprint and one prompt, which can be compared and
reused. It holds *shards*: the vectors of some texts in their order, the keys of the texts, and a
note with checksums, which is written last. A shard is named after its keys, so two processes that
encode the same texts write the same file.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pyarrow as pa

from beir_hybrid.encoding.distinct_texts import DistinctTexts
from beir_hybrid.encoding.embeddings import Embeddings
from beir_hybrid.encoding.encoder import (
    Encoder,
    EncoderLike,
    Role,
    check_is_dense,
    check_reads_images,
)
from beir_hybrid.encoding.layouts import LAYOUTS
from beir_hybrid.encoding.models import as_encoder
from beir_hybrid.encoding.shard_writer import ShardReport, ShardWriter
from beir_hybrid.encoding.shards import Shards
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.errors import BadData, lookup
from beir_hybrid.files import atomic_file, cache_folder
from beir_hybrid.progress import progress_bar

FORMAT = 2
_MANIFEST = "space.json"
_OUR_ENTRIES = {"family", "format", "prompt", "role"}  # beside the fingerprint, in manifests
# Between these bounds a shard holds 1/32 of the texts: little is lost when a process is killed, and
# a corpus of a hundred million passages still makes few files.
_SMALLEST_SHARD, _LARGEST_SHARD = 1 << 10, 1 << 16


@dataclass
class EncodingStats:
    """Statistics of calls of `encode`, added up.

    Attributes
    ----------
    texts, images, seconds
        How many were encoded, without those that the store had, and how long that took.
    truncated
        How many distinct texts of each call the model truncated; None if that is not known.
    """

    texts: int = 0
    images: int = 0
    seconds: float = 0.0
    truncated: int | None = 0

    def add(self, role: Role, count: int, seconds: float) -> None:
        """Add a number of encoded texts or images, and the seconds of their encoding."""
        if role == "images":
            self.images += count
        else:
            self.texts += count
        self.seconds += seconds


def encode(
    encoder: Encoder | EncoderLike,
    texts: Sequence[str] | pa.ChunkedArray,
    role: Role,
    *,
    folder: Path | None = None,
    stats: EncodingStats | None = None,
    paths: Sequence[str] | pa.ChunkedArray | None = None,
) -> Embeddings:
    """Return the vectors of texts, encoding only texts that the store lacks.

    Parameters
    ----------
    texts
        For the role ``"images"``, what identifies their content: ``sha256:`` and the file's
        checksum.
    folder
        Where spaces lie; ``embeddings`` in the cache by default.
    stats
        Statistics to add to.
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
    encoder = as_encoder(encoder)
    check_is_dense(encoder)
    rows = encode_rows(encoder, texts, role, folder=folder, stats=stats, paths=paths)
    return cast("Embeddings", rows)


def encode_rows(
    encoder: Encoder,
    texts: Sequence[str] | pa.ChunkedArray,
    role: Role,
    *,
    folder: Path | None = None,
    stats: EncodingStats | None = None,
    paths: Sequence[str] | pa.ChunkedArray | None = None,
) -> StoredRows[Any]:
    """Return the vectors of texts as `encode` does, by a model of any family."""
    lookup("role", role, dict.fromkeys(get_args(Role)))
    distinct = DistinctTexts.from_column(texts, paths)
    n = len(distinct)
    if role == "images" and n:
        check_reads_images(encoder)
    layout = LAYOUTS[encoder.family]
    space = open_space(encoder, role, folder)
    writer = ShardWriter(encoder, role, space, distinct, Shards(space, layout))
    encode_missing(writer, np.arange(n), choose_shard_size(n), stats)
    shard_numbers, shard_rows = writer.shards.find(distinct.keys)
    if (shard_numbers < 0).any():
        raise BadData(f"{space} changed while it was read; run again")
    truncated = writer.shards.count_truncated(shard_numbers, shard_rows)
    if stats is not None:
        if truncated is None or stats.truncated is None:
            stats.truncated = None
        else:
            stats.truncated += truncated
    numbers = distinct.numbers
    return layout.rows(writer.shards, shard_numbers[numbers], shard_rows[numbers], truncated)


def choose_shard_size(n: int, parts: int = 1) -> int:
    """Return the number of texts of a shard, for n texts shared by `parts` jobs."""
    return min(max(_SMALLEST_SHARD, n // max(32, 4 * parts)), _LARGEST_SHARD)


def encode_missing(
    writer: ShardWriter, numbers: np.ndarray, shard_size: int, stats: EncodingStats | None = None
) -> None:
    """Encode those distinct texts, by number, that the writer's space lacks; add their shards."""
    shards, role = writer.shards, writer.role
    missing = numbers[shards.find(writer.texts.keys[numbers])[0] < 0]
    pieces = [missing[start : start + shard_size] for start in range(0, len(missing), shard_size)]
    unit = "images" if role == "images" else "texts"
    with (
        _explain_interrupts(role, len(missing)) as count,
        progress_bar(f"encoding {role}", len(missing), unit=unit) as move_bar,
        _shard_threads(writer.encoder, shard_size) as (n_threads, map_calls),
    ):

        def advance(n_texts: int) -> None:
            count(n_texts)
            move_bar(n_texts)

        for report in map_calls(partial(writer.write, advance=advance), pieces):
            shards.add(report.note)
            if stats is not None:
                stats.add(role, report.n_encoded, report.seconds / n_threads)


@contextmanager
def _explain_interrupts(role: Role, total: int) -> Iterator[Callable[[int], None]]:
    """Let an interrupt of the block say how many texts are encoded; give a function that counts."""
    n = 0

    def count(n_texts: int) -> None:
        nonlocal n
        n += n_texts

    try:
        yield count
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"{n:,} of {total:,} {role} are encoded and kept; the same command goes on from there"
        ) from error


_Map = Callable[[Callable[[np.ndarray], ShardReport], Iterable[np.ndarray]], Iterator[ShardReport]]


@contextmanager
def _shard_threads(encoder: Encoder, shard_size: int) -> Iterator[tuple[int, _Map]]:
    """Give the number of threads that suits an encoder, and a `map` over those threads."""
    if not encoder.concurrent_texts:
        yield 1, map
        return
    # Two more than needed, so that the next shard is under way while one is written.
    n_threads = encoder.concurrent_texts // shard_size + 2
    with ThreadPoolExecutor(n_threads) as pool:
        yield n_threads, pool.map


def open_space(encoder: Encoder, role: Role, folder: Path | None = None) -> Path:
    """Return the folder of an encoder's vectors in a role, with its manifest."""
    own_entries = dict(encoder.fingerprint)
    prompts: Any = own_entries.pop("prompts", None)
    # The encoder's own entries of the names that are used here keep others.
    entries = {
        f"own {key}" if key in _OUR_ENTRIES else key: own_entries[key] for key in own_entries
    }
    if encoder.family != "dense":
        entries["family"] = encoder.family
    entries["format"] = FORMAT
    has_prompt = bool(prompts) and role != "images"
    if has_prompt:
        entries["prompt"] = _get_prompt(prompts, role, encoder.name)
    if not has_prompt or encoder.separates_roles:
        entries["role"] = role
    text = _dump_fingerprint(entries, encoder.name)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    space = (folder or cache_folder() / "embeddings") / digest
    if not (space / _MANIFEST).is_file():
        manifest = {"name": encoder.name} | entries  # the name is for people alone
        with atomic_file(space / _MANIFEST) as temporary:
            temporary.write_text(_dump_fingerprint(manifest, encoder.name), "utf-8")
    return space


def _get_prompt(prompts: Any, role: Role, name: str) -> object:
    try:
        return prompts[role]
    except (TypeError, KeyError) as error:
        raise BadData(
            f"{name}: the prompts of its fingerprint map no {role!r} to a prompt"
        ) from error


def _dump_fingerprint(fingerprint: Mapping[str, object], name: str) -> str:
    try:
        return json.dumps(fingerprint, sort_keys=True, ensure_ascii=False, indent=1)
    except (TypeError, ValueError) as error:
        bad_entry = next((key for key, value in fingerprint.items() if not _is_json(value)), "")
        raise BadData(
            f"{name}: its fingerprint cannot be written as JSON, at {bad_entry!r}: {error}"
        ) from error


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return False
    return True
