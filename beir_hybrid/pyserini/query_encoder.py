"""A query encoder for Pyserini's searchers, made of any encoder of this library."""

from collections.abc import Mapping, Sequence

import numpy as np

from beir_hybrid.encoding import as_encoder
from beir_hybrid.encoding.embeddings import check_rows
from beir_hybrid.errors import BadOption
from beir_hybrid.pyserini.index_calibration import (
    correct_queries,
    find_calibration,
    match_query_language,
)


class QueryEncoder:
    """The `query_encoder` of Pyserini's ``FaissSearcher``, with the model's own query prompt.

    Pyserini's own encoders guess a model's prompts and pooling from parts of its name, and have no
    place for others. Importing this class needs neither Pyserini nor Java.

    Parameters
    ----------
    model
        As for `evaluate`: a hub name, a folder, a ``SentenceTransformer``, an `Encoder`, ...
    calibration
        What the index was calibrated with: a `Calibration`, its folder, or the index itself.
    language
        The language of all queries, by which a calibration corrects them. Queries of an unknown
        language are treated as its method says, and a warning says how.
    options
        Of the encoder; see `EncoderOptions`.

    Examples
    --------
    >>> from beir_hybrid.pyserini.java import start_java
    >>> start_java()  # doctest: +SKIP
    >>> from pyserini.search.faiss import FaissSearcher  # doctest: +SKIP
    >>> encoder = QueryEncoder("intfloat/multilingual-e5-small")  # doctest: +SKIP
    >>> FaissSearcher("e5-index", encoder).search("Who ruled Normandy?")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: object,
        *,
        calibration: object = None,
        language: str | None = None,
        **options: object,
    ) -> None:
        self.encoder = as_encoder(model, **options)
        self.calibration = find_calibration(calibration, self.encoder)
        self.language = (
            None if language is None else match_query_language(language, self.calibration)
        )

    def encode(self, query: str, **_topic_fields: object) -> np.ndarray:
        """Return the vector of a query, (dim,) float32; other fields of a topic are ignored."""
        return self._encode_texts([query])[0]

    def encode_batch(self, queries: Sequence[str | Mapping[str, object]]) -> np.ndarray:
        """Return a vector for each query, (n, dim) float32; a mapping has the text in ``query``."""
        if isinstance(queries, str):
            raise BadOption("a text is given for the queries; give a list of texts")
        return self._encode_texts(
            [query if isinstance(query, str) else str(query["query"]) for query in queries]
        )

    def _encode_texts(self, texts: list[str]) -> np.ndarray:
        vectors = check_rows(self.encoder.encode_queries(texts), len(texts)).astype(np.float32)
        return correct_queries(vectors, [self.language] * len(texts), self.calibration)
