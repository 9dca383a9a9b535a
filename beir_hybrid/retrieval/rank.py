"""Exact ranks of relevant passages, and the best passages of each query, in memory of one block."""

import numpy as np

from beir_hybrid.progress import progress_bar
from beir_hybrid.retrieval.count import RankCounts, count_passages, score_golds
from beir_hybrid.retrieval.gold_scores import GoldScores
from beir_hybrid.retrieval.merged_pool import interleave_ranks, merge_top
from beir_hybrid.retrieval.request import RankRequest
from beir_hybrid.retrieval.results import POOL, GoldRanks, RankedPassages, TopPassages
from beir_hybrid.retrieval.scorer import Scorer
from beir_hybrid.retrieval.top_keys import unpack_keys


def rank(scorer: Scorer, request: RankRequest) -> RankedPassages:
    """Rank every relevant passage exactly, and collect the best passages of each query.

    Examples
    --------
    >>> from beir_hybrid.encoding import Embeddings
    >>> from beir_hybrid.retrieval.dense_scorer import DenseScorer
    >>> queries = Embeddings.from_array(np.array([[1, 0]], np.float32))
    >>> passages = Embeddings.from_array(np.array([[1, 0], [3, 0], [2, 0]], np.float32))
    >>> request = RankRequest(
    ...     gold_queries=np.array([0]),
    ...     gold_passages=np.array([2]),
    ...     languages={"de": range(2), "en": range(2, 3)},
    ...     id_order=np.arange(3, dtype=np.int32),
    ...     k=2,
    ... )
    >>> ranked = rank(DenseScorer(queries, passages), request)
    >>> ranked.pool_ranks.rank().tolist(), ranked.language_ranks.rank().tolist()
    ([2], [1])
    >>> ranked.top[""].rows.tolist()
    [[1, 2]]
    """
    request = request.without_empty_languages()
    golds = score_golds(scorer, request)
    n_scores = scorer.n_queries * scorer.n_passages
    with progress_bar("ranking", n_scores, unit="scores") as advance:
        counts = count_passages(scorer, golds, request, advance=advance)
    return build_ranked_passages(golds, counts, request)


def build_ranked_passages(
    golds: GoldScores, counts: RankCounts, request: RankRequest
) -> RankedPassages:
    """Turn the counts of all passages into ranks, and keys into rows of passages.

    In a pool that is merged by turns, ties are broken already.
    """
    method, sizes = request.method, np.array([len(rows) for rows in request.languages.values()])
    lists = {}
    for name, keys in counts.top_keys.items():
        scores, places = unpack_keys(keys)
        lists[name] = TopPassages(places, scores)
    if method:
        by_language = [counts.top_keys[name] for name in request.languages if request.k]
        pool = {POOL: merge_top(by_language, sizes, method, request.k)} if by_language else {}
        lists = pool | (_cut_lists(lists, request.k) if request.collects_languages else {})
    row_by_id_order = np.argsort(request.id_order) if lists else request.id_order
    top = {
        name: TopPassages(row_by_id_order[best.rows], best.scores) for name, best in lists.items()
    }
    in_mixed = counts.in_pool if counts.in_images is None else counts.in_pool + counts.in_images
    language_ranks, pool_ranks, mixed_ranks = (
        GoldRanks(*count.T) for count in (counts.in_language, counts.in_pool, in_mixed)
    )
    if counts.counts_by_language is not None and method:
        pool_ranks = interleave_ranks(counts.counts_by_language, golds.languages, sizes, method)
        mixed_ranks = pool_ranks
    return RankedPassages(golds.scores, language_ranks, pool_ranks, mixed_ranks, top)


def _cut_lists(lists: dict[str, TopPassages], k: int) -> dict[str, TopPassages]:
    """Return the k best passages of each list; more may have been collected for a merge."""
    return {
        name: TopPassages(best.rows[:, :k], best.scores[:, :k]) for name, best in lists.items() if k
    }
