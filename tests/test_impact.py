"""Impact indexes of sparse models: Pyserini's scores are products of whole numbers, by hand."""
# mypy: allow-untyped-calls

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from sentence_transformers import SparseEncoder

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import as_encoder
from beir_hybrid.errors import BadData, BadOption, NotReadable
from beir_hybrid.integrity import format_sealed_json, record_files
from beir_hybrid.pyserini.impact import ImpactQueryEncoder, list_term_names, quantize
from beir_hybrid.pyserini.java import start_java
from tests.families import make_late, make_sparse
from tests.small_collections import make_word_collection, write_parallel_words
from tests.test_cli_evaluate import RunCli, run_cli

pytest.importorskip("pyserini")
__all__ = ["run_cli"]


@pytest.fixture(scope="module")
def collection() -> Collection:
    return make_word_collection()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("models")
    make_sparse(base / "parts").save_pretrained(str(base / "splade"))
    return base / "splade"


@pytest.fixture(scope="module")
def index(model: Path, collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("index")
    return bh.build_index(str(model), collection, base / "impact", store=base / "store")


def round_weights(model: Path, texts: list[str], method: str) -> np.ndarray:
    """Return Pyserini's whole numbers of weights, (n, terms), as its SPLADE encoders make them."""
    splade = SparseEncoder(str(model), device="cpu")
    rows = getattr(splade, method)(texts, convert_to_sparse_tensor=False).tolist()
    return np.array([[round(weight / 5 * 256) for weight in row] for row in rows])


def score_all(model: Path, collection: Collection) -> tuple[list[str], list[str], np.ndarray]:
    """Return ids and texts, and all products of whole numbers."""
    corpus, queries, _ = collection.view().to_beir()
    passages = [document["text"] for document in corpus.values()]
    impacts = round_weights(model, passages, "encode_document")
    scores = round_weights(model, [*queries.values()], "encode_query") @ impacts.T
    return list(queries.values()), list(corpus), scores


def test_pyserini_finds_what_products_say(model: Path, collection: Collection, index: Path) -> None:
    queries, ids, scores = score_all(model, collection)
    start_java()
    from pyserini.search.lucene import LuceneImpactSearcher

    searcher = LuceneImpactSearcher(str(index), ImpactQueryEncoder.open(str(model)), min_idf=-1)
    for query, row in zip(queries, scores.tolist(), strict=True):
        hits = [(hit.docid, hit.score) for hit in searcher.search(query, 20)]
        order = sorted(zip(ids, row, strict=True), key=lambda hit: (-hit[1], hit[0]))
        assert hits == order[:20]
    assert len({score for row in scores.tolist() for score in row}) > 500
    searcher.close()


def test_search_marks_the_relevant(model: Path, collection: Collection, index: Path) -> None:
    queries, ids, scores = score_all(model, collection)
    results = bh_search(index, queries[0], collection, k=7)
    order = sorted(zip(ids, scores[0].tolist(), strict=True), key=lambda hit: (-hit[1], hit[0]))
    assert [(hit.id, hit.score) for hit in results.hits] == order[:7]
    german = bh_search(index, queries[0], collection, k=3, language="th")
    expected = [hit for hit in order if hit[0].startswith("th:")]
    assert [(hit.id, hit.score) for hit in german.hits] == expected[:3]
    _, _, qrels = collection.view().to_beir()
    golds = next(iter(qrels.values()))
    assert [hit.gold for hit in results.hits] == [golds.get(hit.id, 0) > 0 for hit in results.hits]


def bh_search(index: Path, query: str, collection: Collection, **options: Any) -> Any:
    from beir_hybrid.pyserini.search import search_index

    return search_index(index, query, collection=collection, **options)


def test_weights_are_rounded_as_pyserini_does() -> None:
    class Plain:
        normalize: bool | None = None

    weights = csr_array(np.array([[0.0, 0.009, 0.01, 1.0, 5.0, 7.5]], np.float32))
    plain: Any = Plain()
    # .009 / 5 * 256 is .4608, and .01 gives .512.
    assert quantize(weights, plain).toarray().tolist() == [[0, 0, 1, 51, 256, 384]]
    assert quantize(weights, plain).nnz == 4
    plain.normalize = True
    unit = csr_array(np.array([[0.5, 0.001, 1.0]], np.float32))
    assert quantize(unit, plain).toarray().tolist() == [[128, 0, 256]]


def test_terms_that_lucene_would_split_have_numbers(model: Path) -> None:
    encoder: Any = as_encoder(str(model))
    names = list_term_names(encoder, 404)
    assert names[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "w0"]
    assert len({*names}) == 404
    encoder.model.tokenizer.add_tokens(["two words", " ", "x" * 300, "\u3000a"])
    assert list_term_names(encoder, 408)[404:] == ["[404]", "[405]", "[406]", "[407]"]


def test_commands_make_what_pyserini_searches(run_cli: RunCli, model: Path, tmp_path: Path) -> None:
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    data = ["--dataset", "jsonl", "-o", f"path={words}"]
    outcome = run_cli("index", model, *data, "--output", tmp_path / "index")
    assert outcome.code == 0
    assert outcome.out.endswith("written: impact, 120 vectors x 404\n")
    assert run_cli("index", "--verify", tmp_path / "index").code == 0
    assert run_cli("topics", model, *data, "--output", tmp_path / "topics").code == 0
    lines = (tmp_path / "topics" / "encoded.jsonl").read_text().splitlines()
    assert len(lines) == 120
    first = json.loads(lines[0])
    (row,) = round_weights(model, [first["contents"]], "encode_query").tolist()
    assert sorted(first["vector"].values()) == sorted(number for number in row if number)
    run = tmp_path / "impact.trec"
    line = ["pyserini", "--", "pyserini.search.lucene", "--index", tmp_path / "index", "--impact"]
    line += ["--topics", tmp_path / "topics" / "all.tsv", "--min-idf", "-1", "--hits", "120"]
    line += ["--encoder", tmp_path / "topics" / "encoded.jsonl", "--output", run]
    run_cli(*line)
    collection = bh.load("jsonl", path=str(words))
    _, ids, scores = score_all(model, collection)
    _, queries, _ = collection.view().to_beir()
    lucene = {}
    for text in run.read_text().splitlines():
        query, _, passage, _, score, _ = text.split()
        lucene[query, passage] = float(score)
    expected = {
        (query, passage): score
        for query, row in zip(queries, scores.tolist(), strict=True)
        for passage, score in zip(ids, row, strict=True) if score
    }  # fmt: skip
    assert lucene.keys() == expected.keys()
    # Pyserini subtracts a little from scores that tie.
    assert all(lucene[pair] == pytest.approx(score, abs=0.01) for pair, score in expected.items())


def test_damage_and_odd_requests_are_refused(
    model: Path, collection: Collection, index: Path, tmp_path: Path
) -> None:
    for options in ({"kind": "hnsw"}, {"shards": 2}, {"calibration": "local:k=3"}):
        with pytest.raises(BadOption, match="a sparse model has one impact index"):
            bh.build_index(str(model), collection, tmp_path / "x", **options)
    with pytest.raises(BadOption, match="is an impact index: beir-hybrid search"):
        bh.open_index(index, str(model))
    # Building again leaves it as it is; another model's is refused.
    assert bh.build_index(str(model), collection, index, store=tmp_path / "store") == index
    with pytest.raises(BadOption, match="holds something else"):
        bh.build_index(str(model), collection, index, store=tmp_path / "store", query_prompt="w1 ")
    copy = tmp_path / "copy"
    shutil.copytree(index, copy)
    largest = max(copy.iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with pytest.raises(BadData, match="is damaged"):
        bh_search(copy, "w1", collection)
    manifest = json.loads((index / "manifest.json").read_text())
    manifest = {key: value for key, value in manifest.items() if key != "checksum"}
    largest.write_bytes(b"nothing")
    names = sorted(manifest["files"])
    forged = format_sealed_json({**manifest, "files": record_files(copy, names)})
    (copy / "manifest.json").write_text(forged)  # as a stranger may: the checksums are right
    with pytest.raises(BadData, match=r"cannot be searched: .*; where it is damaged, remove it"):
        bh_search(copy, "w1", collection)
    for files in ({}, {"../x": {"bytes": 1, "xxh3": "0"}}):
        (copy / "manifest.json").write_text(format_sealed_json({**manifest, "files": files}))
        with pytest.raises(BadData, match="does not list the files"):
            bh_search(copy, "w1", collection)
    records = record_files(copy, names)
    records["x" * 300] = records[names[0]]
    (copy / "manifest.json").write_text(format_sealed_json({**manifest, "files": records}))
    with pytest.raises(NotReadable, match=r"cannot read .*xxx: File name too long"):
        bh_search(copy, "w1", collection)


@pytest.mark.parametrize("family", ["sparse", "late-interaction"])
def test_results_are_reproduced_without_rounding(model: Path, tmp_path: Path, family: str) -> None:
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    if family == "late-interaction":
        model = tmp_path / "late"
        make_late(tmp_path / "parts").save_pretrained(str(model))
    collection = bh.load("jsonl", path=str(words))
    results = bh.evaluate(str(model), collection, measures="AP", store=tmp_path / "store")
    commands = [line.split()[1] for line in bh.reproduce_commands(results)]
    assert commands == ["datasets", "evaluate"]
