"""Pairs in, a model out whose batches are each joined of several processes' batches.

A process that takes the passages of all others for negatives has the loss of one that has all
their rows (`tests/test_distributed_training.py` compares the two), so that one process can stand
for several.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import beir_hybrid as bh
from beir_hybrid.errors import BadOption
from beir_hybrid.files import atomic_folder
from benchmarks.hybrid.experiment import Ranks

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from beir_hybrid.batches.strategies import Strategy
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs


class Joined(bh.HybridBatchSampler):
    """Batches that several processes draw at a time, each joined to one.

    Drawn together, all parts are of one kind and one language, as `bh.HybridBatchSampler` draws
    them for several. Apart, an epoch has the very same parts, and chance says which are joined: so
    both learn from the same rows, and differ in nothing but what is a negative of what.
    """

    def __init__(
        self, dataset: "ParallelPairs", batch_size: int, *, ranks: Ranks, **given: Any
    ) -> None:
        given |= {"drop_last": True, "world_size": ranks.count}
        super().__init__(dataset, batch_size // ranks.count, **given)
        self.ranks = ranks

    def __len__(self) -> int:
        """Return how many joined batches an epoch has."""
        return super().__len__() // self.ranks.count

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of joined batches."""
        parts = list(super().__iter__())
        if not self.ranks.together:
            np.random.default_rng([self.seed or 0, self.epoch]).shuffle(parts)
        for at in range(0, len(parts), self.ranks.count):
            yield [row for part in parts[at : at + self.ranks.count] for row in part]


def train(
    begin: str,
    pairs: "ParallelPairs",
    folder: Path,
    *,
    strategy: "Strategy",
    ranks: Ranks,
    loss: dict[str, Any],
    encoder: Mapping[str, Any],
    **arguments: Any,
) -> "SentenceTransformer":
    """Train with sentence-transformers' own trainer and save to ``folder/model``; return the model.

    One that is there already is good.

    Parameters
    ----------
    encoder
        Of `bh.train`: ``max_length``, and no preset.
    arguments
        Of the trainer, the size of a joined batch among them.
    """
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    if encoder.get("preset"):
        raise BadOption("ranks have no preset")
    saved = folder / "model"
    if saved.is_dir():
        return SentenceTransformer(str(saved), device="cpu")
    model = SentenceTransformer(begin, device="cpu")
    if max_length := encoder.get("max_length"):
        model.max_seq_length = max_length
    args = SentenceTransformerTrainingArguments(
        str(folder / "checkpoints"),
        batch_sampler=partial(Joined, strategy=strategy, ranks=ranks),
        dataloader_pin_memory=False,
        **arguments,
    )
    objective = bh.HybridContrastiveLoss(model, **loss)
    SentenceTransformerTrainer(model, args, train_dataset=pairs, loss=objective).train()
    with atomic_folder(saved) as temporary:
        model.save_pretrained(str(temporary))
    return model
