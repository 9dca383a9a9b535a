"""A leaderboard's table shows the values of results; its folder is replaced as a whole."""
# mypy: allow-untyped-calls

import errno
import math
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from ir_measures import AP, R, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData, BadOption, NotWritable
from beir_hybrid.report.board import build_board
from beir_hybrid.report.entry_files import read_entries
from beir_hybrid.report.view_data import _pack_errors
from beir_hybrid.results.paired_errors import compute_paired_errors
from beir_hybrid.results.render import format_value
from tests.boards import HOSTILE, LANGUAGES, Page, evaluate_system
from tests.leaderboard_fixtures import (
    capitals,
    module_cache,
    read_figures,
    read_files,
    read_rows,
    results_folder,
    site,
    unpack,
)
from tests.sealed_files import rewrite
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["capitals", "module_cache", "results_folder", "run_cli", "site"]

ALL_QUERIES = [(lang, number) for lang in LANGUAGES for number in range(12)]
AP_LAST = (1 / 34 + 2 / 35 + 3 / 36) / 3  # AP where three answers come last of 36


def read_visible_values(page: Page) -> list[str | None]:
    return [cell.get("data-sort") for cell in page.find_all("td")]


def test_the_table_has_the_values_of_results(results_folder: Path, site: Path) -> None:
    page = Page(site / "index.html")
    rows = read_rows(page)
    assert list(rows) == ["fair", "lossy", "own/Language"]
    assert rows["fair"]["Mo"].startswith("1.0000")
    biased = rows["own/Language"]
    # The answer in the query's language comes first, the two others last of 36: rank distance 35,
    # preference 1.
    assert biased["Mul"].startswith(format_value((1 + 2 / 35 + 3 / 36) / 3))
    assert biased["Cr"].startswith(format_value(1 / 12))
    assert biased["Rank distance"] == "35.0"
    assert biased["Preference"] == "1.0000"
    assert biased["Normalised"] == format_value((35 - 2) / (2 * 37 / 4 - 2))
    values = read_visible_values(page)
    for name in ("fair", "lossy", "own"):
        summary = bh.Results.load(results_folder / name).summary()
        for kind, measure in (("mono", AP), ("cross", AP), ("multi", AP), ("mono", R @ 1),
                              ("multi", R @ 10), ("multi", bh.RankDistance),
                              ("multi", bh.SameLanguageShare @ 10)):  # fmt: skip
            estimate = summary[kind][measure]  # type: ignore[index] # the kinds are kinds
            assert f"{estimate.mean:.6g}" in values
            if estimate.low < estimate.high:
                interval = f"{format_value(estimate.low)} to {format_value(estimate.high)}"
                assert interval in page.text


def test_the_page_holds_all_measures(results_folder: Path, site: Path) -> None:
    figures = read_figures(site / "index.html")["on-capitals"]
    assert [system["name"] for system in figures["systems"]] == ["fair", "lossy", "own/Language"]
    for place, name in enumerate(("fair", "lossy", "own")):
        results = bh.Results.load(results_folder / name)
        for kind in ("mono", "cross", "multi"):
            estimate = results.summary()[kind][nDCG @ 10]
            packed = figures["estimates"][f"nDCG@10 {kind}"]
            assert packed.keys() == {"mean", "low", "high"}  # it has no unbiased value
            numbers = [unpack(packed[name])[place] for name in ("mean", "low", "high")]
            assert numbers == pytest.approx([estimate.mean, estimate.low, estimate.high], abs=1e-6)
        for kind in ("mono", "cross", "multi"):
            settings = [setting for setting in figures["settings"] if setting[0] == kind]
            means = unpack(figures["means"][f"nDCG@10 {kind}"])
            expected = [results.means(nDCG @ 10)[Setting(*setting)] for setting in settings]
            row_means = means[place * len(settings) : (place + 1) * len(settings)]
            assert row_means == pytest.approx(expected, abs=1e-5)
    lossy, own = (bh.Results.load(results_folder / name) for name in ("lossy", "own"))
    (row,) = (row for row in bh.compare(lossy, own, measures=[AP]) if row.setting == "cross")
    errors = figures["errors"]["AP cross"]
    assert (errors["groups"], errors["quantiles"]) == (12, {"12": pytest.approx(2.201, abs=1e-3)})
    error = math.exp(unpack(errors)[2])  # of pairs 0-1, 0-2, 1-2
    # A resampled interval of twelve groups is near that of the normal distribution.
    assert (row.difference.high - row.difference.low) / 2 == pytest.approx(1.96 * error, rel=0.2)
    options = re.findall("<option>([^<]+)", (site / "index.html").read_text("utf-8"))
    assert options == ["AP", "nDCG@10", "R@1", "R@10", "R@100"]


def test_ranks_are_those_of_the_tests(capitals: Collection, tmp_path: Path) -> None:
    systems = {
        "best": evaluate_system("best", capitals),
        "twin": evaluate_system("twin", capitals, failures=[("de", 0)]),
        "worst": evaluate_system("worst", capitals, failures=ALL_QUERIES),
    }
    rows = read_rows(Page(bh.leaderboard(systems.values(), tmp_path / "site")))
    # One query of twelve is not significant; all twelve are: p = 2 / 2^12, for three pairs.
    assert {name: row["Rank"] for name, row in rows.items()} == {
        "best": "1", "twin": "1", "worst": "3",
    }  # fmt: skip
    assert rows["worst"]["Mul"].startswith(format_value(AP_LAST))


def test_the_best_values_are_marked_by_direction(capitals: Collection) -> None:
    systems = [
        evaluate_system("fair", capitals),
        evaluate_system("own", capitals, is_biased=True),
    ]
    board = build_board(read_entries(systems))
    best = {
        column.title: {
            row.entry.name for row in board.rows if next(iter(row.cells[i].values())).is_best
        }
        for i, column in enumerate(board.columns)
    }
    assert best["Mul"] == {"fair"}
    assert best["Mo"] == {"fair", "own"}
    assert best["Rank distance"] == {"fair"}
    # The later id of a tie comes first, so English alone is preferred: 1/3, just as without bias.
    assert best["Preference"] == {"fair"}
    assert best["Rank"] == set()


def test_names_and_texts_are_escaped(capitals: Collection, tmp_path: Path) -> None:
    for i, name in enumerate(HOSTILE):
        results = evaluate_system(name, capitals, failures=[("de", 0), ("en", i)])
        results.save(tmp_path / "results" / str(i))
    site = bh.leaderboard(tmp_path / "results", tmp_path / "site", local_files=True).parent
    paths = sorted(site.rglob("*.html"))
    assert len(paths) == 1 + 2 + 1
    for path in paths:
        page = Page(path)
        scripts = [script for script in page.find_all("script") if "type" not in script]
        assert len(scripts) == 2  # both from our templates
        assert page.find_all("img") == []
        assert not [
            name for _, attributes in page.elements for name in attributes if name[:2] == "on"
        ]
        assert any(name in page.text for name in HOSTILE)
        policy = page.find_all("meta")[1]["content"] or ""
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
    texts = [Page(path).text for path in (site / "models").iterdir()]
    assert all(f"Stadt 0 {HOSTILE[0]}" in text for text in texts)  # the answer to a hard query


def test_equal_results_make_equal_bytes(results_folder: Path, site: Path, tmp_path: Path) -> None:
    folders = [results_folder / name for name in ("own", "lossy", "fair")]
    again = bh.leaderboard(folders, tmp_path / "again", local_files=True)
    assert read_files(again.parent) == read_files(site)


def test_every_link_leads_to_a_file_and_nothing_is_loaded(site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        page = Page(path)
        for link in page.find_all("a"):
            address = urlsplit(link["href"] or "")
            assert not address.scheme
            assert address.path == "" or (path.parent / unquote(address.path)).is_file()
        assert page.find_all("iframe") == page.find_all("img") == []
        assert [link["href"] for link in page.find_all("link")] == ["data:,"]
        assert all("src" not in script for script in page.find_all("script"))
        assert "url(http" not in path.read_text("utf-8")


def test_partial_runs_beside_full_results(
    capitals: Collection, results_folder: Path, tmp_path: Path
) -> None:
    run = results_folder / "fair" / "runs" / "de-all.trec"
    partial = bh.evaluate_runs(run, capitals, name="run")
    page = bh.leaderboard([results_folder / "lossy", partial], tmp_path / "site")
    rows = read_rows(Page(page))
    assert rows["run"]["Mul"] == "1.0000"
    assert rows["run"]["Mo"] == ""
    assert "No ranks: " in Page(page).text
    assert rows["run"]["Recipe"] == "runs in TREC files"
    (path,) = (page.parent / "comparisons").iterdir()
    assert "cannot be compared: the results have different multi settings" in Page(path).text


def test_results_with_one_target_only(capitals: Collection, tmp_path: Path) -> None:
    options: dict[str, Any] = {"settings": ["one-target"], "measures": ["AP", "RR"]}
    systems = [
        evaluate_system(name, capitals, is_biased=is_biased, **options)
        for name, is_biased in (("a", False), ("b", True))
    ]
    page = bh.leaderboard(systems, tmp_path / "site")
    rows = read_rows(Page(page))
    assert list(rows) == ["a", "b"]
    assert rows["b"]["Rank"] == "2"
    model = Page(page.parent / "models" / "capitals-b.html")
    # With one target the pool has 34 passages, and an answer in another language comes last.
    last = format_value(1 / 34)
    assert model.find_table("AP with one target")[1] == ["ar", "1.0000", last, last]


def test_similar_names_have_different_pages(capitals: Collection, tmp_path: Path) -> None:
    names = ["org/Model", "Org/model", "../../etc", "模型", "org/Model"]
    page = bh.leaderboard([evaluate_system(name, capitals) for name in names], tmp_path / "site")
    files = sorted(path.name for path in (page.parent / "models").iterdir())
    assert files == [
        "capitals-etc.html",
        "capitals-org-model-2-2.html",
        "capitals-org-model-2.html",
        "capitals-org-model.html",
        "capitals.html",
    ]
    assert len(read_rows(Page(page))) == 5
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"site"}


def test_a_leaderboard_is_replaced_as_a_whole(results_folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()  # an empty folder may be used
    bh.leaderboard(results_folder, site)
    assert (site / "models" / "capitals-own-language.html").is_file()
    files = read_files(site)
    # A failure leaves the earlier leaderboard.
    shutil.copytree(results_folder / "fair", tmp_path / "broken")
    (tmp_path / "broken" / "results.json").write_text("{")
    with pytest.raises(BadData):
        bh.leaderboard([results_folder, tmp_path / "broken"], site)
    assert read_files(site) == files
    bh.leaderboard(results_folder / "fair", site)
    assert [path.name for path in (site / "models").iterdir()] == ["capitals-fair.html"]
    assert list((site / "comparisons").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"broken", "site"}


def test_a_leaderboard_among_results_is_none_of_them(results_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(results_folder, tmp_path / "results"))
    bh.leaderboard(folder, folder / "site")
    files = read_files(folder / "site")
    bh.leaderboard(folder, folder / "site")
    assert read_files(folder / "site") == files
    # Named itself, it is a folder of results as any; another's file of that name tells nothing.
    assert len(read_entries(folder / "site")) == len(read_entries(folder))
    for content in ("[" * 100_000, "{", '{"made with": "hands"}'):
        (folder / "leaderboard.json").write_text(content)
        assert len(read_entries(tmp_path)) == len(read_entries(folder))


def test_the_old_leaderboard_stays_until_the_new_one_is_on_disk(
    results_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = bh.leaderboard(results_folder / "fair", tmp_path / "site").parent
    files = read_files(site)
    seen: list[bool] = []

    def fail(_descriptor: int) -> None:
        seen.append((site / "index.html").exists())
        raise OSError(errno.ENOSPC, "No space left on device", str(site))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(NotWritable, match="site"):
            bh.leaderboard(results_folder, site)
    assert seen == [True]
    assert read_files(site) == files
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"site"}


def test_results_with_measures_of_bias_alone(capitals: Collection) -> None:
    systems = {
        "good": evaluate_system("good", capitals, measures=["RankDistance"]),
        "biased": evaluate_system("biased", capitals, is_biased=True, measures=["RankDistance"]),
    }
    board = build_board(read_entries([systems["biased"], systems["good"]]))
    assert [row.entry.name for row in board.rows] == ["good", "biased"]
    assert [entry.name for entry in board.systems] == ["good", "biased"]
    assert board.measures == ("RankDistance",)
    for column, *cells in zip(board.columns, *(row.cells for row in board.rows), strict=True):
        if column.kind == "multi":
            assert column.direction == "lower"
            marks = [cell["" if column.measure else "RankDistance"].is_best for cell in cells]
            assert marks == [True, False]


def test_small_errors_of_differences_stay_beside_large_ones(capitals: Collection) -> None:
    """Results of two runs that differ in a query, those of one that differs in none, and others."""
    failures = {"a": [], "b": [("de", 3)], "twin of a": [], "biased": []}
    systems = [
        evaluate_system(name, capitals, failures=queries, is_biased=name == "biased")
        for name, queries in failures.items()
    ]
    entries = read_entries(systems)
    packed: dict[str, Any] = _pack_errors(entries, "RankDistance", "multi")
    errors = compute_paired_errors([system.values("RankDistance", "multi") for system in systems])
    expected = errors[np.triu_indices(4, 1)]
    assert expected[1] == 0  # a and its twin
    numbers = np.exp(unpack(packed))
    assert (numbers == 0).tolist() == (expected == 0).tolist()
    assert numbers == pytest.approx(expected, rel=0.01, abs=0)


def test_folders_of_the_user_are_not_replaced(results_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(BadOption, match=r"home holds 'letter\.txt', which is no part of a leader"):
        bh.leaderboard(results_folder, tmp_path / "home")
    (tmp_path / "files" / "files").mkdir(parents=True)
    with pytest.raises(BadOption, match="files is not a leaderboard; name another folder"):
        bh.leaderboard(results_folder, tmp_path / "files")
    site = bh.leaderboard(results_folder / "fair", tmp_path / "site").parent
    (site / ".git").mkdir()
    with pytest.raises(BadOption, match=r"site holds '\.git', which is no part"):
        bh.leaderboard(results_folder, site)
    with pytest.raises(BadOption, match=r"letter\.txt is no folder"):
        bh.leaderboard(results_folder, tmp_path / "home" / "letter.txt")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def copy_results(folder: Path, results: Path, **changes: Any) -> Path:
    """Copy a folder of results, with changes to the keys of its JSON."""
    shutil.copytree(results, folder)
    rewrite(folder / "results.json", lambda record: record.update(changes))
    return folder


def test_errors_name_the_file_in_one_line(
    results_folder: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    newer = copy_results(tmp_path / "newer", results_folder / "fair", format=99)
    bare = copy_results(tmp_path / "bare", results_folder / "fair", about={"model": {}})
    (tmp_path / "empty").mkdir()
    (tmp_path / "de-all.trec").write_text("q Q0 d 1 1.0 x\n")
    (tmp_path / "other.json").write_text('{"a": 1}')
    for name, message in {
        "newer": "newer/results.json has format 99, and this version reads 2",
        "bare": "bare/results.json: about.model.name is missing",
        "empty": "empty holds no results: neither results.json",
        "de-all.trec": "if it is a run, `beir-hybrid evaluate --run FILE --dataset NAME",
        "other.json": "other.json: dataset_revision is missing",
        "missing": "there is no folder",
    }.items():
        done = run_cli("leaderboard", tmp_path / name, "--output", tmp_path / "site")
        assert done.code == 2
        (line,) = done.err.splitlines()
        assert message in line
        assert name in line
    assert (newer.exists(), bare.exists()) == (True, True)
    assert not (tmp_path / "site").exists()
    with pytest.raises(BadOption, match="no results are named"):
        bh.leaderboard([], tmp_path / "site")


def test_the_command_says_what_to_open(
    results_folder: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    folders = [results_folder / name for name in ("fair", "lossy")]
    done = run_cli("leaderboard", *folders, "--output", tmp_path / "s")
    assert (done.code, done.out) == (0, f"open {tmp_path / 's' / 'index.html'}\n")
    assert list(read_rows(Page(tmp_path / "s" / "index.html"))) == ["fair", "lossy"]


def test_a_published_row_has_no_rank_of_its_namesake(results_folder: Path) -> None:
    (entry,) = read_entries(bh.Results.load(results_folder / "fair"))
    namesake = replace(entry, source="published", results=None, path=None)
    board = build_board([entry, namesake])
    ranks = {row.entry.source: row.cells[0][board.main_measure].text for row in board.rows}
    assert ranks == {"results": "1", "published": ""}
