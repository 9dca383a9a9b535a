"""Resuming a killed training gives the result of an uninterrupted one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import beir_hybrid as bh
from beir_hybrid.training.train import train
from tests.models import static_model
from tests.test_train import SMALL, flatten_weights, make_collection, save_model
from tests.training_run import make_groups

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
# Too high a rate: it gets worse, so that patience is spent before the steps are.
DIVERGING: dict[str, Any] = SMALL | {
    "learning_rate": 3.0, "max_steps": 40, "eval_strategy": "steps", "eval_steps": 2,
    "save_total_limit": 40, "seed": 5,
}  # fmt: skip


def train_and_read(folder: Path, **options: Any) -> dict[str, Any]:
    """Train, and return everything that must not depend on a kill."""
    model = train(static_model(), bh.pairs_from_groups(make_groups(42)), folder, **options)
    record = json.loads((folder / "training.json").read_text())
    batches = (folder / "batches.jsonl").read_text()
    card = (folder / "model" / "README.md").read_text("utf-8").partition("## Hybrid batch")[2]
    return {name: record[name] for name in ("steps", "epochs", "best", "audit")} | {
        "drawn": batches, "card": card, "weights": flatten_weights(model).tolist(),
    }  # fmt: skip


def simulate_kill(folder: Path, *, after: int) -> None:
    """Leave what a training leaves that is killed right after a checkpoint, or after the last."""
    shutil.rmtree(folder / "model")
    record = json.loads((folder / "training.json").read_text())
    begun = {name: record[name] for name in ("recipe", "model")}
    (folder / "training.json").write_text(json.dumps(begun))
    for checkpoint in (folder / "checkpoints").glob("checkpoint-*"):
        if int(checkpoint.name.partition("-")[2]) > after:
            shutil.rmtree(checkpoint)


@pytest.mark.parametrize("best", [True, False], ids=["best", "last"])
def test_killed_after_early_stopping(tmp_path: Path, best: bool) -> None:
    options = DIVERGING | {
        "dev": bh.DevSet(make_collection(), patience=2),
        "load_best_model_at_end": best,
    }
    outcome = train_and_read(tmp_path, **options)
    steps = outcome["steps"]
    assert outcome["best"]["step"] == steps - 4  # two evaluations before
    assert steps < 40
    # Right before the model was saved, and with one evaluation's patience left.
    for after in (steps, steps - 2):
        simulate_kill(tmp_path, after=after)
        assert train_and_read(tmp_path, **options) == outcome
    checkpoint = tmp_path / "checkpoints" / f"checkpoint-{steps - 4 if best else steps}"
    model = bh.SentenceTransformerEncoder(checkpoint).model
    assert flatten_weights(model).tolist() == outcome["weights"]


@pytest.mark.parametrize("steps", [7, 11], ids=["in an epoch", "at an epoch's end"])
def test_killed_after_the_last_step(tmp_path: Path, steps: int) -> None:
    options = SMALL | {"max_steps": steps}
    outcome = train_and_read(tmp_path, **options)
    assert outcome["steps"] == steps
    simulate_kill(tmp_path, after=steps)
    assert train_and_read(tmp_path, **options) == outcome


KILLED_TRAINING = """
import sys
from tests.test_train import SMALL
from tests.training_run import make_groups
import beir_hybrid as bh
bh.train(sys.argv[1], bh.pairs_from_groups(make_groups(42)), sys.argv[2], max_steps=120,
         save_steps=30, seed=5, **SMALL)
"""


def test_killed_process_is_resumed(tmp_path: Path) -> None:
    start = save_model(tmp_path / "start")
    options: Any = SMALL | {"max_steps": 120, "save_steps": 30, "seed": 5}
    uninterrupted = train(
        start, bh.pairs_from_groups(make_groups(42)), tmp_path / "whole", **options
    )
    command = [sys.executable, "-c", KILLED_TRAINING, str(start), str(tmp_path / "killed")]
    checkpoints = tmp_path / "killed" / "checkpoints"
    with subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as running:  # fmt: skip
        while not list(checkpoints.glob("checkpoint-*/trainer_state.json")):
            assert running.poll() is None
            time.sleep(0.01)
        running.kill()
        assert running.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model").exists()
    # A checkpoint that was being written is passed over.
    (checkpoints / "checkpoint-999").mkdir()
    (checkpoints / "checkpoint-999" / "trainer_state.json").write_text('{"global_st')
    resumed = train(start, bh.pairs_from_groups(make_groups(42)), tmp_path / "killed", **options)
    np.testing.assert_allclose(flatten_weights(resumed), flatten_weights(uninterrupted), atol=1e-6)
    assert (tmp_path / "killed" / "batches.jsonl").read_text() == (
        tmp_path / "whole" / "batches.jsonl"
    ).read_text()


def test_a_damaged_checkpoint_is_skipped(tmp_path: Path) -> None:
    pairs, options = (
        bh.pairs_from_groups(make_groups(42)),
        SMALL | {"max_steps": 9, "save_steps": 3},
    )
    uninterrupted = train(static_model(), pairs, tmp_path / "out", **options)
    shutil.rmtree(tmp_path / "out" / "model")
    last = tmp_path / "out" / "checkpoints" / "checkpoint-9" / "model.safetensors"
    last.write_bytes(last.read_bytes()[:-9])
    resumed = train(static_model(), pairs, tmp_path / "out", **options)
    np.testing.assert_allclose(flatten_weights(resumed), flatten_weights(uninterrupted), atol=1e-6)
    lines = (tmp_path / "out" / "batches.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 10))
