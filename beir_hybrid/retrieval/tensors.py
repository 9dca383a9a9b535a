"""Tensors of torch from arrays."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def to_tensor(array: np.ndarray, device: str = "cpu") -> "torch.Tensor":
    """Return a tensor of an array; of one that cannot be written, such as a file's, a copy."""
    import torch

    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)
