"""Parallel pairs and a strategy in, batches of one kind each out: each group once an epoch."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.training.pairs import ParallelPairs
from beir_hybrid.training.plan import Batch, Epoch
from beir_hybrid.training.strategies import Strategy
from beir_hybrid.training.strategies import strategy as strategy_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Audit:
    """What an epoch draws: numbers of batches and rows, and what it leaves out.

    Attributes
    ----------
    batches
        By kind.
    rows
        By the languages of question and passage, as in ``en-de``.
    sources
        Rows by source.
    left_out
        Groups that are not drawn, by reason; rows and these add up to all groups.
    """

    batches: dict[str, int]
    rows: dict[str, int]
    sources: dict[str, int]
    left_out: dict[str, int]


class HybridBatchSampler(DefaultBatchSampler):
    """Batches that are wholly monolingual or wholly cross-lingual, as a strategy mixes them.

    The trainer's arguments take it by strategy::

        args = SentenceTransformerTrainingArguments(
            "out", batch_sampler=HybridBatchSampler.of("hybrid", alpha=0.5)
        )

    Each group is drawn once an epoch, in languages that the strategy allows. No two rows of a batch
    have a passage in common, in whatever language. Languages are drawn among those that still fill
    a batch; what fills none makes short batches at the end, unless `drop_last`. Batches depend on
    the seed and the epoch alone.

    Where several processes train, as many batches as there are processes are of one kind and of
    the same languages, and none of their rows have a passage in common; what does not fill a batch
    for each process is left out, whatever `drop_last` says, and `audit` counts it.
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
        if batch_size < 1:
            raise BadOption(f"a batch of {batch_size} rows has none")
        super().__init__(
            dataset,
            batch_size=batch_size,
            drop_last=drop_last,
            valid_label_columns=valid_label_columns,
            generator=generator,
            seed=seed,
        )
        self.pairs, self.strategy = dataset, strategy_of(strategy)
        self.world_size = world_size or _world_size()
        self._plan: tuple[int, list[Batch], dict[str, int]] | None = None
        _check(self.pairs, self.strategy, batch_size * self.world_size)
        dataset.sampled_by(self)

    @classmethod
    def of(
        cls, strategy: Strategy | str = "hybrid", **options: Any
    ) -> "partial[HybridBatchSampler]":
        """Return what ``batch_sampler`` of the trainer's arguments takes.

        Parameters
        ----------
        options
            ``alpha`` and ``cross`` of ``hybrid``, and ``temperature`` of any strategy.
        """
        # No function of ours: the trainer pickles its arguments.
        return partial(cls, strategy=strategy_of(strategy, **options))

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's batches to draw; the trainer does."""
        super().set_epoch(int(epoch))

    def __len__(self) -> int:
        """Return how many batches this epoch has, over all processes."""
        return len(self._batches()) * self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of each batch's rows; see `ParallelPairs.code`."""
        for batch in self._batches():
            for part in np.array_split(batch.codes, self.world_size):
                yield part.tolist()

    def batches(self) -> list[Batch]:
        """Return the batches of this epoch; of several processes, those that are drawn together."""
        return list(self._batches())

    def audit(self) -> Audit:
        """Return what this epoch draws, in numbers."""
        batches: dict[str, int] = {}
        sources = {name: 0 for name, _ in self.pairs.sources}
        names, width = list(sources), len(self.pairs.languages)
        counts = np.zeros(width * width, np.int64)
        for batch in self._batches():
            batches[batch.kind] = batches.get(batch.kind, 0) + self.world_size
            sources[names[batch.source]] += len(batch.codes)
            drawn = (batch.codes - len(self.pairs)) % (width * width)
            counts += np.bincount(drawn, minlength=width * width)
        langs = self.pairs.languages
        rows = {
            f"{langs[i // width]}-{langs[i % width]}": int(counts[i])
            for i in np.flatnonzero(counts).tolist()
        }
        assert self._plan is not None  # noqa: S101 - made above
        return Audit(batches, rows, sources, dict(self._plan[2]))

    def _batches(self) -> list[Batch]:
        if self._plan is None or self._plan[0] != self.epoch:
            rng = np.random.default_rng([self.seed or 0, self.epoch])
            epoch = Epoch(self.pairs, self.strategy, self.batch_size * self.world_size, rng)
            short = not self.drop_last and self.world_size == 1
            batches = list(epoch.batches(short=short))
            self._plan = self.epoch, batches, {k: n for k, n in epoch.left_out.items() if n}
            for reason, count in self._plan[2].items():
                logger.warning("epoch %d leaves out %d groups: %s", self.epoch, count, reason)
        return self._plan[1]


def _check(pairs: ParallelPairs, strategy: Strategy, size: int) -> None:
    """Raise `BadData` where the strategy cannot fill a single batch."""
    if missing := [lang for lang in strategy.languages if lang not in pairs.languages]:
        raise BadData(
            f"{strategy.name} needs {missing[0]!r}; there are {', '.join(pairs.languages)}"
        )
    epoch = Epoch(pairs, strategy, size, np.random.default_rng(0))
    most = max((slot.remaining for slot in epoch.slots if slot.weight), default=0)
    if most == 0:
        what = ", ".join(kind for kind, _ in strategy.kinds)
        raise BadData(f"{strategy.name} makes {what} batches, and no group has languages for them")
    if most < size:
        raise BadData(f"batches of {size} rows are too large: {strategy.name} finds {most} groups")


def _world_size() -> int:
    """Return how many processes train."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))
