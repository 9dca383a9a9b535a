"""A model in, the same with low-rank adapters to train, and merged again, out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beir_hybrid.errors import BadOption, MissingExtra
from beir_hybrid.files import atomic_folder
from beir_hybrid.training.towers import text_layers


def add_lora(model: Any, options: Mapping[str, Any]) -> None:
    """Freeze a model but for adapters.

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
        if both := sorted({"target_modules", "layers_to_transform"} & options.keys()):
            raise BadOption(f"lora: layers and {both[0]} both say what is adapted; leave one")
        _check_body(model)
        options["target_modules"] = text_layers(model, layers)
    try:
        config = LoraConfig(task_type=TaskType.FEATURE_EXTRACTION, **options)
    except (TypeError, ValueError) as error:
        raise BadOption(f"lora: {error}") from error
    try:
        model.add_adapter(config)
    except (AttributeError, ValueError) as error:
        first = type(model[0]).__name__
        raise BadOption(f"lora: a {first} takes no such adapters: {error}") from error


def _check_body(model: Any) -> None:
    if model.transformers_model is None:
        raise BadOption(f"lora: a {type(model[0]).__name__} has no layers to adapt")


def save_lora(model: Any, folder: Path) -> None:
    """Save the adapters alone, as peft does."""
    with atomic_folder(folder) as building:
        model.transformers_model.save_pretrained(str(building))


def merge_lora(model: Any) -> None:
    """Put what the adapters learnt into the weights, and take the adapters away."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    body = model.transformers_model
    layers = [(name, layer) for name, layer in body.named_modules()
              if isinstance(layer, BaseTunerLayer)]  # fmt: skip
    for name, layer in layers:
        layer.merge(safe_merge=True)  # raises where it would make numbers that are none
        parent, _, last = name.rpartition(".")
        setattr(body.get_submodule(parent), last, layer.get_base_layer())
    # As if there had been none: what is saved is a plain model.
    body._hf_peft_config_loaded = False  # noqa: SLF001 - transformers has no other way
    del body.peft_config
