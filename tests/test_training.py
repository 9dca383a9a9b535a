"""Trainers draw what the sampler plans, alone and together, from the start and resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from beir_hybrid.training.loss import HybridContrastiveLoss
from beir_hybrid.training.rows import pairs_of
from beir_hybrid.training.sampler import HybridBatchSampler
from tests.training_run import groups

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
ROOT = Path(__file__).parent.parent


def train(
    folder: Path, processes: int = 1, stop: str = "", resume: str = "", gather: str = ""
) -> list[list[dict[str, Any]]]:
    """Train in processes of their own; return what each wrote down, a line a batch."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.training_run"]
    if processes > 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node",
                   str(processes), "--master-port", "0", "--rdzv-backend", "c10d",
                   "--rdzv-endpoint", "127.0.0.1:0", "-m", "tests.training_run"]  # fmt: skip
    done = subprocess.run(
        [*command, str(folder), stop, resume, gather],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = []
    for rank in range(processes):
        lines = (folder / f"{resume or 'first'}-{rank}.jsonl").read_text().splitlines()
        found.append([json.loads(line) for line in lines])
    return found


def planned(epochs: int, world: int) -> list[list[list[int]]]:
    """Return the labels of each batch of some epochs, as the sampler plans them."""
    pairs = pairs_of(groups(42))
    sampler = HybridBatchSampler(pairs, 4, seed=5, strategy="hybrid", world_size=world)
    batches = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        batches += [[row["label"] for row in pairs.__getitems__(batch)] for batch in sampler]
    return batches


def test_one_process_draws_the_plan_and_resumes_in_the_middle(tmp_path: Path) -> None:
    (whole,) = train(tmp_path / "whole")
    expected = planned(3, 1)
    assert len(expected) == 3 * 11  # 42 groups in batches of 4, one of them short
    assert [line["labels"] for line in whole] == expected
    # Stopped in the second epoch, the rest is drawn as if nothing had been.
    (first,) = train(tmp_path / "stopped", stop="15")
    assert [line["labels"] for line in first] == expected[:15]
    (rest,) = train(tmp_path / "stopped", resume="checkpoint-15")
    assert [line["labels"] for line in rest] == expected[15:]
    # The losses go on as well.
    assert [line["loss"] for line in rest] == pytest.approx(
        [line["loss"] for line in whole[15:]], abs=1e-5
    )


@pytest.mark.parametrize("gather", ["", "yes"])
def test_two_processes_draw_together(tmp_path: Path, gather: str) -> None:
    ranks = train(tmp_path / "whole", processes=2, gather=gather)
    expected = planned(3, 2)
    assert len(expected) == 3 * 10  # 5 pairs of full batches; 2 groups are left out
    together = [line["labels"] for both in zip(*ranks, strict=True) for line in both]
    assert together == expected
    for both in zip(*ranks, strict=True):
        joint = [
            torch.cat([torch.tensor(line["vectors"][column]) for line in both])
            for column in range(2)
        ]
        labels = torch.cat([torch.tensor(line["labels"]) for line in both])
        if gather:  # the mean over processes is the loss of one process on the joined batch
            alone = HybridContrastiveLoss(None).compute_loss_from_embeddings(joint, labels)
            assert np.mean([line["loss"] for line in both]) == pytest.approx(alone.item(), abs=1e-5)
        else:
            for line in both:
                own = [torch.tensor(column) for column in line["vectors"]]
                alone = HybridContrastiveLoss(None).compute_loss_from_embeddings(
                    own, torch.tensor(line["labels"])
                )
                assert line["loss"] == pytest.approx(alone.item(), abs=1e-5)


def test_two_processes_resume_in_the_second_epoch(tmp_path: Path) -> None:
    expected = planned(3, 2)
    first = train(tmp_path / "run", processes=2, stop="8")  # 5 steps an epoch
    rest = train(tmp_path / "run", processes=2, resume="checkpoint-8")
    for ranks, part in ((first, expected[:16]), (rest, expected[16:])):
        together = [line["labels"] for both in zip(*ranks, strict=True) for line in both]
        assert together == part


def test_the_model_card_and_the_saved_model(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    train(tmp_path / "run")
    model = SentenceTransformer(str(tmp_path / "run" / "model"), device="cpu")
    assert model.encode(["w1 w2"]).shape == (1, 16)
    card = (tmp_path / "run" / "model" / "README.md").read_text("utf-8")
    assert "anchor" in card
    assert "w1" in card
