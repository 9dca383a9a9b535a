"""Pages of benchmarks with images show them in a real browser, and load nothing from elsewhere."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

import beir_hybrid as bh
from tests.browser.test_site import browser, page  # noqa: F401 - fixtures
from tests.image_boards import evaluate_image_system, load_squares, write_squares

pytestmark = pytest.mark.browser
FAILURES = [("de", number) for number in range(4)]


def test_images_are_visible(page: Page, tmp_path: Path) -> None:  # noqa: F811
    squares = load_squares(write_squares(tmp_path / "squares", size=(80, 300)))
    for name, failures in (("fair", []), ("lossy", FAILURES)):
        runs = tmp_path / name / "runs"
        results = evaluate_image_system(name, squares, failures=failures, runs=runs)
        results.save(tmp_path / name)
    index = bh.leaderboard(
        [tmp_path / "fair", tmp_path / "lossy"], tmp_path / "site", local_files=True
    )
    page.goto(index.as_uri())
    assert page.locator("h2.part").inner_text() == "Images and captions"
    assert page.locator("#on-squares tbody tr:visible th .v").all_inner_texts() == ["fair", "lossy"]
    page.locator("#on-squares thead button", has_text="Disparity").click()
    assert page.locator("#on-squares tbody th .v").all_inner_texts() == ["fair", "lossy"]
    page.get_by_role("link", name="lossy", exact=True).click()
    section = page.get_by_role("heading", name="Hardest images").locator("..")
    section.locator("summary").first.click()
    images = section.locator("details").first.get_by_role("img")
    sizes = images.evaluate_all(
        "all => all.map((image) => [image.naturalWidth, image.naturalHeight])"
    )
    assert sizes == [[26, 96]] * 12  # 80 by 300, at most 96
    visible = images.evaluate_all("all => all.filter((image) => image.checkVisibility()).length")
    assert visible == 12
    assert images.first.get_attribute("alt") == "square number 0 <script>alert(1)</script>"
    box = images.nth(2).bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == pytest.approx((28, 98))  # with its border
    for size in ({"width": 320, "height": 700}, {"width": 1280, "height": 900}):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
