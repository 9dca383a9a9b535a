"""Matchers give the scores of transformers, and rerank images and captions by these."""
# mypy: allow-untyped-calls

import hashlib
import pickle
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from ir_measures import AP, R
from PIL import Image

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.rerankers.selection import open_pair_scorer
from beir_hybrid.measures.bias.language_exposure import LanguageExposure
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.results.request import Request
from beir_hybrid.retrieval.runs import read_run
from tests.image_boards import load_squares, write_squares
from tests.matchers import (
    LANGUAGES,
    draw_vectors,
    make_blip,
    make_collection,
    make_lxmert,
    write_regions,
)
from tests.models import transformer_model
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture

KINDS = ("text-image", "image-text", "image-pool")
LONG = " ".join(f"w{n}" for n in range(40))
ScorePair = Callable[[str, str], float]  # of a image's key and a caption


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    (tmp_path / "images").mkdir()
    return make_collection(tmp_path / "images")


@pytest.fixture
def matcher(tmp_path: Path) -> bh.BlipMatcher:
    return bh.BlipMatcher(make_blip(tmp_path / "blip"))


def score_by_blip(folder: Path, files: Path) -> ScorePair:
    """Score pairs one by one, as in the documentation of transformers."""
    from transformers import BlipForImageTextRetrieval, BlipProcessor

    model: Any = BlipForImageTextRetrieval.from_pretrained(folder)
    processor: Any = BlipProcessor.from_pretrained(folder)

    @cache
    def score_pair(key: str, caption: str) -> float:
        with Image.open(files / f"{key}.png") as image, torch.no_grad():
            truncation = {"truncation": True, "max_length": 12}
            rgb_image = image.convert("RGB")
            inputs = processor(images=rgb_image, text=caption, return_tensors="pt", **truncation)
            share = model(**inputs, use_itm_head=True).itm_score.double().softmax(1)[0, 1]
        return float(torch.logit(share))

    return score_pair


def score_by_lxmert(folder: Path, files: Path) -> ScorePair:
    from transformers import AutoTokenizer, LxmertForPreTraining

    model: Any = LxmertForPreTraining.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    @cache
    def score_pair(key: str, caption: str) -> float:
        arrays = np.load(files / f"{key}.npz")
        features, boxes = (
            torch.tensor(arrays[name], dtype=torch.float32)[None] for name in ("features", "boxes")
        )
        with torch.no_grad():
            tokens = tokenizer(caption, return_tensors="pt")
            output = model.eval()(**tokens, visual_feats=features, visual_pos=boxes)
        share = output.cross_relationship_score.double().softmax(1)[0, 1]
        return float(torch.logit(share))

    return score_pair


def list_sides(kind: str) -> list[tuple[str, str]]:
    """Return the languages of queries and passages of each setting of a kind."""
    return {
        "text-image": [(lang, "image") for lang in LANGUAGES],
        "image-text": [("image", lang) for lang in LANGUAGES],
        "image-pool": [("image", "all")],
    }[kind]


def rank_and_rerank(
    collection: Collection, query_language: str, target: str, score_pair: ScorePair, depth: int
) -> dict[str, tuple[list[str], list[str]]]:
    """Return each query's passages as ranked by vectors, and in the expected order."""
    vectors = draw_vectors(collection)
    rows = [table.take(slice(None)) for table in (vectors.queries, vectors.passages)]
    texts = dict(
        zip(
            collection.passages["id"].to_pylist(),
            collection.passages["text"].to_pylist(),
            strict=True,
        )
    )
    orders = {}
    for row, query in enumerate(collection.queries.to_pylist()):
        if query["lang"] != query_language:
            continue
        score = {
            key: float(rows[0][row] @ rows[1][place])
            for place, key in enumerate(texts)
            if key.partition(":")[0] in (LANGUAGES if target == "all" else (target,))
        }
        first_stage = sorted(score, key=lambda key: (score[key], key), reverse=True)
        best = {}
        for key in first_stage[:depth]:
            image, caption = key.removeprefix("image:"), query["text"]
            if query_language == "image":
                image, caption = query["group"], texts[key]
            best[key] = score_pair(image, caption)
        top = sorted(sorted(best, reverse=True), key=lambda key: -best[key])
        orders[query["id"]] = first_stage, top + first_stage[depth:]
    return orders


def measure_exposure(query: str, order: list[str]) -> float:
    """Return the value of the measure for an order."""
    run = {query: {passage: -float(place) for place, passage in enumerate(order)}}
    key = query.removeprefix("image:q:")
    qrels = {query: {f"{lang}:{key}-0": 1 for lang in LANGUAGES}}
    return float(ir_measures.calc_aggregate([LanguageExposure @ 3], qrels, run).popitem()[1])


def assert_reranked(
    collection: Collection, rerank: Any, score_pair: ScorePair, depth: int, folder: Path
) -> int:
    """Compare all runs and values with expected orders; return how many orders have changed."""
    results = bh.evaluate(
        draw_vectors(collection), collection, rerank=rerank, depth=depth, runs=folder,
        measures=[AP, R @ 1, RankDistance, LanguageExposure @ 3],
    )  # fmt: skip
    assert results.kinds == KINDS
    table = {(row["passages"], row["query"]): row for row in results.per_query().to_pylist()}
    changes = 0
    for kind in KINDS:
        for query_language, target in list_sides(kind):
            orders = rank_and_rerank(collection, query_language, target, score_pair, depth)
            run = read_run(folder / f"{query_language}-{target}.trec")
            assert {query: list(scores) for query, scores in run.items()} == {
                query: reranked[:depth] for query, (_, reranked) in orders.items()
            }
            for query, (first_stage, reranked) in orders.items():
                assert set(first_stage[:depth]) == set(reranked[:depth])  # nothing rises from below
                changes += first_stage != reranked
                key = query.split(":")[-1].partition("-")[0]
                golds = [
                    n for n, p in enumerate(reranked, 1) if p.split(":")[1].split("-")[0] == key
                ]
                row = table[target, query]
                assert row["AP"] == pytest.approx(
                    np.mean([place / rank for place, rank in enumerate(golds, 1)])
                )
                assert row["R@1"] == pytest.approx((golds[0] == 1) / len(golds))
                if kind == "image-pool":
                    assert row["RankDistance"] == golds[-1] - golds[0]
                    assert row["LanguageExposure@3"] == pytest.approx(
                        measure_exposure(query, reranked)
                    )
    return changes


@pytest.mark.parametrize("depth", [3, 30])
def test_blip_reranks_in_the_order_of_transformers(
    collection: Collection, matcher: bh.BlipMatcher, tmp_path: Path, depth: int
) -> None:
    score_pair = score_by_blip(tmp_path / "blip", tmp_path / "images")
    assert assert_reranked(collection, matcher, score_pair, depth, tmp_path / "runs") > 20


def test_lxmert_reranks_in_the_order_of_transformers(
    collection: Collection, tmp_path: Path
) -> None:
    features = write_regions(tmp_path / "regions", [f"p{n}" for n in range(7)])
    model = make_lxmert(tmp_path / "lxmert")
    matcher = bh.LxmertMatcher(model, features, batch_size=5)
    score_pair = score_by_lxmert(model, features)
    assert assert_reranked(collection, matcher, score_pair, 4, tmp_path / "runs") > 20


@pytest.mark.usefixtures("collection")
def test_scores_of_blip_equal_transformers_in_every_batch_size(
    matcher: bh.BlipMatcher, tmp_path: Path
) -> None:
    score_pair = score_by_blip(tmp_path / "blip", tmp_path / "images")
    files = [tmp_path / "images" / f"p{n}.png" for n in range(7)]
    paths = {f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}": file for file in files}
    pairs = [(caption, key) for key in paths for caption in ("w1", "w2 w3 w4 w5", "w9 w8")]
    expected = [score_pair(paths[key].stem, caption) for caption, key in pairs]
    assert max(expected) - min(expected) > 0.5
    assert len({round(score, 3) for score in expected}) == 18  # p6 is p5
    for batch in (1, 4, 100):
        matcher.batch_size = batch
        assert matcher.score_captions(pairs, paths) == pytest.approx(expected, abs=1e-4)
        backwards = matcher.score_captions(pairs[::-1], paths)
        assert backwards[::-1] == pytest.approx(expected, abs=1e-4)


def test_pairs_are_scored_once_by_content(collection: Collection, tmp_path: Path) -> None:
    def count_scored(collection: Collection, model: Path, **options: Any) -> int:
        results = bh.evaluate(
            draw_vectors(collection), collection, measures=[AP], store=tmp_path / "store", depth=21,
            rerank=f"blip:{model}", **options,
        )  # fmt: skip
        return results.timing.reranked_pairs or 0

    model = make_blip(tmp_path / "blip")
    # 21 captions, 7 images of which two are the same.
    assert count_scored(collection, model, settings=["text-image"]) == 21 * 6
    assert count_scored(collection, model) == 0  # the same pairs, asked the other way round
    (tmp_path / "moved").mkdir()
    assert (
        count_scored(make_collection(tmp_path / "moved"), model) == 0
    )  # the same content elsewhere
    assert (
        count_scored(collection, make_blip(tmp_path / "other", seed=4), settings=["image-pool"])
        == 21 * 6
    )


def test_an_image_that_has_changed_is_refused(
    collection: Collection, matcher: bh.BlipMatcher, tmp_path: Path
) -> None:
    file = tmp_path / "images" / "p3.png"
    content = file.read_bytes()

    def evaluate_reranked(store: str) -> float:
        results = bh.evaluate(
            draw_vectors(collection), collection, measures=[AP], rerank=matcher,
            settings="text-image", store=tmp_path / store,
        )  # fmt: skip
        return results.summary()["text-image"][AP].mean

    Image.new("RGB", (12, 12), "magenta").save(file)
    with pytest.raises(BadData, match=r"p3\.png is no longer the image that was loaded"):
        evaluate_reranked("store")
    file.unlink()
    with pytest.raises(BadData, match=r"there is no file .*p3\.png; load"):
        evaluate_reranked("store")
    file.write_bytes(content)
    assert evaluate_reranked("store") == evaluate_reranked(
        "fresh"
    )  # nothing was kept of the other image


def test_features_that_have_changed_are_refused(collection: Collection, tmp_path: Path) -> None:
    files = write_regions(tmp_path / "regions", [f"p{n}" for n in range(7)])
    scorer: Any = open_pair_scorer(
        bh.LxmertMatcher(make_lxmert(tmp_path / "lxmert"), files), collection
    )
    pairs = [f'["w1", "sha256:{hashlib.sha256((files / name).read_bytes()).hexdigest()}"]'
             for name in ("p3.npz", "p4.npz")]  # fmt: skip
    assert scorer.score(pairs).shape == (2,)
    shutil.copy(files / "p4.npz", files / "p3.npz")
    with pytest.raises(BadData, match=r"p3\.npz has changed since the evaluation began; evaluate"):
        scorer.score(pairs)
    assert scorer.score(pairs[1:]).shape == (1,)


def read_request(results: bh.Results) -> Request:
    assert results.timing.request is not None
    return results.timing.request


def test_results_name_the_matcher_and_the_model_that_it_replaces(
    collection: Collection, matcher: bh.BlipMatcher, tmp_path: Path
) -> None:
    results = bh.evaluate(draw_vectors(collection), collection, measures=[AP], rerank=matcher)
    reranker, name = results.provenance.reranker, tmp_path / "blip"
    assert reranker is not None
    assert reranker.name == "BLIP matching head (stand-in for ALBEF) blip"
    assert (reranker.fingerprint["kind"], reranker.depth) == ("blip-matcher", 100)
    assert read_request(results).rerank == f"blip:{name}"
    results_by_name = bh.evaluate(
        draw_vectors(collection), collection, measures=[AP], rerank=f"blip:{name}"
    )
    assert read_request(results_by_name).rerank == f"blip:{name}"
    assert results_by_name.provenance == results.provenance
    assert results.provenance.truncation["pairs"] == 0


def test_a_matcher_on_the_command_line(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    model, folder = make_blip(tmp_path / "blip"), write_squares(tmp_path / "squares")
    data = ["--dataset", "jsonl-image-text", "--option", f"path={folder}"]
    collection, draw = load_squares(folder), np.random.default_rng(2)
    (tmp_path / "vectors").mkdir()
    for name, table in (("queries", collection.queries), ("passages", collection.passages)):
        np.save(tmp_path / "vectors" / f"{name}.npy", draw.normal(size=(48, 4)).astype("f4"))
        lines = "".join(f"{key}\n" for key in table["id"].to_pylist())
        (tmp_path / "vectors" / f"{name}.txt").write_text(lines, "utf-8")
    shared = ["evaluate", "--vectors", tmp_path / "vectors", *data, "--output", tmp_path / "out"]
    refusal = run_cli(*shared, "--rerank", f"blip:{model}", "--settings", "multi")
    assert refusal.code == 2
    line = refusal.err.splitlines()[-1]
    assert "Traceback" not in refusal.err
    assert "multi settings cannot be reranked by BLIP" in line
    result = run_cli(*shared, "--rerank", f"blip:{model}", "--depth", 12)
    assert result.code == 0, result.err
    results = bh.Results.load(tmp_path / "out")
    assert results.kinds == KINDS
    assert results.provenance.reranker is not None
    assert results.provenance.reranker.name.startswith("BLIP matching head (stand-in for ALBEF)")
    score_pair = score_by_blip(model, folder / "png")
    best = 0
    for lang in ("ar", "de", "en"):  # all 12 images are reranked: the best is the matcher's own
        for row in collection.queries.filter(
            pc.equal(collection.queries["lang"], lang)
        ).to_pylist():
            scores = {f"s{n:02}": score_pair(f"s{n:02}", row["text"]) for n in range(12)}
            best += max(scores, key=lambda key: scores[key]) == row["group"]
    assert results.summary()["text-image"][R @ 1].mean == pytest.approx(best / 36)


def test_truncated_captions_are_counted(collection: Collection, matcher: bh.BlipMatcher) -> None:
    # A caption has a token a word, one before it and one after.
    scorer: Any = open_pair_scorer(matcher, collection)
    captions = ["w1", " ".join(["w2"] * 10), " ".join(["w2"] * 11), LONG]
    pairs = [f'["{caption}", "{collection.passages["text"][-1]}"]' for caption in captions]
    assert scorer.find_truncated(pairs) == [2, 3]
    other_pairs = [pairs[3].replace(" w38 w39", ""), pairs[3].replace("w9 ", "w8 ")]
    long_score, same_score, other_score = scorer.score([pairs[3], *other_pairs]).tolist()
    assert long_score == pytest.approx(same_score, abs=1e-5)
    assert long_score != pytest.approx(other_score, abs=1e-3)


def test_settings_that_a_reranker_cannot_read_are_refused(
    collection: Collection, matcher: bh.BlipMatcher, tmp_path: Path
) -> None:
    words = bh.from_beir({"en:1": {"text": "w1"}}, {"en:q:1": "w1"}, {"en:q:1": {"en:1": 1}})
    with pytest.raises(BadOption, match="compares images with captions, and beir has no images"):
        bh.evaluate(draw_vectors(words), words, rerank=matcher)
    message = r"cross, mixed settings cannot be reranked by BLIP .*: it compares images with captio"
    with pytest.raises(BadOption, match=message):
        bh.evaluate(
            draw_vectors(collection),
            collection,
            rerank=matcher,
            settings=["cross", "text-image", "mixed"],
        )
    from tests.test_rerank import make_cross_encoder

    cross_encoder = make_cross_encoder(tmp_path / "bert")
    with pytest.raises(BadOption, match="text-image settings cannot be reranked by CrossEncoder: "):
        bh.evaluate(
            draw_vectors(collection), collection, rerank=cross_encoder, settings=["text-image"]
        )
    results = bh.evaluate(draw_vectors(collection), collection, rerank=cross_encoder, depth=15)
    assert results.kinds == ("cross", "multi")


def test_models_without_a_matching_head_are_refused(tmp_path: Path) -> None:
    from transformers import BlipModel

    folder = make_blip(tmp_path / "blip")
    BlipModel.from_pretrained(folder).save_pretrained(folder)  # which has no matching head
    with pytest.raises(BadData, match="is no BlipForImageTextRetrieval: it lacks itm_head"):
        bh.BlipMatcher(folder)
    transformer_model(tmp_path / "bert")
    with pytest.raises(BadData, match="BlipForImageTextRetrieval"):
        bh.BlipMatcher(tmp_path / "bert")
    with pytest.raises(BadData, match=f"cannot load the matcher '{tmp_path}/none'"):
        bh.BlipMatcher(tmp_path / "none")


def test_impossible_features_are_refused(collection: Collection, tmp_path: Path) -> None:
    keys = [f"p{n}" for n in range(7)]
    model, features = make_lxmert(tmp_path / "lxmert"), write_regions(tmp_path / "whole", keys)

    def evaluate_with(name: str, **arrays: Any) -> None:
        folder = Path(shutil.copytree(features, tmp_path / name))
        stored = dict(np.load(features / "p2.npz")) | arrays
        np.savez(folder / "p2.npz", **{key: a for key, a in stored.items() if a is not None})
        bh.evaluate(draw_vectors(collection), collection, rerank=bh.LxmertMatcher(model, folder))

    evaluate_with("good")
    with pytest.raises(BadOption, match="there is no folder"):
        bh.LxmertMatcher(model, tmp_path / "nothing")
    with pytest.raises(BadData, match=r"p2.npz: features is \(35, 8\), not \(36, 8\)"):
        evaluate_with("few", features=np.zeros((35, 8), np.float32))
    with pytest.raises(BadData, match=r"p2.npz: boxes is \(36, 5\), not \(36, 4\)"):
        evaluate_with("wide", boxes=np.zeros((36, 5)))
    with pytest.raises(BadData, match=r"p2.npz: features holds other things than finite numbers"):
        evaluate_with("nan", features=np.full((36, 8), np.nan))
    with pytest.raises(BadData, match=r"p2.npz: boxes reach from 0 to 640; they have to be shares"):
        evaluate_with("pixels", boxes=np.tile([0.0, 0.0, 640.0, 480.0], (36, 1)))
    with pytest.raises(BadData, match=r"p2.npz is no file of region features: .*boxes"):
        evaluate_with("half", boxes=None)
    with pytest.raises(BadData, match=r"p2.npz is no file of region features: .*allow_pickle"):
        evaluate_with("object", features=np.array([{"a": 1}] * 36, dtype=object))
    (features / "p2.npz").write_bytes(pickle.dumps(np.zeros((36, 8))))
    with pytest.raises(BadData, match=r"p2.npz is no file of region features"):
        bh.evaluate(draw_vectors(collection), collection, rerank=bh.LxmertMatcher(model, features))
    (features / "p4.npz").unlink()
    with pytest.raises(BadData, match=r"whole lacks p4.npz, the region features of 'p4'"):
        bh.evaluate(draw_vectors(collection), collection, rerank=bh.LxmertMatcher(model, features))
