"""Pools that are merged from languages have the ranks of a plain sort of comparable scores."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from beir_hybrid.errors import BeirHybridError
from beir_hybrid.retrieval import RankedPassages, RankRequest, batch_counter, count, rank
from beir_hybrid.retrieval.merge_runs import merge
from beir_hybrid.retrieval.merged_pool import find_thresholds
from beir_hybrid.retrieval.merging import (
    MERGE_METHODS,
    MergeMethod,
    Scale,
    parse_merge_method,
    scale_scores,
)
from beir_hybrid.retrieval.runs import Run, make_run_rows
from beir_hybrid.retrieval.sharding import rank_sharded
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
@pytest.mark.parametrize("k", [0, 7])
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
    assert_same_ranking(rank_sharded(scorer, request, shard_size=13), ranked)


@pytest.mark.parametrize("spec", ["local:k=3", "min-max:k=100", "zscore:k=700"])
@pytest.mark.parametrize("values", ["gaussian", "integers"])
def test_merged_pools_of_several_batches_and_blocks(spec: str, values: str) -> None:
    """Ranks are counts of comparable scores, computed here as whole matrices."""
    draw = np.random.default_rng(11)
    n_queries, n_passages, dim = 530, 6000, 6
    languages = {"de": range(2500), "en": range(2500, 2900), "th": range(2900, 6000)}
    queries, passages = (
        (
            draw.integers(-2, 3, (n, dim))
            if values == "integers"
            else draw.standard_normal((n, dim))
        ).astype(np.float32)
        for n in (n_queries, n_passages)
    )
    passages[:2500, 0] += 4
    passages[draw.integers(0, n_passages, 900)] = passages[7]
    golds = (np.arange(n_queries), draw.integers(0, n_passages, n_queries))
    id_order = draw.permutation(n_passages).astype(np.int32)
    method = parse_merge_method(spec)
    ranked = rank(
        make_scorer(queries, passages), make_request(golds, languages, id_order, method=method)
    )
    wide = passages.astype(np.float64)
    for gold, (query, passage) in enumerate(zip(*golds, strict=True)):
        scores = (wide @ queries[query].astype(np.float64)).astype(np.float32)
        scores[(passages == passages[7]).all(axis=1)] = scores[7]
        comparable = np.concatenate(
            [scale_list(method, scores[rows]) for rows in languages.values()]
        )
        is_tie = (comparable == comparable[passage]) & (id_order > id_order[passage])
        above = (comparable > comparable[passage]).sum()
        assert ranked.pool_ranks.n_above[gold] == above
        assert ranked.pool_ranks.tied_later[gold] == is_tie.sum()
        [own] = [rows for rows in languages.values() if passage in rows]
        assert ranked.language_ranks.n_above[gold] == (scores[own] > scores[passage]).sum()


def test_quotas_are_exact_fractions() -> None:
    """Places tie where fractions do, such as 7/21 and 11/33, and nowhere else."""
    sizes = {"de": 21, "en": 33, "fr": 70, "th": 97}
    draw = np.random.default_rng(5)
    scores = {lang: np.sort(draw.standard_normal(n))[::-1] for lang, n in sizes.items()}
    runs = [
        {"q": {f"{lang}:{n}": float(score) for n, score in enumerate(scores[lang], start=1)}}
        for lang in sizes
    ]
    entries = [
        (Fraction(rank, size), -np.float32(scores[lang][rank - 1]), f"{lang}:{rank}")
        for lang, size in sizes.items()
        for rank in range(1, size + 1)
    ]
    expected = [key for _, _, key in sorted(entries)]
    assert list(merge(runs, "quota")["q"]) == expected
    assert sum(a[0] == b[0] for a, b in pairwise(sorted(entries))) > 9


def test_runs_are_merged_by_hand() -> None:
    german = {"q": {"de:1": 9.0, "de:2": 8.0, "de:3": 4.0}}
    english = {"q": {"en:1": 0.9, "en:2": 0.1}, "r": {"en:3": 0.5}}
    # The means of the two best are 8.5 and .5.
    local = merge([german, english], "local:k=2")
    assert local["q"] == pytest.approx(
        {"de:1": 0.5, "en:1": 0.4, "en:2": -0.4, "de:2": -0.5, "de:3": -4.5}
    )
    assert list(local["q"]) == ["de:1", "en:1", "en:2", "de:2", "de:3"]
    assert local["r"] == {"en:3": 0.0}
    assert merge([german, english], "min-max:k=2")["q"] == pytest.approx(
        {"en:1": 1.0, "de:1": 1.0, "en:2": 0.0, "de:2": 0.0, "de:3": -4.0}
    )
    turns = merge([german, english], "round-robin", depth=4)["q"]
    assert list(turns) == ["de:1", "en:1", "de:2", "en:2"]
    assert list(turns.values()) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    # Thirds and halves: 1/3 de:1, 1/2 en:1, 2/3 de:2, then 1 of both, de:3 by its score.
    assert list(merge([german, english], "quota")["q"]) == ["de:1", "en:1", "de:2", "de:3", "en:2"]
    # A passage in both runs: 1/61 + 1/62 before 1/61.
    both = [{"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 5.0, "c": 1.0}}]
    fused = merge(both, "rrf")["q"]
    assert list(fused) == ["b", "a", "c"]
    assert list(fused.values()) == pytest.approx([1, 1 / 2, 1 / 3])
    assert list(merge(both, "rrf", depth=2)["q"]) == ["b", "a"]


@pytest.mark.parametrize("name", ["local:k=3", "round-robin", "rrf", "quota", "zscore:k=9"])
def test_merged_runs_equal_ranked_pools(name: str) -> None:
    """The best passages that `rank` merges are those of merged runs of each language.

    Of passages with equal ranks in their languages, the id decides nothing.
    """
    draw = np.random.default_rng(3)
    queries, passages = (draw.standard_normal((n, 5)).astype(np.float32) for n in (6, 40))
    languages = {"de": range(20), "en": range(20, 40)}
    ids = [f"p{n:02}" for n in draw.permutation(40)]
    id_order = np.argsort(np.argsort(ids)).astype(np.int32)
    golds = (np.arange(6), np.arange(6))
    options = {"k": 9, "collects_languages": True}
    request = make_request(golds, languages, id_order, method=parse_merge_method(name), **options)
    ranked = rank(make_scorer(queries, passages), request)
    names = [f"q{n}" for n in range(6)]
    runs = [
        {query: dict(hits) for query, hits in make_run_rows(ranked.top[lang], names, ids)}
        for lang in languages
    ]
    merged = merge(runs, name, depth=9)
    for query, hits in make_run_rows(ranked.top[""], names, ids):
        assert list(merged[query].items()) == hits


@pytest.mark.parametrize(
    ("runs", "method", "message"),
    [
        ([{"q": {"a": 1.0}}], "local", "at least two runs, not 1"),
        ([{}, {}], "local", "the runs are empty"),
        ([{"q": {"a": 1.0}}, {"q": {"b": float("nan")}}], "local", "no finite float32"),
        ([{}, {}], "locl", "no merge method 'locl'; did you mean 'local'"),
        ([{}, {}], "local:k=0", "k is 0"),
    ],
)
def test_runs_that_cannot_be_merged(runs: list[Run], method: str, message: str) -> None:
    with pytest.raises(BeirHybridError, match=message):
        merge(runs, method)


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["all scores again", "some chunks again"])
def test_pools_that_are_too_large_to_keep_their_scores(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second count gives the same, whether scores were kept or are computed again."""
    draw = np.random.default_rng(8)
    queries, passages = (draw.standard_normal((n, 9)).astype(np.float32) for n in (40, 3000))
    passages[1500:, 0] += 1
    golds = (np.repeat(np.arange(40), 5), draw.integers(0, 3000, 200))
    languages = {"de": range(1500), "en": range(1500, 3000)}
    id_order = draw.permutation(3000).astype(np.int32)
    request = make_request(golds, languages, id_order, method=parse_merge_method("local"), k=5)
    expected = rank(make_scorer(queries, passages), request)
    monkeypatch.setattr(count, "_KEPT_SCORES", 0)
    monkeypatch.setattr(batch_counter, "_FEW_CHUNKS", share)
    assert_same_ranking(rank(make_scorer(queries, passages), request), expected)


@pytest.mark.parametrize("factor", [1.0, 1e-3, 37.5, 1e6, 1e-30])
@pytest.mark.parametrize("shift", [0.0, 0.75, -0.75, 1e5])
def test_thresholds_are_the_ends_of_what_ties(factor: float, shift: float) -> None:
    """Beyond the lowest and the highest score that ties, the next float32 does not."""
    draw = np.random.default_rng(5)
    n, languages = 200, 3
    scores = draw.uniform(-1, 1, n).astype(np.float32)
    scores[:3] = 0, 0.75, -0.75
    factors = factor * draw.uniform(0.5, 2, (n, languages))
    scale = Scale(shift + draw.uniform(-0.1, 0.1, (n, languages)), factors)
    own = draw.integers(0, languages, n)
    low, high = find_thresholds(scores, np.arange(n), own, scale)
    targets = scale_scores(scores, scale.shift[range(n), own], scale.factor[range(n), own])

    def compare(thresholds: np.ndarray, towards: float | None = None) -> np.ndarray:
        moved = thresholds if towards is None else np.nextafter(thresholds, np.float32(towards))
        scaled = scale_scores(moved, scale.shift, scale.factor)
        return np.sign(scaled.astype(np.float64) - targets[:, None])

    assert (compare(low) >= 0).all()
    assert (compare(low, -np.inf) < 0).all()
    assert (compare(high) <= 0).all()
    assert (compare(high, np.inf) > 0).all()
    assert (low[range(n), own] <= scores).all()
    assert (high[range(n), own] >= scores).all()
