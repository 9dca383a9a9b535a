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
_ENDLESS = 10**29  # what tokenizers of transformers say that name no limit is larger
_SIGLIP = ("siglip", "siglip2")


def sees(model: Any) -> bool:
    """Tell whether a model of sentence-transformers reads pictures."""
    return "image" in getattr(model, "modalities", ())


def as_texts(model: Any, texts: Sequence[str]) -> list[Any]:
    """Return texts as a model takes them for nothing else.

    Where a model reads more than texts, sentence-transformers takes a text that names a file which
    is there, or looks like the address of one, for that file.
    """
    only = set(getattr(model, "modalities", ())) <= {"text"}
    return list(texts) if only else [{"text": text} for text in texts]


def text_settings(model: Any) -> dict[str, Any]:
    """Return how a model of texts and images wants its texts cut and padded.

    They are ``processing_kwargs["text"]`` of sentence-transformers. SigLIP was trained on texts
    padded to its full length and reads the padding: padded to the longest text of a batch, its
    vectors depend on the batch. And no model of both is cut to its places where its tokenizer names
    no limit.
    """
    if not sees(model):
        return {}
    own, places = _finite(model.max_seq_length), positions(model)
    limit = min(filter(None, (own, places)), default=None)
    pads = limit and getattr(model.config, "model_type", "") in _SIGLIP
    padding = {"padding": "max_length"} if pads else {}
    return padding | ({"max_length": limit} if pads or limit != own else {})


def _limit(model: Any) -> int | None:
    """Return how many tokens of a text a model reads; nothing where that has no bounds."""
    return text_settings(model).get("max_length") or _finite(model.max_seq_length)


def _tokenizer(model: Any) -> Any:
    """Return what makes tokens of texts, which may be a part of what prepares pictures too."""
    own = model.tokenizer
    return own if hasattr(own, "pad_token") else getattr(own, "tokenizer", own)


def find_long(
    model: Any, texts: Sequence[str | tuple[str, str]], prompt: str = ""
) -> list[int] | None:
    """Return the places of the texts, or pairs, that are longer than a model reads.

    Nothing where that is not known. The prompt goes before the first text of a pair.
    """
    limit, tokenizer = _limit(model), _tokenizer(model)
    if not limit:
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
    tokenizer = _tokenizer(model)
    if not texts or not hasattr(tokenizer, "pad_token"):
        return None
    whole = [prompt + text for text in texts]
    ids = tokenizer(whole, truncation=False, verbose=False)["input_ids"]
    return np.minimum([len(tokens) for tokens in ids], _limit(model) or np.inf)


def positions(model: Any) -> int | None:
    """Return how many tokens a transformer has places for; nothing where it does not say."""
    inside = model.transformers_model
    config: Any = getattr(inside, "config", None)
    if hasattr(config, "get_text_config"):
        config = config.get_text_config()  # the config itself where the model is of texts alone
    places = getattr(config, "max_position_embeddings", None)
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
    return int(limit) if limit and limit < _ENDLESS else None


def parts_of(model: Any) -> dict[str, Any]:
    """Return what the outputs of any sentence-transformers model depend on: all of its parts."""
    modules = [
        {"class": f"{type(part).__module__}.{type(part).__qualname__}", "config": _config(part)}
        for part in model
    ]
    return {
        "weights": weights_hash(model),
        "tokenizer": tokenizer_hash(_tokenizer(model)),
        "modules": modules,
        "max_length": _finite(model.max_seq_length),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "versions": {name: version(name) for name in _LIBRARIES},
        **(_seeing(model) if sees(model) else {}),
    }


def _seeing(model: Any) -> dict[str, Any]:
    """Return what the outputs of a model of texts and images depend on besides."""
    prepares = getattr(model.processor, "image_processor", model.processor)
    known = prepares.to_dict() if hasattr(prepares, "to_dict") else {}
    about = {"class": type(prepares).__qualname__, "config": known, "pillow": version("pillow")}
    return {
        "pictures": json.loads(json.dumps(about, default=str, sort_keys=True)),
        "texts": text_settings(model),
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


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash what a tokenizer makes of texts."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(backend, "to_str"):
        known = json.loads(backend.to_str())
        # The last call's settings, no property of the tokenizer.
        known.pop("truncation", None), known.pop("padding", None)
        text = json.dumps(known, sort_keys=True)
    else:
        text = f"{type(tokenizer)} {sorted(getattr(tokenizer, 'get_vocab', dict)().items())}"
    return hashlib.sha256(text.encode()).hexdigest()
