"""A view of a leaderboard is a link: what is sorted, chosen and hidden stands in the address."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.test_site import (  # noqa: F401 - fixtures
    browser,
    folder,
    page,
    read_column,
    read_systems,
    results,
    select_heading,
    site,
)

pytestmark = pytest.mark.browser


def tick(page: Page, name: str, table: str = "on-capitals") -> None:  # noqa: F811
    page.check(f"#{table}-table tr:has(a:text-is('{name}')) .choose")


def read_headings(page: Page, table: str = "on-capitals") -> list[str]:  # noqa: F811
    headings = page.locator(f"#{table}-table thead tr:last-child th:visible")
    return [" ".join(text.split()) for text in headings.all_inner_texts()]


def describe(page: Page) -> list[object]:  # noqa: F811
    """Return what a reader sees."""
    return [
        read_systems(page), read_headings(page), read_column(page, "Mul"),
        page.input_value("#filter"), page.locator("#count").inner_text(),
        page.locator("#on-capitals-table th[aria-sort]").inner_text(),
        page.locator("#on-capitals ul.links li:visible").all_inner_texts(),
    ]  # fmt: skip


def change_everything(page: Page) -> None:  # noqa: F811
    page.select_option("#on-capitals select.measure", "nDCG@10")
    page.click(f"{select_heading('Rank distance')} button")
    page.click("#on-capitals .columns summary")
    page.check("#on-capitals .columns label:text-is('R@1 Mo') input")
    page.uncheck("#on-capitals .columns label:text-is('Mo') input")
    tick(page, "own/Language")
    tick(page, "lossy")
    page.check("#only-chosen")
    page.select_option("#dataset", "on-capitals")
    page.fill("#filter", "o")


def test_a_link_shows_the_same_view(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    first_view = describe(page)
    assert "#" not in page.url
    change_everything(page)
    view = describe(page)
    systems, headings, _, _, count, sorted_by, links = view
    assert systems == ["lossy", "own/Language"]
    assert isinstance(headings, list)
    assert "R@1 Mo" in headings
    assert "Mo" not in headings
    assert (count, sorted_by) == ("2 of 16 systems", "Rank distance")
    assert links == ["lossy and own/Language"]
    link = page.url
    assert "capitals.measure=nDCG%4010" in link
    page.reload()
    assert describe(page) == view
    page.goto((site / "models" / "capitals-fair.html").as_uri())
    page.goto(link)
    assert describe(page) == view
    # A link that is pasted into the address of the open page counts, too.
    page.goto((site / "index.html").as_uri() + "#")
    assert describe(page) == first_view
    page.evaluate("link => { location.href = link; }", link)
    page.wait_for_function("document.getElementById('filter').value === 'o'")
    assert describe(page) == view


def test_the_button_copies_the_link(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    page.click(f"{select_heading('Cr')} button")
    link = page.url
    page.click("#copy-link")
    page.wait_for_selector("#copy-link:text-is('Copied')")
    page.focus("#filter")
    page.keyboard.press("Control+V")
    assert page.input_value("#filter") == link


def test_a_bad_link_shows_the_page_as_it_is(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    view = describe(page)
    bad = (
        "dataset=nowhere&on-capitals.measure=%3Cb%3E&on-capitals-table.sort=x+y&on-capitals.column"
    )
    page.goto(f"{(site / 'index.html').as_uri()}#{bad}")
    assert describe(page) == view
    page.goto(f"{(site / 'index.html').as_uri()}#on-xquad-r")  # the link of a model's page
    assert describe(page) == view


def test_published_figures_can_be_left_out(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    page.uncheck("#published")
    assert read_systems(page, "on-xquad-r") == ["fair"]
    assert page.locator("#count").inner_text() == "6 of 16 systems"
    page.keyboard.press("Space")  # it has the focus
    assert page.locator("#count").inner_text() == "16 of 16 systems"


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_bias_columns_are_visible(width: int, site: Path, page: Page) -> None:  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((site / "index.html").as_uri())
    for table in ("on-capitals", "on-xquad-r"):
        box = page.locator(f"#{table} .scroll").first
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
        for title in ("Rank distance", "Preference", "Same language@10"):
            assert title in read_headings(page, table)
        # Headings above stand over their columns.
        spans = page.locator(f"#{table}-table thead tr:first-child > :visible")
        total = spans.evaluate_all("cells => cells.reduce((sum, cell) => sum + cell.colSpan, 0)")
        assert total == len(read_headings(page, table))
