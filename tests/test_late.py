"""Late interaction is stored, ranked and reranked as MaxSim of all tokens says."""
# mypy: allow-untyped-calls

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, nDCG
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util import maxsim

import beir_hybrid as bh
from beir_hybrid.encoding import EncodingStats, as_encoder
from beir_hybrid.encoding.late_model import LateInteractionEncoder
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.encoding.token_embeddings import TokenEmbeddings, TokenVectors
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.retrieval import rank
from beir_hybrid.retrieval.late_scorer import LateScorer
from beir_hybrid.retrieval.scorer import BatchPlan
from beir_hybrid.retrieval.sharding import rank_sharded
from tests.families import make_late
from tests.rankings import assert_same_ranking, make_request
from tests.small_collections import make_word_collection
from tests.test_rank import check_ranking

TEXTS = ["w3", "w1 w2 w5 w5", "w7 w8", "w3"]
Texts = list[np.ndarray]


def draw_texts(draw: np.random.Generator, n: int, longest: int, dim: int, kind: str) -> Texts:
    """Draw vectors of tokens in half precision: of any kind, few distinct ones, or integers."""
    counts = draw.integers(0, longest + 1, n)
    if kind == "integers":
        texts = [draw.integers(-1, 2, (count, dim)).astype(np.float16) for count in counts]
    elif kind == "twins":
        distinct = draw.standard_normal((3, dim)).astype(np.float16)
        distinct[2] = np.nextafter(distinct[0], np.float16(9))
        texts = [distinct[draw.integers(0, 3, count)] for count in counts]
    else:
        texts = [draw.standard_normal((count, dim)).astype(np.float16) for count in counts]
    return texts


def embed(texts: Texts, dim: int) -> TokenEmbeddings:
    return TokenEmbeddings.from_vectors(TokenVectors.join(texts, dim))


def score_by_definition(queries: Texts, passages: Texts) -> np.ndarray:
    """Return MaxSim in float64, with the roundings of the definition."""
    scores = np.empty((len(queries), len(passages)))
    for i, query in enumerate(queries):
        for k, passage in enumerate(passages):
            products = query.astype(np.float64) @ passage.astype(np.float64).T
            best = products.astype(np.float32).max(axis=1) if len(passage) else None
            scores[i, k] = -1e30 if best is None else np.sum(best.astype(np.float64))
    return scores.astype(np.float32) + np.float32(0)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**31),
    st.sampled_from(["any", "twins", "integers"]),
    st.integers(0, 50),
    st.integers(1, 20),
)
def test_ranks_are_those_of_a_sort_of_maxsim(seed: int, kind: str, k: int, shard_size: int) -> None:
    draw = np.random.default_rng(seed)
    queries, passages = (draw_texts(draw, n, longest, 5, kind) for n, longest in ((6, 4), (50, 7)))
    golds = np.sort(draw.integers(0, 6, 20)), draw.integers(0, 50, 20)
    languages = {"a": range(20), "b": range(20, 21), "c": range(21, 50)}
    id_order = draw.permutation(50).astype(np.int32)
    request = make_request(golds, languages, id_order, k=k, collects_languages=True)
    scorer = LateScorer(embed(queries, 5), embed(passages, 5))
    ranked = rank(scorer, request)
    check_ranking(ranked, score_by_definition(queries, passages), golds, languages, id_order, k)
    assert_same_ranking(rank_sharded(scorer, request, shard_size=shard_size), ranked)


def test_several_batches_blocks_and_groups_of_tokens() -> None:
    draw = np.random.default_rng(5)
    n_queries, n_passages = BatchPlan().queries + 5, 600
    queries = draw_texts(draw, n_queries, 6, 16, "any")
    passages = draw_texts(draw, n_passages, 30, 16, "any")
    scorer = LateScorer(embed(queries, 16), embed(passages, 16))
    expected = score_by_definition(queries, passages)
    batch = scorer.open_batch(range(n_queries), scorer.bound_passages(range(n_passages)))
    fast = batch.score_block(range(n_passages)).scores
    assert (np.abs(fast - expected) <= batch.margin[:, None]).all()
    assert batch.margin.max() < 0.01
    golds = np.repeat(np.arange(n_queries), 2), draw.integers(0, n_passages, 2 * n_queries)
    languages = {"x": range(123), "y": range(123, n_passages)}
    id_order = draw.permutation(n_passages).astype(np.int32)
    request = make_request(golds, languages, id_order, k=5, collects_languages=True)
    check_ranking(rank(scorer, request), expected, golds, languages, id_order, 5)


def test_scores_are_those_of_sentence_transformers() -> None:
    draw = np.random.default_rng(6)
    queries, passages = (
        [text for text in draw_texts(draw, n, 9, 12, "any") if len(text)] for n in (5, 8)
    )
    rows, columns = np.divmod(np.arange(len(queries) * len(passages)), len(passages))
    scores = LateScorer(embed(queries, 12), embed(passages, 12)).score_pairs(rows, columns)
    floats: list[Any] = [
        [text.astype(np.float32) for text in texts] for texts in (queries, passages)
    ]
    assert scores == pytest.approx(maxsim(floats[0], floats[1]).numpy().ravel(), abs=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a saved ColBERT."""
    base = tmp_path_factory.mktemp("late")
    make_late(base).save_pretrained(str(base / "saved"))
    return base / "saved"


def test_vectors_are_the_models_own(folder: Path) -> None:
    encoder = as_encoder(str(folder), batch_size=2, query_prompt="w9 ")
    assert isinstance(encoder, LateInteractionEncoder)
    model = MultiVectorEncoder(str(folder), device="cpu")
    for vectors, expected in (
        (encoder.encode_passages(TEXTS), model.encode_document(TEXTS)),
        (encoder.encode_queries(TEXTS), model.encode_query(TEXTS, prompt="w9 ")),
    ):
        for row, tensor in zip(vectors, expected, strict=True):
            assert row == pytest.approx(tensor.numpy(), abs=1e-5)


def test_the_store_keeps_half_precision_and_mends_damage(folder: Path, tmp_path: Path) -> None:
    encoder, texts = as_encoder(str(folder)), [f"w{n % 300} w{n % 7}" for n in range(2500)]
    stats = EncodingStats()
    stored: Any = encode_rows(encoder, texts, "passages", folder=tmp_path, stats=stats)
    expected: Any = encoder.encode_passages(texts)
    assert stored.shards[0].tokens.dtype == np.float16
    vectors = stored.take(slice(None))
    assert vectors.tokens == pytest.approx(np.concatenate(expected), abs=1e-3)
    assert np.diff(vectors.bounds).tolist() == [len(row) for row in expected]
    rows = stored.take(np.array([7, 3, 2400]))
    assert rows.tokens == pytest.approx(
        np.concatenate([expected[i] for i in (7, 3, 2400)]), abs=1e-3
    )
    n_distinct = stats.texts
    encode_rows(encoder, texts, "passages", folder=tmp_path, stats=stats)
    assert stats.texts == n_distinct == len(set(texts))
    (space,) = tmp_path.iterdir()
    damaged = min(space.glob("*.tokens.npy"))
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"abcd")
    encode_rows(encoder, texts, "passages", folder=tmp_path, stats=stats)
    assert n_distinct < stats.texts < 2 * n_distinct


def score_collection(model: MultiVectorEncoder, view: Any) -> dict[str, dict[str, float]]:
    """Return the score of each query and passage by sentence-transformers, halved as stored."""
    corpus, queries, _ = view.to_beir()
    vectors: list[Any] = [
        [tensor.half().float() for tensor in encode(texts)]
        for encode, texts in (
            (model.encode_query, list(queries.values())),
            (model.encode_document, [document["text"] for document in corpus.values()]),
        )
    ]
    scores = maxsim(vectors[0], vectors[1]).numpy().round(4).tolist()
    return {
        query: dict(zip(corpus, row, strict=True))
        for query, row in zip(queries, scores, strict=True)
    }


def test_values_are_those_of_ir_measures_on_all_scores(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collection, measures = make_word_collection(), [AP, nDCG @ 5, RR]
    caplog.set_level("INFO", "beir_hybrid")
    results = bh.evaluate(str(folder), collection, measures=measures, store=tmp_path)
    assert "tokens of passages, which takes about 0 seconds on this machine" in caplog.text
    model = MultiVectorEncoder(str(folder), device="cpu")
    table = results.per_query().to_pylist()
    for setting in results.settings:
        view = collection.view(
            setting.queries, None if setting.kind == "multi" else setting.passages
        )
        _, _, qrels = view.to_beir()
        for metric in ir_measures.iter_calc(measures, qrels, score_collection(model, view)):
            (row,) = (
                row for row in table
                if (row["kind"], row["queries"], row["passages"]) == setting
                and row["query"] == metric.query_id
            )  # fmt: skip
            assert row[str(metric.measure)] == pytest.approx(metric.value, abs=1e-9)


def test_a_reranker_of_all_passages_ranks_as_the_model(folder: Path, tmp_path: Path) -> None:
    collection = make_word_collection()
    measures = [AP, nDCG @ 5, RR]
    expected = bh.evaluate(str(folder), collection, measures=measures, store=tmp_path)
    sparse = Lengths()
    model = MultiVectorEncoder(str(folder), device="cpu")
    for reranker in (str(folder), model):
        results = bh.evaluate(
            sparse, collection, measures=measures, rerank=reranker, depth=100, store=tmp_path
        )
        assert results.per_query().equals(expected.per_query())
    assert results.provenance.reranker is not None
    assert results.provenance.reranker.fingerprint["kind"] == "late-interaction"
    assert results.timing.reranked_pairs == 0  # the store has those of the first


class Lengths:
    """Has a vector that says how long a text is."""

    fingerprint: Mapping[str, Any] = {"kind": "lengths"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), 1] for text in texts], np.float32)

    encode_passages = encode_queries


class Tokens:
    """Returns the lists of arrays that it gets, one a call."""

    family = "late-interaction"

    def __init__(self, *rows: Any) -> None:
        self.rows, self.fingerprint = [*rows], {"kind": "tokens"}

    def encode_passages(self, texts: Sequence[str]) -> Any:
        del texts
        return self.rows.pop(0)

    encode_queries = encode_passages


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([np.ones((2, 3)), np.ones((1, 4))], r"shape \(1, 4\), not \(tokens, 3\); the text is 'b'"),
        ([np.ones((2, 3)), np.ones(3)], r"shape \(3,\), not \(tokens, 3\)"),
        ([np.ones((2, 3)), np.full((1, 3), np.nan)], "hold NaN, or numbers too large for float16"),
        ([np.full((1, 3), 1e5), np.ones((1, 3))], "too large for float16; the text is 'a'"),
        (
            [np.ones((2, 3))],
            r"are a list of 1; expected a list of 2 arrays, \(tokens, ",
        ),
        (np.ones((2, 3)), "are a ndarray; expected a list of 2 arrays"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(rows: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=message):
        encode_rows(as_encoder(Tokens(rows)), ["a", "b"], "passages", folder=tmp_path)


def test_other_dimensions_are_refused(tmp_path: Path) -> None:
    encoder = as_encoder(Tokens([np.ones((1, 3))], [np.ones((1, 4))]))
    encode_rows(encoder, ["a"], "passages", folder=tmp_path)
    with pytest.raises(BadData, match=r"shape \(1, 4\), not \(tokens, 3\)"):
        encode_rows(encoder, ["b"], "passages", folder=tmp_path)
    with pytest.raises(BadData, match="tokens of queries have 3 dimensions, those of passages 4"):
        LateScorer(embed([np.ones((1, 3))], 3), embed([np.ones((1, 4))], 4))


def test_what_needs_dense_vectors_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"truncate_dim does .*, a late-interaction model"):
        as_encoder(str(folder), truncate_dim=4)
    with pytest.raises(BadOption, match=r"is a late-interaction model, .* this takes a dense one"):
        bh.build_index(str(folder), make_word_collection(), tmp_path / "index")
