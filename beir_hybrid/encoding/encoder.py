"""A model of any make in, an `Encoder` out: texts and pictures to rows; products are scores."""

import copy
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from beir_hybrid.encoding.images import rows_of
from beir_hybrid.encoding.options import EncoderOptions, check_option_names
from beir_hybrid.encoding.parts import (
    as_texts,
    count_tokens,
    find_long,
    parts_of,
    positions,
    sees,
    text_settings,
)
from beir_hybrid.encoding.presets import BY_MODEL, PRESETS, Preset
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.hub import can_load_from_hub, find_cached_commit
from beir_hybrid.network import is_offline
from beir_hybrid.progress import hide_progress_bars

if TYPE_CHECKING:
    from PIL.Image import Image
    from sentence_transformers import SentenceTransformer

Role = Literal["queries", "passages", "images"]


@runtime_checkable
class Encoder(Protocol):
    """What evaluation and indexing need of a model.

    `fingerprint` is JSON that says everything on which the vectors depend: equal fingerprints mean
    equal vectors. An entry ``"prompts"`` maps ``"queries"`` and ``"passages"`` to their prompts;
    where the two are equal, a text that occurs in both roles is encoded once.

    Five more attributes are used where they are there: ``name`` and ``n_parameters``, for results;
    ``in_flight``, how many texts it works on at once where several threads call it;
    ``find_cut(texts, role) -> list[int] | None``, the places of those texts that are longer than
    the model reads, with `role` ``"queries"`` or ``"passages"``: without it, or where it returns
    nothing, results say that the number of cut texts is not known; and
    ``encode_images(pictures) -> ndarray``, rows of some pictures (``PIL.Image``, RGB) whose inner
    products with rows of texts are scores too.

    Examples
    --------
    >>> class Letters:
    ...     fingerprint = {"kind": "how many times a, b and c occur"}
    ...     def encode_queries(self, texts):
    ...         return np.array([[text.count(c) for c in "abc"] for text in texts], np.float32)
    ...     encode_passages = encode_queries
    >>> isinstance(Letters(), Encoder)
    True
    >>> Letters().encode_queries(["abacus"]).tolist()
    [[2.0, 1.0, 1.0]]
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
        if is_offline():  # before the hub's client is imported: it has questions of its own
            os.environ["HF_HUB_OFFLINE"] = "1"
        from sentence_transformers import SentenceTransformer

        self.options = EncoderOptions.parse(options)
        dtype, max_length = self.options.dtype, self.options.max_length
        self.name, self.revision, automatic = type(model).__name__, "", Preset()
        # Whether any device would do.
        self.anywhere = isinstance(model, str | Path) and self.options.device is None
        self.pool: Any = None  # processes on several devices, while they are at work
        self.asked: tuple[str | Path, dict[str, Any]] | None = None  # for, in `as_encoder`
        if isinstance(model, SentenceTransformer):
            arguments = self.options.loading_arguments()
            if names := [name for name, value in arguments.items() if value]:
                raise BadOption(f"{names[0]} is for models by name; this one is loaded already")
            # The model remains as it is for everybody else who holds it.
            self.model = copy.deepcopy(model) if dtype or max_length is not None else model
        elif isinstance(model, str | Path):
            self.name = str(model)
            if not Path(model).is_dir():
                automatic = BY_MODEL.get(self.name, automatic)
            self.model, self.revision = _loaded(self.name, self.options)
        else:
            raise BadOption(f"{_MODELS}; {model!r:.80} is none of them")
        adapt(self.model, dtype, max_length, self.options.truncate_dim)
        self.truncate_dim = self.options.truncate_dim or self.model.truncate_dim
        similarity = str(self.model.similarity_fn_name or "cosine")
        normalize = self.options.normalize
        self.normalize = similarity != "dot" if normalize is None else normalize
        self.batch_size = self.options.batch_size
        self.prompts = choose_prompts(self.options, own_prompts(self.model), automatic)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each query."""
        return self._encode(self.model.encode_query, texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each passage."""
        return self._encode(self.model.encode_document, texts, "passages")

    @property
    def encode_images(self) -> "Callable[[Sequence[Image]], np.ndarray]":
        """What returns a row for each picture; a model that reads none lacks it."""
        if not sees(self.model):
            raise AttributeError(f"{self.name} reads no pictures", name="encode_images", obj=self)
        return self._encode_images

    def _encode_images(self, pictures: "Sequence[Image]") -> np.ndarray:
        options = self._options("")
        if self.pool:
            whole: np.ndarray = self.model.encode(list(pictures), pool=self.pool, **options)
            return whole
        return rows_of(self.model, pictures, self.batch_size, self.normalize, self.truncate_dim)

    def _options(self, prompt: str) -> dict[str, Any]:
        return {
            "prompt": prompt,
            "batch_size": self.batch_size,
            "show_progress_bar": False,
            "convert_to_numpy": True,
            "normalize_embeddings": self.normalize,
            "truncate_dim": self.truncate_dim,
        }

    def _encode(self, encode: Any, texts: Sequence[str], role: Role) -> np.ndarray:
        options = self._options(self.prompts[role])
        if settings := text_settings(self.model):
            options["processing_kwargs"] = {"text": settings}
        taken = as_texts(self.model, texts)
        counts = None if self.pool else count_tokens(self.model, texts, self.prompts[role])
        if counts is None:
            whole: np.ndarray = encode(taken, pool=self.pool, **options)
            return whole
        # By tokens, where sentence-transformers goes by characters and pads a fifth more.
        order = np.argsort(-counts, kind="stable")
        batches = [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)]
        found = np.concatenate([encode([taken[i] for i in some], **options) for some in batches])
        rows = np.empty_like(found)
        rows[order] = found
        return rows

    def find_cut(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the places of the texts that are longer than the model reads."""
        return find_long(self.model, texts, self.prompts[role])

    @property
    def n_parameters(self) -> int:
        """How many parameters the model has."""
        return sum(weights.numel() for weights in self.model.parameters())

    @cached_property
    def fingerprint(self) -> Mapping[str, Any]:
        """Weights, tokenizer, modules, prompts, length, arithmetic, device and versions.

        Not the batch size: padding changes the last bits of a row, but so does which texts share
        its batch, and that changes with every text the store has already.
        """
        return {
            "kind": "sentence-transformers",
            **parts_of(self.model),
            "prompts": dict(self.prompts),
            "normalize": self.normalize,
            "truncate_dim": self.truncate_dim,
        }


_MODELS = (
    "a model is a name on the hub, a folder, a SentenceTransformer, a model of mteb's, or an "
    "object with fingerprint, encode_queries and encode_passages"
)


def as_encoder(model: Any, **options: object) -> Encoder:
    """Return an `Encoder` of a model: itself, or an adapter with `options`.

    Takes hub names, folders, ``SentenceTransformer`` objects, mteb models and `Encoder` objects.
    The options are those of `EncoderOptions`; None stands for the default.
    """
    values = {name: value for name, value in options.items() if value is not None}
    if isinstance(model, type):
        raise BadOption(f"{model.__name__} is a class; make an object of it")
    if isinstance(model, Encoder):
        if values:
            raise BadOption(f"options {sorted(values)} do not apply to {type(model).__name__}")
        return model
    if hasattr(model, "mteb_model_meta"):
        from beir_hybrid.encoding.mteb_models import MtebEncoder

        allowed = inspect.signature(MtebEncoder).parameters.keys() - {"model"}
        check_option_names(sorted(values.keys() - allowed))
        if unknown := sorted(values.keys() - allowed):
            raise BadOption(
                f"{unknown[0]} does not apply to {type(model).__name__}, a model of mteb's: "
                "give it to mteb.get_model, or name the model as a string"
            )
        mteb_options: dict[str, Any] = values
        return MtebEncoder(model, **mteb_options)
    check_option_names(options)
    encoder = SentenceTransformerEncoder(model, **values)
    if isinstance(model, str | Path):
        encoder.asked = model, values
    return encoder


def choose_prompts(options: EncoderOptions, own: Preset, automatic: Preset) -> "dict[Role, str]":
    """Return the prompts of queries and passages: the first of options, preset, model's own.

    `automatic` is the preset of exactly the model's name on the hub.
    """
    preset = own if own.query or own.passage else automatic
    if options.preset:
        preset = PRESETS[options.preset]
    return {
        "queries": preset.query if options.query_prompt is None else options.query_prompt,
        "passages": preset.passage if options.passage_prompt is None else options.passage_prompt,
    }


def _loaded(name: str, options: EncoderOptions) -> "tuple[SentenceTransformer, str]":
    """Return a model and, if it is the hub's, its commit."""
    from sentence_transformers import SentenceTransformer

    revision = options.revision
    _check_device(options.device)
    hub = not Path(name).is_dir()
    if not hub and revision is not None:
        raise BadOption(f"revision is {revision!r}; it is of the hub, and {name} is a folder")
    if hub:
        if name.count("/") > 1 or name.startswith((".", "/", "~")):
            raise UnknownName(f"there is no folder {name!r}, and a hub name has one slash")
        # sentence-transformers' own models are known by their last names alone.
        name = name if "/" in name else f"sentence-transformers/{name}"
    arguments: dict[str, Any] = options.loading_arguments()
    try:
        there = hub and can_load_from_hub(name, revision)
        with hide_progress_bars():
            model = SentenceTransformer(name, local_files_only=not there, **arguments)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadData(f"cannot load the model {name!r}: {first}") from error
    return model, find_cached_commit(name, revision) if hub else ""


def own_prompts(model: "SentenceTransformer") -> Preset:
    """Return the prompts that a model brings along, by the names sentence-transformers tries."""
    own = model.prompts or {}
    passage = next(filter(None, map(own.get, ("document", "passage", "corpus"))), "")
    return Preset(own.get("query") or "", passage)


def _check_device(device: str | None) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        usable = f"cpu{' or cuda' if torch.cuda.is_available() else ''}"
        raise BadOption(
            f"device is {device!r}, which torch does not have here; leave it out, or say {usable}"
        ) from error


def adapt(
    model: "SentenceTransformer", dtype: str | None, length: int | None, dim: int | None
) -> None:
    """Give a model its arithmetic and the tokens that it may read; check the dimensions kept."""
    import torch

    if dtype is not None:
        model.to(getattr(torch, dtype))
    if length is not None:
        places = positions(model)
        if places is not None and length > places:
            raise BadOption(f"max_length is {length}; the model reads at most {places} tokens")
        try:
            model.max_seq_length = length
        except AttributeError as error:
            raise BadOption(
                f"max_length: a {type(model[0]).__name__} has no limit to set"
            ) from error
    if dim is not None:
        with model.truncate_embeddings(None):
            whole = model.get_embedding_dimension()
        if whole is not None and dim > whole:
            raise BadOption(f"truncate_dim is {dim}; the model has only {whole} dimensions")
