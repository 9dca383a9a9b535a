"""Parallel pairs, a strategy and a seed in, the batches of an epoch out."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from beir_hybrid.training.draws import draw
from beir_hybrid.training.pairs import ParallelPairs
from beir_hybrid.training.strategies import Kind, Strategy


@dataclass(frozen=True)
class Batch:
    """What was drawn: rows of one kind, from one source."""

    kind: Kind
    source: int
    codes: np.ndarray  # (rows,) int64; see `ParallelPairs.code`


@dataclass(eq=False)
class _Slot:
    """A kind of batch with its languages, in one source: which groups will do, and how many."""

    kind: Kind
    source: int
    left: np.ndarray
    i: int
    right: np.ndarray
    j: int
    weight: float  # among the slots of its kind
    remaining: int
    start: int = 0
    deferred: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    exhausted: bool = False


class Epoch:
    """Draws the batches of an epoch, `size` rows at a time.

    `size` is the batch size times the number of processes; `count` tells what is left out.
    """

    def __init__(
        self,
        pairs: ParallelPairs,
        strategy: Strategy,
        size: int,
        rng: np.random.Generator,
        draw: int = 0,
    ) -> None:
        self.pairs, self.strategy, self.size, self.rng = pairs, strategy, size, rng
        self.draw = draw  # see `ParallelPairs.drawn_with`
        allowed = np.array([
            not strategy.languages or lang in strategy.languages for lang in pairs.languages
        ])  # fmt: skip
        self.asked, self.answered = pairs.asked & allowed, pairs.answered & allowed
        sizes = (self.asked & self.answered).sum(axis=0).astype(np.float64)
        self.weights = np.where(sizes > 0, np.maximum(sizes, 1) ** strategy.temperature, 0.0)
        self.used = np.zeros(len(pairs), bool)
        self.orders: list[np.ndarray] = []
        self.slots: list[_Slot] = []
        self.unused = [count for _, count in pairs.sources]
        first = 0
        for source, (_, count) in enumerate(pairs.sources):
            groups = np.arange(first, first + count)
            self.orders.append(rng.permutation(groups))
            self.slots += list(self._slots(source, slice(first, first + count)))
            first += count
        table = 1 << max(6, (4 * size * pairs.golds.shape[1] - 1).bit_length())
        self._keys, self._stamps = np.zeros(table, np.int64), np.zeros(table, np.int64)
        self._stamp = 0
        self.left_out: dict[str, int] = {}

    def _slots(self, source: int, rows: slice) -> Iterator[_Slot]:
        """Yield what batches of a source may be of."""
        both = self.asked & self.answered
        width = len(self.pairs.languages)
        for kind, _ in self.strategy.kinds:
            if kind == "mono":
                for lang, count in enumerate(both[rows].sum(axis=0).tolist()):
                    yield _Slot(kind, source, both, lang, both, lang, self.weights[lang], count)
            elif kind == "cross":
                counts = _together(self.asked[rows], self.answered[rows])
                for q in range(width):
                    for p in range(width):
                        weight = self.weights[q] * self.weights[p] * (q != p)
                        yield _Slot(
                            kind, source, self.asked, q, self.answered, p, weight, counts[q, p]
                        )
            else:
                can = both.any(axis=1) if kind == "mono-rows" else _crossing(
                    self.asked, self.answered
                )  # fmt: skip
                column = can[:, None]
                yield _Slot(kind, source, column, 0, column, 0, 1.0, int(can[rows].sum()))

    def batches(self, *, short: bool) -> Iterator[Batch]:
        """Yield full batches while there are any, then, if `short`, what rows are left."""
        while (slot := self._next(self.size)) is not None:
            groups = self._draw(slot, self.size)
            if groups is None:
                slot.exhausted = True
            else:
                yield self._batch(slot, groups)
        usable = self._usable() & ~self.used
        if not short:
            self.left_out["rows that fill no batch"] = int(usable.sum())
        else:
            yield from self._rest()
        self.left_out["groups that the strategy has no use for"] = int((~self._usable()).sum())

    def _rest(self) -> Iterator[Batch]:
        for slot in self.slots:
            slot.exhausted, slot.start, slot.deferred = False, 0, np.empty(0, np.int64)
        self.orders = [order[~self.used[order]] for order in self.orders]
        while any(slot.remaining and slot.weight for slot in self.slots):
            # The fullest first: fewer batches are short.
            slot = max(self.slots, key=lambda one: one.remaining * (one.weight > 0))
            slot.start, slot.deferred = 0, np.empty(0, np.int64)
            groups = self._draw(slot, 1)
            assert groups is not None  # noqa: S101 - one group always fits an empty batch
            yield self._batch(slot, groups)

    def _next(self, least: int) -> _Slot | None:
        """Draw a source by what is left of it, a kind by the strategy, languages by weight."""
        open_ = [
            slot
            for slot in self.slots
            if not slot.exhausted and slot.weight and slot.remaining >= least
        ]
        if not open_:
            return None
        sources = sorted({slot.source for slot in open_})
        if len(sources) > 1:
            source = sources[self._choice([float(self.unused[source]) for source in sources])]
            open_ = [slot for slot in open_ if slot.source == source]
        shares = {kind: share for kind, share in self.strategy.kinds if share}
        kinds = [kind for kind in shares if any(slot.kind == kind for slot in open_)]
        kind = kinds[self._choice([shares[kind] for kind in kinds])]
        open_ = [slot for slot in open_ if slot.kind == kind]
        return open_[self._choice([slot.weight for slot in open_])]

    def _choice(self, weights: list[float]) -> int:
        total = np.cumsum(weights)
        return int(np.searchsorted(total, self.rng.random() * total[-1], side="right"))

    def _draw(self, slot: _Slot, least: int) -> np.ndarray | None:
        """Take `size` groups, or nothing if there are fewer than `least` that go together."""
        self._stamp += 1
        chosen = np.empty(self.size, np.int64)
        count, start, deferred = draw(
            self.orders[slot.source], slot.start, slot.deferred, self.used,
            slot.left, slot.i, slot.right, slot.j, self.pairs.golds,
            chosen, self._keys, self._stamps, self._stamp,
        )  # fmt: skip
        if count < least:
            return None
        slot.start, slot.deferred = start, deferred
        groups = chosen[:count]
        self.used[groups] = True
        self._forget(groups, slot.source)
        return groups

    def _forget(self, groups: np.ndarray, source: int) -> None:
        """Count groups out of what is left for each slot of their source."""
        self.unused[source] -= len(groups)
        asked, answered = self.asked[groups], self.answered[groups]
        both = (asked & answered).sum(axis=0)
        pairs: np.ndarray | None = None
        for slot in self.slots:
            if slot.source != source:
                continue
            if slot.kind == "mono":
                slot.remaining -= int(both[slot.i])
            elif slot.kind == "cross":
                pairs = _together(asked, answered) if pairs is None else pairs
                slot.remaining -= int(pairs[slot.i, slot.j])
            else:
                slot.remaining -= int(slot.left[groups, 0].sum())

    def _batch(self, slot: _Slot, groups: np.ndarray) -> Batch:
        width = len(self.pairs.languages)
        if slot.kind in ("mono", "cross"):
            query, passage = np.full(len(groups), slot.i), np.full(len(groups), slot.j)
        else:
            asked, answered = self.asked[groups], self.answered[groups]
            can = asked[:, :, None] & answered[:, None, :]
            same = np.eye(width, dtype=bool)
            can &= same if slot.kind == "mono-rows" else ~same
            weights = self.weights[:, None] if slot.kind == "mono-rows" else np.outer(
                self.weights, self.weights
            )  # fmt: skip
            total = np.cumsum((can * weights).reshape(len(groups), -1), axis=1)
            point = self.rng.random(len(groups))[:, None] * total[:, -1:]
            query, passage = np.divmod((total <= point).sum(axis=1), width)
        return Batch(slot.kind, slot.source, self.pairs.code(groups, query, passage, self.draw))

    def _usable(self) -> np.ndarray:
        """Return which groups can be drawn at all."""
        usable = np.zeros(len(self.pairs), bool)
        kinds = {slot.kind for slot in self.slots}
        if kinds & {"mono", "mono-rows"}:
            usable |= (self.asked & self.answered).any(axis=1)
        if kinds & {"cross", "cross-rows"}:
            usable |= _crossing(self.asked, self.answered)
        return usable


def _together(asked: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Count the groups with a question in one language and a passage in another; (L, L)."""
    counts = np.zeros((asked.shape[1], answered.shape[1]), np.int64)
    for start in range(0, len(asked), 1 << 16):
        part = slice(start, start + (1 << 16))
        counts += (asked[part].T.astype(np.float32) @ answered[part].astype(np.float32)).astype(int)
    return counts


def _crossing(asked: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Return which groups have a question in one language and a passage in another."""
    questions, passages = asked.sum(axis=1), answered.sum(axis=1)
    alone = (questions == 1) & (passages == 1) & (asked & answered).any(axis=1)
    crossing: np.ndarray = (questions > 0) & (passages > 0) & ~alone
    return crossing
