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
    stands at the end. A training that goes on from a checkpoint goes on with its file.

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
        # Before the callbacks that report logs; those that print them must not see ours.
        callbacks = trainer.callback_handler.callbacks
        callbacks.insert(0, self)
        printers = (ProgressCallback, PrinterCallback)
        for i in range(len(callbacks) - 1, 0, -1):
            if isinstance(callbacks[i], printers):
                callbacks.insert(i, _SumHider())

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **context: Any,
    ) -> None:
        """Find the sampler, and the lines that were written before the checkpoint."""
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
        steps = list(_read_steps(self.path, state.global_step)) if state.global_step else []
        with atomic_file(self.path) as temporary:
            temporary.write_text("".join(line for line, _ in steps), "utf-8")
        for _, counts in steps:
            self.counts.add(counts)
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
            line = {"step": state.global_step, **self._step_counts.to_dict()}
            self._file.write(json.dumps(line) + "\n")

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

    def on_train_end(self, *_args: object, **_context: object) -> None:
        """Print the sums."""
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


def _read_steps(path: Path, last_step: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the lines up to a step with their counts; a line cut short ends them."""
    if not path.exists():
        return
    for line in path.read_text("utf-8", errors="replace").splitlines(keepends=True):
        try:
            counts = json.loads(line)
            if not line.endswith("\n") or counts["step"] > last_step:
                return
            BatchCounts().add(counts)
        except (ValueError, KeyError, TypeError):  # cut short, or damaged: the rest is lost
            return
        yield line, counts
