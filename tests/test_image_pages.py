"""Entries on pictures stand apart, with figures made by hand and the pictures themselves."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.report.comparison_tables import build_tables
from beir_hybrid.report.entry_files import read_entries
from beir_hybrid.report.hard_groups import HardGroup, find_hard_groups
from beir_hybrid.report.plots import group_by_language
from beir_hybrid.report.previews import load_previews
from beir_hybrid.report.site import Site
from beir_hybrid.report.system_comparison import compare_systems
from tests.boards import HOSTILE, Page
from tests.image_boards import collection, colour, folder_of, system

LOST = [("de", 0), ("de", 1), ("de", 2), ("de", 3), ("image", 2)]
# What is lost comes last of 12 pictures or captions, and of 36 captions in three languages.
T2I = {"ar": 1.0, "de": (8 + 4 / 12) / 12, "en": 1.0}
I2T = (11 + 1 / 12) / 12
LAST = (1 / 34 + 2 / 35 + 3 / 36) / 3
POOL = (11 + LAST) / 12


@pytest.fixture
def on(tmp_path: Path) -> Collection:
    return collection(folder_of(tmp_path / "squares"))


def saved(folder: Path, on: Collection, *, runs: bool = True) -> bh.Results:
    found = system("lossy", on, lost=LOST, runs=folder / "lossy" / "runs" if runs else None)
    found.save(folder / "lossy")
    return found


def page_of(folder: Path) -> Page:
    """Make a leaderboard of what is saved there; return the page of its only model."""
    site = bh.leaderboard(folder / "lossy", folder / "site").parent
    (path,) = (site / "models").iterdir()
    return Page(path)


def shown(values: float) -> str:
    return f"{values:.4f}".replace("0.", ".", 1) if values < 1 else f"{values:.4f}"


def test_a_board_of_pictures(on: Collection, tmp_path: Path) -> None:
    fair, lossy = system("fair", on), saved(tmp_path, on)
    alone = system("captions", on, settings=["cross"])
    page = Page(bh.leaderboard([alone, lossy, fair], tmp_path / "site"))
    texts, pictures = (
        page.table("Cr shows AP"),
        page.table("T2I, I2T, Pool, Mix, Cr and Mul show AP"),
    )
    assert [row[0] for row in texts[2:]] == ["captions"]
    assert [row[0] for row in pictures[2:]] == ["fair", "lossy"]
    assert texts[1][1:3] == ["Rank", "Cr"]
    ids = [section["id"] for section in page.all("section") if section.get("class") == "dataset"]
    assert ids == ["on-squares", "on-squares-images"]
    assert page.text.count("Images and captions") == 2  # the heading, and a band of columns
    found = dict(zip(pictures[1], pictures[3], strict=True))
    assert found["Rank"] == "1"
    assert found["T2I"] == shown(sum(T2I.values()) / 3)
    assert found["I2T"] == shown(I2T)
    assert found["Pool"] == shown(POOL)
    assert found["R@1 T2I"] == found["R@10 T2I"] == shown((1 + 8 / 12 + 1) / 3)
    assert found["R@1 I2T"] == found["R@10 I2T"] == shown(11 / 12)
    assert found["Rank distance"] == "2.0000"  # three captions side by side
    assert found["Normalised"] == ".0000"
    assert found["Disparity"] == shown(4 * 11 / 12)  # of four pictures, rank 12 and rank 1
    # All that is not relevant ties, and ids of pictures come before those of captions: 1 + 7 of
    # the first 10 are pictures, or all where what is relevant comes last.
    assert found["Images@10"] == shown((0.8 + (8 * 0.8 + 4) / 12 + 0.8) / 3)


def test_what_is_hardest(on: Collection, tmp_path: Path) -> None:
    results = saved(tmp_path, on)
    found = find_hard_groups(results, "AP", tmp_path / "lossy" / "runs", on)
    assert [one.name for one in found] == ["s02", "s00", "s01", "s03"]
    first = found[0]
    cross, multi = 4 + 2 / 12, 2 + (1 / 34 + 2 / 35) / 2
    pictured = (2 + 1 / 12) + 3 / 12 + LAST
    assert first.mean == pytest.approx((cross + multi + pictured) / (6 + 3 + 3 + 3 + 1))
    assert [asked.query for asked in first.queries] == [
        "ar:q:s02-0", "de:q:s02-0", "en:q:s02-0", "image:q:s02",
    ]  # fmt: skip
    assert hits(first) == {
        "ar": [("image:s02", True), ("image:s11", False), ("image:s10", False)],
        "de": [("image:s11", False), ("image:s10", False), ("image:s09", False)],
        "en": [("image:s02", True), ("image:s11", False), ("image:s10", False)],
        "image": [("en:s11-0", False), ("en:s10-0", False), ("en:s09-0", False)],
    }
    assert [hit.passage for hit in first.gold] == [
        "ar:s02-0", "de:s02-0", "en:s02-0", "image:s02",
    ]  # fmt: skip
    assert first.title_query.language == "en"
    assert [one.text for one in first.queries] == [
        "مربع رقم 2", "Quadrat Nummer 2", f"square number 2 {HOSTILE[0]}", None,
    ]  # fmt: skip
    assert [one.value for one in first.queries] == pytest.approx([1, 1 / 12, 1, LAST])


def test_runs_may_have_queries_in_any_order(on: Collection, tmp_path: Path) -> None:
    results, runs = saved(tmp_path, on), tmp_path / "lossy" / "runs"
    before = list(map(hits, find_hard_groups(results, "AP", runs, on)))
    assert all(len(found) == 3 for one in before for found in one.values())
    for path in runs.iterdir():
        lines = path.read_text("utf-8").splitlines(keepends=True)
        lines.sort(key=lambda line: line.split()[0], reverse=True)  # and stays in order else
        path.write_text("".join(lines), "utf-8")
    assert list(map(hits, find_hard_groups(results, "AP", runs, on))) == before


def hits(one: HardGroup) -> dict[str, list[tuple[str, bool | None]]]:
    return {
        asked.language: [(h.passage, h.is_relevant) for h in asked.hits] for asked in one.queries
    }


def test_a_page_shows_pictures(on: Collection, tmp_path: Path) -> None:
    saved(tmp_path, on)
    page = page_of(tmp_path)
    images = page.all("img")
    seen = {}
    for image in images:
        kind, _, data = str(image["src"]).partition(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as small:
            assert small.size == (96, 48) == (int(image["width"] or 0), int(image["height"] or 0))
            seen[image["alt"]] = small.convert("RGB").getpixel((50, 20))
    # In the summary, among what is to be found, the question, and what the captions retrieved.
    assert len(images) == 4 * 3 + 4 * 9
    numbers = (0, 1, 2, 3, 9, 10, 11)
    assert set(seen) == {f"square number {n} {HOSTILE[n % 2]}" for n in numbers}
    for n in numbers:
        got = seen[f"square number {n} {HOSTILE[n % 2]}"]
        assert got == pytest.approx(colour(n), abs=6)
    assert "img-src data:" in str(page.all("meta")[1]["content"])
    assert len(page.all("script")) == 2  # our own
    assert "Hardest images" in page.text
    assert "and the first 3 of each ranking" in page.text


def test_figures_by_language(on: Collection, tmp_path: Path) -> None:
    results = saved(tmp_path, on, runs=False)
    rows = page_of(tmp_path).table("AP by language of captions")
    assert rows[0] == [
        "captions in", "cross-lingual, mean", "pool", "text to image", "image to text",
        "mixed pool",
    ]  # fmt: skip
    found = {row[0]: row[3:5] for row in rows[1:]}
    assert found == {
        "Arabic (ar)": [shown(T2I["ar"]), shown(I2T)],
        "German (de)": [shown(T2I["de"]), shown(I2T)],
        "English (en)": [shown(T2I["en"]), shown(I2T)],
    }
    bars = group_by_language(results.means("AP"))
    assert {lang: values[0] for lang, values in bars["text-image"].items()} == pytest.approx(T2I)
    assert set(bars["image-text"]) == {"ar", "de", "en"}
    assert "image-pool" not in bars
    bias = page_of(tmp_path).table("Bias by query language")
    assert bias[0] == ["queries in", "SameLanguageShare@10", "ModalityShare@10"]
    assert [row[2] for row in bias[1:]] == [".8000", shown((8 * 0.8 + 4) / 12), ".8000", ".3333"]


def test_pictures_that_are_gone(on: Collection, tmp_path: Path) -> None:
    results = saved(tmp_path, on)
    (tmp_path / "squares" / "png" / "s02.png").unlink()
    Image.new("RGB", (200, 100), "white").save(tmp_path / "squares" / "png" / "s11.png")
    known = load_previews(on, ["image:q:s02"], ["image:s11", "image:s10", "en:s02-0"])
    assert known.texts == {"en:s02-0": f"square number 2 {HOSTILE[0]}"}
    assert {name: bool(one.address) for name, one in known.thumbnails.items()} == {
        "image:q:s02": False, "image:s11": False, "image:s10": True,
    }  # fmt: skip
    # Its folder makes another collection now, or none, so texts are not shown.
    page = page_of(tmp_path)
    assert "Texts are missing" in page.text
    assert page.all("img") == []
    # Held in memory, the collection has the captions of pictures whose files are gone.
    entries = read_entries(tmp_path / "lossy")
    site = Site(entries)
    site.collections[entries[0].benchmark] = on
    (tmp_path / "again").mkdir()
    site.write(tmp_path / "again")
    (path,) = (tmp_path / "again" / "models").iterdir()
    page = Page(path)
    assert f"image s02, not on the machine that made this page: {known.texts['en:s02-0']}" in (
        page.text
    )
    kept = {str(image["alt"]).split()[2] for image in page.all("img")}
    assert kept == {"0", "1", "3", "9", "10"}
    assert results.model in page.text


def test_pages_without_runs_and_again(on: Collection, tmp_path: Path) -> None:
    saved(tmp_path, on, runs=False)
    page = page_of(tmp_path)
    assert "Results that were evaluated with runs show rankings here" in page.text
    assert len(page.all("img")) == 4 * 3  # in the summary, to be found, and the question
    first = {path: path.read_bytes() for path in (tmp_path / "site").rglob("*.html")}
    bh.leaderboard(tmp_path / "lossy", tmp_path / "site")
    assert {path: path.read_bytes() for path in (tmp_path / "site").rglob("*.html")} == first


def test_a_comparison_names_the_settings(on: Collection) -> None:
    kinds = ["text-image", "image-text", "image-pool"]
    two = {name: system(name, on, lost=lost, settings=kinds)
           for name, lost in (("fair", ()), ("lossy", LOST))}  # fmt: skip
    overview = next(iter(build_tables(compare_systems(two))))
    assert overview.headings == [
        "system", "AP T2I", "AP I2T", "AP Pool", "RankDistance Pool ↓",
    ]  # fmt: skip
    assert [cell.text for cell in overview.rows[1][1:4]] == [
        shown(sum(T2I.values()) / 3), shown(I2T), shown(POOL),
    ]  # fmt: skip
