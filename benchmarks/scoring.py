"""Exact ranks by a sparse and a late-interaction model, beside the bare products of their vectors.

Vectors are drawn, as many as XQuAD-R has texts. Sparse: scipy's product of CSR matrices, some
queries at a time. Late interaction: numpy's product of all tokens, in place, without maxima.
``python -m benchmarks.scoring FAMILY DATASET SHARE ROUNDS`` prints JSON.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings
from beir_hybrid.encoding.token_embeddings import TokenEmbeddings, TokenVectors
from beir_hybrid.retrieval.rank import rank
from beir_hybrid.retrieval.request import RankRequest
from beir_hybrid.retrieval.scorers import make_scorer
from benchmarks.evaluation import ENVIRONMENT
from benchmarks.measure import (
    choose_kernels,
    describe_kernels,
    estimate,
    list_versions,
    print_table,
    run_child,
)

ROUNDS = 5
# One of how many queries is ranked: late interaction takes minutes.
SHARES = {"sparse": 1, "late-interaction": 8}
VOCABULARY, QUERY_TERMS, PASSAGE_TERMS = 30_522, 30, 120
DIM, QUERY_TOKENS, PASSAGE_TOKENS = 128, (8, 24), (16, 64)  # the fewest, the most
BLOCK_QUERIES, BLOCK_TOKENS = 256, 2048  # of the peers' products
GOAL = 1.5


def main() -> None:
    """Compare both families with their products on XQuAD-R."""
    print(f"{list_versions('scipy', 'numpy', 'numba')}.\n")
    for family, share in SHARES.items():
        compare(family, "xquad-r", share, ROUNDS)


def compare(family: str, dataset: str, share: int, rounds: int) -> None:
    """Measure one family in a process of its own, and print the ratio."""
    environment = ENVIRONMENT | choose_kernels()
    arguments = family, dataset, str(share), str(rounds)
    facts = run_child("scoring", *arguments, **environment).result
    ours, peer = (estimate(facts[side]) for side in ("ours", "peer"))
    ratio = estimate([a / b for a, b in zip(facts["ours"], facts["peer"], strict=True)])
    print(
        f"{family}: exact ranks of {facts['golds']:,} relevant passages, {facts['queries']:,} "
        f"queries, {facts['passages']:,} passages\nof {dataset}, {rounds} interleaved pairs of "
        f"one process; {facts['kernels']}:\n"
    )
    print_table(
        ("", f"median [{ours.confidence:.0%} interval]", "target", "verdict"),
        ("ours, s", ours.show(), "-", "-"),
        ("the product, s", peer.show(), "-", "-"),
        ("ours / the product", ratio.show(), f"<= {GOAL}", ratio.verdict(below=GOAL)),
    )
    print()


def time_family(family: str, dataset: str, share: int, rounds: int) -> dict[str, Any]:
    """Rank and multiply in turns; each goes first in every second round."""
    import beir_hybrid as bh

    collection = bh.load(dataset)
    n_queries, n_passages = len(collection.queries) // share, len(collection.passages)
    judgements = collection.resolve()
    is_gold = (judgements.relevance > 0) & (judgements.query < n_queries)
    golds = judgements.query[is_gold], judgements.passage[is_gold]
    draw_sides = draw_sparse if family == "sparse" else draw_late
    _rank(*draw_sides(8, 8)[:2], (np.arange(8), np.arange(8)))  # loads the compiled code
    queries, passages, peer = draw_sides(n_queries, n_passages)
    sides: dict[str, Callable[[], object]] = {
        "ours": partial(_rank, queries, passages, golds), "peer": peer,
    }  # fmt: skip
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in list(sides)[:: -1 if number % 2 else 1]:
            start = time.perf_counter()
            sides[side]()
            seconds[side].append(time.perf_counter() - start)
    sizes = {"queries": n_queries, "passages": n_passages, "golds": len(golds[0])}
    return {**seconds, **sizes, "kernels": describe_kernels()}


def _rank(queries: Any, passages: Any, golds: tuple[np.ndarray, np.ndarray]) -> object:
    n = len(passages)
    request = RankRequest(*golds, {"all": range(n)}, np.arange(n, dtype=np.int32))
    return rank(make_scorer(queries, passages), request)


def draw_sparse(n_queries: int, n_passages: int) -> tuple[Any, Any, Callable[[], object]]:
    """Draw weights of terms, whose frequencies follow Zipf's law; return their product, too."""
    from scipy.sparse import csr_array

    draw = np.random.default_rng(7)

    def draw_rows(n: int, n_terms: int) -> "csr_array":
        terms = (VOCABULARY ** draw.random((n, n_terms))).astype(np.int32) - 1
        bounds = np.arange(0, terms.size + 1, n_terms, dtype=np.int32)
        parts: Any = (draw.random(terms.size, np.float32), terms.ravel(), bounds)
        rows = csr_array(parts, shape=(n, VOCABULARY))
        rows.sum_duplicates()
        return rows

    queries, passages = draw_rows(n_queries, QUERY_TERMS), draw_rows(n_passages, PASSAGE_TERMS)
    by_term = passages.T.tocsr()

    def multiply() -> None:
        for start in range(0, n_queries, BLOCK_QUERIES):
            _ = queries[start : start + BLOCK_QUERIES] @ by_term

    rows = SparseEmbeddings.from_matrix
    return rows(queries), rows(passages), multiply


def draw_late(n_queries: int, n_passages: int) -> tuple[Any, Any, Callable[[], object]]:
    """Draw unit vectors of tokens in half precision; return their product, too."""
    draw = np.random.default_rng(7)

    def draw_rows(n: int, limits: tuple[int, int]) -> TokenVectors:
        bounds = np.concatenate([[0], np.cumsum(draw.integers(*limits, n, endpoint=True))])
        tokens = draw.standard_normal((int(bounds[-1]), DIM), np.float32)
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        return TokenVectors(tokens.astype(np.float16), bounds)

    queries, passages = draw_rows(n_queries, QUERY_TOKENS), draw_rows(n_passages, PASSAGE_TOKENS)
    query_tokens, passage_tokens = (rows.tokens.astype(np.float32) for rows in (queries, passages))

    def multiply() -> None:
        scores = np.empty((BLOCK_TOKENS, BLOCK_TOKENS), np.float32)
        for passage_block in _split(passage_tokens):
            for query_block in _split(query_tokens):
                part = scores.ravel()[: len(passage_block) * len(query_block)]
                out = part.reshape(len(passage_block), len(query_block))
                np.matmul(passage_block, query_block.T, out=out)

    rows = TokenEmbeddings.from_vectors
    return rows(queries), rows(passages), multiply


def _split(tokens: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(tokens), BLOCK_TOKENS):
        yield tokens[start : start + BLOCK_TOKENS]


if __name__ == "__main__":
    name, place, *counts = sys.argv[1:]
    print(json.dumps(time_family(name, place, *map(int, counts))))
