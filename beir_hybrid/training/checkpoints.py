"""Checkpoints of a training: record their checksums, and find the last one that is sound."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from beir_hybrid.errors import BadData
from beir_hybrid.integrity import (
    FileRecord,
    read_sealed_json,
    record_files,
    verify_files,
    write_sealed_json,
)
from beir_hybrid.records import from_record, read_json

logger = logging.getLogger(__name__)

CHECKSUMS = "checksums.json"  # of a checkpoint, written last
STATE = "trainer_state.json"  # of a checkpoint
_CURE = "it is not used"


class ChecksumCallback(TrainerCallback):
    """Writes the checksums of each checkpoint, without which it is not used."""

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - the trainer's
        **_context: Any,
    ) -> None:
        """Write the checksums of the checkpoint of this step, once all processes have saved."""
        from accelerate import PartialState

        PartialState().wait_for_everyone()
        folder = name_checkpoint(args, state)
        if state.is_world_process_zero and folder.is_dir():
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            names = [str(path.relative_to(folder)) for path in paths if path.name != CHECKSUMS]
            write_sealed_json(folder / CHECKSUMS, {"files": record_files(folder, names)})


def name_checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    """Return the folder of the checkpoint of the current step."""
    return Path(str(args.output_dir), f"checkpoint-{state.global_step}")


def find_sound_checkpoint(folder: Path, *, needs_best: bool) -> str | None:
    """Return the path of the last sound checkpoint, or None; remove those after it, and say so.

    Parameters
    ----------
    needs_best
        The training loads the best checkpoint in the end, which must be sound as well.
    """
    reasons: dict[Path, BadData] = {}
    sound_checkpoint = None
    for path in sorted(folder.glob("checkpoint-*"), key=_parse_step, reverse=True):
        try:
            _verify_checkpoint(path)
            if needs_best and (step := _read_state(path).get("best_global_step")):
                _verify_checkpoint(path.with_name(f"checkpoint-{step}"))
        except BadData as error:
            reasons[path] = error
        else:
            sound_checkpoint = str(path)
            break
    place = sound_checkpoint or "the start"
    for path, reason in reasons.items():
        logger.warning("%s: %s; the training goes on from %s", path, reason, place)
        shutil.rmtree(path)
    return sound_checkpoint


@contextmanager
def explain_interrupts(folder: Path) -> Iterator[None]:
    """Let an interrupt of the block say from which step the training will go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        checksums = folder.glob(f"checkpoint-*/{CHECKSUMS}")
        step = max((_parse_step(path.parent) for path in checksums), default=0)
        raise KeyboardInterrupt(
            f"the checkpoint of step {step:,} is kept; the same command goes on from there"
            if step
            else "there is no checkpoint yet, so the same command begins anew; save_steps says "
            "after how many steps there is one"
        ) from error


def is_final_checkpoint(checkpoint: str) -> bool:
    """Return whether the trainer would have stopped here: no steps or no patience left."""
    control = _read_state(Path(checkpoint)).get("stateful_callbacks", {}).get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop"))


class _Checksums(TypedDict):
    """The contents of `CHECKSUMS`."""

    files: dict[str, FileRecord]


def _verify_checkpoint(folder: Path) -> None:
    path = folder / CHECKSUMS
    record = from_record(_Checksums, read_sealed_json(path, _CURE), str(path))
    verify_files(folder, record["files"], _CURE)


class _Control(TypedDict, total=False):
    """The trainer's control at the time of the checkpoint."""

    args: dict[str, Any]


class _Callbacks(TypedDict, total=False):
    """The callbacks whose state is stored, as far as it is read here."""

    TrainerControl: _Control


class _State(TypedDict, total=False):
    """The part of the trainer's state that is read here."""

    best_global_step: int | None
    stateful_callbacks: _Callbacks


def _read_state(folder: Path) -> _State:
    return from_record(_State, read_json(folder / STATE), str(folder / STATE))


def _parse_step(checkpoint: Path) -> int:
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
