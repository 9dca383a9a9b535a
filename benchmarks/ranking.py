"""Compare exact ranking of 10,000 queries in a million clustered vectors with faiss.

Ours finds the exact ranks of 11 golds a query and the top 1000; the peer the top 1000 alone. Golds
are drawn at random, the worst case: most are in the middle of the ranking. Then the same for one
gold that is near its query, and the top 10. Every run is a fresh process:
``python -m benchmarks.ranking STEP FOLDER PASSAGES QUERIES`` prints JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import (
    MIB,
    Usage,
    choose_kernels,
    describe_kernels,
    estimate,
    list_versions,
    print_table,
    run_child,
    run_in_turns,
)

DIM = 384
GOLDS = 11
TOP = 1000
NEAR_TOP, NEAR_NOISE = 10, 0.7  # the length of the noise beside the passage's
PASSAGES, QUERIES = 1_000_000, 10_000
CURVE = (10_000, 30_000, 100_000, 300_000, 1_000_000)  # passages
CURVE_QUERIES = 1_000
CENTRES = 2_000
PAIRS = 3
LANGS = 10


def main() -> None:
    """Measure one large ranking beside the peer's, then the cost against the corpus."""
    print(f"Peer: IndexFlatIP.search, vectors in memory. {list_versions('faiss-cpu', 'numpy')}.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        run_child("ranking", "generate", folder, str(PASSAGES), str(QUERIES))
        _compare_with_peer(folder, PASSAGES, QUERIES)
        _compare_near(folder, PASSAGES, QUERIES)
        _compare_on_gpu(folder, PASSAGES, QUERIES)
        _measure_growth(folder)


def _compare_with_peer(folder: Path, passages: int, queries: int) -> None:
    sizes = str(passages), str(queries)
    runs = run_in_turns(
        lambda: run_child("ranking", "ours", folder, *sizes),
        # As installed, faiss's OpenBLAS may take this processor for an old one.
        lambda: run_child("ranking", "peer", folder, *sizes, **choose_kernels()),
        PAIRS,
    )
    for side, run in zip(("ours", "peer"), runs[0], strict=True):
        print(f"{side}, {run.result['kernels']}")
    ours, peer_runs = ([run.result["seconds"] for run in side] for side in zip(*runs, strict=True))
    our_estimate, peer = estimate(ours), estimate(peer_runs)
    ratio = estimate([a / b for a, b in zip(ours, peer_runs, strict=True)])
    memory = estimate([run.anonymous / MIB for run, _ in runs])
    print(
        f"\n{passages:,} x {DIM} float32 passages, memory-mapped, {queries:,} queries with "
        f"{GOLDS} golds each,\ntop {TOP:,}, {PAIRS} interleaved pairs:\n"
    )
    print_table(
        ("", f"median [{our_estimate.confidence:.0%} interval]", "target", "verdict"),
        ("ours, s", our_estimate.show(), "-", "-"),
        ("peer, s", peer.show(), "-", "-"),
        ("ours / peer", ratio.show(), "<= 1.1", ratio.verdict(below=1.1)),
        ("ours beyond the map, MiB", memory.show(",.0f"), "< 3,072", memory.verdict(below=3072)),
    )


def _compare_near(folder: Path, passages: int, queries: int) -> None:
    sizes = str(passages), str(queries)
    runs = run_in_turns(
        lambda: run_child("ranking", "ours-near", folder, *sizes),
        lambda: run_child("ranking", "peer-near", folder, *sizes, **choose_kernels()),
        PAIRS,
    )
    ours, peer_runs = (
        estimate([run.result["seconds"] for run in side]) for side in zip(*runs, strict=True)
    )
    ratio = estimate([a.result["seconds"] / b.result["seconds"] for a, b in runs])
    product = "bfloat16" if runs[0][0].result["coarse"] else "float32"
    print(
        f"\nThe same for one gold near each query, and the top {NEAR_TOP}; our products are in "
        f"{product}:\n"
    )
    print_table(
        ("", f"median [{ours.confidence:.0%} interval]", "target", "verdict"),
        ("ours, s", ours.show(), "-", "-"),
        ("peer, s", peer_runs.show(), "-", "-"),
        ("ours / peer", ratio.show(), "<= 0.6", ratio.verdict(below=0.6)),
    )


def _compare_on_gpu(folder: Path, passages: int, queries: int) -> None:
    import torch

    if not torch.cuda.is_available():
        print("\nThere is no GPU here: ranking on one is unmeasured.")
        return
    sizes = str(passages), str(queries)
    runs = run_in_turns(
        lambda: run_child("ranking", "ours-on-gpu", folder, *sizes),
        lambda: run_child("ranking", "product", folder, *sizes),
        PAIRS,
    )
    ours, product = (
        estimate([run.result["seconds"] for run in side]) for side in zip(*runs, strict=True)
    )
    ratio = estimate([a.result["seconds"] / b.result["seconds"] for a, b in runs])
    print(f"\nThe same on {torch.cuda.get_device_name()}, beside its bare float32 product:\n")
    print_table(
        ("", f"median [{ours.confidence:.0%} interval]", "target", "verdict"),
        ("ours, s", ours.show(), "-", "-"),
        ("the product, s", product.show(), "-", "-"),
        ("ours / the product", ratio.show(), "<= 3", ratio.verdict(below=3)),
    )


def _measure_growth(folder: Path) -> None:
    print(f"\nCost against the corpus, {CURVE_QUERIES:,} queries, one run each:\n")
    rows = [("passages", "seconds", "us a passage", "beyond the map, MiB", "seconds as a bar")]
    runs: list[tuple[int, Usage]] = [
        (size, run_child("ranking", "ours", folder, str(size), str(CURVE_QUERIES)))
        for size in CURVE
    ]
    longest = max(run.result["seconds"] for _, run in runs)
    for size, run in runs:
        seconds = run.result["seconds"]
        bar = "#" * max(1, round(40 * seconds / longest))
        rows.append(
            (
                f"{size:,}",
                f"{seconds:.2f}",
                f"{seconds / size * 1e6:.2f}",
                f"{run.anonymous / MIB:,.0f}",
                bar.ljust(40),
            )
        )
    print_table(*rows)


def generate(folder: Path, passages: int, queries: int) -> dict[str, Any]:
    """Write unit vectors around shared centres, some at a time."""
    draw = np.random.default_rng(3)
    centres = draw.standard_normal((CENTRES, DIM)).astype(np.float32)
    for name, rows in (("passages", passages), ("queries", queries)):
        shape = (rows, DIM)
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape)
        for start in range(0, rows, 50_000):
            n = min(50_000, rows - start)
            vectors = draw.standard_normal((n, DIM), dtype=np.float32)
            vectors += centres[draw.integers(0, CENTRES, n)]
            array[start : start + n] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        array.flush()
    golds = draw.integers(0, passages, queries)
    vectors = draw.standard_normal((queries, DIM), dtype=np.float32) * (NEAR_NOISE / DIM**0.5)
    vectors += np.load(folder / "passages.npy", mmap_mode="r")[golds]
    np.save(folder / "near.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    np.save(folder / "near-golds.npy", golds)
    return {}


def ours(
    folder: Path, passages: int, queries: int, device: str = "cpu", *, near: bool = False
) -> dict[str, Any]:
    """Rank exactly; golds are near or drawn at random, and passages are in ten languages."""
    from beir_hybrid.encoding import Embeddings
    from beir_hybrid.retrieval import DenseScorer, RankRequest, rank
    from beir_hybrid.retrieval.coarse_scorer import is_faster

    draw = np.random.default_rng(4)
    mapped = np.load(folder / "passages.npy", mmap_mode="r")[:passages]
    rows = np.arange(passages, dtype=np.int32)
    scorer = DenseScorer(
        Embeddings.from_array(np.load(folder / f"{'near' if near else 'queries'}.npy")[:queries]),
        Embeddings([mapped], np.zeros(passages, np.int32), rows),
        device,
    )
    golds = np.repeat(np.arange(queries), GOLDS), draw.integers(0, passages, queries * GOLDS)
    if near:
        golds = np.arange(queries), np.load(folder / "near-golds.npy")[:queries]
    edges = np.linspace(0, passages, LANGS + 1).astype(int).tolist()
    languages = {str(a): range(a, b) for a, b in pairwise(edges)}
    id_order = draw.permutation(passages).astype(np.int32)
    request = RankRequest(*golds, languages, id_order, k=NEAR_TOP if near else TOP)
    small = Embeddings.from_array(np.eye(2, DIM, dtype=np.float32))
    # Compiled code is loaded here: it is kept between processes.
    rank(
        DenseScorer(small, small, device),
        RankRequest(rows[:1], rows[:1], {"en": range(2)}, rows[:2], k=1),
    )
    return _measure_seconds(lambda: rank(scorer, request)) | {"coarse": is_faster()}


def multiply_on_gpu(folder: Path, passages: int, queries: int) -> dict[str, Any]:
    """Multiply in float32 on a GPU, some queries at a time, from vectors in the host's memory."""
    import torch

    mapped = np.load(folder / "passages.npy", mmap_mode="r")[:passages]
    query_vectors = torch.from_numpy(np.load(folder / "queries.npy")[:queries])
    torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")  # loads its library

    def multiply() -> None:
        blocks = np.array_split(mapped, 16)
        vectors = torch.cat([torch.from_numpy(block.copy()).cuda() for block in blocks])
        for batch in torch.split(query_vectors.cuda(), 2048):
            for block in torch.split(vectors, 1 << 14):
                _ = batch @ block.T
        torch.cuda.synchronize()

    return _measure_seconds(multiply)


def peer(folder: Path, passages: int, queries: int, *, near: bool = False) -> dict[str, Any]:
    """Search the best alone, by faiss."""
    import faiss

    index = faiss.IndexFlatIP(DIM)
    index.add(np.load(folder / "passages.npy", mmap_mode="r")[:passages])
    vectors = np.load(folder / f"{'near' if near else 'queries'}.npy")[:queries]
    return _measure_seconds(partial(index.search, vectors, NEAR_TOP if near else TOP))


def _measure_seconds(work: Callable[[], object]) -> dict[str, Any]:
    start = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - start, "kernels": describe_kernels()}


if __name__ == "__main__":
    STEPS: dict[str, Callable[[Path, int, int], dict[str, Any]]] = {
        "generate": generate,
        "ours": ours,
        "ours-near": partial(ours, near=True),
        "ours-on-gpu": partial(ours, device="cuda"),
        "peer": peer,
        "peer-near": partial(peer, near=True),
        "product": multiply_on_gpu,
    }
    step, folder, *counts = sys.argv[1:]
    print(json.dumps(STEPS[step](Path(folder), *map(int, counts))))
