"""The benchmarks of speed run, here in small: nothing is measured."""

import re
from pathlib import Path

import pytest

from benchmarks import encoding, scoring, stored
from benchmarks.encoding import FLOAT, PEER
from tests.models import transformer_model

DATASET = "quickstart"
VERDICT = r"(met|missed|not resolved)\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Give a model of one layer."""
    transformer_model(tmp_path / "body").save(str(tmp_path / "model"))
    return tmp_path / "model"


@pytest.mark.parametrize("family", scoring.SHARES)
def test_ranks_beside_products(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    scoring.compare(family, DATASET, 40, 1)
    out = capsys.readouterr().out
    assert "kernels, " in out
    assert re.search(rf"ours / the product +[\d.]+ \[.*\] +<= 1.5 +{VERDICT}", out)


def test_dtype_auto_beside_float32(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoding.compare(model, DATASET, 40, 1)
    out = capsys.readouterr().out
    assert re.search(r"auto took (mixed-bfloat16|float32): AP of a sample [\d.]+, and [\d.]+", out)
    for side in (FLOAT, PEER):
        assert re.search(rf"{side} / auto +[\d.]+ \[.*\] +>= 2 +{VERDICT}", out)


def test_pauses_of_the_bar(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoding.watch(model, DATASET, 200, 1)
    assert re.search(
        rf"the longest of them +[\d.]+ \[.*\] +< 1 +{VERDICT}", capsys.readouterr().out
    )


def test_evaluation_from_the_store(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored.measure(model.parent, DATASET, 1)
    out = capsys.readouterr().out
    for label in (r"evaluate\(\) and saving", "the whole process"):
        assert re.search(rf"{label}, s +[\d.]+ \[.*\] +<= 4 +{VERDICT}", out)
