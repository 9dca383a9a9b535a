"""Inputs of a sentence-transformers model: whether it reads images, and how many tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_NO_LIMIT = 10**29  # tokenizers of transformers name a larger number if they have no limit
_SIGLIP = ("siglip", "siglip2")


def reads_images(model: object) -> bool:
    """Return True if a model of sentence-transformers reads images."""
    return "image" in getattr(model, "modalities", ())


def has_routes(model: Any) -> bool:
    """Return True if a model of sentence-transformers has modules of its own for queries."""
    return any(type(module).__name__ == "Router" for module in model)


def wrap_texts(model: object, texts: Sequence[str]) -> list[str | dict[str, str]]:
    """Return texts in a form that the model takes for nothing but texts.

    If a model reads more than texts, sentence-transformers takes a text that is the path of a file,
    or looks like a URL, for that file.
    """
    is_text_model = set(getattr(model, "modalities", ())) <= {"text"}
    return list(texts) if is_text_model else [{"text": text} for text in texts]


def text_settings(model: Any) -> dict[str, Any]:
    """Find the truncation and padding of texts that a model of texts and images needs.

    These are ``processing_kwargs["text"]`` of sentence-transformers. SigLIP was trained on texts
    padded to its full length and reads the padding: padded to the longest text of a batch, its
    vectors would depend on the batch. And sentence-transformers truncates no model of both to its
    positions if its tokenizer names no limit.
    """
    if not reads_images(model):
        return {}
    own_limit, n_positions = finite_limit(model.max_seq_length), count_positions(model)
    limit = min(filter(None, (own_limit, n_positions)), default=None)
    pads_fully = limit and getattr(model.config, "model_type", "") in _SIGLIP
    padding = {"padding": "max_length"} if pads_fully else {}
    return padding | ({"max_length": limit} if pads_fully or limit != own_limit else {})


def finite_limit(limit: float | None) -> int | None:
    """Return a limit of tokens; None for the huge numbers that stand for no limit."""
    return int(limit) if limit and limit < _NO_LIMIT else None


def find_tokenizer(model: Any) -> Any:
    """Return the tokenizer of a model, which may be part of a processor of texts and images."""
    tokenizer = model.tokenizer
    if hasattr(tokenizer, "pad_token"):
        return tokenizer
    return getattr(tokenizer, "tokenizer", tokenizer)


def find_long_texts(
    model: Any, texts: Sequence[str | tuple[str, str]], prompt: str = ""
) -> list[int] | None:
    """Return the indexes of the texts, or pairs of texts, that are longer than a model reads.

    None if that is not known. The prompt goes before the first text of a pair.
    """
    limit, tokenizer = _token_limit(model), find_tokenizer(model)
    if not limit:
        return []
    if not hasattr(tokenizer, "pad_token"):
        return None
    inputs = [
        prompt + text if isinstance(text, str) else (prompt + text[0], text[1]) for text in texts
    ]
    # A token is at least a byte, except for rare signs that stand for words and for the tokens that
    # the tokenizer itself adds; so most texts need no tokenizer to be known as short.
    suspects = [i for i, text in enumerate(inputs) if len("".join(text).encode()) > limit // 2]
    if not suspects:
        return []
    ids = tokenizer([inputs[i] for i in suspects], truncation=False, verbose=False)["input_ids"]
    return [i for i, tokens in zip(suspects, ids, strict=True) if len(tokens) > limit]


def count_tokens(model: Any, texts: Sequence[str], prompt: str = "") -> np.ndarray | None:
    """Count the tokens that a model reads of each text; None if that is not known."""
    tokenizer = find_tokenizer(model)
    if not texts or not hasattr(tokenizer, "pad_token"):
        return None
    inputs = [prompt + text for text in texts]
    ids = tokenizer(inputs, truncation=False, verbose=False)["input_ids"]
    return np.minimum([len(tokens) for tokens in ids], _token_limit(model) or np.inf)


def _token_limit(model: Any) -> int | None:
    """Return the number of tokens that a model reads of a text; None if there is no limit."""
    settings: Mapping[str, Any] = text_settings(model)
    return settings.get("max_length") or finite_limit(model.max_seq_length)


def count_positions(model: Any) -> int | None:
    """Return the number of positions of a transformer; None if that is not known."""
    transformer = model.transformers_model
    config: Any = getattr(transformer, "config", None)
    if hasattr(config, "get_text_config"):
        config = config.get_text_config()  # the same config if the model reads texts only
    n_positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(n_positions, int) or n_positions < 1:
        return None
    for name, module in transformer.named_modules():
        # RoBERTa and its relatives count from the position after that of the padding.
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            return n_positions - module.padding_idx - 1
    return n_positions
