"""The interface of encoders: texts and images become vectors whose inner products are scores."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeGuard

import numpy as np

from beir_hybrid.encoding.families import Family
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from PIL.Image import Image

Role = Literal["queries", "passages", "images"]
_REQUIRED = ("fingerprint", "encode_queries", "encode_passages")


class Encoder(ABC):
    """A model that turns queries, passages and images into vectors.

    A subclass sets `fingerprint` and defines `encode_queries` and `encode_passages`; everything
    else has a default. Objects of any other class that have these three work as well, wherever a
    model is expected: `as_encoder` wraps them.

    Attributes
    ----------
    fingerprint
        JSON of everything on which the vectors depend: equal fingerprints mean equal vectors. An
        entry ``"prompts"`` maps ``"queries"`` and ``"passages"`` to their prompts; if the two are
        equal, a text that occurs in both roles is encoded once, unless `separates_roles`.
    name
        The name in results; by default that of the class.
    revision
        The commit of the model, if it came from the hub.
    n_parameters
        The number of parameters, for results; None if it is not known.
    licence
        As the model's card names it, such as ``"apache-2.0"``; empty if it is not known.
    weight_bytes
        Memory that the weights take; 0 if it is not known.
    concurrent_texts
        How many texts the encoder works on at once when several threads call it; 0 if one thread
        is to call it.
    family
        ``"dense"``; or ``"sparse"``: vectors are then sparse matrices of scipy, (n, terms), with no
        negative weight; or ``"late-interaction"``: an array of vectors of tokens for each text, in
        a list.
    normalize
        Whether vectors have unit length; None if that is not known.
    separates_roles
        Whether a query and an equal passage with equal prompts have different vectors.
    load_request
        The name or folder and the options by which `as_encoder` can build this encoder again.

    Examples
    --------
    >>> class Letters(Encoder):
    ...     fingerprint = {"kind": "counts of a, b and c"}
    ...     def encode_queries(self, texts):
    ...         return np.array([[text.count(c) for c in "abc"] for text in texts], np.float32)
    ...     encode_passages = encode_queries
    >>> Letters().encode_queries(["abacus"]).tolist()
    [[2.0, 1.0, 1.0]]
    >>> Letters().name, Letters().reads_images
    ('Letters', False)
    """

    revision: str = ""
    concurrent_texts: int = 0
    family: Family = "dense"
    normalize: bool | None = None
    separates_roles: bool = False
    load_request: tuple[str | Path, Mapping[str, object]] | None = None

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """JSON of everything on which the vectors depend."""
        raise NotImplementedError(f"{self.name} has no fingerprint")

    @cached_property
    def name(self) -> str:
        """The name in results."""
        return type(self).__name__

    @cached_property
    def n_parameters(self) -> int | None:
        """The number of parameters."""
        return None

    @cached_property
    def licence(self) -> str:
        """The licence of the model."""
        return ""

    @cached_property
    def weight_bytes(self) -> int:
        """Memory that the weights take."""
        return 0

    @abstractmethod
    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return vectors, (n, dim); their inner products with those of passages are the scores."""

    @abstractmethod
    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return vectors, (n, dim)."""

    def encode_batches(self, texts: Sequence[str], role: Role) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the indexes of the texts of a batch, and their vectors, until all texts have some.

        What has come is shown and, within seconds, on disk. By default all texts are one batch.
        """
        encode = self.encode_queries if role == "queries" else self.encode_passages
        yield np.arange(len(texts)), encode(texts)

    @property
    def reads_images(self) -> bool:
        """Whether the class defines `encode_images`."""
        return type(self).encode_images is not Encoder.encode_images

    def encode_images(self, images: "Sequence[Image]") -> np.ndarray:  # noqa: ARG002 - subclasses'
        """Return vectors of RGB images, (n, dim), in the space of those of texts."""
        raise BadOption(f"{self.name} reads no images")

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:  # noqa: ARG002
        """Return the indexes of texts that the model truncates; None if that is not known."""
        return None

    def copy_to_cpu(self) -> "Encoder":
        """Return an encoder with its weights on the CPU, to be sent to other machines."""
        return self

    def move_to(self, device: str) -> None:  # noqa: B027 - a default, not abstract
        """Put the weights on a device; an encoder without weights ignores this."""


class EncoderWrapper(Encoder):
    """An encoder that forwards to another one; subclasses override single methods."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.name, self.revision, self.family = encoder.name, encoder.revision, encoder.family
        self.concurrent_texts = encoder.concurrent_texts
        self.separates_roles = encoder.separates_roles

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """The fingerprint of the other encoder."""
        return self.encoder.fingerprint

    @cached_property
    def n_parameters(self) -> int | None:
        """The number of parameters of the other encoder."""
        return self.encoder.n_parameters

    @cached_property
    def licence(self) -> str:
        """The licence of the other encoder's model."""
        return self.encoder.licence

    @cached_property
    def weight_bytes(self) -> int:
        """Memory that the weights of the other encoder take."""
        return self.encoder.weight_bytes

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the other encoder's vectors of queries."""
        return self.encoder.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the other encoder's vectors of passages."""
        return self.encoder.encode_passages(texts)

    @property
    def reads_images(self) -> bool:
        """Whether the other encoder reads images."""
        return self.encoder.reads_images

    def encode_images(self, images: "Sequence[Image]") -> np.ndarray:
        """Return the other encoder's vectors of images."""
        return self.encoder.encode_images(images)

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the indexes of texts that the other encoder truncates."""
        return self.encoder.find_truncated(texts, role)


class EncoderLike(Protocol):
    """The least that an object needs to serve as an encoder.

    The other attributes and methods of `Encoder` are used if the object has them.
    """

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """JSON of everything on which the vectors depend."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return vectors, (n, dim)."""

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return vectors, (n, dim)."""


def is_encoder_like(model: object) -> TypeGuard[EncoderLike]:
    """Return True if an object has a fingerprint and encodes queries and passages."""
    return all(hasattr(model, name) for name in _REQUIRED)


class EncoderAdapter(Encoder):
    """An `Encoder` around an object that has some of its attributes and methods.

    This is the one place that asks an object for what it may lack.
    """

    def __init__(self, model: EncoderLike) -> None:
        self.model = model
        self.name = str(getattr(model, "name", "") or type(model).__name__)
        self.revision = str(getattr(model, "revision", ""))
        count = getattr(model, "n_parameters", None)
        self.n_parameters = count if isinstance(count, int) else None
        self.licence = str(getattr(model, "licence", None) or "")
        self.concurrent_texts = getattr(model, "concurrent_texts", 0)
        self.normalize = getattr(model, "normalize", None)
        self.separates_roles = getattr(model, "separates_roles", False)
        self.family = getattr(model, "family", "dense")
        weights: Mapping[str, np.ndarray]
        weights = getattr(getattr(model, "model", None), "state_dict", dict)()
        self.weight_bytes = sum(tensor.nbytes for tensor in weights.values())
        self._encode_images: Callable[[Sequence[Image]], np.ndarray] | None
        self._encode_images = getattr(model, "encode_images", None)
        self._find_truncated: Callable[[Sequence[str], Role], list[int] | None] | None
        self._find_truncated = getattr(model, "find_truncated", None)

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """The current fingerprint of the object."""
        return self.model.fingerprint

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the object's vectors of queries."""
        return self.model.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the object's vectors of passages."""
        return self.model.encode_passages(texts)

    def encode_batches(self, texts: Sequence[str], role: Role) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the object's batches, or one batch if it has no such method."""
        encode_batches = getattr(self.model, "encode_batches", super().encode_batches)
        yield from encode_batches(texts, role)

    @property
    def reads_images(self) -> bool:
        """Whether the object has `encode_images`."""
        return self._encode_images is not None

    def encode_images(self, images: "Sequence[Image]") -> np.ndarray:
        """Return the object's vectors of images."""
        if self._encode_images is None:
            return super().encode_images(images)
        return self._encode_images(images)

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the indexes of texts that the object truncates; None if that is not known."""
        return None if self._find_truncated is None else self._find_truncated(texts, role)


def check_reads_images(encoder: Encoder, cure: str = "") -> None:
    """Raise `BadOption`, with a further cure at its end, if the encoder reads no images."""
    if not encoder.reads_images:
        raise BadOption(
            f"{encoder.name} reads no images; name a model of texts and images, such as CLIP or "
            f"SigLIP{cure}"
        )


def check_is_dense(encoder: Encoder) -> None:
    """Raise `BadOption` for an encoder whose vectors are not dense."""
    if encoder.family != "dense":
        raise BadOption(
            f"{encoder.name} is a {encoder.family} model, which can be evaluated, and this takes a "
            "dense one: name a model with a vector a text"
        )
