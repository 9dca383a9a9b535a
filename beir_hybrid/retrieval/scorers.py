"""Choose the scorer of vectors by their family."""

from collections.abc import Callable
from typing import Any

from beir_hybrid.encoding.embeddings import Embeddings
from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.errors import BadData
from beir_hybrid.retrieval.dense_scorer import DenseScorer
from beir_hybrid.retrieval.scorer import Scorer
from beir_hybrid.retrieval.sparse_scorer import SparseScorer

_SCORERS: dict[type, Callable[[Any, Any], Scorer]] = {
    Embeddings: DenseScorer,
    SparseEmbeddings: SparseScorer,
}


def make_scorer(queries: StoredRows[Any], passages: StoredRows[Any]) -> Scorer:
    """Return the scorer of the vectors of queries and passages."""
    if type(queries) is not type(passages):
        raise BadData(
            f"queries are {type(queries).__name__} and passages {type(passages).__name__}; they "
            "must come from one model"
        )
    return _SCORERS[type(passages)](queries, passages)
