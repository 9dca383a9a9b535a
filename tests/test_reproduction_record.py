"""The outcome of a check lies beside its results, and the leaderboard shows it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import beir_hybrid as bh
from beir_hybrid.errors import BadData
from beir_hybrid.report.reproduction_check import CheckedAverage, Verdict
from beir_hybrid.report.reproduction_record import (
    REPRODUCTION,
    read_reproduction,
    write_reproduction,
)
from tests.boards import build_capitals, evaluate_system
from tests.sealed_files import rewrite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of results."""
    evaluate_system("fair", build_capitals(tmp_path)).save(tmp_path / "fair")
    return tmp_path / "fair"


def list_averages(*verdicts: Verdict) -> list[CheckedAverage]:
    return [CheckedAverage("AP", "mono", 0.5, None, verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        (["equal", "equal"], "reproduced"),
        (["equal", "close"], "nearly reproduced"),
        (["close", "different"], "not reproduced"),
        (["equal", "missing"], "not reproduced"),
        ([], "not reproduced"),
    ],
)
def test_the_worst_average_decides(folder: Path, verdicts: list[Verdict], outcome: str) -> None:
    assert read_reproduction(folder) is None
    write_reproduction(folder, list_averages(*verdicts))
    record = read_reproduction(folder)
    assert record is not None
    assert (record.verdict, record.total) == (outcome, len(verdicts))


def test_pages_show_the_outcome(folder: Path, tmp_path: Path) -> None:
    write_reproduction(folder, list_averages("equal", "equal", "close"))
    index = bh.leaderboard(folder, tmp_path / "site")
    assert '<span class="tag">nearly reproduced</span>' in index.read_text("utf-8")
    page = (index.parent / "models" / "capitals-fair.html").read_text("utf-8")
    assert "● Nearly reproduced</strong>, as whoever made these results found with" in page
    assert f"{bh.__version__} on {datetime.now(UTC).date()}. Averages equal (to 1e-06): 2;" in page
    assert "close (to 0.001): 1; different: 0; missing: 0." in page
    (folder / REPRODUCTION).unlink()
    index = bh.leaderboard(folder, tmp_path / "site")
    assert "reproduced</span>" not in index.read_text("utf-8")


def test_other_results_are_not_checked(folder: Path) -> None:
    write_reproduction(folder, list_averages("equal"))
    path = folder / "results.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert read_reproduction(folder) is None


def test_a_damaged_record_is_refused(folder: Path) -> None:
    write_reproduction(folder, list_averages("equal"))
    path = folder / REPRODUCTION
    text = path.read_text("utf-8")
    path.write_text(text.replace('"equal": 1', '"equal": 2'), "utf-8")
    with pytest.raises(BadData, match=r"damaged or was edited.*reproduce --check"):
        read_reproduction(folder)
    path.write_text(text, "utf-8")
    rewrite(path, lambda record: record.update(equal=-1))
    with pytest.raises(BadData, match="has no number of equal averages; delete it"):
        read_reproduction(folder)


def test_a_link_is_no_record(folder: Path, tmp_path: Path) -> None:
    write_reproduction(folder, list_averages("equal"))
    (folder / REPRODUCTION).rename(tmp_path / "elsewhere.json")
    (folder / REPRODUCTION).symlink_to(tmp_path / "elsewhere.json")
    assert read_reproduction(folder) is None


def test_only_a_date_and_a_version_reach_a_page(folder: Path) -> None:
    write_reproduction(folder, list_averages("equal"))
    odd = {"date": "\u202e<b>x</b>" + "1" * 3000, "beir-hybrid": "\x1b[31m<script>"}
    rewrite(folder / REPRODUCTION, lambda record: record.update(odd))
    record = read_reproduction(folder)
    assert record is not None
    assert (record.date, record.version) == ("", "")
