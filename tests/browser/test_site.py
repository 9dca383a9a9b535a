"""A leaderboard works in a real browser, from disk, by mouse and keyboard, wide and narrow.

Screenshots go to the folder in the variable SCREENSHOTS, if it is set.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    sync_playwright,
)

import beir_hybrid as bh
from beir_hybrid.results.render import format_value
from tests.boards import HOSTILE, build_capitals, evaluate_system

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FAILURES = [("de", number) for number in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the collection, its cache and the results."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, bh.Results]:
    """Give systems on a small collection, and one of them as if it were on all of XQuAD-R."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        capitals = build_capitals(folder)
        runs = {name: folder / name / "runs" for name in ("fair", "lossy")}
        systems = {
            "fair": evaluate_system("fair", capitals, runs=runs["fair"]),
            "lossy": evaluate_system("lossy", capitals, failures=FAILURES, runs=runs["lossy"]),
            "own": evaluate_system("own/Language", capitals, is_biased=True),
        }
        for name in HOSTILE:
            systems[name] = evaluate_system(name, capitals, failures=[("en", 1), ("en", 2)])
    provenance = systems["fair"].provenance
    collection = replace(provenance.collection, name="xquad-r", queries=13090, passages=13014)
    provenance = replace(provenance, collection=collection)
    systems["xquad"] = replace(systems["fair"], provenance=provenance)
    return systems


@pytest.fixture(scope="module")
def site(folder: Path, results: dict[str, bh.Results]) -> Path:
    """Give the folder of the pages."""
    saved = [results[name].save(folder / name) for name in ("fair", "lossy")]
    unsaved = [results[name] for name in ("own", *HOSTILE, "xquad")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        return bh.leaderboard([*saved, *unsaved], folder / "site", local_files=True).parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("these tests need chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield opened
        opened.close()


def open_page(context: BrowserContext) -> tuple[Page, list[str]]:
    """Open a page, and collect its errors, requests to elsewhere and dialogs."""
    page, problems = context.new_page(), list[str]()

    def read_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(message.text)

    def check_request(request: Request) -> None:
        if not request.url.startswith(("file://", "data:")):
            problems.append(request.url)

    def dismiss_dialog(dialog: Dialog) -> None:
        problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", read_console)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", dismiss_dialog)
    page.on("request", check_request)
    return page, problems


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Give a page without errors, requests to elsewhere and dialogs."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, problems = open_page(context)
    yield page
    context.close()
    assert problems == []


def read_systems(page: Page, table: str = "on-capitals") -> list[str]:
    """Return the names of the visible systems, in order."""
    names = page.locator(f"#{table}-table tbody tr:visible th .v")
    return [" ".join(name.split()) for name in names.all_inner_texts()]


def read_column(page: Page, title: str, table: str = "on-capitals") -> list[str]:
    """Return the visible values of a column, without small print."""
    cells = page.evaluate(
        """([table, title]) => {
          const heads = [...document.querySelectorAll(`#${table}-table thead tr:last-child th`)];
          const at = heads.findIndex((head) => head.textContent.trim() === title);
          return [...document.querySelectorAll(`#${table}-table tbody tr`)]
            .filter((row) => !row.hidden)
            .map((row) => row.cells[at].firstChild?.textContent.trim() ?? "");
        }""",
        [table, title],
    )
    return [str(cell) for cell in cells]


def select_heading(title: str, table: str = "on-capitals") -> str:
    return f"#{table}-table thead tr:last-child th:has(button:text-is('{title}'))"


def test_sorting_by_mouse(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    assert read_systems(page)[0] == "fair"
    assert page.locator(select_heading("Mul")).get_attribute("aria-sort") == "descending"
    page.click(f"{select_heading('Rank distance')} button")
    assert page.locator(select_heading("Rank distance")).get_attribute("aria-sort") == "ascending"
    assert page.locator(select_heading("Mul")).get_attribute("aria-sort") is None
    distances = [float(text) for text in read_column(page, "Rank distance")]
    assert distances == sorted(distances)
    page.click(f"{select_heading('Rank distance')} button")
    assert read_systems(page)[0] == "own/Language"
    assert page.locator("#status").inner_text() == "sorted by Rank distance, descending"
    page.click(f"{select_heading('System')} button")
    assert page.locator(select_heading("System")).get_attribute("aria-sort") == "ascending"
    assert read_systems(page)[-3:] == ["fair", "lossy", "own/Language"]


def test_rows_without_value_stay_last(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    page.check("#published")
    for _ in range(2):
        page.click(f"{select_heading('Mo', 'on-xquad-r')} button")
        cells = read_column(page, "Mo", "on-xquad-r")
        # LAReQA's four baselines are of the pool alone.
        assert cells[-4:] == [""] * 4
        assert "" not in cells[:-4]


def test_sorting_by_keyboard(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Cr":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert page.locator(select_heading("Cr")).get_attribute("aria-sort") == "descending"
    page.keyboard.press("Space")
    assert page.locator(select_heading("Cr")).get_attribute("aria-sort") == "ascending"
    assert read_systems(page)[0] == "own/Language"


def test_filtering(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    assert page.locator("#count").inner_text() == "6 of 6 systems"
    page.check("#published")
    assert page.locator("#count").inner_text() == "16 of 16 systems"
    page.fill("#filter", "LOSS")
    assert read_systems(page) == ["lossy"]
    assert page.locator("#count").inner_text() == "1 of 16 systems"
    page.fill("#filter", "published hybrid")
    assert read_systems(page, "on-xquad-r") == ["LaBSE, Hybrid", "XLM-R, Hybrid"]
    page.fill("#filter", "")
    page.select_option("#dataset", "on-xquad-r")
    assert not page.locator("#on-capitals").is_visible()
    assert page.locator("#count").inner_text() == "11 of 16 systems"


def test_choosing_a_measure(results: dict[str, bh.Results], site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    page.select_option("#on-capitals select.measure", "nDCG@10")
    summary = results["own"].summary()
    row = read_systems(page).index("own/Language")
    for title, kind in (("Mo", "mono"), ("Cr", "cross"), ("Mul", "multi")):
        means = {str(name): value.mean for name, value in summary[kind].items()}  # type: ignore[index]
        assert read_column(page, title)[row] == format_value(means["nDCG@10"])
    caption = page.locator("#on-capitals-table caption").inner_text()
    assert caption.startswith("Mo, Cr and Mul show nDCG@10")


def test_a_model_page_opens_and_leads_back(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    page.click("text=own/Language")
    assert page.title() == "own/Language on capitals"
    assert page.locator("h1").inner_text() == "own/Language"
    assert page.locator("svg").count() == 1
    page.click("nav >> text=Leaderboard")
    assert page.title() == "Leaderboard"
    page.click("text=fair and lossy")
    assert page.locator("h1").inner_text() == "fair and lossy"


def test_texts_run_in_their_direction(site: Path, page: Page) -> None:
    page.goto((site / "models" / "capitals-lossy.html").as_uri())
    page.click("details >> nth=0")
    arabic = page.locator("td [lang=ar]").first
    assert "عاصمة" in arabic.inner_text()
    assert arabic.evaluate("e => getComputedStyle(e).direction") == "rtl"
    german = page.locator("td [lang=de]").first
    assert german.evaluate("e => getComputedStyle(e).direction") == "ltr"


def test_the_theme_is_kept(site: Path, page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.goto((site / "index.html").as_uri())
    light = page.evaluate(ground)
    page.click(".theme")
    assert (page.locator(".theme").inner_text(), page.evaluate(ground)) == ("Theme: light", light)
    page.click(".theme")
    assert page.locator(".theme").inner_text() == "Theme: dark"
    dark = page.evaluate(ground)
    assert dark != light
    page.goto((site / "models" / "capitals-fair.html").as_uri())
    assert page.evaluate(ground) == dark
    page.emulate_media(color_scheme="dark")
    page.click(".theme")
    assert (page.locator(".theme").inner_text(), page.evaluate(ground)) == ("Theme: auto", dark)


def test_hostile_names_are_text_on_all_pages(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    assert set(HOSTILE) <= set(read_systems(page))
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.locator("img").count() == 0
        assert page.locator("script:not([type])").count() == 2


CONTRAST = """() => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+(?:e-?\\d+)?/g).map(Number);
    const scale = text.startsWith("color(") ? 1 : 255;
    return [...numbers.slice(0, 3).map((n) => n / scale), numbers[3] ?? 1];
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color[3] > 0) return color;
    }
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim()) continue;
    if (element.closest("script, style, svg, .visually-hidden, .skip")) continue;
    if (!element.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push(`${node.textContent.trim()}: ${contrast.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_contrast(theme: str, site: Path, page: Page) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type] # one of its texts
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate(CONTRAST) == []


def test_narrow_screens_scroll_tables_and_not_pages(site: Path, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path.name
    page.goto((site / "index.html").as_uri())
    name = page.locator("#on-capitals-table tbody th").first
    before = name.bounding_box()
    page.locator("#on-capitals .scroll").first.evaluate("box => { box.scrollLeft = 400; }")
    after = name.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] == pytest.approx(before["x"], abs=2)  # the first column stays


def test_a_long_title_does_not_widen_the_page(
    results: dict[str, bh.Results], tmp_path: Path, page: Page
) -> None:
    """By default a list is as wide as its longest line."""
    provenance = results["fair"].provenance
    collection = replace(provenance.collection, name="MIRACLRetrievalHardNegatives dev " * 4)
    long = replace(results["fair"], provenance=replace(provenance, collection=collection))
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(bh.leaderboard([long, results["own"]], tmp_path / "site").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    box = page.locator("#dataset").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 360


def test_pages_without_scripts(site: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page, problems = open_page(context)
    page.goto((site / "index.html").as_uri())
    assert page.locator("#on-capitals-table tbody tr:visible").count() == 5
    assert not page.locator("#filter").is_visible()
    assert not page.locator(".theme").is_visible()
    page.click("text=own/Language")
    assert page.locator("h1").inner_text() == "own/Language"
    context.close()
    assert problems == []


def test_landmarks_and_names(site: Path, page: Page) -> None:
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        for landmark in ("banner", "main", "contentinfo", "navigation"):
            assert page.get_by_role(landmark).count() == 1
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll("table, [role=region], [role=img]")]
              .filter((e) => !(e.caption || e.ariaLabel || e.getAttribute("aria-labelledby")))
              .length"""
        )
        assert unnamed == 0
        headings = page.evaluate(
            "[...document.querySelectorAll('th')].filter((e) => !e.scope).length"
        )
        assert headings == 0
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(set(ids)) == len(ids)


def test_screenshots(site: Path, browser: Browser) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        pytest.skip("SCREENSHOTS names no folder")
    Path(folder).mkdir(parents=True, exist_ok=True)
    pages = {
        "index": "index.html",
        "model": "models/capitals-lossy.html",
        "comparison": "comparisons/capitals-fair--capitals-lossy.html",
    }
    for look, (width, theme) in {
        "light": (1280, "light"), "dark": (1280, "dark"), "narrow": (360, "light"),
    }.items():  # fmt: skip
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,  # type: ignore[arg-type] # one of its texts
        )
        page = context.new_page()
        for name, address in pages.items():
            page.goto((site / address).as_uri())
            page.screenshot(path=Path(folder) / f"{name}-{look}.png", full_page=True)
        context.close()
