"""Candidates for the k best passages of each query, collected from approximate scores."""

from typing import NamedTuple

import numpy as np

# Scores that the kernels compare together; if one is close to a threshold, all are compared again.
CHUNK = 128


class TopCandidates(NamedTuple):
    """Passages that may be among the k best of each query of a batch, as the kernels fill them.

    `empty` makes them ready for other passages in the same memory.
    """

    scores: np.ndarray  # (n, capacity) float32, approximate
    rows: np.ndarray  # (n, capacity) int32: their passages
    sizes: np.ndarray  # (n,) int64: how many there are; capacity + 1 if they ever did not fit
    bars: np.ndarray  # (n,) float32: no lower score can be among the k best

    @classmethod
    def allocate(cls, n: int, k: int) -> "TopCandidates":
        """Return empty candidates for n queries."""
        capacity = 2 * k + CHUNK
        return cls(
            np.empty((n, capacity), np.float32),
            np.empty((n, capacity), np.int32),
            np.empty(n, np.int64),
            np.empty(n, np.float32),
        ).empty()

    def empty(self) -> "TopCandidates":
        """Remove all candidates."""
        self.sizes.fill(0)
        self.bars.fill(-np.inf)
        return self
