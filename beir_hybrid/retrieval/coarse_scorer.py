"""Dense retrieval from products in bfloat16, where the processor multiplies those faster.

A number of bfloat16 has 8 bits, so that products are further from the scores than those of float32,
and more scores have to be computed exactly. It pays where relevant passages are among the best:
few others are as close to them. The centre of the passages is taken out first. That changes all
scores of a query by the same number, and what is left is smaller, as is its error.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.retrieval.candidates import HostCandidates
from beir_hybrid.retrieval.dense_batch import UNDERFLOW, UNIT_ROUNDOFF, DenseBatch, DenseBlock
from beir_hybrid.retrieval.process_settings import one_torch_thread
from beir_hybrid.retrieval.scorer import BatchDemand
from beir_hybrid.retrieval.tensors import to_tensor

if TYPE_CHECKING:
    import torch

FEWEST_QUERIES, FEWEST_PASSAGES = 1024, 4096  # for fewer it is not worth to look at all passages
_COARSE_ROUNDOFF = 2.0**-8  # the largest error of a number in bfloat16, relative to it
_LARGEST = 1e18  # length of vectors that are rounded: no number or product is infinite
_SAMPLE = 256  # passages by which is judged whether it pays
_CENTRE_SAMPLE = 1024
_FEW_OPEN = 0.015  # of all scores: as long as the rest takes, a fourth may be open
_RUNS = 5  # of a product that is timed
_LARGEST_DEPTH = 1 / 400  # of all passages: the best are scored exactly, and some more
_LEAST_GAIN = 2.0  # of a product in bfloat16, over one in float32


@dataclass(frozen=True)
class CoarseBatch:
    """A batch of queries that is multiplied in bfloat16.

    Attributes
    ----------
    exact
        The same batch in float32.
    centre
        What is taken out of the passages, (dim,) float32.
    offset
        The product of each query and the centre, (queries,) float32.
    """

    exact: DenseBatch
    margin: np.ndarray
    centre: np.ndarray
    offset: np.ndarray
    rounded: "torch.Tensor"

    @classmethod
    def from_exact(cls, exact: DenseBatch, centre: np.ndarray, bound: np.ndarray) -> "CoarseBatch":
        """Round a batch; `bound` is that of all passages, see `DenseScorer.bound_passages`."""
        rounded = to_tensor(exact.vectors).bfloat16()
        queries = exact.vectors.astype(np.float64)
        lengths = np.linalg.norm(queries, axis=1)
        rests = np.linalg.norm(queries - rounded.float().numpy(), axis=1)
        _, longest, longest_rest = bound.tolist()
        dim, sizes = len(centre), (lengths + rests) * (longest + longest_rest)
        errors = (
            rests * longest  # of the query's numbers, of the passage's, of the product's
            + (lengths + rests) * longest_rest
            + sizes * (_COARSE_ROUNDOFF + (dim + 16) * UNIT_ROUNDOFF)
            + lengths * longest * UNIT_ROUNDOFF  # of the difference from the centre
            + (lengths + longest + 1) * dim * UNDERFLOW
        )
        # What is rounded once the offset is there is within the margin of float32.
        margin = (1.01 * errors).astype(np.float32) + exact.margin
        offset = (queries @ centre.astype(np.float64)).astype(np.float32)
        return cls(exact, margin, centre, offset, rounded)

    @property
    def vectors(self) -> np.ndarray:
        """The vectors of the queries, (queries, dim) float32."""
        return self.exact.vectors

    def leaves_few_open(self, demand: BatchDemand) -> bool:
        """Return whether few scores are to be computed exactly, by a sample of passages."""
        golds, passages = demand.golds, self.exact.passages
        if demand.depth > _LARGEST_DEPTH * len(passages):
            return False
        rows = np.linspace(0, len(passages) - 1, _SAMPLE).astype(np.int64)
        scores = self.vectors @ passages.take(rows).T
        queries = np.repeat(np.arange(len(scores)), np.diff(golds.bounds))
        distances = np.abs(scores[queries] - golds.low[:, None])
        n_open = int((distances <= self.margin[queries][:, None]).sum())
        return n_open <= _FEW_OPEN * scores.size

    def score_block(self, passages: range, memory: np.ndarray | None = None) -> DenseBlock:
        """Multiply the batch with a block of passages."""
        import torch

        from beir_hybrid.retrieval.coarse_kernels import round_rows, widen_products

        vectors = self.exact.passages.take(slice(passages.start, passages.stop))
        rounded = np.empty(vectors.shape, np.uint16)
        round_rows(vectors, self.centre, rounded)
        products = self.rounded @ torch.from_numpy(rounded).view(torch.bfloat16).T
        shape = products.shape
        scores = np.empty(shape, np.float32) if memory is None else memory.reshape(shape)
        widen_products(products.view(torch.uint16).numpy(), self.offset, scores)
        return DenseBlock(scores, self.vectors, self.margin, vectors)

    def open_candidates(self, depth: int) -> HostCandidates:
        """Return candidates for at most so many best passages of each query."""
        return HostCandidates(self, depth)

    def refine(self, queries: np.ndarray) -> DenseBatch:
        """Return some of the queries in float32."""
        return self.exact.select(queries)

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores of pairs of a query of the batch and a passage."""
        return self.exact.score_pairs(queries, passages)

    def score_all(self, query: int, passages: range) -> np.ndarray:
        """Return exact scores of one query of the batch and a block of passages."""
        return self.exact.score_all(query, passages)


def find_centre(queries: Embeddings, passages: Embeddings) -> np.ndarray | None:
    """Return the mean of a sample of passages, (dim,) float32; None if bfloat16 would not pay."""
    if len(queries) < FEWEST_QUERIES or len(passages) < FEWEST_PASSAGES or not is_faster():
        return None
    rows = np.linspace(0, len(passages) - 1, _CENTRE_SAMPLE).astype(np.int64)
    centre = passages.take(rows).mean(axis=0, dtype=np.float64)
    return centre.astype(np.float32) if np.abs(centre).sum() < _LARGEST else None


def open_coarse(
    batch: DenseBatch, centre: np.ndarray, bound: np.ndarray, demand: BatchDemand
) -> CoarseBatch | None:
    """Return a batch to be multiplied in bfloat16; None if that would leave too many scores open.

    None, too, for numbers that are too large to be rounded.
    """
    if not max(bound.max(), np.abs(batch.vectors).max(initial=0.0)) < _LARGEST:
        return None
    coarse = CoarseBatch.from_exact(batch, centre, bound)
    return coarse if coarse.leaves_few_open(demand) else None


@cache
def is_faster() -> bool:
    """Return whether this processor multiplies bfloat16 much faster than float32."""
    import torch
    from threadpoolctl import threadpool_limits

    draw = np.random.default_rng(0)
    first, second = (draw.standard_normal((n, 256), np.float32) for n in (256, 1024))
    low_first, low_second = (torch.from_numpy(side).bfloat16() for side in (first, second))
    with threadpool_limits(1, user_api="blas"), one_torch_thread():
        full = _time(lambda: first @ second.T)
        return full > _LEAST_GAIN * _time(lambda: low_first @ low_second.T)


def _time(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several runs."""
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
