"""The loss without the language: running means against their formula, row by row."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.training.language_means import MEANS, LanguageMeans
from beir_hybrid.training.loss import HybridContrastiveLoss
from beir_hybrid.training.train import train
from tests.models import static_model
from tests.test_loss import LABELS, LinearModel, compute_gradients, make_vectors
from tests.test_resume_training import simulate_kill
from tests.test_train import SMALL, flatten_weights
from tests.training_run import make_groups

P = 0.9
DE, EN, TH, IMAGE = 11, 12, 13, 99
# The languages of queries, passages and translations in three batches of six rows. Thai is new in
# the second, an image in the third; the first is in one language alone.
BATCHES = (
    [[DE, DE, EN]] * 6,
    [[DE, TH, TH], [EN, EN, DE], [TH, DE, DE], [EN, TH, TH], [DE, EN, EN], [EN, DE, DE]],
    [[DE, IMAGE, EN], [EN, TH, TH], [EN, IMAGE, TH], [TH, IMAGE, EN], [DE, DE, EN], [TH, TH, DE]],
)


class ReferenceMeans:
    """Means by the weights of the formula: the k-th last row has (1 - p) p^k of the sum.

    Within a batch rows count alike, so that each of n has (1 - p^n) / n.
    """

    def __init__(self) -> None:
        self.batches: dict[tuple[str, int], list[Tensor]] = {}

    def get_mean(self, role: str, language: int) -> Tensor:
        mean = torch.zeros(8, dtype=torch.float64)
        later_rows = 0
        for rows in reversed(self.batches.get((role, language), [])):
            n = len(rows)
            mean += P**later_rows * (1 - P**n) * rows.mean(dim=0)
            later_rows += n
        return mean

    def add(self, role: str, languages: list[int], vectors: Tensor) -> None:
        for language in set(languages):
            rows = [i for i, name in enumerate(languages) if name == language]
            self.batches.setdefault((role, language), []).append(vectors[rows].detach())


def split_roles(columns: int, weight: float) -> list[int]:
    """Return the column of languages of each column of vectors."""
    return [0, *[1] * (columns - 1 - bool(weight)), *([2] if weight else [])]


def centre_by_formula(
    means: ReferenceMeans, columns: list[Tensor], languages: list[list[int]], weight: float
) -> list[Tensor]:
    """Take the means out of unit vectors, row by row, and add these to the means."""
    places = split_roles(len(columns), weight)
    units = [column / column.norm(dim=1, keepdim=True) for column in columns]
    roles = ["passages" if place == 1 else "queries" for place in places]
    centred = [
        torch.stack([
            row - means.get_mean(role, names[place])
            for row, names in zip(unit, languages, strict=True)
        ])
        for unit, role, place in zip(units, roles, places, strict=True)
    ]  # fmt: skip
    hard = range(2, len(columns) - bool(weight))  # in languages of which labels tell nothing
    for role in ("queries", "passages"):
        chosen = [i for i, name in enumerate(roles) if name == role and i not in hard]
        rows = torch.cat([units[i] for i in chosen])
        means.add(role, [names[places[i]] for i in chosen for names in languages], rows)
    return centred


def make_labels(languages: list[list[int]], hard: int, weight: float) -> Tensor:
    numbers = torch.tensor(languages)[:, : 2 + bool(weight)]
    mark = torch.full((len(languages), 1), -3)
    return torch.cat([LABELS[:, : 4 + 2 * hard], mark, numbers], dim=1)


@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"mask": False}])
@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("hard", [0, 1])
def test_loss_and_gradients_equal_the_formula(options: Any, weight: float, hard: int) -> None:
    centred_loss = HybridContrastiveLoss(None, centre=P, consistency=weight, **options)
    plain_loss = HybridContrastiveLoss(None, consistency=weight, **options)
    means = ReferenceMeans()
    for seed, languages in enumerate(BATCHES):
        columns = make_vectors(2 + hard + bool(weight), seed)
        labels = make_labels(languages, hard, weight)
        loss = centred_loss.compute_loss_from_embeddings(columns, labels)
        # The plain loss is tested against its formula elsewhere.
        expected = plain_loss.compute_loss_from_embeddings(
            centre_by_formula(means, columns, languages, weight), labels
        )
        assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
        if not seed:  # every language is new, and nothing is taken out
            plain_value = plain_loss.compute_loss_from_embeddings(columns, labels).item()
            assert loss.item() == pytest.approx(plain_value, abs=1e-12)
        gradients = torch.autograd.grad(loss, columns)
        expected_gradients = torch.autograd.grad(expected, columns)
        for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
            torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)
    names = {(role, language) for role, language, _ in centred_loss.language_means.values}
    assert names == {
        ("queries", DE), ("queries", EN), ("queries", TH),
        ("passages", DE), ("passages", EN), ("passages", TH), ("passages", IMAGE),
    }  # fmt: skip
    for (role, language, _), mean in centred_loss.language_means.values.items():
        torch.testing.assert_close(mean, means.get_mean(role, language), rtol=0, atol=1e-12)
        assert not mean.requires_grad


def test_means_by_hand() -> None:
    # Three queries in one language; p is .5, so that the batch of two has the share .75.
    loss = HybridContrastiveLoss(None, temperature=1.0, centre=0.5)
    means = loss.language_means.values
    labels = torch.tensor([[1, 1, -3, DE, EN], [2, 2, -3, DE, EN]])
    loss.compute_loss_from_embeddings([3 * torch.eye(2), torch.eye(2)], labels)
    assert means["queries", DE, 2].tolist() == [0.375, 0.375]
    loss.compute_loss_from_embeddings([torch.tensor([[0.0, 2.0]])] * 2, labels[:1])
    assert means["queries", DE, 2].tolist() == [0.1875, 0.6875]
    assert means["passages", EN, 2].tolist() == [0.1875, 0.6875]
    assert set(means) == {("queries", DE, 2), ("passages", EN, 2)}


def test_equal_texts_of_a_language_leave_finite_gradients() -> None:
    loss = HybridContrastiveLoss(None, centre=0.99)
    columns = [torch.ones(6, 8, requires_grad=True) for _ in range(2)]
    labels = make_labels(BATCHES[0], 0, 0)
    for _ in range(50):
        value = loss.compute_loss_from_embeddings(columns, labels)
        assert all(grad.isfinite().all() for grad in torch.autograd.grad(value, columns))


def test_evaluation_leaves_the_means_as_they_are() -> None:
    model = LinearModel()
    loss = HybridContrastiveLoss(model, centre=P)
    compute_gradients(loss, model, make_vectors(2), make_labels(BATCHES[1], 0, 0))
    before = {key: mean.clone() for key, mean in loss.language_means.values.items()}
    model.eval()  # as the trainer does, which leaves the loss in training
    assert loss.training
    features = [{"x": column.detach()} for column in make_vectors(2, seed=3)]
    with torch.no_grad():
        values = [loss(features, make_labels(BATCHES[2], 0, 0)).item() for _ in range(2)]
    assert values[0] == values[1]
    assert before.keys() == loss.language_means.values.keys()
    for key, mean in before.items():
        assert torch.equal(mean, loss.language_means.values[key])


@pytest.mark.parametrize("size", [1, 4, 9])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_cached_gradients_equal_plain_ones(size: int, weight: float) -> None:
    model = LinearModel()
    model.drop.p = 0.0  # rows of a chunk would draw other masks
    options: Any = {"consistency": weight, "centre": P}
    plain_loss = HybridContrastiveLoss(model, **options)
    cached_loss = HybridContrastiveLoss(model, mini_batch_size=size, **options)
    for seed, languages in enumerate(BATCHES):
        columns, labels = make_vectors(3 + bool(weight), seed), make_labels(languages, 1, weight)
        plain = compute_gradients(plain_loss, model, columns, labels)
        outcome = compute_gradients(cached_loss, model, columns, labels)
        assert outcome[0] == pytest.approx(plain[0], abs=1e-10)
        for gradient, expected_gradient in zip(outcome[1], plain[1], strict=True):
            torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-10)
    for key, mean in plain_loss.language_means.values.items():
        torch.testing.assert_close(cached_loss.language_means.values[key], mean)


def test_languages_in_labels_change_nothing_without_centre() -> None:
    columns = make_vectors(3)
    loss = HybridContrastiveLoss(None)
    plain = loss.compute_loss_from_embeddings(columns, LABELS)
    labelled = loss.compute_loss_from_embeddings(columns, make_labels(BATCHES[1], 1, 0))
    assert torch.equal(plain, labelled)
    assert loss.language_means.values == {}


def test_labels_without_languages() -> None:
    for labels, weight in ((LABELS[:, :4], 0), (torch.arange(6), 0), (None, 0),
                           (make_labels(BATCHES[1], 0, 0), 0.3)):  # fmt: skip
        loss = HybridContrastiveLoss(None, centre=P, consistency=weight)
        with pytest.raises(BadData, match="centre needs labels that name the languages of a row's"):
            loss.compute_loss_from_embeddings(make_vectors(2 + bool(weight)), labels)


@pytest.mark.parametrize("value", [1, 1.5, -0.1, float("nan"), "much", True])
def test_momenta_that_make_no_sense(value: Any) -> None:
    with pytest.raises(BadOption, match=r"centre is .*; it must be a number between 0 and 1"):
        HybridContrastiveLoss(None, centre=value)


def test_means_are_saved_to_the_bit(tmp_path: Path) -> None:
    means = LanguageMeans(P)
    means.update("queries", torch.randn(5, 3), torch.tensor([1, 1, 2, 2, 2]))
    means.update("passages", torch.randn(5, 4, dtype=torch.float64), torch.full((5,), 2**62))
    means.save(tmp_path / "means")
    loaded_means = LanguageMeans(P)
    loaded_means.load(tmp_path / "means")
    assert loaded_means.values.keys() == means.values.keys()
    for key, value in means.values.items():
        assert torch.equal(loaded_means.values[key], value)
    (tmp_path / "means").write_bytes(b"no means")
    with pytest.raises(BadData, match="has no means of languages"):
        loaded_means.load(tmp_path / "means")
    with pytest.raises(BadData, match="there is no file"):
        loaded_means.load(tmp_path / "others")


@pytest.mark.parametrize("after", [3, 6])
def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    pairs = bh.pairs_from_groups(make_groups(42))
    options: dict[str, Any] = SMALL | {
        "max_steps": 9, "save_steps": 3, "save_total_limit": 3, "loss": {"centre": P},
    }  # fmt: skip
    dev = bh.pairs_from_groups(make_groups(12), languages=["th", "de"])  # in another order
    options |= {
        "dev": dev, "eval_strategy": "steps", "eval_steps": 3, "load_best_model_at_end": False,
    }  # fmt: skip
    whole = flatten_weights(train(static_model(), pairs, tmp_path, **options))
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["recipe"]["loss"] == {"centre": P}
    simulate_kill(tmp_path, after=after)
    resumed = flatten_weights(train(static_model(), pairs, tmp_path, **options))
    np.testing.assert_array_equal(resumed, whole)
    # A checkpoint without its means is passed over.
    simulate_kill(tmp_path, after=after)
    (tmp_path / "checkpoints" / f"checkpoint-{after}" / MEANS).unlink()
    resumed = flatten_weights(train(static_model(), pairs, tmp_path, **options))
    np.testing.assert_array_equal(resumed, whole)
    # With means that begin anew the weights are others.
    simulate_kill(tmp_path, after=after)
    monkeypatch.setattr(LanguageMeans, "load", lambda _means, _path: None)
    assert not np.array_equal(
        flatten_weights(train(static_model(), pairs, tmp_path, **options)), whole
    )
    shutil.rmtree(tmp_path)
    plain = train(static_model(), pairs, tmp_path, **options | {"loss": {}})
    assert not np.array_equal(flatten_weights(plain), whole)
    assert not list(tmp_path.rglob(MEANS))
