"""Entries of a leaderboard come from results, result files of mteb's and publications."""
# mypy: allow-untyped-calls

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData
from beir_hybrid.integrity import write_sealed_json
from beir_hybrid.report.entries import Benchmark
from beir_hybrid.report.entry_files import read_entries
from beir_hybrid.report.publications import read_published_entries
from tests.boards import Page, evaluate_system
from tests.leaderboard_fixtures import (
    capitals,
    module_cache,
    read_figures,
    read_rows,
    results_folder,
    unpack,
)

__all__ = ["capitals", "module_cache", "results_folder"]

# As the papers have it: mAP monolingual, cross-lingual, multilingual; rank distance.
FIGURES = """
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
SIZES = {"xquad-r": (13090, 13014), "mlqa-r": (4199, 20534)}  # queries, passages


@pytest.mark.parametrize(("column", "name"), [(1, "xquad-r"), (2, "mlqa-r")])
def test_published_figures_are_those_of_the_papers(column: int, name: str) -> None:
    expected = {}
    for line in FIGURES.strip().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        values = [None if word == "-" else float(word) for word in cells[column].split()]
        expected[cells[0]] = values
    entries = read_published_entries(Benchmark(name, "", (), size=SIZES[name]))
    published = {}
    for entry in entries:
        estimates = [entry.estimate("AP", kind) for kind in ("mono", "cross", "multi")]
        estimates.append(entry.estimate("RankDistance", "multi"))
        published[entry.name] = [value and value.mean for value in estimates]
        assert entry.origin[1].startswith("https://arxiv.org/abs/")
        assert math.isnan(entry.summary["multi"]["AP"].low)
    assert published == expected


def test_published_rows_need_a_pool_of_their_size(capitals: Collection, tmp_path: Path) -> None:
    results = evaluate_system("system", capitals)

    def rename_collection(name: str, size: tuple[int, int]) -> bh.Results:
        collection = replace(
            results.provenance.collection, name=name, queries=size[0], passages=size[1]
        )
        return replace(results, provenance=replace(results.provenance, collection=collection))

    systems = [
        rename_collection("xquad-r", SIZES["xquad-r"]),
        rename_collection("mlqa-r", (512, 2362)),
        results,
    ]
    page = Page(bh.leaderboard(systems, tmp_path / "site"))
    boards = page.find_boards()
    assert sorted(map(len, boards)) == [2 + 1, 2 + 1, 2 + 11]
    (row,) = [row for rows in boards for row in rows if row[0].startswith("LaBSE, Hybrid")]
    assert "published, not reproduced" in row[0]
    assert ".8167" in row[2]
    # Without values query by query there is no rank.
    assert row[1] == ""
    assert page.text.count("published, not reproduced") == 10


def test_a_blank_name_is_replaced(results_folder: Path) -> None:
    results = bh.Results.load(results_folder / "fair")
    model = replace(results.provenance.model, name="   ")
    blank = replace(results, provenance=replace(results.provenance, model=model))
    assert [entry.name for entry in read_entries(blank)] == ["(no name)"]


def test_the_recipe_of_a_training_record(results_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "results" / "capitals" / "hybrid-1"
    shutil.copytree(results_folder / "fair", folder)
    record = {
        "recipe": {"strategy": {"name": "hybrid", "kinds": [["mono", 0.4], ["cross-rows", 0.6]],
                                "code_switch": None}},
        "steps": 1500,
    }  # fmt: skip
    run = tmp_path / "out" / "runs" / "hybrid-1"
    run.mkdir(parents=True)
    write_sealed_json(run / "training.json", record)
    (entry,) = read_entries(tmp_path / "out")
    assert entry.recipe == "trained: hybrid (40% monolingual, 60% cross-lingual), 1,500 steps"
    write_sealed_json(run / "training.json", {})
    with pytest.raises(BadData, match=r"training\.json: recipe is missing"):
        read_entries(tmp_path / "out")


def write_mteb_file(folder: Path, values: dict[str, float]) -> Path:
    """Write a result file as mteb does; its subsets have the passages' language first."""
    scripts = {"ara": "Arab", "deu": "Latn", "eng": "Latn"}

    def tag(lang: str) -> str:
        return lang.replace("_", "-") if "_" in lang else f"{lang}-{scripts[lang]}"

    scores = [
        {"hf_subset": subset, "main_score": value, "ndcg_at_10": value, "map_at_1000": value / 2,
         "ndcg_at_3": 0.01, "languages": [tag(lang) for lang in subset.split("-")]}
        for subset, value in values.items()
    ]  # fmt: skip
    folder.mkdir(parents=True)
    path = folder / "MLQARetrieval.json"
    stored = {"task_name": "MLQARetrieval", "dataset_revision": "5eed" * 10,
              "mteb_version": "2.0", "scores": {"test": scores}}  # fmt: skip
    path.write_text(json.dumps(stored))
    return path


def test_result_files_of_mteb_are_entries(tmp_path: Path) -> None:
    values = {"ara-ara": 0.5, "deu-deu": 0.7, "ara-deu": 0.3, "deu-ara": 0.2}
    write_mteb_file(tmp_path / "mteb" / "some__model" / "c0ffee", values)
    better = {name: value + 0.1 for name, value in values.items()}
    path = write_mteb_file(tmp_path / "other", better)
    card = {"name": "B", "n_parameters": 1234567, "license": "mit"}
    (tmp_path / "other" / "model_meta.json").write_text(json.dumps(card))
    index = bh.leaderboard([tmp_path / "mteb", path], tmp_path / "site")
    page = Page(index)
    rows = read_rows(page)
    assert list(rows) == ["Bfrom mteb", "some/modelfrom mteb"]
    row = rows["some/modelfrom mteb"]
    assert (row["Mo"], row["Cr"]) == (".6000", ".2500")
    figures = read_figures(index)
    (section,) = figures.values()
    assert [system.get("licence") for system in section["systems"]] == ["mit", None]
    assert unpack(section["estimates"]["AP@1000 mono"]["mean"])[1] == pytest.approx(0.3, abs=1e-6)
    assert rows["Bfrom mteb"]["Parameters"] == "1.23M"
    assert "Rank distance" not in row
    slug = "mlqaretrieval-test-mteb-some-model"
    model = Page(index.parent / "models" / f"{slug}.html")
    # In mteb's subsets the passages' language comes first: German queries on Arabic passages.
    assert model.find_table("nDCG@10 by language") == [
        ["queries in", "ar", "de"], ["ar", ".5000", ".2000"], ["de", ".3000", ".7000"],
    ]  # fmt: skip
    file = index.parent / "files" / slug / "MLQARetrieval.json"
    assert json.loads(file.read_text())["task_name"] == "MLQARetrieval"


@pytest.mark.parametrize("is_reversed", [False, True])
def test_subsets_in_several_scripts_of_a_language_are_averaged(
    tmp_path: Path, is_reversed: bool
) -> None:
    """As in BelebeleRetrieval, whose Arabic and Hindi are in two scripts each."""
    values = {"hin_Deva-hin_Deva": 0.9, "hin_Latn-hin_Latn": 0.3, "deu_Latn-deu_Latn": 0.5}
    if is_reversed:
        values = dict(reversed(values.items()))
    (entry,) = read_entries(write_mteb_file(tmp_path / "mteb" / "some__model", values))
    assert {setting.name: value for setting, value in entry.means("AP@1000").items()} == {
        "hi-hi": pytest.approx(0.6 / 2), "de-de": pytest.approx(0.5 / 2),
    }  # fmt: skip


def test_other_tasks_of_mteb_are_left_out_of_a_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_mteb_file(tmp_path / "mteb" / "some__model", {"deu-deu": 0.5})
    other = path.with_name("STS22.json")
    record = json.loads(path.read_text())
    for subset in record["scores"]["test"]:
        del subset["ndcg_at_10"], subset["map_at_1000"]
    other.write_text(json.dumps(record))
    assert len(read_entries(tmp_path / "mteb")) == 1
    assert [record.message for record in caplog.records] == [
        f"left out: {other} has none of nDCG@10, AP@1000, RR@10, R@1, R@10, R@100"
    ]
    for source in (other, [other]):
        with pytest.raises(BadData, match=r"STS22\.json has none of nDCG@10"):
            read_entries(source)
    path.unlink()
    with pytest.raises(BadData, match=r"STS22\.json has none of nDCG@10"):
        read_entries(tmp_path / "mteb")


def test_results_on_other_languages_are_in_another_table(tmp_path: Path) -> None:
    write_mteb_file(tmp_path / "a__a" / "1", {"ara-ara": 0.5, "deu-deu": 0.7})
    write_mteb_file(tmp_path / "b__b" / "1", {"ara-ara": 0.6})
    entries = read_entries(tmp_path)
    assert len({entry.benchmark for entry in entries}) == 2
    page = Page(bh.leaderboard(tmp_path, tmp_path / "site"))
    assert [heading["id"] for heading in page.find_all("h2")] == [
        "on-mlqaretrieval-test-mteb-ar-title",
        "on-mlqaretrieval-test-mteb-ar-de-title",
    ]
