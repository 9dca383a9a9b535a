"""Take away the zero gradients of parameters that a batch does not use."""

from typing import Any

from transformers import TrainerCallback


class ZeroGradientFilter(TrainerCallback):
    """Sets gradients that are all zero to None, before the optimizer's step.

    The tower that a batch does not use has such gradients where several processes train, and none
    where one trains; the optimizer would let its weights decay.
    """

    def on_pre_optimizer_step(self, *_args: object, **context: Any) -> None:
        """Remove the gradients that are zero."""
        for parameter in context["model"].parameters():
            if parameter.grad is not None and not parameter.grad.any():
                parameter.grad = None
