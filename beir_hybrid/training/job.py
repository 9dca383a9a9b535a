"""Run a training in a folder: start or resume it, save the model, and refuse other trainings."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from beir_hybrid.batches.audit import BatchCounts
from beir_hybrid.batches.audit_callback import BatchAuditCallback
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.batches.strategies import Strategy
from beir_hybrid.encoding.model_inputs import reads_images
from beir_hybrid.encoding.trained_models import MODEL, QUERIES
from beir_hybrid.errors import BadData, BadOption, BeirHybridError, MissingExtra, NotWritable
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.files import atomic_folder, explain_write_errors, file_lock
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.progress import hide_progress_bars
from beir_hybrid.training.checkpoints import (
    STATE,
    ChecksumCallback,
    explain_interrupts,
    find_sound_checkpoint,
    is_final_checkpoint,
)
from beir_hybrid.training.default_arguments import add_dev_arguments, list_machine_arguments
from beir_hybrid.training.dev_set import Criterion, DevSet
from beir_hybrid.training.families import FAMILIES, TrainingFamily
from beir_hybrid.training.language_means import LanguageMeansCallback
from beir_hybrid.training.log_printer import use_log_printer
from beir_hybrid.training.lora import add_lora, merge_lora, save_lora
from beir_hybrid.training.loss import HybridContrastiveLoss
from beir_hybrid.training.model_card import add_card_section, fill_card
from beir_hybrid.training.record import (
    ADAPTER,
    BATCHES,
    CHECKPOINTS,
    Recipe,
    is_finished,
    record_model,
    sketch_queries,
    summarize_training,
    write_record,
)
from beir_hybrid.training.start_weights import copy_weights, mix_weights
from beir_hybrid.training.towers import cut_texts, freeze_part, set_prompts, text_preprocessing
from beir_hybrid.training.tuning import Tuning
from beir_hybrid.training.zero_gradients import ZeroGradientFilter

if TYPE_CHECKING:
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from torch import Tensor
    from transformers import TrainerCallback

T = TypeVar("T")
logger = logging.getLogger(__name__)

_QUERY_COLUMNS = ("anchor", "translation")


@dataclass(frozen=True)
class TrainingJob:
    """A model, the data and strategy to train it with, and the folder for the outcome."""

    encoder: Any  # as the family opens models
    pairs: ParallelPairs
    strategy: Strategy
    output: Path
    loss: Mapping[str, Any]
    tuning: Tuning
    dev: DevSet | None
    criterion: Criterion | None  # of `dev`
    max_length: int | None  # of texts in training; None: the model's own
    family: TrainingFamily = FAMILIES["dense"]

    def train(self, arguments: Mapping[str, object], *, keep_checkpoints: bool) -> None:
        """Train with arguments of the trainer, unless the folder has the finished training."""
        args = self._make_arguments(arguments)  # this connects the processes, if there are several
        dev = None
        if self.dev is not None and self.criterion is not None:
            dev = self.dev.describe(self.criterion)
        recipe = Recipe(
            self.encoder, self.pairs, self.strategy, loss=self.loss, lora=self.tuning.get("lora"),
            freeze=self.tuning.get("freeze"), dev=dev, arguments=arguments,
            processes=args.world_size, max_length=self.max_length,
            start_share=self.tuning.get("start_share"),
        ).to_json()  # fmt: skip
        is_writer = args.process_index == 0  # one of several processes writes
        lock: AbstractContextManager[None] = (
            file_lock(self.output / "training") if is_writer else nullcontext()
        )
        with _translate_disk_errors(self.output), lock, hide_progress_bars():
            if _decide_in_first_process(lambda: is_finished(self.output, recipe), args):
                logger.warning("%s is trained already", self.output)
            else:
                self._prepare_and_fit(args, recipe)
            if is_writer and not keep_checkpoints:
                shutil.rmtree(self.output / CHECKPOINTS, ignore_errors=True)

    def _prepare_and_fit(
        self, args: "SentenceTransformerTrainingArguments", recipe: Mapping[str, object]
    ) -> None:
        from transformers import set_seed

        if self.dev is not None and args.process_index == 0:
            self.dev.warn_of_shared_queries(self.pairs)
        set_seed(args.seed)  # adapters are initialised at random
        model = self.encoder.model
        start_weights = copy_weights(model) if self.tuning.get("start_share") else {}
        if (lora := self.tuning.get("lora")) is not None:
            add_lora(model, lora)
        with freeze_part(model, self.tuning.get("freeze")), text_preprocessing(model):
            self._fit(args, recipe, start_weights)

    def _fit(
        self,
        args: "SentenceTransformerTrainingArguments",
        recipe: Mapping[str, object],
        start_weights: "Mapping[str, Tensor]",
    ) -> None:
        """Train from the last checkpoint on, and save the model and the record."""
        model = self.encoder.model
        set_prompts(model, self.encoder.prompts)
        trainer = self._make_trainer(args)
        use_log_printer(trainer)
        audit = BatchAuditCallback(trainer, self.output / BATCHES)
        origin = {"name": self.encoder.name, "revision": self.encoder.revision}
        if args.process_index == 0:
            write_record(self.output, {"recipe": recipe, "model": origin})
        start_time = time.perf_counter()
        folder, needs_best = self.output / CHECKPOINTS, args.load_best_model_at_end
        checkpoint = _decide_in_first_process(
            lambda: find_sound_checkpoint(folder, needs_best=needs_best), args
        )
        if checkpoint is not None and is_final_checkpoint(checkpoint):
            _load_finished_training(trainer, audit, checkpoint)
        else:
            with explain_interrupts(folder), cut_texts(model, self.max_length):
                trainer.train(resume_from_checkpoint=checkpoint)
        if not trainer.state.global_step:
            raise BadData("there was no step to train; is max_steps or the number of epochs 0?")
        record = {
            "recipe": recipe,
            "model": origin,
            QUERIES: sketch_queries(self.pairs).to_record(),
            "seconds": round(time.perf_counter() - start_time, 1),  # since a checkpoint, if any
        }
        self._merge_weights(start_weights, is_writer=args.process_index == 0)
        if args.process_index == 0:
            evaluator = self.criterion if isinstance(self.criterion, HybridEvaluator) else None
            fill_card(trainer, evaluator)
            self._save(record | summarize_training(trainer, audit.counts), recipe, audit.counts)
        trainer.accelerator.wait_for_everyone()

    def _merge_weights(self, start_weights: "Mapping[str, Tensor]", *, is_writer: bool) -> None:
        """Save and merge adapters, and average with the weights before the training."""
        model = self.encoder.model
        if self.tuning.get("lora") is not None:
            if is_writer:
                save_lora(model, self.output / ADAPTER)
            merge_lora(model)
        if start_share := self.tuning.get("start_share"):
            mix_weights(model, start_weights, start_share)

    def _make_trainer(
        self, args: "SentenceTransformerTrainingArguments"
    ) -> "SentenceTransformerTrainer":
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
        from transformers import EarlyStoppingCallback

        model = self.encoder.model
        if self.loss.get("mini_batch_size") and isinstance(model[0], StaticEmbedding):
            raise BadOption(
                "mini_batch_size: a StaticEmbedding has no batches to cut; leave it out"
            )
        loss = self.family.loss(model, **self.loss)
        callbacks: list[TrainerCallback] = [ChecksumCallback()]
        if isinstance(loss, HybridContrastiveLoss) and loss.centre:  # before the checksums
            callbacks.insert(0, LanguageMeansCallback(loss.language_means))
        if self.dev is not None and self.dev.patience is not None:
            callbacks.append(EarlyStoppingCallback(self.dev.patience))
        has_dev_pairs = isinstance(self.criterion, ParallelPairs)
        # The trainer takes anything that it can index for a dataset, and its types say less.
        datasets: dict[str, Any] = {
            "train_dataset": self.pairs,
            "eval_dataset": self.criterion if has_dev_pairs else None,
            "evaluator": None if has_dev_pairs else self.criterion,
        }
        try:
            trainer = self.family.make_trainer(
                model=model, args=args, loss=loss, callbacks=callbacks, **datasets
            )
        except (ValueError, RuntimeError, ImportError) as error:
            raise BadOption(f"the trainer refuses: {error}") from error
        if has_dev_pairs:
            trainer.get_eval_dataloader()  # raises now if the strategy makes no batches of them
        if reads_images(model) and args.world_size > 1:
            if self.loss.get("mini_batch_size"):
                raise BadOption(
                    "mini_batch_size: a model of texts and images takes it in one process alone"
                )
            trainer.add_callback(ZeroGradientFilter())
        return trainer

    def _make_arguments(
        self, arguments: Mapping[str, object]
    ) -> "SentenceTransformerTrainingArguments":
        # Of a text tower and a vision tower, a batch may use only one; see the loss.
        ddp = {"ddp_find_unused_parameters": False} if reads_images(self.encoder.model) else {}
        prompts = {
            name: self.encoder.prompts["queries" if name in _QUERY_COLUMNS else "passages"]
            for name in self.pairs.column_names
            if name != "label"
        }
        try:
            return self.family.make_arguments(
                self.output / CHECKPOINTS,
                batch_sampler=HybridBatchSampler.configure(self.strategy),
                prompts=prompts if any(prompts.values()) else None,
                **(list_machine_arguments() | ddp | add_dev_arguments(arguments, self.criterion)),
            )
        except ImportError as error:
            raise MissingExtra(
                f"training needs pip install 'beir-hybrid[train]': {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise BadOption(f"arguments of the training: {error}") from error

    def _save(
        self, record: Mapping[str, object], recipe: Mapping[str, object], audit: BatchCounts
    ) -> None:
        """Save the model and the record; the model's folder appears complete or not at all."""
        with atomic_folder(self.output / MODEL) as folder:
            self.encoder.model.save_pretrained(str(folder))
            add_card_section(folder, recipe, audit)
            write_record(self.output, {**record, "files": record_model(folder)})


def _load_finished_training(
    trainer: "SentenceTransformerTrainer", audit: BatchAuditCallback, checkpoint: str
) -> None:
    """Load the end of a training that was killed between its last step and saving the model.

    The trainer itself would train one step more before it stops.
    """
    from transformers import TrainerState

    trainer.state = state = TrainerState.load_from_json(str(Path(checkpoint, STATE)))
    audit.on_train_begin(
        trainer.args, state, trainer.control, train_dataloader=trainer.get_train_dataloader()
    )
    best = Path(checkpoint).with_name(f"checkpoint-{state.best_global_step}")
    weights = best if trainer.args.load_best_model_at_end and best.is_dir() else checkpoint
    trainer._load_from_checkpoint(str(weights))  # noqa: SLF001 - as the trainer itself resumes
    audit.print_summary()


def _decide_in_first_process(
    decide: Callable[[], T], args: "SentenceTransformerTrainingArguments"
) -> T:
    """Return the decision of the first process in all processes; raise its error in all."""
    if args.world_size == 1:
        return decide()
    from accelerate.utils import broadcast_object_list

    messages: list[Any] = [None]
    if args.process_index == 0:
        try:
            messages = [decide()]
        except BeirHybridError as error:
            messages = [error]
    broadcast_object_list(messages)
    decision: T | BeirHybridError = messages[0]
    if isinstance(decision, BeirHybridError):
        raise decision
    return decision


@contextmanager
def _translate_disk_errors(output: Path) -> Iterator[None]:
    """Raise `NotWritable` for the errors that libraries raise on a full or read-only disk."""
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
