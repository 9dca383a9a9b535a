"""A model of any make in, an `Encoder` out: texts to rows whose inner products are the scores."""

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from beir_hybrid.encoding.presets import BY_MODEL, PRESETS, Preset
from beir_hybrid.errors import BadData, BadOption, UnknownName, lookup
from beir_hybrid.fetch import hub_has_model, is_offline, model_commit

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch.nn import Module

Role = Literal["queries", "passages"]
DType = Literal["float32", "float16", "bfloat16"]


@runtime_checkable
class Encoder(Protocol):
    """What evaluation and indexing need of a model.

    `fingerprint` is JSON that says everything on which the vectors depend: equal fingerprints mean
    equal vectors. An entry ``"prompts"`` maps ``"queries"`` and ``"passages"`` to their prompts;
    where the two are equal, a text that occurs in both roles is encoded once.
    """

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Everything on which the vectors depend, as JSON can hold it."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, dim) rows; their inner products with passages' rows are the scores."""

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, dim) rows."""


class SentenceTransformerEncoder:
    """A sentence-transformers model as an `Encoder`.

    Parameters
    ----------
    model
        A name on the hub, a folder, or a loaded ``SentenceTransformer``.
    query_prompt, passage_prompt
        What goes before the texts. Left out, the model's own prompts count, then `preset`, then
        the preset of exactly this hub name, and otherwise nothing is put before them.
    preset
        A row of `beir_hybrid.encoding.presets.PRESETS`, such as ``"e5"`` or ``"hybrid"``.
    max_length
        Tokens a text is cut to, prompt included; the model's own limit by default.
    dtype
        The arithmetic of the model: ``float32``, ``float16`` or ``bfloat16``.
    normalize
        Whether rows get unit length, so that scores are cosines. By default they do, unless the
        model itself names the dot product as its similarity.
    truncate_dim
        Keep so many dimensions (Matryoshka models).
    """

    def __init__(
        self,
        model: "str | Path | SentenceTransformer",
        *,
        revision: str | None = None,
        query_prompt: str | None = None,
        passage_prompt: str | None = None,
        preset: str | None = None,
        max_length: int | None = None,
        dtype: DType | None = None,
        device: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        batch_size: int = 32,
        trust_remote_code: bool = False,
    ) -> None:
        if is_offline():  # before the hub's client is imported: it has questions of its own
            os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from sentence_transformers import SentenceTransformer

        self.name = "" if isinstance(model, SentenceTransformer) else str(model)
        self.revision = ""
        if isinstance(model, SentenceTransformer):
            if unused := [name for name, value in (("revision", revision), ("device", device),
                                                   ("trust_remote_code", trust_remote_code))
                          if value]:  # fmt: skip
                raise BadOption(f"{unused[0]} is for models by name; this one is loaded already")
            # The model remains as it is for everybody else who holds it.
            self.model = copy.deepcopy(model) if dtype or max_length is not None else model
            self.name = model.model_card_data.base_model or ""
        else:
            self.model, self.revision = _loaded(str(model), revision, device, trust_remote_code)
        if dtype is not None:
            self.model.to(getattr(torch, lookup("dtype", dtype, dict.fromkeys(_DTYPES, dtype))))
        if max_length is not None:
            _limit(self.model, max_length)
        if truncate_dim is not None and truncate_dim < 1:
            raise BadOption(f"truncate_dim is {truncate_dim}; it must be at least 1")
        self.truncate_dim = truncate_dim or self.model.truncate_dim
        similarity = str(self.model.similarity_fn_name or "cosine")
        self.normalize = similarity != "dot" if normalize is None else normalize
        self.batch_size = batch_size
        known, own = _preset(preset, self.name), _own_prompts(self.model)
        chosen = own if own.query or own.passage else known
        self.prompts: dict[Role, str] = {
            "queries": chosen.query if query_prompt is None else query_prompt,
            "passages": chosen.passage if passage_prompt is None else passage_prompt,
        }

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each query."""
        return self._encode(self.model.encode_query, texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each passage."""
        return self._encode(self.model.encode_document, texts, "passages")

    def _encode(self, encode: Any, texts: Sequence[str], role: Role) -> np.ndarray:
        rows: np.ndarray = encode(
            list(texts),
            prompt=self.prompts[role],
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=self.normalize,
            truncate_dim=self.truncate_dim,
        )
        return rows

    def find_cut(self, texts: Sequence[str], role: Role) -> list[int]:
        """Return the places of the texts that are longer than the model reads."""
        limit = self.model.max_seq_length
        tokenizer = self.model.tokenizer
        if not limit or not np.isfinite(limit) or not hasattr(tokenizer, "pad_token"):
            return []
        # A token is at least a byte, but for rare signs that stand for words and for what the
        # tokenizer itself adds; so most texts need no tokenizer to be cleared.
        prompt = self.prompts[role]
        suspects = [
            at for at, text in enumerate(texts) if len((prompt + text).encode()) > limit // 2
        ]
        if not suspects:
            return []
        ids = tokenizer([prompt + texts[at] for at in suspects], truncation=False, verbose=False)
        found = zip(suspects, ids["input_ids"], strict=True)
        return [at for at, tokens in found if len(tokens) > limit]

    @cached_property
    def fingerprint(self) -> Mapping[str, Any]:
        """Weights, tokenizer, modules, prompts, length, arithmetic and versions."""
        return {
            "kind": "sentence-transformers",
            **parts_of(self.model),
            "prompts": dict(self.prompts),
            "normalize": self.normalize,
            "truncate_dim": self.truncate_dim,
        }


_DTYPES = ("float32", "float16", "bfloat16")


def as_encoder(model: Any, **options: Any) -> Encoder:
    """Return an `Encoder` of a model: itself, or an adapter with `options`.

    Takes hub names, folders, ``SentenceTransformer`` objects, mteb models and `Encoder` objects.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(model, Encoder):
        if given:
            raise BadOption(f"options {sorted(given)} do not apply to {type(model).__name__}")
        return model
    if hasattr(model, "mteb_model_meta"):
        from beir_hybrid.encoding.mteb_models import MtebEncoder

        if unknown := sorted(given.keys() - {"normalize", "batch_size", "task_metadata"}):
            raise BadOption(
                f"{unknown[0]} does not apply to {type(model).__name__}, a model of mteb's: "
                "give it to mteb.get_model, or name the model as a string"
            )
        return MtebEncoder(model, **given)
    return SentenceTransformerEncoder(model, **given)


def _loaded(
    name: str,
    revision: str | None,
    device: str | None,
    trust_remote_code: bool,
) -> "tuple[SentenceTransformer, str]":
    """Return a model and, if it is the hub's, its commit."""
    from sentence_transformers import SentenceTransformer

    hub = not Path(name).is_dir()
    if hub:
        if name.count("/") > 1 or name.startswith((".", "/", "~")):
            raise UnknownName(f"there is no folder {name!r}, and a hub name has one slash")
        # sentence-transformers' own models are known by their last names alone.
        name = name if "/" in name else f"sentence-transformers/{name}"
    try:
        model = SentenceTransformer(
            name,
            revision=revision,
            device=device,
            trust_remote_code=trust_remote_code,
            local_files_only=not (hub and hub_has_model(name, revision)),
        )
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadData(f"cannot load the model {name!r}: {first}") from error
    return model, model_commit(name, revision) if hub else ""


def _preset(preset: str | None, name: str) -> Preset:
    return lookup("preset", preset, PRESETS) if preset else BY_MODEL.get(name, Preset())


def _own_prompts(model: "SentenceTransformer") -> Preset:
    own = model.prompts or {}
    return Preset(own.get("query") or "", own.get("document") or own.get("passage") or "")


def _limit(model: "SentenceTransformer", max_length: int) -> None:
    """Let the model read at most so many tokens."""
    if max_length < 1:
        raise BadOption(f"max_length is {max_length}; it must be at least 1")
    try:
        model.max_seq_length = max_length
    except AttributeError as error:
        raise BadOption(f"max_length: a {type(model[0]).__name__} has no limit to set") from error


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
        "versions": {name: version(name) for name in ("sentence-transformers", "transformers")},
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
