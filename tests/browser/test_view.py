"""A view of a leaderboard is a link: what is sorted, chosen and hidden stands in the address."""

import csv
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from ir_measures import AP
from playwright.sync_api import Browser, Page
from scipy.stats import t

import beir_hybrid as bh
from beir_hybrid.collection.setting import Setting
from beir_hybrid.results.render import format_signed, format_value
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


def test_families_licences_and_systems_trained_on_the_dataset_can_be_left_out(
    results: dict[str, bh.Results],  # noqa: F811
    folder: Path,  # noqa: F811
    page: Page,  # noqa: F811
) -> None:
    systems = []
    for name, kind, shared, licence in (
        ("dense", "sentence-transformers", 3, "mit"), ("terms", "sparse", 0, "")
    ):  # fmt: skip
        about = results["fair"].provenance
        model = replace(
            about.model, name=name, fingerprint={"kind": kind}, licence=licence,
            trained_on={"shared": shared, "compared": 9},
        )  # fmt: skip
        systems.append(replace(results["fair"], provenance=replace(about, model=model)))
    index = bh.leaderboard(systems, folder / "families")
    page.goto(index.as_uri())
    assert page.locator("tr:has-text('trained on this') th a").all_inner_texts() == ["dense"]
    page.select_option("#family", "sparse")
    assert read_systems(page) == ["terms"]
    page.select_option("#family", "")
    page.uncheck("#trained-on")
    assert read_systems(page) == ["terms"]
    page.check("#trained-on")
    page.select_option("#licence", "mit")
    assert read_systems(page) == ["dense"]
    assert page.locator("#licence option").all_inner_texts() == ["all", "mit"]
    page.goto(f"{index.as_uri()}#family=dense")
    page.reload()
    assert read_systems(page) == ["dense"]


def test_a_limit_on_size_keeps_systems_that_are_known_to_be_small(
    results: dict[str, bh.Results],  # noqa: F811
    folder: Path,  # noqa: F811
    page: Page,  # noqa: F811
) -> None:
    systems = []
    for name, kind, parameters in (
        ("small", "sparse", 10**6), ("large", "sparse", 10**9), ("unknown", "endpoint", None),
        ("terms", "bm25", None),
    ):  # fmt: skip
        about = results["fair"].provenance
        facts = {"kind": kind, "k1": 0.9, "b": 0.4}
        model = replace(about.model, name=name, fingerprint=facts, parameters=parameters)
        systems.append(replace(results["fair"], provenance=replace(about, model=model)))
    page.goto(bh.leaderboard(systems, folder / "sizes").as_uri())
    assert sorted(read_systems(page)) == ["large", "small", "terms", "unknown"]
    page.fill("#size", "200")
    assert sorted(read_systems(page)) == ["small", "terms"]
    count = page.locator("#count")
    assert count.inner_text() == "2 of 4 systems, 1 of unknown size left out"
    page.fill("#size", "0.5")
    assert read_systems(page) == ["terms"]  # BM25 has no parameters at all
    page.fill("#size", "")
    assert count.inner_text() == "4 of 4 systems"


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
    assert (count, sorted_by) == ("2 of 6 systems", "Rank distance")
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


def test_published_figures_are_shown_on_request(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    assert read_systems(page, "on-xquad-r") == ["fair"]
    assert page.locator("#count").inner_text() == "6 of 6 systems"
    page.focus("#published")
    page.keyboard.press("Space")
    assert page.locator("#count").inner_text() == "16 of 16 systems"
    assert page.url.endswith("#published=on")
    published = page.locator("#on-xquad-r-table tr.published")
    assert published.locator("td:nth-of-type(1)").all_inner_texts() == [""] * 10  # no ranks
    assert published.locator("strong").count() == 0
    for button in ("csv", "latex"):  # both say which rows are measured
        with page.expect_download() as download:
            page.click(f"#on-xquad-r .{button}")
        text = Path(download.value.path()).read_text("utf-8")
        assert text.count(" (published)") == 10
        assert "fair (published)" not in text


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


def choose_languages(page: Page, side: str, codes: set[str]) -> None:  # noqa: F811
    page.locator(f"#on-capitals details:has(.{side}) summary").click()
    for code in sorted(codes):
        page.check(f"#on-capitals .{side}[value={code}]")
    summary = page.locator(f"#on-capitals details:has(.{side}) summary").inner_text()
    assert summary.endswith(f" languages: {', '.join(sorted(codes))}")


def test_languages_change_the_figures(
    results: dict[str, bh.Results],  # noqa: F811
    site: Path,  # noqa: F811
    page: Page,  # noqa: F811
) -> None:
    page.goto((site / "index.html").as_uri())
    choose_languages(page, "queries", {"de", "en"})
    choose_languages(page, "passages", {"en"})
    row = read_systems(page).index("lossy")
    means = results["lossy"].means("AP")
    expected = {
        "Mo": means[Setting("mono", "en", "en")],
        "Cr": means[Setting("cross", "de", "en")],
        "Mul": (means[Setting("multi", "de", "all")] + means[Setting("multi", "en", "all")]) / 2,
    }
    assert expected["Cr"] == pytest.approx((6 + 6 / 12) / 12)
    for title, value in expected.items():
        text = read_column(page, title)[row]
        assert float(text) == pytest.approx(value, abs=1e-4)
    assert read_headings(page)[1:5] == ["Rank", "Mo", "Cr", "Mul"]
    assert page.locator("#on-capitals caption .choice").is_visible()
    view, link = describe(page), page.url
    assert link.endswith("#on-capitals.queries=de&on-capitals.queries=en&on-capitals.passages=en")
    page.goto((site / "models" / "capitals-fair.html").as_uri())
    page.goto(link)
    assert describe(page) == view


def read_differences(page: Page) -> list[list[str]]:  # noqa: F811
    rows = page.locator("#on-capitals .differences tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def test_any_two_systems_are_compared_by_name(
    results: dict[str, bh.Results],  # noqa: F811
    site: Path,  # noqa: F811
    page: Page,  # noqa: F811
) -> None:
    page.goto((site / "index.html").as_uri())
    page.select_option("#on-capitals select.first", label="own/Language")
    page.select_option("#on-capitals select.second", label="fair")
    page.wait_for_selector("#on-capitals h4:text-is('AP by language: own/Language less fair')")
    headings, *rows = read_differences(page)
    assert headings[2:4] == ["own/Language", "fair"]
    cross = next(row for row in rows if row[:2] == ["AP", "cross-lingual"])
    means = [results[name].summary()["cross"][AP].mean for name in ("own", "fair")]
    assert cross[2:5] == [*map(format_value, means), format_signed(means[0] - means[1])]
    assert cross[6] == "fair is better"
    distance = next(row for row in rows if row[0] == "RankDistance")
    assert distance[2:5] == ["35.0", "2.0", "+33.0"]
    assert distance[6] == "fair is better"
    mono = next(row for row in rows if row[:2] == ["AP", "monolingual"])
    assert mono[4:7] == [".0000", ".0000 to .0000", ""]
    assert "own/Language" not in [row[6] for row in rows]
    bold = page.locator("#on-capitals .differences tr:has(strong) td:nth-of-type(1)")
    assert "monolingual" not in bold.all_inner_texts()
    # The map has every pair of languages: a German query on Arabic passages.
    cells = page.locator("#on-capitals .comparison .heat tbody tr").nth(1).locator("td")
    assert cells.all_inner_texts()[:2] == [format_signed(1 / 12 - 1), ".0000"]
    # Two ticks choose the pair, too.
    tick(page, "lossy")
    tick(page, "fair")
    page.wait_for_function(
        "document.querySelector('#on-capitals h4').textContent.includes('lossy')"
    )
    assert {"lossy", "fair"} == set(read_differences(page)[0][2:4])


@pytest.mark.parametrize("width", [390, 1280])
def test_the_plot_follows_the_axes(width: int, site: Path, page: Page) -> None:  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector("#on-capitals .drawn circle")
    circles = page.locator("#on-capitals .drawn a")
    labels = [link.get_attribute("aria-label") or "" for link in circles.all()]
    assert len(labels) == 5
    own = format_value((1 + 2 / 35 + 3 / 36) / 3)
    assert any(label.startswith(f"own/Language: AP, multilingual {own}") for label in labels)
    assert all("Rank distance" in label for label in labels)
    assert page.locator("#on-capitals .drawn circle.best").count() >= 1
    # Each point has its name, or a number that the list below the plot explains.
    texts = page.locator("#on-capitals .drawn text.name").all_text_contents()
    note = page.locator("#on-capitals .missing-systems").inner_text()
    entries = [entry.split(" ", 1) for entry in re.findall(r"\d+ [^;]+", note.rstrip("."))]
    named = [text for text in texts if not text.isdecimal()]
    assert [number for number, _ in entries] == [text for text in texts if text.isdecimal()]
    assert len(named) + len(entries) == len(labels)
    for name in [*named, *(name for _, name in entries)]:
        assert sum(f"{label.split(': AP')[0]}".endswith(name) for label in labels) == 1
    # Nothing stands outside the drawing.
    outside = page.evaluate(
        """() => {
          const frame = document.querySelector("#on-capitals .drawn svg").getBoundingClientRect();
          return [...document.querySelectorAll("#on-capitals .drawn text")].filter((text) => {
            const box = text.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1;
          }).map((text) => text.textContent);
        }"""
    )
    assert outside == []
    page.select_option("#on-capitals select.x", "size")
    lines = page.locator("#on-capitals .missing-systems p")
    lines.first.wait_for()
    text = lines.first.inner_text()
    assert text.startswith("Without Parameters: ")
    assert "own/Language" in text
    assert page.locator("#on-capitals .drawn circle").count() == 0
    page.select_option("#on-capitals select.x", "Preference")
    page.wait_for_selector("#on-capitals .drawn .unbiased", state="attached")
    assert "capitals.x=Preference" in page.url
    page.select_option("#on-capitals select.y", "Preference")
    page.wait_for_selector("#on-capitals .drawn .unbiased >> nth=1", state="attached")


def test_a_wide_axis_is_logarithmic(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    label = page.locator("#on-capitals .drawn text.axis").first
    label.wait_for()
    distances = [float(text) for text in read_column(page, "Rank distance")]
    assert (min(distances), max(distances)) == (2, 35)  # more than tenfold
    assert label.text_content() == "Rank distance (lower is better, logarithmic)"
    page.fill("#filter", "fair")
    page.wait_for_selector("#on-capitals .drawn circle >> nth=1", state="detached")
    assert label.text_content() == "Rank distance (lower is better)"


def test_the_first_click_sorts_the_best_to_the_top(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    page.click(f"{select_heading('Preference')} button")
    preferences = [float(text) for text in read_column(page, "Preference")]
    assert preferences == sorted(preferences)
    assert preferences[0] < preferences[-1]


def test_a_print_has_no_controls(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    page.emulate_media(media="print")
    for part in (".choose", ".controls", "button.theme"):
        assert not page.locator(part).first.is_visible()
    assert page.locator("#on-capitals-table tbody th a").first.is_visible()


def test_measures_stay_while_differences_scroll(site: Path, page: Page) -> None:  # noqa: F811
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector("html[data-drawn]")
    name = page.locator("#on-capitals .differences tbody th").first
    before = name.bounding_box()
    page.locator("#on-capitals .comparison .scroll").first.evaluate(
        "box => { box.scrollLeft = 99; }"
    )
    after = name.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] == pytest.approx(before["x"], abs=2)


def test_the_view_is_exported(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "index.html").as_uri())
    page.fill("#filter", "o")
    with page.expect_download() as download:
        page.click("#on-capitals .csv")
    with Path(download.value.path()).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["System"] for row in rows] == read_systems(page)
    lossy = next(row for row in rows if row["System"] == "lossy")
    assert float(lossy["Mo"]) == pytest.approx((12 + 12 + 6.5) / 36, abs=1e-5)
    assert "Recipe" not in lossy
    with page.expect_download() as download:
        page.click("#on-capitals .latex")
    text = Path(download.value.path()).read_text("utf-8")
    assert "\\begin{tabular}{l" in text
    assert "own/Language & 5 & \\textbf{1.0000} & " in text
    page.fill("#filter", "script")
    with page.expect_download() as download:
        page.click("#on-capitals .latex")
    assert "\\textless{}script\\textgreater{}" in Path(download.value.path()).read_text("utf-8")


def test_a_model_s_page_switches_its_measure(site: Path, page: Page) -> None:  # noqa: F811
    page.goto((site / "models" / "capitals-lossy.html").as_uri())
    assert page.locator("h3:text-is('AP by language')").is_visible()
    page.select_option("#measure", "R@1")
    assert page.locator("h3:text-is('R@1 by language')").is_visible()
    assert not page.locator("h3:text-is('AP by language')").is_visible()
    row = page.locator(".measured:visible caption:has-text('R@1 by query language') ~ tbody tr")
    german = row.nth(1).locator("td").all_inner_texts()
    assert german[:2] == [".5000", ".5000"]
    # Of three relevant passages one alone comes first.
    summary = page.locator("table:has(caption:has-text('Averages over settings'))")
    assert "At most" in page.locator("section:has(#summary)").inner_text()
    ceiling = summary.locator("tr:has(th:text-is('R@1')) td").last.inner_text()
    assert ceiling == format_value(1 / 3)
    page.click(".contents a:text-is('Downloads')")
    assert page.url.endswith("#files")


AXE = next(
    (
        path
        for modules in (os.environ.get("AXE", ""), "node_modules", "/usr/lib/node_modules")
        if (path := Path(modules) / "axe-core" / "axe.min.js").is_file()
    ),
    None,
)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_nothing_serious_is_inaccessible(
    width: int,
    theme: str,
    site: Path,  # noqa: F811
    browser: Browser,  # noqa: F811
) -> None:
    """AXE names a folder of node packages that has axe-core."""
    if AXE is None:
        pytest.skip("axe-core is not installed: npm install axe-core, AXE=node_modules")
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,  # type: ignore[arg-type] # one of its texts
        bypass_csp=True,
    )
    opened = context.new_page()
    for name in ("index", "models/capitals-lossy", "comparisons/capitals-fair--capitals-lossy"):
        opened.goto((site / f"{name}.html").as_uri())
        if name == "index":
            opened.wait_for_selector("#on-capitals .drawn circle")
        opened.add_script_tag(path=AXE)
        violations = opened.evaluate("axe.run().then((report) => report.violations)")
        serious = [
            (violation["id"], violation["nodes"][0]["html"])
            for violation in violations
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == [], name
    context.close()


@pytest.mark.parametrize("groups", [6, 7, 120, 1190])
def test_p_is_that_of_students_t(page: Page, groups: int) -> None:  # noqa: F811
    source = (Path(bh.__file__).parent / "report/templates/comparison.js").read_text("utf-8")
    [function] = re.findall(r"^const findProbability = .*?^};$", source, re.DOTALL | re.MULTILINE)

    def find_probability(difference: float, error: float) -> float:
        call = f"numbers => {{ {function} return findProbability(...numbers); }}"
        p: float = page.evaluate(call, [difference, error, groups])
        return p

    for deviation in (0.1, 2.0, 3.0, 6.0):
        expected = 2 * t.sf(deviation, groups - 1)
        assert find_probability(-deviation / 2, 0.5) == pytest.approx(expected, abs=1e-13)
    assert find_probability(0.5, 0) == 2.0 ** (1 - groups)
    assert math.isnan(find_probability(0, 0))
