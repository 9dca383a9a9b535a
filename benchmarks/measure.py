"""Measure child processes: time, peak memory, medians with intervals, verdicts on targets."""

import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beir_hybrid.results.results import Results

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
_WIDTH = 100  # of tables, in letters
_INTERVAL = 0.01  # seconds between two readings of a child's memory


@dataclass(frozen=True)
class Estimate:
    """A median, and an interval that contains the true median with a confidence."""

    median: float
    low: float
    high: float
    confidence: float
    runs: int

    def show(self, form: str = ",.2f") -> str:
        """Return the median and its interval as text: ``1.92 [1.88, 2.01]``."""
        return f"{self.median:{form}} [{self.low:{form}}, {self.high:{form}}]"

    def verdict(self, *, at_least: float | None = None, below: float | None = None) -> str:
        """Return ``met``, ``missed``, or ``not resolved`` if the interval straddles the target."""
        if at_least is not None:
            is_met, is_missed = self.low >= at_least, self.high < at_least
        elif below is not None:
            is_met, is_missed = self.high < below, self.low >= below
        else:
            raise ValueError("a verdict needs a target: at_least or below")
        return "met" if is_met else "missed" if is_missed else "not resolved"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median and its order-statistic interval.

    The interval is the narrowest one, with equally many runs left out below and above, that
    contains the true median with 95% confidence, or all runs if these are too few for that. The
    number of runs below the true median is binomial, whatever their distribution.
    """
    ordered, count = sorted(values), len(values)

    def compute_confidence(omitted: int) -> float:
        return 1 - 2 * sum(math.comb(count, k) for k in range(omitted + 1)) / float(2**count)

    candidates = range((count + 1) // 2)
    omitted = max((k for k in candidates if compute_confidence(k) >= 0.95), default=0)
    return Estimate(
        statistics.median(ordered),
        ordered[omitted],
        ordered[count - 1 - omitted],
        compute_confidence(omitted),
        count,
    )


def run_in_turns(
    ours: Callable[[], "Usage"], theirs: Callable[[], "Usage"], count: int
) -> "list[tuple[Usage, Usage]]":
    """Run both `count` times; each goes first in every second pair."""
    pairs = []
    for i in range(count):
        if i % 2:
            second, first = theirs(), ours()
        else:
            first, second = ours(), theirs()
        pairs.append((first, second))
    return pairs


@dataclass(frozen=True)
class Usage:
    """The time and memory of a child process, and its result.

    Attributes
    ----------
    wall
        Seconds from its start to its end, the start of the interpreter included.
    peak
        Bytes of the largest resident set as the kernel counts it, pages of files included.
    anonymous
        Bytes of the largest resident set without pages of files, which the kernel can take back;
        a spike of a few milliseconds may be missed.
    mapped
        Bytes of the most pages of files, libraries included; likewise.
    result
        The JSON that the child printed last.
    """

    wall: float
    peak: int
    anonymous: int
    mapped: int
    result: dict[str, Any]


def run_child(module: str, *arguments: str | Path, **environment: str) -> Usage:
    """Run a benchmark module in a fresh interpreter and watch its memory."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    start = time.perf_counter()
    peaks = {"RssAnon": 0, "RssFile": 0}
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        while True:
            _update_peaks(process.pid, peaks)
            pid, status, resources = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(_INTERVAL)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    unit = 1 if sys.platform == "darwin" else 1024
    result = json.loads(output.splitlines()[-1])
    return Usage(wall, resources.ru_maxrss * unit, peaks["RssAnon"], peaks["RssFile"], result)


def _update_peaks(pid: int, peaks: dict[str, int]) -> None:
    """Raise the peaks to the current values; without ``/proc`` they stay 0."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(":")
        if name in peaks:
            peaks[name] = max(peaks[name], int(value.split()[0]) * 1024)


def print_table(*rows: Sequence[str]) -> None:
    """Print rows in columns, the first column to the left and all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())


def evaluate_in_child(module: str, dataset: str, *languages: str) -> "tuple[Results, Usage]":
    """Evaluate by a benchmark module's step ``evaluate`` in a process, and print the tables."""
    from beir_hybrid.results.results import Results

    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        usage = run_child(module, "evaluate", folder, dataset, *languages)
        results = Results.load(Path(folder) / "results")
    print_results(results)
    return results, usage


def print_results(results: "Results") -> None:
    """Print the tables and notes of ``beir-hybrid evaluate``, 100 columns wide."""
    from rich.console import Console

    from beir_hybrid.results.render import list_notes, render_terminal

    Console(width=_WIDTH, file=sys.stdout).print(render_terminal(results))
    for note in list_notes(results):
        print(f"note: {note}")


def describe_machine() -> str:
    """Return the machine in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = f"{platform.system()} {platform.machine()}"
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB memory, {system}, "
        f"Python {platform.python_version()}"
    )


def describe_kernels() -> str:
    """Return the matrix libraries that this process has loaded, with their kernels and threads."""
    from threadpoolctl import threadpool_info

    from beir_hybrid.extras.doctor import find_owner

    return "; ".join(
        sorted(
            f"{find_owner(library['filepath'])}: {library['internal_api']} {library['version']}, "
            f"{library.get('architecture', 'own')} kernels, {library['num_threads']} threads"
            for library in threadpool_info()
            if library["user_api"] == "blas"
        )
    )


def choose_kernels() -> dict[str, str]:
    """Return the environment in which an old OpenBLAS takes this processor for what it is."""
    from beir_hybrid.extras.doctor import WIDE_KERNELS, read_processor_flags

    flags = read_processor_flags()
    name = next((name for flag, name in WIDE_KERNELS.items() if flag in flags), "")
    return {"OPENBLAS_CORETYPE": name} if name else {}


def list_versions(*packages: str) -> str:
    """Return packages with their versions in one line."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
