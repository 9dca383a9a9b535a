"""Sparse models of sentence-transformers, such as SPLADE, as encoders: weights of terms."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.encoding.model_inputs import find_tokenizer
from beir_hybrid.encoding.sparse_embeddings import make_empty_matrix
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from pathlib import Path

    from scipy.sparse import csr_array
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
        similarity = str(self.model.similarity_fn_name or "dot")
        if similarity not in ("dot", "cosine"):
            raise BadOption(
                f"{self.name} compares by {similarity}; only dot products and cosines can be "
                "ranked, normalize=True or False chooses one of them"
            )
        normalize = self.options.normalize
        self.normalize: bool = similarity == "cosine" if normalize is None else normalize

    @property
    def vocabulary(self) -> dict[str, int]:
        """The numbers of terms by name; empty where terms are no tokens."""
        if any(type(module).__name__ == "SparseAutoEncoder" for module in self.model.modules()):
            return {}
        vocabulary: dict[str, int] = find_tokenizer(self.model).get_vocab()
        return vocabulary

    def _encode_batch(self, texts: list[str], role: Role) -> Any:
        """Return the terms of texts with their weights, (n, terms)."""
        if not texts:
            return make_empty_matrix(0)
        from scipy.sparse import csr_array

        is_query = role == "queries"
        encode: Any = self.model.encode_query if is_query else self.model.encode_document
        vectors = encode(
            texts,
            prompt=self.prompts[role],
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_sparse_tensor=False,  # sentence-transformers takes those row by row
        )
        matrix = csr_array(vectors.float().cpu().numpy())
        return _give_unit_length(matrix) if self.normalize else matrix

    @property
    def vector_facts(self) -> Mapping[str, object]:
        """How many terms are kept, and whether rows have unit length."""
        return {"normalize": self.normalize, "max_active_dims": self.model.max_active_dims}


def _give_unit_length(matrix: "csr_array") -> "csr_array":
    from scipy.sparse import csr_array, diags_array

    lengths = np.sqrt((matrix.astype(np.float64) ** 2).sum(axis=1))
    factors = diags_array(1 / np.where(lengths > 0, lengths, 1))
    return csr_array(factors @ matrix, dtype=np.float32)
