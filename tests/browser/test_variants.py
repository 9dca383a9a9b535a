"""Variants of a model stay below it in a real browser, however the table is sorted."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

import beir_hybrid as bh
from tests.boards import build_capitals, evaluate_system
from tests.browser.test_site import (  # noqa: F401 - fixtures
    browser,
    page,
    read_column,
    read_systems,
    select_heading,
)
from tests.test_leaderboard_variants import FAILURES, KINDS, METHOD, evaluate_biased, mark_model

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the page of a model with a calibration and without, and of another model."""
    folder = tmp_path_factory.mktemp("variants")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        capitals = build_capitals(folder)
        lossy = evaluate_system("lossy", capitals, failures=FAILURES, settings=KINDS)
        systems = [
            mark_model(evaluate_biased(capitals), "a"),
            mark_model(evaluate_biased(capitals, calibration=METHOD), "a"),
            mark_model(lossy, "b"),
        ]
        return bh.leaderboard(systems, folder / "site")


def test_sorting_keeps_a_variant_below_its_model(index: Path, page: Page) -> None:  # noqa: F811
    page.goto(index.as_uri())
    own, variant = "own", f"own + {METHOD}"
    assert read_systems(page) == [own, variant, "lossy"]
    caption = page.locator("#on-capitals-table caption").inner_text()
    assert "Calibrated variants stand below their model." in caption
    # Mul is .456 and 1 of the group, .84 of lossy; the group comes where its first member does.
    page.click(f"{select_heading('Mul')} button")
    assert page.locator(select_heading("Mul")).get_attribute("aria-sort") == "ascending"
    assert read_systems(page) == [own, variant, "lossy"]
    page.click(f"{select_heading('Mo')} button")
    assert read_systems(page) == [own, variant, "lossy"]
    page.click(f"{select_heading('Mo')} button")
    assert read_systems(page) == ["lossy", own, variant]
    # A column without values in most rows.
    page.click(f"{select_heading('Mul gain')} button")
    assert read_systems(page) == [own, variant, "lossy"]
    assert read_column(page, "Mul gain") == ["", "+.5440", ""]
    page.select_option("#on-capitals select.measure", "R@10")
    assert read_column(page, "Mul gain") == ["", "+.6667", ""]
    page.fill("#filter", METHOD)
    assert read_systems(page) == [variant]


@pytest.mark.parametrize("width", [1500, 390])
def test_a_variant_is_indented(index: Path, page: Page, width: int) -> None:  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(index.as_uri())
    boxes = [link.bounding_box() for link in page.locator("tbody th a").all()[:2]]
    left = [box["x"] for box in boxes if box is not None]
    assert left[1] - left[0] > 10
    assert page.evaluate("document.documentElement.scrollWidth") <= width
