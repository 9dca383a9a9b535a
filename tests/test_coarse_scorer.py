"""Rankings from products in bfloat16 equal those from float32 to the last bit."""

import numpy as np
import pytest

from beir_hybrid.errors import BadData
from beir_hybrid.retrieval import RankedPassages, RankRequest, coarse_scorer, rank
from beir_hybrid.retrieval.coarse_scorer import CoarseBatch
from beir_hybrid.retrieval.merging import MERGE_METHODS, parse_merge_method
from beir_hybrid.retrieval.scorer import BatchDemand, BatchGolds, BatchPlan
from beir_hybrid.retrieval.sharding import rank_sharded
from tests.rankings import assert_same_ranking, make_request, make_scorer

N = 5000
LANGUAGES = {"de": range(3000), "en": range(3000, 4999), "fr": range(4999, N)}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[CoarseBatch]:
    """Have bfloat16 taken wherever that is right, and list the batches that take it."""
    monkeypatch.setattr(coarse_scorer, "is_faster", lambda: True)
    monkeypatch.setattr(coarse_scorer, "_LARGEST_DEPTH", 1)
    monkeypatch.setattr(coarse_scorer, "FEWEST_QUERIES", 1)
    monkeypatch.setattr(coarse_scorer, "FEWEST_PASSAGES", 1)
    batches: list[CoarseBatch] = []
    leaves_few_open = CoarseBatch.leaves_few_open

    def judge(self: CoarseBatch, demand: BatchDemand) -> bool:
        is_coarse = leaves_few_open(self, demand)
        batches.extend([self] * is_coarse)
        return is_coarse

    monkeypatch.setattr(CoarseBatch, "leaves_few_open", judge)
    return batches


def check(queries: np.ndarray, passages: np.ndarray, request: RankRequest) -> RankedPassages:
    """Rank with and without bfloat16; return the ranking."""
    ranked = rank(make_scorer(queries, passages), request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coarse_scorer, "is_faster", lambda: False)
        expected = rank(make_scorer(queries, passages), request)
    assert_same_ranking(ranked, expected)
    return ranked


def draw_vectors(seed: int, dim: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw passages that are not around zero, queries near some of them, and those."""
    draw = np.random.default_rng(seed)
    passages = draw.standard_normal((N, dim)) + 2
    passages /= np.linalg.norm(passages, axis=1, keepdims=True)
    golds = draw.integers(0, N, 40)
    queries = passages[golds] + 0.05 * draw.standard_normal((40, dim))
    return queries.astype(np.float32), passages.astype(np.float32), golds


def near_request(golds: np.ndarray, **options: object) -> RankRequest:
    id_order = np.random.default_rng(1).permutation(N).astype(np.int32)
    return make_request((np.arange(len(golds)), golds), LANGUAGES, id_order, **options)


@pytest.mark.parametrize(
    "options", [{}, {"k": 3}, {"k": 200, "collects_languages": True}, {"image_language": "fr"}],
    ids=["ranks alone", "three best", "best of languages", "images"],
)  # fmt: skip
def test_relevant_passages_among_the_best(
    options: dict[str, object], opened: list[CoarseBatch]
) -> None:
    queries, passages, golds = draw_vectors(2)
    passages[::50] = passages[golds[0]]  # ties
    check(queries, passages, near_request(golds, **options))
    assert opened


@pytest.mark.parametrize("method", MERGE_METHODS)
def test_merged_pools(method: str, opened: list[CoarseBatch]) -> None:
    queries, passages, golds = draw_vectors(3)
    request = near_request(golds, method=parse_merge_method(method), k=5)
    check(queries, passages, request)
    # Comparable scores are known at the end only.
    assert bool(opened) == request.takes_turns


def test_relevant_passages_anywhere_are_ranked_in_float32(opened: list[CoarseBatch]) -> None:
    queries, passages, _ = draw_vectors(4)
    draw = np.random.default_rng(5)
    golds = np.repeat(np.arange(40), 30), draw.integers(0, N, 1200)
    check(queries, passages, make_request(golds, LANGUAGES, np.arange(N, dtype=np.int32), k=9))
    assert not opened


def test_too_many_scores_close_to_the_best(opened: list[CoarseBatch]) -> None:
    """More passages than there is room for are within the margin of the k-th: float32 decides."""
    _, passages, golds = draw_vectors(6)
    draw = np.random.default_rng(7)
    passages[:2000] = passages[0] + 1e-5 * draw.standard_normal((2000, 24)).astype(np.float32)
    golds = 2000 + golds % 3000
    queries = passages[golds]
    queries[0] = passages[0]
    check(queries, passages, near_request(golds, k=4))
    assert opened


def test_the_best_alone(opened: list[CoarseBatch]) -> None:
    queries, passages, _ = draw_vectors(8)
    no_golds = np.empty(0, np.int64), np.empty(0, np.int64)
    check(queries, passages, make_request(no_golds, LANGUAGES, np.arange(N, dtype=np.int32), k=50))
    assert opened


def test_shards(opened: list[CoarseBatch]) -> None:
    queries, passages, golds = draw_vectors(9)
    request = near_request(golds, k=7)
    ranked = rank_sharded(make_scorer(queries, passages), request, shard_size=2048)
    assert opened
    assert_same_ranking(ranked, check(queries, passages, request))


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1.0, 1e9], ids=str)
@pytest.mark.parametrize("centre", [0.0, 3.0])
@pytest.mark.parametrize("dim", [1, 37, 400])
def test_errors_are_within_the_margin(
    scale: float, centre: float, dim: int, opened: list[CoarseBatch]
) -> None:
    draw = np.random.default_rng(dim)
    queries, passages = (
        (scale * (draw.standard_normal((n, dim)) + centre)).astype(np.float32) for n in (50, 3000)
    )
    # Halfway between two numbers of bfloat16, where rounding takes the most.
    passages[:20] = np.float32(scale) * np.float32(1 + 2.0**-8)
    queries[:20] = np.float32(scale) * np.float32(1 + 2.0**-8)
    scorer = make_scorer(queries, passages)
    bound = scorer.bound_passages(range(3000))
    no_scores = np.empty(0, np.float32)
    no_golds = BatchGolds(np.zeros(51, np.int64), no_scores, no_scores, np.empty(0, np.int32))
    batch = scorer.open_batch(range(50), bound, BatchDemand(no_golds, 0))
    assert batch is opened[0]
    scores = batch.score_block(range(3000)).scores.astype(np.float64)
    errors = np.abs(scores - queries.astype(np.float64) @ passages.astype(np.float64).T)
    assert (errors <= batch.margin[:, None]).all()
    lengths = np.linalg.norm(queries, axis=1)
    assert (batch.margin <= 0.02 * (lengths * bound[0]) + 1e-30).all()


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.filterwarnings("error")
def test_arrays_that_cannot_be_written(device: str, opened: list[CoarseBatch]) -> None:
    """As those of a store are, whose files are mapped into memory."""
    queries, passages, golds = draw_vectors(13)
    request = near_request(golds, k=3)
    expected = rank(make_scorer(queries, passages), request)
    for array in (queries, passages, request.id_order):
        array.flags.writeable = False
    assert_same_ranking(rank(make_scorer(queries, passages, device), request), expected)
    assert opened


def test_numbers_out_of_range(opened: list[CoarseBatch]) -> None:
    queries, passages, golds = draw_vectors(10)
    check(queries * np.float32(1e19), passages, near_request(golds, k=3))
    check(queries, passages * np.float32(1e19), near_request(golds, k=3))
    assert not opened
    passages[7, 7] = np.nan
    with pytest.raises(BadData, match="NaN"):
        rank(make_scorer(queries, passages), near_request(golds))


def test_few_queries_or_passages_are_left_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse_scorer, "is_faster", lambda: pytest.fail("nothing is to be timed"))
    queries, passages, golds = draw_vectors(11)
    rank(make_scorer(queries, passages), near_request(golds))


def test_a_large_ranking_takes_bfloat16_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches, some of which take it and some not, with the limits as they are."""
    monkeypatch.setattr(coarse_scorer, "is_faster", lambda: True)
    draw = np.random.default_rng(12)
    _, passages, _ = draw_vectors(12)
    n = 2 * BatchPlan().queries + 100
    golds = draw.integers(0, N, n)
    queries = (passages[golds] + 0.05 * draw.standard_normal((n, 24))).astype(np.float32)
    golds[: BatchPlan().queries] = draw.integers(0, N, BatchPlan().queries)
    id_order = draw.permutation(N).astype(np.int32)
    check(queries, passages, make_request((np.arange(n), golds), LANGUAGES, id_order, k=10))


def test_timing_of_products_gives_an_answer() -> None:
    assert coarse_scorer.is_faster() in (True, False)
