"""The batch sampler: batches of one kind each, every group once an epoch, for any trainer."""

import logging
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler

from beir_hybrid.batches.audit import BatchCounts, count_batches
from beir_hybrid.batches.epoch import Batch, Epoch
from beir_hybrid.batches.kinds import BATCH_KINDS
from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.checks import check_positive
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.code_switching import CodeSwitch
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.pairs.row_codes import TURN_BITS

logger = logging.getLogger(__name__)

_COVERAGE_GROUPS = 1000  # groups whose words are looked up in the lexicon


class HybridBatchSampler(DefaultBatchSampler):
    """Batches that are wholly monolingual or wholly cross-lingual, as a strategy mixes them.

    The trainer's arguments take it by strategy::

        args = SentenceTransformerTrainingArguments(
            "out", batch_sampler=HybridBatchSampler.configure("hybrid", alpha=0.5)
        )

    Each group is drawn once an epoch, in languages that the strategy allows. No two rows of a batch
    have a passage in common, in whatever language. A batch kind is drawn by its share and a
    language by its weight, among those that still fill a batch; the rows that fill none make short
    batches at the end, drawn likewise, unless `drop_last`. Batches depend on the seed and the epoch
    alone.

    Where translations are missing, some groups fit one batch kind or one language alone. Groups
    that fit several are then reserved, at random, so that batch kinds have their shares of the
    epoch and languages their weights, as nearly as the data allow. `audit` tells the share that a
    kind is to have and the share that it has.

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
        self.world_size = world_size or _get_world_size()
        self._epoch_batches: tuple[int, list[Batch]] | None = None  # of the latest epoch
        self._passes: dict[int, tuple[list[Batch], dict[str, int]]] = {}
        self._pass_lengths: dict[int, int] = {}
        self._reasons: set[str] = set()  # for groups to be left out, that a warning has named
        _check_batches(self.pairs, self.strategy, batch_size * self.world_size)
        if not self._count_batches(0):
            raise BadData(
                f"{self.strategy.name} makes no batch of {batch_size * self.world_size} rows: too "
                "many groups share passages, which no two rows of a batch do"
            )
        self.coverage = _measure_coverage(self.pairs, self.strategy.code_switch)
        dataset.add_sampler(self)

    @classmethod
    def configure(
        cls, strategy: Strategy | str = "hybrid", **options: Any
    ) -> "partial[HybridBatchSampler]":
        """Return a sampler for ``batch_sampler`` of the trainer's arguments.

        Parameters
        ----------
        options
            ``alpha`` and ``cross`` of ``hybrid``; ``temperature`` and ``code_switch`` (see
            `bh.code_switch`) of any strategy.
        """
        # No function of ours: the trainer pickles its arguments.
        return partial(cls, strategy=parse_strategy(strategy, **options))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose batches are drawn; the trainer calls this."""
        super().set_epoch(int(epoch))

    def __len__(self) -> int:
        """Return the number of batches of an epoch, over all processes; all have as many."""
        return self._count_batches(0) * self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of each batch's rows; see `ParallelPairs.row_codes`."""
        for batch in self._list_batches():
            # Of several processes, batches are full: each has as many rows.
            for part in batch.codes.reshape(self.world_size, -1):
                first, *rest = part.tolist()
                yield [_UnshiftableInt(first), *rest]

    def batches(self) -> list[Batch]:
        """Return the batches of this epoch; of several processes, those that are drawn together."""
        return list(self._list_batches())

    def audit(self) -> BatchCounts:
        """Count the batches of this pass over the groups, and the groups left out."""
        batches, left_out = self._draw_pass(self.epoch)
        counts = count_batches(batches, self.pairs, self.world_size)
        counts.left_out, counts.coverage = left_out, self.coverage
        counts.targets = dict(self.strategy.kinds)
        return counts

    def _list_batches(self) -> list[Batch]:
        """Return an epoch of the passes over the groups, one after the other.

        The trainer counts an epoch's batches once, and finds its place after a checkpoint by them:
        each epoch has as many as the first pass. Where languages are missing a pass may have a few
        more or less, so that later epochs begin a few batches before or after a pass.
        """
        if self._epoch_batches is None or self._epoch_batches[0] != self.epoch:
            length, number = self._count_batches(0), 0
            skip = self.epoch * length
            while skip and skip >= self._count_batches(number):
                skip, number = skip - self._count_batches(number), number + 1
            batches = self._draw_pass(number)[0][skip:] if length else []
            while len(batches) < length:
                number += 1
                batches = batches + self._draw_pass(number)[0]
            self._epoch_batches = self.epoch, batches[:length]
        return self._epoch_batches[1]

    def _count_batches(self, number: int) -> int:
        """Return the number of batches of a pass over the groups."""
        if number not in self._pass_lengths:
            self._draw_pass(number)
        return self._pass_lengths[number]

    def _draw_pass(self, number: int) -> tuple[list[Batch], dict[str, int]]:
        """Draw each group once; return the batches and the numbers of groups left out, by reason.

        Only the two latest passes are kept: of a large set they take much memory.
        """
        if number not in self._passes:
            seeds = [self.seed or 0, number]
            turn = int(np.random.default_rng([*seeds, 1]).integers(1 << TURN_BITS))
            variant = self.pairs.register_variant(self.strategy.code_switch, turn)
            size = self.batch_size * self.world_size
            rng = np.random.default_rng(seeds)
            epoch = Epoch(self.pairs, self.strategy, size, rng, variant)
            short = not self.drop_last and self.world_size == 1
            batches = list(epoch.draw_batches(short=short))
            left_out = {reason: count for reason, count in epoch.left_out.items() if count}
            if number not in self._pass_lengths:
                self._warn(number, batches, left_out)
            self._pass_lengths[number] = len(batches)
            self._passes = dict([*self._passes.items(), (number, (batches, left_out))][-2:])
        return self._passes[number]

    def _warn(self, number: int, batches: list[Batch], left_out: dict[str, int]) -> None:
        """Warn of groups that are left out, once for each reason, and of batches of one row."""
        for reason in left_out.keys() - self._reasons:  # once, for epochs are much alike
            self._reasons.add(reason)
            count = left_out[reason]
            logger.warning("epoch %d leaves out %d groups: %s", number, count, reason)
        n_single = sum(len(batch.codes) == 1 for batch in batches)
        if n_single and not self.pairs.negatives:
            logger.warning(
                "epoch %d has %d batches of a single row: without hard negatives their loss is 0, "
                "and nothing is learned of them",
                number,
                n_single,
            )


class _UnshiftableInt(int):
    """A number of a row, to which nothing can be added.

    Of a dict of datasets sentence-transformers adds to the numbers of each the lengths of those
    before it: ours, which are larger than any length, would be rows of another one.
    """

    def __add__(self, number: int) -> int:
        """Raise `BadOption`."""
        raise BadOption(
            "ParallelPairs are drawn from alone, not in a dict or DatasetDict: make one dataset of "
            "them, bh.join_pairs(list(pairs.values())), of which each batch has one source"
        )


def _check_batches(pairs: ParallelPairs, strategy: Strategy, size: int) -> None:
    """Raise `BadData` where the strategy cannot fill a single batch."""
    if missing := [lang for lang in strategy.languages if lang not in pairs.languages]:
        raise BadData(
            f"{strategy.name} needs {missing[0]!r}; there are {', '.join(pairs.languages)}"
        )
    names = [kind for kind, _ in strategy.kinds]
    if not pairs.has_images and any(BATCH_KINDS[name].needs_images for name in names):
        raise BadData(f"{strategy.name} draws images, and no group has one")
    largest = Epoch(pairs, strategy, size, np.random.default_rng(0)).count_largest()
    if largest == 0:
        raise BadData(
            f"{strategy.name} makes {', '.join(names)} batches, and no group has languages for them"
        )
    if largest < size:
        raise BadData(
            f"batches of {size} rows are too large: {strategy.name} finds {largest} groups"
        )


def _measure_coverage(pairs: ParallelPairs, switch: CodeSwitch | None) -> float | None:
    """Return the share of words that a lexicon has; raise `BadData` if that is 0."""
    if switch is None:
        return None
    coverage = switch.measure_coverage(pairs.iterate_texts(_COVERAGE_GROUPS, switch.on))
    if not coverage:
        languages = ", ".join(sorted(switch.lexicon.entry_numbers))
        raise BadData(
            f"{switch.lexicon.name} has no word of the first thousand groups; it has words in "
            f"{languages}, and the groups are in {', '.join(pairs.languages)}"
        )
    return coverage


def _get_world_size() -> int:
    """Return the number of processes that train."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))
