"""What the audit writes is what the trainer was really given."""

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


def source(n: int, name: str) -> Any:
    """Make groups of which each has three of four languages: passes over them differ in length."""
    langs = ("de", "en", "es", "th")
    groups = []
    for i in range(n):
        mine = [lang for at, lang in enumerate(langs) if at != i % 4]
        groups.append({
            "id": str(i),
            "query": {lang: f"{lang} {name} w{i}" for lang in mine},
            "positive": {lang: f"{lang} {name} w{i} w{i + 1}" for lang in mine[: 2 + i % 2]},
        })  # fmt: skip
    return pairs_from_groups(groups, name=name)


class Logs(TrainerCallback):
    """Keeps what a reporter, such as W&B's, would be given."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002
        self.found.append(dict(given["logs"]))


def run(
    folder: Path, *, stop: int = 0, resume: str = ""
) -> tuple[list[Any], Logs, BatchAuditCallback]:
    """Train for three epochs with two batches a step; return the rows of each step as given."""
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
    model, logs = static_model(), Logs()
    trainer = SentenceTransformerTrainer(
        model=model,
        args=args,
        train_dataset=join_pairs([source(41, "first"), source(23, "second")]),
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


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "batches.jsonl").read_text().splitlines()]


def kind(rows: list[tuple[str, str]]) -> str:
    same = {anchor.split()[0] == positive.split()[0] for anchor, positive in rows}
    assert len(same) == 1
    return "mono" if same.pop() else "cross-rows"


def test_lines_logs_and_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batches, logs, audit = run(tmp_path / "whole")
    printed = capsys.readouterr()
    written = lines(tmp_path / "whole")
    per_epoch = len(batches) // 3
    assert per_epoch % 2 == 1  # or the last step of an epoch has as many batches as the others
    steps = [
        batches[epoch * per_epoch + at : min(epoch * per_epoch + at + 2, (epoch + 1) * per_epoch)]
        for epoch in range(3)
        for at in range(0, per_epoch, 2)
    ]
    assert len(written) == len(steps)
    for number, (line, step) in enumerate(zip(written, steps, strict=True), start=1):
        rows = [row for batch in step for row in batch]
        langs = Counter(f"{anchor.split()[0]}-{positive.split()[0]}" for anchor, positive in rows)
        sources = Counter(anchor.split()[1] for anchor, _ in rows)
        assert line["step"] == number
        assert line["batches"] == Counter(kind(batch) for batch in step)
        assert Counter(line["rows"]) == langs
        assert +Counter(line["sources"]) == sources
    # Sums are in the logs that reporters see, and in the trainer's own, and not on the terminal.
    total = Counter(kind(batch) for batch in batches)
    last = logs.found[-1]
    assert {name: last[f"drawn/batches/{name}"] for name in total} == total
    fifth = next(entry for entry in logs.found if "loss" in entry)
    assert sum(n for name, n in fifth.items() if name.startswith("drawn/rows/")) == sum(
        sum(line["rows"].values()) for line in written[:5]
    )
    assert "drawn/" not in printed.out
    assert f"{total['mono']} mono" in printed.err
    assert audit.audit.batches == total


def test_a_resumed_training_goes_on_with_its_file(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "killed", stop=13)
    # What came after the checkpoint, and a line that was being written, are of the killed run.
    with (tmp_path / "killed" / "batches.jsonl").open("a") as file:
        file.write('{"step": 14, "batches": {"mono": 9}, "sources": {}, "rows": {}}\n{"step": 1')
    _, _, audit = run(tmp_path / "killed", resume="checkpoint-13")
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    assert audit.audit.rows.total() == sum(
        sum(line["rows"].values()) for line in lines(tmp_path / "whole")
    )


def test_another_sampler_is_an_error(tmp_path: Path) -> None:
    model = static_model()
    args = SentenceTransformerTrainingArguments(
        str(tmp_path), max_steps=1, report_to=[], use_cpu=True, disable_tqdm=True
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=args,
        train_dataset=source(8, "first"),
        loss=HybridContrastiveLoss(model),
    )
    BatchAuditCallback(trainer)
    with pytest.raises(BadOption, match="HybridBatchSampler"):
        trainer.train()
