"""A trainer in; a line of what each step drew, and their sums in its logs, out."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from transformers import ProgressCallback, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from beir_hybrid.batches.audit import BatchCounts, count_batches
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.errors import BadOption
from beir_hybrid.files import atomic_file

if TYPE_CHECKING:
    from beir_hybrid.batches.epoch import Batch

_MARK = "drawn/"  # before the names of what is logged


class BatchAuditCallback(TrainerCallback):
    """Writes down what a trainer draws with a `HybridBatchSampler`, over all its processes.

    A line of JSON a step goes to a file: numbers of batches by kind, of rows by source and by the
    languages of question and passage. Their sums so far go to the trainer's logs, and so to W&B and
    TensorBoard, as ``drawn/batches/mono`` and the like, but not to the terminal, where a summary
    stands at the end. A training that goes on from a checkpoint goes on with its file.

    Parameters
    ----------
    trainer
        The trainer; the audit becomes its first callback.
    path
        The file; by default ``batches.jsonl`` in the trainer's output folder.

    Examples
    --------
    >>> trainer = SentenceTransformerTrainer(model, args, pairs, loss=loss)  # doctest: +SKIP
    >>> audit = BatchAudit(trainer)  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    def __init__(self, trainer: Any, path: str | Path | None = None) -> None:
        self.path = Path(path or Path(trainer.args.output_dir) / "batches.jsonl")
        self.audit = BatchCounts()
        self._sampler: HybridBatchSampler | None = None
        self._batches: list[Batch] | None = None  # of the epoch
        self._place, self._step = 0, BatchCounts()
        self._file: TextIO | None = None
        # Before what reports logs, and what prints them must not see ours.
        callbacks = trainer.callback_handler.callbacks
        callbacks.insert(0, self)
        printers = (ProgressCallback, PrinterCallback)
        for place in range(len(callbacks) - 1, 0, -1):
            if isinstance(callbacks[place], printers):
                callbacks.insert(place, _Unprinted())

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002
        """Find the sampler, and what was written before the checkpoint."""
        sampler = given["train_dataloader"].batch_sampler
        while sampler is not None and not isinstance(sampler, HybridBatchSampler):
            sampler = getattr(sampler, "batch_sampler", None)
        if sampler is None:
            raise BadOption("an audit needs a trainer whose batch_sampler is a HybridBatchSampler")
        planned = sampler.audit()
        self._sampler = sampler
        self.audit = BatchCounts(left_out=planned.left_out, coverage=planned.coverage)
        if not state.is_world_process_zero:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = list(_until(self.path, state.global_step)) if state.global_step else []
        with atomic_file(self.path) as temporary:
            temporary.write_text("".join(line for line, _ in lines), "utf-8")
        for _, counts in lines:
            self.audit.add(counts)
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def on_epoch_begin(self, *_args: Any, **_given: Any) -> None:
        """Await the epoch's batches: the sampler learns of the epoch after this."""
        self._batches = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_given: Any) -> None:  # noqa: ARG002
        """Find the place in the epoch, which is not its start after a checkpoint."""
        assert self._sampler is not None  # noqa: S101 - training has begun
        if self._batches is None:
            self._batches = self._sampler.batches()
            steps = -(-len(self._batches) // args.gradient_accumulation_steps)
            self._place = state.global_step % steps * args.gradient_accumulation_steps
        self._step = BatchCounts()

    def on_substep_end(self, *_args: Any, **_given: Any) -> None:
        """Count a batch."""
        assert self._batches is not None  # noqa: S101
        assert self._sampler is not None  # noqa: S101
        batch = self._batches[self._place : self._place + 1]
        counts = count_batches(batch, self._sampler.pairs, self._sampler.world_size).to_dict()
        self._step.add(counts)
        self.audit.add(counts)
        self._place += 1

    def on_step_end(self, args: Any, state: Any, control: Any, **_given: Any) -> None:  # noqa: ARG002
        """Count a batch, and write the step's line."""
        self.on_substep_end()
        if self._file:
            line = {"step": state.global_step, **self._step.to_dict()}
            self._file.write(json.dumps(line) + "\n")

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002
        """Put the sums beside what is logged of a training, and of nothing else."""
        logs = given["logs"]
        if "loss" in logs or "train_loss" in logs:
            sums = {
                f"{_MARK}{part}/{name}": count
                for part, counts in self.audit.to_dict().items()
                for name, count in counts.items()
            }
            logs |= sums
            state.log_history[-1] |= sums

    def on_train_end(self, args: Any, state: Any, control: Any, **_given: Any) -> None:  # noqa: ARG002
        """Print the sums."""
        if self._file:
            self._file.close()
            console = Console(stderr=True, highlight=False, soft_wrap=True)
            for line in self.audit.format_lines():
                console.print(line, markup=False)


class _Unprinted(TrainerCallback):
    """Takes the sums out of what is printed."""

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002
        logs = given["logs"]
        for name in [name for name in logs if name.startswith(_MARK)]:
            del logs[name]


class Unread(TrainerCallback):
    """Takes gradients that are all zero away, of the tower that a batch did not use.

    Several processes have them where one has none, and the optimizer would let its weights decay.
    """

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002
        """Take them away."""
        for one in given["model"].parameters():
            if one.grad is not None and not one.grad.any():
                one.grad = None


def _until(path: Path, step: int) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield the lines up to a step, with what they say; a line cut short ends them."""
    if not path.exists():
        return
    for line in path.read_text("utf-8", errors="replace").splitlines(keepends=True):
        try:
            counts = json.loads(line)
            if not line.endswith("\n") or counts["step"] > step:
                return
            BatchCounts().add(counts)
        except (ValueError, KeyError, TypeError):  # cut short, or damaged: what follows is lost
            return
        yield line, counts
