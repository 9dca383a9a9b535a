"""Damage of every kind of stored file: what is read then is what was written, or an error of ours.

A store is written once; then, again and again, one of its files has a flipped bit, loses its end,
gets a page of zeros or disappears, and everything is read from it that values depend on.
"""

import gzip
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import beir_hybrid as bh
from beir_hybrid import integrity
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import Embeddings, Encoder, EncodingStats, as_encoder, encode
from beir_hybrid.encoding.layouts import LAYOUTS
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.pyserini.dense import open_index
from beir_hybrid.pyserini.faiss_files import IndexKind
from beir_hybrid.pyserini.index import write_index
from beir_hybrid.pyserini.search import search_index
from beir_hybrid.report.reproduction_check import CheckedAverage
from beir_hybrid.report.reproduction_record import read_reproduction, write_reproduction
from beir_hybrid.sources.miracl import convert_to_arrow
from tests.families import make_late, make_sparse
from tests.hard.effort import choose_count
from tests.hash_encoder import HashEncoder, make_texts
from tests.models import static_model
from tests.small_collections import make_word_collection
from tests.test_evaluate import TrigramEncoder, make_parallel_collection
from tests.test_train import SMALL, flatten_weights
from tests.training_run import make_groups

pytestmark = pytest.mark.hard

PAGE = 4096
LANGUAGES = ("de", "en", "th")
TRAINING: dict[str, Any] = SMALL | {"max_steps": 6, "save_steps": 2, "save_total_limit": 3}


@dataclass(frozen=True)
class Store:
    """Files of one kind: how to write them, and to read everything that values depend on.

    Attributes
    ----------
    short, long
        How many mutations the two forms of the test try.
    optional
        A file without which the others are like those of another program: it does not disappear.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    short: int = 30
    long: int = 150
    optional: str = ""


def list_rows(collection: Collection) -> list[Any]:
    tables = collection.queries, collection.passages, collection.judgements
    return [*(table.to_pylist() for table in tables), collection.title_policy, collection.languages]


def load_passages(folder: Path) -> Collection:
    """Load a collection of two languages; the first call builds it."""
    source = folder.parent / "passages.jsonl"
    if not source.exists():
        passages = [
            {"passage": f"p{n}", "text": {"de": f"Weg {n} " * 9, "en": f"Way {n} " * 9}}
            for n in range(60)
        ]
        queries = [
            {"query": f"q{n}", "text": {"de": f"Wo {n}?", "en": f"Where {n}?"},
             "relevant": [f"p{n}"]} for n in range(20)
        ]  # fmt: skip
        source.write_text("".join(f"{json.dumps(row)}\n" for row in [*passages, *queries]))
    return bh.read_jsonl(source)


def encode_texts(folder: Path) -> tuple[list[Any], int | None]:
    stats = EncodingStats()
    embeddings = encode(HashEncoder(), make_texts(1500), "queries", folder=folder, stats=stats)
    return embeddings.take(slice(None)).tolist(), stats.truncated


def make_vector_store(make_model: Callable[[Path], object]) -> Store:
    """Return a store of the vectors of a sparse or late-interaction model."""

    @cache
    def open_model(folder: Path) -> Encoder:
        return as_encoder(make_model(folder))

    def encode_words(folder: Path) -> list[list[Any]]:
        encoder = open_model(folder.parent / "parts")
        texts = [f"w{n} w{n * n % 90}" for n in range(90)]
        rows = encode_rows(encoder, pa.chunked_array([texts]), "passages", folder=folder)
        layout = LAYOUTS[encoder.family]
        arrays = layout.split(rows.take(slice(None)))
        return [arrays[part].tolist() for part in layout.parts]

    return Store(encode_words, encode_words)


def draw_vectors(n: int) -> np.ndarray:
    rows = np.random.default_rng(5).normal(size=(n, 16)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class _NumberEncoder:
    """Gives a query the vector of its number."""

    def __init__(self) -> None:
        self.fingerprint = {"kind": "numbers"}

    def encode_queries(self, texts: list[str]) -> np.ndarray:
        return draw_vectors(400)[[int(text) for text in texts]]

    encode_passages = encode_queries


def make_index_store(kind: IndexKind) -> Store:
    fingerprint = _NumberEncoder().fingerprint
    model = {"name": "", "revision": "", "options": {}, "fingerprint": fingerprint}
    recipe: Any = {"kind": kind, "model": model}

    def write(folder: Path) -> None:
        ids = pa.chunked_array([[f"en:{n}" for n in range(400)]])
        write_index(Embeddings.from_array(draw_vectors(400)), ids, folder, kind, recipe)

    def read(folder: Path) -> object:
        return open_index(folder, _NumberEncoder()).search(list("0123456789"), 50)

    return Store(write, read)


def build_impact_index(folder: Path) -> None:
    model = folder.parent / "splade"
    make_sparse(folder.parent / "parts").save_pretrained(str(model))
    bh.build_index(str(model), make_word_collection(), folder / "out", store=folder / "vectors")
    for name in ("vectors", "cache"):
        shutil.rmtree(folder / name)


def search_impact_index(folder: Path) -> object:
    collection = make_word_collection()
    return [
        search_index(folder / "out", query, k=20, collection=collection).hits
        for query in collection.queries["text"].to_pylist()[:4]
    ]


def write_results(folder: Path) -> None:
    bh.evaluate(TrigramEncoder(), make_parallel_collection()).save(folder)
    shutil.rmtree(folder / "cache")


def write_runs(folder: Path) -> None:
    bh.evaluate(TrigramEncoder(), make_parallel_collection(), runs=folder / "runs", depth=9)
    shutil.rmtree(folder / "cache")


def read_results(folder: Path) -> object:
    results = bh.Results.load(folder)
    table = {name: repr(column) for name, column in results.per_query().to_pydict().items()}
    return (
        results.provenance,
        repr(results.summary()),
        repr(results.means("AP")),
        table,
        results.timing,
    )


def write_checked_results(folder: Path) -> None:
    write_results(folder)
    (folder / "timing.json").unlink()
    averages = [
        CheckedAverage("AP", "mono", 0.5, 0.5, "equal"),
        CheckedAverage("AP", "cross", 0.5, 0.2, "different"),
    ]
    write_reproduction(folder, averages)


def read_checked_results(folder: Path) -> object:
    return read_results(folder), read_reproduction(folder)


def read_runs(folder: Path) -> object:
    names = [f"{query}-{passage}.trec" for query in LANGUAGES for passage in (*LANGUAGES, "all")]
    return [bh.read_run(folder / "runs" / name) for name in names]


def read_pairs(folder: Path) -> object:
    source = folder.parent / "groups.jsonl"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in make_groups(42)))
    pairs = bh.read_pairs(source)
    return list(pairs), pairs.languages, pairs.sources


def train(folder: Path) -> object:
    model = bh.train(static_model(), bh.pairs_from_groups(make_groups(42)), folder, **TRAINING)
    record = json.loads((folder / "training.json").read_text("utf-8"))
    return flatten_weights(model).tolist(), record["steps"], record["audit"], record["recipe"]


def train_whole(folder: Path) -> None:
    train(folder)
    shutil.rmtree(folder / "checkpoints")


def train_halfway(folder: Path) -> None:
    """Leave what a training leaves that is killed after its second checkpoint."""
    train(folder)
    shutil.rmtree(folder / "model")
    shutil.rmtree(folder / "checkpoints" / "checkpoint-6")


def convert_corpus(folder: Path) -> object:
    source = folder.parent / "docs-0.jsonl.gz"
    if not source.exists():
        rows = [{"docid": f"{n}#0", "title": f"T{n}", "text": f"Text {n}."} for n in range(300)]
        source.write_bytes(gzip.compress("".join(f"{json.dumps(r)}\n" for r in rows).encode()))
    shard = convert_to_arrow(source, "en", folder)
    return pa.ipc.open_file(str(shard.path)).read_all().to_pylist(), shard.rows, shard.source


def search_lucene(folder: Path) -> object:
    from beir_hybrid.pyserini.lucene import build_lucene_index
    from beir_hybrid.pyserini.lucene_search import open_searcher

    index = build_lucene_index(make_parallel_collection(), "en", store=folder)
    with open_searcher(index, 0.9, 0.4) as searcher:
        hits = searcher.search(["en text of 3", "en text of 7"], 10)
        return [(rows.tolist(), scores.tolist()) for rows, scores in hits]


def write_calibration(folder: Path) -> None:
    bh.calibrate(TrigramEncoder(), make_parallel_collection()).save(folder / "out")
    shutil.rmtree(folder / "cache")


def read_calibration(folder: Path) -> object:
    calibration = bh.Calibration.load(folder / "out")
    arrays = [(role, correction.offsets.tolist(), correction.directions.tolist())
              for role, correction in calibration.corrections.items()]  # fmt: skip
    return arrays, calibration.describe(), calibration.fingerprint, calibration.unit_length


STORES = {
    "collection": Store(load_passages, lambda folder: list_rows(load_passages(folder))),
    "export": Store(
        lambda folder: bh.write_folder(make_parallel_collection(), folder / "out"),
        lambda folder: list_rows(bh.read_folder(folder / "out")),
    ),
    "vectors": Store(encode_texts, encode_texts),
    "flat index": make_index_store("flat"),
    "sq8 index": make_index_store("sq8"),
    "hnsw index": make_index_store("hnsw"),
    "impact index": Store(build_impact_index, search_impact_index),
    "sparse vectors": make_vector_store(make_sparse),
    "token vectors": make_vector_store(make_late),
    "Lucene index": Store(search_lucene, search_lucene),
    "results": Store(write_results, read_results, optional="timing.json"),
    "reproduction": Store(
        write_checked_results, read_checked_results, optional="reproduction.json"
    ),
    "runs": Store(write_runs, read_runs),
    "calibration": Store(write_calibration, read_calibration),
    "pairs": Store(read_pairs, read_pairs),
    "model": Store(train_whole, train, 10, 60),
    "checkpoints": Store(train_halfway, train, 10, 60),
    "corpus": Store(convert_corpus, convert_corpus),
}


def flip_bit(content: bytearray, rng: np.random.Generator) -> None:
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))


def truncate(content: bytearray, rng: np.random.Generator) -> None:
    del content[int(rng.integers(len(content))) :]


def zero_page(content: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(-(-len(content) // PAGE))) * PAGE
    content[start : start + PAGE] = bytes(len(content[start : start + PAGE]))


def mutate(path: Path, rng: np.random.Generator, *, can_vanish: bool) -> str:
    """Damage a file at random, and say how; processes that have it open keep the old bytes."""
    content = bytearray(path.read_bytes())
    changes = {"a flipped bit": flip_bit, "no end": truncate, "a page of zeros": zero_page}
    kinds = [*changes, "gone"] if can_vanish else [*changes]
    kind = kinds[int(rng.integers(len(kinds)))]
    path.unlink()
    if kind != "gone":
        changes[kind](content, rng)
        path.write_bytes(content)
    return kind


@pytest.mark.parametrize("name", STORES)
def test_damage_gives_no_other_value(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if name in {"Lucene index", "impact index"}:
        pytest.importorskip("pyserini")
    store, folder, whole = STORES[name], tmp_path / "files" / "store", tmp_path / "files" / "whole"
    folder.mkdir(parents=True)
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
    monkeypatch.setattr(integrity, "_verified_checksums", {})
    caplog.set_level(logging.CRITICAL)
    store.write(folder)
    shutil.copytree(folder, whole)
    value = store.read(folder)
    files = [path.relative_to(whole) for path in sorted(whole.rglob("*"))
             if path.is_file() and path.stat().st_size]  # fmt: skip
    rng = np.random.default_rng(17)
    n_errors = 0
    for _ in range(choose_count(store.short, store.long)):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        integrity._verified_checksums.clear()  # noqa: SLF001 - as another process begins
        file = files[int(rng.integers(len(files)))]
        damage = mutate(folder / file, rng, can_vanish=str(file) != store.optional)
        try:
            assert store.read(folder) == value, f"{file}: {damage}"
        except BeirHybridError as error:
            assert "\n" not in str(error)  # noqa: PT017
            n_errors += 1
    print(f"{name}: {n_errors} errors, else healed")  # noqa: T201 - for the figures of the long form
