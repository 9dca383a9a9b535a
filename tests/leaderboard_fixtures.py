"""Fixtures of the tests of leaderboards: a collection, three systems' results, their pages."""

import json
import math
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from tests.boards import Page, build_capitals, evaluate_system

LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
FAILURES = [("de", number) for number in range(6)]  # of the system `lossy`


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use one cache for all tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def capitals(module_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Give the collection of `tests.boards`."""
    del module_cache
    return build_capitals(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def results_folder(capitals: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of results: a fair system with runs, one with failures, a biased one."""
    folder = tmp_path_factory.mktemp("results")
    evaluate_system("fair", capitals, runs=folder / "fair" / "runs").save(folder / "fair")
    evaluate_system("lossy", capitals, failures=FAILURES).save(folder / "lossy")
    evaluate_system("own/Language", capitals, is_biased=True).save(folder / "own")
    return folder


@pytest.fixture(scope="module")
def site(results_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the leaderboard of `results_folder`."""
    folder = tmp_path_factory.mktemp("board") / "site"
    return bh.leaderboard(results_folder, folder, local_files=True).parent


def read_rows(page: Page) -> dict[str, dict[str, str]]:
    """Return the visible cells of the first table of systems, by system and heading."""
    _, headings, *rows = page.find_boards()[0]
    return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


def read_figures(index: Path) -> dict[str, Any]:
    """Return what the first page computes with, by the id of a section."""
    pattern = '<script type="application/json" id="figures">(.*?)</script>'
    (text,) = re.findall(pattern, index.read_text("utf-8"), re.DOTALL)
    figures: dict[str, Any] = json.loads(text)
    return figures


def unpack(packed: dict[str, Any]) -> list[float]:
    """Return packed numbers; NaN for none, minus infinity for dots."""
    low, high, width, text = (packed[name] for name in ("low", "high", "width", "text"))
    numbers = []
    for start in range(0, len(text), width):
        if text[start] == ".":
            numbers.append(-math.inf)
            continue
        code = 0
        for letter in text[start : start + width]:
            code = code * 64 + LETTERS.index(letter)
        step = (high - low) / (64**width - 2)
        numbers.append(low + (code - 1) * step if code else math.nan)
    return numbers


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files of a folder by their relative paths."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
