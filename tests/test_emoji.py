"""A small model trained on real images is evaluated in every view by the command line."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import beir_hybrid as bh
from tests.models import tiny_clip
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
IMAGES, TRAINED = 1294, 64


@pytest.mark.usefixtures("mirror")
def test_every_view_of_real_images(tmp_path: Path, run_cli: RunCli) -> None:  # noqa: F811
    folder = Path(os.environ["BEIR_HYBRID_MIRROR"]).parent / "emoji"
    if not folder.is_dir():
        pytest.skip("needs the folder emoji beside that of BEIR_HYBRID_MIRROR")
    pairs = bh.pairs_from_collection(bh.load("jsonl-image-text", path=folder))
    training_pairs = pairs.subset(range(0, 20 * TRAINED, 20))
    bh.train(
        tiny_clip(tmp_path / "start"), training_pairs, tmp_path / "run",
        strategy=replace(bh.parse_strategy("x-image"), languages=("en",)), loss={"symmetric": True},
        max_steps=40, per_device_train_batch_size=32, learning_rate=0.001, use_cpu=True,
        disable_tqdm=True, report_to=[],
    )  # fmt: skip
    done = run_cli(
        "evaluate", tmp_path / "run" / "model", "--dataset", "jsonl-image-text",
        "-o", f"path={folder}", "--measures", "R@10", "--output", tmp_path / "results",
    )  # fmt: skip
    assert done.code == 0, done.err
    results = bh.Results.load(tmp_path / "results")
    # An image has one name in each language, so there is no monolingual setting.
    assert set(results.kinds) == {
        "cross", "multi", "text-image", "image-text", "image-pool", "mixed",
    }  # fmt: skip
    text_image = [row for row in results.table.to_pylist() if row["kind"] == "text-image"]
    assert len(text_image) == 11 * IMAGES  # a name in each of eleven languages
    recall = {row["question"]: row["R@10"] for row in text_image if row["queries"] == "en"}
    ids = {key.partition("#")[0] for key in training_pairs.data.table["id"].to_pylist()}
    assert len(recall) == IMAGES
    assert len(ids & recall.keys()) == TRAINED
    # A random ranking has 10 of all images: .0077, which is half an image of 64.
    mean = np.mean([recall[key] for key in ids])
    assert mean > 10 * 10 / IMAGES, mean
