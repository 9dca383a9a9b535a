"""Training with batches of several processes in one process.

A process that takes the passages of all others as negatives has the loss of one process with all
their rows (`tests/test_distributed_training.py` compares the two), so one process can stand for
several.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import beir_hybrid as bh
from beir_hybrid.errors import BadOption
from beir_hybrid.files import atomic_folder
from beir_hybrid.training.towers import cut_texts
from benchmarks.hybrid.experiment import Ranks

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from beir_hybrid.batches.strategies import Strategy
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs


class ProcessBatchSampler(bh.HybridBatchSampler):
    """A sampler whose batches consist of the batches of several processes.

    If the processes draw together, all parts of a batch are of one batch kind and language, as
    `bh.HybridBatchSampler` draws them for several processes. Otherwise an epoch has the same parts
    in a random order. Both learn from the same rows, and differ only in the negatives.
    """

    def __init__(
        self, dataset: "ParallelPairs", batch_size: int, *, ranks: Ranks, **options: Any
    ) -> None:
        options |= {"drop_last": True, "world_size": ranks.count}
        super().__init__(dataset, batch_size // ranks.count, **options)
        self.ranks = ranks

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return super().__len__() // self.ranks.count

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of each batch."""
        parts = list(super().__iter__())
        if not self.ranks.together:
            np.random.default_rng([self.seed or 0, self.epoch]).shuffle(parts)
        for i in range(0, len(parts), self.ranks.count):
            yield [row for part in parts[i : i + self.ranks.count] for row in part]


def train_with_processes(
    start_model: str,
    pairs: "ParallelPairs",
    folder: Path,
    *,
    strategy: "Strategy",
    ranks: Ranks,
    loss: dict[str, Any],
    encoder: Mapping[str, Any],
    tuning: Mapping[str, Any],
    **arguments: Any,
) -> "SentenceTransformer":
    """Train with sentence-transformers' trainer, save to ``folder/model`` and return the model.

    A saved model is loaded instead.

    Parameters
    ----------
    encoder
        As `bh.train` takes it: ``max_length``, and no preset.
    tuning
        Must be empty: all weights are trained.
    arguments
        Of the trainer; the batch size is that of all processes.
    """
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    for name, value in (("preset", encoder.get("preset")), ("tuning", tuning)):
        if value:
            raise BadOption(f"{name} is {value!r}; training with ranks takes none")
    model_folder = folder / "model"
    if model_folder.is_dir():
        return SentenceTransformer(str(model_folder), device="cpu")
    model = SentenceTransformer(start_model, device="cpu")
    training_arguments = SentenceTransformerTrainingArguments(
        str(folder / "checkpoints"),
        batch_sampler=partial(ProcessBatchSampler, strategy=strategy, ranks=ranks),
        dataloader_pin_memory=False,
        **arguments,
    )
    objective = bh.HybridContrastiveLoss(model, **loss)
    trainer = SentenceTransformerTrainer(
        model, training_arguments, train_dataset=pairs, loss=objective
    )
    with cut_texts(model, encoder.get("max_length")):
        trainer.train()
    with atomic_folder(model_folder) as temporary:
        model.save_pretrained(str(temporary))
    return model
