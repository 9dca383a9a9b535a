"""Pools that are merged from languages have the ranks of a plain sort of comparable scores."""

import numpy as np
import pytest

from beir_hybrid.errors import BadOption, UnknownName
from beir_hybrid.retrieval import RankedPassages, RankRequest, rank
from beir_hybrid.retrieval.merging import MERGE_METHODS, MergeMethod, parse_merge_method
from beir_hybrid.retrieval.sharded import rank_sharded
from tests.rankings import Languages, assert_same_ranking, make_request, make_scorer

SPECS = [*MERGE_METHODS, "local:k=1", "local:k=1000", "zscore:k=4", "min-max:k=2"]


def scale_list(method: MergeMethod, scores: np.ndarray) -> np.ndarray:
    """Return comparable scores of one language's passages: the definitions, in plain numpy."""
    best = np.sort(scores.astype(np.float64))[::-1][: method.k]
    shift, factor = best.mean(), 1.0
    if method.name == "zscore" and best.std() > 0:
        factor = 1 / best.std()
    if method.name == "min-max":
        shift = best.min()
        factor = 1 / (best.max() - best.min()) if best.max() > best.min() else 1.0
    return ((scores - np.float64(shift)) * factor).astype(np.float32)


def order_pool(
    method: MergeMethod, scores: np.ndarray, languages: Languages, id_order: np.ndarray, sign: int
) -> list[int]:
    """Return the rows of the pool in their order for one query, by sorting."""
    filled = {name: rows for name, rows in languages.items() if rows}
    if method.k:
        comparable = np.empty(len(scores), np.float32)
        for rows in filled.values():
            part = slice(rows.start, rows.stop)
            comparable[part] = scale_list(method, scores[part])
        return sorted(
            range(len(scores)), key=lambda row: (-float(comparable[row]), sign * int(id_order[row]))
        )
    entries = []
    for rows in filled.values():
        ranking = sorted(rows, key=lambda row: (-float(scores[row]), -int(id_order[row])))
        weight = len(rows) if method.name == "quota" else 1
        for place, row in enumerate(ranking, start=1):
            # Exact fractions, as a tie of places is broken by the score.
            entries.append((place * 5040 / weight, -float(scores[row]), -int(id_order[row]), row))
    return [row for *_, row in sorted(entries)]


def check(
    ranked: RankedPassages, request: RankRequest, scores: np.ndarray, plain: RankedPassages
) -> None:
    """Compare ranks and best passages with sorted lists."""
    assert request.method is not None
    for i, (query, passage) in enumerate(
        zip(request.gold_queries, request.gold_passages, strict=True)
    ):
        for ties, sign in (("desc", -1), ("asc", 1)):
            order = order_pool(
                request.method, scores[query], dict(request.languages), request.id_order, sign
            )
            assert ranked.pool_ranks.rank(ties)[i] == order.index(passage) + 1
    assert np.array_equal(ranked.language_ranks.rank(), plain.language_ranks.rank())
    for query in range(len(scores) if request.k else 0):
        order = order_pool(
            request.method, scores[query], dict(request.languages), request.id_order, -1
        )
        assert ranked.top[""].rows[query].tolist() == order[: request.k]
        assert (np.diff(ranked.top[""].scores[query]) <= 0).all()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("values", ["gaussian", "integers", "near"])
@pytest.mark.parametrize("k", [0, 7, 60])
def test_merged_pools(spec: str, values: str, k: int) -> None:
    draw = np.random.default_rng(len(spec) + k)
    # Sizes that divide 5040, so that the places of a quota are exact.
    languages = {"de": range(20), "en": range(20, 27), "fr": range(27, 27), "th": range(27, 57)}
    n_queries, n_passages, dim = 9, 57, 6
    if values == "integers":  # many scores tie
        queries, passages = (
            draw.integers(-1, 2, (n, dim)).astype(np.float32) for n in (n_queries, n_passages)
        )
    else:
        queries, passages = (
            draw.standard_normal((n, dim)).astype(np.float32) for n in (n_queries, n_passages)
        )
    if values == "near":  # scores an ulp apart, and languages that differ by a constant
        passages = np.nextafter(passages[draw.integers(0, 5, n_passages)], np.float32(9))
        passages[20:27, 0] += 3
    golds = (np.repeat(np.arange(n_queries), 6), draw.integers(0, n_passages, n_queries * 6))
    id_order = draw.permutation(n_passages).astype(np.int32)
    method = parse_merge_method(spec)
    request = make_request(golds, languages, id_order, k=k, collects_languages=True, method=method)
    scorer = make_scorer(queries, passages)
    products = queries.astype(np.float64) @ passages.astype(np.float64).T
    scores = products.astype(np.float32) + np.float32(0)
    ranked = rank(scorer, request)
    plain = rank(scorer, make_request(golds, languages, id_order, k=k, collects_languages=True))
    check(ranked, request, scores, plain)
    assert ranked.top.keys() == plain.top.keys()
    for name in ranked.top.keys() - {""}:
        assert np.array_equal(ranked.top[name].rows, plain.top[name].rows)
    for size in (1, 13, 57):
        assert_same_ranking(rank_sharded(scorer, request, shard_size=size), ranked)
