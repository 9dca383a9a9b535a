"""Sparse models are stored, ranked and evaluated as scipy's product of their matrices says."""
# mypy: allow-untyped-calls

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, nDCG
from scipy.sparse import coo_array, csr_array, random_array
from sentence_transformers import SparseEncoder

import beir_hybrid as bh
from beir_hybrid.encoding import EncodingStats, as_encoder
from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings
from beir_hybrid.encoding.sparse_model import SparseModelEncoder
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.results.render import list_notes
from beir_hybrid.retrieval import rank
from beir_hybrid.retrieval.request import BLOCK_PASSAGES
from beir_hybrid.retrieval.scorer import BatchPlan
from beir_hybrid.retrieval.sharding import rank_sharded
from beir_hybrid.retrieval.sparse_scorer import SparseScorer
from tests.families import make_inference_free, make_sparse
from tests.rankings import assert_same_ranking, make_request
from tests.small_collections import make_word_collection
from tests.test_rank import check_ranking

TEXTS = ["w3", "w1 w2 w5 w5", "w7 w8", "w3"]


def draw_matrix(seed: int, n: int, terms: int, density: float, levels: int = 0) -> Any:
    """Draw a matrix; with `levels`, of so few weights that scores tie."""
    draw = np.random.default_rng(seed)
    matrix = csr_array(random_array((n, terms), density=density, rng=draw, dtype=np.float32))
    if levels:
        matrix.data = draw.integers(1, levels + 1, len(matrix.data)).astype(np.float32)
    return matrix


def make_sparse_scorer(queries: Any, passages: Any) -> SparseScorer:
    return SparseScorer(
        SparseEmbeddings.from_matrix(queries), SparseEmbeddings.from_matrix(passages)
    )


def multiply(queries: Any, passages: Any) -> np.ndarray:
    """Return scipy's product, whose sums have the same order."""
    product: np.ndarray = (queries @ passages.T.tocsr()).toarray()
    return product


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([0, 1, 3]), st.integers(0, 60), st.integers(1, 30))
def test_ranks_are_those_of_a_sort_of_scipys_product(
    seed: int, levels: int, k: int, shard_size: int
) -> None:
    queries, passages = (draw_matrix(seed + n, n, 40, 0.1, levels) for n in (7, 90))
    draw = np.random.default_rng(seed)
    golds = np.sort(draw.integers(0, 7, 25)), draw.integers(0, 90, 25)
    languages = {"a": range(30), "b": range(30, 31), "c": range(31, 90)}
    id_order = draw.permutation(90).astype(np.int32)
    request = make_request(golds, languages, id_order, k=k, collects_languages=True)
    scorer = make_sparse_scorer(queries, passages)
    ranked = rank(scorer, request)
    check_ranking(ranked, multiply(queries, passages), golds, languages, id_order, k)
    assert_same_ranking(rank_sharded(scorer, request, shard_size=shard_size), ranked)


def test_scores_are_scipys_bits_over_several_batches_and_blocks() -> None:
    n_queries, n_passages = BatchPlan().queries + 3, BLOCK_PASSAGES + 17
    queries, passages = (draw_matrix(n, n, 300, 0.05) for n in (n_queries, n_passages))
    scorer = make_sparse_scorer(queries, passages)
    expected = multiply(queries, passages)
    scores = scorer.score_rows(range(n_queries), range(n_passages))
    assert np.array_equal(scores, expected)
    rows = np.repeat(np.arange(n_queries), 40)
    columns = np.random.default_rng(1).integers(0, n_passages, len(rows))
    assert np.array_equal(scorer.score_pairs(rows, columns), expected[rows, columns])
    golds = rows[::40], columns[::40]
    id_order = np.arange(n_passages, dtype=np.int32)
    languages = {"x": range(1000), "y": range(1000, n_passages)}
    request = make_request(golds, languages, id_order, k=5, collects_languages=True)
    check_ranking(rank(scorer, request), expected, golds, languages, id_order, 5)


def test_rows_come_from_several_shards_in_their_order() -> None:
    first, second = draw_matrix(1, 6, 9, 0.4), draw_matrix(2, 4, 9, 0.4)
    numbers, rows = np.array([1, 0, 0, 1, 0], np.int32), np.array([3, 5, 0, 3, 1], np.int32)
    embeddings = SparseEmbeddings([first, second], numbers, rows)
    expected = [
        [first, second][n].toarray()[r].tolist() for n, r in zip(numbers, rows, strict=True)
    ]
    assert embeddings.take(slice(None)).toarray().tolist() == expected
    assert embeddings.take(np.array([4, 0])).toarray().tolist() == [expected[4], expected[0]]
    assert embeddings.take(slice(2, 2)).shape == (0, 9)
    assert embeddings.count_terms() == pytest.approx(np.count_nonzero(expected) / 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a saved SPLADE."""
    base = tmp_path_factory.mktemp("sparse")
    make_sparse(base).save_pretrained(str(base / "saved"))
    return base / "saved"


def test_vectors_are_the_models_own(folder: Path) -> None:
    encoder = as_encoder(str(folder), batch_size=2, query_prompt="w9 ")
    assert isinstance(encoder, SparseModelEncoder)
    model = SparseEncoder(str(folder), device="cpu")
    rows: Any = encoder.encode_passages(TEXTS)
    assert rows.toarray() == pytest.approx(model.encode(TEXTS).to_dense().numpy(), abs=1e-5)
    rows = encoder.encode_queries(TEXTS)
    prompted = model.encode([f"w9 {text}" for text in TEXTS]).to_dense().numpy()
    assert rows.toarray() == pytest.approx(prompted, abs=1e-5)
    assert 0 < rows.nnz < 0.9 * np.prod(rows.shape)  # some weights are 0
    assert encoder.encode_passages([]).shape[0] == 0
    cosine: Any = as_encoder(model, normalize=True).encode_passages(TEXTS)
    assert np.linalg.norm(cosine.toarray(), axis=1) == pytest.approx(np.ones(4), abs=1e-6)


def test_inference_free_models_route_queries(tmp_path: Path) -> None:
    model = make_inference_free(tmp_path)
    model.save_pretrained(str(tmp_path / "saved"))
    encoder = as_encoder(str(tmp_path / "saved"))
    assert encoder.family == "sparse"
    queries: Any = encoder.encode_queries(TEXTS)
    assert queries.toarray() == pytest.approx(model.encode_query(TEXTS).to_dense().numpy())
    assert np.diff(queries.indptr).tolist() == [1, 3, 2, 1]  # a term a word
    passages: Any = encoder.encode_passages(TEXTS)
    expected = model.encode_document(TEXTS).to_dense().numpy()
    assert passages.toarray() == pytest.approx(expected, abs=1e-5)


def test_the_store_keeps_matrices_and_mends_damage(folder: Path, tmp_path: Path) -> None:
    encoder, texts = as_encoder(str(folder)), [f"w{n % 300} w{n % 7}" for n in range(2500)]
    stats = EncodingStats()
    stored = encode_rows(encoder, texts, "passages", folder=tmp_path, stats=stats)
    n_distinct = len(set(texts))
    assert stats.texts == n_distinct
    assert len(stored.shards) == -(-n_distinct // 1024)
    expected: Any = encoder.encode_passages(texts)
    assert stored.take(slice(None)).toarray() == pytest.approx(expected.toarray(), abs=1e-5)
    again = encode_rows(encoder, texts, "passages", folder=tmp_path, stats=stats)
    assert stats.texts == n_distinct
    assert (again.take(slice(None)) != stored.take(slice(None))).nnz == 0
    (space,) = tmp_path.iterdir()
    assert json.loads((space / "space.json").read_text())["family"] == "sparse"
    damaged = min(space.glob("*.weights.npy"))
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"abcd")
    mended = encode_rows(encoder, texts, "passages", folder=tmp_path, stats=stats)
    assert n_distinct < stats.texts < 2 * n_distinct
    assert mended.take(slice(None)).toarray() == pytest.approx(expected.toarray(), abs=1e-5)


def test_values_are_those_of_ir_measures_on_all_scores(folder: Path, tmp_path: Path) -> None:
    collection = make_word_collection()
    measures = [AP, nDCG @ 5, RR]
    results = bh.evaluate(
        str(folder), collection, measures=[*measures, bh.RankDistance], store=tmp_path
    )
    model = SparseEncoder(str(folder), device="cpu")
    encoder, stats = as_encoder(str(folder)), EncodingStats()

    def read_stored(texts: list[str], role: Role) -> Any:
        # The last bits of weights depend on the texts of a batch, so these are not encoded again.
        rows = encode_rows(encoder, texts, role, folder=tmp_path, stats=stats).take(slice(None))
        assert stats.texts == 0
        return rows

    table = results.per_query().to_pylist()
    for setting in results.settings:
        target = None if setting.kind == "multi" else setting.passages
        corpus, queries, qrels = collection.view(setting.queries, target).to_beir()
        passages = read_stored([document["text"] for document in corpus.values()], "passages")
        scores = multiply(read_stored(list(queries.values()), "queries"), passages)
        run = {
            query: dict(zip(corpus, row, strict=True))
            for query, row in zip(queries, scores.tolist(), strict=True)
        }
        for metric in ir_measures.iter_calc(measures, qrels, run):
            (row,) = (
                row for row in table
                if (row["kind"], row["queries"], row["passages"]) == setting
                and row["query"] == metric.query_id
            )  # fmt: skip
            assert row[str(metric.measure)] == pytest.approx(metric.value, abs=1e-9)
    terms = results.provenance.model.terms
    assert terms is not None
    counts = (model.encode(collection.queries["text"].to_pylist()).to_dense() > 0).sum(dim=1)
    assert terms["queries"] == pytest.approx(counts.float().mean().item())
    assert f"{terms['queries']:,.1f} terms of a query" in "".join(list_notes(results))
    results.save(tmp_path / "results")
    assert bh.Results.load(tmp_path / "results").provenance.model.terms == terms
    by_object = bh.evaluate(model, collection, measures=[AP], store=tmp_path)
    assert by_object.timing.encoded_texts == 0
    assert by_object.means("AP") == results.means("AP")


class Terms:
    """Returns the matrices of a list, one a call."""

    family = "sparse"

    def __init__(self, *matrices: Any) -> None:
        self.matrices, self.fingerprint = [*matrices], {"kind": "terms"}

    def encode_passages(self, texts: Sequence[str]) -> Any:
        del texts
        return self.matrices.pop(0)

    encode_queries = encode_passages


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0], [0, -2]], "have terms with negative weights, first row 1; the text is 'b'"),
        ([[np.nan, 0], [0, 1]], "1 of 2 sparse embeddings hold NaN, infinity, .*the text is 'a'"),
        ([[1e25, 0], [0, 1]], "numbers too large for scores"),
        ([[1, 0]], r"csr_array of shape \(1, 2\); expected a sparse matrix, \(2, terms\)"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_used_are_refused(matrix: Any, message: str, tmp_path: Path) -> None:
    encoder = as_encoder(Terms(csr_array(np.array(matrix, np.float32))))
    with pytest.raises(BadData, match=message):
        encode_rows(encoder, ["a", "b"], "passages", folder=tmp_path)


def test_arrays_and_other_vocabularies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="sparse embeddings are a ndarray of shape"):
        encode_rows(as_encoder(Terms(np.ones((1, 3)))), ["a"], "passages", folder=tmp_path / "1")
    encoder = as_encoder(Terms(csr_array(np.eye(1, 3)), csr_array(np.eye(1, 4))))
    encode_rows(encoder, ["a"], "passages", folder=tmp_path / "2")
    with pytest.raises(BadData, match="embeddings have 4 terms, those before them 3"):
        encode_rows(encoder, ["b"], "passages", folder=tmp_path / "2")
    with pytest.raises(BadData, match="queries have 3 terms and passages 4"):
        make_sparse_scorer(csr_array(np.eye(1, 3)), csr_array(np.eye(1, 4)))


def test_duplicates_are_added_and_zeros_dropped(tmp_path: Path) -> None:
    entries = ([1.0, 2.0, 0.0], ([0, 0, 0], [2, 2, 1]))
    rows = encode_rows(as_encoder(Terms(coo_array(entries))), ["a"], "passages", folder=tmp_path)
    matrix = rows.take(slice(None))
    assert (matrix.indices.tolist(), matrix.data.tolist()) == ([2], [3.0])


def test_what_needs_dense_vectors_says_so(folder: Path, tmp_path: Path) -> None:
    collection = make_word_collection()
    with pytest.raises(BadOption, match=r"truncate_dim does not apply to .*, a sparse model"):
        as_encoder(str(folder), truncate_dim=8)
    with pytest.raises(BadOption, match=r"is a sparse model, .* this takes a dense one"):
        bh.encode(as_encoder(str(folder)), TEXTS, "passages", folder=tmp_path)
    with pytest.raises(BadOption, match="a calibration corrects dense vectors"):
        bh.evaluate(str(folder), collection, store=tmp_path, calibration="mean-language")


def test_dense_models_need_no_scipy() -> None:
    code = (
        "import sys; import beir_hybrid.encoding.models, beir_hybrid.retrieval.scorers; "
        "print('scipy.sparse' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "False\n"
