"""Exact ranks and best passages equal those of a plain sort of every score."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.retrieval import DenseScorer, RankedPassages, RankRequest, rank
from beir_hybrid.retrieval.exact_scorer import ExactScorer
from beir_hybrid.retrieval.kernels import count_dense_above
from beir_hybrid.retrieval.request import BLOCK_PASSAGES
from beir_hybrid.retrieval.scorer import BatchGolds, BatchPlan, Scorer
from beir_hybrid.retrieval.sharding import rank_sharded
from tests.rankings import Golds, Languages, assert_same_ranking, make_request, make_scorer

MakeVectors = Callable[[np.random.Generator, int, int], np.ndarray]


def vectors(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def sort_rows(scores: np.ndarray, id_order: np.ndarray, rows: range, ties: str) -> list[int]:
    """Return row numbers by descending score, then by id: the definition, in plain Python."""
    sign = -1 if ties == "desc" else 1
    return sorted(rows, key=lambda row: (-float(scores[row]), sign * int(id_order[row])))


def check_ranking(
    ranked: RankedPassages, scores: np.ndarray, golds: Golds, languages: Languages,
    id_order: np.ndarray, k: int,
) -> None:  # fmt: skip
    """Compare everything that `rank` finds with sorted lists of all scores."""
    n_queries, n_passages = scores.shape
    pools = {"": range(n_passages)} | {name: rows for name, rows in languages.items() if rows}
    sorted_rows = {
        (name, ties, query): sort_rows(scores[query], id_order, rows, ties)
        for name, rows in pools.items()
        for ties in ("desc", "asc")
        for query in range(n_queries)
    }
    for i, (query, passage) in enumerate(zip(*golds, strict=True)):
        language = next(name for name, rows in pools.items() if name and passage in rows)
        assert ranked.gold_scores[i] == scores[query, passage]
        for ties in ("desc", "asc"):
            for name, ranks in (("", ranked.pool_ranks), (language, ranked.language_ranks)):
                place = sorted_rows[name, ties, query].index(passage) + 1
                assert ranks.rank(ties)[i] == place
    assert ranked.top.keys() == (pools.keys() if k else set())
    for name, top in ranked.top.items():
        assert top.rows.shape == top.scores.shape == (n_queries, min(k, len(pools[name])))
        for query in range(n_queries):
            rows = sorted_rows[name, "desc", query][:k]
            assert top.rows[query].tolist() == rows
            assert top.scores[query].tolist() == scores[query, rows].tolist()


def check_dense(
    queries: np.ndarray, passages: np.ndarray, golds: Golds, languages: Languages,
    id_order: np.ndarray, k: int,
) -> RankedPassages:  # fmt: skip
    """Rank vectors by numpy and by torch, and compare with their inner products."""
    request = make_request(golds, languages, id_order, k=k, collects_languages=True)
    ranked = rank(make_scorer(queries, passages), request)
    assert_same_ranking(rank(make_scorer(queries, passages, "cpu:0"), request), ranked)
    # Whatever the order of the sums, float64 is exact for the integers and far finer than float32
    # for the others.
    products = queries.astype(np.float64) @ passages.astype(np.float64).T
    scores = products.astype(np.float32) + np.float32(0)
    check_ranking(ranked, scores, golds, languages, id_order, k)
    return ranked


def gaussian(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return draw.standard_normal((n, dim)).astype(np.float32)


def integers(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return draw.integers(-1, 2, (n, dim)).astype(np.float32)


def twins(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Few distinct vectors, some an ulp apart, so that fast scores cannot tell them apart."""
    distinct = gaussian(draw, 4, dim)
    distinct[2] = np.nextafter(distinct[0], np.float32(9))
    distinct[3] = distinct[1] * np.float32(1 + 2.0**-23)
    return distinct[draw.integers(0, 4, n)]


def collapsed(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return np.repeat(gaussian(draw, 1, dim), n, axis=0)


def zeros(_draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return np.zeros((n, dim), dtype=np.float32)


def tiny(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Vectors whose scores are at the end of the range of float32."""
    return gaussian(draw, n, dim) * np.float32(2.0**-70)


KINDS = [gaussian, integers, twins, collapsed, zeros, tiny]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("dim", [1, 8, 37])
@pytest.mark.parametrize("k", [0, 1, 60, 9999])
def test_ranks_and_best_are_those_of_a_sort(make: MakeVectors, dim: int, k: int) -> None:
    draw = np.random.default_rng(dim)
    sizes = [500, 1, 0, 199]
    edges = np.cumsum([0, *sizes]).tolist()
    languages = {name: range(*edge) for name, edge in
                 zip("abcd", pairwise(edges), strict=True)}  # fmt: skip
    query = np.sort(draw.integers(0, 7, 25))  # a query without golds, most with several
    query[query == 3] = 4
    golds = query, draw.integers(0, 700, 25)
    queries = make(draw, 7, dim) if make is tiny else gaussian(draw, 7, dim)
    if make is integers:
        queries = integers(draw, 7, dim)
    id_order = draw.permutation(700).astype(np.int32)
    check_dense(queries, make(draw, 700, dim), golds, languages, id_order, k)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_small_rankings_full_of_ties(data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, 9))
    number = st.integers(-2, 2).map(float)
    row = st.lists(number, min_size=dim, max_size=dim)
    queries = data.draw(st.lists(row, min_size=1, max_size=4))
    passages = data.draw(st.lists(row, min_size=1, max_size=30))
    cut = data.draw(st.integers(0, len(passages)))
    languages = {"x": range(cut), "y": range(cut, len(passages))}
    pair = st.tuples(st.integers(0, len(queries) - 1), st.integers(0, len(passages) - 1))
    pairs = sorted(data.draw(st.lists(pair, max_size=12)))
    golds = np.array([q for q, _ in pairs], int), np.array([p for _, p in pairs], int)
    id_order = np.array(data.draw(st.permutations(range(len(passages)))), np.int32)
    k = data.draw(st.integers(0, len(passages) + 1))
    check_dense(vectors(*queries), vectors(*passages), golds, languages, id_order, k)


@pytest.mark.parametrize("k", [1, 3, 8, 9])
@pytest.mark.parametrize("stride", [1, 32, 64, 128], ids=lambda stride: f"every {stride}th")
def test_few_best_wherever_they_are(k: int, stride: int) -> None:
    """The best passages may be neighbours, or at equal distances, or in ascending order."""
    n = 1500
    scores = np.random.default_rng(stride).random(n).astype(np.float32)
    scores[-1 : -stride * k : -stride] += 2
    passages = np.stack([scores, np.sort(scores), -np.sort(-scores)], axis=1)
    golds = np.arange(3), np.array([0, 1, 2])
    languages = {"de": range(1400), "en": range(1400, n)}
    check_dense(np.eye(3, dtype=np.float32), passages, golds, languages,
                np.arange(n, dtype=np.int32), k)  # fmt: skip


def test_four_passages_by_hand() -> None:
    # The scores of the first query are 2, 2, 3, 2, those of the second 0, 0, 1, 0.
    scorer = make_scorer(vectors([1, 0], [0, 1]), vectors([2, 0], [2, 0], [3, 1], [2, 0]))
    golds = numbers(0, 0, 1), numbers(0, 2, 3)
    languages = {"en": range(3), "de": range(3, 4)}
    # By id: passage 3, then 0, 2, 1.
    ranked = rank(scorer, make_request(golds, languages, numbers(1, 3, 2, 0), k=3))
    assert ranked.gold_scores.tolist() == [2, 3, 0]
    assert ranked.pool_ranks.rank("desc").tolist() == [3, 1, 4]
    assert ranked.pool_ranks.rank("asc").tolist() == [3, 1, 2]
    assert ranked.language_ranks.rank("desc").tolist() == [3, 1, 1]
    assert ranked.language_ranks.rank("asc").tolist() == [2, 1, 1]
    assert ranked.pool_ranks.n_above.tolist() == [1, 0, 1]
    assert list(ranked.top) == [""]
    assert ranked.top[""].rows.tolist() == [[2, 1, 0]] * 2
    assert ranked.top[""].scores.tolist() == [[3, 2, 2], [1, 0, 0]]


def test_one_passage_and_one_query() -> None:
    ranked = check_dense(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32),
                         (numbers(0), numbers(0)), {"en": range(1)}, numbers(0), 5)  # fmt: skip
    assert ranked.pool_ranks.rank().tolist() == [1]


def test_nothing_to_rank() -> None:
    no_vectors, no_golds = np.empty((0, 2), np.float32), (numbers(), numbers())
    request = make_request(no_golds, {"en": range(1)}, numbers(0), k=2)
    ranked = rank(make_scorer(no_vectors, vectors([1, 2])), request)
    assert ranked.pool_ranks.rank().tolist() == []
    assert ranked.top[""].rows.shape == (0, 1)
    ranked = rank(
        make_scorer(vectors([1, 2]), no_vectors), make_request(no_golds, {}, numbers(), k=2)
    )
    assert ranked.top[""].rows.shape == (1, 0)


def test_minus_zero_ties_with_zero() -> None:
    golds = numbers(0, 0), numbers(0, 1)
    ranked = rank(
        make_scorer(vectors([1]), vectors([-0.0], [0.0])),
        make_request(golds, {"en": range(2)}, numbers(1, 0), k=2),
    )
    assert ranked.pool_ranks.rank("desc").tolist() == [1, 2]
    assert ranked.top[""].rows.tolist() == [[0, 1]]


def test_more_than_one_batch_and_block_in_any_cut_of_the_passages() -> None:
    """Blocks end where languages do: other languages are other blocks, and the pool is the same."""
    draw = np.random.default_rng(5)
    n, m = BatchPlan().queries + 300, 2 * BLOCK_PASSAGES + 700
    queries, passages = gaussian(draw, n, 24), gaussian(draw, m, 24)
    passages[draw.integers(0, m, 2000)] = passages[17]
    id_order = draw.permutation(m).astype(np.int32)
    golds = np.sort(draw.integers(0, n, 900)), draw.integers(0, m, 900)
    scores = (queries.astype(np.float64) @ passages.astype(np.float64).T).astype(np.float32)
    # Equal passages' columns, made equal to the last bit.
    twin = np.flatnonzero((passages == passages[17]).all(axis=1))
    scores[:, twin] = scores[:, [17]]
    gold_scores, rows = scores[golds][:, None], scores[golds[0]]
    above = (rows > gold_scores).sum(axis=1)
    later = ((rows == gold_scores) & (id_order > id_order[golds[1]][:, None])).sum(axis=1)
    top_rows = np.stack([np.lexsort((-id_order, -row))[:40] for row in scores])
    for edges in ([0, m], [0, 1, 4097, m], [0, *range(13, m, 1500), m]):
        languages = {str(a): range(a, b) for a, b in pairwise(edges)}
        request = make_request(golds, languages, id_order, k=40)
        ranked = rank(make_scorer(queries, passages), request)
        assert ranked.pool_ranks.n_above.tolist() == above.tolist()
        assert ranked.pool_ranks.rank("desc").tolist() == (1 + above + later).tolist()
        assert np.array_equal(ranked.top[""].rows, top_rows)
        assert np.array_equal(ranked.top[""].scores, np.take_along_axis(scores, top_rows, 1))


def test_vectors_in_shards_of_other_types_and_repeated_rows() -> None:
    draw = np.random.default_rng(6)
    shards = [draw.integers(-3, 4, (n, 5)).astype(kind) for n, kind in
              ((7, np.float16), (5, np.float32), (9, np.float64))]  # fmt: skip
    shard_numbers = draw.integers(0, 3, 60).astype(np.int32)
    shard_rows = draw.integers(0, 5, 60).astype(np.int32)
    pairs = zip(shard_numbers, shard_rows, strict=True)
    plain = np.array([shards[number][row] for number, row in pairs], np.float32)
    queries = integers(draw, 3, 5)
    golds = numbers(0, 1, 2), numbers(59, 0, 30)
    id_order = draw.permutation(60).astype(np.int32)
    expected = check_dense(queries, plain, golds, {"en": range(60)}, id_order, 10)
    scorer = DenseScorer(
        Embeddings.from_array(queries), Embeddings(shards, shard_numbers, shard_rows)
    )
    ranked = rank(scorer, make_request(golds, {"en": range(60)}, id_order, k=10))
    assert ranked.pool_ranks.rank().tolist() == expected.pool_ranks.rank().tolist()
    assert ranked.top[""].rows.tolist() == expected.top[""].rows.tolist()


def test_several_rankings_at_once_do_not_disturb_each_other() -> None:
    draw = np.random.default_rng(8)
    scorer = make_scorer(gaussian(draw, 300, 16), gaussian(draw, 5000, 16))
    golds = np.arange(300), draw.integers(0, 5000, 300)
    languages = {"a": range(2500), "b": range(2500, 5000)}
    request = make_request(golds, languages, draw.permutation(5000).astype(np.int32), k=20)
    rankings: list[RankedPassages] = []
    threads = [
        threading.Thread(target=lambda: rankings.append(rank(scorer, request))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = rank(scorer, request)
    assert len(rankings) == 4
    for ranked in rankings:
        assert_same_ranking(ranked, expected)


def test_a_fast_score_off_by_almost_the_margin_changes_no_count() -> None:
    """The product may be wrong by its whole margin in either direction: counts come out exact."""
    draw = np.random.default_rng(9)
    queries, passages = integers(draw, 5, 6), integers(draw, 300, 6)
    exact = queries @ passages.T
    fast = exact + draw.choice([-0.99, 0.0, 0.99], exact.shape).astype(np.float32)
    gold = draw.integers(0, 300, 5)
    id_order = draw.permutation(300).astype(np.int32)
    gold_scores = exact[np.arange(5), gold]
    golds = BatchGolds(np.arange(6), gold_scores, gold_scores, id_order[gold])
    counts = np.zeros((5, 3), np.int64)
    margin = np.ones(5, np.float32)
    count_dense_above(fast, queries, passages, margin, id_order, golds, counts)
    for query, passage in enumerate(gold.tolist()):
        gold_score = exact[query, passage]
        is_tie = exact[query] == gold_score
        later, earlier = id_order > id_order[passage], id_order < id_order[passage]
        expected = [
            (exact[query] > gold_score).sum(), (is_tie & later).sum(), (is_tie & earlier).sum()
        ]  # fmt: skip
        assert counts[query].tolist() == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("side", ["queries", "passages"])
def test_numbers_that_give_no_scores_are_refused(bad: float, side: str) -> None:
    sides = {"queries": np.ones((3, 4), np.float32), "passages": np.ones((5, 4), np.float32)}
    sides[side][1, 2] = bad
    sides["queries" if side == "passages" else "passages"] *= np.float32(1e10)
    embeddings = {
        name: Embeddings([rows], np.zeros(len(rows), np.int32), np.arange(len(rows)))
        for name, rows in sides.items()
    }
    request = make_request((numbers(), numbers()), {"en": range(5)}, np.arange(5), k=1)
    with pytest.raises(BadData, match="NaN, infinity, or numbers so large"):
        rank(DenseScorer(embeddings["queries"], embeddings["passages"]), request)


def test_wrong_shapes_and_options_are_refused() -> None:
    with pytest.raises(BadData, match="queries have 2 dimensions and passages 3"):
        make_scorer(vectors([1, 2]), vectors([1, 2, 3]))
    with pytest.raises(BadOption, match="k is -1; it must be a number from 0 on"):
        make_request((numbers(), numbers()), {"en": range(1)}, numbers(0), k=-1)


@dataclass(frozen=True)
class TermScorer(ExactScorer):
    """Counts the terms that a query and a passage share: a sparse model, and many ties."""

    queries: list[set[str]]
    passages: list[set[str]]

    @property
    def n_queries(self) -> int:
        return len(self.queries)

    @property
    def n_passages(self) -> int:
        return len(self.passages)

    @property
    def passage_bytes(self) -> int:
        return 8

    def score_rows(self, queries: range, passages: range) -> np.ndarray:
        return np.array(
            [[len(self.queries[q] & self.passages[p]) for p in passages] for q in queries],
            np.float32,
        ).reshape(len(queries), len(passages))

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        pairs = zip(queries.tolist(), passages.tolist(), strict=True)
        return np.array([len(self.queries[q] & self.passages[p]) for q, p in pairs], np.float32)

    def without_passages(self) -> Scorer:
        return TermScorer(self.queries, [])

    def load_passages(self, rows: range) -> object:
        return self.passages[rows.start : rows.stop]

    def with_passages(self, passages: object) -> Scorer:
        assert isinstance(passages, list)
        return TermScorer(self.queries, passages)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 20), st.integers(0, 1500))
def test_another_scorer_ranks_as_a_sort_does_also_in_shards(
    seed: int, shard_size: int, k: int
) -> None:
    draw = np.random.default_rng(seed)
    terms = np.array(list("abcdefgh"))
    queries, passages = (
        [set(terms[draw.random(8) < 0.4].tolist()) for _ in range(n)] for n in (3, 25)
    )
    scorer = TermScorer(queries, passages)
    languages = {"x": range(10), "y": range(10, 25)}
    golds = np.sort(draw.integers(0, 3, 6)), draw.integers(0, 25, 6)
    id_order = draw.permutation(25).astype(np.int32)
    request = RankRequest(*golds, languages, id_order, k=k, collects_languages=True)
    ranked = rank(scorer, request)
    scores = scorer.score_rows(range(3), range(25))
    check_ranking(ranked, scores, golds, languages, id_order, k)
    assert_same_ranking(rank_sharded(scorer, request, shard_size=shard_size), ranked)


def test_more_ties_than_candidates_can_hold_are_ranked_from_all_scores() -> None:
    scorer = TermScorer([{"a"}], [{"a"}] * 3000 + [{"b"}])
    id_order = np.random.default_rng(1).permutation(3001).astype(np.int32)
    request = make_request((numbers(0), numbers(5)), {"x": range(3001)}, id_order, k=2)
    top = rank(scorer, request).top[""]
    assert top.rows.tolist() == [np.argsort(-id_order[:3000])[:2].tolist()]
    assert top.scores.tolist() == [[1, 1]]
