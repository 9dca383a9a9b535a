"""The arithmetic of models: what their weights are, and what their products are computed in."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, get_args

from beir_hybrid.errors import BadOption, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from sentence_transformers.base.model import BaseModel

DType = Literal["float32", "float16", "bfloat16", "mixed-bfloat16", "auto"]
EXACT: DType = "float32"
MIXED: DType = "mixed-bfloat16"  # products in bfloat16; weights and all else in float32
AUTO: DType = "auto"  # chosen by the texts of a collection, before anything is encoded for it
# Names that torch has for instructions which multiply bfloat16, of Intel, AMD and ARM.
_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


def check_dtype(dtype: str | None) -> None:
    """Raise `UnknownName`, with the nearest name, for an arithmetic that is none."""
    if dtype is not None:
        lookup("dtype", dtype, dict.fromkeys(get_args(DType)))


def check_chosen(dtype: DType | None, model: str) -> None:
    """Raise `BadOption` if an arithmetic is still to be chosen."""
    if dtype == AUTO:
        raise BadOption(
            f"the dtype of {model} is 'auto', which is chosen by the queries, passages and "
            f"judgements of a collection, and none is at hand: name {EXACT} or {MIXED}"
        )


def convert_weights(model: "BaseModel", dtype: DType | None) -> None:
    """Convert the weights of a model; those of an arithmetic that is still to be chosen stay."""
    import torch

    if dtype not in (None, AUTO):
        model.to(getattr(torch, EXACT if dtype == MIXED else dtype))


def compute_in(dtype: DType | None, device: "torch.device") -> AbstractContextManager[object]:
    """Return a context in which models compute as an arithmetic says."""
    import torch

    if dtype == MIXED:
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def multiplies_bfloat16() -> bool:
    """Return whether the processor has instructions that multiply bfloat16, as far as torch tells.

    Without them torch converts to float32 and back, which is slower than float32 alone.
    """
    import torch

    # Newer than torch 2.6.
    list_capabilities: Callable[[], Mapping[str, Any]] | None
    list_capabilities = getattr(torch.cpu, "get_capabilities", None)
    capabilities = list_capabilities() if list_capabilities else {}
    return any(capabilities.get(name, False) for name in _INSTRUCTIONS)
