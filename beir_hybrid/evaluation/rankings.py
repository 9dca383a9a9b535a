"""Judgements and exact ranks in, every setting's judged passages out as columns.

Where captions are asked and found alike, the best passage for a caption is that caption. It is
ranked with the others, for what stands behind it is then known, and here it goes.
"""

from dataclasses import replace

import numpy as np

from beir_hybrid.collection.judgements import SELF_MATCH, Judgements, number_languages
from beir_hybrid.collection.setting import ALL, MIXED, SETTING_KINDS, KindName
from beir_hybrid.measures.ranked_judgements import RankedJudgements, Rankings
from beir_hybrid.retrieval import Best, Ranked
from beir_hybrid.retrieval.count import WHOLE

_NAMES = {ALL: "", MIXED: WHOLE}  # what `rank` calls them


def best_of(ranked: Ranked, passages: str) -> Best | None:
    """Return the best of what `Setting.passages` says, if they were collected."""
    return ranked.best.get(_NAMES.get(passages, passages))


def spare(judgements: Judgements) -> int:
    """Return how many more passages to collect for each query than are asked for."""
    itself = judgements.query[judgements.relevance == SELF_MATCH]
    return int(np.unique(itself, return_counts=True)[1].max(initial=0))


def without_itself(judgements: Judgements, ranked: Ranked, start: int, k: int) -> Ranked:
    """Return what was ranked with the k best passages of each query other than itself.

    `ranked` starts with the query in the row `start`, and has as many more as `spare` says.
    """
    itself = judgements.relevance == SELF_MATCH
    if not itself.any():
        return ranked
    pairs = judgements.query[itself] - start, judgements.passage[itself]
    best = {name: _less(found, *pairs, k) for name, found in ranked.best.items()}
    return replace(ranked, best=best)


def _less(best: Best, query: np.ndarray, passage: np.ndarray, k: int) -> Best:
    width = 1 + max(int(best.rows.max(initial=0)), int(passage.max()))
    codes = np.arange(len(best.rows))[:, None] * width + best.rows
    itself = np.isin(codes, query * width + passage)
    order = np.argsort(itself, axis=1, kind="stable")[:, :k]
    gone = np.take_along_axis(itself, order, axis=1)
    rows = np.where(gone, -1, np.take_along_axis(best.rows, order, axis=1))
    scores = np.where(gone, -np.inf, np.take_along_axis(best.scores, order, axis=1))
    return Best(rows, scores.astype(np.float32))


def scored(judgements: Judgements, kind: KindName, ranked: Ranked, start: int = 0) -> Rankings:
    """Return the rankings of a kind; `ranked` starts with the query in the row `start`."""
    sides = SETTING_KINDS[kind]
    inside = judgements.match_sides(sides)
    mine = judgements.select(inside)
    itself = mine.relevance == SELF_MATCH
    target = mine.number_targets(sides)
    pair = mine.query * len(mine.targets) + target
    of = mine.query if kind == "one-target" else pair  # the ranking that ranks are of
    found = {"": ranked.own, ALL: ranked.pool, MIXED: ranked.whole}
    places = ranked.pool if kind == "one-target" else found[sides.pool]
    ranks = [_up(places.rank(ties)[inside], of, itself) for ties in ("desc", "asc")]
    if kind == "one-target":
        ranks = [_alone(mine, rank) for rank in ranks]
    kept = np.isin(pair, pair[mine.relevance > 0]) & ~itself
    if kind in ("mono", "cross"):
        kept &= (mine.query_language == mine.passage_language) == (kind == "mono")
    order = np.flatnonzero(kept)[np.argsort(pair[kept], kind="stable")]
    distinct, ranking = np.unique(pair[order], return_inverse=True)
    first = order[np.searchsorted(ranking, np.arange(len(distinct)))]
    row, at = mine.query[first], target[first]
    pool = _pool(mine, kind, row, at) - _count(np.sort(of[itself]), of[first])
    judged = RankedJudgements(
        query=ranking,
        relevance=mine.relevance[order],
        rank=ranks[0][order],
        rank_ascending=ranks[1][order],
        passage_language=mine.passage_language[order],
        parallel_key=mine.key[order],
        query_language=number_languages(row, mine.query_ranges),
        ranking_length=pool,
        pool_size=pool,
        top_languages=_top(mine, kind, ranked, row - start),
        image_number=len(mine.languages) if mine.has_images else -1,
    )
    return Rankings(kind, row, at, mine.passage[order], judged)


def _up(rank: np.ndarray, of: np.ndarray, itself: np.ndarray) -> np.ndarray:
    """Return ranks where what stands behind the query itself is one further up."""
    if not itself.any():
        return rank
    order = np.lexsort((rank, of))
    found = rank.copy()
    found[order] -= _running(of[order], itself[order].astype(np.int64))
    return found


def _alone(judgements: Judgements, rank: np.ndarray) -> np.ndarray:
    """Return ranks in the pool less the relevant passages of other languages before them."""
    order = np.lexsort((rank, judgements.query))
    relevant = (judgements.relevance[order] > 0).astype(np.int64)
    before = _running(judgements.query[order], relevant)
    width = len(judgements.codes)
    pair = (judgements.query * width + judgements.passage_language)[order]
    by_pair = np.argsort(pair, kind="stable")  # by rank within the pair
    own = np.empty_like(before)
    own[by_pair] = _running(pair[by_pair], relevant[by_pair])
    alone = rank.copy()
    alone[order] -= before - own
    return alone


def _pool(
    judgements: Judgements, kind: KindName, row: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Count the passages of each ranking, the query itself among them."""
    groups = judgements.passage_ranges
    sizes = [len(rows) for rows in groups.values()]
    texts = sum(sizes[: len(judgements.languages)])
    if kind == "one-target":
        return texts - _others(judgements, row, target)
    return np.array([*sizes, texts, sum(sizes)])[target]


def _others(judgements: Judgements, row: np.ndarray, lang: np.ndarray) -> np.ndarray:
    """Count the relevant passages of each query in other languages than one."""
    relevant, width = judgements.relevance > 0, len(judgements.codes)
    asking, place = np.unique(judgements.query, return_inverse=True)
    at = place[relevant] * width + judgements.passage_language[relevant]
    counts = np.bincount(at, minlength=len(asking) * width).reshape(-1, width)
    mine = np.searchsorted(asking, row)
    others: np.ndarray = counts.sum(axis=1)[mine] - counts[mine, lang]
    return others


def _top(judgements: Judgements, kind: KindName, ranked: Ranked, rows: np.ndarray) -> np.ndarray:
    """Return the languages of the best passages of the pool, as far as they were collected."""
    together = SETTING_KINDS[kind].pool
    best = best_of(ranked, together) if together else None
    if best is None:
        return np.empty((len(rows), 0), np.int64)
    return number_languages(best.rows[rows], judgements.passage_ranges)


def _count(ascending: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return how often each wanted number occurs."""
    found: np.ndarray = np.searchsorted(ascending, wanted, side="right")
    return found - np.searchsorted(ascending, wanted)


def _running(group: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Add up what comes before each place within its group; groups lie side by side."""
    total = np.cumsum(amount) - amount
    starts: np.ndarray = total[np.searchsorted(group, group)]
    return total - starts
