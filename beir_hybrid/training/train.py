"""A model, parallel pairs and a strategy in, a trained model in a folder out."""

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir_measures import Measure

from beir_hybrid.collection import Collection
from beir_hybrid.encoding.encoder import SentenceTransformerEncoder, adapt
from beir_hybrid.errors import (
    BadData,
    BadOption,
    BeirHybridError,
    MissingExtra,
    NotWritable,
    lookup,
)
from beir_hybrid.evaluation.evaluate import MEASURES
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.files import locked, replacing_folder, writing
from beir_hybrid.training.audit import Audit
from beir_hybrid.training.lora import add_lora, merge_lora
from beir_hybrid.training.loss import HybridContrastiveLoss
from beir_hybrid.training.pairs import ParallelPairs, join_pairs
from beir_hybrid.training.record import (
    BATCHES,
    CHECKPOINTS,
    MODEL,
    card_section,
    dev_of,
    is_finished,
    last_checkpoint,
    outcome_of,
    recipe_of,
    write_record,
)
from beir_hybrid.training.sampler import HybridBatchSampler
from beir_hybrid.training.strategies import Strategy
from beir_hybrid.training.strategies import strategy as strategy_of
from beir_hybrid.training.watch import BatchAudit

logger = logging.getLogger(__name__)

_ASKING = ("anchor", "translation")
_PROMPTS = ("query", "document", "passage", "corpus")
# The paper's, where it states them; the rest is the trainer's.
DEFAULTS = {"learning_rate": 3e-5, "weight_decay": 1e-2, "save_total_limit": 2}
OURS = {
    "output_dir": "output",
    "batch_sampler": "strategy",
    "multi_dataset_batch_sampler": "strategy",
    "prompts": "query_prompt and passage_prompt",
    "resume_from_checkpoint": "the folder, for a training that was killed goes on by itself",
}


def train(
    model: Any,
    pairs: ParallelPairs | Sequence[ParallelPairs],
    output: str | Path,
    *,
    strategy: Strategy | str = "hybrid",
    loss: Mapping[str, Any] | None = None,
    dev: Collection | None = None,
    primary: str | None = None,
    measures: Iterable[Measure | str] = MEASURES,
    patience: int | None = None,
    max_length: int | None = None,
    encoder: Mapping[str, Any] | None = None,
    lora: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    """Train a model with batches of a strategy; return it, a ``SentenceTransformer``.

    `output` gets the folder ``model``, which sentence-transformers loads, ``batches.jsonl``, what
    each step drew, ``training.json``, how the model came about, and ``checkpoints``. A training
    that was killed goes on from its last checkpoint, and one that is finished is loaded, if
    everything it depends on is still the same.

    Parameters
    ----------
    model
        A name on the hub, a folder, or a ``SentenceTransformer``, which is then trained itself.
    pairs
        What to draw from; several are joined, and a batch is of one of them.
    strategy
        A name, or what `bh.strategy` returns.
    loss
        Options of `HybridContrastiveLoss`, such as ``{"temperature": 0.02}``.
    dev, measures, primary
        What to judge the model on while it trains, and by which value to choose the best
        checkpoint, such as ``multi_AP``; see `HybridEvaluator`.
    patience
        Stop after so many evaluations that are no better than the best.
    max_length, encoder
        Tokens to read of a text, and further options of `SentenceTransformerEncoder`: ``preset``,
        ``query_prompt``, ``passage_prompt``, ``revision``, ``device``, ``trust_remote_code``.
    lora
        Options of peft's ``LoraConfig``, such as ``{"r": 16}``: only adapters are trained, and
        merged in the end.
    arguments
        Of ``SentenceTransformerTrainingArguments``, such as ``num_train_epochs``. The learning rate
        is 3e-5 and the weight decay 0.01 by default, as in the paper.
    """
    pairs = pairs if isinstance(pairs, ParallelPairs) else join_pairs(pairs)
    options, measures = dict(loss or {}), list(measures)
    _check(arguments, options, dev, patience, primary)
    if options.get("consistency"):
        pairs = pairs.with_translations()
    found = SentenceTransformerEncoder(model, **(encoder or {}))
    adapt(found.model, None, max_length, None)
    evaluator = None
    if dev is not None:
        # Of checkpoints, by the very prompts that training uses: the model carries them.
        evaluator = HybridEvaluator(dev, measures=measures, primary=primary, name=dev.name)
    plan = _Plan(found, pairs, strategy_of(strategy), Path(output), options, lora, patience)
    judged = None if dev is None else dev_of(dev, measures, primary, patience)
    plan.train(evaluator, judged, DEFAULTS | arguments)
    kept = {name: value for name, value in (encoder or {}).items()
            if name in ("device", "trust_remote_code")}  # fmt: skip
    return SentenceTransformerEncoder(plan.output / MODEL, **kept).model


@dataclass(frozen=True)
class _Plan:
    """What is to be trained, and where."""

    encoder: SentenceTransformerEncoder
    pairs: ParallelPairs
    strategy: Strategy
    output: Path
    loss: dict[str, Any]
    lora: Mapping[str, Any] | None
    patience: int | None

    def train(
        self,
        evaluator: HybridEvaluator | None,
        dev: Mapping[str, Any] | None,
        arguments: Mapping[str, Any],
    ) -> None:
        """Train, or find it done."""
        args = self._arguments(arguments, evaluator)  # this joins the processes, if there are more
        recipe = recipe_of(
            self.encoder, self.pairs, self.strategy, loss=self.loss, lora=self.lora, dev=dev,
            arguments=arguments, processes=args.world_size,
        )  # fmt: skip
        first = args.process_index == 0  # of several processes the one that writes
        lock: AbstractContextManager[None] = (
            locked(self.output / "training") if first else nullcontext()
        )
        with _refusals(self.output), lock:
            if _agreed(lambda: is_finished(self.output, recipe), args):
                logger.warning("%s is trained already", self.output)
            else:
                self._run(args, evaluator, recipe)

    def _run(self, args: Any, evaluator: HybridEvaluator | None, recipe: dict[str, Any]) -> None:
        """Train from the last checkpoint on, and save the model and how it came about."""
        from transformers import set_seed

        set_seed(args.seed)  # adapters are random
        model = self.encoder.model
        if self.lora is not None:
            add_lora(model, self.lora)
        # What the model brought along under other names must not come back where ours is empty.
        own = {name: text for name, text in model.prompts.items() if name not in _PROMPTS}
        prompts = self.encoder.prompts
        model.prompts = own | {"query": prompts["queries"], "document": prompts["passages"]}
        trainer = self._trainer(args, evaluator)
        audit = BatchAudit(trainer, self.output / BATCHES)
        about = {"name": self.encoder.name, "revision": self.encoder.revision}
        if args.process_index == 0:
            write_record(self.output, {"recipe": recipe, "model": about})
        began = time.perf_counter()
        trainer.train(resume_from_checkpoint=last_checkpoint(self.output / CHECKPOINTS))
        if not trainer.state.global_step:
            raise BadData("there was no step to train; is max_steps or the number of epochs 0?")
        # Since the checkpoint that it went on from.
        known = {
            "recipe": recipe,
            "model": about,
            "seconds": round(time.perf_counter() - began, 1),
        }
        if self.lora is not None:
            merge_lora(model)
        if args.process_index == 0:
            self._save(known | outcome_of(trainer, audit.audit), audit.audit)
        trainer.accelerator.wait_for_everyone()

    def _trainer(self, args: Any, evaluator: HybridEvaluator | None) -> Any:
        from sentence_transformers import SentenceTransformerTrainer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
        from transformers import EarlyStoppingCallback

        model = self.encoder.model
        if self.loss.get("mini_batch_size") and isinstance(model[0], StaticEmbedding):
            raise BadOption(
                "mini_batch_size: a StaticEmbedding has no batches to cut; leave it out"
            )
        stop: list[Any] = [] if self.patience is None else [EarlyStoppingCallback(self.patience)]
        try:
            return SentenceTransformerTrainer(
                model=model,
                args=args,
                train_dataset=self.pairs,
                loss=HybridContrastiveLoss(model, **self.loss),
                evaluator=evaluator,
                callbacks=stop,
            )
        except (ValueError, RuntimeError, ImportError) as error:
            raise BadOption(f"the trainer refuses: {error}") from error

    def _arguments(self, arguments: Mapping[str, Any], evaluator: HybridEvaluator | None) -> Any:
        """Return the trainer's arguments."""
        from sentence_transformers import SentenceTransformerTrainingArguments

        columns = [name for name in self.pairs.column_names if name != "label"]
        prompts = {
            name: self.encoder.prompts["queries" if name in _ASKING else "passages"]
            for name in columns
        }
        try:
            return SentenceTransformerTrainingArguments(
                str(self.output / CHECKPOINTS),
                batch_sampler=HybridBatchSampler.of(self.strategy),
                prompts=prompts if any(prompts.values()) else None,
                **_judged(arguments, evaluator),
            )
        except ImportError as error:
            raise MissingExtra(
                f"training needs pip install 'beir-hybrid[train]': {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise BadOption(f"arguments of the training: {error}") from error

    def _save(self, record: dict[str, Any], audit: Audit) -> None:
        """Save the model, whole or not at all; the folder comes last: who finds it finds all."""
        write_record(self.output, record)
        with replacing_folder(self.output / MODEL) as folder:
            self.encoder.model.save_pretrained(str(folder))
            card = folder / "README.md"
            card.write_text(
                card.read_text("utf-8") + card_section(record["recipe"], audit), "utf-8"
            )


def _judged(arguments: Mapping[str, Any], evaluator: HybridEvaluator | None) -> dict[str, Any]:
    """Return arguments with what choosing the best checkpoint needs, as far as not given."""
    given = dict(arguments)
    if evaluator is None:
        return given
    return {
        "eval_strategy": "epoch",
        "save_strategy": given.get("eval_strategy", "epoch"),
        "load_best_model_at_end": True,
        "metric_for_best_model": f"eval_{evaluator.primary_metric}",
        "greater_is_better": evaluator.greater_is_better,
        **({"save_steps": given["eval_steps"]} if "eval_steps" in given else {}),
        **given,
    }


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
        with writing(output):
            yield
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, SafetensorError) and "PytorchStreamWriter" not in reason:
            raise
        raise NotWritable(
            f"cannot write or read {output}: {reason:.200}; free some room, or name another folder"
        ) from error


def _check(
    arguments: Mapping[str, Any],
    loss: Mapping[str, Any],
    dev: Collection | None,
    patience: int | None,
    primary: str | None,
) -> None:
    """Raise `BadOption` for what no trainer or loss takes, or `train` itself decides."""
    from sentence_transformers import SentenceTransformerTrainingArguments

    known = dict.fromkeys(inspect.signature(SentenceTransformerTrainingArguments).parameters)
    for name in arguments:
        if name in OURS:
            raise BadOption(f"{name} is not to be set; {OURS[name]} decides it")
        lookup("training argument", name, known)
    options = dict.fromkeys(inspect.signature(HybridContrastiveLoss).parameters)
    options.pop("model")
    for name in loss:
        lookup("option of the loss", name, options)
    alone = {
        "patience": patience is not None,
        "primary": primary is not None,
        "eval_strategy": arguments.get("eval_strategy", "no") in ("steps", "epoch"),
    }
    for name, given in alone.items():
        if given and dev is None:
            raise BadOption(f"{name} is for a training with dev, a collection to judge on")
