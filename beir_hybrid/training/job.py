"""What is to be trained, and where, in; a trained model in a folder, and how it came about, out."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beir_hybrid.batches.audit import BatchCounts
from beir_hybrid.batches.audit_callback import BatchAuditCallback, Unread
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.batches.strategies import Strategy
from beir_hybrid.encoding.encoder import SentenceTransformerEncoder
from beir_hybrid.encoding.parts import sees
from beir_hybrid.errors import BadData, BadOption, BeirHybridError, MissingExtra, NotWritable
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.files import atomic_folder, explain_write_errors, file_lock
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.progress import hide_progress_bars
from beir_hybrid.training.lora import add_lora, merge_lora, save_lora
from beir_hybrid.training.loss import HybridContrastiveLoss
from beir_hybrid.training.record import (
    ADAPTER,
    BATCHES,
    CHECKPOINTS,
    MODEL,
    STATE,
    card_section,
    is_finished,
    is_last,
    last_checkpoint,
    outcome_of,
    recipe_of,
    write_record,
)
from beir_hybrid.training.towers import frozen, reading

logger = logging.getLogger(__name__)

_ASKING = ("anchor", "translation")
_PROMPTS = ("query", "document", "passage", "corpus")
Judge = HybridEvaluator | ParallelPairs  # whose value, or loss, chooses a checkpoint


@dataclass(frozen=True)
class Job:
    """What is to be trained, and where.

    Attributes
    ----------
    judge
        What chooses a checkpoint, if anything: an evaluator's value, or the loss of other pairs.
    """

    encoder: SentenceTransformerEncoder
    pairs: ParallelPairs
    strategy: Strategy
    output: Path
    loss: dict[str, Any]
    lora: Mapping[str, Any] | None
    freeze: str | None
    patience: int | None
    judge: Judge | None

    def train(self, dev: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> None:
        """Train, or find it done; `dev` is what the choice of a checkpoint depends on."""
        args = self._arguments(arguments)  # this joins the processes, if there are more
        recipe = recipe_of(
            self.encoder, self.pairs, self.strategy, loss=self.loss, lora=self.lora, dev=dev,
            freeze=self.freeze, arguments=arguments, processes=args.world_size,
        )  # fmt: skip
        first = args.process_index == 0  # of several processes the one that writes
        lock: AbstractContextManager[None] = (
            file_lock(self.output / "training") if first else nullcontext()
        )
        with _refusals(self.output), lock, hide_progress_bars():
            if _agreed(lambda: is_finished(self.output, recipe), args):
                logger.warning("%s is trained already", self.output)
            else:
                self._run(args, recipe)

    def _run(self, args: Any, recipe: dict[str, Any]) -> None:
        """Train from the last checkpoint on, and save the model and how it came about."""
        from transformers import set_seed

        set_seed(args.seed)  # adapters are random
        model = self.encoder.model
        if self.lora is not None:
            add_lora(model, self.lora)
        with frozen(model, self.freeze), reading(model):
            self._fit(args, recipe)

    def _fit(self, args: Any, recipe: dict[str, Any]) -> None:
        model = self.encoder.model
        # What the model brought along under other names must not come back where ours is empty.
        own = {name: text for name, text in model.prompts.items() if name not in _PROMPTS}
        prompts = self.encoder.prompts
        model.prompts = own | {"query": prompts["queries"], "document": prompts["passages"]}
        trainer = self._trainer(args)
        audit = BatchAuditCallback(trainer, self.output / BATCHES)
        about = {"name": self.encoder.name, "revision": self.encoder.revision}
        if args.process_index == 0:
            write_record(self.output, {"recipe": recipe, "model": about})
        began = time.perf_counter()
        checkpoint = last_checkpoint(self.output / CHECKPOINTS)
        if checkpoint is not None and is_last(checkpoint):
            _ended(trainer, audit, checkpoint)
        else:
            trainer.train(resume_from_checkpoint=checkpoint)
        if not trainer.state.global_step:
            raise BadData("there was no step to train; is max_steps or the number of epochs 0?")
        # Since the checkpoint that it went on from.
        known = {
            "recipe": recipe,
            "model": about,
            "seconds": round(time.perf_counter() - began, 1),
        }
        if self.lora is not None:
            if args.process_index == 0:
                save_lora(model, self.output / ADAPTER)
            merge_lora(model)
        if args.process_index == 0:
            self._save(known | outcome_of(trainer, audit.audit), audit.audit)
        trainer.accelerator.wait_for_everyone()

    def _trainer(self, args: Any) -> Any:
        from sentence_transformers import SentenceTransformerTrainer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
        from transformers import EarlyStoppingCallback

        model = self.encoder.model
        if self.loss.get("mini_batch_size") and isinstance(model[0], StaticEmbedding):
            raise BadOption(
                "mini_batch_size: a StaticEmbedding has no batches to cut; leave it out"
            )
        stop: list[Any] = [] if self.patience is None else [EarlyStoppingCallback(self.patience)]
        others = isinstance(self.judge, ParallelPairs)
        try:
            trainer = SentenceTransformerTrainer(
                model=model,
                args=args,
                train_dataset=self.pairs,
                eval_dataset=self.judge if others else None,
                loss=HybridContrastiveLoss(model, **self.loss),
                evaluator=None if others else self.judge,
                callbacks=stop,
            )
        except (ValueError, RuntimeError, ImportError) as error:
            raise BadOption(f"the trainer refuses: {error}") from error
        if others:
            trainer.get_eval_dataloader()  # raises now where a strategy finds no batches of them
        if sees(model) and args.world_size > 1:
            trainer.add_callback(Unread())
        return trainer

    def _arguments(self, arguments: Mapping[str, Any]) -> Any:
        """Return the trainer's arguments."""
        from sentence_transformers import SentenceTransformerTrainingArguments

        # With a tower for texts and one for pictures, each is unused at times; see the loss.
        towers = {"ddp_find_unused_parameters": False} if sees(self.encoder.model) else {}
        columns = [name for name in self.pairs.column_names if name != "label"]
        prompts = {
            name: self.encoder.prompts["queries" if name in _ASKING else "passages"]
            for name in columns
        }
        try:
            return SentenceTransformerTrainingArguments(
                str(self.output / CHECKPOINTS),
                batch_sampler=HybridBatchSampler.configure(self.strategy),
                prompts=prompts if any(prompts.values()) else None,
                **(_fitting() | towers | _judged(arguments, self.judge)),
            )
        except ImportError as error:
            raise MissingExtra(
                f"training needs pip install 'beir-hybrid[train]': {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise BadOption(f"arguments of the training: {error}") from error

    def _save(self, record: dict[str, Any], audit: BatchCounts) -> None:
        """Save the model, whole or not at all; the folder comes last: who finds it finds all."""
        write_record(self.output, record)
        with atomic_folder(self.output / MODEL) as folder:
            self.encoder.model.save_pretrained(str(folder))
            card = folder / "README.md"
            card.write_text(
                card.read_text("utf-8") + card_section(record["recipe"], audit), "utf-8"
            )


def _fitting() -> dict[str, Any]:
    """Return arguments that suit the machine and whoever looks on, unless others are given."""
    import torch
    from transformers.utils.import_utils import is_in_notebook

    return {
        "restore_callback_states_from_checkpoint": True,  # with the patience that was left
        "dataloader_pin_memory": torch.accelerator.is_available(),  # torch warns without
        "disable_tqdm": not (sys.stderr.isatty() or is_in_notebook()),
    }


def _judged(arguments: Mapping[str, Any], judge: Judge | None) -> dict[str, Any]:
    """Return arguments with what choosing the best checkpoint needs, as far as not given."""
    given = dict(arguments)
    if judge is None:
        return given
    found = {
        "eval_strategy": "epoch",
        "save_strategy": given.get("eval_strategy", "epoch"),
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
    }
    if isinstance(judge, HybridEvaluator):
        found["metric_for_best_model"] = f"eval_{judge.primary_metric}"
        found["greater_is_better"] = judge.greater_is_better
    elif "per_device_train_batch_size" in given:  # the loss depends on how many negatives there are
        found["per_device_eval_batch_size"] = given["per_device_train_batch_size"]
    if "eval_steps" in given:
        found["save_steps"] = given["eval_steps"]
    return found | given


def _ended(trainer: Any, audit: BatchAuditCallback, checkpoint: str) -> None:
    """Bring a trainer to the end of a training that was killed between its last step and saving.

    The trainer itself would take one step more, and stop there.
    """
    from transformers import TrainerState

    trainer.state = state = TrainerState.load_from_json(str(Path(checkpoint, STATE)))
    audit.on_train_begin(
        trainer.args, state, trainer.control, train_dataloader=trainer.get_train_dataloader()
    )
    best = Path(checkpoint).with_name(f"checkpoint-{state.best_global_step}")
    chosen = best if trainer.args.load_best_model_at_end and best.is_dir() else checkpoint
    trainer._load_from_checkpoint(str(chosen))  # noqa: SLF001 - as it does when it goes on
    audit.on_train_end(trainer.args, state, trainer.control)


def _agreed(decide: Callable[[], bool], args: Any) -> bool:
    """Return what the first process decides, in all of them; raise what it raises."""
    if args.world_size == 1:
        return decide()
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None]
    if args.process_index == 0:
        try:
            outcome = [decide()]
        except BeirHybridError as error:
            outcome = [error]
    broadcast_object_list(outcome)
    if isinstance(outcome[0], BeirHybridError):
        raise outcome[0]
    return bool(outcome[0])


@contextmanager
def _refusals(output: Path) -> Iterator[None]:
    """Turn what libraries say of a full disk into the error that says what to do."""
    from safetensors import SafetensorError

    try:
        with explain_write_errors(output):
            yield
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, SafetensorError) and "PytorchStreamWriter" not in reason:
            raise
        raise NotWritable(
            f"cannot write or read {output}: {reason:.200}; free some room, or name another folder"
        ) from error
