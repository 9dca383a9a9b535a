"""Late-interaction models of sentence-transformers, such as ColBERT, as encoders of tokens."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.model_encoder import ModelEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from sentence_transformers import MultiVectorEncoder

    from beir_hybrid.encoding.model_files import ModelFiles


class LateInteractionEncoder(ModelEncoder):
    """A ``MultiVectorEncoder`` of sentence-transformers as an `Encoder`.

    A score is the sum, over the tokens of a query, of the largest inner product with a token of the
    passage (MaxSim).
    """

    family = "late-interaction"
    CLASS_NAME, KIND = "MultiVectorEncoder", "late-interaction"

    def __init__(
        self, model: "str | Path | ModelFiles | MultiVectorEncoder", **options: object
    ) -> None:
        super().__init__(model, **options)
        self.normalize = self.options.normalize
        self.separates_roles = True  # by lengths, expansion and tokens that are left out

    def _encode_batch(self, texts: list[str], role: Role) -> list[np.ndarray]:
        """Return the vectors of each text's tokens, a list of arrays (tokens, dim)."""
        if not texts:
            return []
        is_query = role == "queries"
        encode: Any = self.model.encode_query if is_query else self.model.encode_document
        vectors: list[np.ndarray] = encode(
            texts,
            prompt=self.prompts[role],
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=bool(self.normalize),
        )
        return vectors

    @property
    def vector_facts(self) -> Mapping[str, object]:
        """Whether vectors of tokens get unit length beyond the model's own modules."""
        return {"normalize": self.normalize}
