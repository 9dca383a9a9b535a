"""The audit of a training records the batches that the trainer reads."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from transformers import TrainerCallback

from beir_hybrid.batches.audit_callback import BatchAuditCallback
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.errors import BadOption
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.reading import pairs_from_groups
from beir_hybrid.training.loss import HybridContrastiveLoss
from tests.models import static_model
from tests.training_run import Stop

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")


def make_source(n: int, name: str) -> Any:
    """Make groups of which each has three of four languages: passes over them differ in length."""
    langs = ("de", "en", "es", "th")
    groups = []
    for i in range(n):
        group_languages = [lang for k, lang in enumerate(langs) if k != i % 4]
        passage_languages = group_languages[: 2 + i % 2]
        groups.append({
            "id": str(i),
            "query": {lang: f"{lang} {name} w{i}" for lang in group_languages},
            "positive": {lang: f"{lang} {name} w{i} w{i + 1}" for lang in passage_languages},
        })  # fmt: skip
    return pairs_from_groups(groups, name=name)


class LogRecorder(TrainerCallback):
    """Keeps the logs that a reporter, such as that of W&B, reads."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def on_log(self, args: Any, state: Any, control: Any, **context: Any) -> None:  # noqa: ARG002
        self.logs.append(dict(context["logs"]))


def train(
    folder: Path, *, stop: int = 0, resume: str = ""
) -> tuple[list[Any], LogRecorder, BatchAuditCallback]:
    """Train for three epochs with two batches a step; return the rows of each batch."""
    args = SentenceTransformerTrainingArguments(
        str(folder),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        num_train_epochs=3,
        batch_sampler=HybridBatchSampler.configure("hybrid"),
        save_strategy="no",
        logging_steps=5,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    model, logs = static_model(), LogRecorder()
    trainer = SentenceTransformerTrainer(
        model=model,
        args=args,
        train_dataset=join_pairs([make_source(41, "first"), make_source(23, "second")]),
        loss=HybridContrastiveLoss(model),
        callbacks=[logs, *([Stop(stop)] if stop else [])],
    )
    batches: list[list[tuple[str, str]]] = []
    collate = trainer.data_collator

    class Recording(type(collate)):  # type: ignore[misc]
        def __call__(self, features: list[dict[str, Any]]) -> Any:
            batches.append([(row["anchor"], row["positive"]) for row in features])
            return super().__call__(features)

    collate.__class__ = Recording
    audit = BatchAuditCallback(trainer)
    trainer.train(resume_from_checkpoint=str(folder / resume) if resume else None)
    return batches, logs, audit


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "batches.jsonl").read_text().splitlines()]


def name_kind(rows: list[tuple[str, str]]) -> str:
    same = {anchor.split()[0] == positive.split()[0] for anchor, positive in rows}
    assert len(same) == 1
    return "mono" if same.pop() else "cross-rows"


def test_lines_logs_and_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batches, logs, audit = train(tmp_path / "whole")
    output = capsys.readouterr()
    recorded_lines = read_lines(tmp_path / "whole")
    n_batches = len(batches) // 3
    assert n_batches % 2 == 1  # or the last step of an epoch has as many batches as the others
    steps = [
        batches[epoch * n_batches + i : min(epoch * n_batches + i + 2, (epoch + 1) * n_batches)]
        for epoch in range(3)
        for i in range(0, n_batches, 2)
    ]
    assert len(recorded_lines) == len(steps)
    for number, (line, step) in enumerate(zip(recorded_lines, steps, strict=True), start=1):
        rows = [row for batch in step for row in batch]
        langs = Counter(f"{anchor.split()[0]}-{positive.split()[0]}" for anchor, positive in rows)
        sources = Counter(anchor.split()[1] for anchor, _ in rows)
        assert line["step"] == number
        assert line["batches"] == Counter(name_kind(batch) for batch in step)
        assert Counter(line["rows"]) == langs
        assert +Counter(line["sources"]) == sources
    # Sums are in the logs that reporters see, and in the trainer's own, and not on the terminal.
    total = Counter(name_kind(batch) for batch in batches)
    last = logs.logs[-1]
    assert {name: last[f"drawn/batches/{name}"] for name in total} == total
    fifth = next(entry for entry in logs.logs if "loss" in entry)
    assert sum(n for name, n in fifth.items() if name.startswith("drawn/rows/")) == sum(
        sum(line["rows"].values()) for line in recorded_lines[:5]
    )
    assert "drawn/" not in output.out
    assert f"{total['mono']} mono" in output.err
    assert audit.counts.batches == total


def test_a_resumed_training_goes_on_with_its_file(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    train(tmp_path / "killed", stop=13)
    # What came after the checkpoint, and a line that was being written, are of the killed run.
    with (tmp_path / "killed" / "batches.jsonl").open("a") as file:
        file.write('{"step": 14, "batches": {"mono": 9}, "sources": {}, "rows": {}}\n{"step": 1')
    _, _, audit = train(tmp_path / "killed", resume="checkpoint-13")
    assert read_lines(tmp_path / "killed") == read_lines(tmp_path / "whole")
    assert audit.counts.rows.total() == sum(
        sum(line["rows"].values()) for line in read_lines(tmp_path / "whole")
    )


def test_another_sampler_is_refused(tmp_path: Path) -> None:
    model = static_model()
    args = SentenceTransformerTrainingArguments(
        str(tmp_path), max_steps=1, report_to=[], use_cpu=True, disable_tqdm=True
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=args,
        train_dataset=make_source(8, "first"),
        loss=HybridContrastiveLoss(model),
    )
    BatchAuditCallback(trainer)
    with pytest.raises(BadOption, match="HybridBatchSampler"):
        trainer.train()
