"""Resuming a killed training gives the result of an uninterrupted one."""

import errno
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
from beir_hybrid.errors import BadData, NotReadable
from beir_hybrid.integrity import write_sealed_json
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
    card = (folder / "model" / "README.md").read_text("utf-8")
    return {name: record[name] for name in ("steps", "epochs", "best", "audit")} | {
        "drawn": batches, "card": card, "weights": flatten_weights(model).tolist(),
    }  # fmt: skip


def simulate_kill(folder: Path, *, after: int) -> None:
    """Leave what a training leaves that is killed right after a checkpoint, or after the last."""
    shutil.rmtree(folder / "model")
    record = json.loads((folder / "training.json").read_text())
    begun = {name: record[name] for name in ("recipe", "model")}
    write_sealed_json(folder / "training.json", begun)
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
bh.train(sys.argv[1], bh.pairs_from_groups(make_groups(42)), sys.argv[2],
         max_steps=int(sys.argv[3]), save_steps=30, seed=5, **SMALL)
"""


def test_killed_process_is_resumed(tmp_path: Path) -> None:
    start = save_model(tmp_path / "start")
    options: Any = SMALL | {"max_steps": 120, "save_steps": 30, "seed": 5}
    uninterrupted = train(
        start, bh.pairs_from_groups(make_groups(42)), tmp_path / "whole", **options
    )
    command = [sys.executable, "-c", KILLED_TRAINING, str(start), str(tmp_path / "killed"), "120"]
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


def test_an_interrupt_says_from_which_step_the_training_goes_on(tmp_path: Path) -> None:
    start, folder = save_model(tmp_path / "start"), tmp_path / "out"
    command = [sys.executable, "-c", KILLED_TRAINING, str(start), str(folder), "100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          text=True) as running:  # fmt: skip
        while not list(folder.glob("checkpoints/checkpoint-*/checksums.json")):
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        last_line = running.communicate()[1].splitlines()[-1]
    steps = max(
        int(path.parent.name.removeprefix("checkpoint-"))
        for path in folder.glob("checkpoints/checkpoint-*/checksums.json")
    )
    assert last_line == (
        f"KeyboardInterrupt: the checkpoint of step {steps:,} is kept; the same command goes on "
        "from there"
    )


CHECKPOINTED: dict[str, Any] = SMALL | {"max_steps": 9, "save_steps": 3, "save_total_limit": 3}


def train_checkpointed(folder: Path) -> np.ndarray:
    """Train for 9 steps with checkpoints at 3, 6 and 9; return the weights."""
    pairs = bh.pairs_from_groups(make_groups(42))
    return flatten_weights(train(static_model(), pairs, folder, **CHECKPOINTED))


def zero_page(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-64] + bytes(64))


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_training_goes_on_from_the_checkpoint_before_a_damaged_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    uninterrupted = train_checkpointed(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "model")
    checkpoints = tmp_path / "out" / "checkpoints"
    zero_page(checkpoints / "checkpoint-9" / file)
    zero_page(checkpoints / "checkpoint-6" / "trainer_state.json")
    resumed = train_checkpointed(tmp_path / "out")
    np.testing.assert_array_equal(resumed, uninterrupted)
    assert f"checkpoint-9/{file} is damaged: its checksum is another" in caplog.text
    assert caplog.text.count(f"; the training goes on from {checkpoints / 'checkpoint-3'}") == 2
    lines = (tmp_path / "out" / "batches.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 10))


def test_training_starts_anew_where_no_checkpoint_is_sound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uninterrupted = train_checkpointed(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "model")
    for checkpoint in (tmp_path / "out" / "checkpoints").iterdir():
        (checkpoint / "optimizer.pt").unlink()
    np.testing.assert_array_equal(train_checkpointed(tmp_path / "out"), uninterrupted)
    assert caplog.text.count("; the training goes on from the start") == 3


def test_a_checkpoint_whose_best_is_damaged_is_not_used(tmp_path: Path) -> None:
    options = DIVERGING | {
        "dev": bh.DevSet(make_collection(), patience=2), "load_best_model_at_end": True,
    }  # fmt: skip
    outcome = train_and_read(tmp_path, **options)
    best = tmp_path / "checkpoints" / f"checkpoint-{outcome['best']['step']}"
    shutil.rmtree(tmp_path / "model")
    zero_page(best / "model.safetensors")
    assert train_and_read(tmp_path, **options) == outcome


def test_no_checkpoint_is_removed_that_the_system_refuses_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_checkpointed(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "model")

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("beir_hybrid.integrity.compute_checksum", refuse)
    with pytest.raises(NotReadable, match=r"cannot read .*: Permission denied"):
        train_checkpointed(tmp_path / "out")
    names = [path.name for path in (tmp_path / "out" / "checkpoints").iterdir()]
    assert sorted(names) == ["checkpoint-3", "checkpoint-6", "checkpoint-9"]


def test_a_damaged_model_is_not_called_trained(tmp_path: Path) -> None:
    uninterrupted = train_checkpointed(tmp_path / "out")
    card = tmp_path / "out" / "model" / "README.md"
    card.write_text("Cards are for people to edit.")
    np.testing.assert_array_equal(train_checkpointed(tmp_path / "out"), uninterrupted)
    zero_page(tmp_path / "out" / "model" / "model.safetensors")
    message = "model.safetensors is damaged: .*; remove .*/out/model and train again, which goes on"
    with pytest.raises(BadData, match=message):
        train_checkpointed(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "model")
    np.testing.assert_array_equal(train_checkpointed(tmp_path / "out"), uninterrupted)


def test_a_damaged_model_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_checkpointed(tmp_path / "out")
    model, record = tmp_path / "out" / "model", tmp_path / "out" / "training.json"
    (tmp_path / "link").symlink_to(model)
    bh.SentenceTransformerEncoder(model)
    zero_page(model / "model.safetensors")
    cure = "train again, or remove training.json if you changed the model yourself"
    message = f"model.safetensors is damaged: its checksum is another; {cure}"
    monkeypatch.chdir(tmp_path / "out")
    for name in (model, str(model), "model", tmp_path / "link"):
        with pytest.raises(BadData, match=message):
            bh.SentenceTransformerEncoder(name)
    files = json.loads(record.read_text())
    for text in ("{", record.read_text().replace('"steps"', '"stepz"'), json.dumps({"recipe": {}})):
        record.write_text(text)
        with pytest.raises(BadData, match=r"training\.json (is|has)"):
            bh.SentenceTransformerEncoder(model)
    # The record of another program says nothing, and neither does a missing one.
    record.write_text(json.dumps({"files": files["files"]}))
    bh.SentenceTransformerEncoder(model)
    record.unlink()
    bh.SentenceTransformerEncoder(model)


def test_lines_of_batches_are_drawn_anew(tmp_path: Path) -> None:
    train_checkpointed(tmp_path / "out")
    lines = (tmp_path / "out" / "batches.jsonl").read_text()
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    shutil.rmtree(tmp_path / "out" / "model")
    (tmp_path / "out" / "batches.jsonl").write_text(lines.replace("1", "3"))
    train_checkpointed(tmp_path / "out")
    assert (tmp_path / "out" / "batches.jsonl").read_text() == lines
    assert json.loads((tmp_path / "out" / "training.json").read_text())["audit"] == record["audit"]
