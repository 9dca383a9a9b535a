"""Commands that are killed at any moment and run again write what an uninterrupted run writes."""

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hard.commands import COMMANDS, Command, kill, read_digests, start, write_inputs
from tests.hard.effort import IS_LONG, choose_count

pytestmark = pytest.mark.hard
SLOW = {"quickstart", "bm25"}  # only in the long form


@dataclass(frozen=True)
class Outcome:
    """The files of an uninterrupted run, and how long it took."""

    digests: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model, data and results."""
    return write_inputs(tmp_path_factory.mktemp("hard") / "inputs")


def run_to_the_end(command: Command, inputs: Path, folder: Path) -> Outcome:
    """Run a command and read what it wrote, in its output and in the cache."""
    output, cache, log = folder / "out", folder / "cache", folder / "log"
    output.mkdir(exist_ok=True, parents=True)
    begin = time.monotonic()
    process = start(command.split(inputs, output), cache, log)
    process.join()
    seconds = time.monotonic() - begin
    assert process.exitcode == 0, log.read_text()
    cache.mkdir(exist_ok=True)
    return Outcome(read_digests(output, cache), seconds)


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_killed_command(command: Command, inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip(command.needs)
    if command.name in SLOW and not IS_LONG:
        pytest.skip("takes minutes")
    if IS_LONG:  # a second run takes as long as those that are killed
        run_to_the_end(command, inputs, tmp_path / "warm")
    whole = run_to_the_end(command, inputs, tmp_path / "whole")
    seed = os.environ.get("BEIR_HYBRID_SEED", "1")
    rng = random.Random(seed + command.name)  # noqa: S311 - moments, not secrets
    for number in range(choose_count(1, command.kills)):
        folder = tmp_path / str(number)
        (folder / "out").mkdir(parents=True)
        # Twice, so that what the first kill left is cut off, too.
        for _ in range(rng.choice((1, 2))):
            process = start(command.split(inputs, folder / "out"), folder / "cache", folder / "log")
            time.sleep(rng.random() * whole.seconds)
            kill(process)
        assert run_to_the_end(command, inputs, folder).digests == whole.digests
