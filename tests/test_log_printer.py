"""The logs of a training in plain words."""

from pathlib import Path

import pytest
from transformers import TrainerState

import beir_hybrid as bh
from beir_hybrid.training.log_printer import format_logs
from beir_hybrid.training.train import train
from tests.models import static_model
from tests.test_train import SMALL
from tests.training_run import make_groups


@pytest.mark.parametrize(
    ("logs", "line"),
    [
        (
            {"loss": 2.31415, "grad_norm": 1.5, "learning_rate": 1.8e-05, "epoch": 0.1},
            "step 1,200 of 4,000: loss 2.314, learning rate 1.8e-05, gradient norm 1.5",
        ),
        (
            {"eval_loss": 0.5, "eval_runtime": 3.0, "eval_samples_per_second": 9.1},
            "step 1,200 of 4,000, on the dev set: loss 0.5",
        ),
        (
            {"train_runtime": 3723.4, "train_loss": 1.25, "train_steps_per_second": 3.0},
            "step 1,200 of 4,000: done in 1:02:03, mean loss 1.25",
        ),
    ],
)
def test_each_kind_of_log_is_a_line(logs: dict[str, float], line: str) -> None:
    state = TrainerState(global_step=1200, max_steps=4000)
    assert format_logs(logs, state) == line


def test_the_bar_ends_before_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = SMALL | {"max_steps": 4, "disable_tqdm": False}
    train(static_model(), bh.pairs_from_groups(make_groups(42)), tmp_path / "out", **options)
    output = capsys.readouterr()
    assert not output.out
    assert "step 4 of 4: loss " in output.err
    assert 0 < output.err.rindex("4/4 [") < output.err.index("\nbatches: ")
