"""Benchmarks with images have a table of their own, and pages that show the images."""

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
from beir_hybrid.results.render import format_value
from beir_hybrid.retrieval.runs import name_checksum_file
from tests.boards import HOSTILE, Page
from tests.image_boards import (
    compute_colour,
    evaluate_image_system,
    load_squares,
    write_squares,
)

FAILURES = [("de", 0), ("de", 1), ("de", 2), ("de", 3), ("image", 2)]
# The relevant passage of a failure is last of 12 images or captions, and of 36 in the pool.
TEXT_IMAGE = {"ar": 1.0, "de": (8 + 4 / 12) / 12, "en": 1.0}
IMAGE_TEXT = (11 + 1 / 12) / 12
POOL_FAILURE = (1 / 34 + 2 / 35 + 3 / 36) / 3
POOL = (11 + POOL_FAILURE) / 12


@pytest.fixture
def squares(tmp_path: Path) -> Collection:
    return load_squares(write_squares(tmp_path / "squares"))


def save_lossy(folder: Path, squares: Collection, *, has_runs: bool = True) -> bh.Results:
    runs = folder / "lossy" / "runs" if has_runs else None
    results = evaluate_image_system("lossy", squares, failures=FAILURES, runs=runs)
    results.save(folder / "lossy")
    return results


def read_model_page(folder: Path) -> Page:
    """Make a leaderboard of the results in a folder, and return the page of its only model."""
    site = bh.leaderboard(folder / "lossy", folder / "site", local_files=True).parent
    (path,) = (site / "models").iterdir()
    return Page(path)


def test_the_table_of_images(squares: Collection, tmp_path: Path) -> None:
    fair, lossy = evaluate_image_system("fair", squares), save_lossy(tmp_path, squares)
    texts_only = evaluate_image_system("captions", squares, settings=["cross"])
    page = Page(bh.leaderboard([texts_only, lossy, fair], tmp_path / "site", local_files=True))
    texts = page.find_table("Cr shows AP")
    images = page.find_table("T2I, I2T, Pool, Mix, Cr and Mul show AP")
    assert [row[0] for row in texts[2:]] == ["captions"]
    assert [row[0] for row in images[2:]] == ["fair", "lossy"]
    assert texts[1][1:3] == ["Rank", "Cr"]
    sections = page.find_all("section")
    ids = [section["id"] for section in sections if section.get("class") == "dataset"]
    assert ids == ["on-squares", "on-squares-images"]
    assert page.text.count("Images and captions") == 2  # a heading, and a heading of columns
    row = dict(zip(images[1], images[3], strict=True))
    assert row["Rank"] == "1"
    assert row["T2I"] == format_value(sum(TEXT_IMAGE.values()) / 3)
    assert row["I2T"] == format_value(IMAGE_TEXT)
    assert row["Pool"] == format_value(POOL)
    assert row["R@1 T2I"] == row["R@10 T2I"] == format_value((1 + 8 / 12 + 1) / 3)
    assert row["R@1 I2T"] == row["R@10 I2T"] == format_value(11 / 12)
    assert row["Rank distance"] == "2.0000"  # three captions side by side
    assert row["Normalised"] == ".0000"
    assert row["Disparity"] == format_value(4 * 11 / 12)  # of four images: ranks 12 and 1
    # Irrelevant passages tie, and ids of images come before those of captions: 1 + 7 of the first
    # 10 are images, or all 10 where the relevant passages come last.
    assert row["Images@10"] == format_value((0.8 + (8 * 0.8 + 4) / 12 + 0.8) / 3)


def test_hard_images_by_hand(squares: Collection, tmp_path: Path) -> None:
    results = save_lossy(tmp_path, squares)
    groups = find_hard_groups(results, "AP", tmp_path / "lossy" / "runs", squares)
    assert [group.name for group in groups] == ["s02", "s00", "s01", "s03"]
    hardest = groups[0]
    cross, multi = 4 + 2 / 12, 2 + (1 / 34 + 2 / 35) / 2
    images = (2 + 1 / 12) + 3 / 12 + POOL_FAILURE
    assert hardest.mean == pytest.approx((cross + multi + images) / (6 + 3 + 3 + 3 + 1))
    assert [query.query for query in hardest.queries] == [
        "ar:q:s02-0", "de:q:s02-0", "en:q:s02-0", "image:q:s02",
    ]  # fmt: skip
    assert list_hits(hardest) == {
        "ar": [("image:s02", True), ("image:s11", False), ("image:s10", False)],
        "de": [("image:s11", False), ("image:s10", False), ("image:s09", False)],
        "en": [("image:s02", True), ("image:s11", False), ("image:s10", False)],
        "image": [("en:s11-0", False), ("en:s10-0", False), ("en:s09-0", False)],
    }
    assert [hit.passage for hit in hardest.gold] == [
        "ar:s02-0", "de:s02-0", "en:s02-0", "image:s02",
    ]  # fmt: skip
    assert hardest.title_query.language == "en"
    assert [query.text for query in hardest.queries] == [
        "مربع رقم 2", "Quadrat Nummer 2", f"square number 2 {HOSTILE[0]}", None,
    ]  # fmt: skip
    values = [query.value for query in hardest.queries]
    assert values == pytest.approx([1, 1 / 12, 1, POOL_FAILURE])


def list_hits(group: HardGroup) -> dict[str, list[tuple[str, bool | None]]]:
    return {
        query.language: [(hit.passage, hit.is_relevant) for hit in query.hits]
        for query in group.queries
    }


def test_queries_of_runs_may_be_in_any_order(squares: Collection, tmp_path: Path) -> None:
    results, runs = save_lossy(tmp_path, squares), tmp_path / "lossy" / "runs"
    hits = list(map(list_hits, find_hard_groups(results, "AP", runs, squares)))
    assert all(len(ranking) == 3 for group in hits for ranking in group.values())
    for path in runs.glob("*.trec"):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        lines.sort(key=lambda line: line.split()[0], reverse=True)  # stable within a query
        path.write_text("".join(lines), "utf-8")
        name_checksum_file(path).unlink()  # it was edited
    assert list(map(list_hits, find_hard_groups(results, "AP", runs, squares))) == hits


def test_a_page_shows_images(squares: Collection, tmp_path: Path) -> None:
    save_lossy(tmp_path, squares)
    page = read_model_page(tmp_path)
    images = page.find_all("img")
    colours = {}
    for image in images:
        media_type, _, data = str(image["src"]).partition(",")
        assert media_type == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as thumbnail:
            size = int(image["width"] or 0), int(image["height"] or 0)
            assert thumbnail.size == (96, 48) == size
            colours[image["alt"]] = thumbnail.convert("RGB").getpixel((50, 20))
    # In the summary, among the relevant passages, as query, and in the captions' rankings.
    assert len(images) == 4 * 3 + 4 * 9
    numbers = (0, 1, 2, 3, 9, 10, 11)
    assert set(colours) == {f"square number {i} {HOSTILE[i % 2]}" for i in numbers}
    for i in numbers:
        colour = colours[f"square number {i} {HOSTILE[i % 2]}"]
        assert colour == pytest.approx(compute_colour(i), abs=6)
    assert "img-src data:" in str(page.find_all("meta")[1]["content"])
    assert len(page.find_all("script")) == 2  # both from our templates
    assert "Hardest images" in page.text
    assert "and the first 3 of each ranking" in page.text


def test_values_by_language_of_captions(squares: Collection, tmp_path: Path) -> None:
    results = save_lossy(tmp_path, squares, has_runs=False)
    page = read_model_page(tmp_path)
    headings, *rows = page.find_table("AP by language of captions")
    assert headings == [
        "captions in", "cross-lingual, mean", "pool", "text to image", "image to text",
        "mixed pool",
    ]  # fmt: skip
    assert {row[0]: row[3:5] for row in rows} == {
        "Arabic (ar)": [format_value(TEXT_IMAGE["ar"]), format_value(IMAGE_TEXT)],
        "German (de)": [format_value(TEXT_IMAGE["de"]), format_value(IMAGE_TEXT)],
        "English (en)": [format_value(TEXT_IMAGE["en"]), format_value(IMAGE_TEXT)],
    }
    values = group_by_language(results.means("AP"))
    means = {language: means[0] for language, means in values["text-image"].items()}
    assert means == pytest.approx(TEXT_IMAGE)
    assert set(values["image-text"]) == {"ar", "de", "en"}
    assert "image-pool" not in values
    headings, *rows = page.find_table("Bias by query language")
    # No query has a relevant caption in its own language, so that no share of them has a value.
    assert headings == ["queries in", "ModalityShare@10"]
    german = format_value((8 * 0.8 + 4) / 12)
    assert [row[1] for row in rows] == [".8000", german, ".8000", ".3333"]


def test_missing_and_changed_images(squares: Collection, tmp_path: Path) -> None:
    results = save_lossy(tmp_path, squares)
    (tmp_path / "squares" / "png" / "s02.png").unlink()
    Image.new("RGB", (200, 100), "white").save(tmp_path / "squares" / "png" / "s11.png")
    previews = load_previews(squares, ["image:q:s02"], ["image:s11", "image:s10", "en:s02-0"])
    assert previews.texts == {"en:s02-0": f"square number 2 {HOSTILE[0]}"}
    assert {name: bool(image.address) for name, image in previews.thumbnails.items()} == {
        "image:q:s02": False, "image:s11": False, "image:s10": True,
    }  # fmt: skip
    # The folder makes another collection now, or none, so texts are not shown.
    page = read_model_page(tmp_path)
    assert "Texts are missing" in page.text
    assert page.find_all("img") == []
    # The collection in memory has the captions of missing images.
    entries = read_entries(tmp_path / "lossy")
    site = Site(entries)
    site.collections[entries[0].benchmark] = squares
    (tmp_path / "again").mkdir()
    site.write(tmp_path / "again")
    (path,) = (tmp_path / "again" / "models").iterdir()
    page = Page(path)
    message = "image s02, not on the machine that made this page"
    assert f"{message}: {previews.texts['en:s02-0']}" in page.text
    numbers = {str(image["alt"]).split()[2] for image in page.find_all("img")}
    assert numbers == {"0", "1", "3", "9", "10"}
    assert results.model in page.text


def test_pages_without_runs_are_equal_each_time(squares: Collection, tmp_path: Path) -> None:
    save_lossy(tmp_path, squares, has_runs=False)
    page = read_model_page(tmp_path)
    assert "These results hold no runs, so no rankings are shown" in page.text
    assert len(page.find_all("img")) == 4 * 3  # in the summary, as relevant passage, as query
    paths = list((tmp_path / "site").rglob("*.html"))
    content = {path: path.read_bytes() for path in paths}
    bh.leaderboard(tmp_path / "lossy", tmp_path / "site", local_files=True)
    assert {path: path.read_bytes() for path in (tmp_path / "site").rglob("*.html")} == content


def test_a_comparison_labels_the_settings(squares: Collection) -> None:
    kinds = ["text-image", "image-text", "image-pool"]
    systems = {
        name: evaluate_image_system(name, squares, failures=failures, settings=kinds)
        for name, failures in (("fair", ()), ("lossy", FAILURES))
    }
    overview = next(iter(build_tables(compare_systems(systems))))
    assert overview.headings == [
        "system", "AP T2I", "AP I2T", "AP Pool", "RankDistance Pool ↓",
    ]  # fmt: skip
    means = (sum(TEXT_IMAGE.values()) / 3, IMAGE_TEXT, POOL)
    assert [cell.text for cell in overview.rows[1][1:4]] == list(map(format_value, means))
