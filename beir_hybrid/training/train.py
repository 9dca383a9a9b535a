"""A model, parallel pairs and a strategy in, a trained model in a folder out."""

import inspect
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ir_measures import Measure

import beir_hybrid
from beir_hybrid.collection import Collection
from beir_hybrid.encoding.encoder import SentenceTransformerEncoder, adapt
from beir_hybrid.encoding.parts import weights_hash
from beir_hybrid.errors import BadData, BadOption, MissingExtra, lookup
from beir_hybrid.evaluation.evaluate import MEASURES
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.files import locked, replacing, replacing_folder, writing
from beir_hybrid.training.audit import Audit
from beir_hybrid.training.lora import add_lora, merge_lora
from beir_hybrid.training.loss import HybridContrastiveLoss
from beir_hybrid.training.pairs import ParallelPairs, join_pairs
from beir_hybrid.training.sampler import HybridBatchSampler
from beir_hybrid.training.strategies import Strategy
from beir_hybrid.training.strategies import strategy as strategy_of
from beir_hybrid.training.watch import BatchAudit

logger = logging.getLogger(__name__)

MODEL, RECORD, BATCHES, CHECKPOINTS = "model", "training.json", "batches.jsonl", "checkpoints"
_LIBRARIES = ("sentence-transformers", "transformers", "torch", "accelerate", "datasets")
# The paper's, where it states them; the rest is the trainer's.
DEFAULTS = {"learning_rate": 3e-5, "weight_decay": 1e-2, "save_total_limit": 2}
OURS = ("output_dir", "batch_sampler", "multi_dataset_batch_sampler", "prompts")


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
    strategy, output = strategy_of(strategy), Path(output)
    check_arguments(arguments, loss or {})
    if (loss or {}).get("consistency"):
        pairs = pairs.with_translations()
    evaluator = None
    if dev is not None:
        # Of checkpoints, by the very prompts that training uses: the model carries them.
        evaluator = HybridEvaluator(dev, measures=measures, primary=primary, name=dev.name)
    elif patience is not None or primary is not None:
        raise BadOption(
            "patience and primary are for a training with dev, a collection to judge on"
        )
    found = SentenceTransformerEncoder(model, **(encoder or {}))
    adapt(found.model, None, max_length, None)
    judged = dev and {"collection": dev.name, "primary": primary, "patience": patience}
    recipe = _recipe(found, pairs, strategy, loss, lora, arguments) | {"dev": judged}
    first = int(os.environ.get("RANK", "0")) == 0  # of several processes, the one that writes
    lock: AbstractContextManager[None] = locked(output / "training") if first else nullcontext()
    with writing(output, "output"), lock:
        if _is_finished(output, recipe, first):
            logger.warning("%s is trained already", output)
        else:
            run = _Run(found, pairs, strategy, output, recipe)
            run.train(loss or {}, evaluator, patience, lora, arguments)
    kept = {name: value for name, value in (encoder or {}).items()
            if name in ("device", "trust_remote_code")}  # fmt: skip
    return SentenceTransformerEncoder(output / MODEL, **kept).model


class _Run:
    """A training with its folder."""

    def __init__(
        self,
        encoder: SentenceTransformerEncoder,
        pairs: ParallelPairs,
        strategy: Strategy,
        output: Path,
        recipe: dict[str, Any],
    ) -> None:
        self.model, self.prompts = encoder.model, encoder.prompts
        self.pairs, self.strategy, self.output, self.recipe = pairs, strategy, output, recipe

    def train(
        self,
        loss: Mapping[str, Any],
        evaluator: HybridEvaluator | None,
        patience: int | None,
        lora: Mapping[str, Any] | None,
        arguments: Mapping[str, Any],
    ) -> None:
        """Train from the last checkpoint on, and save the model and how it came about."""
        from sentence_transformers import SentenceTransformerTrainer
        from transformers import EarlyStoppingCallback, set_seed

        set_seed(int(arguments.get("seed", 42)))  # the trainer's default; adapters are random
        if lora is not None:
            add_lora(self.model, lora)
        if self.prompts["queries"] or self.prompts["passages"]:
            self.model.prompts = {
                **self.model.prompts,
                "query": self.prompts["queries"],
                "document": self.prompts["passages"],
            }
        trainer = SentenceTransformerTrainer(
            model=self.model,
            args=self._arguments(arguments, evaluator),
            train_dataset=self.pairs,
            loss=HybridContrastiveLoss(self.model, **loss),
            evaluator=evaluator,
            callbacks=[EarlyStoppingCallback(patience)] if patience is not None else [],
        )
        writer = trainer.is_world_process_zero()
        if writer:
            _write(self.output / RECORD, {"recipe": self.recipe})
        audit = BatchAudit(trainer, self.output / BATCHES)
        began = time.perf_counter()
        trainer.train(resume_from_checkpoint=_checkpoint(self.output / CHECKPOINTS))
        seconds = time.perf_counter() - began
        if lora is not None:
            merge_lora(self.model)
        if writer:
            self._save(trainer, audit.audit, seconds)
        trainer.accelerator.wait_for_everyone()

    def _arguments(self, arguments: Mapping[str, Any], evaluator: HybridEvaluator | None) -> Any:
        from sentence_transformers import SentenceTransformerTrainingArguments

        columns = [name for name in self.pairs.column_names if name != "label"]
        prompts = {
            name: self.prompts["queries" if name in ("anchor", "translation") else "passages"]
            for name in columns
        }
        given = DEFAULTS | dict(arguments)
        if evaluator is not None:
            given = {
                "eval_strategy": "epoch",
                "save_strategy": given.get("eval_strategy", "epoch"),
                "load_best_model_at_end": True,
                "metric_for_best_model": f"eval_{evaluator.primary_metric}",
                "greater_is_better": evaluator.greater_is_better,
                **({"save_steps": given["eval_steps"]} if "eval_steps" in given else {}),
                **given,
            }
        try:
            return SentenceTransformerTrainingArguments(
                str(self.output / CHECKPOINTS),
                batch_sampler=HybridBatchSampler.of(self.strategy),
                prompts=prompts if any(prompts.values()) else None,
                **given,
            )
        except ImportError as error:
            raise MissingExtra(
                f"training needs pip install 'beir-hybrid[train]': {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise BadOption(f"arguments of the training: {error}") from error

    def _save(self, trainer: Any, audit: Audit, seconds: float) -> None:
        """Save the model, whole or not at all, then say that it is there."""
        state = trainer.state
        record = {
            "recipe": self.recipe,
            "steps": state.global_step,
            "epochs": state.epoch,
            "seconds": round(seconds, 1),  # since the last checkpoint that it went on from
            "best": state.best_model_checkpoint
            and {
                "metric": trainer.args.metric_for_best_model,
                "value": state.best_metric,
                "step": state.best_global_step,
            },
            "audit": audit.sums() | {"left_out": audit.left_out, "coverage": audit.coverage},
            "versions": {
                "beir-hybrid": beir_hybrid.__version__,
                **{name: version(name) for name in _LIBRARIES},
            },
        }
        _write(self.output / RECORD, record)
        # The folder is the last to come: who finds it finds all.
        with replacing_folder(self.output / MODEL) as folder:
            self.model.save_pretrained(str(folder))
            card = folder / "README.md"
            card.write_text(card.read_text("utf-8") + _section(self.recipe, audit), "utf-8")


def check_arguments(arguments: Mapping[str, Any], loss: Mapping[str, Any]) -> None:
    """Raise `BadOption` for what no trainer or loss takes, or `train` itself decides."""
    from sentence_transformers import SentenceTransformerTrainingArguments

    known = dict.fromkeys(inspect.signature(SentenceTransformerTrainingArguments).parameters)
    for name in arguments:
        lookup("training argument", name, known)
        if name in OURS:
            raise BadOption(f"{name} is not to be set: the strategy, prompts and output decide it")
    options = dict.fromkeys(inspect.signature(HybridContrastiveLoss).parameters)
    options.pop("model")
    for name in loss:
        lookup("option of the loss", name, options)


def _recipe(
    encoder: SentenceTransformerEncoder,
    pairs: ParallelPairs,
    strategy: Strategy,
    loss: Mapping[str, Any] | None,
    lora: Mapping[str, Any] | None,
    arguments: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the trained model depends on, as JSON holds it."""
    switch = strategy.code_switch
    written = asdict(replace(strategy, code_switch=None))
    if switch is not None:
        written["code_switch"] = {
            "probability": switch.probability, "on": switch.on,
            "lexicon": switch.lexicon.name, "sha256": switch.lexicon.digest(),
        }  # fmt: skip
    recipe = {
        "model": {
            "name": encoder.name,
            "revision": encoder.revision,
            "weights": weights_hash(encoder.model),
            "max_length": encoder.model.max_seq_length,
            "prompts": encoder.prompts,
        },
        "pairs": {
            "sources": pairs.sources,
            "languages": pairs.languages,
            "negatives": pairs.negatives,
            "sha256": pairs.digest(),
        },
        "strategy": written,
        "loss": dict(loss or {}),
        "lora": None if lora is None else dict(lora),
        "arguments": DEFAULTS | dict(arguments),
    }
    plain: dict[str, Any] = json.loads(json.dumps(recipe, default=str))
    return plain


def _is_finished(output: Path, recipe: dict[str, Any], first: bool) -> bool:
    """Return whether this very training is done; raise `BadOption` if the folder is another's."""
    path = output / RECORD
    if not path.exists():
        # Of several processes the first may have begun to write.
        if first and any((output / name).exists() for name in (MODEL, CHECKPOINTS)):
            raise BadOption(f"{output} holds something else than a training; name another folder")
        return False
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        old = record["recipe"]
        different = sorted(name for name in recipe if recipe[name] != old.get(name))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path} is damaged; remove the folder, or name another") from error
    if different:
        raise BadOption(
            f"{output} is of a training with another {' and '.join(different)}; name another "
            "folder, or remove this one"
        )
    return (output / MODEL).is_dir() and "steps" in record


def _checkpoint(folder: Path) -> str | None:
    """Return the last checkpoint that was written to its end."""
    for path in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        try:  # the trainer writes this file last
            json.loads((path / "trainer_state.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        return str(path)
    return None


def _step(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _section(recipe: dict[str, Any], audit: Audit) -> str:
    """Return what the model card says of the batches."""
    shown = {name: recipe[name] for name in ("strategy", "loss", "pairs")}
    return "\n".join([
        "\n## Hybrid batch training\n",
        (f"Trained with beir-hybrid {beir_hybrid.__version__} "
        "(batches after Elmahdy, Lin and Ahmad, arXiv 2408.10536).\n"),
        "```json", json.dumps(shown, indent=2, ensure_ascii=False), "```\n",
        "What was drawn:\n",
        "```text", *audit.lines(), "```\n",
    ])  # fmt: skip


def _write(path: Path, record: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False), "utf-8")
