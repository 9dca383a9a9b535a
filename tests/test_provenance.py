"""Provenance and timing keep the keys and values of their JSON files, those of before included."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.collection.checksum import hash_collection
from beir_hybrid.collection.origin import Origin
from beir_hybrid.errors import BadData
from beir_hybrid.records import from_record, to_record
from beir_hybrid.results.provenance import (
    ModelProvenance,
    Provenance,
    RerankerProvenance,
    RunsProvenance,
    build_provenance,
)
from beir_hybrid.results.request import Request, describe_request
from beir_hybrid.results.timing import ClusterSize, Timing, build_timing

ORIGIN = {"file": "d.jsonl", "sha256": "312a", "revision": "", "lang": ""}
COLLECTION = {
    "name": "d",
    "licence": "",
    "citation": "",
    "options": {"split": "dev"},
    "title_policy": "title+text",
    "original_ids": False,
    "caveat": "",
    "provenance": [ORIGIN],
    "languages": ["de", "en"],
    "pictures": 3,
    "queries": 6,
    "passages": 8,
}
VERSIONS = {"ir-measures": "0.4.3", "numpy": "2.4.6", "torch": "2.13.0+cpu"}
# As version 0.1.0 wrote them, before there were types.
RERANKED = {
    "beir-hybrid": "0.1.0",
    "model": {
        "name": "folder/model",
        "revision": "",
        "fingerprint": {"kind": "sentence-transformers", "max_length": None},
        "parameters": 6416,
    },
    "collection": COLLECTION,
    "depth": 100,
    "reranker": {"reranker": "cross", "depth": 100, "kind": "cross-encoder", "prompt": ""},
    "unbiased": {"RankDistance": 1.0},
    "unbiased in": {"image-pool": {"RankDistance": 2.0}},
    "truncated": {"queries": 0, "passages": 2, "pairs": None},
    "versions": VERSIONS,
}
EXTERNAL = {
    "beir-hybrid": "0.1.0",
    "model": {"name": "x", "revision": "", "fingerprint": {"kind": "runs", "files": ["e8f7"]}},
    "collection": COLLECTION,
    "unbiased": {},
    "versions": VERSIONS,
    "runs": {
        "queries": 6,
        "missing": 1,
        "missing by language": {"de": [1, 3], "en": [0, 3]},
        "depth": 8,
    },
}
BM25 = {**EXTERNAL, "runs": {"queries": 18, "missing": 0, "unmatched": 2, "depth": 1000}}
TIMING = {
    "date": "2026-11-29",
    "engine": "ray",
    "cluster": {"cores": 2.0, "gpus": 0.0},
    "seconds": {"encoding": 0.25, "ranking and scoring": 1.5},
    "texts encoded": 0,
    "pictures encoded": 3,
    "pairs reranked": 4,
    "machine": {
        "system": "Linux",
        "python": "3.13.1",
        "processor": "x86",
        "cores": 2,
        "memory in GiB": None,
    },
    "given": {
        "rerank": "cross",
        "dataset": {"name": "jsonl", "languages": None, "options": {"path": "d.jsonl"}},
        "model": "folder/model",
        "hub": False,
        "options": {"normalize": True, "batch_size": 8},
    },
}


@pytest.mark.parametrize("record", [RERANKED, EXTERNAL, BM25])
def test_provenance_has_the_same_json_as_before(record: dict[str, Any]) -> None:
    provenance = from_record(Provenance, record, "results.json: about")
    assert json.dumps(to_record(provenance)) == json.dumps(record)


@pytest.mark.parametrize("record", [TIMING, {}, {"date": "2026-11-29", "given": {"runs": ["a"]}}])
def test_timing_has_the_same_json_as_before(record: dict[str, Any]) -> None:
    timing = from_record(Timing, record, "timing.json")
    assert json.dumps(to_record(timing)) == json.dumps(record)


def test_provenance_has_typed_attributes() -> None:
    provenance = from_record(Provenance, RERANKED, "about")
    assert provenance.version == "0.1.0"
    assert provenance.model.parameters == 6416
    assert provenance.collection.images == 3
    assert provenance.collection.origins == (Origin("d.jsonl", "312a"),)
    assert provenance.reranker == RerankerProvenance(
        "cross", 100, {"kind": "cross-encoder", "prompt": ""}
    )
    assert provenance.list_unbiased("multi") == {"RankDistance": 1.0}
    assert provenance.list_unbiased("image-pool") == {"RankDistance": 2.0}
    assert provenance.list_unbiased("mono") == {}
    assert from_record(Provenance, EXTERNAL, "about").runs == RunsProvenance(
        queries=6, missing=1, missing_by_language={"de": (1, 3), "en": (0, 3)}, depth=8
    )
    timing = from_record(Timing, TIMING, "timing.json")
    assert timing.cluster == ClusterSize(2, 0)
    assert timing.request is not None
    assert timing.request.hub is False


def test_keys_of_later_versions_are_ignored() -> None:
    record = {**RERANKED, "weather": "fine", "model": {"name": "m", "colour": "red"}}
    assert from_record(Provenance, record, "about").model == ModelProvenance("m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it.pop("model"), r"results\.json: about\.model is missing"),
        (lambda it: it.update(model={}), r"about\.model\.name is missing"),
        (lambda it: it.update(model="m"), r"about\.model is 'm'; it must be a mapping"),
        (lambda it: it.update(model={"name": 3}), r"about\.model\.name is 3; it must be text"),
        (lambda it: it.update(depth="all"), r"about\.depth is 'all'; it must be a whole number"),
        (lambda it: it.update(depth=True), r"about\.depth is True; it must be a whole number"),
        (lambda it: it.update(unbiased={"RR": "x"}), r"about\.unbiased\.RR is 'x'; .* a number"),
        (lambda it: it.update(unbiased=[]), r"about\.unbiased is \[\]; it must be a mapping"),
        (
            lambda it: it.update(collection=COLLECTION | {"languages": "de"}),
            r"about\.collection\.languages is 'de'; it must be a list",
        ),
        (
            lambda it: it.update(collection=COLLECTION | {"provenance": [{"file": "a"}]}),
            r"about\.collection\.provenance\.sha256 is missing",
        ),
    ],
)  # fmt: skip
def test_bad_records_are_named_by_file_and_key(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    record = dict(RERANKED)
    change(record)
    with pytest.raises(BadData, match=message):
        from_record(Provenance, record, "results.json: about")


def make_collection() -> bh.Collection:
    corpus = {"de:1": {"text": "Hier."}, "en:1": {"text": "Here."}}
    return bh.from_beir(corpus, {"en:q:1": "Where?"}, {"en:q:1": {"en:1": 1}}, name="small")


def test_new_provenance_describes_collection_and_versions() -> None:
    unbiased = {"multi": {"RankDistance": 1.0}, "mixed": {"ModalityShare@10": 0.5}}
    provenance = build_provenance(ModelProvenance("m"), make_collection(), unbiased, depth=5)
    record = to_record(provenance)
    assert list(record) == [
        "beir-hybrid", "model", "collection", "depth", "unbiased", "unbiased in", "versions"
    ]  # fmt: skip
    assert record["unbiased"] == {"RankDistance": 1.0}
    assert record["unbiased in"] == {"mixed": {"ModalityShare@10": 0.5}}
    assert record["collection"] == {
        "name": "small", "licence": "", "citation": "", "options": {},
        "title_policy": "title+text", "original_ids": False, "caveat": "", "provenance": [],
        "languages": ["de", "en"], "queries": 1, "passages": 2,
        "sha256": hash_collection(make_collection()),  # for no file tells its content
    }  # fmt: skip
    assert set(record["versions"]) == {"ir-measures", "numpy", "sentence-transformers", "torch"}


def test_a_machine_is_described_where_there_are_seconds() -> None:
    assert build_timing(Request()).machine is None
    timing = build_timing(Request(), {"encoding": 0.12345}, encoded_texts=0)
    assert timing.seconds == {"encoding": 0.123}
    assert timing.machine is not None
    record = to_record(timing)
    assert list(record) == ["date", "seconds", "texts encoded", "machine", "given"]


def test_a_request_names_what_can_be_named(tmp_path: Path) -> None:
    options = {"normalize": None, "batch_size": 8, "device": Path("cpu")}
    request = describe_request(
        make_collection(), ["AP", "R@1"], tmp_path, options, settings=("mono",), depth=7
    )
    assert to_record(request) == {
        "model": str(tmp_path.resolve()),
        "hub": False,
        "options": {"batch_size": 8, "device": "cpu"},
        "measures": ["AP", "R@1"],
        "settings": ["mono"],
        "depth": 7,
    }
    assert describe_request(make_collection(), ["AP"], object()) == Request(measures=("AP",))


def test_requests_of_commands_are_recorded_whole(tmp_path: Path) -> None:
    rows = [
        {"passage": "p1", "text": {"de": "Fisch", "en": "fish"}},
        {"query": "q1", "text": {"de": "Fisch", "en": "fish"}, "relevant": ["p1"]},
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    collection = bh.load("jsonl", path=path)
    results = bh.bm25(collection, measures="R@1", settings="mono", k1=1, depth=50, name="mine")
    assert to_record(results.timing.request) == {
        "dataset": {"name": "jsonl", "languages": None, "options": {"path": str(path)}},
        "measures": ["R@1"], "settings": ["mono"], "depth": 50, "name": "mine", "k1": 1.0, "b": 0.4,
    }  # fmt: skip
    run = bh.write_run(tmp_path / "en-en.trec", {"en:q:q1": {"en:p1": 1.0}})
    external = bh.evaluate_runs(run, collection, measures=["R@1"])
    assert to_record(external.timing.request) == {
        "runs": [str(run)],
        "dataset": {"name": "jsonl", "languages": None, "options": {"path": str(path)}},
        "measures": ["R@1"],
    }
