"""HybridContrastiveLoss and its gradients against the formula, in float64 loops."""

import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor, nn

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.training.loss import HybridContrastiveLoss

N, DIM = 6, 8


def make_vectors(columns: int, seed: int = 0, n: int = N) -> list[Tensor]:
    torch.manual_seed(seed)
    tensors = [torch.randn(n, DIM, dtype=torch.float64) for _ in range(columns)]
    return [column.requires_grad_() for column in tensors]


def compute_cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm())


# The passage, the query's passages in three languages, and behind a -2 a hard negative.
# Row 1's passage is relevant for row 0 in another language, row 3's hard negative is relevant for
# row 2, and row 5 has the passage of row 4 though not the query's others.
LABELS = torch.tensor([
    [10, 10, 20, -1, -2, 90],
    [20, 21, 20, -1, -2, 91],
    [30, 30, 31, 32, -2, 92],
    [40, 40, -1, -1, -2, 31],
    [50, 50, 51, -1, -2, 94],
    [50, 50, -1, 52, -2, 20],
])  # fmt: skip


def compute_reference(
    columns: list[Tensor], labels: Tensor | None, t: float, *, symmetric: bool, weight: float
) -> Tensor:
    """Compute the loss by its formula, candidate by candidate."""
    translations = columns[-1] if weight else None
    texts = columns[:-1] if weight else columns
    q, d, hard = texts[0], texts[1], texts[2:]
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(q)):
        golds = set() if labels is None else {int(x) for x in labels[i, 1:4] if x >= 0}

        def number(column: int, j: int) -> int:
            return -7 if labels is None else int(labels[j, 0 if column == 0 else 4 + column])

        own_term = torch.exp(compute_cosine(q[i], d[i]) / t)
        denominator = own_term
        for column, candidates in enumerate([d, *hard]):
            for j in range(len(q)):
                if (column, j) != (0, i) and number(column, j) not in golds:
                    denominator = denominator + torch.exp(compute_cosine(q[i], candidates[j]) / t)
        loss = -torch.log(own_term / denominator)
        if symmetric:
            back = own_term
            for j in range(len(q)):
                is_relevant = labels is not None and int(labels[i, 0]) in labels[j, 1:4].tolist()
                if j != i and not is_relevant:
                    back = back + torch.exp(compute_cosine(q[j], d[i]) / t)
            loss = (loss - torch.log(own_term / back)) / 2
        if translations is not None:
            loss = loss + weight * (1 - compute_cosine(q[i], translations[i]))
        total = total + loss / len(q)
    return total


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("hard", [0, 1])
@pytest.mark.parametrize("t", [0.05, 1.0])
def test_loss_and_gradients_equal_the_formula(
    labelled: bool, symmetric: bool, weight: float, hard: int, t: float
) -> None:
    columns = make_vectors(2 + hard + bool(weight))
    labels = LABELS[:, : 4 + 2 * hard] if labelled else None
    loss = HybridContrastiveLoss(
        None, temperature=t, symmetric=symmetric, consistency=weight
    ).compute_loss_from_embeddings(columns, labels)
    expected = compute_reference(columns, labels, t, symmetric=symmetric, weight=weight)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-10)
    gradients = torch.autograd.grad(loss, columns)
    expected_gradients = torch.autograd.grad(expected, columns)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-10)


def test_two_queries_by_hand() -> None:
    # Two queries at right angles, each on its passage; at temperature 1: -log(e / (e + 1)).
    eye = torch.eye(2, dtype=torch.float64)
    loss = HybridContrastiveLoss(None, temperature=1.0)
    value = loss.compute_loss_from_embeddings([eye, eye])
    assert value.item() == pytest.approx(-math.log(math.e / (math.e + 1)))
    # The other passage is relevant too: no negative is left.
    labels = torch.tensor([[1, 1, 2], [2, 1, 2]])
    assert loss.compute_loss_from_embeddings([eye, eye], labels).item() == 0
    unmasked = HybridContrastiveLoss(None, temperature=1.0, mask=False)
    assert unmasked.compute_loss_from_embeddings([eye, eye], labels).item() == value.item()


def test_a_shared_thai_passage_is_masked_and_a_german_one_is_not() -> None:
    # Golds in German and Thai; the two queries share the Thai one alone.
    labels = torch.tensor([[7, 1, 7], [7, 2, 7]])  # both rows are Thai
    columns = make_vectors(2, n=2)
    loss = HybridContrastiveLoss(None)
    assert loss.compute_loss_from_embeddings(columns, labels).item() == 0
    german = torch.tensor([[1, 1, 7], [2, 2, 7]])
    plain = loss.compute_loss_from_embeddings(columns).item()
    assert loss.compute_loss_from_embeddings(columns, german).item() == plain > 0


@pytest.mark.parametrize("hard", [0, 2])
def test_loss_without_labels_is_multiple_negatives_ranking(hard: int) -> None:
    columns = make_vectors(2 + hard)
    reference_loss = MultipleNegativesRankingLoss(None, scale=1 / 0.07)  # type: ignore[arg-type] # no model
    expected = reference_loss.compute_loss_from_embeddings(columns, torch.empty(0))
    loss = HybridContrastiveLoss(None, temperature=0.07).compute_loss_from_embeddings(columns)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)


class LinearModel(nn.Module):
    """A model of one layer with dropout, with the interface that losses use."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(DIM, DIM, dtype=torch.float64)
        self.drop = nn.Dropout(0.5)

    def __getitem__(self, place: int) -> nn.Module:
        return [self.layer, self.drop][place]

    def get_embedding_dimension(self) -> int:
        return DIM

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": self.drop(self.layer(features["x"]))}


def compute_gradients(
    loss: nn.Module, model: nn.Module, columns: Iterable[Tensor], labels: Any
) -> Any:
    model.zero_grad()
    value = loss([{"x": column.detach()} for column in columns], labels)
    value.backward()
    return value.item(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("size", [1, 4, 6, 9])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_cached_gradients_equal_plain_ones(size: int, symmetric: bool, weight: float) -> None:
    model = LinearModel().eval()  # dropout off: rows of a chunk would draw other masks
    columns, labels = make_vectors(3 + bool(weight)), LABELS
    options: Any = {"symmetric": symmetric, "consistency": weight}
    plain = compute_gradients(HybridContrastiveLoss(model, **options), model, columns, labels)
    cached_loss = HybridContrastiveLoss(model, mini_batch_size=size, **options)
    outcome = compute_gradients(cached_loss, model, columns, labels)
    assert outcome[0] == pytest.approx(plain[0], abs=1e-10)
    for gradient, expected_gradient in zip(outcome[1], plain[1], strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-10)


def test_cached_loss_with_dropout_equals_sentence_transformers() -> None:
    model = LinearModel().train()
    columns = make_vectors(2)
    reference_loss = CachedMultipleNegativesRankingLoss(model, scale=20, mini_batch_size=4)  # type: ignore[arg-type]
    our_loss = HybridContrastiveLoss(model, mini_batch_size=4)
    results = []
    for loss in (reference_loss, our_loss):
        torch.manual_seed(3)
        results.append(compute_gradients(loss, model, columns, torch.empty(0)))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-12)
    for gradient, expected_gradient in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [None, 4])
def test_matryoshka_loss(size: int | None) -> None:
    model = LinearModel().eval()
    columns = make_vectors(2)
    loss = MatryoshkaLoss(
        model,  # type: ignore[arg-type] # not theirs, but called alike
        HybridContrastiveLoss(model, mini_batch_size=size),
        matryoshka_dims=[DIM, 4],
        matryoshka_weights=[1, 0.5],
    )
    value, _ = compute_gradients(loss, model, columns, LABELS[:, :4])
    embeddings = [model({"x": column})["sentence_embedding"] for column in columns]
    expected = sum(
        part
        * compute_reference(
            [c[:, :dim] for c in embeddings], LABELS[:, :4], 0.05, symmetric=False, weight=0
        )
        for dim, part in ((DIM, 1), (4, 0.5))
    )
    assert value == pytest.approx(float(torch.as_tensor(expected).detach()), abs=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature is 0; it must be a number above 0"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": "cold"}, "temperature is 'cold'"),
        ({"consistency": -1}, "consistency is -1"),
        ({"consistency": math.nan}, "consistency is nan"),
        ({"consistency": math.inf}, "consistency is inf"),
        ({"mini_batch_size": 0}, "mini_batch_size is 0"),
    ],
)
def test_invalid_options(options: Any, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        HybridContrastiveLoss(None, **options)


def test_invalid_labels_and_columns() -> None:
    loss = HybridContrastiveLoss(None)
    mixed = [[1, 1, -2, 3]] * 5 + [[1, 1, 1, 3]]
    languages = [[1, 1, -3, 5, 5]] * 5 + [[1, 1, 1, 5, 5]]
    for labels in (LABELS[:, :1], LABELS[:5], torch.tensor(mixed), torch.tensor(languages)):
        with pytest.raises(BadData, match=r"labels of shape .* do not fit 6 rows: they name the"):
            loss.compute_loss_from_embeddings(make_vectors(3), labels)
    with pytest.raises(BadData, match=r"needs queries and passages, not 1 column"):
        loss.compute_loss_from_embeddings(make_vectors(1))


@pytest.mark.parametrize("hard", [0, 1])
@pytest.mark.parametrize("mask", [True, False])
def test_number_of_columns_with_translations(hard: int, mask: bool) -> None:
    labels = LABELS[:, : 4 + 2 * hard]
    consistent = HybridContrastiveLoss(None, consistency=0.5, mask=mask)
    with pytest.raises(BadData, match=rf"a batch has {2 + hard} columns of texts, and by its "
                       rf"labels, with {hard} hard negatives, it should have {3 + hard}; with "
                       r"consistency .* train on with_translations\(\)"):  # fmt: skip
        consistent.compute_loss_from_embeddings(make_vectors(2 + hard), labels)
    plain = HybridContrastiveLoss(None, mask=mask)
    with pytest.raises(BadData, match=rf"a batch has {3 + hard} columns .* should have {2 + hard}; "
                       "translations are for a loss with consistency"):  # fmt: skip
        plain.compute_loss_from_embeddings(make_vectors(3 + hard), labels)


def test_a_repeated_hard_negative_counts_once() -> None:
    queries, passages, first, second = make_vectors(4, n=2)
    with torch.no_grad():
        second[0] = first[0]  # gone round in the first row alone
    labels = torch.tensor([[1, 1, -2, 7, 7], [2, 2, -2, 8, 9]])
    loss = HybridContrastiveLoss(None, temperature=0.5)
    value = loss.compute_loss_from_embeddings([queries, passages, first, second], labels)
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(2):
        candidates = [*passages, *first, second[1]]
        denominator = sum(
            torch.exp(compute_cosine(queries[i], candidate) / 0.5) for candidate in candidates
        )
        expected -= (
            torch.log(torch.exp(compute_cosine(queries[i], passages[i]) / 0.5) / denominator) / 2
        )
    assert value.item() == pytest.approx(expected.item(), abs=1e-12)
    # Two rows with one hard negative: it is a candidate of each.
    shared_labels = torch.tensor([[1, 1, -2, 7], [2, 2, -2, 7]])
    columns = [queries, passages, first]
    assert loss.compute_loss_from_embeddings(columns, shared_labels).item() == pytest.approx(
        compute_reference(columns, None, 0.5, symmetric=False, weight=0).item(), abs=1e-12
    )


def test_labels_without_passages_warn_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns, labels = make_vectors(2), torch.arange(N)
    for loss in (HybridContrastiveLoss(None, mask=False), HybridContrastiveLoss(None)):
        plain = loss.compute_loss_from_embeddings(columns, torch.empty(0)).item()
        assert not caplog.records
        for _ in range(2):
            assert loss.compute_loss_from_embeddings(columns, labels).item() == plain
    assert [record.getMessage() for record in caplog.records] == [
        "labels name no passages: nothing is masked; see ParallelPairs"
    ]


def test_similarities_have_single_precision() -> None:
    torch.manual_seed(2)
    base = torch.randn(32, 16)
    halves = [base.bfloat16(), (base + 0.3 * torch.randn(32, 16)).bfloat16()]
    loss = HybridContrastiveLoss(None, temperature=1.0)
    exact = loss.compute_loss_from_embeddings([column.double() for column in halves]).item()
    value = loss.compute_loss_from_embeddings(halves)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact, rel=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast_value = loss.compute_loss_from_embeddings([column.float() for column in halves])
    assert autocast_value.dtype == torch.float32
    assert autocast_value.item() == pytest.approx(exact, rel=1e-6)
