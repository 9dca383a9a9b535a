"""Impact indexes: the weights of a sparse model's terms as whole numbers, in a Lucene index.

Pyserini's ``LuceneImpactSearcher`` opens them. Its own SPLADE encoders make whole numbers of
weights as is done here: 256 steps up to a weight of 5.
"""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from beir_hybrid.encoding import Encoder, as_encoder
from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings, check_sparse_rows
from beir_hybrid.encoding.sparse_model import SparseModelEncoder
from beir_hybrid.errors import BadOption
from beir_hybrid.pyserini.java import start_java
from beir_hybrid.pyserini.language_search import Hits
from beir_hybrid.pyserini.lucene import (
    ID_FIELD,
    TEXT_FIELD,
    explain_search_error,
    open_writer,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_STEPS, _LARGEST, _LARGEST_UNIT = 256, 5, 1  # the last where vectors have unit length
_DELIMITER = "\ue000"  # between a term and its number; for private use, so that no term has it
_LONGEST_NAME = 255  # characters that Lucene takes for one term
_BATCH_SIZE = 1 << 12  # passages
_ANY_IDF = -1  # Pyserini leaves out terms whose idf is not above this


@dataclass(frozen=True)
class ImpactQueryEncoder:
    """The `query_encoder` of Pyserini's ``LuceneImpactSearcher``, made of a sparse model.

    Examples
    --------
    >>> from beir_hybrid.pyserini.java import start_java
    >>> start_java()  # doctest: +SKIP
    >>> from pyserini.search.lucene import LuceneImpactSearcher  # doctest: +SKIP
    >>> encoder = ImpactQueryEncoder.open("my-splade")  # doctest: +SKIP
    >>> LuceneImpactSearcher("splade-index", encoder, min_idf=-1).search("Who?")  # doctest: +SKIP
    """

    encoder: Encoder

    @classmethod
    def open(cls, model: object, **options: object) -> "ImpactQueryEncoder":
        """Open the encoder of a model; options are fields of `EncoderOptions`."""
        return cls(as_encoder(model, **options))

    @cached_property
    def names(self) -> list[str]:
        """The names of the terms, by their numbers."""
        return list_term_names(self.encoder, self.encode_rows(["a"]).shape[1])

    def encode_rows(self, queries: Sequence[str]) -> "csr_array":
        """Return the whole numbers of queries' terms, (n, terms)."""
        matrix = check_sparse_rows(self.encoder.encode_queries(queries), len(queries))
        return quantize(matrix, self.encoder)

    def encode(self, query: str, **_topic_fields: object) -> dict[str, int]:
        """Return the whole number of each term of a query; other fields of a topic are ignored."""
        return list_impacts(self.encode_rows([query]), self.names)[0]


def quantize(matrix: "csr_array", encoder: Encoder) -> "csr_array":
    """Return weights as whole numbers, without those that become 0."""
    largest = _LARGEST_UNIT if encoder.normalize else _LARGEST
    impacts = matrix.copy()
    impacts.data = np.rint(matrix.data.astype(np.float64) / largest * _STEPS)
    impacts.eliminate_zeros()
    return impacts


def list_impacts(impacts: "csr_array", names: Sequence[str]) -> list[dict[str, int]]:
    """Return the whole numbers of each row, by the names of the terms."""
    return [
        {
            names[term]: int(impact)
            for term, impact in zip(
                impacts.indices[start:stop].tolist(), impacts.data[start:stop], strict=True
            )
        }
        for start, stop in zip(impacts.indptr[:-1], impacts.indptr[1:], strict=True)
    ]


def list_term_names(encoder: Encoder, n: int) -> list[str]:
    """Return the names of n terms: tokens, as Pyserini names them, or numbers in brackets.

    A token with white space would be several terms for Lucene.
    """
    names = [f"[{number}]" for number in range(n)]
    if isinstance(encoder, SparseModelEncoder):
        for token, number in encoder.vocabulary.items():
            if number < n and len(token) <= _LONGEST_NAME and len(token.split()) == 1:
                names[number] = token if token == token.strip() else names[number]
    return names


def check_impact_options(kind: str, shards: int, calibration: object) -> None:
    """Raise `BadOption` for options of indexes that a sparse model cannot have."""
    if kind != "flat" or shards != 1 or calibration is not None:
        raise BadOption(
            "a sparse model has one impact index, without calibration: leave out the type, shards "
            "and calibration of dense indexes"
        )


def write_impacts(
    vectors: SparseEmbeddings, ids: pa.ChunkedArray, encoder: Encoder, folder: Path
) -> None:
    """Write the Lucene index of passages into a folder."""
    start_java()
    names = list_term_names(encoder, vectors.dim)
    document, set_values = _make_document()
    with open_writer(folder, _create_analyzer()) as writer:
        for start in range(0, len(vectors), _BATCH_SIZE):
            batch = slice(start, start + _BATCH_SIZE)
            rows = list_impacts(quantize(vectors.take(batch), encoder), names)
            for passage_id, row in zip(ids[batch].to_pylist(), rows, strict=True):
                set_values(passage_id, row)
                writer.addDocument(document)
    (folder / "write.lock").unlink(missing_ok=True)


def _create_analyzer() -> Any:
    """Return a Java analyzer that reads each term with its number, as often as it says."""
    from jnius import autoclass

    builder = autoclass("org.apache.lucene.analysis.custom.CustomAnalyzer").builder()
    longest = str(_LONGEST_NAME + 20)
    builder.withTokenizer("whitespace", "maxTokenLen", longest)
    builder.addTokenFilter("delimitedTermFrequency", "delimiter", _DELIMITER)
    return builder.build()


def _make_document() -> tuple[Any, Any]:
    """Return a Java document, as Anserini makes them, and a function that sets its values."""
    from jnius import autoclass, cast

    fields = "org.apache.lucene.document"
    field_type = autoclass(f"{fields}.FieldType")()
    field_type.setIndexOptions(autoclass("org.apache.lucene.index.IndexOptions").DOCS_AND_FREQS)
    id_field = autoclass(f"{fields}.StringField")(
        ID_FIELD, "", autoclass(f"{fields}.Field$Store").YES
    )
    no_bytes = autoclass("org.apache.lucene.util.BytesRef")()
    key_field = autoclass(f"{fields}.BinaryDocValuesField")(ID_FIELD, no_bytes)
    no_text = cast("java.lang.CharSequence", autoclass("java.lang.String")(""))
    text_field = autoclass(f"{fields}.Field")(TEXT_FIELD, no_text, field_type)
    document = autoclass(f"{fields}.Document")()
    for field in (id_field, key_field, text_field):
        document.add(field)

    def set_values(passage_id: str, impacts: dict[str, int]) -> None:
        id_field.setStringValue(passage_id)
        key_field.setBytesValue(passage_id.encode())
        text_field.setStringValue(
            " ".join(f"{name}{_DELIMITER}{impact}" for name, impact in impacts.items())
        )

    return document, set_values


def search_impacts(folder: Path, encoder: Encoder, query: str, k: int) -> Hits:
    """Return the ids and scores of the k best passages, ties by ascending id, as Anserini does."""
    start_java()
    from jnius import JavaException
    from pyserini.search.lucene import LuceneImpactSearcher

    query_encoder = ImpactQueryEncoder(encoder)
    try:
        with closing(LuceneImpactSearcher(str(folder), query_encoder, _ANY_IDF)) as searcher:
            return [(hit.docid, float(hit.score)) for hit in searcher.search(query, k)]
    except JavaException as error:
        raise explain_search_error(folder, error) from error


def format_impacts(encoder: Encoder, texts: Sequence[str]) -> bytes:
    """Return encoded queries as lines of JSON, which Pyserini's ``--encoder`` reads."""
    queries = ImpactQueryEncoder(encoder)
    rows = list_impacts(queries.encode_rows(texts), queries.names) if texts else []
    lines = [
        {"contents": text, "vector": impacts} for text, impacts in zip(texts, rows, strict=True)
    ]
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()
