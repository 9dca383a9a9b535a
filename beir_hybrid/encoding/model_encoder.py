"""The common part of encoders of sentence-transformers' models, whatever their family."""

import copy
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from beir_hybrid.encoding.arithmetic import (
    EXACT,
    MIXED,
    DType,
    check_chosen,
    compute_in,
    convert_weights,
)
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.families import check_family, check_object_family
from beir_hybrid.encoding.fingerprint import describe_model, list_versions
from beir_hybrid.encoding.layouts import LAYOUTS
from beir_hybrid.encoding.loading import load_model
from beir_hybrid.encoding.model_card import read_licence
from beir_hybrid.encoding.model_files import ModelFiles
from beir_hybrid.encoding.model_inputs import count_tokens, find_long_texts, has_routes
from beir_hybrid.encoding.model_settings import apply_options, choose_prompts, read_prompts
from beir_hybrid.encoding.options import PROMPT_OPTIONS, EncoderOptions, list_loading_options
from beir_hybrid.encoding.presets import BY_MODEL, Preset
from beir_hybrid.errors import BadOption
from beir_hybrid.network import is_offline

_TOKENS = 64  # of a text of which a batch on a processor has as many as it may have
MODEL_KINDS = (
    "a model is a name on the hub, a folder, a SentenceTransformer, a model of mteb's, or an "
    "object with fingerprint, encode_queries and encode_passages"
)


class ModelEncoder(Encoder):
    """A model of sentence-transformers as an `Encoder`.

    A subclass sets `CLASS_NAME`, the model's class, and `OPTIONS`, the options that it reads beside
    those that go to the model's constructor, and encodes its texts.

    Parameters
    ----------
    model
        A name on the hub, a folder, its files, or a loaded model, whose name here is that of its
        class: it may have been trained since it was loaded.
    options
        Fields of `EncoderOptions`.
    """

    CLASS_NAME: ClassVar[str]
    KIND: ClassVar[str]  # in fingerprints
    OPTIONS: ClassVar[frozenset[str]] = PROMPT_OPTIONS | {
        *("max_length", "dtype", "normalize", "batch_size")
    }

    _last_fingerprint: tuple[object, Mapping[str, object]] | None = None  # with its weights' state

    def __init__(self, model: object, **options: object) -> None:
        if is_offline():  # before the hub's client is imported, which reads this once
            os.environ["HF_HUB_OFFLINE"] = "1"
        import sentence_transformers

        model_class: Any = getattr(sentence_transformers, self.CLASS_NAME)
        self.options = EncoderOptions.parse(options)
        self.name, self.revision, hub_preset = _name_model(model), "", Preset()
        self.options.check_applicable(
            self.OPTIONS | list_loading_options(), f"{self.name}, a {self.family} model"
        )
        self.may_change_device = isinstance(model, str | Path | ModelFiles)
        self.may_change_device &= self.options.device is None
        self.pool: Any = None  # sentence-transformers' processes on several devices, if running
        if isinstance(model, model_class):
            self.model = self._copy_where_changed(model)
        elif isinstance(model, str | Path | ModelFiles):
            files = model if isinstance(model, ModelFiles) else self.locate(model, self.options)
            check_family(files, (self.family,))
            hub_preset = BY_MODEL.get(self.name, hub_preset) if files.is_on_hub else hub_preset
            self.model = load_model(model_class, files, self.options)
            self.revision = files.commit
        else:
            check_object_family(model, (self.family,))
            raise BadOption(f"{MODEL_KINDS}; {model!r:.80} is none of them")
        apply_options(self.model, self.options)
        self.batch_size = self.options.batch_size
        self.separates_roles = has_routes(self.model)
        self.prompts = choose_prompts(self.options, read_prompts(self.model), hub_preset)

    @staticmethod
    def locate(name: str | Path, options: EncoderOptions) -> ModelFiles:
        """Find the files of a model."""
        return ModelFiles.locate(str(name), options.revision, "sentence-transformers")

    def _copy_where_changed(self, model: Any) -> Any:
        """Return a loaded model, or a copy where options change it: others may hold it too."""
        arguments = self.options.loading_arguments()
        if names := [name for name, value in arguments.items() if value]:
            raise BadOption(f"{names[0]} is for models by name; this one is loaded already")
        is_changed = self.options.dtype or self.options.max_length is not None
        return copy.deepcopy(model) if is_changed else model

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Return the vectors of queries."""
        return LAYOUTS[self.family].merge(list(self.encode_batches(texts, "queries")))

    def encode_passages(self, texts: Sequence[str]) -> Any:
        """Return the vectors of passages."""
        return LAYOUTS[self.family].merge(list(self.encode_batches(texts, "passages")))

    def encode_batches(self, texts: Sequence[str], role: Role) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the indexes and vectors of batches of about equal numbers of tokens."""
        for batch in self.list_batches(texts, role) or [np.arange(0)]:
            with self._set_arithmetic():  # for one batch: others' code runs before the next
                vectors = self._encode_batch([texts[i] for i in batch], role)
            yield batch, vectors

    @abstractmethod
    def _encode_batch(self, texts: list[str], role: Role) -> Any:
        """Return the vectors of a batch."""

    def list_batches(self, texts: Sequence[str], role: Role) -> list[np.ndarray]:
        """Return the indexes of the texts of each batch, about equal in numbers of tokens.

        sentence-transformers sorts by characters, and pads a fifth more. On a processor, a batch of
        long texts has fewer of them: it is as fast, and the progress moves.
        """
        counts = count_tokens(self.model, texts, self.prompts[role])
        order = np.arange(len(texts)) if counts is None else np.argsort(-counts, kind="stable")
        limits = counts if self.model.device.type == "cpu" else None
        batches, start = [], 0
        while start < len(order):
            n_tokens = _TOKENS if limits is None else max(limits[order[start]], _TOKENS)
            size = max(1, int(self.batch_size * _TOKENS / n_tokens))
            batches.append(order[start : start + size])
            start += size
        return batches

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the indexes of the texts that are longer than the model reads."""
        return find_long_texts(self.model, texts, self.prompts[role])

    def _set_arithmetic(self) -> AbstractContextManager[object]:
        """Return a context in which the model computes as its options say."""
        check_chosen(self.options.dtype, self.name)
        return compute_in(self.options.dtype, self.model.device)

    def with_dtype(self, dtype: DType) -> Self:
        """Return an encoder of the same model in another arithmetic, as if it were opened so."""
        encoder = copy.copy(self)
        encoder.__dict__.pop("weight_bytes", None)
        encoder.__dict__.pop("_last_fingerprint", None)
        encoder.options = replace(self.options, dtype=dtype)
        if {self.options.dtype, dtype} != {EXACT, MIXED}:  # whose weights are equal
            encoder.model = copy.deepcopy(self.model)
            convert_weights(encoder.model, dtype)
        if self.load_request:
            model, options = self.load_request
            encoder.load_request = model, {**options, "dtype": dtype}
        return encoder

    def copy_to_cpu(self) -> Self:
        """Return an encoder with the weights on the CPU, which makes its fingerprint anew."""
        portable = copy.copy(self)
        portable.__dict__.pop("_last_fingerprint", None)
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
    def licence(self) -> str:
        """The licence that the model's card names; a trained model's card names none."""
        return read_licence(self.model)

    @cached_property
    def weight_bytes(self) -> int:
        """Memory that the weights take."""
        return sum(tensor.nbytes for tensor in self.model.state_dict().values())

    @property
    @abstractmethod
    def vector_facts(self) -> Mapping[str, object]:
        """Settings, beside the model's, on which vectors depend."""

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Weights, tokenizer, modules, prompts, length, arithmetic, device and versions.

        It is made anew once the weights have changed, as those of a loaded model may. The batch
        size is not in it: padding changes the last bits of a vector, but so does which texts share
        its batch, and that depends on what the store holds already.
        """
        check_chosen(self.options.dtype, self.name)
        state = list_versions(self.model)
        if self._last_fingerprint is None or self._last_fingerprint[0] != state:
            fingerprint = {
                "kind": self.KIND,
                **describe_model(self.model),
                **({"dtype": MIXED} if self.options.dtype == MIXED else {}),
                "prompts": dict(self.prompts),
                **self.vector_facts,
            }
            self._last_fingerprint = state, fingerprint
        return self._last_fingerprint[1]


def _name_model(model: object) -> str:
    """Name a model as the user does, or by its class."""
    if isinstance(model, ModelFiles):
        return model.label
    return str(model) if isinstance(model, str | Path) else type(model).__name__
