"""Sparse, late-interaction and cross-encoder models learn from hybrid batches, golds masked."""
# mypy: allow-untyped-calls

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ir_measures import AP
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SparseEncoder
from sentence_transformers.cross_encoder.losses import MultipleNegativesRankingLoss
from sentence_transformers.multi_vector_encoder.losses import (
    MultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.sparse_encoder.losses import (
    SparseMultipleNegativesRankingLoss,
    SpladeLoss,
)

import beir_hybrid as bh
from beir_hybrid.encoding import as_encoder
from beir_hybrid.errors import BadOption, UnknownName
from beir_hybrid.training.batch_labels import BatchLabels, find_masked
from beir_hybrid.training.family_losses import HybridCrossLoss, HybridLateLoss, HybridSparseLoss
from tests.families import make_cross, make_late, make_sparse, save_body, save_dense
from tests.small_collections import write_parallel_words
from tests.test_cli_evaluate import RunCli, run_cli
from tests.word_encoder import WordCountEncoder

__all__ = ["run_cli"]
COLUMNS = [["w1 w2", "w3", "w4 w5", "w6"], ["w2", "w3 w7", "w5", "w1 w9"], ["w8", "w1", "w2", "w7"]]
# Passage and the two golds of each query: that of row 3 is a gold of query 0, too; no languages.
GOLDS = [[10, 10, 13], [11, 11, -1], [12, 12, -1], [13, 13, -1]]
HARD = [[20], [21], [22], [13]]
LABELS = torch.tensor([[*gold, -2, *hard] for gold, hard in zip(GOLDS, HARD, strict=True)])
# Passages, then hard negatives: 0 leaves out passage 3 and hard negative 3; row 3 its hard one.
MASKED = {0: {3, 7}, 1: set(), 2: set(), 3: {7}}


def expect_loss(scores: torch.Tensor, masked: dict[int, set[int]]) -> float:
    """Return the mean loss of scores, (rows, candidates), each row without its masked ones."""
    losses = []
    for row, values in enumerate(scores.double().tolist()):
        rest = [value for place, value in enumerate(values) if place not in masked[row]]
        losses.append(torch.logsumexp(torch.tensor(rest), 0).item() - values[row])
    return sum(losses) / len(losses)


def read_columns(model: Any) -> list[dict[str, Any]]:
    """Return the features of columns, as a trainer hands them to a loss."""
    tasks = ["query", "document", "document"]
    return [
        {**model.preprocess(column, task=task), "task": task}
        for column, task in zip(COLUMNS, tasks, strict=True)
    ]


def test_the_loss_of_sparse_models(tmp_path: Path) -> None:
    model = make_sparse(tmp_path).eval()
    theirs = SpladeLoss(model, SparseMultipleNegativesRankingLoss(model), 3e-5, 5e-5)
    ours = HybridSparseLoss(model)
    expected, losses = theirs(read_columns(model)), ours(read_columns(model))
    assert losses.keys() == expected.keys() == {
        "base_loss", "document_regularizer_loss", "query_regularizer_loss",
    }  # fmt: skip
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-5)
    vectors = [model.encode(column).to_dense() for column in COLUMNS]
    scores = vectors[0] @ torch.cat(vectors[1:]).T / 2
    ours = HybridSparseLoss(model, temperature=2, query_weight=0, passage_weight=0)
    masked_losses = ours(read_columns(model), LABELS)
    assert masked_losses["base_loss"].item() == pytest.approx(expect_loss(scores, MASKED), rel=1e-5)
    assert masked_losses["query_regularizer_loss"].item() == 0
    unmasked = HybridSparseLoss(model, temperature=2, mask=False)(read_columns(model), LABELS)
    nothing: dict[int, set[int]] = {row: set() for row in range(4)}
    assert unmasked["base_loss"].item() == pytest.approx(expect_loss(scores, nothing), rel=1e-5)


def test_the_loss_of_late_interaction(tmp_path: Path) -> None:
    model = make_late(tmp_path).eval()
    theirs = MultiVectorMultipleNegativesRankingLoss(model)
    expected = theirs(read_columns(model)).item()
    assert HybridLateLoss(model)(read_columns(model)).item() == pytest.approx(expected, rel=1e-5)
    queries, passages = COLUMNS[0], [*COLUMNS[1], *COLUMNS[2]]
    vectors = [model.encode_query(queries), model.encode_document(passages)]
    scores = torch.tensor(
        [[(q @ p.T).max(dim=1).values.sum().item() / 2 for p in vectors[1]] for q in vectors[0]]
    )
    loss = HybridLateLoss(model, temperature=2)(read_columns(model), LABELS)
    assert loss.item() == pytest.approx(expect_loss(scores, MASKED), rel=1e-5)


def test_the_loss_of_cross_encoders(tmp_path: Path) -> None:
    model = make_cross(tmp_path).eval()
    theirs = MultipleNegativesRankingLoss(model, num_negatives=None)
    expected = theirs(COLUMNS, torch.empty(0)).item()
    ours = HybridCrossLoss(model, negatives=99)
    assert ours(COLUMNS).item() == pytest.approx(expected, rel=1e-5)
    queries, passages = COLUMNS[0], [*COLUMNS[1], *COLUMNS[2]]
    logits = [model.predict([(q, p) for p in passages], activation_fn=torch.nn.Sigmoid())
              for q in queries]  # fmt: skip
    scores = 10 * torch.stack([torch.as_tensor(row) for row in logits])
    loss = ours(COLUMNS, [*LABELS])  # as their collator gives labels
    assert loss.item() == pytest.approx(expect_loss(scores, MASKED), rel=1e-5)


def test_negatives_of_cross_encoders_are_drawn_among_the_allowed(tmp_path: Path) -> None:
    loss = HybridCrossLoss(make_cross(tmp_path), negatives=2)
    torch.manual_seed(1)
    drawn: dict[int, set[int]] = {row: set() for row in range(4)}
    for _ in range(60):
        chosen = loss.choose_candidates(4, 2, [*LABELS])
        for row, candidates in enumerate(chosen):
            own = {row, row + 4} - MASKED[row]
            places = set(candidates.nonzero().flatten().tolist())
            assert own <= places
            assert len(places - own) == 2
            drawn[row] |= places - own
    everything = set(range(8))
    assert drawn == {row: everything - MASKED[row] - {row, row + 4} for row in range(4)}


def test_evaluations_of_cross_encoders_draw_the_same_negatives(tmp_path: Path) -> None:
    """Else two checkpoints would differ by chance, and the training by its evaluations."""
    loss = HybridCrossLoss(make_cross(tmp_path).train(), negatives=2)
    drawn = [loss.choose_candidates(32, 1, None) for _ in range(2)]
    assert not torch.equal(*drawn)
    loss.model.eval()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    drawn = [loss.choose_candidates(32, 1, None) for _ in range(2)]
    assert torch.equal(*drawn)
    assert torch.equal(torch.get_rng_state(), state)
    assert (drawn[0].sum(dim=1) == 3).all()


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])


def make_base(architecture: str) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        save_body(folder, architecture, seed=5)
        return folder

    return save


def make_saved(make: Callable[[Path], Any]) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        make(folder / "parts").save_pretrained(str(folder / "saved"))
        return folder / "saved"

    return save


# Random weights of such a size make large scores, which temperatures bring down.
OPTIONS: dict[str, dict[str, Any]] = {
    "sparse": {"loss": {"temperature": 20}, "learning_rate": 2e-2, "max_steps": 150},
    "late-interaction": {"learning_rate": 1e-2, "max_steps": 100},
    "cross-encoder": {
        "loss": {"temperature": 1, "negatives": 16}, "learning_rate": 5e-3, "max_steps": 300,
    },
}  # fmt: skip
CASES = [
    ("sparse", make_saved(make_sparse), SparseEncoder, None),
    ("sparse", make_base("BertForMaskedLM"), SparseEncoder, "sparse"),
    ("late-interaction", make_saved(make_late), MultiVectorEncoder, None),
    ("late-interaction", make_base("BertModel"), MultiVectorEncoder, "late"),
    ("cross-encoder", make_saved(make_cross), CrossEncoder, None),
    ("cross-encoder", make_base("BertModel"), CrossEncoder, "cross"),
]


def measure(family: str, model: Any, collection: bh.Collection, store: Path) -> float:
    """Return AP of a model in the pool; a cross-encoder reranks all passages."""
    rerank = {"rerank": model, "depth": 200} if family == "cross-encoder" else {}
    system: Any = WordCountEncoder() if rerank else model
    results = bh.evaluate(
        system, collection, measures="AP", settings="multi", store=store, **rerank
    )
    return results.summary()["multi"][AP].mean


@pytest.mark.parametrize(("family", "make", "model_class", "name"), CASES)
def test_a_tiny_model_learns(
    tmp_path: Path, words: Path, family: str, make: Any, model_class: Any, name: str | None
) -> None:
    folder, out = make(tmp_path / "start"), tmp_path / "out"
    collection = bh.load("jsonl", path=str(words))
    arguments = {"family": name, "per_device_train_batch_size": 24, "seed": 1, **OPTIONS[family]}
    pairs = bh.pairs_from_collection(collection)
    model = bh.train(folder, pairs, out, **arguments)
    assert type(model) is model_class
    after = measure(family, str(out / "model"), collection, tmp_path / "1")
    assert after > 0.15  # by chance .05
    if name is None:
        assert after > 1.3 * measure(family, str(folder), collection, tmp_path / "2")
    record = json.loads((out / "training.json").read_text("utf-8"))
    assert record["steps"] == arguments["max_steps"]
    assert {*record["audit"]["batches"]} == {"mono", "cross-rows"}
    # A finished training is loaded.
    stamp = (out / "training.json").stat().st_mtime_ns
    bh.train(folder, pairs, out, **arguments)
    assert (out / "training.json").stat().st_mtime_ns == stamp


def test_the_best_checkpoint_of_a_sparse_model_is_chosen(tmp_path: Path, words: Path) -> None:
    folder = make_saved(make_sparse)(tmp_path / "start")
    collection = bh.load("jsonl", path=str(words))
    model = bh.train(
        folder, bh.pairs_from_collection(collection), tmp_path / "out",
        dev=bh.DevSet(collection, primary="multi_AP"), loss={"passage_weight": 1e-3},
        max_steps=20, eval_strategy="steps", eval_steps=10, per_device_train_batch_size=12,
        learning_rate=1e-2,
    )  # fmt: skip
    best = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))["best"]
    assert best["metric"] == "eval_words_multi_AP"
    assert measure("sparse", model, collection, tmp_path / "1") == pytest.approx(best["value"])


def test_the_command(run_cli: RunCli, tmp_path: Path, words: Path) -> None:
    folder = make_base("BertModel")(tmp_path / "start")
    line = ["train", folder, "--family", "late", "--train", "jsonl", "-o", f"path={words}"]
    line += ["--max-steps", "2", "--output", tmp_path / "out", "--temperature", "2"]
    outcome = run_cli(*line)
    assert outcome.code == 0
    assert outcome.out.endswith(f"saved in {tmp_path / 'out' / 'model'}\n")
    recipe = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))["recipe"]
    assert recipe["loss"] == {"temperature": 2}
    assert as_encoder(str(tmp_path / "out" / "model")).family == "late-interaction"
    refused = run_cli(*line, "--symmetric")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "no option of the loss 'symmetric'" in refused.err


def test_what_cannot_be_trained_so(tmp_path: Path, words: Path) -> None:
    collection = bh.load("jsonl", path=str(words))
    pairs = bh.pairs_from_collection(collection)
    sparse, dense = make_saved(make_sparse)(tmp_path / "a"), save_dense(tmp_path)
    cross = make_saved(make_cross)(tmp_path / "c")
    for model, options, message in (
        (sparse, {"family": "late"}, "is a sparse model .* and a late-interaction one is wanted"),
        (dense, {"family": "sparse"}, "is a dense model .* and a sparse one is wanted"),
        (dense, {"family": "dens"}, "no family 'dens'; did you mean 'dense'"),
        (sparse, {"loss": {"symmetric": True}}, "no option of the loss 'symmetric'"),
        (cross, {"dev": collection}, "a cross-encoder reranks what others retrieve"),
        (cross, {"encoder": {"query_prompt": "a"}}, "query_prompt does not apply to .*, a cross-"),
        (cross, {"loss": {"negatives": 0}}, "negatives is 0; it must be a whole number"),
    ):
        with pytest.raises((BadOption, UnknownName), match=message):
            bh.train(str(model), pairs, tmp_path / "out", max_steps=1, **options)


def test_a_temperature_is_read_whatever_its_value(
    run_cli: RunCli, tmp_path: Path, words: Path
) -> None:
    folder = make_base("BertModel")(tmp_path / "start")
    line = ["train", folder, "--family", "late", "--train", "jsonl", "-o", f"path={words}"]
    line += ["--max-steps", "1", "--output", tmp_path / "out", "--temperature", "0.05"]
    assert run_cli(*line).code == 0
    recipe = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))["recipe"]
    assert recipe["loss"] == {"temperature": 0.05}


def test_sparse_models_are_compared(run_cli: RunCli, tmp_path: Path, words: Path) -> None:
    line = ["--train", "jsonl", "-o", f"path={words}", "--test", words, "--strategy", "x-y"]
    line += ["--seed", 1, "--max-steps", 1, "--output", tmp_path / "out"]
    outcome = run_cli("ablate", make_saved(make_sparse)(tmp_path / "start"), *line)
    assert outcome.code == 0, outcome.err
    refused = run_cli("ablate", make_saved(make_cross)(tmp_path / "cross"), *line)
    assert (refused.code, "ranks no collection by itself" in refused.err) == (2, True)


def test_a_hard_negative_that_is_repeated_counts_once() -> None:
    """With the mask and without, for each family."""
    passages, golds = torch.tensor([[1], [2]]), torch.tensor([[1], [2]])
    hard = torch.tensor([[7, 7], [8, 9]])
    labels = BatchLabels(passages[:, 0], golds, hard, torch.zeros(2, 0))
    masked = find_masked(labels.drop_golds(), torch.arange(2))
    # Candidates: both passages, the first and the second hard negatives of both rows.
    assert masked.tolist() == [[False] * 4 + [True, False]] * 2
