"""Weights before a training, to average them with those after it (WiSE-FT, arXiv 2109.01903)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def copy_weights(model: "nn.Module") -> dict[str, "Tensor"]:
    """Return copies of a model's weights by name."""
    return {
        name: weights.detach().clone()
        for name, weights in model.state_dict().items()
        if weights.is_floating_point()
    }


def mix_weights(
    model: "nn.Module", start_weights: Mapping[str, "Tensor"], start_share: float
) -> None:
    """Replace each weight w of a model by ``start_share * start + (1 - start_share) * w``."""
    import torch

    # Weights that two layers share stand there twice, and are mixed once.
    names = {weights.data_ptr(): name for name, weights in model.state_dict().items()}
    with torch.no_grad():
        for name, weights in model.state_dict().items():
            if weights.is_floating_point() and names[weights.data_ptr()] == name:
                weights.lerp_(start_weights[name].to(weights.device), start_share)
