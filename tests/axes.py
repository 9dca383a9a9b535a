"""An encoder whose vectors can be worked out by hand, and more texts than a few blocks hold."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.beir_dicts import from_beir

AXES = {"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 0, 1], "d": [1, 1, 0]}
TEXTS = 3000  # three shards of the store of embeddings


class Axes:
    """Turns letters into axes, and adds them up; notes which texts it was given."""

    def __init__(self, log: Path | None = None, delay: float = 0, **fingerprint: Any) -> None:
        self.fingerprint: Mapping[str, Any] = {"kind": "axes", "versions": {"x": "1"}} | fingerprint
        self.log, self.delay = log, delay
        self.seen: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        time.sleep(self.delay)
        self.seen += texts
        if self.log:
            with self.log.open("a") as file:
                file.write("".join(f"{text}\n" for text in texts))
        sums = [np.sum([AXES[letter] for letter in text.split()], axis=0) for text in texts]
        return np.array(sums, np.float32)

    encode_queries = encode_passages


def number_texts() -> dict[int, str]:
    """Return as many texts as there are numbers, in letters for digits."""
    return {
        number: " ".join("abcd"[int(digit)] for digit in np.base_repr(number, 4))
        for number in range(1, TEXTS + 1)
    }


def long() -> Collection:
    """Return passages of those texts."""
    corpus = {f"en:{number}": {"text": text} for number, text in number_texts().items()}
    return from_beir(corpus, {"en:q:1": "a"}, {"en:q:1": {"en:1": 1}})


def asked() -> Collection:
    """Return queries of those texts."""
    queries = {f"en:q:{number}": text for number, text in number_texts().items()}
    return from_beir({"en:1": {"text": "a"}}, queries, {key: {"en:1": 1} for key in queries})
