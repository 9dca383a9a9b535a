"""Any of our encoders in, what Pyserini's searchers take for a query encoder out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beir_hybrid.encoding import as_encoder
from beir_hybrid.encoding.embeddings import check_rows


class QueryEncoder:
    """A model as the `query_encoder` of Pyserini's ``FaissSearcher``, with its query prompt.

    Pyserini's own encoders guess a model's prompts and pooling from parts of its name, and have no
    place for others. Importing this needs neither Pyserini nor Java.

    Parameters
    ----------
    model
        What `evaluate` takes: a hub name, a folder, a ``SentenceTransformer``, an `Encoder`, ...
    options
        Of the encoder; see `SentenceTransformerEncoder`.

    Examples
    --------
    >>> from beir_hybrid.pyserini.java import boot
    >>> boot()  # doctest: +SKIP
    >>> from pyserini.search.faiss import FaissSearcher  # doctest: +SKIP
    >>> encoder = QueryEncoder("intfloat/multilingual-e5-small")  # doctest: +SKIP
    >>> FaissSearcher("e5-index", encoder).search("Who ruled Normandy?")  # doctest: +SKIP
    """

    def __init__(self, model: Any, **options: Any) -> None:
        self.encoder = as_encoder(model, **options)

    def encode(self, query: str, **_others: Any) -> np.ndarray:
        """Return the vector of a query, (dim,) float32; other fields of a topic do not count."""
        return self._encode([query])[0]

    def encode_batch(self, queries: Sequence[str | Mapping[str, Any]]) -> np.ndarray:
        """Return a row for each query, (n, dim) float32; a mapping holds it under ``query``."""
        return self._encode(
            [asked if isinstance(asked, str) else asked["query"] for asked in queries]
        )

    def _encode(self, texts: list[str]) -> np.ndarray:
        return check_rows(self.encoder.encode_queries(texts), len(texts)).astype(np.float32)
