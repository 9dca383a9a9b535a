"""Variants of an ablation: suffixes, their trainings and their evaluations."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ir_measures import AP, R
from sentence_transformers import SentenceTransformer

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption
from beir_hybrid.extras.ablation import ablate
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.training.variants import SUFFIXES, parse_variant
from tests.models import static_model, tiny_clip
from tests.small_collections import make_word_collection
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture
from tests.test_image_training import (  # noqa: F401
    LANGS,
    SMALL,
    clip_folder,
    flag_collection,
    flag_pairs,
    measure_hits,
    write_flags,
)
from tests.training_run import make_groups

pytest.importorskip("peft", reason="adapters need it: the extra 'train'")


def load_model(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


def find_changed_parts(before: Path, after: Path) -> set[str]:
    """Return the towers, or the layers of the text tower, with weights that differ."""
    weights_before, weights_after = (load_model(folder).state_dict() for folder in (before, after))
    names = [
        name
        for name in weights_before
        if not torch.equal(weights_before[name], weights_after[name])
    ]
    return {
        "vision" if "vision" in name else f"text {name.split('layers.')[1][0]}"
        for name in names if "vision" in name or "layers." in name
    }  # fmt: skip


def read_recipe(run: Path) -> Any:
    return json.loads((run / "training.json").read_text())["recipe"]


def test_parse_variant_by_hand() -> None:
    plain = parse_variant("hybrid-image:alpha=0.4")
    assert (plain.strategy, plain.options) == (bh.parse_strategy("hybrid-image:alpha=0.4"), {})
    variant = parse_variant("x-image+layers=0,1+frozen")
    assert variant.options == {"tuning": {"lora": {"layers": [0, 1]}, "freeze": "vision"}}
    # The rest of what all rows have stays.
    common = {"tuning": {"lora": {"r": 4, "layers": "all"}}, "seed": 8}
    assert variant.merge_options(common) == {
        "tuning": {"lora": {"r": 4, "layers": [0, 1]}, "freeze": "vision"}, "seed": 8,
    }  # fmt: skip
    assert variant.merge_options({"tuning": {"lora": None}})["tuning"]["lora"] == {"layers": [0, 1]}
    assert common["tuning"] == {"lora": {"r": 4, "layers": "all"}}
    switch = bh.code_switch(0.5, [{"de": "rot", "en": "red"}])
    assert parse_variant("x-y+switch", code_switch=switch).strategy == bh.parse_strategy(
        "x-y", code_switch=switch
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x-image+tips", r"no \+tips; there are \+adapters, \+frozen, \+layers, \+switch, \+tip"),
        ("x-image+", "there is no"),
        ("x-images+tip", "did you mean 'x-image'"),
        ("x-image+adapters+tip", r"\+tip does not go with"),
        ("x-image+tip+tip", r"\+tip does not go with"),
        ("x-image+layers=0+layers=1", r"\+layers does not go with"),
        ("x-image+frozen=text", r"'text'; \+layers alone takes a value"),
        ("x-image+layers", r"\+layers=: layers are numbers"),
        ("x-image+layers=early", r"\+layers=early: layers are numbers"),
        ("x-image+switch", r"\+switch needs --switch and --lexicon"),
    ],
)  # fmt: skip
def test_unknown_suffixes(name: str, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        parse_variant(name)


def test_ablate_with_every_suffix(
    tmp_path: Path,
    clip_folder: Path,  # noqa: F811
    flag_collection: Collection,  # noqa: F811
    flag_pairs: ParallelPairs,  # noqa: F811
) -> None:
    names = ["x-image", "hybrid-image+layers=0", "x-image+frozen", "x-image+adapters",
             "x-image+tip"]  # fmt: skip

    def run() -> Any:
        trials = ablate(
            clip_folder,
            flag_pairs,
            tmp_path,
            strategies=names,
            test=flag_collection,
            max_steps=7,
            seeds=[1],
            measures=["R@1"],
            settings="text-image",
            **SMALL | {"learning_rate": 0.05},
        )
        assert [trial.strategy for trial in trials] == names
        assert {setting.kind for t in trials for setting in t.results.settings} == {"text-image"}
        return {t.strategy: t.results.summary()["text-image"][R @ 1].mean for t in trials}

    values = run()
    runs = tmp_path / "runs"
    # Trained as x-image is, and so not again.
    assert sorted(path.name for path in runs.iterdir() if path.is_dir()) == [
        "hybrid-image+layers=0-1", "x-image+adapters-1", "x-image+frozen-1", "x-image-1",
    ]  # fmt: skip
    folders = {name: runs / f"{name}-1" / "model" for name in names}
    assert find_changed_parts(clip_folder, folders["x-image"]) == {"vision", "text 0", "text 1"}
    assert find_changed_parts(clip_folder, folders["x-image+frozen"]) == {"text 0", "text 1"}
    assert find_changed_parts(clip_folder, folders["hybrid-image+layers=0"]) == {"text 0"}
    for name in names[:3]:
        assert values[name] == pytest.approx(
            measure_hits(load_model(folders[name]), flag_collection), abs=1e-9
        )
    # Seven steps of three languages are 3 + 2 + 2, and each sees its own captions alone.
    adapter_runs = {lang: runs / "x-image+adapters-1" / lang for lang in LANGS}
    records = [json.loads((path / "training.json").read_text()) for path in adapter_runs.values()]
    assert [record["steps"] for record in records] == [3, 2, 2]
    assert [set(record["audit"]["rows"]) for record in records] == [
        {"de-image"}, {"en-image"}, {"fr-image"},
    ]  # fmt: skip
    # Judged as the wrappers are alone.
    encoders: dict[str, Any] = {
        "x-image+adapters": bh.LanguageAdapters(
            clip_folder,
            {lang: path / "adapter" for lang, path in adapter_runs.items()},
            flag_collection,
        ),
        "x-image+tip": bh.TipCache.from_pairs(str(folders["x-image"]), flag_pairs),
    }
    for name, model in encoders.items():
        expected = bh.evaluate(model, flag_collection, measures=["R@1"], settings="text-image")
        assert values[name] == expected.summary()["text-image"][R @ 1].mean
        queries = model.encode_queries(["red over blue"])
        plain = bh.SentenceTransformerEncoder(folders["x-image"]).encode_queries(["red over blue"])
        assert not np.allclose(queries, plain)
    modification_times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    assert len([path for path in modification_times if path.name == "training.json"]) == 6
    assert run() == values
    assert {path: path.stat().st_mtime_ns for path in modification_times} == modification_times
    with pytest.raises(BadOption, match=r"max_steps is 2; \+adapters needs 3 at least"):
        ablate(
            clip_folder,
            flag_pairs,
            tmp_path / "few",
            strategies=["x-image+adapters"],
            test=flag_collection,
            max_steps=2,
            seeds=[1],
            **SMALL,
        )


def test_ablate_with_variants(
    tmp_path: Path,
    clip_folder: Path,  # noqa: F811
    flag_collection: Collection,  # noqa: F811
    flag_pairs: ParallelPairs,  # noqa: F811
) -> None:
    class Turned:
        """An encoder that reverses the ranking of images."""

        def __init__(self, model: Any) -> None:
            self.encoder = bh.SentenceTransformerEncoder(model)
            self.encode_queries = self.encode_passages = self.encoder.encode_queries
            self.fingerprint = {"kind": "turned"}

        def encode_images(self, images: Any) -> np.ndarray:
            return -self.encoder.encode_images(images)

    rows = {
        "plain": "x-image",
        "early": bh.Variant("x-image", options={"tuning": {"lora": {"layers": [1]}}}),
        "turned": bh.Variant("x-image", wrap=lambda model, _pairs, _test: Turned(model)),
    }
    common: Any = {"max_steps": 2, "seeds": [1], "measures": ["R@1", "AP"], **SMALL}

    def run(**more: Any) -> Any:
        return ablate(
            clip_folder,
            flag_pairs,
            tmp_path,
            strategies=rows,
            test=flag_collection,
            **common,
            **more,
        )

    plain, early, turned = run(settings=["text-image"])
    assert read_recipe(tmp_path / "runs" / "early-1")["lora"]["layers"] == [1]
    model = tmp_path / "runs" / "plain-1" / "model"
    expected = bh.evaluate(Turned(model), flag_collection, settings="text-image").summary()[
        "text-image"
    ]
    assert turned.results.summary()["text-image"][AP].mean == expected[AP].mean
    assert plain.results.summary()["text-image"][AP].mean != expected[AP].mean
    assert early.strategy == "early"
    # Other settings are evaluated again, but nothing is trained again.
    modification_time = (model.parent / "training.json").stat().st_mtime_ns
    trials = run(settings="text-image, image-text")
    assert {setting.kind for setting in trials[0].results.settings} == {"text-image", "image-text"}
    assert (model.parent / "training.json").stat().st_mtime_ns == modification_time
    invalid_rows = {"mine": bh.Variant("x-image", options={"max_steps": 9})}
    runs = sorted((tmp_path / "runs").iterdir())
    with pytest.raises(BadOption, match="has no mono settings"):
        ablate(
            clip_folder,
            flag_pairs,
            tmp_path,
            strategies=["x-y"],
            test=flag_collection,
            settings="mono",
            **common,
        )
    assert sorted((tmp_path / "runs").iterdir()) == runs  # said before anything is trained
    with pytest.raises(BadOption, match="mine: max_steps is no option of one strategy alone"):
        ablate(
            clip_folder,
            flag_pairs,
            tmp_path,
            strategies=invalid_rows,
            test=flag_collection,
            **common,
        )


def test_suffixes_on_the_command_line(tmp_path: Path, run_cli: RunCli) -> None:  # noqa: F811
    folder = tmp_path / "flags"
    folder.mkdir()
    write_flags(folder, 12)
    lexicon = tmp_path / "words.jsonl"
    lexicon.write_text('{"en": "red", "de": "rot"}\n{"en": "over", "de": "auf"}\n')
    names = ["x-image+tip", "x-image+adapters", "hybrid-image+layers=0", "x-image+frozen",
             "hybrid-image+switch", "hybrid-image"]  # fmt: skip
    words: list[object] = [
        "ablate", tiny_clip(tmp_path / "clip"), "--train", folder, "--test", folder,
        *(word for name in names for word in ("--strategy", name)), "--seed", 1, "--max-steps", 3,
        "--settings", "text-image", "--per-device-train-batch-size", 4, "--use-cpu", "true",
        "--report-to", "none", "--disable-tqdm", "true", "--output", tmp_path / "out",
        "--switch", 0.5, "--lexicon", lexicon,
    ]  # fmt: skip
    outcome = run_cli(*words)
    assert outcome.code == 0, outcome.err
    header, *rows = outcome.out.splitlines()[-8:-1]
    assert header.split()[2:] == ["text-image", "AP", "text-image", "R@1", "disparity"]
    assert [row.split()[1] for row in rows] == names
    runs = {item.name: item for item in (tmp_path / "out" / "runs").iterdir() if item.is_dir()}
    switched = {
        name for name in runs
        if "adapters" not in name and read_recipe(runs[name])["strategy"]["code_switch"] is not None
    }  # fmt: skip
    assert switched == {"hybrid-image+switch-1"}
    # What is printed is what is saved.
    shares = {}
    for name, row in zip(names, rows, strict=True):
        results_folder = tmp_path / "out" / "results" / "flags" / f"{name}-1"
        summary = bh.Results.load(results_folder).summary()["text-image"]
        shares[name] = [f"{summary[item].mean:.4f}" for item in (AP, R @ 1)]
        assert row.split()[2:4] == shares[name]
        disparity = summary[bh.LanguageDisparity].mean
        assert row.split()[4] == f"{disparity:.4f}" or row.split()[4] == f"{disparity:.1f}"
    for extra_options, message in (
        (["--strategy", "x-image+tips"], "there are +adapters, +frozen, +layers, +switch, +tip"),
        (["--strategy", "x-image+layers=0+tip+adapters"], "+adapters does not go with"),
    ):
        outcome = run_cli(*words, *extra_options)
        assert (outcome.code, message in outcome.err) == (2, True), outcome.err
        assert len(outcome.err.splitlines()) == 1
    outcome = run_cli("ablate", "--help")
    assert all(f"+{item}" in outcome.out for item in SUFFIXES)


def test_a_model_that_is_trained_anew_is_evaluated_anew(tmp_path: Path) -> None:
    """As when the folder of a training is removed, for its options have changed."""
    static_model().save(str(tmp_path / "start"))
    collection, pairs = make_word_collection(), bh.pairs_from_groups(make_groups(42))
    output = tmp_path / "ablation"
    values = []
    for steps in (1, 30, 30):
        (trial,) = ablate(
            tmp_path / "start", pairs, output, strategies=["x-y"], test=collection, seeds=[1],
            measures=[AP], max_steps=steps, **SMALL,
        )  # fmt: skip
        values.append(trial.results.means(AP))
        expected = bh.evaluate(output / "runs" / "x-y-1" / "model", collection, measures=[AP])
        assert values[-1] == expected.means(AP)
        if steps == 1:
            shutil.rmtree(output / "runs")
    assert values[0] != values[1] == values[2]
