"""Draw the batches of an epoch from parallel pairs, by a strategy and a seed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from beir_hybrid.batches.allotment import Reservation, reserve_groups
from beir_hybrid.batches.kernels import PassageTable, draw_groups, find_eligible
from beir_hybrid.batches.kinds import BATCH_KINDS, KindSlots, LanguageTable
from beir_hybrid.batches.strategies import Strategy
from beir_hybrid.batches.supply import Level, Supply
from beir_hybrid.pairs.parallel_pairs import ParallelPairs

# Reasons in `Epoch.left_out`, which are recorded with trainings.
INCOMPLETE, UNUSABLE = "rows that fill no batch", "groups that the strategy has no use for"
_SHORT_SHARE = 0.25  # of the rows of the fullest short batch, for a slot to be drawn


@dataclass(frozen=True)
class Batch:
    """Rows of one batch kind, from one source."""

    kind: str
    source: int
    codes: np.ndarray  # (rows,) int64; see `ParallelPairs.row_codes`


class Epoch:
    """Draws every group once, `size` rows at a time.

    A batch kind is drawn by its share and languages by their weights, among those that still fill
    a batch. In the end short batches are drawn likewise, of slots that are not much emptier than
    the fullest.

    Where translations are missing, every group is reserved for a batch kind and its languages: see
    `beir_hybrid.batches.allotment`. When a kind's languages fill no more batches, the groups are
    reserved for the kind alone, and when no kind fills a batch, all groups are free.

    Parameters
    ----------
    size
        The batch size times the number of processes.
    variant
        See `ParallelPairs.register_variant`.

    Attributes
    ----------
    left_out
        Numbers of groups that are not drawn, by reason; complete after `draw_batches`.
    """

    def __init__(
        self,
        pairs: ParallelPairs,
        strategy: Strategy,
        size: int,
        rng: np.random.Generator,
        variant: int = 0,
    ) -> None:
        self.pairs, self.size, self.rng, self.variant = pairs, size, rng, variant
        (self.side_rng,) = rng.spawn(1)  # for all but the full batches of free groups
        table = LanguageTable.from_pairs(pairs, strategy.languages, strategy.temperature)
        self.kinds = [KindSlots(BATCH_KINDS[name], table) for name, _ in strategy.kinds]
        self.shares = [share for _, share in strategy.kinds]
        self.is_used = np.zeros(len(pairs), bool)
        self.unused = [count for _, count in pairs.sources]
        self.orders: list[np.ndarray] = []  # of each source's groups
        self.supplies: list[Supply] = []  # by source and then by kind
        bounds = np.cumsum([0, *self.unused])
        for source, (first, last) in enumerate(pairwise(bounds)):
            order = rng.permutation(np.arange(first, last))
            self.orders.append(order)
            self.supplies += [Supply(slots, source, order) for slots in self.kinds]
        # Groups that ask the same question answer it for each other, too.
        golds, shared_queries = pairs.groups.gold_hashes, pairs.groups.shared_queries
        golds = np.hstack([golds, shared_queries]) if shared_queries.shape[1] else golds
        places = 1 << max(6, (4 * size * golds.shape[1] - 1).bit_length())
        keys, stamps = np.zeros(places, np.int64), np.zeros(places, np.int64)
        self._passages = PassageTable(golds, keys, stamps)
        self._n_draws = 0
        self._reservation: Reservation | None = None
        self.left_out: dict[str, int] = {}

    def count_largest(self) -> int:
        """Return the number of groups of the slot that has the most."""
        return max((int(supply.remaining.max(initial=0)) for supply in self.supplies), default=0)

    def draw_batches(self, *, short: bool) -> Iterator[Batch]:
        """Yield full batches while there are any, then, if `short`, the rows that are left."""
        self._reserve()
        while (choice := self._choose_slot(self.size, self.rng)) or self._release():
            if choice is None:
                continue
            supply, slot = choice
            groups = self._take_groups(supply, slot, self.size)
            if groups is None:
                supply.is_exhausted[slot] = True
            else:
                yield self._make_batch(supply, slot, groups)
        is_usable = np.logical_or.reduce([find_eligible(slots.columns) for slots in self.kinds])
        if not short:
            self.left_out[INCOMPLETE] = int((is_usable & ~self.is_used).sum())
        else:
            yield from self._draw_short()
        self.left_out[UNUSABLE] = int((~is_usable).sum())

    def _draw_short(self) -> Iterator[Batch]:
        """Yield batches of the rows that fill none.

        Slots that would make much smaller batches than others wait: most of their rows go there.
        """
        for supply in self.supplies:
            supply.release(self._list_unused(supply))
        while largest := self.count_largest():
            choice = self._choose_slot(math.ceil(_SHORT_SHARE * largest), self.side_rng)
            if choice is None:
                raise RuntimeError("no slot has the most groups")
            supply, slot = choice
            supply.rewind()
            groups = self._take_groups(supply, slot, 1)
            if groups is None:
                raise RuntimeError("no group fits an empty batch")
            yield self._make_batch(supply, slot, groups)

    def _reserve(self) -> None:
        """Reserve groups for slots, unless every group fits all slots."""
        self._reservation = reserve_groups(self.kinds, self.shares, self.side_rng)
        if self._reservation is None:
            return
        first_slots = np.cumsum([0, *(len(slots.weights) for slots in self.kinds)])
        for position, supply in enumerate(self.supplies):
            first_slot = int(first_slots[position % len(self.kinds)])
            supply.reserve_slots(supply.order, self._reservation, first_slot)

    def _release(self) -> bool:
        """Free all groups once no kind fills a batch; return False if they are free already."""
        if all(supply.level is Level.FREE for supply in self.supplies):
            return False
        for supply in self.supplies:
            supply.release(self._list_unused(supply))
        return True

    def _list_unused(self, supply: Supply) -> np.ndarray:
        """Return the groups of a supply's source that are not used, in their order."""
        order = self.orders[supply.source]
        return order[~self.is_used[order]]

    def _choose_slot(self, least: int, rng: np.random.Generator) -> tuple[Supply, int] | None:
        """Draw a source by its unused groups, a kind by its share, languages by their weights.

        Only slots that have at least `least` groups are drawn.
        """
        open_slots: list[tuple[int, np.ndarray]] = []  # by the number of the supply
        for position, supply in enumerate(self.supplies):
            is_open = supply.find_open(least)
            if supply.level is Level.SLOT and not is_open.any() and self._reservation:
                number = position % len(self.kinds)
                supply.reserve_kind(self._list_unused(supply), self._reservation, number)
                is_open = supply.find_open(least)
            if is_open.any():
                open_slots.append((position, is_open))
        if not open_slots:
            return None
        sources = sorted({self.supplies[position].source for position, _ in open_slots})
        if len(sources) > 1:
            sizes = np.array([float(self.unused[source]) for source in sources])
            source = sources[_choose(sizes, rng)]
            open_slots = [
                (position, is_open)
                for position, is_open in open_slots
                if self.supplies[position].source == source
            ]
        shares = np.array([self.shares[position % len(self.kinds)] for position, _ in open_slots])
        position, is_open = open_slots[_choose(shares, rng)]
        supply = self.supplies[position]
        return supply, _choose(supply.slots.weights * is_open, rng)

    def _take_groups(self, supply: Supply, slot: int, least: int) -> np.ndarray | None:
        """Take `size` groups, or fewer if they run out; none if fewer than `least` go together."""
        self._n_draws += 1
        groups = np.empty(self.size, np.int64)
        count, start, deferred = draw_groups(
            supply.get_queue(slot), self.is_used, supply.slots.columns, slot, self._passages,
            self._n_draws, groups,
        )  # fmt: skip
        if count < least:
            return None
        supply.starts[slot], supply.deferred[slot] = start, deferred
        groups = groups[:count]
        self.is_used[groups] = True
        self.unused[supply.source] -= count
        for neighbour in self.supplies:
            if neighbour.source == supply.source:
                neighbour.remove(groups)
        return groups

    def _make_batch(self, supply: Supply, slot: int, groups: np.ndarray) -> Batch:
        query, passage = supply.slots.draw_languages(slot, groups, self.rng)
        codes = self.pairs.row_codes.encode(groups, query, passage, self.variant)
        return Batch(supply.slots.kind.name, supply.source, codes)


def _choose(weights: np.ndarray, rng: np.random.Generator) -> int:
    """Draw an index in proportion to weights."""
    totals = weights.cumsum()
    return int(totals.searchsorted(rng.random() * totals[-1], side="right"))
