"""One query's ranking in, the value of a measure of language bias out."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ir_measures import Measure

from beir_hybrid.errors import BadOption, lookup


@dataclass(frozen=True)
class JudgedPassage:
    """A judged passage and where it stands.

    Attributes
    ----------
    key
        Its id without the language: parallel passages share it.
    rank
        From 1, ties in descending order of ids; ``None`` if it is not retrieved.
    """

    lang: str
    key: str
    relevance: int
    rank: int | None


@dataclass(frozen=True)
class QueryRanking:
    """What the measures see of a query.

    Attributes
    ----------
    top_langs
        Languages of the best passages, as many as the largest cutoff asks for.
    retrieved
        How many passages are ranked; 0 if the run lacks the query.
    pool
        How many there were to rank: the rank of an unretrieved passage.
    """

    lang: str
    judged: tuple[JudgedPassage, ...]
    top_langs: Sequence[str]
    retrieved: int
    pool: int


_Set = list[JudgedPassage]


def value(measure: Measure, ranking: QueryRanking) -> float | None:
    """Return the measure's value, or ``None`` if it does not apply to the query."""
    return _arithmetic(measure).value(measure, ranking)


def unbiased(measure: Measure, ranking: QueryRanking) -> float | None:
    """Return the value that a ranking without bias has, or ``None`` if the measure has none here.

    n - 1 for a rank distance, 0 if it is normalised; 1/n for the language preference; the query
    language's share of the relevant passages for the same-language share; 1 for the others.
    """
    return _arithmetic(measure).unbiased(measure, ranking)


def informative(measure: Measure, ranking: QueryRanking) -> bool:
    """Return whether the measure can tell rankings of this query's judged passages apart."""
    return value(measure, ranking) is not None


def _rank_distance(measure: Measure, ranking: QueryRanking) -> float | None:
    pool = _pool(measure, ranking)
    cutoff = measure["cutoff"] or pool
    distances = []
    for members in _parallel_sets(_relevant(measure, ranking)):
        distance: float = _distance(members, pool, cutoff)
        if measure["normalized"]:
            best = len(members) - 1
            random = best * (pool + 1) / (len(members) + 1)
            if len(members) == pool:  # every ranking has the best distance
                continue
            distance = (distance - best) / (random - best)
        distances.append(distance)
    return _mean(distances)


def _distance(members: _Set, pool: int, cutoff: int) -> int:
    if all(one.rank is None or one.rank > cutoff for one in members):
        return min(pool - 1, cutoff)
    ranks = [min(pool if one.rank is None else one.rank, cutoff + 1) for one in members]
    return max(ranks) - min(ranks)


def _unbiased_distance(measure: Measure, ranking: QueryRanking) -> float | None:
    if measure["normalized"]:
        return None if _rank_distance(measure, ranking) is None else 0.0
    cutoff = measure["cutoff"] or _pool(measure, ranking)
    sets = _parallel_sets(_relevant(measure, ranking))
    return _mean(min(len(members) - 1, cutoff) for members in sets)


def _language_preference(measure: Measure, ranking: QueryRanking) -> float | None:
    return _mean(_preferred(ranking.lang, members) for members in _mixed_sets(measure, ranking))


def _preferred(lang: str, members: _Set) -> float:
    ranks = [(one.rank, one.lang == lang) for one in members if one.rank is not None]
    return float(min(ranks)[1]) if ranks else 1.0


def _unbiased_preference(measure: Measure, ranking: QueryRanking) -> float | None:
    sets = _mixed_sets(measure, ranking)
    return _mean(_share(ranking.lang, (one.lang for one in members)) for members in sets)


def _mixed_sets(measure: Measure, ranking: QueryRanking) -> list[_Set]:
    """Return the parallel sets that hold the query's language and another."""
    sets = _parallel_sets(_relevant(measure, ranking))
    return [some for some in sets if {one.lang == ranking.lang for one in some} == {True, False}]


def _same_language_share(measure: Measure, ranking: QueryRanking) -> float | None:
    return _share(ranking.lang, _top(measure, ranking)) if ranking.retrieved else 1.0


def _unbiased_share(measure: Measure, ranking: QueryRanking) -> float | None:
    relevant = _relevant(measure, ranking)
    return _share(ranking.lang, (one.lang for one in relevant)) if relevant else None


def _language_exposure(measure: Measure, ranking: QueryRanking) -> float | None:
    target = Counter(one.lang for one in _relevant(measure, ranking))
    if not target:
        return None
    exposure: dict[str, float] = defaultdict(float)
    for place, lang in enumerate(_top(measure, ranking)):
        geometric = measure["discount"] == "geometric"
        exposure[lang] += measure["p"] ** place if geometric else 1 / math.log2(place + 2)
    return 1 - _jensen_shannon(exposure, target) if exposure else 0.0


def _unbiased_exposure(measure: Measure, ranking: QueryRanking) -> float | None:
    return 1.0 if _relevant(measure, ranking) else None


def _jensen_shannon(left: dict[str, float], right: Counter[str]) -> float:
    """Return the Jensen-Shannon distance of two distributions, from 0 to 1."""
    totals = sum(left.values()), right.total()
    divergence = 0.0
    for lang in left.keys() | right.keys():
        one, other = left.get(lang, 0) / totals[0], right[lang] / totals[1]
        middle = (one + other) / 2
        divergence += sum(part * math.log2(part / middle) / 2 for part in (one, other) if part)
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def _peer(measure: Measure, ranking: QueryRanking) -> float | None:
    from scipy.special import chdtrc

    total = weighted = 0.0
    for weight, level in _levels(measure, ranking):
        ranks = _midranks(level, measure["cutoff"] or math.inf)
        total += weight
        if ranks:
            groups: dict[str, list[float]] = defaultdict(list)
            for one, rank in zip(level, ranks, strict=True):
                groups[one.lang].append(rank)
            weighted += weight * float(chdtrc(len(groups) - 1, kruskal_wallis(groups.values())))
    return weighted / total if total else None


def _unbiased_peer(measure: Measure, ranking: QueryRanking) -> float | None:
    return 1.0 if _levels(measure, ranking) else None


def _levels(measure: Measure, ranking: QueryRanking) -> list[tuple[float, _Set]]:
    """Return the relevance levels that say something, and their weights."""
    levels: dict[int, _Set] = defaultdict(list)
    for one in ranking.judged:
        levels[one.relevance].append(one)
    weights = measure["weights"] or {level: 1.0 for level in levels if level > 0}
    found = []
    for level, members in levels.items():
        langs = Counter(one.lang for one in members)
        if weights.get(level) and 1 < len(langs) < len(members):
            found.append((weights[level], members))
    return found


def _midranks(members: _Set, cutoff: float) -> list[float]:
    """Return the ranks among these passages, unretrieved ones tied at the end; none if all are."""
    raw = [math.inf if one.rank is None or one.rank > cutoff else one.rank for one in members]
    seen = sorted(rank for rank in raw if rank < math.inf)
    last = (len(seen) + 1 + len(raw)) / 2
    places = {rank: place for place, rank in enumerate(seen, start=1)}
    return [places.get(rank, last) for rank in raw] if seen else []


def kruskal_wallis(groups: Iterable[Sequence[float]]) -> float:
    """Return H of ranks by group; ties have to share the mean of their ranks already.

    >>> round(kruskal_wallis([[1, 2], [3, 4]]), 6)
    2.4
    """
    kept = list(groups)
    ranks = [rank for group in kept for rank in group]
    mean = fmean(ranks)
    between = sum(len(group) * (fmean(group) - mean) ** 2 for group in kept)
    return (len(ranks) - 1) * between / sum((rank - mean) ** 2 for rank in ranks)


def _relevant(measure: Measure, ranking: QueryRanking) -> _Set:
    return [one for one in ranking.judged if one.relevance >= measure["rel"]]


def _parallel_sets(relevant: _Set) -> list[_Set]:
    """Return the sets of parallel passages; see `RankDistance`."""
    if len({one.lang for one in relevant}) < len(relevant):
        by_key: dict[str, _Set] = defaultdict(list)
        for one in relevant:
            by_key[one.key].append(one)
        several = [members for members in by_key.values() if len(members) > 1]
        if several:
            return several
    return [relevant] if len(relevant) > 1 else []


def _pool(measure: Measure, ranking: QueryRanking) -> int:
    pool: int = measure["pool"] or ranking.pool
    deepest = max((one.rank for one in ranking.judged if one.rank), default=0)
    least = max(ranking.retrieved, deepest, len(_relevant(measure, ranking)))
    if least > pool:
        raise BadOption(f"{measure}: the pool has {pool} passages, and a query at least {least}")
    return pool


def _top(measure: Measure, ranking: QueryRanking) -> Sequence[str]:
    k = min(measure["cutoff"], ranking.retrieved)
    if len(ranking.top_langs) < k:
        kept = len(ranking.top_langs)
        raise BadOption(f"{measure} needs the {k} best passages, and only {kept} are kept")
    return ranking.top_langs[:k]


def _share(lang: str, langs: Iterable[str]) -> float:
    return fmean(other == lang for other in langs)


def _mean(values: Iterable[float]) -> float | None:
    kept = list(values)
    return fmean(kept) if kept else None


@dataclass(frozen=True)
class _Arithmetic:
    value: Callable[[Any, QueryRanking], float | None]
    unbiased: Callable[[Any, QueryRanking], float | None]


_TABLE = {
    "RankDistance": _Arithmetic(_rank_distance, _unbiased_distance),
    "LanguagePreference": _Arithmetic(_language_preference, _unbiased_preference),
    "SameLanguageShare": _Arithmetic(_same_language_share, _unbiased_share),
    "LanguageExposure": _Arithmetic(_language_exposure, _unbiased_exposure),
    "PEER": _Arithmetic(_peer, _unbiased_peer),
}


def _arithmetic(measure: Measure) -> _Arithmetic:
    found = lookup("measure of language bias", str(measure.NAME), _TABLE)
    measure.validate_params()  # type: ignore[no-untyped-call] # ir_measures leaves it without
    return found
