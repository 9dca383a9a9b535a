"""Encoders for the processes of a Ray cluster, which import them from here."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beir_hybrid.errors import BadData
from tests.test_store import Hashes


class Broken(Hashes):
    def encode_queries(self, some: Sequence[str]) -> np.ndarray:
        rows = super().encode_queries(some)
        if "text 1600" in some:
            raise BadData("broken at text 1600")
        return rows


class Cutting(Hashes):
    def find_truncated(self, some: Sequence[str], role: str) -> list[int]:
        assert role == "queries"
        return [at for at, text in enumerate(some) if text.endswith("7")]


class Elsewhere(Hashes):
    """Hashes made with a library that is another one each time."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        return {"kind": "hashes", "library": time.monotonic_ns()}

    @fingerprint.setter
    def fingerprint(self, _known: Mapping[str, Any]) -> None:
        pass


class Stubborn(Hashes):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Slow(Hashes):
    def __init__(self) -> None:
        super().__init__(delay=0.2)
