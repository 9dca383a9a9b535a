"""Prepare a model for training: freeze a part, find attention layers, cut texts, set prompts."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.model_inputs import reads_images, text_settings, wrap_texts
from beir_hybrid.encoding.model_settings import set_max_length
from beir_hybrid.errors import BadOption, lookup

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Patterns of parameter names as transformers has them: the vision towers of CLIP, SigLIP, AltCLIP,
# VisionTextDualEncoder and similar models; the vectors of tokens of BERT, ModernBERT, XLM-R,
# T5, Qwen, CLIP.
PART_PATTERNS = {
    "vision": r"(?:^|\.)(?:vision_model|vision_tower|visual|visual_projection)\.",
    "vocabulary": r"(?:^|\.)(?:(?:word|tok)_embeddings|embed_tokens|token_embedding|shared|wte)"
    r"\.weight$",
}
_PROMPT_NAMES = ("query", "document", "passage", "corpus")
# Query and value projections of attention, which LoRA adapts by default; Wqkv has both.
_ATTENTION_MODULES = {"q", "q_lin", "q_proj", "query", "v", "v_lin", "v_proj", "value", "Wqkv"}


@contextmanager
def freeze_part(model: "SentenceTransformer", part: str | None) -> Iterator[None]:
    """Keep the weights of a part from being trained; raise `BadOption` if the model has none."""
    weights = []
    if part is not None:
        pattern = lookup("part to freeze", part, PART_PATTERNS)
        weights = [weight for name, weight in model.named_parameters() if re.search(pattern, name)]
        if not weights:
            raise BadOption(
                f"freeze is {part!r}; none of the model's parameters are of this part: no name "
                f"matches {pattern}"
            )
    states = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(False)
        yield
    finally:
        for weight, state in zip(weights, states, strict=True):
            weight.requires_grad_(state)


@contextmanager
def text_preprocessing(model: "SentenceTransformer") -> Iterator[None]:
    """Make a vision-language model read texts in training as in encoding.

    See `as_texts` and `text_settings`. The trainer would pass texts on unchanged, and pad them to
    the longest of a batch.
    """
    if not reads_images(model):
        yield
        return
    instance = cast("Any", model)  # its attribute replaces the method of the class
    instance.preprocess = partial(_preprocess, model, model.preprocess)
    try:
        yield
    finally:
        del instance.preprocess


def _preprocess(
    model: "SentenceTransformer",
    preprocess: Callable[..., dict[str, Any]],
    inputs: Sequence[object],
    **options: Any,
) -> dict[str, Any]:
    texts = [text for text in inputs if isinstance(text, str)]
    if len(texts) < len(inputs):
        return preprocess(inputs, **options)
    settings = {"processing_kwargs": {"text": text_settings(model)}}
    return preprocess(wrap_texts(model, texts), **(settings | options))


def match_attention_layers(model: "SentenceTransformer", layers: object) -> str:
    """Return a regular expression of the attention modules in layers of the text tower.

    `layers` are numbers, or ``"all"``. (peft's ``layers_to_transform`` would take the layers with
    these numbers in every tower.)
    """
    modules_by_layer = _find_attention(model)
    if layers != "all" and (isinstance(layers, str) or not isinstance(layers, Iterable)):
        raise BadOption(f"lora: layers is {layers!r}; it must be a list of numbers, or 'all'")
    numbers = list(modules_by_layer) if isinstance(layers, str) else list(layers)
    unknown = [number for number in numbers if number not in modules_by_layer]
    if unknown or not numbers:
        problem = f"there is no layer {unknown[0]!r}" if unknown else "there are no layers"
        choices = ", ".join(map(str, sorted(modules_by_layer))) or "none with attention"
        raise BadOption(f"lora: {problem}; those of the text tower are {choices}")
    return "|".join(re.escape(name) for number in numbers for name in modules_by_layer[number])


def _find_attention(model: "SentenceTransformer") -> dict[int, list[str]]:
    """Return the names of the text tower's attention modules by the number of their layer."""
    import torch

    modules: dict[int, list[str]] = {}
    body: Any = model.transformers_model
    for name, module in body.named_modules():
        *parents, attribute = name.split(".")
        numbers = [int(part) for part in parents if part.isdecimal()]
        is_attention = attribute in _ATTENTION_MODULES and isinstance(module, torch.nn.Linear)
        if numbers and is_attention and not re.search(PART_PATTERNS["vision"], name):
            modules.setdefault(numbers[0], []).append(name)
    return modules


@contextmanager
def cut_texts(model: "SentenceTransformer", max_length: int | None) -> Iterator[None]:
    """Cut texts at a number of tokens within a block, if there is one; then as before."""
    if max_length is None:
        yield
        return
    own_length = model.max_seq_length
    set_max_length(model, max_length)
    try:
        yield
    finally:
        model.max_seq_length = own_length


def set_prompts(model: "SentenceTransformer", prompts: Mapping[Role, str]) -> None:
    """Give a model these prompts, also where they are empty and it has some by another name."""
    foreign = {name: text for name, text in model.prompts.items() if name not in _PROMPT_NAMES}
    model.prompts = foreign | {"query": prompts["queries"], "document": prompts["passages"]}
