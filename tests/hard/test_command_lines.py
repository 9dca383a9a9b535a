"""Odd options of every command: it works, or one line says what is wrong with them."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beir_hybrid as bh
from beir_hybrid.cli import app, main
from tests.boards import build_capitals, evaluate_system
from tests.hard.effort import IS_LONG, choose_count
from tests.hard.mutations import NUMBERS, TEXTS
from tests.models import static_model
from tests.training_run import make_groups

pytestmark = pytest.mark.hard

# {} stands for the folder of inputs.
LINES = {
    "datasets list": "datasets list",
    "datasets show": "datasets show jsonl",
    "datasets fetch": "datasets fetch jsonl -o path={}/capitals.jsonl",
    "datasets export": "datasets export jsonl -o path={}/capitals.jsonl {}/exported",
    "evaluate": "evaluate {}/model --dataset jsonl -o path={}/capitals.jsonl",
    "encode": "encode {}/model --dataset jsonl -o path={}/capitals.jsonl",
    "index": "index {}/model --dataset jsonl -o path={}/capitals.jsonl --output {}/index",
    "topics": "topics --dataset jsonl -o path={}/capitals.jsonl --output {}/topics",
    "train": "train {}/model --train {}/groups.jsonl --output {}/trained --max-steps 1 --use-cpu",
    "fuse": "fuse {}/runs/en-all.trec {}/runs/en-all.trec --output {}/fused.trec",
    "compare": "compare {}/one {}/two",
    "plot": "plot {}/one --output {}/plot.svg",
    "reproduce": "reproduce {}/one",
    "leaderboard": "leaderboard {}/one {}/two --output {}/site",
}
# Options of the trainer, which the command passes on.
TRAINER_OPTIONS = (
    *("--learning-rate", "--seed", "--num-train-epochs", "--warmup-steps", "--weight-decay"),
    *("--per-device-train-batch-size", "--optim", "--lr-scheduler-type", "--save-steps", "--fp16"),
)
# None leads out of the working folder: a command that runs as root writes anywhere.
ODD_VALUES = [
    *(text for text in TEXTS if "\0" not in text and text[:1] not in ("/", "~", ".")),
    *map(str, NUMBERS[:12]),
    *(
        "nan",
        "inf",
        "-inf",
        "-5",
        "r=[",
        "r=",
        "=",
        "[",
        "{",
        "a=b",
        "layers=[0,1]",
        "AP(",
        "mono,",
    ),
    *("capitals.jsonl", "capitals.jsonl/below", ".", "model", "runs", "\udcff"),
]
LIMITS = settings(
    max_examples=choose_count(12, 1500),
    deadline=None,
    database=None,
    derandomize=not IS_LONG,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder of sound inputs, which is the working folder, too."""
    folder = tmp_path_factory.mktemp("inputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        patch.setenv("BEIR_HYBRID_OFFLINE", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.chdir(folder)
        capitals = build_capitals(folder)
        evaluate_system("one", capitals, runs=folder / "runs")
        for name in ("one", "two"):
            bh.evaluate_runs(folder / "runs" / "en-all.trec", capitals).save(folder / name)
        static_model().save_pretrained(str(folder / "model"))
        lines = "".join(f"{json.dumps(group)}\n" for group in make_groups(20))
        (folder / "groups.jsonl").write_text(lines, "utf-8")
        yield folder


@pytest.fixture(autouse=True)
def own_cache(inputs: Path) -> Iterator[Path]:
    """Take the place of the fixture that gives each test a cache, and keep the log as it is."""
    logger = logging.getLogger("beir_hybrid")
    before = logger.level, logger.handlers, logger.propagate
    yield inputs
    logger.level, logger.handlers, logger.propagate = before


def list_options(name: str) -> list[str]:
    """Return the names of a command's options."""
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    options = [param.opts[0] for param in command.params if param.param_type_name == "option"]
    return [*options, *(TRAINER_OPTIONS if name == "train" else ())]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LINES)
def test_odd_options(
    name: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pairs = st.tuples(st.sampled_from(list_options(name)), st.sampled_from(ODD_VALUES))
    words = LINES[name].replace("{}", str(inputs)).split()

    @LIMITS
    @given(changes=st.lists(pairs, max_size=2), is_cut=st.booleans())
    def run_changed(changes: list[tuple[str, str]], is_cut: bool) -> None:
        arguments = words[: len(words) - is_cut]
        arguments += [word for pair in changes for word in pair]
        monkeypatch.setattr(sys, "argv", ["beir-hybrid", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        error = capfd.readouterr().err
        assert stop.value.code in (0, 1, 2)
        assert "this is a fault" not in error, error
        assert "Traceback" not in error, error

    run_changed()
