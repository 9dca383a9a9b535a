"""A loaded model of sentence-transformers in, what its outputs depend on and its limits out."""

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch.nn import Module

_LIBRARIES = ("sentence-transformers", "transformers", "torch")


def find_long(
    model: Any, texts: Sequence[str | tuple[str, str]], prompt: str = ""
) -> list[int] | None:
    """Return the places of the texts, or pairs, that are longer than a model reads.

    Nothing where that is not known. The prompt goes before the first text of a pair.
    """
    limit, tokenizer = model.max_seq_length, model.tokenizer
    if not limit or not np.isfinite(limit):
        return []
    if not hasattr(tokenizer, "pad_token"):
        return None
    whole = [
        prompt + text if isinstance(text, str) else (prompt + text[0], text[1]) for text in texts
    ]
    # A token is at least a byte, but for rare signs that stand for words and for what the
    # tokenizer itself adds; so most texts need no tokenizer to be cleared.
    suspects = [at for at, text in enumerate(whole) if len("".join(text).encode()) > limit // 2]
    if not suspects:
        return []
    ids = tokenizer([whole[at] for at in suspects], truncation=False, verbose=False)
    found = zip(suspects, ids["input_ids"], strict=True)
    return [at for at, tokens in found if len(tokens) > limit]


def count_tokens(model: Any, texts: Sequence[str], prompt: str = "") -> np.ndarray | None:
    """Return how many tokens of each text a model reads; nothing where that is not known."""
    if not texts or not hasattr(model.tokenizer, "pad_token"):
        return None
    whole = [prompt + text for text in texts]
    ids = model.tokenizer(whole, truncation=False, verbose=False)["input_ids"]
    return np.minimum([len(tokens) for tokens in ids], model.max_seq_length or np.inf)


def positions(model: Any) -> int | None:
    """Return how many tokens a transformer has places for; nothing where it does not say."""
    inside = model.transformers_model
    places = getattr(getattr(inside, "config", None), "max_position_embeddings", None)
    if not isinstance(places, int) or places < 1:
        return None
    for name, module in inside.named_modules():
        # RoBERTa and its kin begin to count behind the padding's own place.
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            return places - module.padding_idx - 1
    return places


def _config(part: Any) -> Any:
    """Return a module's settings, and those of the transformer in it: heads, activation, ..."""
    known = part.get_config_dict() if hasattr(part, "get_config_dict") else {}
    inside = getattr(getattr(part, "model", None), "config", None)
    if inside is not None and hasattr(inside, "to_diff_dict"):
        known = known | {"transformer": inside.to_diff_dict()}
    return json.loads(json.dumps(known, default=str, sort_keys=True))


def _finite(limit: float | None) -> int | None:
    return int(limit) if limit and np.isfinite(limit) else None


def parts_of(model: Any) -> dict[str, Any]:
    """Return what the outputs of any sentence-transformers model depend on: all of its parts."""
    modules = [
        {"class": f"{type(part).__module__}.{type(part).__qualname__}", "config": _config(part)}
        for part in model
    ]
    return {
        "weights": weights_hash(model),
        "tokenizer": _tokenizer_hash(model.tokenizer),
        "modules": modules,
        "max_length": _finite(model.max_seq_length),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def weights_hash(model: "Module") -> str:
    """Hash names, shapes, types and bytes of all parameters and buffers."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # Through bytes, for numpy knows no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tokenizer_hash(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(backend, "to_str"):
        known = json.loads(backend.to_str())
        # The last call's settings, no property of the tokenizer.
        known.pop("truncation", None), known.pop("padding", None)
        text = json.dumps(known, sort_keys=True)
    else:
        text = f"{type(tokenizer)} {sorted(getattr(tokenizer, 'get_vocab', dict)().items())}"
    return hashlib.sha256(text.encode()).hexdigest()
