"""Dicts of pairs, as sentence-transformers takes datasets, are refused with the cure."""

from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

import beir_hybrid as bh
from beir_hybrid.errors import BadOption
from tests.models import static_model
from tests.training_run import make_groups

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")


def make_trainer(folder: Path, pairs: Any, **arguments: Any) -> SentenceTransformerTrainer:
    model = static_model()
    args = SentenceTransformerTrainingArguments(
        str(folder), max_steps=3, per_device_train_batch_size=4, report_to=[], use_cpu=True,
        disable_tqdm=True, save_strategy="no",
        batch_sampler=bh.HybridBatchSampler.configure("hybrid"),
        **arguments,
    )  # fmt: skip
    loss = bh.HybridContrastiveLoss(model)
    return SentenceTransformerTrainer(model, args, train_dataset=pairs, loss=loss)


def make_sources() -> dict[str, Any]:
    """Return a few groups and many: numbers of the first are rows of the second, if shifted."""
    return {
        "few": bh.pairs_from_groups(make_groups(8), name="few"),
        "many": bh.pairs_from_groups(make_groups(300)),
    }


@pytest.mark.parametrize("order", ["proportional", "round_robin"])
@pytest.mark.parametrize("mapping", [dict, DatasetDict])
def test_a_dict_of_pairs_is_refused(order: str, mapping: type, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, mapping(make_sources()), multi_dataset_batch_sampler=order)
    with pytest.raises(BadOption, match=r"not in a dict or DatasetDict: .* bh\.join_pairs"):
        trainer.train()


def test_a_dict_of_one_source_and_prompts_by_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"bh\.join_pairs\(list\(pairs\.values\(\)\)\)"):
        make_trainer(tmp_path, {"few": make_sources()["few"]}).train()
    with pytest.raises(BadOption, match=r"bh\.join_pairs"):
        make_trainer(tmp_path, make_sources(), prompts={"few": "w1 ", "many": "w2 "})


def test_joined_pairs_are_trained_on(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, bh.join_pairs(list(make_sources().values())))
    audit = bh.BatchAuditCallback(trainer)
    trainer.train()
    assert audit.counts.rows.total() == audit.counts.sources.total() == 12
    assert audit.counts.sources.keys() == {"few", "pairs"}
