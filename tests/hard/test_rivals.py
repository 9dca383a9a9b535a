"""Several processes that run one command at once write what a single process writes."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.hard.commands import COMMANDS, Command, read_digests, start
from tests.hard.effort import IS_LONG, choose_count
from tests.hard.test_kills import SLOW, inputs, run_to_the_end

__all__ = ["inputs"]
pytestmark = pytest.mark.hard


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_rivals(command: Command, inputs: Path, tmp_path: Path) -> None:
    """A rival that finds a finished output may say so in a line; none may leave other bytes."""
    pytest.importorskip(command.needs)
    if command.name in SLOW and not IS_LONG:
        pytest.skip("takes minutes")
    single = run_to_the_end(command, inputs, tmp_path / "single")
    seed = os.environ.get("BEIR_HYBRID_SEED", "1")
    rng = random.Random(seed + command.name)  # noqa: S311 - moments, not secrets
    for number in range(choose_count(1, 3)):
        folder = tmp_path / str(number)
        (folder / "out").mkdir(parents=True)
        rivals = []
        logs = [folder / f"log-{rival}" for rival in range(rng.randint(2, choose_count(2, 4)))]
        for log in logs:
            rivals.append(start(command.split(inputs, folder / "out"), folder / "cache", log))
            time.sleep(rng.random() * single.seconds / 2)
        for rival in rivals:
            rival.join()
        codes = [rival.exitcode for rival in rivals]
        texts = "\n".join(log.read_text() for log in logs)
        assert 0 in codes, texts
        assert set(codes) <= {0, 2}, texts
        assert "Traceback" not in texts
        assert read_digests(folder / "out", folder / "cache") == single.digests, texts
