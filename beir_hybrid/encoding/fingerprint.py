"""Fingerprints of sentence-transformers models: everything on which their outputs depend."""

import hashlib
import json
from collections.abc import Container, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from beir_hybrid.encoding.model_inputs import (
    find_tokenizer,
    finite_limit,
    reads_images,
    text_settings,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

_LIBRARIES = ("sentence-transformers", "transformers", "torch")
# Facts about an encoder that do not change the meaning of its vectors.
_IRRELEVANT_FACTS = {
    "versions",
    "device",
    "dtype",
    "max_length",
    "max_seq_length",
    "transformers_version",
}


def list_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the facts in which two fingerprints differ, but for those that change no meaning.

    >>> list_differences({"weights": "a", "device": "cpu"}, {"weights": "b", "device": "cuda"})
    ['weights']
    """
    first_facts = to_json_facts(first, _IRRELEVANT_FACTS)
    second_facts = to_json_facts(second, _IRRELEVANT_FACTS)
    keys = {**first_facts, **second_facts}
    return [key for key in keys if first_facts.get(key) != second_facts.get(key)]


def to_json_facts(value: Any, ignore: Container[str] = ()) -> Any:
    """Convert nested facts to JSON types, without the keys to ignore at any depth."""
    if isinstance(value, Mapping):
        keys = [key for key in value if key not in ignore]
        return {str(key): to_json_facts(value[key], ignore) for key in keys}
    if isinstance(value, list | tuple):
        return [to_json_facts(entry, ignore) for entry in value]
    return value


def describe_model(model: Any) -> dict[str, Any]:
    """Return everything on which the outputs of a sentence-transformers model depend."""
    with ThreadPoolExecutor(1) as worker:  # checksums leave other threads the interpreter
        weights = worker.submit(hash_weights, model)
        parts = describe_parts(model)
    return {
        "weights": weights.result(),
        **parts,
        "max_length": finite_limit(model.max_seq_length),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "versions": {name: version(name) for name in _LIBRARIES},
        **(_describe_image_inputs(model) if reads_images(model) else {}),
    }


def describe_parts(model: Any) -> dict[str, Any]:
    """Return the modules of a model with their settings, and a checksum of its tokenizer."""
    return {
        "tokenizer": hash_tokenizer(find_tokenizer(model)),
        "modules": [_describe_module(module) for module in model],
    }


def list_versions(model: Any) -> list[tuple[object, ...]]:
    """List the place, type and number of changes of each tensor of a model, and its adapters.

    Changes through ``tensor.data`` that keep all these are not seen.
    """
    versions: list[tuple[object, ...]] = [
        (id(tensor), tensor.data_ptr(), tensor.dtype, _count_changes(tensor))
        for tensor in model.state_dict(keep_vars=True).values()
    ]
    transformers = (getattr(module, "model", None) for module in model)
    return [
        *versions,
        *(
            tuple(_list_adapters(transformer))
            for transformer in transformers
            if getattr(transformer, "_hf_peft_config_loaded", False)
        ),
    ]


def _count_changes(tensor: "Tensor") -> int:
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001 - there is no other


def _describe_module(module: Any) -> dict[str, Any]:
    """Return the class and settings of a module, and those of its modules for queries, ..."""
    routes = getattr(module, "sub_modules", {}) if type(module).__name__ == "Router" else {}
    described_routes = {
        name: [_describe_route_module(part) for part in parts] for name, parts in routes.items()
    }
    return {
        "class": f"{type(module).__module__}.{type(module).__qualname__}",
        "config": _read_config(module),
        **({"routes": described_routes} if described_routes else {}),
    }


def _describe_route_module(module: Any) -> dict[str, Any]:
    """Return the settings of a module of a route, with its own tokenizer and limit."""
    tokenizer = getattr(module, "tokenizer", None)
    facts = _describe_module(module)
    if tokenizer is not None:
        facts["tokenizer"] = hash_tokenizer(tokenizer)
    if limit := finite_limit(getattr(module, "max_seq_length", None)):
        facts["max_length"] = limit
    return facts


def _read_config(module: object) -> Any:
    """Return the settings of a module and of its transformer: heads, activation, ..."""
    config = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
    transformer: Any = getattr(module, "model", None)
    transformer_config = getattr(transformer, "config", None)
    if transformer_config is not None and hasattr(transformer_config, "to_diff_dict"):
        config = config | {"transformer": transformer_config.to_diff_dict()}
    if getattr(transformer, "_hf_peft_config_loaded", False):
        config = config | {"adapters": _list_adapters(transformer)}
    # A SPLADE's pooling learns its dimensions from the first text that it sees.
    if type(module).__name__ == "SpladePooling":
        config = {name: value for name, value in config.items() if name != "embedding_dimension"}
    return to_plain_json(config)


def _list_adapters(transformer: Any) -> list[str]:
    """List the adapters of a transformer that its outputs depend on."""
    is_off = any(getattr(part, "_disable_adapters", False) for part in transformer.modules())
    return [] if is_off else list(transformer.active_adapters())


def _describe_image_inputs(model: Any) -> dict[str, Any]:
    """Return the settings of image preprocessing, on which outputs depend too."""
    processor = getattr(model.processor, "image_processor", model.processor)
    config = processor.to_dict() if hasattr(processor, "to_dict") else {}
    return {
        "pictures": to_plain_json(
            {"class": type(processor).__qualname__, "config": config, "pillow": version("pillow")}
        ),
        "texts": text_settings(model),
    }


def to_plain_json(value: object) -> Any:
    """Convert a value to plain JSON; other objects become their text."""
    return json.loads(json.dumps(value, default=str, sort_keys=True))


def hash_weights(model: "Module") -> str:
    """Hash names, shapes, types and bytes of all parameters and buffers that outputs depend on."""
    import torch

    digest, unread = hashlib.sha256(), tuple(list_unread_modules(model))
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith(unread):
            continue
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # As bytes, because numpy has no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def list_unread_modules(model: Any) -> list[str]:
    """List the modules of a model whose outputs nothing reads: poolers of pooled token vectors.

    Returns
    -------
        Prefixes of the names of their weights.
    """
    from sentence_transformers.base.modules import Transformer

    return [
        f"{prefix}.model.pooler."
        for prefix, module in model.named_modules()
        if isinstance(module, Transformer)
        and hasattr(module.model, "pooler")
        and all(_reads_tokens(settings) for settings in module.modality_config.values())
    ]


def _reads_tokens(settings: Any) -> bool:
    """Return whether a transformer is read by its vectors of tokens."""
    return bool(settings["method_output_name"] == "last_hidden_state")


def hash_tokenizer(tokenizer: object) -> str:
    """Hash everything on which the tokens of a text depend."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(backend, "to_str"):
        state = json.loads(backend.to_str())
        # Settings of the last call, which are no property of the tokenizer.
        state.pop("truncation", None), state.pop("padding", None)
        for name in ("truncation_side", "padding_side"):
            if (side := getattr(tokenizer, name, "right")) != "right":
                state[name] = side
        text = json.dumps(state, sort_keys=True)
    else:
        vocabulary: Any = getattr(tokenizer, "get_vocab", dict)()
        entries = vocabulary.items() if isinstance(vocabulary, Mapping) else enumerate(vocabulary)
        text = f"{type(tokenizer)} {sorted(entries)}"
    return hashlib.sha256(text.encode()).hexdigest()
