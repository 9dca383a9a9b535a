"""Print the logs of a training as lines of plain words."""

# ruff: noqa: ARG002 - callbacks have the trainer's arguments, whether they need them or not

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from transformers import ProgressCallback, TrainerControl, TrainerState
from transformers.trainer_callback import PrinterCallback
from transformers.training_args import TrainingArguments

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformerTrainer

_EVAL = "eval_"
_SPEEDS = ("_runtime", "_per_second")


def use_log_printer(trainer: "SentenceTransformerTrainer") -> None:
    """Replace the trainer's printer of logs; the tables of notebooks stay."""
    for printer, replacement in ((ProgressCallback, _BarPrinter), (PrinterCallback, _LinePrinter)):
        if trainer.pop_callback(printer) is not None:
            trainer.add_callback(replacement)


def format_logs(logs: Mapping[str, object], state: TrainerState) -> str:
    """Return one line of a trainer's logs, such as ``step 8 of 400: loss 2.314``."""
    step = f"step {state.global_step:,} of {state.max_steps:,}"
    if "train_loss" in logs:
        duration = timedelta(seconds=round(float(str(logs.get("train_runtime", 0)))))
        return f"{step}: done in {duration}, mean loss {_format_number(logs['train_loss'])}"
    if evaluation := {name: logs[name] for name in logs if name.startswith(_EVAL)}:
        values = ", ".join(
            f"{name.removeprefix(_EVAL)} {_format_number(value)}"
            for name, value in evaluation.items()
            if not name.endswith(_SPEEDS)
        )
        return f"{step}, on the dev set: {values}"
    names = {"loss": "loss", "learning_rate": "learning rate", "grad_norm": "gradient norm"}
    values = ", ".join(
        f"{label} {_format_number(logs[name])}" for name, label in names.items() if name in logs
    )
    return f"{step}: {values}"


def _format_number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class _BarPrinter(ProgressCallback):
    """Shows the bars of transformers, and the lines above them."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, object] | None = None,
        **context: Any,
    ) -> None:
        """Print a line above the bar."""
        if self.training_bar is not None:
            self.training_bar.write(format_logs(logs or {}, state), file=sys.stderr)


class _LinePrinter(PrinterCallback):
    """Prints the lines where there are no bars, as in a file."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, object] | None = None,
        **context: Any,
    ) -> None:
        """Print a line."""
        if state.is_world_process_zero:
            sys.stderr.write(format_logs(logs or {}, state) + "\n")
