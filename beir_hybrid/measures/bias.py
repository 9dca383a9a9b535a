"""Rankings in, the values of measures of language bias out, a query each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ir_measures import Measure

from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.measures.ranked_judgements import RankedJudgements, ratio

_FAR = np.iinfo(np.int64).max  # the rank of what is not retrieved, where any rank is nearer


def values(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    """Return the measure's value for each query, NaN where it does not apply; (n,) float64."""
    return _arithmetic(measure).value(measure, judged)


def unbiased(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    """Return the value of a ranking without bias, NaN where the measure has none; (n,) float64.

    n - 1 for a rank distance, 0 if it is normalised; 1/n for the language preference; the query
    language's share of the relevant passages, where it has any, for the same-language share, and
    that of pictures for the modality share; 0 for the language disparity; 1 for the others.
    """
    return _arithmetic(measure).unbiased(measure, judged)


@dataclass(frozen=True)
class _Sets:
    """Sets of parallel passages; see `RankDistance`. A set's rows lie side by side."""

    rows: np.ndarray  # (members,) numbers of judgements
    starts: np.ndarray  # (sets,) where in `rows` a set begins
    sizes: np.ndarray  # (sets,)
    query: np.ndarray  # (sets,) whose they are

    def reduce(self, function: np.ufunc, members: np.ndarray) -> np.ndarray:
        """Reduce the members of each set to a number."""
        if not len(self.starts):
            return members[:0]
        reduced: np.ndarray = function.reduceat(members, self.starts)
        return reduced

    def mean(self, of_sets: np.ndarray, n: int) -> np.ndarray:
        """Average over the sets of each query that have a value."""
        there = ~np.isnan(of_sets)
        query = self.query[there]
        return ratio(np.bincount(query, of_sets[there], n), np.bincount(query, minlength=n))


def _sets(measure: Measure, judged: RankedJudgements) -> _Sets:
    rows = np.flatnonzero(judged.relevance >= measure["rel"])
    if not len(rows):
        return _Sets(rows, rows, rows, rows)
    query, lang, key = judged.query[rows], judged.lang[rows], judged.key[rows]
    _, pair, count = np.unique(_codes(query, lang), return_inverse=True, return_counts=True)
    by_key = np.isin(query, query[count[pair] > 1])  # some language has several
    _, place, count = np.unique(_codes(query, key), return_inverse=True, return_counts=True)
    parallel = count[place] > 1
    by_key &= np.isin(query, query[parallel])
    code = _codes(query, np.where(by_key, key + 1, 0))
    kept = parallel | ~by_key
    order = np.flatnonzero(kept)[np.argsort(code[kept], kind="stable")]
    _, starts, sizes = np.unique(code[order], return_index=True, return_counts=True)
    edges = np.minimum.reduceat(lang[order], starts), np.maximum.reduceat(lang[order], starts)
    several = edges[0] < edges[1]  # in one language there is nothing to prefer
    order, sizes = order[np.repeat(several, sizes)], sizes[several]
    starts = np.cumsum(sizes) - sizes
    return _Sets(rows[order], starts, sizes, query[order][starts])


def _codes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a number for each pair of numbers; they sort as the pairs do."""
    codes: np.ndarray = first * (int(second.max(initial=0)) + 1) + second
    return codes


def _rank_distance(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    sets = _sets(measure, judged)
    pool = _pool(measure, judged)[sets.query]
    cutoff = np.minimum(measure["cutoff"] or pool, pool)
    rank = judged.rank[sets.rows]
    ends, cuts = np.repeat(pool, sets.sizes), np.repeat(cutoff, sets.sizes)
    clipped = np.where(rank == 0, np.minimum(ends, cuts + 1), np.minimum(rank, cuts + 1))
    spread = sets.reduce(np.maximum, clipped) - sets.reduce(np.minimum, clipped)
    seen = sets.reduce(np.logical_or, (rank > 0) & (rank <= cuts))
    distance = np.where(seen, spread, np.minimum(pool - 1, cutoff)).astype(np.float64)
    if measure["normalized"]:
        best = sets.sizes - 1
        random = best * (pool + 1) / (sets.sizes + 1)
        # Where all of the pool is relevant, every ranking has the best distance.
        distance = ratio(distance - best, np.where(sets.sizes == pool, 0, random - best))
    return sets.mean(distance, len(judged))


def _unbiased_distance(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    if measure["normalized"]:
        return np.where(np.isnan(_rank_distance(measure, judged)), np.nan, 0.0)
    sets = _sets(measure, judged)
    pool = _pool(measure, judged)[sets.query]
    best = np.minimum(sets.sizes - 1, measure["cutoff"] or pool)
    return sets.mean(best.astype(np.float64), len(judged))


def _language_preference(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    sets, own = _mixed_sets(measure, judged)
    rank = np.where(judged.rank[sets.rows] == 0, _FAR, judged.rank[sets.rows])
    nearest = [sets.reduce(np.minimum, np.where(side, rank, _FAR)) for side in (own, ~own)]
    return sets.mean((nearest[0] <= nearest[1]).astype(np.float64), len(judged))


def _unbiased_preference(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    sets, own = _mixed_sets(measure, judged)
    return sets.mean(sets.reduce(np.add, own.astype(np.int64)) / sets.sizes, len(judged))


def _mixed_sets(measure: Measure, judged: RankedJudgements) -> tuple[_Sets, np.ndarray]:
    """Return the parallel sets with the query's language and another, and which rows are in it."""
    sets = _sets(measure, judged)
    own = _own(judged, sets.rows)
    share = sets.reduce(np.add, own.astype(np.int64))
    mixed = (share > 0) & (share < sets.sizes)
    inside = np.repeat(mixed, sets.sizes)
    sizes = sets.sizes[mixed]
    kept = _Sets(sets.rows[inside], np.cumsum(sizes) - sizes, sizes, sets.query[mixed])
    return kept, own[inside]


def _same_language_share(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    top, seen = _top(measure, judged)
    same = (top == judged.query_lang[:, None]).sum(axis=1)
    return np.where(_asks_images(judged), np.nan, ratio(same, seen, otherwise=1.0))


def _unbiased_share(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    rows = _relevant(measure, judged)
    own = judged.total(rows[_own(judged, rows)])
    # A caption may be the only one in its language, and it is no answer to itself.
    return np.where((own == 0) | _asks_images(judged), np.nan, ratio(own, judged.total(rows)))


def _asks_images(judged: RankedJudgements) -> np.ndarray:
    """Return which queries are pictures, which are in no language; (n,) bool."""
    return (judged.query_lang == judged.image) & (judged.image >= 0)


def _modality_share(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    top, seen = _top(measure, judged)
    images = ((top == judged.image) & (top >= 0)).sum(axis=1)
    return ratio(images, seen, otherwise=1.0)


def _unbiased_modalities(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    rows = _relevant(measure, judged)
    images = rows[judged.lang[rows] == judged.image]
    return ratio(judged.total(images), judged.total(rows))


def _language_disparity(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    wanted, first = _wanted(measure, judged)
    pool = _pool(measure, judged)
    asking = np.flatnonzero(wanted >= 0)
    group, n = wanted[asking], int(wanted.max(initial=-1)) + 1
    rank = np.where(first[asking] == 0, pool[asking], first[asking])
    lang = judged.query_lang[asking]
    pairs, place, count = np.unique(_codes(group, lang), return_inverse=True, return_counts=True)
    of = pairs // (int(lang.max(initial=0)) + 1)
    mean = np.bincount(place, rank, len(pairs)) / count
    low, high, end = np.full(n, np.inf), np.full(n, -np.inf), np.zeros(n, np.int64)
    np.minimum.at(low, of, mean)
    np.maximum.at(high, of, mean)
    np.maximum.at(end, group, pool[asking])
    found = np.bincount(group, first[asking] > 0, n) > 0
    spread = np.where(found, high - low, end - 1)
    langs = np.bincount(of, minlength=n)
    if measure["normalized"]:
        spread = ratio(spread, _random_spread(langs, end))
    spread[langs < 2] = np.nan  # noqa: PLR2004 - one language alone has no spread
    disparity = np.full(len(judged), np.nan)
    disparity[asking] = spread[group]
    return disparity


def _wanted(measure: Measure, judged: RankedJudgements) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for what is relevant to each query, and the rank of the first of these.

    The number is -1 where nothing is relevant, the rank 0 where nothing of it is retrieved.
    """
    rows = _relevant(measure, judged)
    passage = _codes(judged.lang[rows], judged.key[rows])
    order = np.lexsort((passage, judged.query[rows]))
    rows, passage = rows[order], passage[order]
    asking, starts = np.unique(judged.query[rows], return_index=True)
    wanted, first = np.full(len(judged), -1), np.zeros(len(judged), np.int64)
    numbers: dict[bytes, int] = {}
    for query, some in zip(asking.tolist(), np.split(passage, starts[1:]), strict=False):
        wanted[query] = numbers.setdefault(some.tobytes(), len(numbers))
    best = np.full(len(judged), _FAR)
    there = rows[judged.rank[rows] > 0]
    np.minimum.at(best, judged.query[there], judged.rank[there])
    first = np.where(best == _FAR, first, best)
    return wanted, first


def _random_spread(langs: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Return how far apart the first and last of independent random ranks are on average."""
    spread = np.zeros(len(langs))
    for n, end in {*zip(langs.tolist(), pool.tolist(), strict=True)}:
        largest = end - ((np.arange(1, end) / end) ** n).sum()
        spread[(langs == n) & (pool == end)] = 2 * largest - (end + 1)
    return spread


def _unbiased_disparity(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    return np.where(np.isnan(_language_disparity(measure, judged)), np.nan, 0.0)


def _language_exposure(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    n, rows = len(judged), _relevant(measure, judged)
    top, _ = _top(measure, judged)
    width = 1 + max(int(some.max(initial=0)) for some in (judged.lang, top))
    place = np.arange(top.shape[1])
    geometric = measure["discount"] == "geometric"
    attention = measure["p"] ** place if geometric else 1 / np.log2(place + 2)
    seen, at = np.nonzero(top >= 0)
    exposure = _spread(seen, top[seen, at], attention[at], (n, width))
    target = _spread(judged.query[rows], judged.lang[rows], np.ones(len(rows)), (n, width))
    found = 1 - _jensen_shannon(exposure, target)
    found[judged.retrieved == 0] = 0
    found[~target.any(axis=1)] = np.nan
    return found


def _unbiased_exposure(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    return np.where(judged.total(_relevant(measure, judged)) > 0, 1.0, np.nan)


def _spread(
    row: np.ndarray, column: np.ndarray, weight: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Add weights up in a matrix."""
    at = row * shape[1] + column
    return np.bincount(at, weight, shape[0] * shape[1]).reshape(shape)


def _jensen_shannon(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon distances of rows, from 0 to 1; rows need not add up to 1."""
    left, right = (ratio(side, side.sum(axis=1, keepdims=True), 0.0) for side in (left, right))
    middle = (left + right) / 2
    divergence = np.zeros(len(left))
    for side in (left, right):
        quotient = np.where(side > 0, ratio(side, middle, 1.0), 1.0)
        divergence += (side * np.log2(quotient)).sum(axis=1) / 2
    return np.sqrt(np.clip(divergence, 0, 1))


def _peer(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    from scipy.special import chdtrc

    levels = _levels(measure, judged)
    ranks, seen = _midranks(measure, judged, levels)
    langs, statistic = _kruskal_wallis(levels, judged.lang[levels.rows], ranks)
    p = np.where(seen, chdtrc(langs - 1, statistic), 0.0)
    weight = _level_weights(measure, judged.relevance[levels.rows][levels.starts])
    n = len(judged)
    return ratio(np.bincount(levels.query, weight * p, n), np.bincount(levels.query, weight, n))


def _unbiased_peer(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    there = np.bincount(_levels(measure, judged).query, minlength=len(judged)) > 0
    return np.where(there, 1.0, np.nan)


def _levels(measure: Measure, judged: RankedJudgements) -> _Sets:
    """Return the relevance levels that say something, as sets of judgements."""
    rows = np.flatnonzero(_level_weights(measure, judged.relevance) > 0)
    level = judged.relevance[rows] - judged.relevance.min(initial=0)
    code = _codes(judged.query[rows], level)
    order = np.argsort(code, kind="stable")
    rows, code = rows[order], code[order]
    _, starts, sizes = np.unique(code, return_index=True, return_counts=True)
    # Languages of a level: distinct pairs of level and language.
    number = np.repeat(np.arange(len(sizes)), sizes)
    pairs = np.unique(np.stack([number, judged.lang[rows]]), axis=1)
    langs = np.bincount(pairs[0], minlength=len(sizes))
    telling = (langs > 1) & (langs < sizes)
    rows, sizes = rows[np.repeat(telling, sizes)], sizes[telling]
    starts = np.cumsum(sizes) - sizes
    return _Sets(rows, starts, sizes, judged.query[rows][starts])


def _level_weights(measure: Measure, relevance: np.ndarray) -> np.ndarray:
    weights: Mapping[int, float] | None = measure["weights"]
    if weights is None:
        return (relevance > 0).astype(np.float64)
    levels, place = np.unique(relevance, return_inverse=True)
    found = [float(weights.get(level, 0)) for level in levels.tolist()]
    return np.array(found, np.float64)[place]


def _midranks(
    measure: Measure, judged: RankedJudgements, levels: _Sets
) -> tuple[np.ndarray, np.ndarray]:
    """Return ranks within levels, unretrieved passages tied at the end, and levels with any."""
    rank = judged.rank[levels.rows]
    there = (rank > 0) & (rank <= (measure["cutoff"] or _FAR))
    number = np.repeat(np.arange(len(levels.sizes)), levels.sizes)
    order = np.lexsort((np.where(there, rank, _FAR), number))
    ranks = np.empty(len(rank))
    ranks[order] = np.arange(len(rank)) - np.repeat(levels.starts, levels.sizes) + 1
    seen = levels.reduce(np.add, there.astype(np.int64))
    last = (seen + 1 + levels.sizes) / 2
    return np.where(there, ranks, np.repeat(last, levels.sizes)), seen > 0


def _kruskal_wallis(
    levels: _Sets, lang: np.ndarray, ranks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of languages and H of each level; tied ranks share their mean already."""
    n = len(levels.sizes)
    number = np.repeat(np.arange(n), levels.sizes)
    _, first, group, count = np.unique(
        _codes(number, lang), return_index=True, return_inverse=True, return_counts=True
    )
    level = number[first]
    mean = (levels.sizes + 1) / 2
    off = np.bincount(group, ranks) / count - mean[level] if n else np.empty(0)
    between = np.bincount(level, count * off**2, n)
    total = np.bincount(number, (ranks - mean[number]) ** 2, n)
    return np.bincount(level, minlength=n), ratio((levels.sizes - 1) * between, total, 0.0)


def _relevant(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    return np.flatnonzero(judged.relevance >= measure["rel"])


def _own(judged: RankedJudgements, rows: np.ndarray) -> np.ndarray:
    """Return which judgements are of passages in the query's language."""
    own: np.ndarray = judged.lang[rows] == judged.query_lang[judged.query[rows]]
    return own


def _pool(measure: Measure, judged: RankedJudgements) -> np.ndarray:
    pool = np.broadcast_to(measure["pool"] or judged.pool, len(judged))
    least = np.maximum(judged.retrieved, judged.total(_relevant(measure, judged)))
    np.maximum.at(least, judged.query, judged.rank)
    wrong = np.flatnonzero(least > pool)
    if len(wrong):
        small, large = pool[wrong[0]], least[wrong[0]]
        raise BadOption(f"{measure}: the pool has {small} passages, and a query at least {large}")
    return pool


def _top(measure: Measure, judged: RankedJudgements) -> tuple[np.ndarray, np.ndarray]:
    """Return the best passages' languages, -1 past the cutoff, and how many there are."""
    seen = np.minimum(measure["cutoff"], judged.retrieved)
    needed, kept = int(seen.max(initial=0)), judged.top.shape[1]
    if kept < needed:
        raise BadOption(f"{measure} needs the {needed} best passages, and only {kept} are kept")
    top = judged.top[:, :needed]
    return np.where(np.arange(needed) < seen[:, None], top, -1), seen


@dataclass(frozen=True)
class _Arithmetic:
    value: Callable[[Any, RankedJudgements], np.ndarray]
    unbiased: Callable[[Any, RankedJudgements], np.ndarray]


_TABLE = {
    "RankDistance": _Arithmetic(_rank_distance, _unbiased_distance),
    "LanguagePreference": _Arithmetic(_language_preference, _unbiased_preference),
    "SameLanguageShare": _Arithmetic(_same_language_share, _unbiased_share),
    "LanguageExposure": _Arithmetic(_language_exposure, _unbiased_exposure),
    "PEER": _Arithmetic(_peer, _unbiased_peer),
    "LanguageDisparity": _Arithmetic(_language_disparity, _unbiased_disparity),
    "ModalityShare": _Arithmetic(_modality_share, _unbiased_modalities),
}


def _arithmetic(measure: Measure) -> _Arithmetic:
    found = lookup("measure of language bias", str(measure.NAME), _TABLE)
    measure.validate_params()
    return found
