"""Time from a million groups in 11 languages to the first batch, against sentence-transformers.

Every run is a fresh process: ``python -m benchmarks.training STEP FOLDER`` prints JSON.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import (
    MIB,
    Usage,
    estimate,
    list_versions,
    print_table,
    run_child,
    run_in_turns,
)

LANGS = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
GROUPS, PART = 1_000_000, 1 << 16
BATCH, BUILDS = 64, 5
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "NUMBA_NUM_THREADS": "2"}


def main() -> None:
    """Measure what it takes to have the first batch of a million groups in 11 languages."""
    packages = list_versions("sentence-transformers", "datasets", "torch")
    print(f"{packages}. Medians, with intervals of the true median.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _run_step("generate", folder)
        _run_step("ours", folder)  # compiles into numba's cache
        runs = run_in_turns(
            partial(_run_step, "ours", folder), partial(_run_step, "theirs", folder), BUILDS
        )
        ours, theirs = zip(*runs, strict=True)
        size = sum(path.stat().st_size for path in folder.glob("*.arrow"))
    print(
        f"{GROUPS:,} groups in {len(LANGS)} languages, {size / MIB:,.0f} MiB of memory-mapped "
        "Arrow, to the first batch drawn.\nOurs: ParallelPairs and HybridBatchSampler, with the "
        "whole epoch planned. Theirs: a DatasetDict of 121 pairs of\nlanguages, whose columns are "
        "the same mapped ones, ProportionalBatchSampler over DefaultBatchSamplers.\n"
    )
    seconds = [estimate([run.result["seconds"] for run in side]) for side in (ours, theirs)]
    memory = [estimate([run.result["memory"] / MIB for run in side]) for side in (ours, theirs)]
    print_table(
        ["", "seconds", "MiB beyond the imports", "rows an epoch"],
        *(
            [label, s.show(), m.show(",.0f"), f"{side[0].result['rows']:,}"]
            for label, s, m, side in zip(
                ("ours", "theirs"), seconds, memory, (ours, theirs), strict=True
            )
        ),
    )
    print(
        f"\nours below 10 s: {seconds[0].verdict(below=10)}; "
        f"below 200 MB ({200e6 / MIB:.0f} MiB): {memory[0].verdict(below=200e6 / MIB)}"
    )


def _run_step(step: str, folder: Path) -> Usage:
    """Run a step in a process of its own."""
    return run_child("training", step, folder, **ENVIRONMENT)


def _generate(folder: Path) -> dict[str, Any]:
    """Write queries and passages of a few dozen letters, all different."""
    import pyarrow as pa

    for first in range(0, GROUPS, PART):
        numbers = range(first, min(first + PART, GROUPS))
        columns = {"id": pa.array([str(i) for i in numbers])}
        for lang in LANGS:
            columns[f"query.{lang}"] = pa.array([f"what is {lang} number {i}?" for i in numbers])
            columns[f"positive.{lang}"] = pa.array(
                [
                    f"number {i} in {lang} is {i * 7919 % 1_000_003}, as is well known"
                    for i in numbers
                ]
            )
        groups = pa.table(columns)
        path = folder / f"{first:08}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, groups.schema) as writer:
            writer.write_table(groups)
    return {}


def _map_tables(folder: Path) -> list[Any]:
    """Return the tables of a folder, mapped into memory."""
    import pyarrow as pa

    return [
        pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        for path in sorted(folder.glob("*.arrow"))
    ]


def _measure_anonymous() -> int:
    """Return bytes of memory that are no pages of files."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Peak:
    """Watches the process's anonymous memory for its peak."""

    def __init__(self) -> None:
        import threading

        self.base = self.peak = _measure_anonymous()
        self.running = True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while self.running:
            self.peak = max(self.peak, _measure_anonymous())
            time.sleep(0.002)

    def stop(self) -> int:
        """Stop watching; return the peak beyond the memory at the start, in bytes."""
        self.running = False
        self.thread.join()
        return max(self.peak, _measure_anonymous()) - self.base


def _sample_ours(folder: Path) -> dict[str, Any]:
    """Draw the first batch with `ParallelPairs` and `HybridBatchSampler`."""
    from beir_hybrid.batches.sampler import HybridBatchSampler
    from beir_hybrid.pairs.reading import build_pairs

    peak, start = _Peak(), time.perf_counter()
    data = build_pairs(_map_tables(folder), 0, "million")
    sampler = HybridBatchSampler(data, BATCH, strategy="hybrid")
    first = next(iter(sampler))
    seconds = time.perf_counter() - start
    rows = sum(len(batch.codes) for batch in sampler.batches())
    n_read = len(data.__getitems__(first))
    return {"seconds": seconds, "memory": peak.stop(), "rows": rows, "read": n_read}


def _sample_theirs(folder: Path) -> dict[str, Any]:
    """Draw the first batch with a `DatasetDict` of all pairs of languages."""
    import pyarrow as pa
    import torch
    from datasets import Dataset, DatasetDict
    from sentence_transformers.base.sampler import DefaultBatchSampler, ProportionalBatchSampler
    from torch.utils.data import ConcatDataset, RandomSampler

    peak, start = _Peak(), time.perf_counter()
    groups = pa.concat_tables(_map_tables(folder))
    parts = DatasetDict({
        f"{q}-{p}": Dataset(
            pa.table({"anchor": groups[f"query.{q}"], "positive": groups[f"positive.{p}"]})
        )
        for q in LANGS
        for p in LANGS
    })  # fmt: skip
    generator = torch.Generator()
    samplers: list[Any] = [
        DefaultBatchSampler(
            RandomSampler(part, generator=generator), batch_size=BATCH, drop_last=False
        )
        for part in parts.values()
    ]
    data: Any = ConcatDataset(list(parts.values()))
    sampler = ProportionalBatchSampler(data, samplers, generator=generator, seed=0)
    first = next(iter(sampler))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "memory": peak.stop(), "rows": len(data), "read": len(first)}


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "generate": _generate,
    "ours": _sample_ours,
    "theirs": _sample_theirs,
}

if __name__ == "__main__":
    name, place = sys.argv[1:]
    print(json.dumps(STEPS[name](Path(place))))
