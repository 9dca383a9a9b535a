"""Runs of the same work in, medians with intervals, verdicts and peak memory out."""

import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
_SAMPLE = 0.01  # seconds between two looks at a child's memory


@dataclass(frozen=True)
class Estimate:
    """A median and an interval that holds the true one with the confidence given."""

    median: float
    low: float
    high: float
    confidence: float
    runs: int

    def show(self, form: str = ",.2f") -> str:
        """Say it in a few words: ``1.92 [1.88, 2.01]``."""
        return f"{self.median:{form}} [{self.low:{form}}, {self.high:{form}}]"

    def verdict(self, *, at_least: float | None = None, below: float | None = None) -> str:
        """Tell whether a target is ``met`` or ``missed``, or the interval straddles it."""
        if at_least is not None:
            good, bad = self.low >= at_least, self.high < at_least
        elif below is not None:
            good, bad = self.high < below, self.low >= below
        else:
            raise ValueError("a verdict needs a target: at_least or below")
        return "met" if good else "missed" if bad else "not resolved"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median and its order-statistic interval.

    The interval is the narrowest one, with as many runs left out below as above, that holds the
    true median with 95% confidence, or all runs where they are too few for that. The number of
    runs below the true median is binomial, whatever their distribution.
    """
    ordered, n = sorted(values), len(values)

    def confidence(out: int) -> float:
        return 1 - 2 * sum(math.comb(n, k) for k in range(out + 1)) / float(2**n)

    out = max((out for out in range((n + 1) // 2) if confidence(out) >= 0.95), default=0)
    return Estimate(
        statistics.median(ordered), ordered[out], ordered[n - 1 - out], confidence(out), n
    )


def pairs(
    ours: Callable[[], "Usage"], theirs: Callable[[], "Usage"], count: int
) -> "list[tuple[Usage, Usage]]":
    """Run both `count` times in turn, each going first in every other pair."""
    found = []
    for number in range(count):
        if number % 2:
            second, first = theirs(), ours()
        else:
            first, second = ours(), theirs()
        found.append((first, second))
    return found


@dataclass(frozen=True)
class Usage:
    """What a child process took.

    Attributes
    ----------
    wall
        Seconds from its start to its end, the interpreter's start included.
    peak
        Bytes of the largest resident set, as the kernel counted it: pages of files included.
    anonymous
        Bytes of the largest resident set without pages of files, which the kernel takes back at
        will; the largest of many looks, so a spike of a few milliseconds may be missed.
    mapped
        Bytes of the most pages of files, libraries included; likewise.
    result
        What the child printed last, as JSON.
    """

    wall: float
    peak: int
    anonymous: int
    mapped: int
    result: dict[str, Any]


def child(module: str, *arguments: str | Path, **environment: str) -> Usage:
    """Run a benchmark module in a fresh interpreter and watch its memory."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    begun = time.perf_counter()
    most = {"RssAnon": 0, "RssFile": 0}
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        while True:
            _look(process.pid, most)
            pid, status, resources = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(_SAMPLE)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed)
    unit = 1 if sys.platform == "darwin" else 1024
    result = json.loads(printed.splitlines()[-1])
    return Usage(wall, resources.ru_maxrss * unit, most["RssAnon"], most["RssFile"], result)


def _look(pid: int, most: dict[str, int]) -> None:
    """Raise the largest values seen; where there is no ``/proc`` they stay 0."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(":")
        if name in most:
            most[name] = max(most[name], int(value.split()[0]) * 1024)


def table(*rows: Sequence[str]) -> None:
    """Print rows in columns, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())


def machine() -> str:
    """Describe the machine in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = f"{platform.system()} {platform.machine()}"
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB memory, {system}, "
        f"Python {platform.python_version()}"
    )


def versions(*packages: str) -> str:
    """List packages with their versions."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
