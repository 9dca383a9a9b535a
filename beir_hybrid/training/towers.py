"""A model that sees in, the same prepared for training out: towers frozen, texts read as texts."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from beir_hybrid.encoding.parts import as_texts, sees, text_settings
from beir_hybrid.errors import BadOption, lookup

# What names of parameters have between their dots, as transformers calls the parts of CLIP,
# SigLIP, AltCLIP, VisionTextDualEncoder and their kin.
TOWERS = {"vision": r"(?:^|\.)(?:vision_model|vision_tower|visual|visual_projection)\."}
# Queries and values of attention, which LoRA changes unless it is told what else.
_ATTENTION = {"q", "q_lin", "q_proj", "query", "v", "v_lin", "v_proj", "value"}


@contextmanager
def frozen(model: Any, tower: str | None) -> Iterator[None]:
    """Keep the weights of a tower as they are meanwhile; raise `BadOption` if there is none."""
    found: list[Any] = []
    if tower is not None:
        pattern = lookup("tower to freeze", tower, TOWERS)
        found = [one for name, one in model.named_parameters() if re.search(pattern, name)]
        if not found:
            raise BadOption(
                f"freeze is {tower!r}; none of the model's parameters are of such a tower: their "
                f"names have none of {pattern}"
            )
    before = [one.requires_grad for one in found]
    try:
        for one in found:
            one.requires_grad_(False)
        yield
    finally:
        for one, needed in zip(found, before, strict=True):
            one.requires_grad_(needed)


@contextmanager
def reading(model: Any) -> Iterator[None]:
    """Let a model that sees take texts as encoding does: see `as_texts` and `text_settings`.

    The trainer hands it texts as they are, and pads them to the longest of a batch.
    """
    if not sees(model):
        yield
        return
    model.preprocess = partial(_preprocess, model, model.preprocess)
    try:
        yield
    finally:
        del model.preprocess  # its class has it


def _preprocess(
    model: Any, preprocess: Callable[..., dict[str, Any]], inputs: Sequence[Any], **options: Any
) -> dict[str, Any]:
    if not all(isinstance(one, str) for one in inputs):
        return preprocess(inputs, **options)
    settings = {"processing_kwargs": {"text": text_settings(model)}}
    return preprocess(as_texts(model, inputs), **(settings | options))


def text_layers(model: Any, layers: Iterable[int] | str) -> str:
    """Return a regular expression for attention in layers of the text tower, or in all of them.

    peft's ``layers_to_transform`` takes the layers with these numbers of every tower.
    """
    import torch

    by_layer: dict[int, list[str]] = {}
    for name, module in model.transformers_model.named_modules():
        *where, last = name.split(".")
        numbers = [int(part) for part in where if part.isdecimal()]
        seen = re.search(TOWERS["vision"], name)
        if numbers and last in _ATTENTION and not seen and isinstance(module, torch.nn.Linear):
            by_layer.setdefault(numbers[0], []).append(name)
    if isinstance(layers, str) and layers != "all":
        raise BadOption(f"lora: layers is {layers!r}; it must be a list of numbers, or 'all'")
    chosen = list(by_layer) if isinstance(layers, str) else list(layers)
    if not chosen or (wrong := [one for one in chosen if one not in by_layer]):
        there = ", ".join(map(str, sorted(by_layer))) or "none that attention is found in"
        what = f"there is no layer {wrong[0]!r}" if chosen else "there are no layers"
        raise BadOption(f"lora: {what}; those of the text tower are {there}")
    return "|".join(re.escape(name) for one in chosen for name in by_layer[one])
