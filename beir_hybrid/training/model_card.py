"""The card of a trained model: the same bytes whenever the training is the same."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid._version import __version__
from beir_hybrid.batches.audit import BatchCounts
from beir_hybrid.evaluation.evaluator import HybridEvaluator

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformerTrainer

CARD = "README.md"


def fill_card(trainer: "SentenceTransformerTrainer", evaluator: HybridEvaluator | None) -> None:
    """Fill a model's card in from the arguments and the history of its trainer, without seconds.

    sentence-transformers fills it in while it trains, so that the card of a resumed training lacks
    what came before.
    """
    model: Any = trainer.model
    card, state = model.model_card_data, trainer.state
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, trainer.model_card_callback_class):
            callback.on_train_begin(trainer.args, state, trainer.control, model)
    card._training_start_time = None  # noqa: SLF001 - no option leaves the seconds out
    card.best_model_step = state.best_global_step if trainer.args.load_best_model_at_end else None
    card.training_logs = []
    for entry in state.log_history:
        losses = {"loss": "Training Loss", "eval_loss": "Validation Loss"}
        if row := {heading: entry[name] for name, heading in losses.items() if name in entry}:
            _find_row(card.training_logs, entry).update(row)
        if evaluator is not None and f"eval_{evaluator.primary_metric}" in entry:
            _find_row(card.training_logs, entry)
            metrics = {name: entry[f"eval_{name}"] for name in evaluator.list_values()
                       if f"eval_{name}" in entry}  # fmt: skip
            evaluator.store_metrics_in_model_card_data(model, metrics, step=int(entry["step"]))


def _find_row(logs: list[dict[str, Any]], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of the logs for the step of an entry, a new one if it is the first."""
    if not logs or logs[-1]["Step"] != entry["step"]:
        logs.append({"Epoch": entry["epoch"], "Step": entry["step"]})
    return logs[-1]


def add_card_section(folder: Path, recipe: Mapping[str, object], audit: BatchCounts) -> None:
    """Add a section about the batches to the card in a model's folder."""
    card = folder / CARD
    card.write_text(card.read_text("utf-8") + _format_section(recipe, audit), "utf-8")


def _format_section(recipe: Mapping[str, object], audit: BatchCounts) -> str:
    """Return the section about the batches, in Markdown."""
    inputs = {name: recipe[name] for name in ("strategy", "loss", "pairs")}
    credit = (
        f"Trained with beir-hybrid {__version__} "
        "(hybrid batch training: Elmahdy, Lin and Ahmad, arXiv 2408.10536).\n"
    )
    # Names of sources and languages come from users: no fence in them may end the block.
    contents, settings = (
        text.replace("```", "~~~")
        for text in (
            "\n".join(audit.format_lines()),
            json.dumps(inputs, indent=2, ensure_ascii=False),
        )
    )
    return (
        f"\n## Hybrid batch training\n\n{credit}\n```json\n{settings}\n```\n\n"
        f"Contents of the batches:\n\n```text\n{contents}\n```\n"
    )
