"""The pages of models and comparisons show the values of results, hard queries and commands."""
# mypy: allow-untyped-calls

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.errors import BadData
from beir_hybrid.report.hard_groups import find_hard_groups
from beir_hybrid.report.local_collection import find_local_collection
from beir_hybrid.report.plots import plot_matrix
from beir_hybrid.results.render import format_signed, format_value
from tests.boards import LANGUAGES, Page, build_capitals, evaluate_system
from tests.leaderboard_fixtures import capitals, module_cache, read_rows, results_folder, site
from tests.models import static_model
from tests.test_reproduce import write_data

__all__ = ["capitals", "module_cache", "results_folder", "site"]


def test_heat_maps_have_the_means_of_results(results_folder: Path, site: Path) -> None:
    results = bh.Results.load(results_folder / "lossy")
    page = Page(site / "models" / "capitals-lossy.html")
    values, one_target, bias = (
        page.find_table(title)
        for title in ("AP by language", "AP with one target", "Bias of AP to passage languages")
    )
    assert values[0][1:] == [*LANGUAGES, "pool"]
    matrix, target_matrix = results.matrix(AP), results.matrix(AP, one_target=True)
    pool = read_pool(results)
    for i, query in enumerate(LANGUAGES, start=1):
        row = [format_value(matrix[query, passage]) for passage in LANGUAGES]
        assert values[i] == [query, *row, format_value(pool[query])]
        targets = [target_matrix[query, passage] for passage in LANGUAGES]
        assert one_target[i] == [query, *map(format_value, targets)]
        mean = sum(targets) / 3
        assert bias[i] == [query, *(format_signed(value - mean) for value in targets)]
    # Half of the German queries rank their answer last of 12.
    assert values[2][2] == format_value((6 * 1 + 6 / 12) / 12)


def read_pool(results: bh.Results) -> dict[str, float]:
    means = results.means(AP)
    return {setting.queries: mean for setting, mean in means.items() if setting.kind == "multi"}


def test_tables_have_the_values_of_results(results_folder: Path, site: Path) -> None:
    results = bh.Results.load(results_folder / "lossy")
    page = Page(site / "models" / "capitals-lossy.html")
    german = page.find_table("AP by query language")[2]
    half, pool = format_value(13 / 24), format_value(read_pool(results)["de"])
    assert german == ["German (de)", half, half, pool]
    bias = page.find_table("Language bias in the pool")
    assert bias[0] == ["queries in", "LanguagePreference", "SameLanguageShare@10"]
    assert bias[-1][:2] == ["unbiased", format_value(1 / 3)]
    headings, first = page.find_table("Averages over settings")[:2]
    estimate = results.summary()["multi"][AP]
    mean, low, high = map(format_value, (estimate.mean, estimate.low, estimate.high))
    assert first[headings.index("multilingual")] == f"{mean} [{low}, {high}]"


def test_downloads_are_the_results(results_folder: Path, site: Path) -> None:
    folder, original = site / "files" / "capitals-fair", results_folder / "fair"
    table = (folder / "per_query.parquet").read_bytes()
    assert table == (original / "per_query.parquet").read_bytes()
    downloaded, expected = bh.Results.load(folder), bh.Results.load(original)
    assert downloaded.summary() == expected.summary()
    (origin,) = downloaded.provenance.collection.origins
    (original_origin,) = expected.provenance.collection.origins
    assert origin.sha256 == original_origin.sha256
    # The folders of this machine are private.
    assert origin.file == "/".join(("path/to", *Path(original_origin.file).parts[-2:]))
    assert sorted(path.name for path in folder.iterdir()) == [
        "per_query.parquet", "results.json", "runs", "summary.csv",
    ]  # fmt: skip
    run = (original / "runs" / "de-all.trec").read_bytes()
    linked = folder / "runs" / "de-all.trec"
    assert linked.read_bytes() == run
    assert linked.samefile(original / "runs" / "de-all.trec")  # it takes no room
    with (folder / "summary.csv").open(encoding="utf-8") as file:
        rows = {(row["settings"], row["measure"]): row for row in csv.DictReader(file)}
    summary = bh.Results.load(original).summary()
    assert float(rows["multi", "AP"]["low"]) == summary["multi"][AP].low
    assert float(rows["multi", "LanguagePreference"]["unbiased"]) == pytest.approx(1 / 3)
    assert rows["mono", "AP"]["unbiased"] == ""


def test_all_averages_are_in_json(results_folder: Path, site: Path) -> None:
    systems = json.loads((site / "leaderboard.json").read_text("utf-8"))["systems"]
    assert [system["name"] for system in systems] == ["fair", "lossy", "own/Language"]
    assert systems[2]["summary"]["multi"]["RankDistance"]["mean"] == 35
    assert systems[0]["date"] == bh.Results.load(results_folder / "fair").timing.date


def test_comparisons_are_those_of_compare(results_folder: Path, site: Path) -> None:
    first, second = (bh.Results.load(results_folder / name) for name in ("fair", "lossy"))
    names = sorted(path.name for path in (site / "comparisons").iterdir())
    assert names == [
        "capitals-fair--capitals-lossy.html",
        "capitals-fair--capitals-own-language.html",
        "capitals-lossy--capitals-own-language.html",
    ]
    page = Page(site / "comparisons" / names[0])
    rows = {row[1]: row[2:] for row in page.find_table("Paired differences") if row[0] == "AP"}
    comparisons = bh.compare(first, second, measures=[AP])
    for comparison in comparisons:
        values = comparison.difference
        is_significant = comparison.p_holm <= 0.05
        assert rows[SETTING_KINDS[comparison.setting].label] == [  # type: ignore[index] # a kind
            format_value(values.mean_a),
            format_value(values.mean_b),
            format_signed(values.value),
            f"{format_signed(values.low)} to {format_signed(values.high)}",
            format_value(comparison.p_holm),
            f"{values.effect:+.2f}",
            "fair is better" if is_significant else "no significant difference",
        ]
    # 6 of 12 queries differ, all one way: 2 * 2^6 of 2^12 flips are as extreme.
    assert comparisons[0].difference.p == pytest.approx(2 / 64)
    arabic, german = page.find_table("Differences of AP by language")[1:3]
    assert arabic == ["ar", *([".0000"] * 4)]
    assert german[1] == format_signed(1 - 13 / 24)


def test_a_lower_rank_distance_is_better(site: Path) -> None:
    page = Page(next((site / "comparisons").glob("*fair--*own*")))
    rows = {row[0]: row for row in page.find_table("Paired differences")}
    assert rows["RankDistance"][2:5] == ["2.0", "35.0", "-33.0"]
    assert rows["RankDistance"][-1] == "fair is better"
    # With three languages, one in three is unbiased.
    assert rows["LanguagePreference"][2:4] == [".3333", "1.0000"]
    assert rows["LanguagePreference"][-1] == "fair is nearer the unbiased value"


def test_hard_groups_by_hand(capitals: Collection, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    failures = [("de", 3), ("de", 7), ("en", 7)]
    results = evaluate_system("lossy", capitals, failures=failures, runs=runs)
    hardest, second = find_hard_groups(results, "AP", runs, capitals, count=2)
    # Of 12 values (3 mono, 6 cross, 3 multi), query 7 loses 8 and query 3 loses 4.
    assert (hardest.name, second.name) == ("q07", "q03")
    pool = (1 / 34 + 2 / 35 + 3 / 36) / 3
    assert hardest.mean == pytest.approx((4 + 6 / 12 + 2 * pool) / 12)
    german, english = second.queries[1:]
    assert (german.language, german.query) == ("de", "de:q:q03")
    assert german.text == "Hauptstadt von Land 3?"
    assert german.value == pytest.approx(pool)
    # All other passages score 0, and ties are in descending order of ids.
    assert [hit.passage for hit in german.hits] == ["en:p11", "en:p10", "en:p09"]
    assert [hit.is_relevant for hit in german.hits] == [False] * 3
    assert german.hits[0].text == "City 11"
    assert [hit.passage for hit in english.hits] == ["en:p03", "de:p03", "ar:p03"]
    assert [hit.is_relevant for hit in english.hits] == [True] * 3
    assert second.title_query is english
    assert [hit.passage for hit in second.gold] == ["ar:p03", "de:p03", "en:p03"]
    bare = find_hard_groups(results, "AP", None, None, count=1)[0]
    assert bare.queries[0].text is None
    assert (bare.queries[0].hits, bare.gold) == ((), ())


def test_hard_groups_where_a_kind_of_settings_lacks_one(capitals: Collection) -> None:
    results = evaluate_system("lossy", capitals, failures=[("de", 7)])
    table = results.table
    is_lone = pc.and_(
        pc.equal(table["kind"].cast("string"), "mono"),
        pc.equal(table["question"].cast("string"), "q00"),
    )
    results = replace(results, table=table.filter(pc.invert(is_lone)), stored_summary=None)
    hardest, *_ = find_hard_groups(results, "AP", None, None, count=2)
    # Of 12 values (3 mono, 6 cross, 3 multi), query 7 loses its four German ones.
    pool = (1 / 34 + 2 / 35 + 3 / 36) / 3
    assert hardest.name == "q07"
    assert hardest.mean == pytest.approx((8 + 3 / 12 + pool) / 12)


def test_texts_come_from_the_same_collection_or_are_missing(tmp_path: Path) -> None:
    collection = build_capitals(tmp_path)
    results = evaluate_system("system", collection)
    local = find_local_collection(results, local_files=True)
    assert local is not None
    assert local.queries["text"].to_pylist() == collection.queries["text"].to_pylist()
    path = tmp_path / "capitals.jsonl"
    path.write_text(path.read_text("utf-8").replace("City 1", "Village 1"), "utf-8")
    assert find_local_collection(results, local_files=True) is None
    path.unlink()
    assert find_local_collection(results, local_files=True) is None


def test_facts_and_commands_of_a_model(tmp_path: Path) -> None:
    today = datetime.now(UTC).date().isoformat()
    static_model().save(str(tmp_path / "model"))
    data = bh.load("jsonl", path=str(write_data(tmp_path / "data.jsonl", ["de", "en"])))
    results = bh.evaluate(str(tmp_path / "model"), data, query_prompt="w1 ")
    assert today <= results.timing.date <= datetime.now(UTC).date().isoformat()
    assert results.provenance.model.parameters == 401 * 16  # words and the unknown one
    page = bh.leaderboard(results, tmp_path / "site")
    (row,) = read_rows(Page(page)).values()
    assert row["Parameters"] == "6.42k"
    assert row["Date"] == results.timing.date
    assert row["Recipe"] == "prompts “w1 ” and “”"
    speed = (results.timing.encoded_texts or 0) / results.timing.seconds["encoding"]
    assert row["Texts/s"] == f"{speed:,.0f}"
    (model,) = (page.parent / "models").iterdir()
    commands = bh.reproduce_commands(results)
    assert len(commands) > 3
    # The folders of this machine are private.
    public = "\n".join(commands).replace(str(tmp_path), f"path/to/{tmp_path.name}")
    assert "\n".join(commands) != public
    assert public in Page(model).text
    for path in page.parent.rglob("*.html"):
        assert str(tmp_path) not in path.read_text("utf-8")


def test_the_title_is_that_of_the_first_page_and_leads_back(
    results_folder: Path, tmp_path: Path
) -> None:
    index = bh.leaderboard(results_folder, tmp_path / "site", title="Ours & <theirs>")
    text = index.read_text("utf-8")
    assert "<title>Ours &amp; &lt;theirs&gt;</title>" in text
    assert "<h1>Ours &amp; &lt;theirs&gt;</h1>" in text
    pages = [*index.parent.glob("models/*.html"), *index.parent.glob("comparisons/*.html")]
    assert pages
    for page in pages:
        assert '<a href="../index.html">Ours &amp; &lt;theirs&gt;</a>' in page.read_text("utf-8")


def test_systems_that_share_no_setting_have_pages(capitals: Collection, tmp_path: Path) -> None:
    for name, kind in (("one", "mono"), ("two", "cross")):
        evaluate_system(name, capitals, settings=kind).save(tmp_path / "results" / name)
    page = bh.leaderboard(tmp_path / "results", tmp_path / "site")
    assert page.is_file()
    one, two = (bh.Results.load(tmp_path / "results" / name) for name in ("one", "two"))
    with pytest.raises(BadData, match="the results share no setting"):
        plot_matrix(one, "AP", less=two)
