"""The figures in a page from which scripts compute differences and intervals."""

import json
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t

import beir_hybrid as bh
from beir_hybrid.report.board import build_board
from beir_hybrid.report.entry_files import read_entries
from beir_hybrid.report.view_data import describe_board
from tests.boards import GROUPS, build_capitals, evaluate_system


def test_each_pair_of_systems_has_its_own_number_of_groups(tmp_path: Path) -> None:
    """A run of few queries does not widen the intervals of other systems."""
    build_capitals(tmp_path)
    rows = list(map(json.loads, (tmp_path / "capitals.jsonl").read_text("utf-8").splitlines()))
    for row in rows:
        if row.get("query", "") >= "q07":
            del row["text"]["en"]
    path = tmp_path / "few.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    capitals = bh.load("jsonl", path=str(path))
    systems = [
        evaluate_system("first", capitals, failures=[("de", 1), ("en", 3)]),
        evaluate_system("second", capitals, failures=[("ar", 2)]),
    ]
    quantile = pytest.approx(t.ppf(0.975, GROUPS - 1), abs=1e-4)
    errors = describe_errors(systems)
    assert (errors["groups"], errors["quantiles"]) == (GROUPS, {str(GROUPS): quantile})
    run = {f"en:q:q{n:02}": {f"en:p{n:02}": 1.0} for n in range(7)}
    run_path = bh.write_run(tmp_path / "en-all.trec", run)
    systems.append(bh.evaluate_runs([run_path], capitals, name="third"))
    errors = describe_errors(systems)
    counts = errors["groups"]
    assert isinstance(counts, list)
    assert sorted(counts) == [7, GROUPS, GROUPS]
    small = pytest.approx(t.ppf(0.975, 6), abs=1e-4)
    assert errors["quantiles"] == {"7": small, str(GROUPS): quantile}
    # Errors above the diagonal, row by row: only those of the two complete systems are known.
    pairs = [(0, 1), (0, 2), (1, 2)]
    text, width = errors["text"], errors["width"]
    known = [text[i * width : (i + 1) * width] != "A" * width for i in range(3)]
    assert known == [7 not in (counts[i], counts[j]) for i, j in pairs]


def describe_errors(systems: list[bh.Results]) -> dict[str, Any]:
    board = build_board(read_entries(systems))
    slugs = {row.entry: row.entry.name for row in board.rows}
    data: Any = describe_board(board, slugs, [])
    errors: dict[str, Any] = data["errors"]["AP multi"]
    return errors
