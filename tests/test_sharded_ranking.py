"""Shards of passages rank as all passages do, whatever their order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beir_hybrid.errors import BadOption
from beir_hybrid.retrieval import rank
from beir_hybrid.retrieval.count import RankCounts
from beir_hybrid.retrieval.sharding import ShardResult, map_in_process, merge_shards, rank_sharded
from tests.rankings import assert_same_ranking, make_request, make_scorer
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli  # noqa: F401 - fixtures
from tests.test_rank import check_ranking


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 13), st.integers(1, 30), st.booleans())
def test_shards_rank_as_a_sort_does(seed: int, shard_size: int, k: int, backwards: bool) -> None:
    draw = np.random.default_rng(seed)
    n, n_queries = int(draw.integers(1, 40)), int(draw.integers(1, 5))
    # Small whole numbers: float64 sums are exact, and many scores tie.
    passages = draw.integers(-2, 3, (n, 3)).astype(np.float32)
    queries = draw.integers(-2, 3, (n_queries, 3)).astype(np.float32)
    cuts = np.sort(draw.integers(0, n + 1, 2)).tolist()
    languages = {"x": range(cuts[0]), "y": range(*cuts), "z": range(cuts[1], n)}
    golds = np.sort(draw.integers(0, n_queries, 9)), draw.integers(0, n, 9)
    id_order = draw.permutation(n).astype(np.int32)

    def map_shards(*call: Any) -> list[ShardResult]:
        """Give the results in another order."""
        results = list(map_in_process(*call))
        return results[::-1] if backwards else results

    scorer = make_scorer(queries, passages)
    request = make_request(golds, languages, id_order, k=k, collects_languages=True)
    ranked = rank_sharded(scorer, request, shard_size=shard_size, map_shards=map_shards)
    check_ranking(ranked, queries @ passages.T, golds, languages, id_order, k)
    assert_same_ranking(ranked, rank(scorer, request))


@pytest.mark.parametrize("shard_size", [700, 5000, 9001, 20_000, None])
def test_shards_of_real_numbers_rank_as_all_passages_do(shard_size: int | None) -> None:
    draw = np.random.default_rng(6)
    n, n_queries = 9001, 1030  # blocks and batches have rests
    passages = draw.standard_normal((n, 24), np.float32)
    scorer = make_scorer(draw.standard_normal((n_queries, 24), np.float32), passages)
    languages = {"x": range(4000), "y": range(4000, 4000), "z": range(4000, n)}
    golds = np.sort(draw.integers(0, n_queries, 3000)), draw.integers(0, n, 3000)
    id_order = draw.permutation(n).astype(np.int32)
    request = make_request(golds, languages, id_order, k=20, collects_languages=True)
    ranked = rank_sharded(scorer, request, shard_size=shard_size)
    assert_same_ranking(ranked, rank(scorer, request))


def test_no_more_travels_than_can_be_among_the_best() -> None:
    """With one number a vector, a passage's score is the number itself, or its negative."""
    numbers = [9, 0, 1, 8, 5, 6, 7, 4, 3, 2, 10, 4, -1, 11, 12, 5]
    scorer = make_scorer(np.array([[1], [-1]], np.float32), np.array(numbers, np.float32)[:, None])
    golds = np.array([0]), np.array([0])
    request = make_request(golds, {"x": range(16)}, np.arange(16, dtype=np.int32), k=2)
    widths = []

    def map_shards(*call: Any) -> Iterator[ShardResult]:
        for result in map_in_process(*call):
            widths.append(result.counts.top_keys[""].shape[1])
            yield result

    ranked = rank_sharded(scorer, request, shard_size=4, map_shards=map_shards)
    # 9 8 and 0 1 are best; none of 5 6 7 4; 10 alone of 3 2 10 4; then 12 11, and -1.
    assert widths == [2, 0, 1, 2]
    assert ranked.top[""].rows.tolist() == [[14, 13], [12, 1]]
    assert ranked.top[""].scores.tolist() == [[12, 11], [1, 0]]


@given(st.integers(0, 2**31), st.integers(0, 9), st.integers(0, 9), st.integers(1, 20))
def test_merging_is_sorting(seed: int, left: int, right: int, k: int) -> None:
    keys = np.random.default_rng(seed).permutation(3 * (left + right)) - 9
    rows = keys.reshape(3, left + right).astype(np.int64)
    parts = (-np.sort(-part, axis=1) for part in (rows[:, :left], rows[:, left:]))
    no_counts = np.zeros((0, 3), np.int64)
    first, second = (RankCounts(no_counts, no_counts, None, {"x": part}) for part in parts)
    merged_keys = merge_shards(first, second, k).top_keys["x"]
    assert merged_keys.tolist() == [sorted(row, reverse=True)[:k] for row in rows.tolist()]


def test_shards_without_passages_are_refused() -> None:
    scorer = make_scorer(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32))
    golds = np.array([0]), np.array([0])
    request = make_request(golds, {"": range(1)}, np.zeros(1, np.int32))
    with pytest.raises(BadOption, match="shard_size is 0; it must be a whole number from 1 on"):
        rank_sharded(scorer, request, shard_size=0)
