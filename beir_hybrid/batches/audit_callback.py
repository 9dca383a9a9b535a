"""Record the batches that a trainer draws: a line a step, and sums in the trainer's logs."""

# ruff: noqa: ARG002 - callbacks have the trainer's arguments, whether they need them or not

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import PrinterCallback
from transformers.training_args import TrainingArguments

from beir_hybrid.batches.audit import BatchCounts, count_batches
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.errors import BadOption
from beir_hybrid.files import atomic_file
from beir_hybrid.text import escape_controls

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformerTrainer

    from beir_hybrid.batches.epoch import Batch

_PREFIX = "drawn/"  # of the names in the logs


class BatchAuditCallback(TrainerCallback):
    """Records the batches that a trainer draws with a `HybridBatchSampler`, over all processes.

    A line of JSON a step goes to a file: numbers of batches by kind, of rows by source and by the
    languages of query and passage. Their sums so far go to the trainer's logs, and so to W&B and
    TensorBoard, as ``drawn/batches/mono`` and the like, but not to the terminal, where a summary
    stands at the end. A training that goes on from a checkpoint writes the lines before it anew.

    Parameters
    ----------
    trainer
        The trainer; the audit becomes its first callback.
    path
        The file; by default ``batches.jsonl`` in the trainer's output folder.

    Attributes
    ----------
    counts
        The sums so far.

    Examples
    --------
    >>> trainer = SentenceTransformerTrainer(model, args, pairs, loss=loss)  # doctest: +SKIP
    >>> audit = BatchAuditCallback(trainer)  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    def __init__(
        self, trainer: "SentenceTransformerTrainer", path: str | Path | None = None
    ) -> None:
        self.path = Path(path or Path(str(trainer.args.output_dir)) / "batches.jsonl")
        self.counts = BatchCounts()
        self._sampler: HybridBatchSampler | None = None
        self._epoch_batches: list[Batch] | None = None
        self._place = 0  # of the next batch in the epoch
        self._step_counts = BatchCounts()
        self._file: TextIO | None = None
        # Before the callbacks that report logs; those that print them must not see ours. The
        # summary is printed after the last of them has closed its bar.
        callbacks = trainer.callback_handler.callbacks
        callbacks.insert(0, self)
        printers = (ProgressCallback, PrinterCallback)
        for i in range(len(callbacks) - 1, 0, -1):
            if isinstance(callbacks[i], printers):
                callbacks.insert(i, _SumHider())
        callbacks.append(_SummaryPrinter(self))

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Find the sampler, and write the lines of the steps before the checkpoint."""
        sampler = context["train_dataloader"].batch_sampler
        while sampler is not None and not isinstance(sampler, HybridBatchSampler):
            sampler = getattr(sampler, "batch_sampler", None)
        if sampler is None:
            raise BadOption("an audit needs a trainer whose batch_sampler is a HybridBatchSampler")
        plan = sampler.audit()
        self._sampler = sampler
        self.counts = BatchCounts(
            left_out=plan.left_out, coverage=plan.coverage, targets=plan.targets
        )
        if not state.is_world_process_zero:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path) as temporary, temporary.open("w", encoding="utf-8") as file:
            steps = self._draw_steps(state.global_step, args.gradient_accumulation_steps)
            for step, counts in enumerate(steps, start=1):
                file.write(_format_line(step, counts))
                self.counts.add(counts.to_dict())
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def on_epoch_begin(self, *_args: object, **_context: object) -> None:
        """Forget the batches: the sampler is told the epoch after this."""
        self._epoch_batches = None

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Find the place in the epoch, which is not its start after a checkpoint."""
        if self._epoch_batches is None:
            self._epoch_batches = self._get_sampler().batches()
            n_steps = -(-len(self._epoch_batches) // args.gradient_accumulation_steps)
            self._place = state.global_step % n_steps * args.gradient_accumulation_steps
        self._step_counts = BatchCounts()

    def on_substep_end(self, *_args: object, **_context: object) -> None:
        """Count a batch."""
        self._count_next()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Count a batch, and write the step's line."""
        self._count_next()
        if self._file:
            self._file.write(_format_line(state.global_step, self._step_counts))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Put the sums into the logs of training steps, and no others."""
        logs = context["logs"]
        if "loss" in logs or "train_loss" in logs:
            sums = {
                f"{_PREFIX}{part}/{name}": count
                for part, counts in self.counts.to_dict().items()
                for name, count in counts.items()
            }
            logs |= sums
            state.log_history[-1] |= sums

    def print_summary(self) -> None:
        """Close the file, and print the sums; only the first process has a file."""
        if self._file:
            self._file.close()
            console = Console(stderr=True, highlight=False, soft_wrap=True)
            for line in self.counts.format_lines():
                console.print(escape_controls(line), markup=False)

    def _count_next(self) -> None:
        """Count the batch that was trained on."""
        sampler = self._get_sampler()
        if self._epoch_batches is None:
            raise RuntimeError("no step has begun")
        batch = self._epoch_batches[self._place : self._place + 1]
        counts = count_batches(batch, sampler.pairs, sampler.world_size).to_dict()
        self._step_counts.add(counts)
        self.counts.add(counts)
        self._place += 1

    def _draw_steps(self, n_steps: int, batches_per_step: int) -> Iterator[BatchCounts]:
        """Yield the counts of the first steps, from the sampler: a file of them may be damaged."""
        sampler, step, past_epoch = self._get_sampler(), 0, 0
        epoch = sampler.epoch
        while step < n_steps:
            sampler.set_epoch(past_epoch)
            batches = sampler.batches()
            for start in range(0, len(batches), batches_per_step)[: n_steps - step]:
                part = batches[start : start + batches_per_step]
                yield count_batches(part, sampler.pairs, sampler.world_size)
                step += 1
            past_epoch += 1
        sampler.set_epoch(epoch)

    def _get_sampler(self) -> HybridBatchSampler:
        if self._sampler is None:
            raise RuntimeError("the training has not begun")
        return self._sampler


class _SumHider(TrainerCallback):
    """Takes the sums out of the logs before they are printed."""

    def on_log(self, *_args: object, **context: Any) -> None:
        """Take the sums out."""
        logs = context["logs"]
        for name in [name for name in logs if name.startswith(_PREFIX)]:
            del logs[name]


class _SummaryPrinter(TrainerCallback):
    """Prints the summary of an audit at the end of a training."""

    def __init__(self, audit: BatchAuditCallback) -> None:
        self._audit = audit

    def on_train_end(self, *_args: object, **_context: object) -> None:
        """Print the summary."""
        self._audit.print_summary()


def _format_line(step: int, counts: BatchCounts) -> str:
    return json.dumps({"step": step, **counts.to_dict()}) + "\n"
