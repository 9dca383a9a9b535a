"""Arguments of sentence-transformers' trainer that `bh.train` sets unless users do."""

import sys
from collections.abc import Mapping
from typing import Any

from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.training.dev_set import Criterion

_LOSS_SHARE = 0.02  # of all steps, after which the loss is shown


def list_machine_arguments() -> dict[str, Any]:
    """Return arguments of the trainer that depend on the machine and the terminal."""
    import torch
    from transformers.utils.import_utils import is_in_notebook

    return {
        "restore_callback_states_from_checkpoint": True,  # with the patience that was left
        "dataloader_pin_memory": torch.accelerator.is_available(),  # torch warns without one
        "logging_steps": _LOSS_SHARE,
        "disable_tqdm": not (sys.stderr.isatty() or is_in_notebook()),
    }


def _check_equal_steps(save_steps: object, eval_steps: object) -> None:
    """Raise `BadOption` unless each evaluated checkpoint is saved: any of them may be the best."""
    if save_steps != eval_steps:
        raise BadOption(
            f"save_steps is {save_steps} and eval_steps {eval_steps}: the best checkpoint may be "
            "any that was evaluated, and has to be saved; make them equal"
        )


def add_dev_arguments(
    arguments: Mapping[str, object], criterion: Criterion | None
) -> dict[str, Any]:
    """Add the arguments that choosing the best checkpoint needs, unless they are set already."""
    if criterion is None:
        return dict(arguments)
    strategy = arguments.get("eval_strategy", "steps" if "eval_steps" in arguments else "epoch")
    defaults = {
        "eval_strategy": strategy,
        "save_strategy": strategy,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
    }
    if isinstance(criterion, HybridEvaluator):
        defaults["metric_for_best_model"] = f"eval_{criterion.primary_metric}"
        defaults["greater_is_better"] = criterion.greater_is_better
    elif "per_device_train_batch_size" in arguments:  # the loss depends on the number of negatives
        defaults["per_device_eval_batch_size"] = arguments["per_device_train_batch_size"]
    if "eval_steps" in arguments:
        defaults["save_steps"] = arguments["eval_steps"]
    values = defaults | dict(arguments)
    has_steps = values["save_strategy"] == "steps" and {"save_steps", "eval_steps"} <= {*values}
    if values["load_best_model_at_end"] and has_steps:
        _check_equal_steps(values["save_steps"], values["eval_steps"])
    return values
