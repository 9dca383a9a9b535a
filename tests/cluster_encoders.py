"""Encoders for tests with Ray: its processes import them from here."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beir_hybrid.errors import BadData
from tests.hash_encoder import HashEncoder


class FailingEncoder(HashEncoder):
    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = super().encode_queries(texts)
        if "text 1600" in texts:
            raise BadData("broken at text 1600")
        return rows


class TruncatingEncoder(HashEncoder):
    def find_truncated(self, texts: Sequence[str], role: str) -> list[int]:
        assert role == "queries"
        return [number for number, text in enumerate(texts) if text.endswith("7")]


class UnstableEncoder(HashEncoder):
    """Hashes whose fingerprint differs whenever it is read."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        return {"kind": "hashes", "library": time.monotonic_ns()}

    @fingerprint.setter
    def fingerprint(self, _value: Mapping[str, Any]) -> None:
        pass


class UnpicklableEncoder(HashEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class SlowEncoder(HashEncoder):
    def __init__(self) -> None:
        super().__init__(delay=0.2)
