"""Dense models of sentence-transformers as encoders: from the hub, a folder, or loaded already."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.images import encode_image_batches
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.encoding.model_inputs import reads_images, text_settings, wrap_texts
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from sentence_transformers import SentenceTransformer

    from beir_hybrid.encoding.model_files import ModelFiles


class SentenceTransformerEncoder(ModelEncoder):
    """A dense model of sentence-transformers as an `Encoder`.

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

    family = "dense"
    CLASS_NAME, KIND = "SentenceTransformer", "sentence-transformers"

    def __init__(
        self, model: "str | Path | ModelFiles | SentenceTransformer", **options: object
    ) -> None:
        super().__init__(model, **options)
        if self.options.truncate_dim is not None:
            check_dimensions(self.model, self.options.truncate_dim)
        self.truncate_dim = self.options.truncate_dim or self.model.truncate_dim
        similarity = str(self.model.similarity_fn_name or "cosine")
        normalize = self.options.normalize
        self.normalize: bool = similarity != "dot" if normalize is None else normalize

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
        if self.pool or not texts:
            return encode(inputs, pool=self.pool, **arguments)
        batches = self.list_batches(texts, role)
        sorted_rows = np.concatenate(
            [encode([inputs[i] for i in batch], **arguments) for batch in batches]
        )
        rows = np.empty_like(sorted_rows)
        rows[np.concatenate(batches)] = sorted_rows
        return rows

    @property
    def vector_facts(self) -> Mapping[str, object]:
        """Whether vectors have unit length, and how many dimensions are kept."""
        return {"normalize": self.normalize, "truncate_dim": self.truncate_dim}


def check_dimensions(model: "SentenceTransformer", dim: int) -> None:
    """Raise `BadOption` if a model has fewer dimensions."""
    with model.truncate_embeddings(None):
        full_dim = model.get_embedding_dimension()
    if full_dim is not None and dim > full_dim:
        raise BadOption(f"truncate_dim is {dim}; the model has only {full_dim} dimensions")
