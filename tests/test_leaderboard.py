"""A leaderboard shows the values of results, escapes all names, and is replaced as a whole."""
# mypy: allow-untyped-calls

import csv
import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from ir_measures import AP, R, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.report.board import build_board
from beir_hybrid.report.entries import Benchmark
from beir_hybrid.report.entry_files import read_entries
from beir_hybrid.report.hard_groups import find_hard_groups
from beir_hybrid.report.local_collection import find_local_collection
from beir_hybrid.report.publications import read_published_entries
from beir_hybrid.results.render import format_signed, format_value
from tests.boards import HOSTILE, LANGS, Page, collection, system
from tests.models import static_model
from tests.test_cli_evaluate import Ran, ran
from tests.test_reproduce import write_data

__all__ = ["ran"]

LOST = [("de", number) for number in range(6)]
ALL_LOST = [(lang, number) for lang in LANGS for number in range(12)]


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the fixtures of this module load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def capitals(one_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    del one_cache
    return collection(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def three(capitals: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of three systems' results: fair, one that loses, one that keeps to its own."""
    folder = tmp_path_factory.mktemp("three")
    system("fair", capitals, runs=folder / "fair" / "runs").save(folder / "fair")
    system("lossy", capitals, lost=LOST).save(folder / "lossy")
    system("own/Language", capitals, own=True).save(folder / "own")
    return folder


@pytest.fixture(scope="module")
def site(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bh.leaderboard(three, tmp_path_factory.mktemp("made") / "site").parent


def rows_of(page: Page) -> dict[str, dict[str, str]]:
    """Return the cells of the leaderboard's rows by system and heading; those that show first."""
    _, headings, *rows = page.board()
    return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip


def values_of(page: Page) -> list[str | None]:
    return [attributes.get("data-sort") for attributes in page.all("span")
            if attributes.get("data-measure") in (None, "AP")]  # fmt: skip


def test_the_table_holds_the_values_of_results(three: Path, site: Path) -> None:
    page = Page(site / "index.html")
    rows = rows_of(page)
    assert list(rows) == ["fair", "lossy", "own/Language"]
    assert rows["fair"]["Mo"].startswith("1.0000")
    own = rows["own/Language"]
    # Own answer first, the two others last of 36; rank distance 35, preference 1, no share lost.
    assert own["Mul"].startswith(format_value((1 + 2 / 35 + 3 / 36) / 3))
    assert own["Cr"].startswith(format_value(1 / 12))
    assert own["Rank distance"] == "35.0"
    assert own["Preference"] == "1.0000"
    assert own["Normalised"] == format_value((35 - 2) / (2 * 37 / 4 - 2))
    for name in ("fair", "lossy", "own"):
        results = bh.Results.load(three / name)
        summary = results.summary()
        shown = values_of(page)
        for kind, measure in (("mono", AP), ("cross", AP), ("multi", AP), ("mono", R @ 1),
                              ("multi", R @ 10), ("multi", bh.RankDistance),
                              ("multi", bh.SameLanguageShare @ 10)):  # fmt: skip
            found = summary[kind][measure]  # type: ignore[index] # the kinds are kinds
            assert repr(found.mean) in shown
            if found.low < found.high:
                assert f"{format_value(found.low)} to {format_value(found.high)}" in page.text


def test_other_measures_wait_in_the_cells(three: Path, site: Path) -> None:
    page = Page(site / "index.html")
    chosen = [a for a in page.all("span") if a.get("data-measure") == "nDCG@10"]
    assert all("hidden" in attributes for attributes in chosen)
    wanted = [
        row[nDCG @ 10].mean
        for name in ("fair", "lossy", "own")
        for kind, row in bh.Results.load(three / name).summary().items()
        if kind != "one-target"
    ]
    values = [a["data-sort"] for a in chosen]
    assert {repr(value) for value in wanted} <= set(values)
    options = re.findall("<option>([^<]+)", (site / "index.html").read_text("utf-8"))
    assert options == ["AP", "nDCG@10", "R@1", "R@10", "R@100"]


def test_ranks_are_those_of_the_tests(capitals: Collection, tmp_path: Path) -> None:
    systems = {
        "best": system("best", capitals),
        "twin": system("twin", capitals, lost=[("de", 0)]),
        "worst": system("worst", capitals, lost=ALL_LOST),
    }
    rows = rows_of(Page(bh.leaderboard(systems.values(), tmp_path / "site")))
    # One question of twelve tells nothing, all of them do: 2 / 2^12, three pairs.
    assert {name: row["Rank"] for name, row in rows.items()} == {
        "best": "1", "twin": "1", "worst": "3",
    }  # fmt: skip
    assert rows["worst"]["Mul"].startswith(format_value((1 / 34 + 2 / 35 + 3 / 36) / 3))


def test_best_values_are_marked_by_what_is_good(capitals: Collection) -> None:
    entries = read_entries([system("fair", capitals), system("own", capitals, own=True)])
    board = build_board(entries)
    best = {
        column.title: {row.entry.name for row in board.rows
                       if next(iter(row.cells[at].values())).is_best}
        for at, column in enumerate(board.columns)
    }  # fmt: skip
    assert best["Mul"] == {"fair"}
    assert best["Mo"] == {"fair", "own"}
    assert best["Rank distance"] == {"fair"}
    # The later id of a tie comes first, so English alone is preferred: 1/3, just as without bias.
    assert best["Preference"] == {"fair"}
    assert best["Rank"] == set()


# As the papers have it: mAP monolingual, cross-lingual, multilingual; rank distance.
FACTS = """
XLM-R, X-X-mono | .7918 .6737 .5479 410.2 | .6475 .5843 .4731 287.5
XLM-R, X-Y      | .7554 .6997 .5934 295.4 | .6256 .6200 .5076 226.7
XLM-R, Hybrid   | .7977 .7053 .5927 286.6 | .6481 .6234 .5121 227.1
LaBSE, X-X-mono | .8083 .7519 .6517 261.5 | .6807 .6561 .5504 225.3
LaBSE, X-Y      | .8008 .7618 .6791 225.2 | .6710 .6767 .5755 198.3
LaBSE, Hybrid   | .8167 .7672 .6817 221.1 | .6864 .6811 .5785 195.0
mBERT, En-En    | - - .29 -               | - - .36 -
mBERT, X-X      | - - .23 -               | - - .26 -
mBERT, X-X-mono | - - .52 -               | - - .49 -
mBERT, X-Y      | - - .66 -               | - - .49 -
"""
POOLS = {"xquad-r": (13090, 13014), "mlqa-r": (4199, 20534)}


def test_published_rows_are_the_published_figures() -> None:
    for at, (name, size) in enumerate(POOLS.items(), start=1):
        wanted = {}
        for line in FACTS.strip().splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            wanted[cells[0]] = [None if word == "-" else float(word) for word in cells[at].split()]
        rows = read_published_entries(Benchmark(name, "", (), size=size))
        found = {}
        for row in rows:
            figures = [row.estimate("AP", kind) for kind in ("mono", "cross", "multi")]
            figures.append(row.estimate("RankDistance", "multi"))
            found[row.name] = [None if one is None else one.mean for one in figures]
            assert row.origin[1].startswith("https://arxiv.org/abs/")
            assert math.isnan(row.summary["multi"]["AP"].low)
        assert found == wanted


def test_published_rows_stand_beside_their_own_pool_alone(
    capitals: Collection, tmp_path: Path
) -> None:
    results = system("mine", capitals)

    def named(name: str, size: tuple[int, int]) -> bh.Results:
        collection = replace(
            results.provenance.collection, name=name, queries=size[0], passages=size[1]
        )
        return replace(results, provenance=replace(results.provenance, collection=collection))

    given = [named("xquad-r", POOLS["xquad-r"]), named("mlqa-r", (512, 2362)), results]
    page = Page(bh.leaderboard(given, tmp_path / "site"))
    tables = [table for table, text in zip(page.tables, page.captions, strict=True)
              if "Bold: best value" in text]  # fmt: skip
    assert sorted(map(len, tables)) == [2 + 1, 2 + 1, 2 + 11]
    (row,) = [row for table in tables for row in table if row[0].startswith("LaBSE, Hybrid")]
    assert "published, not reproduced" in row[0]
    assert ".8167" in row[2]
    # Ranked by nobody: they have no values query by query.
    assert row[1] == ""
    assert page.text.count("published, not reproduced") == 10


def test_names_and_texts_are_shown_and_not_run(capitals: Collection, tmp_path: Path) -> None:
    named = [
        system(name, capitals, lost=[("de", 0), ("en", at)]) for at, name in enumerate(HOSTILE)
    ]
    for results in named:
        results.save(tmp_path / "results" / str(named.index(results)))
    site = bh.leaderboard(tmp_path / "results", tmp_path / "site").parent
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 1 + 2 + 1
    for path in pages:
        page = Page(path)
        assert len(page.all("script")) == 2  # both ours
        assert page.all("img") == []
        assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
        assert any(name in page.text for name in HOSTILE)
        policy = page.all("meta")[1]["content"] or ""
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
    texts = [Page(path).text for path in (site / "models").iterdir()]
    assert all(f"Stadt 0 {HOSTILE[0]}" in text for text in texts)  # a hardest question's answer


def test_equal_results_make_equal_bytes(three: Path, site: Path, tmp_path: Path) -> None:
    again = bh.leaderboard([three / "own", three / "lossy", three / "fair"], tmp_path / "again")
    assert files_of(again.parent) == files_of(site)


def test_every_link_leads_to_a_file_and_nothing_is_loaded(site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        page = Page(path)
        for attributes in page.all("a"):
            address = urlsplit(attributes["href"] or "")
            assert not address.scheme
            assert address.path == "" or (path.parent / unquote(address.path)).is_file()
        assert page.all("iframe") == page.all("img") == []
        assert [a["href"] for a in page.all("link")] == ["data:,"]
        assert all("src" not in a for a in page.all("script"))
        assert "url(http" not in path.read_text("utf-8")


def test_a_page_tells_what_results_tell(three: Path, site: Path) -> None:
    results = bh.Results.load(three / "lossy")
    page = Page(site / "models" / "capitals-lossy.html")
    titles = ("AP by language", "AP with one target", "Bias of AP to passage languages")
    plain, alone, bias = (page.table(title) for title in titles)
    assert plain[0][1:] == [*LANGS, "pool"]
    matrix, one = results.matrix(AP), results.matrix(AP, one_target=True)
    pool = {s.queries: v for s, v in results.means(AP).items() if s.kind == "multi"}
    for at, lang in enumerate(LANGS, start=1):
        assert plain[at] == [lang, *(format_value(matrix[lang, other]) for other in LANGS),
                             format_value(pool[lang])]  # fmt: skip
        assert alone[at] == [lang, *(format_value(one[lang, other]) for other in LANGS)]
        mean = sum(one[lang, other] for other in LANGS) / 3
        assert bias[at] == [lang, *(format_signed(one[lang, other] - mean) for other in LANGS)]
    # Half of the German questions find their answer last of 12.
    assert plain[2][2] == format_value((6 * 1 + 6 / 12) / 12)
    bars = page.table("AP by query language")
    assert bars[2] == [
        "German (de)",
        format_value(13 / 24),
        format_value(13 / 24),
        format_value(pool["de"]),
    ]
    shares = page.table("Language bias in the pool")
    assert shares[0] == ["queries in", "LanguagePreference", "SameLanguageShare@10"]
    assert shares[-1][:2] == ["unbiased", format_value(1 / 3)]
    summary = page.table("Averages over settings")
    found = results.summary()["multi"][AP]
    at = summary[0].index("multilingual")
    assert (
        summary[1][at]
        == f"{format_value(found.mean)} [{format_value(found.low)}, {format_value(found.high)}]"
    )


def test_downloads_are_the_results(three: Path, site: Path) -> None:
    folder = site / "files" / "capitals-fair"
    for name in ("results.json", "per_query.parquet"):
        assert (folder / name).read_bytes() == (three / "fair" / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == [
        "per_query.parquet", "results.json", "runs", "summary.csv",
    ]  # fmt: skip
    run = (three / "fair" / "runs" / "de-all.trec").read_bytes()
    assert (folder / "runs" / "de-all.trec").read_bytes() == run
    with (folder / "summary.csv").open(encoding="utf-8") as file:
        rows = {(row["settings"], row["measure"]): row for row in csv.DictReader(file)}
    summary = bh.Results.load(three / "fair").summary()
    assert float(rows["multi", "AP"]["low"]) == summary["multi"][AP].low
    assert float(rows["multi", "LanguagePreference"]["unbiased"]) == pytest.approx(1 / 3)
    assert rows["mono", "AP"]["unbiased"] == ""
    stored = json.loads((site / "leaderboard.json").read_text("utf-8"))["systems"]
    assert [one["name"] for one in stored] == ["fair", "lossy", "own/Language"]
    assert stored[2]["summary"]["multi"]["RankDistance"]["mean"] == 35
    assert stored[0]["date"] == bh.Results.load(three / "fair").timing.date


def test_comparisons_are_those_of_compare(three: Path, site: Path) -> None:
    first, second = (bh.Results.load(three / name) for name in ("fair", "lossy"))
    names = sorted(path.name for path in (site / "comparisons").iterdir())
    assert names == [
        "capitals-fair--capitals-lossy.html",
        "capitals-fair--capitals-own-language.html",
        "capitals-lossy--capitals-own-language.html",
    ]
    page = Page(site / "comparisons" / names[0])
    rows = page.table("Paired differences")[1:]
    by_kind = {row[1]: row for row in rows if row[0] == "AP"}
    for one in bh.compare(first, second, measures=[AP]):
        row = by_kind[{"mono": "monolingual", "cross": "cross-lingual", "multi": "multilingual",
                       "one-target": "one target"}[str(one.where)]]  # fmt: skip
        assert row[2:] == [
            format_value(one.difference.mean_a),
            format_value(one.difference.mean_b),
            format_signed(one.difference.value),
            f"{format_signed(one.difference.low)} to {format_signed(one.difference.high)}",
            format_value(one.p_holm),
            f"{one.difference.effect:+.2f}",
            "first better" if one.p_holm <= 0.05 else "no significant difference",
        ]
    # 6 of 12 questions differ, all one way: 2 * 2^6 of 2^12 flips are as extreme.
    assert bh.compare(first, second, measures=[AP])[0].difference.p == pytest.approx(2 / 64)
    map_ = page.table("Differences of AP by language")
    assert map_[1] == ["ar", *([".0000"] * 4)]
    assert map_[2][1] == format_signed(1 - 13 / 24)


def test_runs_of_some_settings_stand_beside_whole_results(
    capitals: Collection, three: Path, tmp_path: Path
) -> None:
    partial = bh.evaluate_runs(three / "fair" / "runs" / "de-all.trec", capitals, name="run")
    page = bh.leaderboard([three / "lossy", partial], tmp_path / "site")
    rows = rows_of(Page(page))
    assert rows["run"]["Mul"] == "1.0000"
    assert rows["run"]["Mo"] == ""
    assert "No ranks: " in Page(page).text
    assert rows["run"]["Recipe"] == "runs in TREC files"
    (path,) = (page.parent / "comparisons").iterdir()
    assert "cannot be compared: the results have different multi settings" in Page(path).text


def test_one_target_alone_makes_pages(capitals: Collection, tmp_path: Path) -> None:
    only: dict[str, Any] = {"settings": ["one-target"], "measures": ["AP", "RR"]}
    given = [system(name, capitals, own=own, **only) for name, own in (("a", False), ("b", True))]
    page = bh.leaderboard(given, tmp_path / "site")
    rows = rows_of(Page(page))
    assert list(rows) == ["a", "b"]
    assert rows["b"]["Rank"] == "2"
    model = Page(page.parent / "models" / "capitals-b.html")
    # Alone in the pool of 34, an answer in another language comes last.
    assert model.table("AP with one target")[1] == [
        "ar",
        "1.0000",
        format_value(1 / 34),
        format_value(1 / 34),
    ]


def test_a_lower_rank_distance_is_better(site: Path) -> None:
    page = Page(next((site / "comparisons").glob("*fair--*own*")))
    (row,) = [row for row in page.table("Paired differences") if row[0] == "RankDistance"]
    assert row[2:5] == ["2.0000", "35.0", "-33.0"]
    assert row[-1] == "first better"
    (row,) = [row for row in page.table("Paired differences") if row[0] == "LanguagePreference"]
    assert row[-1] == "differ"


def test_hardest_questions_by_hand(capitals: Collection, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    results = system("lossy", capitals, lost=[("de", 3), ("de", 7), ("en", 7)], runs=runs)
    found = find_hard_groups(results, "AP", runs, capitals, count=2)
    # Of 12 values (3 mono, 6 cross, 3 multi) question 7 loses 8, and question 3 loses 4.
    assert [one.name for one in found] == ["q07", "q03"]
    pool = (1 / 34 + 2 / 35 + 3 / 36) / 3
    assert found[0].mean == pytest.approx((4 + 6 / 12 + 2 * pool) / 12)
    german = found[1].queries[1]
    assert (german.language, german.query, german.text) == (
        "de",
        "de:q:q03",
        "Hauptstadt von Land 3?",
    )
    assert german.value == pytest.approx(pool)
    # All others score 0, ties in descending order of ids.
    assert [hit.passage for hit in german.hits] == ["en:p11", "en:p10", "en:p09"]
    assert [hit.is_relevant for hit in german.hits] == [False] * 3
    assert german.hits[0].text == "City 11"
    english = found[1].queries[2]
    assert [hit.passage for hit in english.hits] == ["en:p03", "de:p03", "ar:p03"]
    assert [hit.is_relevant for hit in english.hits] == [True] * 3
    assert found[1].title_query is english
    assert [hit.passage for hit in found[1].gold] == ["ar:p03", "de:p03", "en:p03"]
    bare = find_hard_groups(results, "AP", None, None, count=1)[0]
    assert bare.queries[0].text is None
    assert (bare.queries[0].hits, bare.gold) == ((), ())


def test_texts_come_from_the_same_collection_or_not_at_all(tmp_path: Path) -> None:
    mine = collection(tmp_path)
    results = system("mine", mine)
    found = find_local_collection(results)
    assert found is not None
    assert found.queries["text"].to_pylist() == mine.queries["text"].to_pylist()
    path = tmp_path / "capitals.jsonl"
    path.write_text(path.read_text("utf-8").replace("City 1", "Village 1"), "utf-8")
    assert find_local_collection(results) is None
    path.unlink()
    assert find_local_collection(results) is None


def test_commands_and_what_is_recorded(tmp_path: Path) -> None:
    before = datetime.now(UTC).date().isoformat()
    static_model().save(str(tmp_path / "model"))
    data = bh.load("jsonl", path=str(write_data(tmp_path / "data.jsonl", ["de", "en"])))
    results = bh.evaluate(str(tmp_path / "model"), data, query_prompt="w1 ")
    assert before <= results.timing.date <= datetime.now(UTC).date().isoformat()
    assert results.provenance.model.parameters == 401 * 16  # words and the unknown one
    page = bh.leaderboard(results, tmp_path / "site")
    (row,) = rows_of(Page(page)).values()
    assert row["Parameters"] == "6.42k"
    assert row["Date"] == results.timing.date
    assert row["Recipe"] == "prompts “w1 ” and “”"
    speed = (results.timing.encoded_texts or 0) / results.timing.seconds["encoding"]
    assert row["Texts/s"] == f"{speed:,.0f}"
    (model,) = (page.parent / "models").iterdir()
    commands = bh.reproduce_commands(results)
    assert len(commands) > 3
    shown = "\n".join(commands).replace(str(tmp_path), "path/to/" + tmp_path.name)
    assert "\n".join(commands) != shown
    assert shown in Page(model).text
    for path in page.parent.rglob("*.html"):  # where files lie is not told
        assert str(tmp_path) not in path.read_text("utf-8")


def test_a_published_row_has_no_rank_of_its_namesake(three: Path) -> None:
    ours = bh.Results.load(three / "fair")
    published = replace(next(iter(read_entries(ours))), source="published", results=None, path=None)
    (mine,) = read_entries(ours)
    board = build_board([mine, published])
    ranks = {row.entry.source: row.cells[0][board.main_measure].text for row in board.rows}
    assert ranks == {"results": "1", "published": ""}


def test_a_name_that_cannot_be_seen_is_told(three: Path) -> None:
    ours = bh.Results.load(three / "fair")
    model = replace(ours.provenance.model, name="   ")
    blank = replace(ours, provenance=replace(ours.provenance, model=model))
    assert [entry.name for entry in read_entries(blank)] == ["(no name)"]


def test_how_a_model_was_trained_is_told(three: Path, tmp_path: Path) -> None:
    shutil.copytree(three / "fair", tmp_path / "out" / "results" / "capitals" / "hybrid-1")
    record = {
        "recipe": {"strategy": {"name": "hybrid", "kinds": [["mono", 0.4], ["cross-rows", 0.6]],
                                "code_switch": None}},
        "steps": 1500,
    }  # fmt: skip
    run = tmp_path / "out" / "runs" / "hybrid-1"
    run.mkdir(parents=True)
    (run / "training.json").write_text(json.dumps(record))
    (entry,) = read_entries(tmp_path / "out")
    assert entry.recipe == "trained: hybrid (40% monolingual, 60% cross-lingual), 1,500 steps"
    (run / "training.json").write_text("{}")
    with pytest.raises(BadData, match=r"training\.json is no record of a training"):
        read_entries(tmp_path / "out")


def mteb_file(folder: Path, values: dict[str, float], task: str = "MLQARetrieval") -> Path:
    """Write one as mteb does; subsets have the passages' language first."""
    scripts = {"ara": "Arab", "deu": "Latn", "eng": "Latn"}
    scores = [
        {"hf_subset": subset, "main_score": value, "ndcg_at_10": value, "map_at_1000": value / 2,
         "ndcg_at_3": 0.01, "languages": [f"{lang}-{scripts[lang]}" for lang in subset.split("-")]}
        for subset, value in values.items()
    ]  # fmt: skip
    folder.mkdir(parents=True)
    path = folder / f"{task}.json"
    stored = {"task_name": task, "dataset_revision": "5eed" * 10, "mteb_version": "2.0",
              "scores": {"test": scores}}  # fmt: skip
    path.write_text(json.dumps(stored))
    return path


def test_result_files_of_mteb_are_entries(tmp_path: Path) -> None:
    values = {"ara-ara": 0.5, "deu-deu": 0.7, "ara-deu": 0.3, "deu-ara": 0.2}
    mteb_file(tmp_path / "mteb" / "some__model" / "c0ffee", values)
    better = {name: value + 0.1 for name, value in values.items()}
    path = mteb_file(tmp_path / "other", better)
    (tmp_path / "other" / "model_meta.json").write_text('{"name": "B", "n_parameters": 1234567}')
    page = bh.leaderboard([tmp_path / "mteb", path], tmp_path / "site")
    rows = rows_of(Page(page))
    assert list(rows) == ["Bfrom mteb", "some/modelfrom mteb"]
    row = rows["some/modelfrom mteb"]
    assert (row["Mo"], row["Cr"]) == (".6000", ".2500")
    waiting = [a["data-sort"] for a in Page(page).all("span") if a.get("data-measure") == "AP@1000"]
    assert "0.3" in waiting
    assert rows["Bfrom mteb"]["Parameters"] == "1.23M"
    assert "Rank distance" not in row
    model = Page(page.parent / "models" / "mlqaretrieval-test-mteb-some-model.html")
    map_ = model.table("nDCG@10 by language")
    # The passages' language came first: German queries on Arabic passages.
    assert map_ == [["queries in", "ar", "de"], ["ar", ".5000", ".2000"], ["de", ".3000", ".7000"]]
    file = page.parent / "files" / "mlqaretrieval-test-mteb-some-model" / "MLQARetrieval.json"
    assert json.loads(file.read_text())["task_name"] == "MLQARetrieval"


def test_averages_over_other_languages_are_in_another_table(tmp_path: Path) -> None:
    mteb_file(tmp_path / "a__a" / "1", {"ara-ara": 0.5, "deu-deu": 0.7})
    mteb_file(tmp_path / "b__b" / "1", {"ara-ara": 0.6})
    entries = read_entries(tmp_path)
    assert len({entry.benchmark for entry in entries}) == 2
    page = Page(bh.leaderboard(tmp_path, tmp_path / "site"))
    titles = [a["id"] for a in page.all("h2")]
    assert titles == [
        "on-mlqaretrieval-test-mteb-ar-title",
        "on-mlqaretrieval-test-mteb-ar-de-title",
    ]


def test_names_that_a_file_system_confuses_have_pages_of_their_own(
    capitals: Collection, tmp_path: Path
) -> None:
    names = ["org/Model", "Org/model", "../../etc", "模型", "org/Model"]
    page = bh.leaderboard([system(name, capitals) for name in names], tmp_path / "site")
    found = sorted(path.name for path in (page.parent / "models").iterdir())
    assert found == [
        "capitals-etc.html",
        "capitals-org-model-2-2.html",
        "capitals-org-model-2.html",
        "capitals-org-model.html",
        "capitals.html",
    ]
    assert len(rows_of(Page(page))) == 5
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"site"}


def test_a_leaderboard_is_replaced_as_a_whole(three: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()  # an empty folder may be taken
    bh.leaderboard(three, site)
    assert (site / "models" / "capitals-own-language.html").is_file()
    whole = files_of(site)
    # What fails leaves what was there.
    shutil.copytree(three / "fair", tmp_path / "broken")
    (tmp_path / "broken" / "results.json").write_text("{")
    with pytest.raises(BadData):
        bh.leaderboard([three, tmp_path / "broken"], site)
    assert files_of(site) == whole
    bh.leaderboard(three / "fair", site)
    assert [path.name for path in (site / "models").iterdir()] == ["capitals-fair.html"]
    assert list((site / "comparisons").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"broken", "site"}


def test_other_peoples_folders_are_left_alone(three: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(BadOption, match=r"home holds 'letter\.txt', which is no part of a leader"):
        bh.leaderboard(three, tmp_path / "home")
    (tmp_path / "files" / "files").mkdir(parents=True)
    with pytest.raises(BadOption, match="files is not a leaderboard; name another folder"):
        bh.leaderboard(three, tmp_path / "files")
    site = bh.leaderboard(three / "fair", tmp_path / "site").parent
    (site / ".git").mkdir()
    with pytest.raises(BadOption, match=r"site holds '\.git', which is no part"):
        bh.leaderboard(three, site)
    with pytest.raises(BadOption, match=r"letter\.txt is no folder"):
        bh.leaderboard(three, tmp_path / "home" / "letter.txt")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def broken(folder: Path, three: Path, **changes: Any) -> Path:
    shutil.copytree(three / "fair", folder)
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))
    return folder


def test_what_is_no_result_is_named_in_a_line(three: Path, tmp_path: Path, ran: Ran) -> None:
    newer = broken(tmp_path / "newer", three, format=99)
    bare = broken(tmp_path / "bare", three, about={"model": {}})
    (tmp_path / "empty").mkdir()
    (tmp_path / "de-all.trec").write_text("q Q0 d 1 1.0 x\n")
    (tmp_path / "other.json").write_text('{"a": 1}')
    for name, words in {
        "newer": "newer/results.json has format 99, and this version reads 1",
        "bare": "bare/results.json: about.model.name is missing",
        "empty": "empty holds no results: neither results.json",
        "de-all.trec": "if it is a run, `beir-hybrid evaluate --run FILE --dataset NAME",
        "other.json": "other.json is no result file of mteb's",
        "gone": "there is no folder",
    }.items():
        done = ran("leaderboard", tmp_path / name, "--output", tmp_path / "site")
        assert done.code == 2
        (line,) = done.err.splitlines()
        assert words in line
        assert name in line
    assert (newer.exists(), bare.exists()) == (True, True)
    assert not (tmp_path / "site").exists()
    with pytest.raises(BadOption, match="no results are named"):
        bh.leaderboard([], tmp_path / "site")


def test_the_command_says_what_to_open(three: Path, tmp_path: Path, ran: Ran) -> None:
    done = ran("leaderboard", three / "fair", three / "lossy", "--output", tmp_path / "s")
    assert (done.code, done.out) == (0, f"open {tmp_path / 's' / 'index.html'}\n")
    assert list(rows_of(Page(tmp_path / "s" / "index.html"))) == ["fair", "lossy"]
