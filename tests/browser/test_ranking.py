"""A choice of languages ranks the table by their own figures, and the best two are compared."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import beir_hybrid as bh
from tests.boards import build_capitals, evaluate_system
from tests.browser.test_site import (  # noqa: F401 - fixtures
    browser,
    page,
    read_column,
    read_systems,
    select_heading,
)

pytestmark = pytest.mark.browser

# Twelve queries a language. A failure is a query whose passages come last in every setting.
FAILURES = {
    "first": [("en", number) for number in range(6)],
    "second": [("de", number) for number in range(8)],
    "third": [("ar", number) for number in range(10)],
    "fourth": [("ar", number) for number in range(12)],
    **{f"last-{number}": [("de", place) for place in range(9 + number)] for number in range(3)},
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the page of seven systems, each of which fails for some queries of one language."""
    folder = tmp_path_factory.mktemp("ranking")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        capitals = build_capitals(folder)
        systems = [
            evaluate_system(name, capitals, failures=failures)
            for name, failures in FAILURES.items()
        ]
        return bh.leaderboard(systems, folder / "site")


def read_pair(page: Page) -> list[str]:  # noqa: F811
    """Return the names of the two systems that are compared, from the table of differences."""
    page.wait_for_selector("html[data-drawn]")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    headings = page.locator("#on-capitals .differences thead th.name").all_inner_texts()
    assert headings == [
        page.locator(f"#on-capitals select.{side} option:checked").inner_text()
        for side in ("first", "second")
    ]
    return headings


def choose(page: Page, queries: str, passages: str = "") -> None:  # noqa: F811
    for side, code in (("queries", queries), ("passages", passages)):
        for box in page.locator(f"#on-capitals .{side}").all():
            box.set_checked(box.get_attribute("value") == code, force=True)


def read_view(page: Page) -> list[object]:  # noqa: F811
    return [
        read_systems(page), read_column(page, "Rank"),
        page.locator("#on-capitals-table th[aria-sort]").inner_text(),
        page.locator("#on-capitals-table .ranking").inner_text(), read_pair(page),
        page.locator("#on-capitals select.y option:checked").inner_text(),
    ]  # fmt: skip


def test_a_pair_of_languages_ranks(index: Path, page: Page) -> None:  # noqa: F811
    page.goto(index.as_uri())
    page.evaluate("document.querySelectorAll('.languages').forEach((d) => { d.open = true; })")
    first_view = read_view(page)
    systems, _, column, ranking, pair, upwards = first_view
    # By the number of failures; of equal systems by name.
    assert systems == ["first", "second", "last-0", "last-1", "third", "last-2", "fourth"]
    assert (column, ranking, upwards) == ("Mul", "AP, multilingual (Mul)", "multilingual")
    assert pair == ["first", "second"]
    choose(page, "de", "en")
    view = read_view(page)
    # Without failures of German queries: first, third and fourth, which tie.
    assert view[0] == ["first", "third", "fourth", "second", "last-0", "last-1", "last-2"]
    assert view[1] == ["1", "1", "1", "4", "5", "6", "7"]
    assert view[2:4] == [
        "Cr", "AP, cross-lingual (Cr): queries in German, passages in English",
    ]  # fmt: skip
    assert view[4:] == [["first", "third"], "cross-lingual"]
    caption = page.locator("#on-capitals-table caption")
    assert "Small print" not in caption.inner_text()  # there are no intervals
    with page.expect_download() as download:
        page.click("#on-capitals .latex")
    assert download.value.suggested_filename == "on-capitals-queries-de-passages-en.tex"
    assert f"% capitals, {view[3]}\n" in Path(download.value.path()).read_text("utf-8")
    link = page.url
    assert "sort" not in link
    assert "first" not in link
    page.reload()
    assert read_view(page) == view
    page.goto("about:blank")
    page.goto(link)
    assert read_view(page) == view
    # Queries and passages in one language are ranked by Mo, queries alone by the pool.
    page.evaluate("document.querySelectorAll('.languages').forEach((d) => { d.open = true; })")
    choose(page, "de", "de")
    ranking = page.locator("#on-capitals-table .ranking")
    assert ranking.inner_text().startswith("AP, monolingual (Mo): queries in German")
    choose(page, "de")
    end = "queries in German, passages in all languages"
    assert ranking.inner_text() == f"AP, multilingual (Mul): {end}"
    choose(page, "")
    assert read_view(page) == first_view
    assert "Small print: 95% interval. Bold" in caption.inner_text()


def test_an_explicit_sort_stays(index: Path, page: Page) -> None:  # noqa: F811
    page.goto(index.as_uri())
    page.evaluate("document.querySelectorAll('.languages').forEach((d) => { d.open = true; })")
    page.click(f"{select_heading('System')} button")
    choose(page, "de", "en")
    view = read_view(page)
    assert view[0] == sorted(FAILURES)
    assert view[2] == "System"
    assert view[4] == ["first", "third"]
    page.reload()
    assert read_view(page) == view
    # The pool's column can be asked for; the column that ranks is no sort of the reader's.
    page.click(f"{select_heading('Mul')} button")
    assert "sort=Mul+descending" in page.url
    page.reload()
    assert page.locator(select_heading("Mul")).get_attribute("aria-sort") == "descending"
    page.click(f"{select_heading('Cr')} button")
    assert "sort" not in page.url
    # A column that has no value for the pair does not sort.
    page.goto(f"{page.url}&on-capitals-table.sort=Mo+descending")
    assert read_view(page)[2] == "Cr"


def test_the_best_two_of_the_view_are_compared(index: Path, page: Page) -> None:  # noqa: F811
    page.goto(index.as_uri())
    page.fill("#filter", "last")
    assert read_pair(page) == ["last-0", "last-1"]
    page.fill("#filter", "last-2")  # with one system, the best of the others
    assert read_pair(page) == ["last-2", "first"]
    page.fill("#filter", "last")
    page.select_option("#on-capitals select.second", label="third")
    assert read_pair(page) == ["last-0", "third"]
    page.fill("#filter", "")
    assert read_pair(page) == ["first", "third"]
    page.select_option("#on-capitals select.second", label="first")  # never with itself
    assert read_pair(page) == ["second", "first"]
    heading = page.locator("#on-capitals .comparison h4")
    assert heading.inner_text().endswith("second less first")
    page.select_option("#on-capitals select.first", label="first")
    heading.wait_for(state="hidden")
    page.select_option("#on-capitals select.first", label="second")
    heading.wait_for(state="visible")
    link = page.url
    assert link.endswith("#on-capitals.first=capitals-second&on-capitals.second=capitals-first")
    page.reload()
    assert read_pair(page) == ["second", "first"]


def test_any_pair_leads_to_the_comparison(index: Path, page: Page) -> None:  # noqa: F811
    page.goto(f"{index.as_uri()}#text=fourth")  # the only one that is not among the best six
    assert read_pair(page) == ["fourth", "first"]
    note = page.locator("#on-capitals .comparison .note")
    assert note.inner_text().startswith("No page holds the tests of this pair")
    page.get_by_role("link", name="compare any other two above").click()
    page.wait_for_url("**#text=fourth")  # a jump within the page keeps the view
    assert read_pair(page) == ["fourth", "first"]
    page.goto((index.parent / "models" / "capitals-last-2.html").as_uri())
    page.click("text=Compare with any system")
    assert read_pair(page) == ["last-2", "first"]
    expect(page.locator("#on-capitals-pairs")).to_be_in_viewport()
    page.goto((index.parent / "comparisons" / "capitals-first--capitals-second.html").as_uri())
    page.click("text=Compare any other two")
    assert read_pair(page) == ["first", "second"]


def test_a_system_without_a_pool_ranks_in_a_choice_of_others(
    page: Page,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "cache"))
    capitals = build_capitals(tmp_path)
    best = evaluate_system("best", capitals, settings="mono,cross")
    second = evaluate_system("second", capitals, failures=FAILURES["second"])
    page.goto(bh.leaderboard([best, second], tmp_path / "site").as_uri())
    page.evaluate("document.querySelectorAll('.languages').forEach((d) => { d.open = true; })")
    assert dict(zip(read_systems(page), read_column(page, "Rank"), strict=True)) == {
        "second": "1", "best": "",
    }  # fmt: skip
    choose(page, "de", "en")
    page.wait_for_selector("html[data-drawn]")
    assert dict(zip(read_systems(page), read_column(page, "Rank"), strict=True)) == {
        "best": "1", "second": "2",
    }  # fmt: skip
