"""Train small models and write down what each process saw; run by test_training."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import Tensor
from transformers import TrainerCallback

import beir_hybrid as bh
from tests.models import static_model


class RecordingLoss(bh.HybridContrastiveLoss):
    """The loss, and a line for each batch: the numbers of its rows, and the loss."""

    def __init__(self, model: Any, path: Path, **options: Any) -> None:
        super().__init__(model, **options)
        self.path = path

    def compute_loss_from_embeddings(
        self, embeddings: list[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        loss = super().compute_loss_from_embeddings(embeddings, labels)
        assert labels is not None
        line = {
            "labels": labels.tolist(),
            "loss": loss.item(),
            "vectors": [column.tolist() for column in embeddings],
        }
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return loss


class Stop(TrainerCallback):
    """Save and stop after some steps, as if killed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(
        self,
        args: Any,  # noqa: ARG002 - theirs
        state: Any,
        control: Any,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        control.should_training_stop = control.should_save = state.global_step == self.step


def make_groups(n: int) -> list[dict[str, Any]]:
    langs = ("de", "en", "th")
    return [
        {
            "id": str(i),
            "query": {lang: f"w{i} w{i + at + 1}" for at, lang in enumerate(langs)},
            "positive": {lang: f"w{i} w{i + at + 7}" for at, lang in enumerate(langs)},
        }
        for i in range(n)
    ]


def train_and_record(
    folder: str, *, stop: int = 0, resume: str = "", gather: bool = False, centre: float = 0.0
) -> None:
    """Train for three epochs, or until a step, or from a checkpoint on."""
    args = SentenceTransformerTrainingArguments(
        f"{folder}/out",
        per_device_train_batch_size=4,
        num_train_epochs=3,
        batch_sampler=bh.HybridBatchSampler.configure("hybrid"),
        learning_rate=0.1,
        seed=5,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        ddp_backend="gloo" if "WORLD_SIZE" in os.environ else None,
    )
    model = static_model()
    rank = args.process_index
    Path(folder).mkdir(exist_ok=True)
    path = Path(folder) / f"{resume or 'first'}-{rank}.jsonl".replace("/", "_")
    trainer = SentenceTransformerTrainer(
        model=model,
        args=args,
        train_dataset=bh.pairs_from_groups(make_groups(42)),
        loss=RecordingLoss(model, path, gather_across_devices=gather, centre=centre),
        callbacks=[Stop(stop)] if stop else [],
    )
    trainer.train(resume_from_checkpoint=f"{folder}/out/{resume}" if resume else None)
    trainer.save_model(f"{folder}/model")


def train_twice(folder: str) -> None:
    """Train with `bh.train`, and again, which finds it done."""
    for _ in range(2):
        bh.train(
            static_model(),
            bh.pairs_from_groups(make_groups(42)),
            folder,
            max_steps=2,
            use_cpu=True,
            ddp_backend="gloo",
            per_device_train_batch_size=4,
            disable_tqdm=True,
            report_to=[],
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for one in json.loads(sys.argv[1]):  # processes take long to start
        train_twice(one) if isinstance(one, str) else train_and_record(**one)
