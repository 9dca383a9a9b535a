"""What a training depends on, and what is there of it already: a folder in, a decision out."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ir_measures import Measure

from beir_hybrid._version import __version__
from beir_hybrid.batches.audit import BatchCounts
from beir_hybrid.batches.strategies import Strategy
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_numpy
from beir_hybrid.encoding.encoder import SentenceTransformerEncoder
from beir_hybrid.encoding.parts import weights_hash
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file
from beir_hybrid.pairs.labels import numbers_of
from beir_hybrid.pairs.parallel_pairs import ParallelPairs

_LIBRARIES = ("sentence-transformers", "transformers", "torch", "accelerate", "datasets")
MODEL, RECORD, BATCHES, CHECKPOINTS = "model", "training.json", "batches.jsonl", "checkpoints"
ADAPTER = "adapter"  # what LoRA trained, as peft holds it, beside the model it is merged into
STATE = "trainer_state.json"  # of a checkpoint
# Arguments that say what is shown, where and how fast, not what comes out; and secrets.
_FREE = ("dataloader_num_workers", "dataloader_persistent", "dataloader_pin", "dataloader_prefetch",
         "ddp_", "disable_tqdm", "hub_", "log_", "logging_", "project", "push_to_hub", "report_to",
         "run_name", "save_total_limit", "trackio_", "use_cpu")  # fmt: skip


def recipe_of(
    encoder: SentenceTransformerEncoder,
    pairs: ParallelPairs,
    strategy: Strategy,
    *,
    loss: Mapping[str, Any],
    lora: Mapping[str, Any] | None,
    freeze: str | None,
    dev: Mapping[str, Any] | None,
    arguments: Mapping[str, Any],
    processes: int,
) -> dict[str, Any]:
    """Return what the trained model depends on, as JSON holds it."""
    written = asdict(replace(strategy, code_switch=None))
    if (switch := strategy.code_switch) is not None:
        written["code_switch"] = {
            "probability": switch.probability,
            "on": switch.on,
            "lexicon": switch.lexicon.name,
            "sha256": switch.lexicon.digest(),
        }
    recipe = {
        "model": {
            "weights": weights_hash(encoder.model),
            "max_length": str(encoder.model.max_seq_length),
            "prompts": encoder.prompts,
        },
        "pairs": _written(pairs),
        "strategy": written,
        "loss": dict(loss),
        "lora": None if lora is None else dict(lora),
        "freeze": freeze,
        "dev": None if dev is None else dict(dev),
        "arguments": {k: v for k, v in arguments.items() if not k.startswith(_FREE)},
        "processes": processes,
    }
    plain: dict[str, Any] = json.loads(json.dumps(recipe, default=str))
    return plain


def _written(pairs: ParallelPairs) -> dict[str, Any]:
    return {
        "sources": pairs.sources,
        "languages": pairs.languages,
        "negatives": pairs.negatives,
        "sha256": pairs.digest(),
    }


def dev_pairs_of(pairs: ParallelPairs, patience: int | None) -> dict[str, Any]:
    """Return what the choice of a checkpoint by the loss of pairs depends on."""
    return _written(pairs) | {"patience": patience}


def dev_of(
    collection: Collection,
    measures: Iterable[Measure | str],
    primary: str | None,
    patience: int | None,
) -> dict[str, Any]:
    """Return what the choice of a checkpoint by values on a collection depends on."""
    return {
        "collection": collection.name,
        "languages": collection.languages,
        "sha256": digest_of(collection),
        "measures": [str(measure) for measure in measures],
        "primary": primary,
        "patience": patience,
    }


def digest_of(collection: Collection) -> str:
    """Return a SHA-256 of a collection's texts and judgements."""
    found = hashlib.sha256(repr((collection.languages, collection.title_policy)).encode())
    for table in (collection.queries, collection.passages):
        for name in ("title", "text"):
            if name in table.column_names:
                found.update(numbers_of(table[name]).data)
    for name in collection.judgements.column_names:
        found.update(to_numpy(collection.judgements[name]).tobytes())
    return found.hexdigest()


def is_finished(output: Path, recipe: Mapping[str, Any]) -> bool:
    """Return whether this very training is done; raise `BadOption` if the folder is another's."""
    path = output / RECORD
    begun = [name for name in (MODEL, CHECKPOINTS) if _holds_something(output / name)]
    if not begun:  # nothing is lost
        return False
    if not path.exists():
        raise BadOption(f"{output} holds something else than a training; name another folder")
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        different = list(_different(record["recipe"], recipe))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path} is damaged; remove the folder, or name another") from error
    if different:
        raise BadOption(
            f"{output} is of a training with another {' and '.join(different[:3])}; name another "
            "folder, or remove this one"
        )
    return (output / MODEL).is_dir() and "steps" in record


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """Yield the names of what differs, one level down where there are names."""
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            inner = next(key for key in sorted({*a, *b}) if a.get(key) != b.get(key))
            yield f"{name}: {inner}"
        else:
            yield name


def last_checkpoint(folder: Path) -> str | None:
    """Return the last checkpoint that is whole."""
    for path in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        if _is_whole(path):
            return str(path)
    return None


def is_last(checkpoint: str) -> bool:
    """Return whether the trainer was to stop at a checkpoint, with its steps or patience spent."""
    state = json.loads(Path(checkpoint, STATE).read_text("utf-8"))
    control = state.get("stateful_callbacks", {}).get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop"))


def _step(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _is_whole(checkpoint: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:  # the trainer writes this file last
        json.loads((checkpoint / STATE).read_text("utf-8"))
        for weights in checkpoint.rglob("*.safetensors"):
            with safe_open(weights, "np"):  # it compares the file's length with its header
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return True


def write_record(output: Path, record: Mapping[str, Any]) -> None:
    """Write how a model came about."""
    with atomic_file(output / RECORD) as temporary:
        text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
        temporary.write_text(text, "utf-8")


def outcome_of(trainer: Any, audit: BatchCounts) -> dict[str, Any]:
    """Return what came of a training."""
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
        "audit": audit.sums() | {"left_out": audit.left_out, "coverage": audit.coverage},
        "versions": {
            "beir-hybrid": __version__,
            **{name: version(name) for name in _LIBRARIES},
        },
    }


def card_section(recipe: dict[str, Any], audit: BatchCounts) -> str:
    """Return what the model card says of the batches."""
    shown = {name: recipe[name] for name in ("strategy", "loss", "pairs")}
    credit = (
        f"Trained with beir-hybrid {__version__} "
        "(batches after Elmahdy, Lin and Ahmad, arXiv 2408.10536).\n"
    )
    # Names are anyone's: no fence of theirs ends the block.
    blocks = ["\n".join(audit.lines()), json.dumps(shown, indent=2, ensure_ascii=False)]
    drawn, made = (text.replace("```", "~~~") for text in blocks)
    return (
        f"\n## Hybrid batch training\n\n{credit}\n```json\n{made}\n```\n\n"
        f"What was drawn:\n\n```text\n{drawn}\n```\n"
    )
