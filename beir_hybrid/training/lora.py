"""LoRA: add low-rank adapters to a model, save them, and merge them into its weights."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid.errors import BadOption, MissingExtra
from beir_hybrid.files import atomic_folder
from beir_hybrid.training.towers import match_attention_layers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def add_lora(model: "SentenceTransformer", options: Mapping[str, object]) -> None:
    """Add adapters to a model and freeze all other weights.

    `options` are those of peft's ``LoraConfig``, and ``layers``: numbers of layers of the text
    tower, or ``"all"`` of them, whose attention is adapted.
    """
    try:
        from peft import LoraConfig, TaskType
    except ImportError as error:
        raise MissingExtra("LoRA needs peft: pip install 'beir-hybrid[train]'") from error
    if options.get("modules_to_save"):
        raise BadOption("lora: modules_to_save is not merged; leave it out, or train without LoRA")
    options = dict(options)
    if (layers := options.pop("layers", None)) is not None:
        if conflicts := sorted({"target_modules", "layers_to_transform"} & options.keys()):
            raise BadOption(f"lora: layers and {conflicts[0]} both name modules; leave one out")
        if model.transformers_model is None:
            raise BadOption(f"lora: a {type(model[0]).__name__} has no layers to adapt")
        options["target_modules"] = match_attention_layers(model, layers)
    arguments: dict[str, Any] = options  # checked by peft
    try:
        config = LoraConfig(task_type=TaskType.FEATURE_EXTRACTION, **arguments)
    except (TypeError, ValueError) as error:
        raise BadOption(f"lora: {error}") from error
    try:
        model.add_adapter(config)
    except (AttributeError, ValueError) as error:
        kind = type(model[0]).__name__
        raise BadOption(f"lora: a {kind} takes no such adapters: {error}") from error


def save_lora(model: "SentenceTransformer", folder: Path) -> None:
    """Save the adapters alone, in peft's format."""
    body: Any = model.transformers_model
    shutil.rmtree(folder, ignore_errors=True)  # of a training killed before its model was saved
    with atomic_folder(folder) as temporary:
        body.save_pretrained(str(temporary))


def merge_lora(model: "SentenceTransformer") -> None:
    """Add the adapters' products to the weights, and remove the adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    body: Any = model.transformers_model
    layers = [(name, layer) for name, layer in body.named_modules()
              if isinstance(layer, BaseTunerLayer)]  # fmt: skip
    for name, layer in layers:
        layer.merge(safe_merge=True)  # raises if a merged weight is not finite
        parent, _, attribute = name.rpartition(".")
        setattr(body.get_submodule(parent), attribute, layer.get_base_layer())
    # The model is saved as if it had never had adapters.
    body._hf_peft_config_loaded = False  # noqa: SLF001 - transformers has no other way
    del body.peft_config
