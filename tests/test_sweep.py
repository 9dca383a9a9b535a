"""A sweep's rows are what separate evaluations, faiss's codes and Hamming distances give."""
# mypy: allow-untyped-calls

import json
from pathlib import Path
from typing import Any

import faiss
import ir_measures
import numpy as np
import pytest
from ir_measures import AP, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import Embeddings, as_encoder
from beir_hybrid.encoding.precisions import PRECISIONS, VectorForm
from beir_hybrid.errors import BadData, BadOption, UnknownName
from tests.families import make_sparse
from tests.models import static_model
from tests.small_collections import make_word_collection, write_parallel_words
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["run_cli"]
MEASURES = [AP, nDCG @ 5]


@pytest.fixture(scope="module")
def collection() -> Collection:
    return make_word_collection()


@pytest.fixture(scope="module")
def texts(collection: Collection) -> tuple[dict[str, str], dict[str, str]]:
    """Give the texts of queries and passages."""
    corpus, queries, _ = collection.view().to_beir()
    return queries, {key: document["text"] for key, document in corpus.items()}


def check_scores(results: bh.Results, collection: Collection, scores: np.ndarray) -> None:
    """Check values against those of ir_measures on all scores, (queries, passages)."""
    corpus, queries, _ = collection.view().to_beir()
    run = {
        query: dict(zip(corpus, row, strict=True))
        for query, row in zip(queries, scores.tolist(), strict=True)
    }
    table = results.per_query().to_pylist()
    for setting in results.settings:
        passages = None if setting.kind == "multi" else setting.passages
        _, _, qrels = collection.view(setting.queries, passages).to_beir()
        prefix = "" if passages is None else f"{passages}:"
        part = {
            query: {key: score for key, score in run[query].items() if key.startswith(prefix)}
            for query in qrels
        }
        for metric in ir_measures.iter_calc(MEASURES, qrels, part):
            (row,) = (
                row for row in table
                if (row["kind"], row["queries"], row["passages"]) == setting
                and row["query"] == metric.query_id
            )  # fmt: skip
            assert row[str(metric.measure)] == pytest.approx(metric.value, abs=1e-9)


def score_by_definition(precision: str, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Return the scores of a precision, by other means than the package's.

    In float64, which no order of additions changes by enough to part equal scores in float32.
    """
    dim = passages.shape[1]
    if precision in ("binary+int8", "binary+float32"):  # more candidates than passages
        precision = precision.partition("+")[2]
    if precision == "float16":
        return multiply(queries, passages.astype(np.float16))
    if precision == "int8":
        low, high = passages.min(axis=0), passages.max(axis=0)
        codes = np.minimum(255, ((passages - low) / (high - low) * 255).astype(int))
        return multiply(queries, (low + (codes + 0.5) / 255 * (high - low)).astype(np.float32))
    if precision == "binary":
        bits = [np.packbits(rows > 0, axis=1) for rows in (queries, passages)]
        index = faiss.IndexBinaryFlat(dim)
        index.add(bits[1])
        distances, places = index.search(bits[0], len(passages))
        scores = np.empty_like(distances)
        np.put_along_axis(scores, places, -distances, axis=1)
        return scores.astype(np.float32)
    if precision == "binary+rescoring":
        return np.array([[sum(np.where(p > 0, q, -q)) for p in passages] for q in queries])
    return multiply(queries, passages)


def multiply(queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Return the inner products, computed in float64."""
    return (queries.astype(np.float64) @ passages.T.astype(np.float64)).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_values_are_those_of_ir_measures_on_all_scores(
    collection: Collection, texts: Any, tmp_path: Path, precision: str
) -> None:
    model = static_model(seed=3)
    encoder = as_encoder(model)
    queries = encoder.encode_queries([*texts[0].values()])
    passages = encoder.encode_passages([*texts[1].values()])
    rows = bh.sweep(
        model, collection, precisions=[precision], measures=MEASURES, store=tmp_path, name="m"
    )
    (results,) = rows.values()
    assert (*rows, results.model) == (f"m, {precision}", f"m, {precision}")
    check_scores(results, collection, score_by_definition(precision, queries, passages))


def order_in_two_steps(
    ids: list[str], first: dict[str, float], second: dict[str, float], n: int
) -> list[str]:
    """Return ids by a score, the best n by another one, of equal scores the later id first."""

    def sort(keys: list[str], scores: dict[str, float]) -> list[str]:
        return sorted(sorted(keys, reverse=True), key=lambda key: -scores[key])

    order = sort(ids, first)
    return sort(order[:n], second) + order[n:]


@pytest.mark.parametrize("rescoring", ["int8", "float32"])
def test_the_best_by_bits_are_rescored(
    collection: Collection, texts: Any, tmp_path: Path, rescoring: str
) -> None:
    model, n = static_model(seed=3), 5
    encoder = as_encoder(model)
    vectors = (
        encoder.encode_queries([*texts[0].values()]), encoder.encode_passages([*texts[1].values()])
    )  # fmt: skip
    bits, fine = (score_by_definition(name, *vectors) for name in ("binary", rescoring))
    (results,) = bh.sweep(
        model, collection, precisions=[f"binary+{rescoring}"], candidates=n, measures=MEASURES,
        store=tmp_path,
    ).values()  # fmt: skip
    assert results.provenance.reranker is not None
    assert (results.provenance.reranker.name, results.provenance.reranker.depth) == (
        f"{rescoring} vectors", n,
    )  # fmt: skip
    ids, values = [*texts[1]], {}
    for number, query in enumerate(texts[0]):
        first, second = (
            dict(zip(ids, scores[number].tolist(), strict=True)) for scores in (bits, fine)
        )
        for language in ("de", "en", "th", ""):
            pool = [key for key in ids if key.startswith(language)]
            ranking = order_in_two_steps(pool, first, second, n)
            run = {query: {key: -float(place) for place, key in enumerate(ranking)}}
            _, _, qrels = collection.view(None, language or None).to_beir()
            for metric in ir_measures.iter_calc(MEASURES, {query: qrels[query]}, run):
                values[query, language or "all", str(metric.measure)] = metric.value
    table = results.per_query().to_pylist()
    assert len(table) == 15 * 4
    for row in table:
        for measure in map(str, MEASURES):
            expected = values[row["query"], row["passages"], measure]
            assert row[measure] == pytest.approx(expected, abs=1e-9)


def test_codes_are_those_of_an_index_of_faiss(collection: Collection, tmp_path: Path) -> None:
    model, kind = static_model(seed=3), faiss.ScalarQuantizer.QT_8bit
    corpus, queries, _ = collection.view().to_beir()
    encoder = as_encoder(model)
    vectors = encoder.encode_passages([document["text"] for document in corpus.values()])
    index = faiss.IndexScalarQuantizer(16, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    scores, places = index.search(encoder.encode_queries([*queries.values()]), len(corpus))
    in_order = np.empty_like(scores)
    np.put_along_axis(in_order, places, scores, axis=1)
    (results,) = bh.sweep(
        model, collection, precisions=["int8"], measures=MEASURES, store=tmp_path
    ).values()
    check_scores(results, collection, in_order)


def test_fewer_dimensions_are_those_of_the_encoder(collection: Collection, tmp_path: Path) -> None:
    for similarity in ("cosine", "dot"):
        model = static_model(seed=3, similarity_fn_name=similarity)
        rows = bh.sweep(model, collection, dimensions=[4, 16], measures=MEASURES, store=tmp_path)
        for dim, results in zip([4, 16], rows.values(), strict=True):
            expected = bh.evaluate(
                model, collection, measures=MEASURES, truncate_dim=dim, store=tmp_path
            )
            assert results.per_query().equals(expected.per_query())


def test_each_row_has_its_bytes_and_facts(collection: Collection, tmp_path: Path) -> None:
    model = static_model()
    rows = bh.sweep(
        model, collection, dimensions=[12, 16], precisions=list(PRECISIONS), measures="AP",
        store=tmp_path,
    )  # fmt: skip
    sizes = [row.provenance.model.index_bytes for row in rows.values()]
    # 63 passages; 12 bits take two bytes.
    assert sizes == [63 * size for size in (48, 24, 12, 2, 2, 14, 50, 64, 32, 16, 2, 2, 18, 66)]
    assert [*rows][:2] == [
        "SentenceTransformer, 12 dimensions, float32",
        "SentenceTransformer, 12 dimensions, float16",
    ]
    facts = rows["SentenceTransformer, 12 dimensions, int8"].provenance.model.fingerprint
    assert (facts["precision"], facts["dimensions"]) == ("int8", 12)
    rows["SentenceTransformer, 12 dimensions, int8"].save(tmp_path / "out")
    assert bh.Results.load(tmp_path / "out").provenance.model.index_bytes == 63 * 12


def test_several_prompts_encode_passages_once(collection: Collection, tmp_path: Path) -> None:
    model, prompts = static_model(), ["w1 ", "", "w3 w4 "]
    rows = bh.sweep(
        model, collection, query_prompts=prompts, passage_prompt="w9 ", measures=MEASURES,
        store=tmp_path / "1",
    )  # fmt: skip
    n_queries = len(collection.queries)
    counts = [row.timing.encoded_texts for row in rows.values()]
    assert counts[1:] == [n_queries] * 2
    assert (counts[0] or 0) > n_queries
    for prompt, (name, row) in zip(prompts, rows.items(), strict=True):
        assert name.endswith(f", prompt {prompt.strip()!r}")
        expected = bh.evaluate(
            model, collection, query_prompt=prompt, passage_prompt="w9 ", measures=MEASURES,
            store=tmp_path / prompt.strip(),
        )  # fmt: skip
        assert row.per_query().equals(expected.per_query())
        assert row.provenance.model.fingerprint["prompts"]["queries"] == prompt


def test_long_prompts_that_begin_alike_have_names_of_their_own(
    collection: Collection, tmp_path: Path
) -> None:
    prompts = [f"{'w1 ' * 30}{word} " for word in ("w2", "w3")]
    rows = bh.sweep(
        static_model(), collection, query_prompts=prompts, measures="AP", store=tmp_path
    )
    assert len(rows) == 2
    assert all(prompt in name for prompt, name in zip(prompts, rows, strict=True))


def test_a_vector_of_zeros_costs_the_others_no_unit_length(tmp_path: Path) -> None:
    """A static model has one for a text without a word that it knows."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((200, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[7] = 0
    vectors = Embeddings.from_array(rows)
    _, passages = VectorForm(8).convert(vectors, vectors, tmp_path)
    lengths = np.linalg.norm(passages.take(slice(None)), axis=1)
    assert lengths == pytest.approx(np.where(np.arange(200) == 7, 0, 1), abs=1e-6)
    # As they are, vectors are not copied.
    assert VectorForm(32).convert(vectors, vectors, tmp_path / "no") == (vectors, vectors)


def test_settings_that_vectors_do_not_rerank_are_refused_first(
    collection: Collection, tmp_path: Path
) -> None:
    with pytest.raises(BadOption, match="not those of one-target settings: leave these out"):
        bh.sweep(
            static_model(), collection, precisions=["float32", "binary+int8"],
            settings="multi one-target", store=tmp_path / "store",
        )  # fmt: skip
    assert not (tmp_path / "store").exists()


def test_what_cannot_be_swept(collection: Collection, tmp_path: Path) -> None:
    model: Any = static_model()
    for options, message in (
        ({"precisions": ["int7"]}, "no precision 'int7'; did you mean 'int8'"),
        ({"precisions": "int8"}, "precisions is 'int8'; it must be a list"),
        ({"precisions": ["int8", "int8"]}, "precisions has 'int8' twice"),
        ({"dimensions": [0]}, "dimensions is 0; it must be a whole number"),
        ({"dimensions": [17]}, "17 dimensions are wanted, and vectors have only 16"),
        ({"candidates": -5, "precisions": ["binary+int8"]}, "candidates is -5; it must be"),
        ({"candidates": "x", "precisions": ["binary+int8"]}, "candidates is 'x'; it must be"),
        ({"candidates": 5, "precisions": ["int8"]}, "put in order by binary.int8 or binary.float"),
        ({"query_prompts": ["a", "a"]}, "query_prompts has 'a' twice"),
        ({"calibration": "mean-language"}, "a sweep takes no calibration"),
    ):
        with pytest.raises((BadOption, UnknownName), match=message):
            bh.sweep(model, collection, store=tmp_path, **options)
    with pytest.raises(BadOption, match="no dense model"):
        bh.sweep(make_sparse(tmp_path), collection, precisions=["int8"], store=tmp_path)
    with pytest.raises(BadOption, match="a collection is wanted"):
        bh.sweep(model, "xquad-r")  # type: ignore[arg-type]


class Large:
    """Has numbers that half precision has not."""

    fingerprint = {"kind": "large"}  # noqa: RUF012

    def encode_queries(self, texts: list[str]) -> np.ndarray:
        return np.full((len(texts), 2), 1e6, np.float32)

    encode_passages = encode_queries


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_numbers_too_large_for_half_precision(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="hold NaN or infinity"):
        bh.sweep(Large(), collection, precisions=["float16"], store=tmp_path)


def test_the_command(run_cli: RunCli, tmp_path: Path) -> None:
    static_model().save(str(tmp_path / "model"))
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    line = ["sweep", tmp_path / "model", "--dataset", words, "--measures", "AP RankDistance"]
    line += ["--dimensions", "8,16", "--precisions", "float32,binary", "--name", "m"]
    outcome = run_cli(*line, "--output", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    headings, *rows, saved = outcome.out.splitlines()
    assert headings.split() == [
        *("system", "index", "bytes", "mono", "AP", "cross", "AP", "multi", "AP"),
        *("multi", "RankDistance"),
    ]
    assert [row.split("  ")[0] for row in rows] == [
        f"m, {dim} dimensions, {name}" for dim in (8, 16) for name in ("float32", "binary")
    ]
    assert [row.split()[4] for row in rows] == ["3,840", "120", "7,680", "240"]
    assert saved == f"saved in {tmp_path / 'out'}"
    folders = sorted((tmp_path / "out").iterdir())
    assert len(folders) == 4
    # The rows stand in a leaderboard and in a comparison, and are replaced by the same command.
    assert run_cli("leaderboard", tmp_path / "out", "--output", tmp_path / "site").code == 0
    pages = "".join(path.read_text("utf-8") for path in (tmp_path / "site").rglob("*.html"))
    for size in ("3,840", "120", "7,680", "240"):
        assert f"passages take {size} bytes in an index" in pages
    assert run_cli("compare", *folders, "--measures", "AP").code == 0
    records = run_cli(*line, "--output", tmp_path / "out", "--json")
    assert [row["index_bytes"] for row in json.loads(records.out)] == [3840, 120, 7680, 240]
    # A row that may not be replaced does not cost the others.
    static_model(8).save(str(tmp_path / "other"))
    line[1:2] = [tmp_path / "other"]
    line[line.index("8,16")] = "8,4"
    refused = run_cli(*line, "--output", tmp_path / "out")
    assert refused.code == 2
    assert refused.out.count("dimensions") == 4  # printed all the same
    assert "holds results of 'm, 8 dimensions, float32' with other weights" in refused.err
    assert "the other 2 of 4 rows are saved" in refused.err
    assert len([*(tmp_path / "out").iterdir()]) == 6
    wrong = run_cli(*line[:-2], "--dimensions", "8,x")
    assert (wrong.code, wrong.err) == (
        2, "BadOption: --dimensions has 'x'; it must be whole numbers, such as 64,128\n",
    )  # fmt: skip
