"""Parallel pairs and a strategy in, batches of one kind each out: each group once an epoch."""

import logging
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler

from beir_hybrid.batches.audit import BatchCounts, count_batches
from beir_hybrid.batches.epoch import Batch, Epoch
from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.checks import check_positive
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.code_switching import CodeSwitch
from beir_hybrid.pairs.decoding import TURN_BITS
from beir_hybrid.pairs.parallel_pairs import ParallelPairs

logger = logging.getLogger(__name__)


class HybridBatchSampler(DefaultBatchSampler):
    """Batches that are wholly monolingual or wholly cross-lingual, as a strategy mixes them.

    The trainer's arguments take it by strategy::

        args = SentenceTransformerTrainingArguments(
            "out", batch_sampler=HybridBatchSampler.configure("hybrid", alpha=0.5)
        )

    Each group is drawn once an epoch, in languages that the strategy allows. No two rows of a batch
    have a passage in common, in whatever language. Languages are drawn among those that still fill
    a batch; what fills none makes short batches at the end, unless `drop_last`. Batches depend on
    the seed and the epoch alone.

    Epochs of a trainer all have as many batches as the first pass over the groups. Where languages
    are missing, passes differ by a few, so that an epoch may end a few batches before or after a
    pass; the next one goes on from there. `audit` describes a pass, with the number of the epoch.

    Where several processes train, as many batches as there are processes are of one kind and of
    the same languages, and none of their rows have a passage in common; what does not fill a batch
    for each process is left out, whatever `drop_last` says, and `audit` counts it.

    Parameters
    ----------
    dataset, batch_size, drop_last, valid_label_columns, generator, seed
        What the trainer gives.
    strategy
        A name, or what `bh.parse_strategy` returns.
    world_size
        How many processes draw together; by default as many as there are.

    Examples
    --------
    >>> from beir_hybrid.pairs.reading import pairs_from_bitext
    >>> texts = {lang: [f"{lang} {number}" for number in range(8)] for lang in ("de", "en")}
    >>> sampler = HybridBatchSampler(pairs_from_bitext(texts), batch_size=4, strategy="x-y")
    >>> [len(batch) for batch in sampler]
    [4, 4]
    >>> sampler.audit().batches
    Counter({'cross-rows': 2})
    """

    def __init__(
        self,
        dataset: ParallelPairs,
        batch_size: int,
        drop_last: bool = False,
        valid_label_columns: list[str] | None = None,
        generator: Any = None,
        seed: int = 0,
        *,
        strategy: Strategy | str = "hybrid",
        world_size: int | None = None,
    ) -> None:
        if not isinstance(dataset, ParallelPairs):
            raise BadOption(
                f"the sampler draws from ParallelPairs, not from a {type(dataset).__name__}"
            )
        check_positive(batch_size=batch_size)
        super().__init__(
            dataset,
            batch_size=batch_size,
            drop_last=drop_last,
            valid_label_columns=valid_label_columns,
            generator=generator,
            seed=seed,
        )
        self.pairs, self.strategy = dataset, parse_strategy(strategy)
        self.world_size = world_size or _world_size()
        self._epoch: tuple[int, list[Batch]] | None = None
        self._passes: dict[int, tuple[list[Batch], dict[str, int]]] = {}
        self._lengths: dict[int, int] = {}
        self._told: set[str] = set()  # why groups are left out
        _check(self.pairs, self.strategy, batch_size * self.world_size)
        if not self._length(0):
            raise BadData(
                f"{self.strategy.name} makes no batch of {batch_size * self.world_size} rows: too "
                "many groups share passages, which no two rows of a batch do"
            )
        self.coverage = _coverage(self.pairs, self.strategy.code_switch)
        dataset.sampled_by(self)

    @classmethod
    def configure(
        cls, strategy: Strategy | str = "hybrid", **options: Any
    ) -> "partial[HybridBatchSampler]":
        """Return what ``batch_sampler`` of the trainer's arguments takes.

        Parameters
        ----------
        options
            ``alpha`` and ``cross`` of ``hybrid``; ``temperature`` and ``code_switch`` (see
            `bh.code_switch`) of any strategy.
        """
        # No function of ours: the trainer pickles its arguments.
        return partial(cls, strategy=parse_strategy(strategy, **options))

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's batches to draw; the trainer does."""
        super().set_epoch(int(epoch))

    def __len__(self) -> int:
        """Return how many batches an epoch has, over all processes; all have as many."""
        return self._length(0) * self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of each batch's rows; see `ParallelPairs.code`."""
        for batch in self._batches():
            for part in np.array_split(batch.codes, self.world_size):
                first, *others = part.tolist()
                yield [_Number(first), *others]

    def batches(self) -> list[Batch]:
        """Return the batches of this epoch; of several processes, those that are drawn together."""
        return list(self._batches())

    def audit(self) -> BatchCounts:
        """Return what this pass over the groups draws, in numbers."""
        batches, left_out = self._pass(self.epoch)
        found = count_batches(batches, self.pairs, self.world_size)
        found.left_out, found.coverage = left_out, self.coverage
        return found

    def _batches(self) -> list[Batch]:
        """Return an epoch of the passes over the groups, one after the other.

        The trainer counts an epoch's batches once, and finds its place after a checkpoint by them:
        each epoch has as many as the first pass. Where languages are missing a pass may have a few
        more or less, so that later epochs begin a few batches before or after a pass.
        """
        if self._epoch is None or self._epoch[0] != self.epoch:
            length, number = self._length(0), 0
            skip = self.epoch * length
            while skip and skip >= self._length(number):
                skip, number = skip - self._length(number), number + 1
            batches = self._pass(number)[0][skip:] if length else []
            while len(batches) < length:
                number += 1
                batches = batches + self._pass(number)[0]
            self._epoch = self.epoch, batches[:length]
        return self._epoch[1]

    def _length(self, number: int) -> int:
        if number not in self._lengths:
            self._pass(number)
        return self._lengths[number]

    def _pass(self, number: int) -> tuple[list[Batch], dict[str, int]]:
        """Draw each group once; return the batches, and how many groups are left out, and why."""
        if number not in self._passes:
            seeds = [self.seed or 0, number]
            rng = np.random.default_rng(seeds)
            turn = int(np.random.default_rng([*seeds, 1]).integers(1 << TURN_BITS))
            draw = self.pairs.drawn_with(self.strategy.code_switch, turn)
            size = self.batch_size * self.world_size
            epoch = Epoch(self.pairs, self.strategy, size, rng, draw)
            short = not self.drop_last and self.world_size == 1
            batches = list(epoch.batches(short=short))
            left_out = {reason: n for reason, n in epoch.left_out.items() if n}
            if number not in self._lengths:
                for reason in left_out.keys() - self._told:  # once, for epochs are much alike
                    self._told.add(reason)
                    count = left_out[reason]
                    logger.warning("epoch %d leaves out %d groups: %s", number, count, reason)
                alone = sum(len(batch.codes) == 1 for batch in batches)
                if alone and not self.pairs.negatives:
                    logger.warning(
                        "epoch %d has %d batches of a single row: without hard negatives their "
                        "loss is 0, and nothing is learned of them",
                        number,
                        alone,
                    )
            self._lengths[number] = len(batches)
            # No more than the trainer needs at once: of a large set they take much memory.
            self._passes = dict([*self._passes.items(), (number, (batches, left_out))][-2:])
        return self._passes[number]


class _Number(int):
    """A number of a row, which no dataset before it may shift.

    Of a dict of datasets sentence-transformers adds to the numbers of each the lengths of those
    before it: ours, which are larger than any length, would be rows of another one.
    """

    def __add__(self, other: int) -> int:
        """Raise `BadOption`."""
        raise BadOption(
            "ParallelPairs are drawn from alone, not in a dict or DatasetDict: make one dataset of "
            "them, bh.join_pairs(list(pairs.values())), of which each batch has one source"
        )


def _check(pairs: ParallelPairs, strategy: Strategy, size: int) -> None:
    """Raise `BadData` where the strategy cannot fill a single batch."""
    if missing := [lang for lang in strategy.languages if lang not in pairs.languages]:
        raise BadData(
            f"{strategy.name} needs {missing[0]!r}; there are {', '.join(pairs.languages)}"
        )
    if not pairs.images and {kind for kind, _ in strategy.kinds} & {"image", "image-rows"}:
        raise BadData(f"{strategy.name} draws pictures, and no group has one")
    epoch = Epoch(pairs, strategy, size, np.random.default_rng(0))
    most = epoch.most()
    if most == 0:
        what = ", ".join(kind for kind, _ in strategy.kinds)
        raise BadData(f"{strategy.name} makes {what} batches, and no group has languages for them")
    if most < size:
        raise BadData(f"batches of {size} rows are too large: {strategy.name} finds {most} groups")


def _coverage(pairs: ParallelPairs, switch: CodeSwitch | None) -> float | None:
    """Return the share of words that a lexicon has; raise `BadData` where it has none of them."""
    if switch is None:
        return None
    found = switch.coverage(pairs.sample(1000, switch.on))
    if not found:
        known = ", ".join(sorted(switch.lexicon.places))
        raise BadData(
            f"{switch.lexicon.name} has no word of the first thousand groups; it has words in "
            f"{known}, and the groups are in {', '.join(pairs.languages)}"
        )
    return found


def _world_size() -> int:
    """Return how many processes train."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))
