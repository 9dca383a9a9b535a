"""Matchers give transformers' own scores, and put pictures and captions in just their order."""
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
from beir_hybrid.measures.language_exposure import LanguageExposure
from beir_hybrid.measures.rank_distance import RankDistance
from beir_hybrid.results.request import Request
from beir_hybrid.retrieval.runs import read_run
from tests.image_boards import load_squares, write_squares
from tests.matchers import LANGS, blip, lxmert, pictures, regions, vectors
from tests.models import transformer_model
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture

KINDS = ("text-image", "image-text", "image-pool")
LONG = " ".join(f"w{n}" for n in range(40))
Judge = Callable[[str, str], float]  # of a picture's key and a caption


@pytest.fixture
def on(tmp_path: Path) -> Collection:
    (tmp_path / "pictures").mkdir()
    return pictures(tmp_path / "pictures")


@pytest.fixture
def matcher(tmp_path: Path) -> bh.BlipMatcher:
    return bh.BlipMatcher(blip(tmp_path / "blip"))


def by_blip(folder: Path, files: Path) -> Judge:
    """Score a pair alone, as the documentation of transformers has it."""
    from transformers import BlipForImageTextRetrieval, BlipProcessor

    model: Any = BlipForImageTextRetrieval.from_pretrained(folder)
    processor: Any = BlipProcessor.from_pretrained(folder)

    @cache
    def judge(key: str, caption: str) -> float:
        with Image.open(files / f"{key}.png") as picture, torch.no_grad():
            cut = {"truncation": True, "max_length": 12}
            seen = picture.convert("RGB")
            inputs = processor(images=seen, text=caption, return_tensors="pt", **cut)
            share = model(**inputs, use_itm_head=True).itm_score.double().softmax(1)[0, 1]
        return float(torch.logit(share))

    return judge


def by_lxmert(folder: Path, files: Path) -> Judge:
    from transformers import AutoTokenizer, LxmertForPreTraining

    model: Any = LxmertForPreTraining.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    @cache
    def judge(key: str, caption: str) -> float:
        stored = np.load(files / f"{key}.npz")
        features, boxes = (
            torch.tensor(stored[name], dtype=torch.float32)[None] for name in ("features", "boxes")
        )
        with torch.no_grad():
            tokens = tokenizer(caption, return_tensors="pt")
            found = model.eval()(**tokens, visual_feats=features, visual_pos=boxes)
        share = found.cross_relationship_score.double().softmax(1)[0, 1]
        return float(torch.logit(share))

    return judge


def ids_of(kind: str) -> list[tuple[str, str]]:
    """Return the languages of queries and passages of each setting of a kind."""
    return {
        "text-image": [(lang, "image") for lang in LANGS],
        "image-text": [("image", lang) for lang in LANGS],
        "image-pool": [("image", "all")],
    }[kind]


def orders(
    on: Collection, asked: str, found: str, judge: Judge, depth: int
) -> dict[str, tuple[list[str], list[str]]]:
    """Return each query's passages as the vectors rank them, and as reranking has to."""
    given = vectors(on)
    rows = [table.take(slice(None)) for table in (given.queries, given.passages)]
    texts = dict(zip(on.passages["id"].to_pylist(), on.passages["text"].to_pylist(), strict=True))
    ranked = {}
    for at, query in enumerate(on.queries.to_pylist()):
        if query["lang"] != asked:
            continue
        score = {
            key: float(rows[0][at] @ rows[1][place])
            for place, key in enumerate(texts)
            if key.partition(":")[0] in (LANGS if found == "all" else (found,))
        }
        before = sorted(score, key=lambda key: (score[key], key), reverse=True)
        best = {}
        for key in before[:depth]:
            picture, caption = key.removeprefix("image:"), query["text"]
            if asked == "image":
                picture, caption = query["group"], texts[key]
            best[key] = judge(picture, caption)
        top = sorted(sorted(best, reverse=True), key=lambda key: -best[key])
        ranked[query["id"]] = before, top + before[depth:]
    return ranked


def exposure(query: str, order: list[str]) -> float:
    """Return what the measure itself makes of an order, by way of a run."""
    run = {query: {passage: -float(place) for place, passage in enumerate(order)}}
    key = query.removeprefix("image:q:")
    qrels = {query: {f"{lang}:{key}-0": 1 for lang in LANGS}}
    return float(ir_measures.calc_aggregate([LanguageExposure @ 3], qrels, run).popitem()[1])


def check_runs(on: Collection, rerank: Any, judge: Judge, depth: int, folder: Path) -> int:
    """Compare all runs and their measures with orders made by hand; count what has moved."""
    results = bh.evaluate(
        vectors(on), on, rerank=rerank, depth=depth, runs=folder,
        measures=[AP, R @ 1, RankDistance, LanguageExposure @ 3],
    )  # fmt: skip
    assert results.kinds == KINDS
    table = {(row["passages"], row["query"]): row for row in results.per_query().to_pylist()}
    moved = 0
    for kind in KINDS:
        for asked, found in ids_of(kind):
            ranked = orders(on, asked, found, judge, depth)
            run = read_run(folder / f"{asked}-{found}.trec")
            assert {query: list(scores) for query, scores in run.items()} == {
                query: after[:depth] for query, (_, after) in ranked.items()
            }
            for query, (before, after) in ranked.items():
                assert set(before[:depth]) == set(after[:depth])  # nothing rises from below
                moved += before != after
                key = query.split(":")[-1].partition("-")[0]
                golds = [n for n, p in enumerate(after, 1) if p.split(":")[1].split("-")[0] == key]
                row = table[found, query]
                assert row["AP"] == pytest.approx(
                    np.mean([place / rank for place, rank in enumerate(golds, 1)])
                )
                assert row["R@1"] == pytest.approx((golds[0] == 1) / len(golds))
                if kind == "image-pool":
                    assert row["RankDistance"] == golds[-1] - golds[0]
                    assert row["LanguageExposure@3"] == pytest.approx(exposure(query, after))
    return moved


@pytest.mark.parametrize("depth", [3, 30])
def test_blip_reranks(on: Collection, matcher: bh.BlipMatcher, tmp_path: Path, depth: int) -> None:
    judge = by_blip(tmp_path / "blip", tmp_path / "pictures")
    assert check_runs(on, matcher, judge, depth, tmp_path / "runs") > 20


def test_lxmert_reranks(on: Collection, tmp_path: Path) -> None:
    features = regions(tmp_path / "regions", [f"p{n}" for n in range(7)])
    model = lxmert(tmp_path / "lxmert")
    matcher = bh.LxmertMatcher(model, features, batch_size=5)
    judge = by_lxmert(model, features)
    assert check_runs(on, matcher, judge, 4, tmp_path / "runs") > 20


@pytest.mark.usefixtures("on")
def test_scores_are_transformers_own(matcher: bh.BlipMatcher, tmp_path: Path) -> None:
    judge = by_blip(tmp_path / "blip", tmp_path / "pictures")
    files = [tmp_path / "pictures" / f"p{n}.png" for n in range(7)]
    paths = {f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}": file for file in files}
    pairs = [(caption, key) for key in paths for caption in ("w1", "w2 w3 w4 w5", "w9 w8")]
    wanted = [judge(paths[key].stem, caption) for caption, key in pairs]
    assert max(wanted) - min(wanted) > 0.5
    assert len({round(score, 3) for score in wanted}) == 18  # p6 is p5
    for batch in (1, 4, 100):
        matcher.batch_size = batch
        assert matcher.score_captions(pairs, paths) == pytest.approx(wanted, abs=1e-4)
        backwards = matcher.score_captions(pairs[::-1], paths)
        assert backwards[::-1] == pytest.approx(wanted, abs=1e-4)


def test_pairs_are_scored_once_by_content(on: Collection, tmp_path: Path) -> None:
    def scored(on: Collection, model: Path, **options: Any) -> int:
        found = bh.evaluate(
            vectors(on), on, measures=[AP], store=tmp_path / "store", depth=21,
            rerank=f"blip:{model}", **options,
        )  # fmt: skip
        return found.timing.reranked_pairs or 0

    model = blip(tmp_path / "blip")
    # 21 captions, 7 pictures of which two are the same.
    assert scored(on, model, settings=["text-image"]) == 21 * 6
    assert scored(on, model) == 0  # the same pairs, asked the other way round
    (tmp_path / "moved").mkdir()
    assert scored(pictures(tmp_path / "moved"), model) == 0  # the same content elsewhere
    assert scored(on, blip(tmp_path / "other", seed=4), settings=["image-pool"]) == 21 * 6


def test_a_picture_that_has_changed_is_not_scored(
    on: Collection, matcher: bh.BlipMatcher, tmp_path: Path
) -> None:
    changed = tmp_path / "pictures" / "p3.png"
    loaded = changed.read_bytes()

    def rerank(store: str) -> float:
        found = bh.evaluate(
            vectors(on), on, measures=[AP], rerank=matcher, settings="text-image",
            store=tmp_path / store,
        )  # fmt: skip
        return found.summary()["text-image"][AP].mean

    Image.new("RGB", (12, 12), "magenta").save(changed)
    with pytest.raises(BadData, match=r"p3\.png is no longer the image that was loaded"):
        rerank("store")
    changed.unlink()
    with pytest.raises(BadData, match=r"p3\.png cannot be read \(No such file"):
        rerank("store")
    changed.write_bytes(loaded)
    assert rerank("store") == rerank("fresh")  # nothing was kept of the other picture


def test_features_that_change_meanwhile_are_not_scored(on: Collection, tmp_path: Path) -> None:
    files = regions(tmp_path / "regions", [f"p{n}" for n in range(7)])
    scores: Any = open_pair_scorer(bh.LxmertMatcher(lxmert(tmp_path / "lxmert"), files), on)
    pairs = [f'["w1", "sha256:{hashlib.sha256((files / name).read_bytes()).hexdigest()}"]'
             for name in ("p3.npz", "p4.npz")]  # fmt: skip
    assert scores.score(pairs).shape == (2,)
    shutil.copy(files / "p4.npz", files / "p3.npz")
    with pytest.raises(BadData, match=r"p3\.npz has changed since the evaluation began; evaluate"):
        scores.score(pairs)
    assert scores.score(pairs[1:]).shape == (1,)


def request_of(results: bh.Results) -> Request:
    assert results.timing.request is not None
    return results.timing.request


def test_results_say_what_it_stands_in_for(
    on: Collection, matcher: bh.BlipMatcher, tmp_path: Path
) -> None:
    found = bh.evaluate(vectors(on), on, measures=[AP], rerank=matcher)
    reranker, name = found.provenance.reranker, tmp_path / "blip"
    assert reranker is not None
    assert reranker.name == f"BLIP matching head (stand-in for ALBEF) {name}"
    assert (reranker.fingerprint["kind"], reranker.depth) == ("blip-matcher", 100)
    assert request_of(found).rerank == f"blip:{name}"
    named = bh.evaluate(vectors(on), on, measures=[AP], rerank=f"blip:{name}")
    assert request_of(named).rerank == f"blip:{name}"
    assert named.provenance == found.provenance
    assert found.provenance.truncation["pairs"] == 0


def test_the_command_line_takes_a_matcher(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    model, folder = blip(tmp_path / "blip"), write_squares(tmp_path / "squares")
    data = ["--dataset", "jsonl-image-text", "--option", f"path={folder}"]
    on, draw = load_squares(folder), np.random.default_rng(2)
    (tmp_path / "vectors").mkdir()
    for name, table in (("queries", on.queries), ("passages", on.passages)):
        np.save(tmp_path / "vectors" / f"{name}.npy", draw.normal(size=(48, 4)).astype("f4"))
        lines = "".join(f"{key}\n" for key in table["id"].to_pylist())
        (tmp_path / "vectors" / f"{name}.txt").write_text(lines, "utf-8")
    shared = ["evaluate", "--embeddings", tmp_path / "vectors", *data, "--output", tmp_path / "out"]
    refused = run_cli(*shared, "--rerank", f"blip:{model}", "--settings", "multi")
    assert refused.code == 2
    line = refused.err.splitlines()[-1]
    assert "Traceback" not in refused.err
    assert "multi settings cannot be reranked by BLIP" in line
    done = run_cli(*shared, "--rerank", f"blip:{model}", "--depth", 12)
    assert done.code == 0, done.err
    found = bh.Results.load(tmp_path / "out")
    assert found.kinds == KINDS
    assert found.provenance.reranker is not None
    assert found.provenance.reranker.name.startswith("BLIP matching head (stand-in for ALBEF)")
    judge = by_blip(model, folder / "png")
    best = 0
    for lang in ("ar", "de", "en"):  # all 12 pictures are reranked: the best is the matcher's own
        for row in on.queries.filter(pc.equal(on.queries["lang"], lang)).to_pylist():
            scores = {f"s{n:02}": judge(f"s{n:02}", row["text"]) for n in range(12)}
            best += max(scores, key=lambda key: scores[key]) == row["group"]
    assert found.summary()["text-image"][R @ 1].mean == pytest.approx(best / 36)


def test_captions_that_are_cut_are_counted(on: Collection, matcher: bh.BlipMatcher) -> None:
    # A caption has a token a word, one before it and one after.
    scores = open_pair_scorer(matcher, on)
    captions = ["w1", " ".join(["w2"] * 10), " ".join(["w2"] * 11), LONG]
    pairs = [f'["{caption}", "{on.passages["text"][-1]}"]' for caption in captions]
    find: Any = scores
    assert find.find_truncated(pairs) == [2, 3]
    kept = [pairs[3].replace(" w38 w39", ""), pairs[3].replace("w9 ", "w8 ")]
    cut, same, other = scores.score([pairs[3], *kept]).tolist()
    assert cut == pytest.approx(same, abs=1e-5)
    assert cut != pytest.approx(other, abs=1e-3)


def test_what_each_can_read(on: Collection, matcher: bh.BlipMatcher, tmp_path: Path) -> None:
    words = bh.from_beir({"en:1": {"text": "w1"}}, {"en:q:1": "w1"}, {"en:q:1": {"en:1": 1}})
    with pytest.raises(BadOption, match="compares images with captions, and beir has no images"):
        bh.evaluate(vectors(words), words, rerank=matcher)
    unfit = r"cross, mixed settings cannot be reranked by BLIP .*: it compares images with captio"
    with pytest.raises(BadOption, match=unfit):
        bh.evaluate(vectors(on), on, rerank=matcher, settings=["cross", "text-image", "mixed"])
    from tests.test_rerank import cross_encoder

    texts = cross_encoder(tmp_path / "bert")
    with pytest.raises(BadOption, match="text-image settings cannot be reranked by CrossEncoder: "):
        bh.evaluate(vectors(on), on, rerank=texts, settings=["text-image"])
    plain = bh.evaluate(vectors(on), on, rerank=texts, depth=15)
    assert plain.kinds == ("cross", "multi")


def test_models_that_do_not_match(tmp_path: Path) -> None:
    from transformers import BlipModel

    folder = blip(tmp_path / "blip")
    BlipModel.from_pretrained(folder).save_pretrained(folder)  # which has no matching head
    with pytest.raises(BadData, match="is no BlipForImageTextRetrieval: it lacks itm_head"):
        bh.BlipMatcher(folder)
    transformer_model(tmp_path / "bert")
    with pytest.raises(BadData, match="BlipForImageTextRetrieval"):
        bh.BlipMatcher(tmp_path / "bert")
    with pytest.raises(BadData, match=f"cannot load the matcher '{tmp_path}/none'"):
        bh.BlipMatcher(tmp_path / "none")


def test_features_that_cannot_be(on: Collection, tmp_path: Path) -> None:
    keys = [f"p{n}" for n in range(7)]
    model, whole = lxmert(tmp_path / "lxmert"), regions(tmp_path / "whole", keys)

    def rerank(name: str, **arrays: Any) -> None:
        folder = Path(shutil.copytree(whole, tmp_path / name))
        stored = dict(np.load(whole / "p2.npz")) | arrays
        np.savez(folder / "p2.npz", **{key: a for key, a in stored.items() if a is not None})
        bh.evaluate(vectors(on), on, rerank=bh.LxmertMatcher(model, folder))

    rerank("good")
    with pytest.raises(BadOption, match="there is no folder"):
        bh.LxmertMatcher(model, tmp_path / "nothing")
    with pytest.raises(BadData, match=r"p2.npz: features is \(35, 8\), not \(36, 8\)"):
        rerank("few", features=np.zeros((35, 8), np.float32))
    with pytest.raises(BadData, match=r"p2.npz: boxes is \(36, 5\), not \(36, 4\)"):
        rerank("wide", boxes=np.zeros((36, 5)))
    with pytest.raises(BadData, match=r"p2.npz: features holds other things than finite numbers"):
        rerank("nan", features=np.full((36, 8), np.nan))
    with pytest.raises(BadData, match=r"p2.npz: boxes reach from 0 to 640; they have to be shares"):
        rerank("pixels", boxes=np.tile([0.0, 0.0, 640.0, 480.0], (36, 1)))
    with pytest.raises(BadData, match=r"p2.npz is no file of region features: .*boxes"):
        rerank("half", boxes=None)
    with pytest.raises(BadData, match=r"p2.npz is no file of region features: .*allow_pickle"):
        rerank("object", features=np.array([{"a": 1}] * 36, dtype=object))
    (whole / "p2.npz").write_bytes(pickle.dumps(np.zeros((36, 8))))
    with pytest.raises(BadData, match=r"p2.npz is no file of region features"):
        bh.evaluate(vectors(on), on, rerank=bh.LxmertMatcher(model, whole))
    (whole / "p4.npz").unlink()
    with pytest.raises(BadData, match=r"whole lacks p4.npz, the region features of 'p4'"):
        bh.evaluate(vectors(on), on, rerank=bh.LxmertMatcher(model, whole))
