"""An encoder whose vectors can be worked out by hand, and texts of several shards of the store."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.beir_dicts import from_beir

LETTER_VECTORS = {"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 0, 1], "d": [1, 1, 0]}
N_TEXTS = 3000  # three shards of the store of embeddings


class LetterEncoder:
    """Adds up the vectors of letters, and keeps a list of the texts it encoded."""

    def __init__(self, log: Path | None = None, delay: float = 0, **fingerprint: Any) -> None:
        self.fingerprint: Mapping[str, Any] = {"kind": "axes", "versions": {"x": "1"}} | fingerprint
        self.log, self.delay = log, delay
        self.encoded_texts: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        time.sleep(self.delay)
        self.encoded_texts += texts
        if self.log:
            with self.log.open("a") as file:
                file.write("".join(f"{text}\n" for text in texts))
        return np.array(
            [np.sum([LETTER_VECTORS[letter] for letter in text.split()], axis=0) for text in texts],
            np.float32,
        )

    encode_queries = encode_passages


def make_letter_texts() -> dict[int, str]:
    """Return a text for each number, with letters as its digits."""
    return {
        number: " ".join("abcd"[int(digit)] for digit in np.base_repr(number, 4))
        for number in range(1, N_TEXTS + 1)
    }


def make_letter_passages() -> Collection:
    """Return a collection with those texts as passages."""
    corpus = {f"en:{number}": {"text": text} for number, text in make_letter_texts().items()}
    return from_beir(corpus, {"en:q:1": "a"}, {"en:q:1": {"en:1": 1}})


def make_letter_queries() -> Collection:
    """Return a collection with those texts as queries."""
    queries = {f"en:q:{number}": text for number, text in make_letter_texts().items()}
    return from_beir({"en:1": {"text": "a"}}, queries, {key: {"en:1": 1} for key in queries})
