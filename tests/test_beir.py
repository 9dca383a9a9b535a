"""Our retriever in BEIR's own evaluation gives what BEIR's exact search gives."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beir_hybrid.beir import Retriever, ScoreFunction
from beir_hybrid.encoding import SentenceTransformerEncoder
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.retrieval.runs import Run
from tests.models import WORDS, static_model

K_VALUES = [1, 3, 10, 100]


def make_text(draw: np.random.Generator, words: int) -> str:
    return " ".join(draw.choice(WORDS, words))


def make_data() -> tuple[dict[str, dict[str, str]], dict[str, str], dict[str, dict[str, int]]]:
    """Return passages with titles, empty ones and none; one has a query's id."""
    draw = np.random.default_rng(11)
    corpus: dict[str, dict[str, str]] = {}
    for number in range(250):
        passage = {"text": make_text(draw, int(draw.integers(3, 25)))}
        if number % 3:
            passage["title"] = make_text(draw, 3) if number % 3 == 1 else ""
        corpus[f"d{number}"] = passage
    queries = {f"q{number}": make_text(draw, 4) for number in range(12)}
    corpus["q3"] = {"title": "", "text": queries["q3"]}  # would be first for q3
    corpus["q5"] = {"title": queries["q5"], "text": "  "}
    qrels = {
        query: {f"d{key}": int(draw.integers(1, 3)) for key in draw.choice(250, 5).tolist()}
        for query in queries
    }
    return corpus, queries, qrels


@pytest.fixture
def beir_retrieval() -> Iterator[Any]:
    """Give BEIR's package; what it warns of is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import beir.retrieval.evaluation
        import beir.retrieval.models
        import beir.retrieval.search.dense

        yield beir.retrieval


def assert_equal_up_to_near_ties(ours: Run, theirs: Run) -> None:
    assert ours.keys() == theirs.keys()
    for query, results in ours.items():
        expected = theirs[query]
        assert sorted(results.values()) == pytest.approx(sorted(expected.values()), abs=1e-5)
        for key in results.keys() & expected.keys():
            assert results[key] == pytest.approx(expected[key], abs=1e-5)
        last = min(results.values())
        scores = {**expected, **results}
        for key in results.keys() ^ expected.keys():
            assert scores[key] == pytest.approx(last, abs=1e-5)


@pytest.fixture
def model_folder(tmp_path: Path) -> str:
    static_model().save(str(tmp_path / "model"))
    return str(tmp_path / "model")


@pytest.mark.parametrize("score_function", ["cos_sim", "dot"])
@pytest.mark.parametrize("k_values", [K_VALUES, [2], [1000]], ids=["usual", "few", "all"])
def test_results_and_measures_are_those_of_beirs_exact_search(
    beir_retrieval: Any, model_folder: str, score_function: str, k_values: list[int]
) -> None:
    corpus, queries, qrels = make_data()
    beir_search = beir_retrieval.search.dense.DenseRetrievalExactSearch(
        beir_retrieval.models.SentenceBERT(model_folder), show_progress_bar=False
    )
    results = {}
    for name, retriever in {"theirs": beir_search, "ours": Retriever(model_folder)}.items():
        evaluator = beir_retrieval.evaluation.EvaluateRetrieval(
            retriever, k_values=k_values, score_function=score_function
        )
        run = evaluator.retrieve(corpus, queries)
        measures = evaluator.evaluate(qrels, run, k_values)
        custom = evaluator.evaluate_custom(qrels, run, k_values, "mrr")
        results[name] = run, [*measures, custom]
    assert_equal_up_to_near_ties(results["ours"][0], results["theirs"][0])
    assert results["ours"][1] == results["theirs"][1]
    ours = results["ours"][0]
    assert {len(scores) for scores in ours.values()} <= {min(max(k_values), n) for n in (251, 252)}
    assert all(query not in scores for query, scores in ours.items())
    for scores in ours.values():
        assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_encode_and_retrieve_is_beirs(
    beir_retrieval: Any, model_folder: str, tmp_path: Path
) -> None:
    corpus, queries, _ = make_data()
    beir_search = beir_retrieval.search.dense.DenseRetrievalExactSearch(
        beir_retrieval.models.SentenceBERT(model_folder), show_progress_bar=False
    )
    runs = []
    for name, retriever in {"theirs": beir_search, "ours": Retriever(model_folder)}.items():
        evaluator = beir_retrieval.evaluation.EvaluateRetrieval(retriever, k_values=[5])
        folder = str(tmp_path / name)
        runs.append(evaluator.encode_and_retrieve(corpus, queries, encode_output_path=folder))
    assert_equal_up_to_near_ties(runs[1], runs[0])
    assert "q3" in runs[1]["q3"]
    assert list((tmp_path / "ours").rglob("*.vectors.npy"))


class TableEncoder:
    """An encoder that looks vectors up, and counts the texts it is asked for."""

    fingerprint = {"kind": "table"}  # noqa: RUF012 - the protocol's attribute

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self.vectors, self.asked = vectors, 0

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += len(texts)
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)

    encode_passages = encode_queries


def make_encoder() -> TableEncoder:
    return TableEncoder(
        {"ask": [2, 0], "alpha one": [3, 4], "two": [0.8, 0.6], "three": [0, 2], "zero": [0, 0]}
    )


CORPUS = {
    "a": {"title": "alpha", "text": "one"},
    "b": {"title": "", "text": " two\n"},
    "c": {"text": "three"},
    "d": {"text": "zero"},
    "e": {"title": "two", "text": ""},
}


@pytest.mark.parametrize(
    ("score_function", "expected"),
    [
        # The lengths are 2 for the query and 5, 1, 2, 0 for the texts; ties by descending id.
        ("dot", [("a", 6.0), ("e", 1.6), ("b", 1.6), ("d", 0.0), ("c", 0.0)]),
        ("cos_sim", [("e", 0.8), ("b", 0.8), ("a", 0.6), ("d", 0.0), ("c", 0.0)]),
    ],
)
def test_the_score_function_decides_the_length_of_vectors(
    score_function: ScoreFunction, expected: list[tuple[str, float]]
) -> None:
    results = Retriever(make_encoder()).search(CORPUS, {"q": "ask"}, 10, score_function)["q"]
    assert list(results) == [key for key, _ in expected]
    assert list(results.values()) == pytest.approx([score for _, score in expected])


def test_a_passage_with_the_querys_id_makes_room_for_the_next() -> None:
    retriever = Retriever(make_encoder())
    results = retriever.search(CORPUS, {"q": "ask", "a": "ask"}, 2, "dot")
    assert {query: list(scores) for query, scores in results.items()} == {
        "q": ["a", "e"],
        "a": ["e", "b"],
    }
    assert retriever.results is results


def test_a_text_is_encoded_once_whatever_is_searched_next() -> None:
    encoder = make_encoder()
    retriever = Retriever(encoder)
    first = retriever.search(CORPUS, {"q": "ask"}, 3, "dot")
    assert encoder.asked == 5  # "two" stands twice
    assert retriever.search(CORPUS, {"q": "ask"}, 3, "dot") == first
    assert Retriever(encoder).search(CORPUS, {"q": "ask"}, 3, "dot") == first
    assert encoder.asked == 5
    retriever.search(CORPUS, {"q": "ask"}, 3, "cos_sim")
    assert encoder.asked == 10


def test_vectors_lie_where_they_are_asked_to(tmp_path: Path) -> None:
    Retriever(make_encoder(), folder=tmp_path / "here").search(CORPUS, {"q": "ask"}, 3, "dot")
    assert sorted(path.suffix for path in (tmp_path / "here").rglob("*.vectors.npy")) == [
        ".npy",
        ".npy",
    ]


def test_options_reach_the_encoder() -> None:
    model = static_model()
    plain = Retriever(model).search(CORPUS, {"q": "w1 w2"}, 1, "dot")
    prompted = Retriever(model, query_prompt="w1 ").search(CORPUS, {"q": "w2"}, 1, "dot")
    assert prompted["q"] == pytest.approx(plain["q"])


def test_an_encoder_of_unit_vectors_gives_cosines_only() -> None:
    encoder = SentenceTransformerEncoder(static_model(), normalize=True)
    retriever = Retriever(encoder)
    with pytest.raises(BadOption, match="have unit length, so their dot products are cosines"):
        retriever.search(CORPUS, {"q": "w1"}, 1, "dot")
    corpus, queries, _ = make_data()
    plain_encoder = SentenceTransformerEncoder(static_model(), normalize=False)
    ours = Retriever(plain_encoder).search(corpus, queries, 5, "cos_sim")
    assert_equal_up_to_near_ties(retriever.search(corpus, queries, 5, "cos_sim"), ours)


@pytest.mark.parametrize(
    ("corpus", "queries", "message"),
    [
        ({}, {"q": "ask"}, "the corpus is empty"),
        (CORPUS, {}, "the set of queries is empty"),
        ({**CORPUS, "z": {"title": "no text"}}, {"q": "ask"}, "passage 'z' of the corpus has no"),
    ],
)
def test_nothing_to_rank_is_an_error(
    corpus: dict[str, dict[str, str]], queries: dict[str, str], message: str
) -> None:
    with pytest.raises(BadData, match=message):
        Retriever(make_encoder()).search(corpus, queries, 3, "dot")


def test_options_that_make_no_sense(beir_retrieval: Any, model_folder: str) -> None:
    with pytest.raises(UnknownName, match="no score function 'cosine'"):
        Retriever(make_encoder()).search(CORPUS, {"q": "ask"}, 3, "cosine")  # type: ignore[arg-type]
    with pytest.raises(BadOption, match="top_k is 0; it must be a whole number from 1 on"):
        Retriever(make_encoder()).search(CORPUS, {"q": "ask"}, 0, "dot")
    with pytest.raises(BadOption, match="normalize follows from the score function"):
        Retriever(model_folder, normalize=False)
    with pytest.raises(BadOption, match="SentenceBERT is BEIR's wrapper of a model"):
        Retriever(beir_retrieval.models.SentenceBERT(model_folder))
    with pytest.raises(BadOption, match="nothing is encoded"):
        Retriever(model_folder).search_from_files(top_k=3)
