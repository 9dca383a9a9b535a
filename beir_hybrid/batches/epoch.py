"""Parallel pairs, a strategy and a seed in, the batches of an epoch out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from beir_hybrid.batches.draws import draw
from beir_hybrid.batches.strategies import BatchKind, Strategy
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.pairs.parallel_pairs import ParallelPairs


@dataclass(frozen=True)
class Batch:
    """What was drawn: rows of one kind, from one source."""

    kind: BatchKind
    source: int
    codes: np.ndarray  # (rows,) int64; see `ParallelPairs.code`


@dataclass(eq=False)
class _Slots:
    """A kind of batch in one source, a slot for each choice of languages that its batches have."""

    kind: BatchKind
    source: int
    left: np.ndarray  # which groups have the question: see `draw`
    right: np.ndarray
    weights: np.ndarray  # of each slot
    remaining: np.ndarray  # groups that will do for each slot
    starts: np.ndarray = field(init=False)
    exhausted: np.ndarray = field(init=False)
    deferred: dict[int, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Look at all groups anew."""
        self.starts = np.zeros(len(self.weights), np.int64)
        self.exhausted = np.zeros(len(self.weights), bool)
        self.deferred = {}

    def columns(self, slot: int) -> tuple[int, int]:
        """Return a slot's columns of `left` and `right`: languages, where it has one of each."""
        return divmod(slot, self.right.shape[1]) if self.kind == "cross" else (slot, slot)

    def there(self) -> np.ndarray:
        """Return how many groups each slot could still draw; none where it has no weight."""
        found: np.ndarray = np.where(self.weights > 0, self.remaining, 0)
        return found


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
        self.asked, self.answered = pairs.asked, pairs.answered  # no copies: they are large
        if strategy.languages or pairs.images:
            langs = strategy.languages or pairs.languages
            # A picture is in no language: only the kinds that are named for it draw it.
            allowed = np.array([lang in langs and lang != IMAGE for lang in pairs.languages])
            self.asked, self.answered = self.asked & allowed, self.answered & allowed
        self.both = self.asked & self.answered
        self.seen = self.asked[:, :0]  # captions whose picture is there
        if pairs.images:
            self.both &= ~pairs.itself
            self.seen = self.asked & pairs.answered[:, -1:]
        # Cross-lingual kinds choose a question's language and a passage's, which need have no
        # group with both.
        self.query_weights, self.passage_weights, self.weights, self.seen_weights = (
            _weights(there, strategy.temperature)
            for there in (self.asked, self.answered, self.both, self.seen)
        )
        self.picture = len(pairs.languages) - 1  # of a passage, where there are any: it is last
        self.used = np.zeros(len(pairs), bool)
        self.orders: list[np.ndarray] = []
        self.slots: list[_Slots] = []
        self.unused = [count for _, count in pairs.sources]
        first = 0
        for source, (_, count) in enumerate(pairs.sources):
            groups = np.arange(first, first + count)
            self.orders.append(rng.permutation(groups))
            for kind, _ in strategy.kinds:
                self.slots.append(self._slots(kind, source, slice(first, first + count)))
            first += count
        table = 1 << max(6, (4 * size * pairs.golds.shape[1] - 1).bit_length())
        self._keys, self._stamps = np.zeros(table, np.int64), np.zeros(table, np.int64)
        self._stamp = 0
        self.left_out: dict[str, int] = {}

    def _slots(self, kind: BatchKind, source: int, rows: slice) -> _Slots:
        """Return what batches of a kind and a source may be of."""
        if kind == "mono":
            left, weights = self.both, self.weights
            right = left
        elif kind == "image":
            left, weights = self.seen, self.seen_weights
            right = left
        elif kind == "cross":
            left, right = self.asked, self.answered
            weights = np.outer(self.query_weights, self.passage_weights)
            np.fill_diagonal(weights, 0)
            weights = weights.ravel()
        else:
            left = right = self._can(kind)[:, None]
            weights = np.ones(1)
        found = _Slots(kind, source, left, right, weights, np.zeros(len(weights), np.int64))
        found.remaining = _counts(found, rows)
        return found

    def most(self) -> int:
        """Return how many groups the slot has that has the most."""
        return max((int(slots.there().max()) for slots in self.slots), default=0)

    def batches(self, *, short: bool) -> Iterator[Batch]:
        """Yield full batches while there are any, then, if `short`, what rows are left."""
        while (found := self._next()) is not None:
            slots, slot = found
            groups = self._draw(slots, slot, self.size)
            if groups is None:
                slots.exhausted[slot] = True
            else:
                yield self._batch(slots, slot, groups)
        usable = self._usable() & ~self.used
        if not short:
            self.left_out["rows that fill no batch"] = int(usable.sum())
        else:
            yield from self._rest()
        self.left_out["groups that the strategy has no use for"] = int((~self._usable()).sum())

    def _rest(self) -> Iterator[Batch]:
        self.orders = [order[~self.used[order]] for order in self.orders]
        while self.most():
            # The fullest first: fewer batches are short.
            slots = max(self.slots, key=lambda one: int(one.there().max()))
            slots.begin()
            slot = int(slots.there().argmax())
            groups = self._draw(slots, slot, 1)
            assert groups is not None  # noqa: S101 - one group always fits an empty batch
            yield self._batch(slots, slot, groups)

    def _next(self) -> tuple[_Slots, int] | None:
        """Draw a source by what is left of it, a kind by the strategy, languages by weight."""
        full = [(slots, (slots.there() >= self.size) & ~slots.exhausted) for slots in self.slots]
        open_ = [(slots, there) for slots, there in full if there.any()]
        if not open_:
            return None
        sources = sorted({slots.source for slots, _ in open_})
        if len(sources) > 1:
            source = sources[self._choice([float(self.unused[source]) for source in sources])]
            open_ = [(slots, there) for slots, there in open_ if slots.source == source]
        shares = dict(self.strategy.kinds)
        slots, there = open_[self._choice([shares[slots.kind] for slots, _ in open_])]
        return slots, self._choice(np.where(there, slots.weights, 0))

    def _choice(self, weights: Sequence[float] | np.ndarray) -> int:
        total = np.cumsum(weights)
        return int(np.searchsorted(total, self.rng.random() * total[-1], side="right"))

    def _draw(self, slots: _Slots, slot: int, least: int) -> np.ndarray | None:
        """Take `size` groups, or nothing if there are fewer than `least` that go together."""
        self._stamp += 1
        chosen = np.empty(self.size, np.int64)
        i, j = slots.columns(slot)
        count, start, deferred = draw(
            self.orders[slots.source], int(slots.starts[slot]),
            slots.deferred.get(slot, np.empty(0, np.int64)), self.used,
            slots.left, i, slots.right, j, self.pairs.golds,
            chosen, self._keys, self._stamps, self._stamp,
        )  # fmt: skip
        if count < least:
            return None
        slots.starts[slot], slots.deferred[slot] = start, deferred
        groups = chosen[:count]
        self.used[groups] = True
        self.unused[slots.source] -= count
        for other in self.slots:
            if other.source == slots.source:
                other.remaining -= _counts(other, groups)
        return groups

    def _batch(self, slots: _Slots, slot: int, groups: np.ndarray) -> Batch:
        if slots.kind in ("mono", "cross", "image"):
            i, j = slots.columns(slot)
            query = np.full(len(groups), i)
            passage = np.full(len(groups), self.picture if slots.kind == "image" else j)
        else:
            query, passage = self._languages(slots.kind, groups)
        return Batch(slots.kind, slots.source, self.pairs.code(groups, query, passage, self.draw))

    def _languages(self, kind: BatchKind, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw languages for each row of its own, of question and passage."""
        same = np.eye(len(self.pairs.languages), dtype=bool)
        if kind == "mono-rows":
            can, weights = self.both[groups][:, :, None] & same, self.weights[:, None]
        elif kind == "image-rows":
            last = np.arange(len(same)) == self.picture
            can, weights = self.seen[groups][:, :, None] & last, self.seen_weights[:, None]
        else:
            can = self.asked[groups][:, :, None] & self.answered[groups][:, None, :] & ~same
            weights = np.outer(self.query_weights, self.passage_weights)
        total = np.cumsum((can * weights).reshape(len(groups), -1), axis=1)
        point = self.rng.random(len(groups))[:, None] * total[:, -1:]
        query, passage = np.divmod((total <= point).sum(axis=1), len(same))
        if not (total[:, -1] > 0).all() or not can[np.arange(len(groups)), query, passage].all():
            raise RuntimeError(f"a {kind} batch was drawn of groups that have no such pair")
        return query, passage

    def _usable(self) -> np.ndarray:
        """Return which groups can be drawn at all."""
        usable = np.zeros(len(self.pairs), bool)
        for kind in {slots.kind for slots in self.slots}:
            usable |= self._can(kind)
        return usable

    def _can(self, kind: BatchKind) -> np.ndarray:
        """Return which groups have languages for a kind of batch."""
        if kind in ("cross", "cross-rows"):
            return _crossing(self.asked, self.answered)
        can = self.both if kind in ("mono", "mono-rows") else self.seen
        return np.asarray(can.any(axis=1))


def _weights(there: np.ndarray, temperature: float) -> np.ndarray:
    """Return what languages weigh that some groups have, (L,); one that none has, 0."""
    sizes = there.sum(axis=0)
    # Shares of the largest: no power of them is too large, and no language vanishes.
    largest = max(sizes.max(initial=0), 1)
    found: np.ndarray = np.maximum((sizes / largest) ** temperature, 1e-100)
    return np.where(sizes > 0, found, 0.0)


def _counts(slots: _Slots, groups: np.ndarray | slice) -> np.ndarray:
    """Return how many of some groups will do for each slot."""
    if slots.kind == "cross":
        return _together(slots.left[groups], slots.right[groups]).ravel()
    found: np.ndarray = slots.left[groups].sum(axis=0)
    return found


def _together(asked: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Count the groups with a question in one language and a passage in another; (L, L)."""
    counts = np.zeros((asked.shape[1], answered.shape[1]), np.int64)
    for start in range(0, len(asked), 1 << 16):
        part = slice(start, start + (1 << 16))
        counts += (asked[part].T.astype(np.float32) @ answered[part].astype(np.float32)).astype(int)
    return counts


def _crossing(asked: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Return which groups have a question in one language and a passage in another."""
    questions, passages = asked.sum(axis=1, dtype=np.int32), answered.sum(axis=1, dtype=np.int32)
    alone = (questions == 1) & (passages == 1) & (asked & answered).any(axis=1)
    crossing: np.ndarray = (questions > 0) & (passages > 0) & ~alone
    return crossing
