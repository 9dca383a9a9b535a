"""Choose the arithmetic of ``dtype="auto"``: bfloat16 products where a sample's rankings hold."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.encoding.arithmetic import AUTO, EXACT, MIXED, multiplies_bfloat16
from beir_hybrid.encoding.encoder import Encoder
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.retrieval.rank import rank
from beir_hybrid.retrieval.request import RankRequest
from beir_hybrid.retrieval.scorers import make_scorer

logger = logging.getLogger(__name__)

_QUERIES, _PASSAGES = 256, 512  # of a sample, which has all relevant passages of its queries
_TOLERANCE = 1e-3  # of average precision
_SEED = 0


def choose_dtype(
    encoder: Encoder, collection: Collection, store: str | Path | None = None
) -> Encoder:
    """Return an encoder whose arithmetic is chosen, if its options leave it to the texts.

    On a processor that multiplies bfloat16, a sample of the collection is encoded in both ways and
    ranked. Where the average precision (AP) differs by .001 at most, products are in bfloat16. The
    log has the figures. The vectors of the sample stay in the store: choosing again encodes
    nothing. On other processors and devices, and where there are images, the choice is float32.
    """
    if not isinstance(encoder, ModelEncoder) or encoder.options.dtype != AUTO:
        return encoder
    exact = encoder.with_dtype(EXACT)
    if reason := _find_obstacle(encoder, collection):
        logger.warning("dtype auto takes %s: %s", EXACT, reason)
        return exact
    sample, mixed = draw_sample(collection), exact.with_dtype(MIXED)
    folder = None if store is None else Path(store)
    values = [sample.measure(candidate, folder) for candidate in (exact, mixed)]
    choice = mixed if abs(values[1] - values[0]) <= _TOLERANCE else exact
    logger.warning(
        "dtype auto takes %s: AP %.4f, and %.4f in float32, with %d queries and %d passages",
        choice.options.dtype, values[1], values[0], len(sample.queries), len(sample.passages),
    )  # fmt: skip
    return choice


def _find_obstacle(encoder: ModelEncoder, collection: Collection) -> str:
    """Return why nothing is compared; empty if it can be."""
    device = encoder.model.device.type
    if device != "cpu":
        return f"the model computes on {device}"
    if not multiplies_bfloat16():
        return "this processor has no instruction that multiplies bfloat16"
    if collection.has_images:
        return f"{collection.name} has images, and texts alone are compared"
    return ""


@dataclass(frozen=True, eq=False)
class RankingSample:
    """Queries and passages of all languages, and which of them are relevant, by row."""

    queries: pa.ChunkedArray
    passages: pa.ChunkedArray
    gold_queries: np.ndarray  # (golds,) int64, ascending
    gold_passages: np.ndarray  # (golds,) int64

    def measure(self, encoder: Encoder, folder: Path | None = None) -> float:
        """Return the mean over queries of their average precision, of all passages in one pool."""
        queries = encode_rows(encoder, self.queries, "queries", folder=folder)
        passages = encode_rows(encoder, self.passages, "passages", folder=folder)
        n = len(self.passages)
        request = RankRequest(
            self.gold_queries, self.gold_passages, {"all": range(n)}, np.arange(n, dtype=np.int32)
        )
        ranks = rank(make_scorer(queries, passages), request).pool_ranks.rank()
        golds = np.split(ranks, np.flatnonzero(np.diff(self.gold_queries)) + 1)
        return float(np.mean([np.mean(np.arange(1, len(r) + 1) / np.sort(r)) for r in golds]))


def draw_sample(
    collection: Collection, n_queries: int = _QUERIES, n_passages: int = _PASSAGES
) -> RankingSample:
    """Draw queries in all their translations, their relevant passages and, up to n, others."""
    judgements = collection.resolve()
    judgements = judgements.select(judgements.relevance > 0)
    rng = np.random.default_rng(_SEED)
    queries = _draw_queries(judgements, n_queries, rng)
    judgements = judgements.select(np.isin(judgements.query, queries))
    texts = collection.view().passages
    golds = np.unique(judgements.passage)
    rest = rng.choice(len(texts), min(n_passages, len(texts)), replace=False)
    rest = rest[~np.isin(rest, golds)][: max(0, n_passages - len(golds))]
    passages = np.sort(np.concatenate([golds, rest]))
    return RankingSample(
        take_rows(collection.queries["text"], queries),
        join_titles(take_rows(texts, passages)),
        np.searchsorted(queries, judgements.query),
        np.searchsorted(passages, judgements.passage),
    )


def _draw_queries(judgements: Judgements, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the rows of n queries or fewer, group by group, in ascending order."""
    queries = np.unique(judgements.query)
    names = take_rows(judgements.query_groups, queries).combine_chunks()
    groups = names.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    order = rng.permutation(int(groups.max()) + 1)[groups]
    return np.sort(queries[np.argsort(order, kind="stable")[:n]])
