"""Rankings of each kind of setting, built from judgements and exact ranks.

Where captions are queries and passages alike, the best passage for a caption is that caption. It is
ranked with the others, so that the ranks of the passages behind it are known, and removed here.
"""

from dataclasses import replace

import numpy as np

from beir_hybrid.collection.judgements import SELF_MATCH, Judgements, number_languages
from beir_hybrid.collection.setting import ALL, IMAGE, MIXED, SETTING_KINDS, Setting, SettingKind
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures.ranked_judgements import RankedJudgements, Rankings
from beir_hybrid.results.pool_languages import list_pool_kinds
from beir_hybrid.retrieval import GoldRanks, RankedPassages, TopPassages
from beir_hybrid.retrieval.results import POOL, POOL_WITH_IMAGES

_NAMES_OF_POOLS = {ALL: POOL, MIXED: POOL_WITH_IMAGES}  # in `RankedPassages.top`


class NothingToScore(BadData):
    """A setting has no relevant passage."""


def find_best(ranks: RankedPassages, target: str) -> TopPassages | None:
    """Return the best passages of a language or pool, if they were collected."""
    return ranks.top.get(_NAMES_OF_POOLS.get(target, target))


def count_self_matches(judgements: Judgements) -> int:
    """Count the passages to collect beside those of a run: a query may be among its own."""
    queries = judgements.query[judgements.relevance == SELF_MATCH]
    return int(np.unique(queries, return_counts=True)[1].max(initial=0))


def remove_queries(
    judgements: Judgements, ranks: RankedPassages, first_row: int, k: int
) -> RankedPassages:
    """Return the ranks with the k best passages of each query that are not the query itself.

    Parameters
    ----------
    ranks
        Collected with as many more passages as `count_self_matches` says.
    first_row
        The row of the first query in `ranks`.
    """
    is_self_match = judgements.relevance == SELF_MATCH
    if not is_self_match.any():
        return ranks
    query, passage = judgements.query[is_self_match] - first_row, judgements.passage[is_self_match]
    top = {name: _remove_pairs(best, query, passage, k) for name, best in ranks.top.items()}
    return replace(ranks, top=top)


def _remove_pairs(best: TopPassages, query: np.ndarray, passage: np.ndarray, k: int) -> TopPassages:
    """Return the k best passages without some pairs of query and passage."""
    width = 1 + max(int(best.rows.max(initial=0)), int(passage.max()))
    codes = np.arange(len(best.rows))[:, None] * width + best.rows
    is_removed = np.isin(codes, query * width + passage)
    order = np.argsort(is_removed, axis=1, kind="stable")[:, :k]
    is_past_end = np.take_along_axis(is_removed, order, axis=1)
    rows = np.where(is_past_end, -1, np.take_along_axis(best.rows, order, axis=1))
    scores = np.where(is_past_end, -np.inf, np.take_along_axis(best.scores, order, axis=1))
    return TopPassages(rows, scores.astype(np.float32))


def build_rankings(
    judgements: Judgements, kind: SettingKind, ranks: RankedPassages, first_row: int = 0
) -> Rankings:
    """Return the rankings of a kind of setting, with the judged passages of each.

    Parameters
    ----------
    ranks
        The ranks of all judged passages.
    first_row
        The row of the first query in `ranks`.
    """
    has_sides = judgements.match_sides(kind)
    candidates = judgements.select(has_sides)
    is_self_match = candidates.relevance == SELF_MATCH
    target = candidates.number_targets(kind)
    # A number for each pair of query and target, which is a ranking.
    pair = candidates.query * len(candidates.targets) + target
    # Where golds are dropped from the pool, ranks are first those in the pool, one a query.
    ranking_code = candidates.query if kind.drops_other_golds else pair
    rank, rank_ascending = (
        _rank_candidates(candidates, kind, judgement_ranks[has_sides], ranking_code, is_self_match)
        for judgement_ranks in _select_ranks(kind, ranks)
    )
    is_included = _is_counted(judgements, candidates, pair) & ~is_self_match
    if kind.same_language is not None:
        is_included &= candidates.is_same_language == kind.same_language
    order = np.flatnonzero(is_included)[np.argsort(pair[is_included], kind="stable")]
    distinct, ranking = np.unique(pair[order], return_inverse=True)
    first = order[np.searchsorted(ranking, np.arange(len(distinct)))]
    query_rows, targets = candidates.query[first], target[first]
    self_match_counts = _count_values(np.sort(ranking_code[is_self_match]), ranking_code[first])
    pool_sizes = _count_pools(candidates, kind, query_rows, targets) - self_match_counts
    table = RankedJudgements(
        query=ranking,
        relevance=candidates.relevance[order],
        rank=rank[order],
        rank_ascending=rank_ascending[order],
        passage_language=candidates.passage_language[order],
        parallel_key=candidates.key[order],
        query_language=number_languages(query_rows, candidates.query_ranges),
        ranking_length=pool_sizes,
        pool_size=pool_sizes,
        top_languages=_list_top_languages(candidates, kind, ranks, query_rows - first_row),
        image_number=len(candidates.languages) if candidates.has_images else -1,
    )
    has_tie = _find_ties(candidates, kind, ranks, np.flatnonzero(has_sides)[order])
    return Rankings(kind.name, query_rows, targets, candidates.passage[order], table, has_tie)


def build_empty_rankings(judgements: Judgements, setting: Setting) -> Rankings:
    """Return the rankings of a setting, as if no passage were retrieved."""
    kind = SETTING_KINDS[setting.kind]
    if setting.queries == IMAGE and not kind.image_queries:
        raise BadOption(
            f"{setting.name} is no setting: images are ranked for captions, and these for images"
        )
    selection = judgements.select_queries(judgements.query_ranges[setting.queries])
    nowhere = GoldRanks(*np.zeros((3, len(selection.query)), np.int64))
    ranks = RankedPassages(
        np.zeros(len(selection.query), np.float32), nowhere, nowhere, nowhere, {}
    )
    rankings = build_rankings(selection, kind, ranks)
    target = kind.pool or setting.passages
    rankings = rankings.select(rankings.targets == judgements.targets.index(target))
    if not len(rankings.query_rows):
        raise NothingToScore(
            f"{judgements.name} has no relevant passage in {setting.name}: nothing to score"
        )
    return rankings


def _select_ranks(kind: SettingKind, ranks: RankedPassages) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks of all judgements, ties by descending and by ascending ids."""
    ranks_by_pool = {"": ranks.language_ranks, ALL: ranks.pool_ranks, MIXED: ranks.mixed_ranks}
    gold_ranks = ranks_by_pool[ALL if kind.drops_other_golds else kind.pool]
    return gold_ranks.rank("desc"), gold_ranks.rank("asc")


def _is_counted(judgements: Judgements, candidates: Judgements, pair: np.ndarray) -> np.ndarray:
    """Return whether candidates' rankings have a gold, or their queries none at all."""
    answered_queries = judgements.query[judgements.relevance > 0]
    is_counted: np.ndarray = np.isin(pair, pair[candidates.relevance > 0])
    return is_counted | ~np.isin(candidates.query, answered_queries)


def _find_ties(
    candidates: Judgements, kind: SettingKind, ranks: RankedPassages, rows: np.ndarray
) -> np.ndarray | None:
    """Return whether passages of a pool, by rows of `ranks`, tie with others; None elsewhere.

    It is unknown where queries are passages themselves: the other one may be the query.
    """
    if not list_pool_kinds([kind.name]) or (candidates.relevance == SELF_MATCH).any():
        return None
    gold_ranks = ranks.mixed_ranks if kind.pool == MIXED else ranks.pool_ranks
    has_tie: np.ndarray = gold_ranks.tied_later + gold_ranks.tied_earlier > 0
    return has_tie[rows]


def _rank_candidates(
    judgements: Judgements,
    kind: SettingKind,
    rank: np.ndarray,
    ranking_code: np.ndarray,
    is_self_match: np.ndarray,
) -> np.ndarray:
    """Return ranks without the query itself and, where they are dropped, without other golds."""
    if is_self_match.any():
        order = np.lexsort((rank, ranking_code))
        rank = rank.copy()
        rank[order] -= _sum_before(ranking_code[order], is_self_match[order].astype(np.int64))
    return _drop_other_golds(judgements, rank) if kind.drops_other_golds else rank


def _drop_other_golds(judgements: Judgements, rank: np.ndarray) -> np.ndarray:
    """Return ranks in the pool less the golds of other languages before each passage."""
    order = np.lexsort((rank, judgements.query))
    is_gold = (judgements.relevance[order] > 0).astype(np.int64)
    golds_before = _sum_before(judgements.query[order], is_gold)
    width = len(judgements.codes)
    pair = (judgements.query * width + judgements.passage_language)[order]
    by_pair = np.argsort(pair, kind="stable")  # by rank within the pair
    same_language_golds = np.empty_like(golds_before)
    same_language_golds[by_pair] = _sum_before(pair[by_pair], is_gold[by_pair])
    reduced_rank = rank.copy()
    reduced_rank[order] -= golds_before - same_language_golds
    return reduced_rank


def _count_pools(
    judgements: Judgements, kind: SettingKind, query_rows: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Count the passages of each ranking, including the query itself."""
    sizes = [len(rows) for rows in judgements.passage_ranges.values()]
    text_count = sum(sizes[: len(judgements.languages)])
    if kind.drops_other_golds:
        return text_count - _count_other_golds(judgements, query_rows, targets)
    return np.array([*sizes, text_count, sum(sizes)])[targets]


def _count_other_golds(
    judgements: Judgements, query_rows: np.ndarray, language: np.ndarray
) -> np.ndarray:
    """Count each query's golds in languages other than the given one."""
    is_gold, width = judgements.relevance > 0, len(judgements.codes)
    distinct, place = np.unique(judgements.query, return_inverse=True)
    code = place[is_gold] * width + judgements.passage_language[is_gold]
    counts = np.bincount(code, minlength=len(distinct) * width).reshape(-1, width)
    index = np.searchsorted(distinct, query_rows)
    other_counts: np.ndarray = counts.sum(axis=1)[index] - counts[index, language]
    return other_counts


def _list_top_languages(
    judgements: Judgements, kind: SettingKind, ranks: RankedPassages, rows: np.ndarray
) -> np.ndarray:
    """Return the languages of the best passages of the pool, as many as were collected."""
    best = find_best(ranks, kind.pool) if kind.is_pool else None
    if best is None:
        return np.empty((len(rows), 0), np.int64)
    return number_languages(best.rows[rows], judgements.passage_ranges)


def _count_values(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Count how often each value occurs in an ascending array."""
    counts: np.ndarray = np.searchsorted(ascending, values, side="right")
    return counts - np.searchsorted(ascending, values)


def _sum_before(group: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Return the sum of the amounts before each place in its group; groups lie side by side."""
    total = np.cumsum(amount) - amount
    start: np.ndarray = total[np.searchsorted(group, group)]
    return total - start
