"""A leaderboard of 60 systems on two datasets is there within a second."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page

import beir_hybrid as bh
from tests.browser.test_site import (  # noqa: F401 - fixtures
    browser,
    folder,
    page,
    read_systems,
    results,
)

pytestmark = pytest.mark.browser

COUNT = 60
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@pytest.fixture(scope="module")
def index(results: dict[str, bh.Results], folder: Path) -> Path:  # noqa: F811
    """Give the first page: every third system is fair, lossy, or prefers the query's language."""
    systems = []
    for number in range(COUNT):
        system = results[("fair", "lossy", "own")[number % 3]]
        about = system.provenance
        model = replace(about.model, name=f"lab/model-{number}", parameters=10**6 * (number + 1))
        for name in ("capitals", "cities"):
            collection = replace(about.collection, name=name)
            provenance = replace(about, model=model, collection=collection)
            systems.append(replace(system, provenance=provenance))
    return bh.leaderboard(systems, folder / "many")


def test_sixty_systems(index: Path, page: Page) -> None:  # noqa: F811
    assert index.stat().st_size <= 300 * 1024
    times = []
    for _ in range(5):  # other programs may be busy: the best of five counts
        page.goto(index.as_uri())
        page.wait_for_selector("#on-cities .drawn circle")
        times.append(page.evaluate(PAINT))
    assert min(times) < 1000
    assert len(read_systems(page)) == len(read_systems(page, "on-cities")) == COUNT
    assert page.locator("#on-capitals .drawn circle").count() == COUNT
    # Errors are kept for the main measure; each pair has its own.
    page.select_option("#on-capitals select.second", label="lab/model-1")
    page.wait_for_selector("#on-capitals h4:has-text('less lab/model-1')")
    page.fill("#size", "3.5")
    assert len(read_systems(page)) == 3
