"""The record of a training: its recipe, its cost, and the checksums of its model."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import pyarrow as pa

from beir_hybrid._version import __version__
from beir_hybrid.batches.audit import BatchCounts
from beir_hybrid.batches.strategies import Strategy
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding.fingerprint import describe_parts, hash_weights
from beir_hybrid.encoding.text_sketch import TextSketch
from beir_hybrid.encoding.trained_models import MODEL, RECORD
from beir_hybrid.errors import BadOption
from beir_hybrid.integrity import (
    FileRecord,
    read_sealed_json,
    record_files,
    verify_files,
    write_sealed_json,
)
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.records import from_record
from beir_hybrid.training.model_card import CARD

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformerTrainer

_LIBRARIES = ("sentence-transformers", "transformers", "torch", "accelerate", "datasets")
BATCHES, CHECKPOINTS = "batches.jsonl", "checkpoints"
ADAPTER = "adapter"  # the LoRA weights in peft's format, beside the model they are merged into
# Counts up when the batches of a seed change: a training is not resumed with other batches.
SAMPLER_VERSION = 3
# Arguments that change what is shown, where and how fast, but not the weights; and secrets.
_IRRELEVANT_ARGUMENTS = (
    "dataloader_num_workers", "dataloader_persistent", "dataloader_pin", "dataloader_prefetch",
    "ddp_", "disable_tqdm", "hub_", "log_", "logging_", "project", "push_to_hub", "report_to",
    "run_name", "save_total_limit", "trackio_", "use_cpu",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Everything on which the trained model depends.

    Attributes
    ----------
    lora, freeze, start_share
        See `bh.train`'s ``tuning``.
    dev
        What the choice of a checkpoint depends on; None without a development set.
    arguments
        Of the trainer, as passed to `bh.train`.
    processes
        How many train together.
    max_length
        Where texts are cut in training; None for the model's own length.
    """

    encoder: Any  # as the family opens models
    pairs: ParallelPairs
    strategy: Strategy
    loss: Mapping[str, Any]
    lora: Mapping[str, Any] | None
    freeze: str | None
    dev: Mapping[str, Any] | None
    arguments: Mapping[str, Any]
    processes: int
    max_length: int | None
    start_share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the recipe in the form of ``training.json``."""
        strategy = asdict(replace(self.strategy, code_switch=None))
        if (switch := self.strategy.code_switch) is not None:
            strategy["code_switch"] = {
                "probability": switch.probability,
                "on": switch.on,
                "lexicon": switch.lexicon.name,
                "sha256": switch.lexicon.digest(),
            }
        recipe = {
            "model": {
                "weights": hash_weights(self.encoder.model),
                **describe_parts(self.encoder.model),
                "max_length": str(self.max_length or self.encoder.model.max_seq_length),
                "prompts": self.encoder.prompts,
            },
            "pairs": describe_pairs(self.pairs),
            "strategy": strategy,
            "sampler": SAMPLER_VERSION,
            "loss": dict(self.loss),
            "lora": None if self.lora is None else dict(self.lora),
            "freeze": self.freeze,
            "dev": None if self.dev is None else dict(self.dev),
            "arguments": {
                name: value
                for name, value in self.arguments.items()
                if not name.startswith(_IRRELEVANT_ARGUMENTS)
            },
            "processes": self.processes,
        }
        if self.start_share is not None:
            recipe["start share"] = self.start_share
        # Through JSON and back, so that it compares equal with a recipe read from a file.
        plain: dict[str, Any] = json.loads(json.dumps(recipe, default=str))
        return plain


def describe_pairs(pairs: ParallelPairs) -> dict[str, Any]:
    """Return the sources, languages and checksum of pairs, for a recipe."""
    return {
        "sources": pairs.sources,
        "languages": pairs.languages,
        "negatives": pairs.negatives,
        "columns": pairs.column_names,
        "sha256": pairs.digest(),
    }


def sketch_queries(pairs: ParallelPairs) -> TextSketch:
    """Return a sketch of the queries of pairs, by which evaluation knows them again."""
    return TextSketch.from_columns(list_query_columns(pairs))


def list_query_columns(pairs: ParallelPairs) -> list[pa.ChunkedArray]:
    """List the columns of the texts of queries, one for each language."""
    return [pairs.groups.table[f"query.{lang}"] for lang in pairs.languages if lang != IMAGE]


def is_finished(output: Path, recipe: Mapping[str, object]) -> bool:
    """Return whether a folder has the finished training of a recipe.

    Raises `BadOption` if the folder belongs to another training or to something else, and `BadData`
    if its record or its model is damaged.
    """
    path = output / RECORD
    if not any(_is_filled(output / name) for name in (MODEL, CHECKPOINTS)):
        return False  # nothing would be overwritten
    if not path.exists():
        raise BadOption(f"{output} holds something else than a training; name another folder")
    record = _read_record(path)
    differences = list(_list_differences(record["recipe"], recipe))
    if differences:
        cure = "name another folder, or remove this one"
        if differences == ["model: weights"]:
            cure = f"load the model again if it was an object and trained in place; else {cure}"
        raise BadOption(
            f"{output} is of a training with another {' and '.join(differences[:3])}; {cure}"
        )
    if not (output / MODEL).is_dir() or "files" not in record:
        return False
    start = "the last checkpoint" if _is_filled(output / CHECKPOINTS) else "the start"
    cure = f"remove {output / MODEL} and train again, which goes on from {start}"
    verify_files(output / MODEL, record["files"], cure)
    return True


def list_trained_files(run: Path) -> dict[str, dict[str, FileRecord]]:
    """List the checksums of the models that trainings left below a folder, by their places."""
    return {
        str(path.parent.relative_to(run)): _read_record(path).get("files", {})
        for path in sorted(run.rglob(RECORD))
    }


def _read_record(path: Path) -> "_Record":
    stored_record = read_sealed_json(path, "remove the folder, or name another")
    return from_record(_Record, stored_record, str(path))


class _Record(TypedDict):
    """The part of a record that tells whether the training is finished, and which it is of."""

    recipe: dict[str, Any]
    files: NotRequired[dict[str, FileRecord]]


def record_model(folder: Path) -> dict[str, FileRecord]:
    """Return the checksums of a model's files, but for its card, which people edit."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [str(path.relative_to(folder)) for path in paths]
    return record_files(folder, [name for name in names if name != CARD])


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _list_differences(old: Mapping[str, object], new: Mapping[str, object]) -> Iterable[str]:
    """Yield the keys whose values differ, with the first inner key where values are mappings."""
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            keys = sorted({*a, *b})
            yield f"{name}: {next(key for key in keys if _has_other_value(a, b, key))}"
        else:
            yield name


def write_record(output: Path, record: Mapping[str, object]) -> None:
    """Write ``training.json``."""
    write_sealed_json(output / RECORD, json.loads(json.dumps(record, default=str)))


def summarize_training(trainer: "SentenceTransformerTrainer", audit: BatchCounts) -> dict[str, Any]:
    """Return steps, epochs, best checkpoint, audit and versions, for the record."""
    state = trainer.state
    best = state.best_model_checkpoint and {
        "metric": trainer.args.metric_for_best_model,
        "value": state.best_metric,
        "step": state.best_global_step,
    }
    return {
        "steps": state.global_step,
        "epochs": state.epoch,
        "best": best,
        "audit": audit.to_dict() | {"left_out": audit.left_out, "coverage": audit.coverage},
        "versions": {
            "beir-hybrid": __version__,
            **{name: version(name) for name in _LIBRARIES},
        },
    }


def _has_other_value(old: Mapping[str, object], new: Mapping[str, object], key: str) -> bool:
    """Return whether values differ; a null is another value than none."""
    return (key in old) != (key in new) or old.get(key) != new.get(key)
