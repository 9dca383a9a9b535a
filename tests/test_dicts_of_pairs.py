"""Pairs in a dict, as sentence-transformers takes datasets, are an error that says what to do."""

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


def trainer(folder: Path, pairs: Any, **arguments: Any) -> SentenceTransformerTrainer:
    model = static_model()
    args = SentenceTransformerTrainingArguments(
        str(folder), max_steps=3, per_device_train_batch_size=4, report_to=[], use_cpu=True,
        disable_tqdm=True, save_strategy="no",
        batch_sampler=bh.HybridBatchSampler.configure("hybrid"),
        **arguments,
    )  # fmt: skip
    loss = bh.HybridContrastiveLoss(model)
    return SentenceTransformerTrainer(model, args, train_dataset=pairs, loss=loss)


def parts() -> dict[str, Any]:
    """Return a few groups and many: numbers of the first are rows of the second, if shifted."""
    return {
        "few": bh.pairs_from_groups(make_groups(8), name="few"),
        "many": bh.pairs_from_groups(make_groups(300)),
    }


@pytest.mark.parametrize("how", ["proportional", "round_robin"])
@pytest.mark.parametrize("kind", [dict, DatasetDict])
def test_a_dict(how: str, kind: type, tmp_path: Path) -> None:
    made = trainer(tmp_path, kind(parts()), multi_dataset_batch_sampler=how)
    with pytest.raises(BadOption, match=r"not in a dict or DatasetDict: .* bh\.join_pairs"):
        made.train()


def test_a_dict_of_one_and_prompts_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"bh\.join_pairs\(list\(pairs\.values\(\)\)\)"):
        trainer(tmp_path, {"few": parts()["few"]}).train()
    with pytest.raises(BadOption, match=r"bh\.join_pairs"):
        trainer(tmp_path, parts(), prompts={"few": "w1 ", "many": "w2 "})


def test_what_the_error_says(tmp_path: Path) -> None:
    made = trainer(tmp_path, bh.join_pairs(list(parts().values())))
    audit = bh.BatchAuditCallback(made)
    made.train()
    assert audit.audit.rows.total() == audit.audit.sources.total() == 12
    assert audit.audit.sources.keys() == {"few", "pairs"}
