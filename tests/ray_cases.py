"""On a Ray cluster vectors and ranks are those of one process, also when a machine dies."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beir_hybrid.encoding import EncodingStats, SentenceTransformerEncoder, encode
from beir_hybrid.encoding.cluster import Cluster
from beir_hybrid.encoding.engines import parallel_encoder
from beir_hybrid.errors import BadData, BadOption, ClusterFailed, MissingExtra
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.results.timing import ClusterSize
from beir_hybrid.retrieval import DenseScorer, RankRequest, rank
from beir_hybrid.retrieval.sharding import rank_sharded
from tests.cluster_encoders import (
    FailingEncoder,
    SlowEncoder,
    TruncatingEncoder,
    UnpicklableEncoder,
    UnstableEncoder,
)
from tests.families import make_late, make_sparse
from tests.hash_encoder import (
    ROOT,
    SHARD_TEXTS,
    HashEncoder,
    assert_vectors,
    make_texts,
    read_files,
)
from tests.models import static_model, transformer_model
from tests.numbered_collection import make_numbered_collection
from tests.rankings import assert_same_ranking, make_request, make_scorer
from tests.results_checks import check_same_values
from tests.small_collections import make_word_collection

pytest.importorskip("ray")
MEMORY = 80 << 20  # bytes of each node's object store


def start_nodes(workers: int) -> Any:
    """Return a cluster that this process is connected to: a head without cores, and workers."""
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray
    from ray.cluster_utils import Cluster as Nodes

    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=head)
    for _ in range(workers):
        nodes.add_node(num_cpus=1, object_store_memory=MEMORY)
    ray.init(nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    return nodes


def stop_nodes(nodes: Any) -> None:
    import ray

    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    nodes = start_nodes(2)
    yield nodes
    stop_nodes(nodes)


@pytest.fixture
def three_nodes() -> Iterator[Any]:
    nodes = start_nodes(3)
    yield nodes
    stop_nodes(nodes)


def test_a_cluster_encodes_as_one_process_does(two_nodes: Any, tmp_path: Path) -> None:
    assert len(two_nodes.worker_nodes) == 2
    encoder = SentenceTransformerEncoder(static_model(seed=3), query_prompt="w1 ")
    texts = [f"w{number % 390} w{number % 7}" for number in range(2 * SHARD_TEXTS + 10)]
    stats = EncodingStats()
    with Cluster() as cluster, parallel_encoder(encoder, cluster) as remote:
        assert cluster.cpus == 2
        assert dict(remote.fingerprint) == dict(encoder.fingerprint)
        remote_vectors = encode(remote, texts, "queries", folder=tmp_path / "ray", stats=stats)
    assert stats.texts == len(texts)
    local_vectors = encode(encoder, texts, "queries", folder=tmp_path / "alone")
    assert np.array_equal(remote_vectors.take(slice(None)), local_vectors.take(slice(None)))
    assert read_files(tmp_path / "ray") == read_files(tmp_path / "alone")


@pytest.mark.usefixtures("two_nodes")
def test_batches_of_other_texts_change_last_bits_at_most(tmp_path: Path) -> None:
    encoder = SentenceTransformerEncoder(transformer_model(tmp_path / "model"))
    texts = [" ".join(f"w{n % word}" for word in range(1, 2 + n % 11)) for n in range(900)]
    with Cluster() as cluster, parallel_encoder(encoder, cluster) as remote:
        remote_vectors = encode(remote, texts, "passages", folder=tmp_path / "ray").take(
            slice(None)
        )
    local_vectors = encode(encoder, texts, "passages", folder=tmp_path / "alone").take(slice(None))
    assert np.abs(remote_vectors - local_vectors).max() < 1e-6
    assert np.linalg.norm(remote_vectors, axis=1) == pytest.approx(1)


@pytest.mark.usefixtures("two_nodes")
def test_an_evaluation_on_a_cluster(tmp_path: Path) -> None:
    measures = ["AP", "R@10", "P(rel=1)@3", "RankDistance"]
    collection = make_numbered_collection(1500)
    local_vectors = evaluate(
        HashEncoder(), collection, measures=measures[:3], store=tmp_path / "alone", depth=40
    )
    remote = evaluate(
        HashEncoder(),
        collection,
        measures=measures[:3],
        store=tmp_path / "ray",
        depth=40,
        engine="ray",
    )
    assert remote.per_query() == local_vectors.per_query()
    assert remote.timing.encoded_texts == 1505
    assert (remote.timing.engine, local_vectors.timing.engine) == ("ray", "local")
    assert remote.timing.cluster == ClusterSize(2, 0)
    assert local_vectors.timing.cluster is None
    # The store is the same, so that either finds what the other has encoded.
    next_encoder = HashEncoder()
    next_results = evaluate(next_encoder, collection, measures="AP", store=tmp_path / "ray")
    assert (next_results.timing.encoded_texts, next_encoder.encoded_texts) == (0, [])


@pytest.mark.usefixtures("two_nodes")
@pytest.mark.parametrize("make", [make_sparse, make_late])
def test_other_families_on_a_cluster(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path).save_pretrained(str(tmp_path / "model"))
    collection, name = make_word_collection(), str(tmp_path / "model")
    measures = "AP RankDistance P@5"  # from ranks, and from runs
    expected = evaluate(name, collection, measures=measures, store=tmp_path / "alone")
    results = evaluate(name, collection, measures=measures, store=tmp_path / "ray", engine="ray")
    check_same_values(results, expected)
    assert results.timing.encoded_texts == expected.timing.encoded_texts
    assert results.provenance.model.terms == expected.provenance.model.terms


@pytest.mark.usefixtures("two_nodes")
def test_places_of_cut_texts_come_back(tmp_path: Path) -> None:
    stats = EncodingStats()
    with Cluster() as cluster, parallel_encoder(TruncatingEncoder(), cluster) as remote:
        encode(remote, make_texts(1000), "queries", folder=tmp_path, stats=stats)
    assert stats.truncated == 100


@pytest.mark.usefixtures("two_nodes")
def test_an_error_of_the_encoder_comes_back_and_what_was_finished_stays(tmp_path: Path) -> None:
    with Cluster() as cluster, parallel_encoder(FailingEncoder(), cluster) as remote:  # noqa: SIM117 - what raises
        with pytest.raises(BadData, match=r"^broken at text 1600$"):
            encode(remote, make_texts(8 * SHARD_TEXTS), "queries", folder=tmp_path)
    next_encoder = HashEncoder()
    remote_vectors = encode(next_encoder, make_texts(8 * SHARD_TEXTS), "queries", folder=tmp_path)
    assert_vectors(remote_vectors, make_texts(8 * SHARD_TEXTS))
    assert "text 0" not in next_encoder.encoded_texts


@pytest.mark.usefixtures("two_nodes")
def test_machines_that_would_make_different_vectors_are_an_error(tmp_path: Path) -> None:
    with Cluster() as cluster, parallel_encoder(UnstableEncoder(), cluster) as remote:  # noqa: SIM117 - what raises
        with pytest.raises(BadData, match=r"different vectors: library is \d+ on one and \d+ on "):
            encode(remote, make_texts(8 * SHARD_TEXTS), "queries", folder=tmp_path)


@pytest.mark.usefixtures("two_nodes")
def test_an_encoder_that_cannot_travel() -> None:
    with Cluster() as cluster:  # noqa: SIM117 - what raises
        with pytest.raises(
            BadOption, match=r"^UnpicklableEncoder cannot be sent .*: cannot pickle .*lock.*$"
        ):
            parallel_encoder(UnpicklableEncoder(), cluster).__enter__()


def make_ranking(n: int, n_queries: int) -> tuple[DenseScorer, RankRequest]:
    """Return a scorer and a request, with many ties among passages."""
    draw = np.random.default_rng(8)
    half = n // 2
    passages = draw.standard_normal((n, 16), np.float32)
    passages[half:] = passages[draw.integers(0, half, n - half)]
    scorer = make_scorer(draw.standard_normal((n_queries, 16), np.float32), passages)
    golds = np.sort(draw.integers(0, n_queries, 3 * n_queries)), draw.integers(0, n, 3 * n_queries)
    languages = {"x": range(half), "y": range(half, n)}
    id_order = draw.permutation(n).astype(np.int32)
    return scorer, make_request(golds, languages, id_order, k=30, collects_languages=True)


@pytest.mark.usefixtures("two_nodes")
def test_a_cluster_ranks_as_one_process_does() -> None:
    ranking = make_ranking(20_000, 300)
    with Cluster() as cluster:
        remote_vectors = rank_sharded(*ranking, map_shards=cluster.map_unordered, shard_size=6000)
    assert_same_ranking(remote_vectors, rank(*ranking))


def kill_node(nodes: Any, wait: Callable[[], object]) -> threading.Thread:
    """Kill a node once `wait` returns."""

    def work() -> None:
        wait()
        nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.cluster
def test_a_node_dies_while_it_encodes(three_nodes: Any, tmp_path: Path) -> None:
    n, folder, start = 20 * SHARD_TEXTS, tmp_path / "ray", time.monotonic()

    def two_shards() -> None:
        while len(list(folder.rglob("*.note.json"))) < 2:
            time.sleep(0.01)

    with Cluster() as cluster, parallel_encoder(SlowEncoder(), cluster) as remote:
        killer = kill_node(three_nodes, two_shards)
        remote_vectors = encode(remote, make_texts(n), "queries", folder=folder)
        killer.join()
    assert len(three_nodes.worker_nodes) == 2
    assert_vectors(remote_vectors, make_texts(n))
    encode(HashEncoder(), make_texts(n), "queries", folder=tmp_path / "alone")
    assert read_files(folder) == read_files(tmp_path / "alone")
    assert time.monotonic() - start < 120


@pytest.mark.cluster
def test_a_node_dies_while_it_searches(three_nodes: Any) -> None:
    ranking, start = make_ranking(200_000, 1000), time.monotonic()
    is_begun = threading.Event()
    with Cluster() as cluster:

        def each(function: Any, common: Any, jobs: Iterable[Any]) -> Iterator[Any]:
            for remote_vectors in cluster.map_unordered(function, common, jobs):
                is_begun.set()
                yield remote_vectors

        killer = kill_node(three_nodes, is_begun.wait)
        remote_vectors = rank_sharded(*ranking, map_shards=each, shard_size=10_000)
        killer.join()
    assert len(three_nodes.worker_nodes) == 2
    assert_same_ranking(remote_vectors, rank(*ranking))
    assert time.monotonic() - start < 120


@pytest.mark.cluster
def test_all_nodes_lost_for_good_are_an_error_and_what_was_finished_stays(tmp_path: Path) -> None:
    nodes = start_nodes(1)
    try:

        def a_shard() -> None:
            while not list(tmp_path.rglob("*.note.json")):
                time.sleep(0.01)

        with Cluster(patience=10) as cluster, parallel_encoder(SlowEncoder(), cluster) as remote:
            killer = kill_node(nodes, a_shard)
            with pytest.raises(
                ClusterFailed, match=r"finished nothing for \d+ sec.*\d CPUs, 0 GPU"
            ):
                encode(remote, make_texts(20 * SHARD_TEXTS), "queries", folder=tmp_path)
            killer.join()
    finally:
        stop_nodes(nodes)
    next_encoder = HashEncoder()
    assert_vectors(
        encode(next_encoder, make_texts(20 * SHARD_TEXTS), "queries", folder=tmp_path),
        make_texts(20 * SHARD_TEXTS),
    )
    assert len(next_encoder.encoded_texts) < 20 * SHARD_TEXTS


SCRIPT = """
import os, sys, time
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.encoding.cluster import Cluster
for address in sys.argv[1:]:
    os.environ["RAY_ADDRESS"] = address
    begun = time.monotonic()
    try:
        with Cluster() as cluster:
            print(f"{cluster.cpus} cores")
    except BeirHybridError as error:
        print(f"{type(error).__name__}: {error}")
    if time.monotonic() - begun > 15:
        sys.exit(f"{address} took too long")
"""
ADDRESSES = {
    "127.0.0.1:{closed}": "ClusterFailed: no Ray cluster answers at 127.0.0.1:",
    "ray://127.0.0.1:{closed}": "ClusterFailed: no Ray cluster answers at ray://",
    "nobody.invalid:6379": "ClusterFailed: no Ray cluster answers at nobody.",
    "127.0.0.1": "BadOption: RAY_ADDRESS is '127.0.0.1'; it must be HOST:PORT, or ray://HO",
    "127.0.0.1:{deaf}": "ClusterFailed: no Ray cluster answers at 127.0.0.1:",
    "127.0.0.1:{web}": "ClusterFailed: what answers at 127.0.0.1:",
    "{cluster}": "2 cores",
}


def test_only_the_address_of_a_cluster_is_connected_to(two_nodes: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent_server,
        HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web_server,
    ):
        threading.Thread(target=web_server.serve_forever, daemon=True).start()
        with socket.create_server(("127.0.0.1", 0)) as server:
            closed_port = server.getsockname()[1]
        ports = {
            "closed": closed_port,
            "deaf": silent_server.getsockname()[1],
            "web": web_server.server_port,
        }
        addresses = [address.format(**ports, cluster=two_nodes.address) for address in ADDRESSES]
        stats = subprocess.run(
            [sys.executable, "-c", SCRIPT, *addresses],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        web_server.shutdown()
    # Ray itself says nothing.
    assert (stats.returncode, stats.stderr) == (0, "")
    lines = stats.stdout.splitlines()
    assert len(lines) == len(ADDRESSES)
    for line, message in zip(lines, ADDRESSES.values(), strict=True):
        assert line.startswith(message)


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    with pytest.raises(MissingExtra) as error:
        Cluster()
    assert str(error.value) == "the engine 'ray' needs ray: pip install 'beir-hybrid[ray]'"
