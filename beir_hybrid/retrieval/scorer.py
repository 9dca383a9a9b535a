"""The interface of scorers: scores of queries against passages, block by block and exactly.

Exact ranks, best passages, shards and their merging work on a `Scorer`, whatever the model:
`DenseScorer` for inner products of embeddings, or a subclass of `ExactScorer`.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np


class BatchGolds(NamedTuple):
    """The relevant passages of a batch of queries, as the kernels read them.

    The golds of query i of the batch are those from ``bounds[i]`` to ``bounds[i + 1]``. Passages
    with scores above `high` rank above a gold, those from `low` to `high` tie with it. In plain
    rankings both are the gold's own score.
    """

    bounds: np.ndarray  # (queries + 1,) int64
    low: np.ndarray  # (golds,) float32
    high: np.ndarray  # (golds,) float32; below `low` where no score ties
    id_order: np.ndarray  # (golds,) int32: the place of the passage's id among sorted ids


class BatchDemand(NamedTuple):
    """What is asked of a batch of queries: it may tell how its scores are best computed."""

    golds: BatchGolds
    depth: int  # how many best passages of each query are collected


class BatchPlan(NamedTuple):
    """How many queries and passages are scored at once, and by how many threads.

    The scores of a block of passages should fit the processor's cache.
    """

    queries: int = 512
    passages: int = 2048
    threads: int = 0  # as many as cores


class ScoreBlock(Protocol):
    """Scores of a batch of queries against a block of passages."""

    @property
    def scores(self) -> np.ndarray:
        """Scores, (queries, passages) float32, each within the batch's margin of the exact one."""

    def count_above(self, golds: BatchGolds, id_order: np.ndarray, counts: np.ndarray) -> None:
        """Count the passages that rank above or tie with each gold, by exact scores.

        Parameters
        ----------
        id_order
            For each passage of the block, the place of its id among sorted ids, (passages,) int32.
        counts
            Counts to add to, (golds, 3) int64: passages above, passages that tie and have a later
            id, and passages that tie and have an earlier id.
        """


class Candidates(Protocol):
    """The passages of a pool that may be among the best of each query of a batch."""

    def empty(self) -> "Candidates":
        """Remove all candidates."""

    def collect(self, block: Any, first_row: int, k: int) -> None:
        """Add the passages of a block of the batch that may be among the k best of a query."""

    def write_best(self, passages: range, id_order: np.ndarray, keys: np.ndarray) -> None:
        """Score the candidates exactly, and write the keys of the best.

        Parameters
        ----------
        passages
            All passages of the pool.
        id_order
            For each passage, the place of its id among sorted ids, (passages,) int32.
        keys
            To be filled, (queries, k) int64, descending; see `pack_keys`.
        """


class QueryBatch(Protocol):
    """A batch of queries, ready to be scored against blocks of passages."""

    @property
    def margin(self) -> np.ndarray:
        """The largest error of the scores of a block, for each query, (queries,) float32."""

    def score_block(self, passages: range, memory: np.ndarray | None = None) -> ScoreBlock:
        """Score all queries of the batch against a block of passages.

        Parameters
        ----------
        memory
            Where the scores may be written to, (queries * passages,) float32.
        """

    def open_candidates(self, depth: int) -> Candidates:
        """Return candidates, none yet, for at most so many best passages of each query."""

    def refine(self, queries: np.ndarray) -> "QueryBatch | None":
        """Return some of the queries with smaller errors of scores, if that is possible."""

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores, (n,) float32, of pairs of a query of the batch and a passage."""

    def score_all(self, query: int, passages: range) -> np.ndarray:
        """Return exact scores, (passages,) float32, of one query of the batch."""


class Scorer(Protocol):
    """Scores of all queries against all passages.

    An exact score is a float32 that depends on the query and the passage alone, not on the block,
    the batch or the machine. So ranks can be counted shard by shard, and equal passages tie.
    """

    @property
    def n_queries(self) -> int:
        """The number of queries."""

    @property
    def n_passages(self) -> int:
        """The number of passages."""

    @property
    def passage_bytes(self) -> int:
        """Average memory of a passage, which decides how large shards are."""

    @property
    def plan(self) -> BatchPlan:
        """How many queries and passages are scored at once."""

    def bound_passages(self, passages: range) -> np.ndarray:
        """Return bounds of a block of passages, (any,); `open_batch` gets the largest of all."""

    def open_batch(
        self, queries: range, bound: np.ndarray, demand: BatchDemand | None = None
    ) -> QueryBatch:
        """Load a batch of queries; raise `BadData` if their scores would be no numbers.

        The demand is None if the golds' scores are not known yet.
        """

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores, (n,) float32, of pairs of rows; `queries` ascend."""

    def without_passages(self) -> "Scorer":
        """Return a scorer of all queries in memory, without passages, to be sent elsewhere."""

    def load_passages(self, rows: range) -> object:
        """Return passages in memory, to be sent to another process."""

    def with_passages(self, passages: object) -> "Scorer":
        """Return a scorer of the same queries and of passages that `load_passages` returned."""
