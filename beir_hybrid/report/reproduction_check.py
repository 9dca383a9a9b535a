"""Run the commands that reproduce results, and compare the averages with the stored ones."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.report.reproduce import reproduce_commands
from beir_hybrid.results.results import Results

# Differences of averages, in shares of them where they are above 1. Other processors and libraries
# change the last bits of vectors, and so the order of passages with nearly equal scores.
EQUAL, CLOSE = 1e-6, 1e-3
Verdict = Literal["equal", "close", "different", "missing"]
_OUTPUTS = ("results", "whole", "one-target")  # folders that the commands may fill


class CheckedAverage(NamedTuple):
    """An average over the settings of a kind, as stored and as reproduced."""

    measure: str
    kind: str
    stored: float
    reproduced: float | None
    verdict: Verdict


def check_reproduction(
    results: Results,
    *,
    folder: Path,
    hits: int | None = None,
    announce: Callable[[str], None] = lambda _line: None,
) -> list[CheckedAverage]:
    """Run the commands of `reproduce_commands`, and judge each average.

    An average is equal up to `EQUAL`, close up to `CLOSE`, else different; missing if no command
    computes it. The results name the model and the files that are loaded: check only what you
    trust.

    Parameters
    ----------
    folder
        For the files that the commands make; it must be empty or not exist.
    announce
        Is called with each command before it runs.

    Raises
    ------
    BadData
        If a command fails.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadOption(f"{folder} is not empty, and old files would be compared; name another")
    for line in reproduce_commands(results, folder=folder, hits=hits):
        if not line.startswith("#"):
            announce(line)
            _run_command(line)
    return list(_judge_averages(results, _read_averages(folder)))


def _run_command(line: str) -> None:
    """Run a command of the program in a process of its own, without a shell."""
    command = [sys.executable, "-m", "beir_hybrid", *shlex.split(line)[1:]]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        reason = outcome.stderr.strip().rpartition("\n")[2]
        raise BadData(f"the command {line!r} fails: {reason}")


def _read_averages(folder: Path) -> dict[tuple[str, str], float]:
    """Return the averages that the commands have computed, by measure and kind."""
    return {
        (str(measure), kind): estimate.mean
        for name in _OUTPUTS
        if (folder / name).is_dir()
        for kind, row in Results.load(folder / name).summary().items()
        for measure, estimate in row.items()
    }


def _judge_averages(
    results: Results, averages: dict[tuple[str, str], float]
) -> Iterator[CheckedAverage]:
    for kind, row in results.summary().items():
        for measure, estimate in row.items():
            mean = averages.get((str(measure), kind))
            verdict = _judge_difference(estimate.mean, mean)
            yield CheckedAverage(str(measure), kind, estimate.mean, mean, verdict)


def _judge_difference(stored: float, reproduced: float | None) -> Verdict:
    """Judge a reproduced average.

    >>> [_judge_difference(0.5, mean) for mean in (0.5000001, 0.5009, 0.502, None)]
    ['equal', 'close', 'different', 'missing']
    """
    if reproduced is None:
        return "missing"
    difference = abs(stored - reproduced) / max(1.0, abs(stored))
    if difference <= EQUAL:
        return "equal"
    return "close" if difference <= CLOSE else "different"
