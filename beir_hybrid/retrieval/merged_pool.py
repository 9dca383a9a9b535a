"""Exact ranks and best passages in a pool that a merge method makes of each language's ranking."""

from collections.abc import Sequence

import numpy as np

from beir_hybrid.retrieval.merging import MergeMethod, Scale, scale_scores
from beir_hybrid.retrieval.results import GoldRanks, TopPassages
from beir_hybrid.retrieval.top_keys import pack_keys, unpack_keys, unpack_scores

_BLOCK_GOLDS = 1 << 14  # golds whose counts in each language are in memory several times


def fit_scales(lists: Sequence[np.ndarray], method: MergeMethod) -> Scale:
    """Return the scales of queries and languages, (queries, languages).

    Parameters
    ----------
    lists
        For each language, the keys of each query's best passages, (queries, any), descending.
    """
    if method.fit_scale is None:
        raise ValueError(f"{method} uses no scores")
    scores = [unpack_scores(keys[:, : method.k]).astype(np.float64) for keys in lists]
    scales = [method.fit_scale(np.ascontiguousarray(columns)) for columns in scores]
    return Scale(
        np.stack([scale.shift for scale in scales], axis=1),
        np.stack([scale.factor for scale in scales], axis=1),
    )


def find_thresholds(
    scores: np.ndarray, queries: np.ndarray, languages: np.ndarray, scale: Scale
) -> tuple[np.ndarray, np.ndarray]:
    """Find the scores of each language that tie with each gold once all are comparable.

    Parameters
    ----------
    scores, queries, languages
        Of each gold: its score, the row of its query in `scale`, and the number of its language.

    Returns
    -------
        The lowest and the highest score that ties, (golds, languages) float32; the lowest is above
        the highest where no number of float32 ties.
    """
    from beir_hybrid.retrieval.merging_kernels import invert_scale

    targets = scale_scores(
        scores, scale.shift[queries, languages], scale.factor[queries, languages]
    )
    low, high = (np.empty((len(scores), scale.shift.shape[1]), np.float32) for _ in range(2))
    invert_scale(targets, queries, scale.shift, scale.factor, low, high)
    return low, high


def interleave_ranks(
    counts: np.ndarray, languages: np.ndarray, sizes: np.ndarray, method: MergeMethod
) -> GoldRanks:
    """Return the ranks of golds in a pool where the languages take turns.

    The r-th passage of a language with weight w has the place r / w; of equal places the higher
    score is first. Everything but the gold's own rank is a count.

    Parameters
    ----------
    counts
        How many passages of each language rank above a gold, (golds, languages).
    languages
        The number of each gold's language.
    sizes
        How many passages each language has.
    """
    weights = method.weigh_sizes(sizes)
    n_before = np.empty(len(counts), np.int64)
    for start in range(0, len(counts), _BLOCK_GOLDS):
        part = slice(start, start + _BLOCK_GOLDS)
        n_before[part] = _count_before(counts[part], languages[part], sizes, weights)
    return GoldRanks(n_before, np.zeros_like(n_before), np.zeros_like(n_before))


def _count_before(
    n_better: np.ndarray, languages: np.ndarray, sizes: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Count the passages of all languages before each gold, (golds,)."""
    own_rank = 1 + n_better[np.arange(len(languages)), languages]
    own_weight = weights[languages]
    # Of language l, passages at ranks below own_rank * w_l / own_weight are earlier.
    products = own_rank[:, None] * weights
    n_earlier = np.minimum(sizes, (products - 1) // own_weight[:, None])
    same_rank, rest = np.divmod(products, own_weight[:, None])
    wins_tie = (rest == 0) & (same_rank <= sizes) & (n_better >= same_rank)
    counts = n_earlier + wins_tie
    counts[np.arange(len(languages)), languages] = own_rank - 1
    n_before: np.ndarray = counts.sum(axis=1)
    return n_before


def merge_top(
    lists: Sequence[np.ndarray], sizes: np.ndarray, method: MergeMethod, k: int
) -> TopPassages:
    """Merge the best passages of each language into the k best of the pool.

    Parameters
    ----------
    lists
        For each language, the keys of each query's best passages; at least k of them, if the
        language has so many.

    Returns
    -------
        Places of ids in place of rows. Scores are the comparable ones, or 1 / rank.
    """
    if method.fit_scale is not None:
        scale = fit_scales(lists, method)
        columns = [
            pack_keys(
                scale_scores(scores, scale.shift[:, [number]], scale.factor[:, [number]]), places
            )
            for number, (scores, places) in enumerate(map(unpack_keys, lists))
        ]
        pool_keys = np.sort(np.concatenate(columns, axis=1), axis=1)[:, ::-1][:, :k]
        scores, places = unpack_keys(np.ascontiguousarray(pool_keys))
        return TopPassages(places, scores)
    weights = method.weigh_sizes(sizes).astype(np.float64)
    turns = np.concatenate(
        [
            np.broadcast_to(np.arange(1, part.shape[1] + 1) / weight, part.shape)
            for part, weight in zip(lists, weights, strict=True)
        ],
        axis=1,
    )
    all_keys = np.concatenate(lists, axis=1)
    order = np.argsort(-all_keys, axis=1, kind="stable")
    by_turn = np.argsort(np.take_along_axis(turns, order, axis=1), axis=1, kind="stable")
    order = np.take_along_axis(order, by_turn[:, :k], axis=1)
    _, places = unpack_keys(np.take_along_axis(all_keys, order, axis=1))
    ranks = np.arange(1, places.shape[1] + 1)
    return TopPassages(places, np.broadcast_to(1 / ranks, places.shape).astype(np.float32))
