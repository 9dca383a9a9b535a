"""Choose the scorer of vectors by their family, and log how long its scores take."""

import logging
from collections.abc import Callable
from typing import Any

from beir_hybrid.encoding.embeddings import Embeddings
from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.encoding.token_embeddings import TokenEmbeddings
from beir_hybrid.errors import BadData
from beir_hybrid.retrieval.count import count_cores
from beir_hybrid.retrieval.dense_scorer import DenseScorer
from beir_hybrid.retrieval.late_scorer import LateScorer, describe_cost, estimate_seconds
from beir_hybrid.retrieval.scorer import Scorer
from beir_hybrid.retrieval.sparse_scorer import SparseScorer

logger = logging.getLogger(__name__)

_LONG = 60.0  # seconds of a ranking that users should know of
_SCORERS: dict[type, Callable[[Any, Any], Scorer]] = {
    Embeddings: DenseScorer,
    SparseEmbeddings: SparseScorer,
    TokenEmbeddings: LateScorer,
}


def make_scorer(queries: StoredRows[Any], passages: StoredRows[Any]) -> Scorer:
    """Return the scorer of the vectors of queries and passages."""
    if type(queries) is not type(passages):
        raise BadData(
            f"queries are {type(queries).__name__} and passages {type(passages).__name__}; they "
            "must come from one model"
        )
    return _SCORERS[type(passages)](queries, passages)


def announce_cost(scorer: Scorer) -> None:
    """Log how long scores of late interaction will take, as a warning if it is a minute or more."""
    if isinstance(scorer, LateScorer):
        seconds = estimate_seconds(scorer, count_cores())
        level = logging.WARNING if seconds > _LONG else logging.INFO
        logger.log(level, "%s", describe_cost(scorer, seconds))
