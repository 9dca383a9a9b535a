"""Trainers in one and two processes use the batches of the sampler, also resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.pairs.reading import pairs_from_groups
from beir_hybrid.training.loss import HybridContrastiveLoss
from tests.training_run import make_groups, train_and_record

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
ROOT = Path(__file__).parent.parent


def read_lines(folder: Path, processes: int, name: str = "first") -> list[list[dict[str, Any]]]:
    """Return what each process wrote down, a line a batch."""
    files = [folder / f"{name}-{rank}.jsonl" for rank in range(processes)]
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def run_in_two_processes(*runs: dict[str, Any] | str) -> str:
    """Train one after the other in two processes of their own; return what they say of it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
               "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
               "-m", "tests.training_run", json.dumps(runs)]  # fmt: skip
    process = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stderr


@pytest.fixture(scope="module")
def single_process_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train in this process: from start to end, and with a stop in the second epoch."""
    folder = tmp_path_factory.mktemp("alone")
    train_and_record(str(folder / "whole"))
    train_and_record(str(folder / "stopped"), stop=15)
    train_and_record(str(folder / "stopped"), resume="checkpoint-15")
    return folder


@pytest.fixture(scope="module")
def two_process_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train in two processes, with the loss over both and without, and with a stop."""
    folder = tmp_path_factory.mktemp("both")
    stopped = str(folder / "stopped")
    run_in_two_processes(
        {"folder": str(folder / "whole")},
        {"folder": str(folder / "gathered"), "gather": True},
        {"folder": str(folder / "centred"), "centre": 0.9},
        {"folder": str(folder / "centred-gathered"), "centre": 0.9, "gather": True},
        {"folder": stopped, "stop": 8},  # of 5 steps an epoch
    )
    output = run_in_two_processes(
        {"folder": stopped, "resume": "checkpoint-8"}, str(folder / "twice")
    )
    (folder / "said").write_text(output)
    return folder


def plan_labels(epochs: int, world: int) -> list[list[list[int]]]:
    """Return the labels of each batch of some epochs, as the sampler plans them."""
    pairs = pairs_from_groups(make_groups(42))
    sampler = HybridBatchSampler(pairs, 4, seed=5, strategy="hybrid", world_size=world)
    batches = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        batches += [[row["label"] for row in pairs.__getitems__(batch)] for batch in sampler]
    return batches


def test_one_process_follows_the_sampler_and_resumes(single_process_runs: Path) -> None:
    (lines,) = read_lines(single_process_runs / "whole", 1)
    expected = plan_labels(3, 1)
    assert len(expected) == 3 * 11  # 42 groups in batches of 4, one of them short
    assert [line["labels"] for line in lines] == expected
    # Stopped in the second epoch, the rest is drawn as if nothing had been.
    (first_lines,) = read_lines(single_process_runs / "stopped", 1)
    assert [line["labels"] for line in first_lines] == expected[:15]
    (resumed_lines,) = read_lines(single_process_runs / "stopped", 1, "checkpoint-15")
    assert [line["labels"] for line in resumed_lines] == expected[15:]
    # The losses go on as well.
    assert [line["loss"] for line in resumed_lines] == pytest.approx(
        [line["loss"] for line in lines[15:]], abs=1e-5
    )


@pytest.mark.parametrize("gather", [False, True])
def test_two_processes_share_the_plan(two_process_runs: Path, gather: bool) -> None:
    ranks = read_lines(two_process_runs / ("gathered" if gather else "whole"), 2)
    expected = plan_labels(3, 2)
    assert len(expected) == 3 * 10  # 5 pairs of full batches; 2 groups are left out
    assert [line["labels"] for step in zip(*ranks, strict=True) for line in step] == expected
    for step in zip(*ranks, strict=True):
        joint = [
            torch.cat([torch.tensor(line["vectors"][column]) for line in step])
            for column in range(2)
        ]
        labels = torch.cat([torch.tensor(line["labels"]) for line in step])
        if gather:  # the mean over processes is the loss of one process on the joined batch
            loss = HybridContrastiveLoss(None).compute_loss_from_embeddings(joint, labels)
            assert np.mean([line["loss"] for line in step]) == pytest.approx(loss.item(), abs=1e-5)
        else:
            for line in step:
                columns = [torch.tensor(column) for column in line["vectors"]]
                loss = HybridContrastiveLoss(None).compute_loss_from_embeddings(
                    columns, torch.tensor(line["labels"])
                )
                assert line["loss"] == pytest.approx(loss.item(), abs=1e-5)


@pytest.mark.parametrize("gather", [False, True])
def test_two_processes_take_out_the_means_of_both(two_process_runs: Path, gather: bool) -> None:
    ranks = read_lines(two_process_runs / ("centred-gathered" if gather else "centred"), 2)
    loss = HybridContrastiveLoss(None, centre=0.9)
    for step in zip(*ranks, strict=True):
        batches = [
            ([torch.tensor(column) for column in line["vectors"]], torch.tensor(line["labels"]))
            for line in step
        ]
        loss.eval()  # the means are those of the steps before
        values = [loss.compute_loss_from_embeddings(*batch).item() for batch in batches]
        loss.train()
        joint = [
            torch.cat(columns) for columns in zip(*(batch[0] for batch in batches), strict=True)
        ]
        labels = torch.cat([batch[1] for batch in batches])
        joint_value = loss.compute_loss_from_embeddings(joint, labels).item()
        recorded = [line["loss"] for line in step]
        if gather:
            assert np.mean(recorded) == pytest.approx(joint_value, abs=1e-5)
        else:
            assert recorded == pytest.approx(values, abs=1e-5)
    assert len({language for _, language, _ in loss.language_means.values}) == 3


def test_two_processes_resume_in_the_second_epoch(two_process_runs: Path) -> None:
    expected = plan_labels(3, 2)
    for name, part in (("first", expected[:16]), ("checkpoint-8", expected[16:])):
        ranks = read_lines(two_process_runs / "stopped", 2, name)
        assert [line["labels"] for step in zip(*ranks, strict=True) for line in step] == part


def test_two_processes_skip_a_finished_training(two_process_runs: Path) -> None:
    # Once by each.
    assert (two_process_runs / "said").read_text().count("twice is trained already") == 2
    record = json.loads((two_process_runs / "twice" / "training.json").read_text())
    assert (record["steps"], sum(record["audit"]["rows"].values())) == (2, 2 * 2 * 4)


def test_the_model_card_and_the_saved_model(single_process_runs: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(single_process_runs / "whole" / "model"), device="cpu")
    assert model.encode(["w1 w2"]).shape == (1, 16)
    card = (single_process_runs / "whole" / "model" / "README.md").read_text("utf-8")
    assert "anchor" in card
    assert "w1" in card
