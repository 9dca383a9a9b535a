"""Rankings by torch, as on a GPU, equal those by numpy to the last bit; see also `check_dense`."""

from contextlib import ExitStack, suppress

import numpy as np
import pytest

from beir_hybrid.retrieval import RankedPassages, RankRequest, device_scorer, rank
from beir_hybrid.retrieval.device_scorer import DevicePassages
from beir_hybrid.retrieval.merging import MERGE_METHODS, parse_merge_method
from beir_hybrid.retrieval.process_settings import full_precision
from beir_hybrid.retrieval.scorer import BatchPlan
from beir_hybrid.retrieval.sharding import rank_sharded
from tests.rankings import assert_same_ranking, make_request, make_scorer

LANGUAGES = {"de": range(700), "en": range(700, 900), "fr": range(900, 901)}


def check(queries: np.ndarray, passages: np.ndarray, request: RankRequest) -> RankedPassages:
    """Rank by both, and return the ranking."""
    expected = rank(make_scorer(queries, passages), request)
    assert_same_ranking(rank(make_scorer(queries, passages, "cpu:0"), request), expected)
    return expected


def draw_request(draw: np.random.Generator, n_queries: int, **options: object) -> RankRequest:
    """Draw golds: none for some queries, several for others."""
    queries = np.sort(draw.integers(0, n_queries, 3 * n_queries))
    passages = draw.integers(0, 901, len(queries))
    id_order = draw.permutation(901).astype(np.int32)
    return make_request((queries, passages), LANGUAGES, id_order, **options)


@pytest.mark.parametrize("fits", [True, False], ids=["all on the device", "block by block"])
def test_batches_and_blocks(fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_scorer, "DEVICE_PLAN", BatchPlan(7, 60, 1))
    if not fits:
        monkeypatch.setattr(DevicePassages, "all_vectors", None)
    draw = np.random.default_rng(2)
    queries, passages = (draw.standard_normal((n, 20)).astype(np.float32) for n in (31, 901))
    passages[::9] = passages[1]
    for options in ({"k": 3}, {"k": 50, "collects_languages": True}, {"k": 0}):
        check(queries, passages, draw_request(draw, 31, **options))


@pytest.mark.parametrize("method", MERGE_METHODS)
def test_merged_pools(method: str) -> None:
    draw = np.random.default_rng(3)
    queries, passages = (draw.standard_normal((n, 8)).astype(np.float32) for n in (12, 901))
    check(queries, passages, draw_request(draw, 12, method=parse_merge_method(method), k=5))


def test_images() -> None:
    draw = np.random.default_rng(4)
    queries, passages = (draw.standard_normal((n, 8)).astype(np.float32) for n in (12, 901))
    request = draw_request(draw, 12, image_language="fr", k=4)
    ranked = check(queries, passages, request)
    assert not np.array_equal(ranked.mixed_ranks.rank(), ranked.pool_ranks.rank())


def test_sums_between_two_numbers_of_float32() -> None:
    """A sum of float64 that lies halfway is rounded as the processor rounds it."""
    ulp = 2.0**-23
    halves = np.arange(901) * ulp / 2
    passages = np.stack([np.ones(901), halves], axis=1).astype(np.float32)
    queries = np.array([[1, 1], [1, 1 + ulp], [3, 1]], np.float32)
    draw = np.random.default_rng(5)
    check(queries, passages, draw_request(draw, 3, k=20))


def test_products_that_are_all_close_together() -> None:
    """More passages are within the margin than there are candidates: all are scored exactly."""
    draw = np.random.default_rng(6)
    passages = np.repeat(draw.standard_normal((1, 30)), 901, axis=0).astype(np.float32)
    passages[::3] = np.nextafter(passages[::3], np.float32(9))
    queries = draw.standard_normal((4, 30)).astype(np.float32)
    check(queries, passages, draw_request(draw, 4, k=5))


def test_shards_and_their_scorers() -> None:
    draw = np.random.default_rng(7)
    queries, passages = (draw.standard_normal((n, 8)).astype(np.float32) for n in (12, 901))
    request = draw_request(draw, 12, k=5)
    ranked = rank_sharded(make_scorer(queries, passages, "cpu:0"), request, shard_size=100)
    assert_same_ranking(ranked, rank(make_scorer(queries, passages), request))


def test_nothing_to_rank() -> None:
    no_golds = np.empty(0, np.int64), np.empty(0, np.int64)
    request = make_request(no_golds, {"de": range(1)}, np.zeros(1, np.int32), k=2)
    check(np.empty((0, 2), np.float32), np.ones((1, 2), np.float32), request)
    request = make_request(no_golds, {}, np.empty(0, np.int32), k=2)
    check(np.ones((1, 2), np.float32), np.empty((0, 2), np.float32), request)


@pytest.mark.parametrize("earlier", ["none", "tf32", "ieee"])
def test_products_on_a_gpu_are_in_full_precision(earlier: str) -> None:
    """A training with ``tf32=True`` leaves the switch on for the whole process."""
    from torch.backends.cuda import matmul

    matmul.fp32_precision = earlier
    try:
        with full_precision():
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == earlier
        with suppress(ZeroDivisionError), full_precision():
            raise ZeroDivisionError
        assert matmul.fp32_precision == earlier
        # Of two threads, one begins later and ends later.
        first, second = ExitStack(), ExitStack()
        for stack in (first, second):
            stack.enter_context(full_precision())
        first.close()
        assert matmul.fp32_precision == "ieee"
        second.close()
        assert matmul.fp32_precision == earlier
    finally:
        matmul.fp32_precision = "none"
