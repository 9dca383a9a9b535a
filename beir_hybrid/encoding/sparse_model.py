"""Sparse models of sentence-transformers, such as SPLADE, as encoders: weights of terms."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, diags_array, vstack

from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from pathlib import Path

    from sentence_transformers import SparseEncoder

    from beir_hybrid.encoding.model_files import ModelFiles


class SparseModelEncoder(ModelEncoder):
    """A ``SparseEncoder`` of sentence-transformers as an `Encoder`.

    Scores are inner products, or cosines where the model says so. Terms have no negative weights.
    """

    family = "sparse"
    CLASS_NAME, KIND = "SparseEncoder", "sparse"

    def __init__(self, model: "str | Path | ModelFiles | SparseEncoder", **options: object) -> None:
        super().__init__(model, **options)
        if self.options.truncate_dim is not None:
            raise BadOption(
                f"truncate_dim cuts dense vectors, and {self.name} is a sparse model: its terms "
                "have no order"
            )
        similarity = str(self.model.similarity_fn_name or "dot")
        if similarity not in ("dot", "cosine"):
            raise BadOption(
                f"{self.name} compares by {similarity}; only dot products and cosines can be "
                "ranked, normalize=True or False chooses one of them"
            )
        normalize = self.options.normalize
        self.normalize: bool = similarity == "cosine" if normalize is None else normalize

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Return the terms of queries with their weights, (n, terms)."""
        return self._encode_texts(self.model.encode_query, texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> Any:
        """Return the terms of passages with their weights, (n, terms)."""
        return self._encode_texts(self.model.encode_document, texts, "passages")

    def _encode_texts(self, encode: Callable[..., Any], texts: Sequence[str], role: Role) -> Any:
        batches = self.list_batches(texts, role)
        if not batches:
            return csr_array((0, 0), dtype=np.float32)
        matrices = []
        for batch in batches:
            vectors = encode(
                [texts[i] for i in batch],
                prompt=self.prompts[role],
                batch_size=self.batch_size,
                show_progress_bar=False,
                convert_to_sparse_tensor=False,  # sentence-transformers takes those row by row
            )
            matrices.append(csr_array(vectors.float().cpu().numpy()))
        matrix = csr_array(vstack(matrices, format="csr")[np.argsort(np.concatenate(batches))])
        return _give_unit_length(matrix) if self.normalize else matrix

    @property
    def vector_facts(self) -> Mapping[str, object]:
        """How many terms are kept, and whether rows have unit length."""
        return {"normalize": self.normalize, "max_active_dims": self.model.max_active_dims}


def _give_unit_length(matrix: csr_array) -> csr_array:
    lengths = np.sqrt((matrix.astype(np.float64) ** 2).sum(axis=1))
    factors = diags_array(1 / np.where(lengths > 0, lengths, 1))
    return csr_array(factors @ matrix, dtype=np.float32)
