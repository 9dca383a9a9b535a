"""Scores of dense retrieval on a GPU: vectors, scores, counts and candidates stay there.

Only counts, the pairs whose scores are too close to tell, and the keys of the best passages travel
to the processor. All of it is torch, so that it runs on any of its devices, a processor included.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.retrieval.candidates import find_top_keys
from beir_hybrid.retrieval.process_settings import full_precision
from beir_hybrid.retrieval.scorer import BatchGolds, BatchPlan, QueryBatch
from beir_hybrid.retrieval.tensors import to_tensor

if TYPE_CHECKING:
    import torch

DEVICE_PLAN = BatchPlan(queries=2048, passages=1 << 14, threads=1)
_LOAD_ROWS = 1 << 16  # vectors that are copied to the device at once
_PAIRS = 1 << 16  # pairs whose vectors are in memory at once
_FREE_SHARE = 0.5  # of a GPU's free memory, which the vectors of passages may fill
_DOUBLE_ROUNDOFF = 2.0**-53  # half the distance from 1 to the next float64


@dataclass(frozen=True)
class DevicePassages:
    """The vectors of passages on a device: all of them if they fit, else block by block."""

    source: Embeddings
    device: str

    @cached_property
    def all_vectors(self) -> "torch.Tensor | None":
        """All vectors, (n, dim) float32; None if they do not fit."""
        import torch

        n, dim = len(self.source), self.source.dim
        if self.device.startswith("cuda"):
            free, _ = torch.cuda.mem_get_info(self.device)
            if 4 * n * dim > _FREE_SHARE * free:
                return None
        vectors = torch.empty((n, dim), device=self.device)
        for start in range(0, n, _LOAD_ROWS):
            part = slice(start, min(start + _LOAD_ROWS, n))
            vectors[part] = to_tensor(self.source.take(part), self.device)
        return vectors

    def take(self, rows: range) -> "torch.Tensor":
        """Return the vectors of a block, (rows, dim) float32."""
        part = slice(rows.start, rows.stop)
        if self.all_vectors is not None:
            return self.all_vectors[part]
        return to_tensor(self.source.take(part), self.device)


@dataclass(frozen=True)
class DeviceBatch:
    """A batch of queries on a device.

    Attributes
    ----------
    host
        The same batch on the processor, which decides where the device cannot.
    queries
        (queries, dim) float32.
    spread
        How far two sums of a score in float64, in any order, may be from each other, (queries,).
    """

    host: QueryBatch
    passages: DevicePassages
    queries: "torch.Tensor"
    spread: "torch.Tensor"

    @classmethod
    def from_host(
        cls, host: QueryBatch, vectors: np.ndarray, passages: DevicePassages, largest: np.ndarray
    ) -> "DeviceBatch":
        """Copy a batch; `largest` has the product of each query's and the passages' lengths."""
        spread = largest * (2 * (vectors.shape[1] + 16) * _DOUBLE_ROUNDOFF)
        queries, spreads = (to_tensor(array, passages.device) for array in (vectors, spread))
        return cls(host, passages, queries, spreads)

    @property
    def margin(self) -> np.ndarray:
        """The largest error of a product in float32, for each query."""
        return self.host.margin

    def score_block(self, passages: range, memory: np.ndarray | None = None) -> "DeviceBlock":
        """Multiply the batch with a block of passages."""
        del memory
        vectors = self.passages.take(passages)
        with full_precision():
            products = self.queries @ vectors.T
        return DeviceBlock(self, vectors, passages.start, products)

    def open_candidates(self, depth: int) -> "DeviceCandidates":
        """Return candidates, which need no depth."""
        del depth
        return DeviceCandidates(self)

    def refine(self, queries: np.ndarray) -> None:
        """Return None: there are no better products than in float32."""

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores of pairs of a query of the batch and a passage."""
        return self.host.score_pairs(queries, passages)

    def score_all(self, query: int, passages: range) -> np.ndarray:
        """Return exact scores of one query of the batch and a block of passages."""
        return self.host.score_all(query, passages)

    def score_exactly(
        self, queries: "torch.Tensor", vectors: "torch.Tensor", rows: "torch.Tensor", first_row: int
    ) -> "torch.Tensor":
        """Return the exact scores of pairs, (n,) float32.

        A sum in float64 decides which float32 is nearest, except where a sum in another order might
        give the next one: there the processor decides.

        Parameters
        ----------
        vectors, rows, first_row
            Vectors of passages, the row in them of each pair's, and the number of their first row
            among all passages.
        """
        import torch

        scores = torch.empty(len(queries), device=vectors.device)
        for start in range(0, len(queries), _PAIRS):
            part = slice(start, start + _PAIRS)
            products = self.queries[queries[part]].double() * vectors[rows[part]].double()
            sums, spread = products.sum(dim=1), self.spread[queries[part]]
            scores[part] = (sums + spread).float()
            doubtful = ((sums - spread).float() != scores[part]).nonzero()[:, 0] + start
            if len(doubtful):
                pairs = queries[doubtful].cpu().numpy(), rows[doubtful].cpu().numpy() + first_row
                scores[doubtful] = torch.from_numpy(self.host.score_pairs(*pairs)).to(scores.device)
        return scores + 0.0  # makes -0 and 0 one number


@dataclass(frozen=True)
class DeviceBlock:
    """The product of a batch and a block of passages, (queries, passages) float32."""

    batch: DeviceBatch
    vectors: "torch.Tensor"
    first_row: int
    products: "torch.Tensor"

    @cached_property
    def scores(self) -> np.ndarray:
        """The product on the processor, for pools that are merged there."""
        array: np.ndarray = self.products.cpu().numpy()
        return array

    def count_above(self, golds: BatchGolds, id_order: np.ndarray, counts: np.ndarray) -> None:
        """Count by the product, and by exact scores where products are too close to tell."""
        numbers = np.diff(golds.bounds)
        for place in range(int(numbers.max(initial=0))):  # one gold of each query at a time
            queries = np.flatnonzero(numbers > place)
            self._count_golds(queries, golds.bounds[queries] + place, golds, id_order, counts)

    def _count_golds(
        self,
        queries: np.ndarray,
        places: np.ndarray,
        golds: BatchGolds,
        id_order: np.ndarray,
        counts: np.ndarray,
    ) -> None:
        """Count for golds of different queries, whose places in `golds` are given."""
        import torch

        margin, device = self.batch.margin[queries], self.products.device
        low, high, rows = (
            torch.from_numpy(array).to(device)
            for array in (golds.low[places] - margin, golds.high[places] + margin, queries)
        )
        products = self.products if len(rows) == len(self.products) else self.products[rows]
        is_above = products > high[:, None]
        counts[places, 0] += is_above.sum(dim=1).cpu().numpy()
        pairs, columns = ((products >= low[:, None]) & ~is_above).nonzero(as_tuple=True)
        scores = self.batch.score_exactly(rows[pairs], self.vectors, columns, self.first_row)
        close = places[pairs.cpu().numpy()]
        exact, orders = scores.cpu().numpy(), id_order[columns.cpu().numpy()]
        is_tied = (exact >= golds.low[close]) & (exact <= golds.high[close])
        for column, is_counted in enumerate((
            exact > golds.high[close],
            is_tied & (orders > golds.id_order[close]),
            is_tied & (orders < golds.id_order[close]),
        )):  # fmt: skip
            np.add.at(counts[:, column], close[is_counted], 1)


class DeviceCandidates:
    """The `Candidates` of a batch on a device: for each query the best by the product, and spare.

    The exact scores of the best are among them unless too many products are close together.
    """

    def __init__(self, batch: DeviceBatch) -> None:
        self._batch = batch
        self.empty()

    def empty(self) -> "DeviceCandidates":
        """Remove all candidates."""
        import torch

        n, device = len(self._batch.queries), self._batch.queries.device
        self._scores = torch.empty((n, 0), device=device)
        self._rows = torch.empty((n, 0), dtype=torch.int64, device=device)
        self._n_seen = 0
        return self

    def collect(self, block: DeviceBlock, first_row: int, k: int) -> None:
        """Add the passages of a block that may be among the k best of a query."""
        import torch

        size, width = _count_candidates(k), block.products.shape[1]
        scores, columns = block.products.topk(min(size, width), sorted=False)
        self._scores = torch.cat([self._scores, scores], dim=1)
        self._rows = torch.cat([self._rows, columns + first_row], dim=1)
        self._n_seen += width
        if self._scores.shape[1] > size:
            self._scores, places = self._scores.topk(size, sorted=False)
            self._rows = self._rows.gather(1, places)

    def write_best(self, passages: range, id_order: np.ndarray, keys: np.ndarray) -> None:
        """Score the candidates exactly, and write the keys of the best, (queries, k) int64."""
        import torch

        k, device = keys.shape[1], self._scores.device
        margin = torch.from_numpy(self._batch.margin).to(device)
        bars = self._scores.topk(k).values[:, -1] - 2 * margin
        is_candidate = self._scores >= bars[:, None]
        overfull = is_candidate.all(dim=1) & (self._n_seen > self._scores.shape[1])
        is_candidate &= ~overfull[:, None]
        queries, places = is_candidate.nonzero(as_tuple=True)
        rows = self._rows[queries, places]
        orders = to_tensor(id_order, str(device))[rows]
        all_keys = torch.full(self._rows.shape, torch.iinfo(torch.int64).min, device=device)
        all_keys[queries, places] = _pack_keys(self._score(queries, rows), orders)
        keys[:] = all_keys.topk(k).values.cpu().numpy()
        rest = overfull.nonzero()[:, 0].cpu().numpy()
        if len(rest):
            keys[rest] = find_top_keys(self._batch, rest, passages, id_order, k)

    def _score(self, queries: "torch.Tensor", rows: "torch.Tensor") -> "torch.Tensor":
        """Return the exact scores of pairs, on the processor if the vectors are not all here."""
        import torch

        vectors = self._batch.passages.all_vectors
        if vectors is not None:
            return self._batch.score_exactly(queries, vectors, rows, 0)
        scores = self._batch.score_pairs(queries.cpu().numpy(), rows.cpu().numpy())
        return torch.from_numpy(scores).to(rows.device)


def _count_candidates(k: int) -> int:
    """Return how many candidates of a query are kept for k passages."""
    return k + k // 4 + 64


def _pack_keys(scores: "torch.Tensor", id_order: "torch.Tensor") -> "torch.Tensor":
    """Return keys as `top_keys.pack_keys` does."""
    import torch

    bits = scores.view(torch.int32)
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return (bits.long() << 32) | id_order.long()
