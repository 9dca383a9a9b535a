"""Calibrated results stand below their model on a leaderboard, with what that changes."""
# mypy: allow-untyped-calls

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding import Embeddings
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.report.board import build_board
from beir_hybrid.report.entry_files import read_entries
from beir_hybrid.results.compare import compare
from beir_hybrid.results.provenance import ModelProvenance
from beir_hybrid.results.render import format_signed, format_value
from tests.boards import Page, evaluate_system
from tests.leaderboard_fixtures import capitals, module_cache, read_rows

__all__ = ["capitals", "module_cache"]

KINDS: tuple[KindName, ...] = (
    "mono",
    "cross",
    "multi",
)  # a score method has no setting with one target
METHOD = "round-robin"
FAILURES = [("de", number) for number in range(6)]


def evaluate_biased(collection: Collection, **options: Any) -> bh.Results:
    """Evaluate vectors that rank all passages in the query's language before all others.

    In each language the answer is first, so that the three are at 1, 13 and 14 of the pool, and at
    1, 2 and 3 where languages take turns.
    """
    ids = [table["id"].to_pylist() for table in (collection.queries, collection.passages)]
    queries, passages = (np.array(names) for names in ids)
    languages, numbers = (
        [np.array([name[part] for name in names]) for names in (queries, passages)]
        for part in (slice(2), slice(-2, None))
    )
    is_own, is_answer = (side[0][:, None] == side[1] for side in (languages, numbers))
    system = CollectionVectors(
        Embeddings.from_array((2.0 * is_own + is_answer).astype(np.float32)),
        Embeddings.from_array(np.eye(len(passages), dtype=np.float32)),
        ModelProvenance("own", fingerprint={"kind": "vectors"}),
    )
    return bh.evaluate(system, collection, settings=KINDS, **options)


def mark_model(results: bh.Results, weights: str) -> bh.Results:
    """Return results of a model with other weights."""
    provenance = results.provenance
    model = replace(provenance.model, fingerprint={"kind": "vectors", "weights": weights})
    return replace(results, provenance=replace(provenance, model=model))


@pytest.fixture(scope="module")
def systems(capitals: Collection) -> dict[str, bh.Results]:
    """Give a biased model with a calibration and without, a middling one, and one that is alone."""
    alone = evaluate_system("alone", capitals, is_biased=True, calibration=METHOD, settings=KINDS)
    lossy = evaluate_system("lossy", capitals, failures=FAILURES, settings=KINDS)
    return {
        "own": mark_model(evaluate_biased(capitals), "a"),
        "round": mark_model(evaluate_biased(capitals, calibration=METHOD), "a"),
        "lossy": mark_model(lossy, "b"),
        "alone": mark_model(alone, "c"),
    }


def test_a_variant_stands_below_its_model(systems: dict[str, bh.Results], tmp_path: Path) -> None:
    index = bh.leaderboard(systems.values(), tmp_path / "site")
    page = Page(index)
    rows = read_rows(page)
    own, variant = systems["own"], systems["round"]
    mean, plain_mean = (results.summary()["multi"][AP].mean for results in (variant, own))
    assert (mean, plain_mean) == pytest.approx((1, (1 + 2 / 13 + 3 / 14) / 3))
    # lossy is better than the model without the calibration, and worse than with it.
    names = [name.replace("calibrated", "") for name in rows]
    assert names == ["own", f"own + {METHOD}", "lossy", f"alone + {METHOD}"]
    row = rows[f"own + {METHOD}calibrated"]
    assert row["Mul gain"].startswith(format_signed(mean - plain_mean))
    (comparison,) = [c for c in compare(variant, own, measures=["AP"]) if c.setting == "multi"]
    difference = comparison.difference
    interval = f"{format_signed(difference.low)} to {format_signed(difference.high)}"
    assert interval in page.text
    assert [rows[name]["Mul gain"] for name in rows if "own +" not in name] == ["", "", ""]
    groups = index.read_text("utf-8").split("<tbody>")[1:]
    counts = [group.partition("</tbody>")[0].count("<tr") for group in groups]
    assert counts[:3] == [2, 1, 1]
    # The pages of both have the difference, or lead to it.
    text = (index.parent / "models" / "capitals-own-round-robin.html").read_text("utf-8")
    assert 'The same model without calibration: <a href="capitals-own.html">own</a>' in text
    table = Page(index.parent / "models" / "capitals-own-round-robin.html").find_table(
        "With the calibration and without"
    )
    cells = {row[0]: row[1:] for row in table[1:]}
    assert cells["AP, multilingual"] == [
        format_value(mean), format_value(plain_mean), format_signed(mean - plain_mean), interval,
    ]  # fmt: skip
    assert cells["AP, monolingual"][2] == ".0000"  # languages are merged in the pool alone
    assert "RankDistance, multilingual" in cells
    assert "RankDistance, monolingual" not in cells
    plain_text = (index.parent / "models" / "capitals-own.html").read_text("utf-8")
    assert "With a calibration:" in plain_text
    assert '<a href="capitals-own-round-robin.html">' in plain_text
    records = json.loads((index.parent / "leaderboard.json").read_text())["systems"]
    assert [record["calibration"] for record in records] == [None, METHOD, None, METHOD]


def test_a_group_has_the_place_of_its_best_member(systems: dict[str, bh.Results]) -> None:
    lossy, own, variant = read_entries([systems[name] for name in ("lossy", "own", "round")])
    board = build_board([lossy, variant, own])
    assert [[row.entry for row in group] for group in board.groups] == [[own, variant], [lossy]]
    # Comparisons are of the best systems, whatever group they are in.
    assert board.systems == [variant, lossy, own]
    assert board.pairs[0] == (variant, lossy)
    # As if the calibration helped less.
    estimate = replace(variant.summary["multi"]["AP"], mean=0.5)
    summary = {**variant.summary, "multi": {**variant.summary["multi"], "AP": estimate}}
    worse = replace(variant, summary=summary)
    board = build_board([worse, own, lossy])
    assert [[row.entry for row in group] for group in board.groups] == [[lossy], [own, worse]]


def test_only_the_same_model_with_the_same_reranker_is_the_model_of_a_variant(
    systems: dict[str, bh.Results],
) -> None:
    own, variant = systems["own"], systems["round"]
    named = replace(
        variant.provenance, model=replace(variant.provenance.model, name="the best of all")
    )
    board = build_board(read_entries([own, replace(variant, provenance=named)]))
    assert [row.entry.name for row in board.groups[0]] == ["own", "the best of all"]
    assert board.groups[0][1].variant is not None
    assert board.groups[0][1].variant.suffix == "the best of all"
    for other in (mark_model(own, "d"), systems["alone"]):
        board = build_board(read_entries([other, variant]))
        assert [len(group) for group in board.groups] == [1, 1]
        assert "Mul gain" not in [column.title for column in board.columns]
    # Of models alike in everything, the one that the variant is named for.
    twin = replace(own.provenance, model=replace(own.provenance.model, name="twin of own"))
    board = build_board(read_entries([replace(own, provenance=twin), own, variant]))
    assert [[row.entry.name for row in group] for group in board.groups] == [
        ["own", f"own + {METHOD}"], ["twin of own"],
    ]  # fmt: skip


def test_values_of_other_queries_are_no_difference(
    systems: dict[str, bh.Results], capitals: Collection
) -> None:
    german = mark_model(evaluate_system("own", capitals, settings=("mono",)), "a")
    board = build_board(read_entries([german, systems["round"]]))
    assert [len(group) for group in board.groups] == [2]
    assert "Mul gain" not in [column.title for column in board.columns]
