"""Calibrated indexes, and the queries for them, rank as calibrated evaluations do."""

import json
import os
import sys
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import beir_hybrid as bh
from beir_hybrid.calibration.detection import detect_languages, load_identifier
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.integrity import record_file
from beir_hybrid.pyserini.dense import verify_index
from beir_hybrid.pyserini.faiss_files import read_faiss
from beir_hybrid.pyserini.index import build_index
from beir_hybrid.pyserini.java import start_java
from beir_hybrid.pyserini.language_search import Hits
from beir_hybrid.pyserini.manifest import read_manifest
from beir_hybrid.pyserini.search import search_index
from beir_hybrid.pyserini.topics import write_topics
from beir_hybrid.retrieval.runs import Run
from tests.hash_encoder import flip_bit
from tests.sealed_files import rewrite
from tests.small_collections import write_parallel_words
from tests.test_calibration import LANGS, LanguageEncoder, collection
from tests.test_cli_evaluate import RunCli, model_folder, run_cli

__all__ = ["collection", "model_folder", "run_cli"]

DEPTH = 25
Calls = list[Callable[[], object]]


def evaluate_runs(encoder: Any, data: Collection, calibration: object, folder: Path) -> Run:
    """Return the pool's run of an evaluation with a calibration."""
    bh.evaluate(
        encoder, data, measures="AP", calibration=calibration, runs=folder / "runs", depth=DEPTH
    )
    runs: Run = {}
    for path in (folder / "runs").glob("*-all.trec"):
        runs |= bh.read_run(path)
    return runs


def list_queries(data: Collection, language: str) -> tuple[list[str], list[str]]:
    """Return the ids and texts of the queries in a language."""
    rows = data.find_query_rows(language)
    table = data.queries.slice(rows.start, len(rows))
    return table["id"].to_pylist(), table["text"].to_pylist()


def assert_same(hits: Hits, expected: dict[str, float]) -> None:
    """Compare ids in their order, and scores up to their last bits."""
    order = sorted(expected, key=lambda key: (expected[key], key), reverse=True)
    assert [passage_id for passage_id, _ in hits] == order
    assert [score for _, score in hits] == pytest.approx([expected[key] for key in order], abs=1e-5)


@pytest.mark.parametrize(
    "spec",
    ["mean-language", "centre:on=queries", "shift:to=de", "lir:k=2+local:k=3", "local:k=3",
     "zscore:k=40", "round-robin", "quota", "min-max:k=40"],
)  # fmt: skip
def test_an_index_ranks_as_an_evaluation_does(
    collection: Collection,
    tmp_path: Path,
    spec: str,
) -> None:
    encoder = LanguageEncoder()
    run = evaluate_runs(encoder, collection, spec, tmp_path)
    saved = bh.calibrate(encoder, collection, spec).save(tmp_path / "saved")
    for calibration in (spec, saved):
        folder = build_index(
            encoder, collection, tmp_path / f"by-{Path(calibration).name}", calibration=calibration
        )
        index = bh.open_index(folder, encoder)
        assert str(index.calibration) == spec
        for lang in ("de", "en"):
            ids, texts = list_queries(collection, lang)
            for key, hits in zip(ids, index.search(texts, DEPTH, query_language=lang), strict=True):
                assert_same(hits, run[key])
    shards = build_index(encoder, collection, tmp_path / "parts", shards=4, calibration=spec)
    for lang in ("de", "en"):
        ids, texts = (column[:3] for column in list_queries(collection, lang))
        for key, text in zip(ids, texts, strict=True):
            results = search_index(
                shards, text, k=DEPTH, collection=collection, model=encoder, query_language=lang
            )
            assert_same([(hit.id, hit.score) for hit in results.hits], run[key])
    bh.open_index(tmp_path / "parts" / "shard-02", encoder)


@pytest.mark.parametrize("kind", ["sq8", "hnsw"])
def test_kinds_that_are_not_flat_are_merged(
    collection: Collection,
    tmp_path: Path,
    kind: Any,
) -> None:
    encoder, spec = LanguageEncoder(), "mean-language+local:k=3"
    run = evaluate_runs(encoder, collection, spec, tmp_path)
    folder = build_index(encoder, collection, tmp_path / "index", kind=kind, calibration=spec)
    ids, texts = list_queries(collection, "de")
    hits = bh.open_index(folder, encoder).search(texts, DEPTH, query_language=["deu"] * len(texts))
    shares = [
        len({passage_id for passage_id, _ in row} & run[key].keys()) / DEPTH
        for key, row in zip(ids, hits, strict=True)
    ]
    assert min(map(len, hits)) == DEPTH
    assert np.mean(shares) > (0.999 if kind == "hnsw" else 0.95)


def test_a_search_of_one_language_is_not_merged(
    collection: Collection,
    tmp_path: Path,
) -> None:
    encoder = LanguageEncoder()
    folder = build_index(encoder, collection, tmp_path / "index", calibration="local:k=3", shards=2)
    (query,) = encoder.encode_queries(["de w1 query"])
    texts = {key: f"th w{key[4:]} passage" for key in (f"th:p{n}" for n in range(60))}
    scores = encoder.encode_passages(list(texts.values())) @ query
    results = search_index(
        folder, "de w1 query", language="th", k=9, collection=collection, model=encoder
    )
    expected = dict(zip(texts, scores.tolist(), strict=True))
    best = dict(sorted(expected.items(), key=lambda item: -item[1])[:9])
    assert_same([(hit.id, hit.score) for hit in results.hits], best)


def test_the_folder_has_the_calibration(
    collection: Collection,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = LanguageEncoder()
    folder = build_index(encoder, collection, tmp_path / "out", calibration="centre+zscore")
    manifest = read_manifest(folder)
    assert manifest["calibration"] == {
        "method": "centre+zscore:k=100",
        "statistics": "own",
        "data": {
            "name": "test", "queries": {"de": 60, "en": 60}, "passages": dict.fromkeys(LANGS, 60)
        },
    }  # fmt: skip
    assert sorted(manifest["files"]) == [
        "calibration/calibration.json", "calibration/statistics.npz", "docid", "index"
    ]  # fmt: skip
    vectors = read_faiss(folder / "index").reconstruct_n(0, 60)
    plain = encoder.encode_passages([f"de w{n} passage" for n in sorted(range(60), key=str)])
    centred = plain - plain.mean(axis=0)
    np.testing.assert_allclose(
        np.sort(vectors, axis=0),
        np.sort(centred / np.linalg.norm(centred, axis=1, keepdims=True), axis=0), atol=1e-6,
    )  # fmt: skip
    verify_index(folder, encoder, collection)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    build_index(encoder, collection, folder, calibration="centre+zscore:k=100")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    for calibration in (None, "centre", bh.calibrate(encoder, collection, "centre+zscore")):
        with pytest.raises(BadOption, match="out is there already and holds something else"):
            build_index(encoder, collection, folder, calibration=calibration)
    assert not caplog.messages


def test_one_language_has_no_bias(
    collection: Collection,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    build_index(LanguageEncoder(), collection, tmp_path / "de", languages="de", calibration="lir")
    assert (
        "all passages are in de: there is no language bias to take out, and lir:k=1 changes "
        "vectors all the same"
    ) in caplog.messages


def test_pyserini_ranks_as_a_calibrated_evaluation(
    collection: Collection,
    tmp_path: Path,
    run_cli: RunCli,
) -> None:
    """By Pyserini's command line with our topics, and by its class with our query encoder."""
    start_java()
    from pyserini.search.faiss import FaissSearcher

    encoder = LanguageEncoder()
    run = evaluate_runs(encoder, collection, "mean-language", tmp_path)
    index = build_index(encoder, collection, tmp_path / "index", calibration="mean-language")
    write_topics(collection, tmp_path / "topics", encoder, calibration=index)
    for name in ("all", "de"):
        output = tmp_path / f"{name}.txt"
        outcome = run_cli(
            "pyserini", "--", "pyserini.search.faiss", "--index", index, "--output", output,
            "--topics", tmp_path / "topics" / f"{name}.tsv", "--hits", DEPTH, "--batch-size", 64,
            "--encoded-queries", tmp_path / "topics" / "encoded",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        pyserini_run = bh.read_run(output)
        assert len(pyserini_run) == {"all": 120, "de": 60}[name]
        for key, scores in pyserini_run.items():
            assert_same(list(scores.items()), run[key])
    ids, texts = list_queries(collection, "en")
    query_encoder = bh.QueryEncoder(encoder, calibration=index / "calibration", language="eng")
    hits = FaissSearcher(str(index), query_encoder).batch_search(texts, ids, k=DEPTH)
    for key in ids:
        assert_same([(hit.docid, float(hit.score)) for hit in hits[key]], run[key])


def test_query_encoders(collection: Collection, caplog: pytest.LogCaptureFixture) -> None:
    encoder = LanguageEncoder()
    calibration = bh.calibrate(encoder, collection, "mean-language+local")
    texts = ["de w1 query", "de w2 query"]
    german = bh.QueryEncoder(encoder, calibration=calibration, language="de")
    expected = calibration.correct_queries(encoder.encode_queries(texts), "de")
    assert np.array_equal(german.encode_batch([texts[0], {"query": texts[1]}]), expected)
    assert np.array_equal(german.encode(texts[0], language="en"), expected[0])
    (message,) = caplog.messages
    assert message.startswith("Pyserini does not merge languages: local:k=3 is left out; beir-hyb")
    caplog.clear()
    other = bh.QueryEncoder(encoder, calibration=calibration)
    assert np.allclose(other.encode_batch(texts), encoder.encode_queries(texts), atol=1e-6)
    other.encode(texts[0])
    _, message = caplog.messages
    assert message.endswith(
        "has no statistics of queries in an unknown language: a vector stays as it is"
    )


def test_impossible_calibrations_are_refused(
    collection: Collection,
    tmp_path: Path,
) -> None:
    encoder = LanguageEncoder()
    calibration = bh.calibrate(encoder, collection, "centre")
    folder = build_index(encoder, collection, tmp_path / "plain")
    calibrated = build_index(encoder, collection, tmp_path / "centred", calibration=calibration)
    with pytest.raises(BadOption, match=r"none holds no calibration; beir-hybrid calibrate makes"):
        bh.open_index(folder, encoder, calibration=str(tmp_path / "none"))
    other = LanguageEncoder(1)
    other_calls: Calls = [
        lambda: build_index(other, collection, tmp_path / "x", calibration=calibration),
        lambda: bh.QueryEncoder(other, calibration=calibrated),
        lambda: write_topics(collection, tmp_path / "x", other, calibration=calibrated),
    ]
    for call in other_calls:
        with pytest.raises(BadOption, match=r"centre is of another model than language, .* its se"):
            call()
    with pytest.raises(BadOption, match="centred is calibrated already, by centre"):
        bh.open_index(calibrated, encoder, calibration="local")
    with pytest.raises(BadOption, match=r"centre corrects passages, and those of .*plain are"):
        bh.open_index(folder, encoder, calibration=calibration)
    with pytest.raises(BadOption, match="plain is an index without a calibration"):
        bh.QueryEncoder(encoder, calibration=str(folder))
    with pytest.raises(BadOption, match="centre needs the statistics of passages and queries"):
        bh.QueryEncoder(encoder, calibration="centre")
    with pytest.raises(BadOption, match="name the model that encodes them"):
        write_topics(collection, tmp_path / "x", calibration=calibration)
    index = bh.open_index(calibrated, encoder)
    with pytest.raises(BadData, match="unknown language code 'xy'"):
        index.search(["w1"], query_language="xy")
    with pytest.raises(BadOption, match="there are 2 languages for 1 queries"):
        index.search(["w1"], query_language=["de", "en"])
    assert not (tmp_path / "x").exists()


def test_merging_a_plain_index(collection: Collection, tmp_path: Path) -> None:
    encoder = LanguageEncoder()
    run = evaluate_runs(encoder, collection, "local", tmp_path)
    folder = build_index(encoder, collection, tmp_path / "index")
    index = bh.open_index(folder, encoder, calibration="local")
    ids, texts = list_queries(collection, "de")
    for key, hits in zip(ids, index.search(texts, DEPTH), strict=True):
        assert_same(hits, run[key])


@pytest.mark.parametrize("name", ["calibration.json", "statistics.npz"])
def test_a_damaged_calibration_is_refused(
    collection: Collection,
    tmp_path: Path,
    name: str,
) -> None:
    encoder = LanguageEncoder()
    folder = build_index(encoder, collection, tmp_path / "out", calibration="centre")
    flip_bit(folder / "calibration" / name)
    calls: Calls = [
        lambda: verify_index(folder),
        lambda: bh.open_index(folder, encoder),
        lambda: build_index(encoder, collection, folder, calibration="centre"),
    ]
    for call in calls:
        with pytest.raises(BadData, match=f"calibration/{name} is damaged.*; build the index anew"):
            call()
    os.truncate(folder / "calibration" / name, 20)
    with pytest.raises(BadData, match=f"calibration/{name} is missing or cut short"):
        verify_index(folder)


def test_a_strangers_statistics_have_to_fit(collection: Collection, tmp_path: Path) -> None:
    """The compiled correction reads as many numbers as the vectors have."""
    folder = bh.calibrate(LanguageEncoder(), collection, "centre").save(tmp_path / "out")
    path = folder / "statistics.npz"
    with np.load(path) as file:
        arrays = dict(file)
    for name, change in (
        ("queries.offsets", arrays["queries.offsets"][:, :2]),
        ("queries.offsets", arrays["queries.offsets"][:-1]),
        ("passages.offsets", arrays["passages.offsets"] * np.float32(np.nan)),
        ("passages.directions", arrays["passages.directions"].astype(np.float64)),
        ("passages.directions", np.zeros((2, 1, 8), np.float32)),
    ):
        np.savez(path, allow_pickle=False, **{**arrays, name: change})
        files = {"statistics.npz": record_file(path)}
        rewrite(folder / "calibration.json", methodcaller("update", files=files))
        with pytest.raises(BadData, match=r"statistics.npz is not what calibration.json beside it"):
            bh.Calibration.load(folder)


def test_languages_are_detected() -> None:
    texts = ["Wer regierte das Land?", "Who ruled the duchy?", "ใครปกครองดัชชี", "谁统治了公国"]
    assert detect_languages(texts, LANGS) == ["de", "en", "th", None]


def test_the_language_of_a_query_is_detected(
    collection: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = LanguageEncoder()
    folder = build_index(encoder, collection, tmp_path / "index", calibration="mean-language")

    def search(query: str, **options: Any) -> Any:
        return search_index(folder, query, collection=collection, model=encoder, **options)

    german, french = "de w1 wo finde ich den Bahnhof der Stadt", "fr w1 où est la gare de la ville"
    results = search(german)
    assert results.query_language == "de"
    assert results == search(german, query_language="de")
    assert results.hits != search(german, query_language="en").hits
    assert not caplog.messages
    assert search(french).query_language is None
    fallback = "the calibration mean-language has no statistics of queries in {}: a vector stays as"
    assert caplog.messages[0].startswith(fallback.format("an unknown language"))
    caplog.clear()
    assert search(french, query_language="fr").query_language == "fr"
    assert caplog.messages[0].startswith(fallback.format("fr"))
    caplog.clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    load_identifier.cache_clear()
    try:
        assert search(german).query_language is None
        assert search(german).hits == search(german).hits
    finally:
        load_identifier.cache_clear()
    assert [message.partition(":")[0] for message in caplog.messages[:2]] == [
        "the language of a query is not detected",
        "the calibration mean-language has no statistics of queries in an unknown language",
    ]
    caplog.clear()
    plain = build_index(encoder, collection, tmp_path / "plain")
    bh.open_index(plain, encoder).search([german], query_language="de")
    assert caplog.messages == [
        "the language of a query changes nothing here: no query is calibrated"
    ]


def test_scripts_are_languages_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    langs = ("zh-Hans", "zh-Hant", "sr-Latn")
    path = tmp_path / "data.jsonl"
    rows: list[dict[str, object]] = []
    for n in range(60):
        texts = {lang: f"{lang} w{n}" for lang in langs}
        rows.append({"passage": f"p{n}", "text": texts})
        rows.append({"query": f"q{n}", "text": texts, "relevant": [f"p{n}"]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    collection, encoder = bh.read_jsonl(path, variants=True), LanguageEncoder()
    run = evaluate_runs(encoder, collection, "mean-language", tmp_path)
    folder = build_index(encoder, collection, tmp_path / "index", calibration="mean-language")
    index = bh.open_index(folder, encoder)
    for code, tag in (("zh-Hant", "zho_Hant"), ("sr-Latn", "sr")):
        ids, queries = list_queries(collection, code)
        hits = index.search(queries, DEPTH, query_language=tag)
        for key, row in zip(ids, hits, strict=True):
            assert_same(row, run[key])
        vectors = bh.QueryEncoder(encoder, calibration=folder, language=tag).encode_batch(queries)
        assert np.array_equal(vectors, index.encode_queries(queries, [code] * len(queries)))
    assert not caplog.messages
    # Which script a Chinese query has is not detected.
    assert detect_languages(["谁统治了公国"], langs) == [None]
    assert detect_languages(["谁统治了公国"], ["de", "zh-Hant"]) == ["zh-Hant"]


def test_commands(tmp_path: Path, run_cli: RunCli, model_folder: Path) -> None:
    data = write_parallel_words(tmp_path / "data.jsonl", LANGS)
    dataset = ("--dataset", "jsonl", "-o", f"path={data}")
    index = tmp_path / "index"
    outcome = run_cli("index", model_folder, *dataset, "--output", index, "--shards", 2,
                      "--calibration", "mean-language+local:k=3")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.out == (
        f"{index} written: 2 shards of flat, 180 vectors x 16, mean-language+local:k=3\n"
    )
    outcome = run_cli("index", "--verify", index, model_folder, *dataset)
    assert outcome.out.endswith("180 vectors x 16, mean-language+local:k=3\n"), outcome.err
    outcome = run_cli("topics", model_folder, *dataset, "--output", tmp_path / "topics",
                      "--calibration", index)  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "Pyserini does not merge languages: local:k=3 is left out" in outcome.err
    outcome = run_cli("search", index, "w1 w2", "--query-lang", "en", "-k", "3")
    assert outcome.code == 0, outcome.err
    run = evaluate_runs(
        str(model_folder), bh.load("jsonl", path=data), "mean-language+local:k=3", tmp_path
    )
    scores = {line.split()[-3]: float(line.split()[1]) for line in outcome.out.splitlines()[1:4]}
    [query] = [key for key in run if key.startswith("en:") and key.endswith("q1")]
    assert scores == pytest.approx(dict([*run[query].items()][:3]), abs=1e-4)
