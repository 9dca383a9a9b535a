"""Dense models of sentence-transformers as encoders: from the hub, a folder, or loaded already."""

from collections.abc import Mapping, Sequence
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
    OPTIONS = ModelEncoder.OPTIONS | {"truncate_dim"}

    def __init__(
        self, model: "str | Path | ModelFiles | SentenceTransformer", **options: object
    ) -> None:
        super().__init__(model, **options)
        if self.options.truncate_dim is not None:
            check_dimensions(self.model, self.options.truncate_dim)
        self.truncate_dim = self.options.truncate_dim or self.model.truncate_dim
        similarity = str(self.model.similarity_fn_name or "cosine")
        normalize = self.options.normalize
        if normalize is None and similarity not in ("dot", "cosine"):
            raise BadOption(
                f"{self.name} compares by {similarity}; only dot products and cosines can be "
                "ranked, normalize=True or False chooses one of them"
            )
        self.normalize: bool = similarity != "dot" if normalize is None else normalize

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
        with self._set_arithmetic():
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

    def list_batches(self, texts: Sequence[str], role: Role) -> list[np.ndarray]:
        """Return the indexes of the texts of each batch; all at once for several devices."""
        return [np.arange(len(texts))] if self.pool else super().list_batches(texts, role)

    def _encode_batch(self, texts: list[str], role: Role) -> np.ndarray:
        is_query = role == "queries"
        encode: Any = self.model.encode_query if is_query else self.model.encode_document
        arguments = self._encode_arguments(self.prompts[role])
        if settings := text_settings(self.model):
            arguments["processing_kwargs"] = {"text": settings}
        rows: np.ndarray = encode(wrap_texts(self.model, texts), pool=self.pool, **arguments)
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
