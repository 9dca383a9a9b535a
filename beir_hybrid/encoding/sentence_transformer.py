"""Models of sentence-transformers as encoders: from the hub, from a folder, or loaded already."""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.families import check_family, check_object_family
from beir_hybrid.encoding.fingerprint import describe_model
from beir_hybrid.encoding.images import encode_image_batches
from beir_hybrid.encoding.loading import load_model
from beir_hybrid.encoding.model_files import ModelFiles
from beir_hybrid.encoding.model_inputs import (
    count_positions,
    count_tokens,
    find_long_texts,
    reads_images,
    text_settings,
    wrap_texts,
)
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.encoding.presets import BY_MODEL, PRESETS, Preset
from beir_hybrid.errors import BadOption
from beir_hybrid.network import is_offline

if TYPE_CHECKING:
    from PIL.Image import Image
    from sentence_transformers import SentenceTransformer

MODEL_KINDS = (
    "a model is a name on the hub, a folder, a SentenceTransformer, a model of mteb's, or an "
    "object with fingerprint, encode_queries and encode_passages"
)


class SentenceTransformerEncoder(Encoder):
    """A sentence-transformers model as an `Encoder`.

    Parameters
    ----------
    model
        A name on the hub, a folder, or a loaded ``SentenceTransformer``, whose name here is that of
        its class: it may have been trained since it was loaded.
    options
        Fields of `EncoderOptions`.

    Examples
    --------
    >>> encoder = SentenceTransformerEncoder("intfloat/multilingual-e5-small")  # doctest: +SKIP
    >>> encoder.prompts  # doctest: +SKIP
    {'queries': 'query: ', 'passages': 'passage: '}
    """

    def __init__(self, model: "str | Path | SentenceTransformer", **options: object) -> None:
        if is_offline():  # before the hub's client is imported, which reads this once
            os.environ["HF_HUB_OFFLINE"] = "1"
        from sentence_transformers import SentenceTransformer

        self.options = EncoderOptions.parse(options)
        dtype, max_length = self.options.dtype, self.options.max_length
        self.name, self.revision, hub_preset = type(model).__name__, "", Preset()
        self.may_change_device = isinstance(model, str | Path) and self.options.device is None
        self.pool: Any = None  # sentence-transformers' processes on several devices, if running
        if isinstance(model, SentenceTransformer):
            arguments = self.options.loading_arguments()
            if names := [name for name, value in arguments.items() if value]:
                raise BadOption(f"{names[0]} is for models by name; this one is loaded already")
            # A copy where options change the model: others may hold it too.
            self.model = copy.deepcopy(model) if dtype or max_length is not None else model
        elif isinstance(model, str | Path):
            self.name = str(model)
            if not Path(model).is_dir():
                hub_preset = BY_MODEL.get(self.name, hub_preset)
            files = ModelFiles.locate(self.name, self.options.revision, "sentence-transformers")
            check_family(files, ("dense",))
            self.model = load_model(SentenceTransformer, files, self.options)
            self.revision = files.commit
        else:
            check_object_family(model, ("dense",))
            raise BadOption(f"{MODEL_KINDS}; {model!r:.80} is none of them")
        apply_options(self.model, self.options)
        self.truncate_dim = self.options.truncate_dim or self.model.truncate_dim
        similarity = str(self.model.similarity_fn_name or "cosine")
        normalize = self.options.normalize
        self.normalize: bool = similarity != "dot" if normalize is None else normalize
        self.batch_size = self.options.batch_size
        self.prompts = choose_prompts(self.options, read_prompts(self.model), hub_preset)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of queries."""
        return self._encode_texts(self.model.encode_query, texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of passages."""
        return self._encode_texts(self.model.encode_document, texts, "passages")

    @property
    def reads_images(self) -> bool:
        """Whether the model reads images beside texts."""
        return reads_images(self.model)

    def encode_images(self, images: "Sequence[Image]") -> np.ndarray:
        """Return the vectors of images."""
        if not self.reads_images:
            return super().encode_images(images)
        if self.pool:
            vectors: np.ndarray = self.model.encode(
                list(images), pool=self.pool, **self._encode_arguments("")
            )
            return vectors
        return encode_image_batches(
            self.model, images, self.batch_size, self.normalize, self.truncate_dim
        )

    def _encode_arguments(self, prompt: str) -> dict[str, Any]:
        return {
            "prompt": prompt,
            "batch_size": self.batch_size,
            "show_progress_bar": False,
            "convert_to_numpy": True,
            "normalize_embeddings": self.normalize,
            "truncate_dim": self.truncate_dim,
        }

    def _encode_texts(
        self, encode: Callable[..., np.ndarray], texts: Sequence[str], role: Role
    ) -> np.ndarray:
        arguments = self._encode_arguments(self.prompts[role])
        if settings := text_settings(self.model):
            arguments["processing_kwargs"] = {"text": settings}
        inputs = wrap_texts(self.model, texts)
        counts = None if self.pool else count_tokens(self.model, texts, self.prompts[role])
        if counts is None:
            return encode(inputs, pool=self.pool, **arguments)
        # Batches of about equal numbers of tokens: sentence-transformers sorts by characters, and
        # pads a fifth more.
        order = np.argsort(-counts, kind="stable")
        starts = range(0, len(order), self.batch_size)
        batches = [order[start : start + self.batch_size] for start in starts]
        sorted_rows = np.concatenate(
            [encode([inputs[i] for i in batch], **arguments) for batch in batches]
        )
        rows = np.empty_like(sorted_rows)
        rows[order] = sorted_rows
        return rows

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the indexes of the texts that are longer than the model reads."""
        return find_long_texts(self.model, texts, self.prompts[role])

    def copy_to_cpu(self) -> "SentenceTransformerEncoder":
        """Return an encoder with the weights on the CPU, which makes its fingerprint anew."""
        portable = copy.copy(self)
        portable.__dict__.pop("fingerprint", None)
        if self.model.device.type != "cpu":
            portable.model = copy.deepcopy(self.model).to("cpu")
        return portable

    def move_to(self, device: str) -> None:
        """Put the weights on a device."""
        self.model.to(device)

    @cached_property
    def n_parameters(self) -> int:
        """The number of parameters of the model."""
        return sum(weights.numel() for weights in self.model.parameters())

    @cached_property
    def weight_bytes(self) -> int:
        """Memory that the weights take."""
        return sum(tensor.nbytes for tensor in self.model.state_dict().values())

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """Weights, tokenizer, modules, prompts, length, arithmetic, device and versions.

        The batch size is not among them: padding changes the last bits of a vector, but so does
        which texts share its batch, and that depends on what the store holds already.
        """
        return {
            "kind": "sentence-transformers",
            **describe_model(self.model),
            "prompts": dict(self.prompts),
            "normalize": self.normalize,
            "truncate_dim": self.truncate_dim,
        }


def choose_prompts(
    options: EncoderOptions, own_prompts: Preset, hub_preset: Preset
) -> dict[Role, str]:
    """Return the prompts of queries and passages.

    Options come first, then the preset that they name, then the model's own prompts, then the
    preset of exactly the model's name on the hub.
    """
    preset = own_prompts if own_prompts.query or own_prompts.passage else hub_preset
    if options.preset:
        preset = PRESETS[options.preset]
    return {
        "queries": preset.query if options.query_prompt is None else options.query_prompt,
        "passages": preset.passage if options.passage_prompt is None else options.passage_prompt,
    }


def read_prompts(model: "SentenceTransformer") -> Preset:
    """Return the prompts saved with a model, under the names that sentence-transformers tries."""
    prompts = model.prompts or {}
    passage = next(filter(None, map(prompts.get, ("document", "passage", "corpus"))), "")
    return Preset(prompts.get("query") or "", passage)


def apply_options(model: "SentenceTransformer", options: EncoderOptions) -> None:
    """Set a model's arithmetic and maximal length; check the dimensions to keep."""
    import torch

    if options.dtype is not None:
        model.to(getattr(torch, options.dtype))
    if options.max_length is not None:
        set_max_length(model, options.max_length)
    if options.truncate_dim is not None:
        with model.truncate_embeddings(None):
            full_dim = model.get_embedding_dimension()
        if full_dim is not None and options.truncate_dim > full_dim:
            raise BadOption(
                f"truncate_dim is {options.truncate_dim}; the model has only {full_dim} dimensions"
            )


def set_max_length(model: "SentenceTransformer", length: int) -> None:
    """Set the tokens to which a model truncates texts; raise `BadOption` for too many."""
    check_max_length(model, length)
    model.max_seq_length = length


def check_max_length(model: "SentenceTransformer", length: int) -> None:
    """Raise `BadOption` if a model cannot truncate texts to a number of tokens."""
    n_positions = count_positions(model)
    if n_positions is not None and length > n_positions:
        raise BadOption(f"max_length is {length}; the model reads at most {n_positions} tokens")
    try:
        model.max_seq_length = model.max_seq_length  # no change: a model without a limit raises
    except AttributeError as error:
        raise BadOption(f"max_length: a {type(model[0]).__name__} has no limit to set") from error
