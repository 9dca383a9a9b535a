"""What products in bfloat16 could save exact ranking: their speed, and the scores they leave open.

Exact ranks need a proven bound: scores nearer to a relevant passage's than that are computed again.
This measures both sides of the trade, without a ranking that makes it. The bound is that of
Cauchy and Schwarz for the rests that rounding leaves, with the vectors' mean taken out first, plus
the rounding of the product itself where it is bfloat16 too.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import list_versions, print_table

QUERIES, PASSAGES, DIM = 512, 2048, 384  # of a block
ROUNDS = 40
EXACT = 75e-9  # seconds of an exact score, see `merging`
ROUNDOFF = 2.0**-8  # the largest error of a number in bfloat16, relative to it
CLUSTERED = 100_000  # passages as `ranking` draws them
LANGUAGES, COUNT = ("de", "en", "hi", "zh"), 300  # queries of a language, on XQuAD-R
TOP = 1000


def main() -> None:
    """Time products of a block, then count what each bound leaves open."""
    print(f"{list_versions('torch', 'numpy')}.\n")
    seconds = print_products()
    print_open_scores(seconds)


def print_products() -> dict[str, float]:
    """Print the speed of products on one core; return seconds a score."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    draw = np.random.default_rng(3)
    queries, passages = (
        draw.standard_normal((n, DIM)).astype(np.float32) for n in (QUERIES, PASSAGES)
    )
    q, p = torch.from_numpy(queries), torch.from_numpy(passages)
    low_q, low_p = q.bfloat16(), p.bfloat16()
    rest_q, rest_p = (full - low.float() for full, low in ((q, low_q), (p, low_p)))
    pairs = torch.cat([rest_q.bfloat16(), low_q], 1), torch.cat([low_p, rest_p.bfloat16()], 1).T
    high_q, high_p = low_q.float(), low_p.float().T

    def multiply_parts() -> object:
        return (high_q @ high_p).add_(pairs[0] @ pairs[1])

    def split_passages() -> object:
        return (p - p.bfloat16().float()).bfloat16()

    products: dict[str, tuple[str, Callable[[], object]]] = {
        "float32, numpy": ("highest", lambda: queries @ passages.T),
        "bfloat16": ("highest", lambda: low_q @ low_p.T),
        "bfloat16, sums in float32": ("medium", lambda: high_q @ high_p),
        "two parts of each number": ("medium", multiply_parts),
    }
    rows: list[tuple[str, ...]] = [("", "ms", "GFLOP/s", "float32 / this")]
    seconds: dict[str, float] = {}
    with threadpool_limits(1):
        for name, (precision, multiply) in products.items():
            torch.set_float32_matmul_precision(precision)
            seconds[name] = _time(multiply)
    torch.set_float32_matmul_precision("highest")
    for name, value in seconds.items():
        speed = 2 * QUERIES * PASSAGES * DIM / value / 1e9
        ratio = seconds["float32, numpy"] / value
        rows.append((name, f"{value * 1e3:.2f}", f"{speed:,.0f}", f"{ratio:.2f}"))
    print(f"A block of {QUERIES} x {PASSAGES:,} scores of {DIM} dimensions, one core:\n")
    print_table(*rows)
    print(
        "\nThe last has the error of float32, and needs no other bound. Splitting the passages "
        f"takes {_time(split_passages) * 1e3:.2f} ms\nmore for each batch of queries. The last two "
        "need a switch that torch has for the whole process.\n"
    )
    return {name: value / (QUERIES * PASSAGES) for name, value in seconds.items()}


def _time(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def print_open_scores(seconds: dict[str, float]) -> None:
    """Print the share of scores within the bound of a relevant passage, and their cost."""
    rows: list[tuple[str, ...]] = [
        ("", "bound", "golds", "open scores", "ns a score", "float32", "candidates for 1,000")
    ]
    plain = seconds["float32, numpy"]
    for name, (queries, passages, golds) in list_data().items():
        vectors = passages - passages.mean(axis=0)
        bounds = find_bounds(queries, vectors)
        scores = queries @ vectors.T
        n_open, n_top = 0, []
        for query, row in enumerate(scores):
            bound = bounds[query]
            for gold in golds[query]:
                n_open += int((np.abs(row - row[gold]) <= bound).sum()) - 1
            bar = np.partition(row, -TOP)[-TOP] - 2 * bound
            n_top.append(int((row >= bar).sum()))
        share = n_open / scores.size
        cost = seconds["bfloat16"] + share * EXACT
        n_golds = statistics.mean(len(part) for part in golds)
        rows.append((
            name, f"{np.median(bounds):.4f}", f"{n_golds:.1f}", f"{share:.1%}",
            f"{cost * 1e9:.2f}", f"{plain * 1e9:.2f}", f"{statistics.median(n_top):,.0f}",
        ))  # fmt: skip
    print_table(*rows)
    print(
        "\nopen scores: those of a query within the bound of one of its golds, computed exactly "
        f"in {EXACT * 1e9:.0f} ns each"
    )


def find_bounds(queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Return how far a product in bfloat16 may be from the score, for each query."""
    import torch

    rests, lengths = [], []
    for vectors in (queries, passages):
        low = torch.from_numpy(vectors).bfloat16().float().numpy()
        rests.append(np.linalg.norm(vectors - low, axis=1))
        lengths.append(np.linalg.norm(vectors, axis=1))
    longest = lengths[1].max()
    bounds: np.ndarray = rests[0] * longest + lengths[0] * (rests[1].max() + ROUNDOFF * longest)
    return bounds


Data = tuple[np.ndarray, np.ndarray, list[list[int]]]  # queries, passages, golds of each query


def list_data() -> dict[str, Data]:
    """Return vectors of several kinds with golds: drawn, and of a real model."""
    draw = np.random.default_rng(3)
    centres = draw.standard_normal((2_000, DIM)).astype(np.float32)

    def draw_rows(n: int) -> np.ndarray:
        rows = draw.standard_normal((n, DIM), dtype=np.float32)
        rows += centres[draw.integers(0, len(centres), n)]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    clustered, queries = draw_rows(CLUSTERED), draw_rows(QUERIES)
    golds = draw.integers(0, CLUSTERED, (QUERIES, 11)).tolist()
    real_queries, real_passages, real_golds, own_golds = encode_xquad_r()
    return {
        "clusters, golds at random": (queries, clustered, golds),
        "e5-small, golds of all languages": (real_queries, real_passages, real_golds),
        "e5-small, golds of the query's": (real_queries, real_passages, own_golds),
    }


def encode_xquad_r() -> tuple[np.ndarray, np.ndarray, list[list[int]], list[list[int]]]:
    """Return e5-small's vectors of XQuAD-R, all golds, and those in the query's language."""
    import beir_hybrid as bh
    from beir_hybrid.encoding.models import as_encoder
    from beir_hybrid.encoding.store import encode
    from beir_hybrid.extras.e5_small import write_e5_small

    collection = bh.load("xquad-r", languages=LANGUAGES)
    n = len(collection.queries) // len(LANGUAGES)
    rows = [start * n + row for start in range(len(LANGUAGES)) for row in range(COUNT)]
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        encoder = as_encoder(str(write_e5_small(Path(folder) / "model")))
        texts = {
            "queries": [collection.queries["text"][row].as_py() for row in rows],
            "passages": collection.passages["text"].to_pylist(),
        }
        queries, passages = (
            encode(encoder, texts[role], role, folder=Path(folder) / role).take(slice(None))
            for role in ("queries", "passages")
        )
    judgements = collection.resolve()
    golds: list[list[int]] = [[] for _ in rows]
    places = {row: place for place, row in enumerate(rows)}
    for query, passage in zip(judgements.query.tolist(), judgements.passage.tolist(), strict=True):
        if query in places:
            golds[places[query]].append(passage)
    own_golds = [
        [gold for gold in part if gold in collection.passage_ranges[lang]]
        for part, lang in zip(golds, np.repeat(LANGUAGES, COUNT).tolist(), strict=True)
    ]
    return queries, passages, golds, own_golds


if __name__ == "__main__":
    main()
