"""Exact ranks and best passages equal those of a plain sort of every score."""

import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.retrieval import Ranked, rank
from beir_hybrid.retrieval.count import PART, PASSAGES
from beir_hybrid.retrieval.kernels import count_above

Groups = dict[str, range]
Judged = tuple[np.ndarray, np.ndarray]
Make = Callable[[np.random.Generator, int, int], np.ndarray]


def vectors(*rows: list[float]) -> Embeddings:
    return Embeddings.from_array(np.array(rows, dtype=np.float32))


def numbers(*some: int) -> np.ndarray:
    return np.array(some, dtype=np.int32)


def sort(scores: np.ndarray, order: np.ndarray, rows: range, ties: str) -> list[int]:
    """Return row numbers by descending score, then by id: the definition, in plain Python."""
    sign = -1 if ties == "desc" else 1
    return sorted(rows, key=lambda row: (-float(scores[row]), sign * int(order[row])))


def check(queries: np.ndarray, passages: np.ndarray, judged: Judged, groups: Groups,
          order: np.ndarray, k: int) -> Ranked:  # fmt: skip
    """Compare everything that `rank` finds with sorted lists of all scores."""
    ranked = rank(
        Embeddings.from_array(queries),
        Embeddings.from_array(passages),
        judged,
        groups,
        order,
        k=k,
        per_group=True,
    )
    # Whatever the order of the sums, float64 is exact for the integers and far finer than float32
    # for the others.
    exact = queries.astype(np.float64) @ passages.astype(np.float64).T
    scores = exact.astype(np.float32) + np.float32(0)
    scopes = {"": range(len(passages))} | {name: rows for name, rows in groups.items() if rows}
    lists = {
        (name, ties, query): sort(scores[query], order, rows, ties)
        for name, rows in scopes.items()
        for ties in ("desc", "asc")
        for query in range(len(queries))
    }
    for at, (query, passage) in enumerate(zip(*judged, strict=True)):
        own = next(name for name, rows in scopes.items() if name and passage in rows)
        assert ranked.scores[at] == scores[query, passage]
        for ties in ("desc", "asc"):
            for name, places in (("", ranked.pool), (own, ranked.own)):
                assert places.rank(ties)[at] == lists[name, ties, query].index(passage) + 1
    assert ranked.best.keys() == (scopes.keys() if k else set())
    for name, best in ranked.best.items():
        assert best.rows.shape == best.scores.shape == (len(queries), min(k, len(scopes[name])))
        for query in range(len(queries)):
            rows = lists[name, "desc", query][:k]
            assert best.rows[query].tolist() == rows
            assert best.scores[query].tolist() == scores[query, rows].tolist()
    return ranked


def gaussian(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return draw.standard_normal((n, dim)).astype(np.float32)


def integers(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return draw.integers(-1, 2, (n, dim)).astype(np.float32)


def twins(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Few distinct vectors, some an ulp apart, so that fast scores cannot tell them apart."""
    few = gaussian(draw, 4, dim)
    few[2], few[3] = np.nextafter(few[0], np.float32(9)), few[1] * np.float32(1 + 2.0**-23)
    return few[draw.integers(0, 4, n)]


def collapsed(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return np.repeat(gaussian(draw, 1, dim), n, axis=0)


def zero(_draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return np.zeros((n, dim), dtype=np.float32)


def tiny(draw: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Vectors whose scores are at the end of what float32 holds."""
    return gaussian(draw, n, dim) * np.float32(2.0**-70)


KINDS = [gaussian, integers, twins, collapsed, zero, tiny]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("dim", [1, 8, 37])
@pytest.mark.parametrize("k", [0, 1, 60, 9999])
def test_ranks_and_best_are_those_of_a_sort(make: Make, dim: int, k: int) -> None:
    draw = np.random.default_rng(dim)
    sizes = [500, 1, 0, 199]
    edges = np.cumsum([0, *sizes]).tolist()
    groups = {name: range(*edge) for name, edge in
              zip("abcd", pairwise(edges), strict=True)}  # fmt: skip
    query = np.sort(draw.integers(0, 7, 25))  # a query without golds, most with several
    query[query == 3] = 4
    judged = query, draw.integers(0, 700, 25)
    queries = make(draw, 7, dim) if make is tiny else gaussian(draw, 7, dim)
    if make is integers:
        queries = integers(draw, 7, dim)
    order = draw.permutation(700).astype(np.int32)
    check(queries, make(draw, 700, dim), judged, groups, order, k)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_small_rankings_full_of_ties(data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, 9))
    number = st.integers(-2, 2).map(float)
    row = st.lists(number, min_size=dim, max_size=dim)
    queries = data.draw(st.lists(row, min_size=1, max_size=4))
    passages = data.draw(st.lists(row, min_size=1, max_size=30))
    cut = data.draw(st.integers(0, len(passages)))
    groups = {"x": range(cut), "y": range(cut, len(passages))}
    pair = st.tuples(st.integers(0, len(queries) - 1), st.integers(0, len(passages) - 1))
    pairs = sorted(data.draw(st.lists(pair, max_size=12)))
    judged = np.array([q for q, _ in pairs], int), np.array([p for _, p in pairs], int)
    order = np.array(data.draw(st.permutations(range(len(passages)))), np.int32)
    k = data.draw(st.integers(0, len(passages) + 1))
    check(np.array(queries, np.float32), np.array(passages, np.float32), judged, groups, order, k)


def test_four_passages_by_hand() -> None:
    # The scores of the first query are 2, 2, 3, 2, those of the second 0, 0, 1, 0.
    queries = vectors([1, 0], [0, 1])
    passages = vectors([2, 0], [2, 0], [3, 1], [2, 0])
    judged = numbers(0, 0, 1), numbers(0, 2, 3)
    # By id: passage 3, then 0, 2, 1.
    ranked = rank(
        queries, passages, judged, {"en": range(3), "de": range(3, 4)}, numbers(1, 3, 2, 0), k=3
    )
    assert ranked.scores.tolist() == [2, 3, 0]
    assert ranked.pool.rank("desc").tolist() == [3, 1, 4]
    assert ranked.pool.rank("asc").tolist() == [3, 1, 2]
    assert ranked.own.rank("desc").tolist() == [3, 1, 1]
    assert ranked.own.rank("asc").tolist() == [2, 1, 1]
    assert ranked.pool.above.tolist() == [1, 0, 1]
    assert list(ranked.best) == [""]
    assert ranked.best[""].rows.tolist() == [[2, 1, 0]] * 2
    assert ranked.best[""].scores.tolist() == [[3, 2, 2], [1, 0, 0]]


def test_one_passage_and_one_query() -> None:
    ranked = check(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32),
                   (numbers(0), numbers(0)), {"en": range(1)}, numbers(0), 5)  # fmt: skip
    assert ranked.pool.rank().tolist() == [1]


def test_nothing_to_rank() -> None:
    none = np.empty((0, 2), np.float32)
    ranked = rank(
        Embeddings.from_array(none),
        vectors([1, 2]),
        (numbers(), numbers()),
        {"en": range(1)},
        numbers(0),
        k=2,
    )
    assert ranked.pool.rank().tolist() == []
    assert ranked.best[""].rows.shape == (0, 1)
    ranked = rank(
        vectors([1, 2]), Embeddings.from_array(none), (numbers(), numbers()), {}, numbers(), k=2
    )
    assert ranked.best[""].rows.shape == (1, 0)


def test_minus_zero_ties_with_zero() -> None:
    ranked = rank(vectors([1]), vectors([-0.0], [0.0]), (numbers(0, 0), numbers(0, 1)),
                  {"en": range(2)}, numbers(1, 0), k=2)  # fmt: skip
    assert ranked.pool.rank("desc").tolist() == [1, 2]
    assert ranked.best[""].rows.tolist() == [[0, 1]]


def test_more_than_one_batch_and_block_in_any_cut_of_the_passages() -> None:
    """Blocks end where groups do, so other groups are other blocks: the pool must not notice."""
    draw = np.random.default_rng(5)
    n, m = PART + 300, 2 * PASSAGES + 700
    queries, passages = gaussian(draw, n, 24), gaussian(draw, m, 24)
    passages[draw.integers(0, m, 2000)] = passages[17]
    order = draw.permutation(m).astype(np.int32)
    judged = np.sort(draw.integers(0, n, 900)), draw.integers(0, m, 900)
    scores = (queries.astype(np.float64) @ passages.astype(np.float64).T).astype(np.float32)
    # Equal passages' columns, made equal to the last bit.
    twin = np.flatnonzero((passages == passages[17]).all(axis=1))
    scores[:, twin] = scores[:, [17]]
    mine = scores[judged][:, None]
    above = (scores[judged[0]] > mine).sum(axis=1)
    later = ((scores[judged[0]] == mine) & (order > order[judged[1]][:, None])).sum(axis=1)
    best = np.stack([np.lexsort((-order, -row))[:40] for row in scores])
    for edges in ([0, m], [0, 1, 4097, m], [0, *range(13, m, 1500), m]):
        groups = {str(a): range(a, b) for a, b in pairwise(edges)}
        found = rank(
            Embeddings.from_array(queries),
            Embeddings.from_array(passages),
            judged,
            groups,
            order,
            k=40,
        )
        assert found.pool.above.tolist() == above.tolist()
        assert found.pool.rank("desc").tolist() == (1 + above + later).tolist()
        assert np.array_equal(found.best[""].rows, best)
        assert np.array_equal(found.best[""].scores, np.take_along_axis(scores, best, 1))


def test_vectors_in_shards_of_other_types_and_repeated_rows() -> None:
    draw = np.random.default_rng(6)
    parts = [draw.integers(-3, 4, (n, 5)).astype(kind) for n, kind in
             ((7, np.float16), (5, np.float32), (9, np.float64))]  # fmt: skip
    shard = draw.integers(0, 3, 60).astype(np.int32)
    place = draw.integers(0, 5, 60).astype(np.int32)
    scattered = Embeddings(parts, shard, place)
    plain = np.array([parts[s][p] for s, p in zip(shard, place, strict=True)], np.float32)
    queries = integers(draw, 3, 5)
    judged = numbers(0, 1, 2), numbers(59, 0, 30)
    order = draw.permutation(60).astype(np.int32)
    expected = check(queries, plain, judged, {"en": range(60)}, order, 10)
    found = rank(Embeddings.from_array(queries), scattered, judged, {"en": range(60)}, order, k=10)
    assert found.pool.rank().tolist() == expected.pool.rank().tolist()
    assert found.best[""].rows.tolist() == expected.best[""].rows.tolist()


def test_several_rankings_at_once_do_not_disturb_each_other() -> None:
    draw = np.random.default_rng(8)
    queries, passages = gaussian(draw, 300, 16), gaussian(draw, 5000, 16)
    judged = np.arange(300), draw.integers(0, 5000, 300)
    order = draw.permutation(5000).astype(np.int32)
    found: list[Ranked] = []
    work = partial(rank, Embeddings.from_array(queries), Embeddings.from_array(passages), judged,
                   {"a": range(2500), "b": range(2500, 5000)}, order, k=20)  # fmt: skip
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = work()
    assert len(found) == 4
    for one in found:
        assert np.array_equal(one.pool.rank(), alone.pool.rank())
        assert np.array_equal(one.best[""].rows, alone.best[""].rows)


def test_a_fast_score_off_by_almost_the_margin_changes_no_count() -> None:
    """The product may be wrong by its whole margin in either direction: counts come out exact."""
    draw = np.random.default_rng(9)
    queries, passages = integers(draw, 5, 6), integers(draw, 300, 6)
    exact = queries @ passages.T
    fast = exact + draw.choice([-0.99, 0.0, 0.99], exact.shape).astype(np.float32)
    gold = draw.integers(0, 300, 5)
    order = draw.permutation(300).astype(np.int32)
    counts = np.zeros((5, 3), np.int64)
    count_above(fast, queries, passages, order, np.arange(6), exact[np.arange(5), gold],
                np.ones(5, np.float32), order[gold], counts)  # fmt: skip
    for query, passage in enumerate(gold.tolist()):
        mine, ties = exact[query, passage], exact[query] == exact[query, passage]
        later, earlier = order > order[passage], order < order[passage]
        wanted = [(exact[query] > mine).sum(), (ties & later).sum(), (ties & earlier).sum()]
        assert counts[query].tolist() == wanted


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
    with pytest.raises(BadData, match="NaN, infinity, or numbers so large"):
        rank(embeddings["queries"], embeddings["passages"], (numbers(), numbers()),
             {"en": range(5)}, np.arange(5), k=1)  # fmt: skip


def test_wrong_shapes_and_options_are_refused() -> None:
    of = (numbers(), numbers()), {"en": range(1)}, numbers(0)
    with pytest.raises(BadData, match="queries have 2 dimensions and passages 3"):
        rank(vectors([1, 2]), vectors([1, 2, 3]), *of)
    with pytest.raises(BadOption, match="k is -1; it must not be negative"):
        rank(vectors([1]), vectors([1]), *of, k=-1)
