"""The groups that the slots of a batch kind can still draw from a source."""

from enum import IntEnum

import numpy as np

from beir_hybrid.batches.allotment import Reservation
from beir_hybrid.batches.kernels import Allotment, GroupQueue, count_groups
from beir_hybrid.batches.kinds import KindSlots


class Level(IntEnum):
    """Which groups a slot draws: each level adds some."""

    SLOT = 0  # those that are reserved for the slot
    KIND = 1  # those that are reserved for its batch kind
    FREE = 2  # all


class Supply:
    """The groups of one source that the slots of a batch kind can still draw.

    Attributes
    ----------
    order
        The groups that the slots draw, in the order in which they are looked at, int64.
    remaining
        (slots,) int64: how many unused groups fit each slot.
    starts, stops
        (slots,) int64: each slot's next place in `order`, and the end of its groups.
    is_exhausted
        (slots,) bool: whether too many of the remaining groups share passages to fill a batch.
    deferred
        By slot: groups that shared a passage with an earlier batch's rows.
    """

    def __init__(self, slots: KindSlots, source: int, order: np.ndarray) -> None:
        self.slots, self.source = slots, source
        self.release(order)

    def release(self, order: np.ndarray) -> None:
        """Draw from all of these groups."""
        nothing = np.zeros(0, np.int32)
        self._begin(Level.FREE, order, Allotment(nothing, np.zeros(len(self), np.int32)))

    def reserve_slots(self, order: np.ndarray, reservation: Reservation, first_slot: int) -> None:
        """Draw for each slot from the groups that are reserved for the slot."""
        keys = np.arange(first_slot, first_slot + len(self), dtype=np.int32)
        labels = reservation.slots[order]
        order = order[(labels >= first_slot) & (labels < first_slot + len(self))]
        labels = reservation.slots[order]
        by_slot = np.argsort(labels, kind="stable")
        bounds = np.searchsorted(labels[by_slot], np.arange(first_slot, first_slot + len(self) + 1))
        self._begin(Level.SLOT, order[by_slot], Allotment(reservation.slots, keys), bounds)

    def reserve_kind(self, order: np.ndarray, reservation: Reservation, number: int) -> None:
        """Draw from the groups that are reserved for the batch kind of this number."""
        keys = np.full(len(self), number, np.int32)
        order = order[reservation.kinds[order] == number]
        self._begin(Level.KIND, order, Allotment(reservation.kinds, keys))

    def rewind(self) -> None:
        """Look at all groups anew."""
        self.starts = self._first_places.copy()
        self.is_exhausted = np.zeros(len(self), bool)
        self.deferred: dict[int, np.ndarray] = {}

    def find_open(self, least: int) -> np.ndarray:
        """Mark the slots with at least so many groups, (slots,) bool."""
        return np.asarray((self.remaining >= least) & ~self.is_exhausted)

    def get_queue(self, slot: int) -> GroupQueue:
        """Return the groups that a slot looks at, from its next place on."""
        deferred = self.deferred.get(slot, np.empty(0, np.int64))
        return GroupQueue(self.order[: self.stops[slot]], int(self.starts[slot]), deferred)

    def remove(self, groups: np.ndarray) -> None:
        """Subtract used groups of the source from the remaining ones."""
        self.remaining -= count_groups(groups, self.slots.columns, self.allotment)

    def _begin(
        self,
        level: Level,
        order: np.ndarray,
        allotment: Allotment,
        bounds: np.ndarray | None = None,
    ) -> None:
        """Draw from these groups; `bounds` are those of each slot's stretch, if not all."""
        self.level, self.order, self.allotment = level, order, allotment
        self._first_places = np.zeros(len(self), np.int64) if bounds is None else bounds[:-1]
        self.stops = np.full(len(self), len(order)) if bounds is None else bounds[1:]
        self.remaining = count_groups(order, self.slots.columns, allotment)
        self.rewind()

    def __len__(self) -> int:
        """Return the number of slots."""
        return len(self.slots.weights)
