"""One command evaluates every family of systems on a slice of XQuAD-R, as brute force does.

Ranks are those of all scores, sorted here; scores are computed from the models' own outputs, from
the endpoint's answers, and for BM25 from Lucene's terms by its formula.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder, SentenceTransformer, SparseEncoder

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import Setting
from beir_hybrid.encoding import as_encoder
from beir_hybrid.encoding.store import encode_rows, open_space
from beir_hybrid.errors import BadOption
from tests.endpoint_server import serve_models
from tests.families import make_inference_free, make_late, make_sparse, save_dense
from tests.test_cli_evaluate import RunCli, run_cli

pytest.importorskip("pyserini")
__all__ = ["run_cli"]
LANGUAGES = ["de", "en"]
N_QUESTIONS, N_PASSAGES = 30, 100
MEASURES = ("AP", "RankDistance")
Scores = np.ndarray  # (queries, passages)
# Returns scores of queries and passages; BM25's depend on the setting.
Score = Callable[[list[str], list[str], Setting], Scores]


@pytest.fixture
def xquad_slice(tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give questions of XQuAD-R and passages as JSON lines, and models the words of these."""
    assert mirror.is_dir()
    corpus, queries, qrels = bh.load("xquad-r", languages=LANGUAGES).view().to_beir()
    places = [key.partition(":")[2] for key in corpus if key.startswith("en:")]
    places = [place for place in places if f"de:{place}" in corpus][:N_PASSAGES]
    rows: list[dict[str, Any]] = [
        {"passage": place, "text": {lang: corpus[f"{lang}:{place}"]["text"] for lang in LANGUAGES}}
        for place in places
    ]
    for key in [key[5:] for key in queries if key.startswith("en:q:")][:N_QUESTIONS]:
        golds = sorted({passage.partition(":")[2] for passage in qrels[f"en:q:{key}"]})
        text = {lang: queries[f"{lang}:q:{key}"] for lang in LANGUAGES}
        rows.append({"query": key, "text": text, "relevant": golds})
    words = [re.findall(r"\w+|[^\w\s]+", text) for row in rows for text in row["text"].values()]
    monkeypatch.setattr("tests.models.WORDS", sorted({word for text in words for word in text}))
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "slice.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def save_models(folder: Path) -> list[Path]:
    """Save a dense, a sparse and a late-interaction model."""
    models = [save_dense(folder), folder / "sparse", folder / "late"]
    make_sparse(folder / "1").save_pretrained(str(models[1]))
    make_late(folder / "2").save_pretrained(str(models[2]))
    return models


def list_scores(folders: list[Path], url: str) -> list[Score]:
    """Return a function of scores for each system, in the order of the command."""
    dense = SentenceTransformer(str(folders[0]), device="cpu")
    sparse = SparseEncoder(str(folders[1]), device="cpu")
    late = MultiVectorEncoder(str(folders[2]), device="cpu")

    def score_dense(queries: list[str], passages: list[str], _setting: Setting) -> Scores:
        return multiply(normalize(dense.encode(queries)), normalize(dense.encode(passages)))

    def score_sparse(queries: list[str], passages: list[str], _setting: Setting) -> Scores:
        vectors = sparse.encode_query(queries), sparse.encode_document(passages)
        return multiply(*(np.asarray(part.to_dense()) for part in vectors))

    def score_late(queries: list[str], passages: list[str], _setting: Setting) -> Scores:
        """Score by MaxSim of tokens in half precision."""
        texts = late.encode_query(queries), late.encode_document(passages)
        query_tokens, passage_tokens = (
            [np.asarray(tokens, np.float16).astype(np.float64) for tokens in part] for part in texts
        )
        return np.array(
            [[(q @ p.T).max(axis=1).sum() for p in passage_tokens] for q in query_tokens]
        )

    def score_endpoint(queries: list[str], passages: list[str], _setting: Setting) -> Scores:
        return multiply(ask_endpoint(url, queries), ask_endpoint(url, passages))

    return [score_dense, score_sparse, score_late, score_endpoint, score_bm25]


def normalize(vectors: Any) -> np.ndarray:
    rows = np.asarray(vectors, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def multiply(queries: np.ndarray, passages: np.ndarray) -> Scores:
    scores: Scores = queries.astype(np.float64) @ passages.astype(np.float64).T
    return scores


def ask_endpoint(url: str, texts: list[str]) -> np.ndarray:
    answer = httpx.post(f"{url}/embeddings", json={"model": "hashes", "input": texts}).json()
    entries = sorted(answer["data"], key=lambda entry: int(entry["index"]))
    return normalize([entry["embedding"] for entry in entries])


def score_bm25(queries: list[str], passages: list[str], setting: Setting) -> Scores:
    """Score by Lucene's formula, k1 = .9 and b = .4, of the terms of the passages' language."""
    split = make_splitter("" if setting.kind == "multi" else setting.passages)
    terms = [split(passage) for passage in passages]
    average = sum(map(len, terms)) / len(terms)
    scores = np.zeros((len(queries), len(passages)))
    for row, query in enumerate(queries):
        for term in split(query):
            n = sum(term in passage for passage in terms)
            idf = math.log(1 + (len(terms) - n + 0.5) / (n + 0.5))
            for column, passage in enumerate(terms):
                frequency, length = passage.count(term), round_length(len(passage))
                norm = 0.9 * (0.6 + 0.4 * length / average)
                scores[row, column] += idf * frequency / (frequency + norm)
    return scores


def make_splitter(language: str) -> Callable[[str], list[str]]:
    """Return Pyserini's analyzer of a language; of none, Lucene's standard one."""
    from jnius import autoclass
    from pyserini.analysis import Analyzer, get_lucene_analyzer

    if language:
        analyzer = get_lucene_analyzer(language=language)
    else:
        analyzer = autoclass("org.apache.lucene.analysis.standard.StandardAnalyzer")()
    split: Callable[[str], list[str]] = Analyzer(analyzer).analyze
    return split


def round_length(length: int) -> int:
    """Return the length that Lucene keeps in a byte: above 24, the excess in four binary digits."""
    shift = max(0, (length - 24).bit_length() - 4) if length > 24 else 0
    return 24 + ((length - 24) >> shift << shift) if shift else length


def compute_values(
    collection: Collection, setting: Setting, score: Score, *, is_sorted_by_terms: bool
) -> dict[str, tuple[float, float]]:
    """Return average precision and rank distance of each query, from all scores of a setting."""
    passages = None if setting.kind == "multi" else setting.passages
    corpus, queries, qrels = collection.view(setting.queries, passages).to_beir()
    texts = [document["text"] for document in corpus.values()]
    scores = score([*queries.values()], texts, setting)
    values = {}
    for query, row in zip(queries, scores.tolist(), strict=True):
        run = dict(zip(corpus, row, strict=True))
        if is_sorted_by_terms:  # BM25 finds no passage without a common term
            run = {passage: value for passage, value in run.items() if value}
        values[query] = measure_query(run, qrels[query], len(corpus))
    return values


def measure_query(
    run: Mapping[str, float], qrel: Mapping[str, int], pool: int
) -> tuple[float, float]:
    """Return average precision, and how far apart the relevant passages stand."""
    order = sorted(run, key=lambda passage: (run[passage], passage), reverse=True)
    ranks = sorted(order.index(gold) + 1 for gold in qrel if gold in run)
    precision = sum(number / rank for number, rank in enumerate(ranks, 1)) / len(qrel)
    if len(ranks) < len(qrel):
        ranks.append(pool)
    return precision, ranks[-1] - ranks[0] if len(ranks) > 1 else pool - 1


def test_one_command_evaluates_what_brute_force_does(
    run_cli: RunCli, xquad_slice: Path, tmp_path: Path
) -> None:
    folders = save_models(tmp_path)
    output, site = tmp_path / "out", tmp_path / "site"
    options = ["--dataset", xquad_slice, "--measures", " ".join(MEASURES), "--output", output]
    with serve_models() as server:
        server.longest = 1000
        systems = [*folders, f"openai:hashes@{server.url}", "bm25"]
        outcome = run_cli("evaluate", *systems, *options)
        assert outcome.code == 0, outcome.err
        saved = [bh.Results.load(path) for path in output.iterdir()]
        results = {values.model: values for values in saved}
        names = ["dense", "sparse", "late", f"openai:hashes@{server.url}", "BM25"]
        assert results.keys() == set(names)
        for name, score in zip(names, list_scores(folders, server.url), strict=True):
            check_values(results[name], score, xquad_slice)
    assert run_cli("leaderboard", output, "--output", site).code == 0
    pages = "".join(path.read_text("utf-8") for path in site.rglob("*.html"))
    assert all(f">{name}<" in pages for name in names)


def check_values(results: bh.Results, score: Score, data: Path) -> None:
    """Check all values of a system against its scores of all pairs."""
    collection = bh.load("jsonl", path=str(data))
    rows = results.per_query().to_pylist()
    assert len(results.settings) == 6
    for setting in results.settings:
        expected = compute_values(
            collection, setting, score, is_sorted_by_terms=results.model == "BM25"
        )
        values = {
            row["query"]: row
            for row in rows
            if (row["kind"], row["queries"], row["passages"]) == setting
        }
        assert len(values) == len(expected) == N_QUESTIONS
        for query, (precision, distance) in expected.items():
            message = f"{results.model}, {setting}, {query}"
            assert values[query]["AP"] == pytest.approx(precision, abs=1e-9), message
            if setting.kind == "multi":
                assert values[query]["RankDistance"] == distance, message


@pytest.mark.parametrize("make", [make_inference_free, make_late])
def test_a_query_that_is_a_passage_too_has_its_own_vector(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Prompts are equal, and the roles have modules, lengths or expansions of their own."""
    encoder = as_encoder(make(tmp_path / "model"))
    texts = ["w1 w2 w3", "w4"]
    store = tmp_path / "store"
    for role in ("passages", "queries"):
        stored = encode_rows(encoder, texts, role, folder=store).take(slice(None))
        expected = getattr(encoder, f"encode_{role}")(texts)
        if make is make_late:
            values, expected_values = np.concatenate(stored), np.concatenate(expected)
            np.testing.assert_allclose(values, expected_values, atol=1e-3)  # float16
        else:
            assert np.array_equal(stored.toarray(), expected.toarray()), role
    spaces = {open_space(encoder, role, store) for role in ("passages", "queries")}
    assert len(spaces) == 2


@pytest.mark.parametrize("make", [make_inference_free, make_late])
def test_a_length_that_the_model_does_not_read_is_refused(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    model = make(tmp_path / "model")
    if make is make_late:
        model[0].query_length, model[0].document_length = 6, 10
    with pytest.raises(BadOption, match="max_length"):
        as_encoder(model, max_length=8)
