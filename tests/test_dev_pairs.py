"""Pairs as a development set: their loss chooses the checkpoint, and ends a training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.training.train import train
from tests.image_files import load, write_images_folder
from tests.models import static_model
from tests.test_train import SMALL, flatten_weights
from tests.training_run import make_groups

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
STEPS: dict[str, Any] = SMALL | {
    "eval_strategy": "steps", "eval_steps": 2, "save_total_limit": 40, "seed": 5, "strategy": "x-y",
}  # fmt: skip


def compute_loss(model: Any, pairs: bh.ParallelPairs, temperature: float) -> float:
    """Return the mean over the batches of four that the strategy draws, by the formula."""
    losses = []
    for batch in bh.HybridBatchSampler(pairs, 4, strategy="x-y", seed=5):
        rows = pairs.__getitems__(batch)
        queries, passages = (
            model.encode([row[name] for row in rows], normalize_embeddings=True)
            for name in ("anchor", "positive")
        )
        scores = np.exp(queries @ passages.T / temperature)  # no two rows share a passage
        losses.append(-np.log(np.diag(scores) / scores.sum(axis=1)).mean())
    assert len(losses) == 3
    return float(np.mean(losses))


def test_the_best_checkpoint_is_that_of_the_lowest_loss(tmp_path: Path) -> None:
    all_pairs = bh.pairs_from_groups(make_groups(42))
    pairs, dev = all_pairs.subset(range(30)), all_pairs.subset(range(30, 42))
    # A rate that is too high: it gets worse.
    options = STEPS | {"max_steps": 12, "learning_rate": 3.0, "loss": {"temperature": 0.1}}
    trained = train(static_model(), pairs, tmp_path, dev=dev, **options)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["recipe"]["dev"]["sha256"] == dev.digest()
    last = tmp_path / "checkpoints" / "checkpoint-12" / "trainer_state.json"
    losses = {
        entry["step"]: entry["eval_loss"]
        for entry in json.loads(last.read_text())["log_history"]
        if "eval_loss" in entry
    }
    assert list(losses) == [2, 4, 6, 8, 10, 12]
    for step, value in losses.items():
        model = bh.SentenceTransformerEncoder(tmp_path / "checkpoints" / f"checkpoint-{step}").model
        assert compute_loss(model, dev, 0.1) == pytest.approx(value, rel=1e-4)
    best = min(losses, key=lambda step: losses[step])
    assert best != 12, losses
    assert record["best"] == {"metric": "eval_loss", "value": losses[best], "step": best}
    assert compute_loss(trained, dev, 0.1) == pytest.approx(losses[best], rel=1e-4)
    with pytest.raises(BadOption, match="another dev"):
        train(static_model(), pairs, tmp_path, dev=all_pairs.subset(range(31, 42)), **options)


def test_patience_and_the_options_of_the_loss(tmp_path: Path) -> None:
    all_pairs = bh.pairs_from_groups(make_groups(42))
    loss = {"consistency": 0.5, "symmetric": True}
    options = STEPS | {"max_steps": 40, "learning_rate": 0.0}  # nothing is better than the first
    start = static_model()
    before = flatten_weights(start)
    dev = bh.DevSet(all_pairs.subset(range(30, 42)), patience=2)
    pairs = all_pairs.subset(range(30))
    trained = train(start, pairs, tmp_path, dev=dev, loss=loss, **options)
    assert json.loads((tmp_path / "training.json").read_text())["steps"] == 6
    assert torch.equal(torch.tensor(flatten_weights(trained)), torch.tensor(before))


def test_pairs_that_are_no_development_set(tmp_path: Path) -> None:
    pairs = bh.pairs_from_groups(make_groups(42))
    with pytest.raises(BadOption, match="primary is 'multi_AP'; pairs as a development set have"):
        bh.DevSet(pairs, primary="multi_AP")
    german = bh.pairs_from_groups(make_groups(42), languages=["de"])
    with pytest.raises(BadData, match="x-y makes cross-rows batches, and no group has languages"):
        train(static_model(), pairs, tmp_path, dev=german, strategy="x-y", max_steps=1, **SMALL)
    assert not list((tmp_path / "checkpoints").iterdir())  # no step was taken
    with pytest.raises(BadOption, match="'de' is none"):
        train(static_model(), {"de": german}, tmp_path, max_steps=1, **SMALL)  # type: ignore[arg-type] # on purpose


def test_a_development_set_of_training_data_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = bh.pairs_from_groups(make_groups(30))
    options = STEPS | {"max_steps": 2}
    train(static_model(), pairs, tmp_path / "own", dev=pairs.subset(range(20, 30)), **options)
    distinct = {text for group in make_groups(30)[20:] for text in group["query"].values()}
    line = f"{len(distinct)} of {len(distinct)} distinct queries of the development set are among"
    assert line in caplog.text
    caplog.clear()
    parts = pairs.subset(range(20)), pairs.subset(range(20, 30))
    train(static_model(), parts[0], tmp_path / "apart", dev=parts[1], **options)
    assert "development set" not in caplog.text


def make_numbered_groups(numbers: range) -> list[dict[str, Any]]:
    return [
        {"query": {"de": f"d{n}", "en": f"q{n}"}, "positive": {"de": f"a{n}", "en": f"p{n}"}}
        for n in numbers
    ]


def test_each_shared_query_of_a_large_training_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The training has 40,000 distinct queries, more than the hashes that a record keeps."""
    pairs = bh.pairs_from_groups(make_numbered_groups(range(20_000)))
    parts = {
        # 500 groups in two languages, of which 100 are trained on; 4 groups that all are.
        range(19_900, 20_400): "200 of 1,000",
        **{range(start, start + 4): "8 of 8" for start in range(0, 20_000, 4_000)},
    }
    for numbers, counts in parts.items():
        caplog.clear()
        bh.DevSet(bh.pairs_from_groups(make_numbered_groups(numbers))).warn_of_shared_queries(pairs)
        (message,) = caplog.messages
        assert message.startswith(f"{counts} distinct queries of the development set are among")
    caplog.clear()
    others = bh.pairs_from_groups(make_numbered_groups(range(20_000, 20_400)))
    bh.DevSet(others).warn_of_shared_queries(pairs)
    assert caplog.messages == []


def test_shared_queries_of_a_collection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each text counts once, in whichever language it is; images are no texts."""
    rows: list[dict[str, Any]] = [
        {"id": "1", "image": "1.png", "captions": {"de": ["rot", "blau"], "en": ["red", "rot"]}},
        {"id": "2", "image": "2.png", "captions": {"de": "rot", "en": "red dot"}},
    ]
    collection = load(write_images_folder(tmp_path / "images", rows))
    assert collection.query_counts == {"de": 3, "en": 3, "image": 2}
    groups: list[dict[str, Any]] = [
        {"query": {"en": "blau"}, "positive": {"en": "1", "de": "2"}},
        {"query": {"de": "rot"}, "positive": {"en": "3", "de": "4"}},
        {"query": {"de": "rot", "en": "RED"}, "positive": {"en": "5", "de": "6"}},
    ]
    bh.DevSet(collection).warn_of_shared_queries(bh.pairs_from_groups(groups))
    # Of rot, blau, red and red dot.
    assert "2 of 4 distinct queries of the development set" in caplog.text
