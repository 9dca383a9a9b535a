"""An encoder whose vectors are hashes of texts, and helpers for the store of embeddings."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.encoding import Embeddings, Encoder

ROOT = Path(__file__).parent.parent
DIM = 4
SHARD_TEXTS = 1024  # texts of a shard, if there are few


def hash_text(text: str, seed: str = "") -> np.ndarray:
    """Return numbers that follow from the text alone."""
    digest = hashlib.sha256((seed + text).encode()).digest()
    return np.frombuffer(digest, np.uint32)[:DIM].astype(np.float32)


class HashEncoder(Encoder):
    """An encoder that turns texts into hashes, and keeps a list of the texts it encoded."""

    def __init__(self, log: Path | None = None, delay: float = 0, **fingerprint: Any) -> None:
        self.fingerprint: Mapping[str, Any] = {"kind": "hashes", **fingerprint}
        self.log, self.delay = log, delay
        self.encoded_texts: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        time.sleep(self.delay)
        self.encoded_texts += texts
        if self.log:
            with self.log.open("a") as file:
                file.write("".join(f"{text}\n" for text in texts))
        return np.stack([hash_text(text, str(self.fingerprint.get("seed", ""))) for text in texts])

    encode_passages = encode_queries


def make_texts(n: int) -> list[str]:
    return [f"text {number}" for number in range(n)]


def assert_vectors(vectors: Embeddings, texts: Sequence[str], seed: str = "") -> None:
    """Check that vectors are the hashes of texts."""
    expected = np.stack([hash_text(text, seed) for text in texts])
    assert np.array_equal(vectors.take(slice(None)), expected)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file except locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def flip_bit(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
