"""The commands of `beir-hybrid reproduce` make equal results, whatever the names in them."""

import json
import random
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.report.reproduction_record import REPRODUCTION, read_reproduction
from beir_hybrid.results.timing import Timing
from tests.models import static_model
from tests.sealed_files import rewrite
from tests.test_cli_evaluate import RunCli, run_cli
from tests.test_rerank import make_cross_encoder

__all__ = ["run_cli"]

HOSTILE = 'it\'s; $(touch gone) `x` "*" &'
LANGS = ["de", "en", "sw"]


def write_data(path: Path, langs: list[str]) -> Path:
    """Write 40 passages and 20 queries in each language, of random words."""
    draw = random.Random(5)  # noqa: S311 - a test's

    def texts(size: int) -> dict[str, str]:
        return {lang: " ".join(f"w{draw.randrange(200)}" for _ in range(size)) for lang in langs}

    rows: list[dict[str, Any]] = [{"passage": f"p{n}", "text": texts(6)} for n in range(40)]
    rows += [{"query": f"q{n}", "text": texts(3), "relevant": [f"p{n}"]} for n in range(20)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a model and data in three languages and in two."""
    path = tmp_path_factory.mktemp("reproduced") / HOSTILE
    path.mkdir()
    static_model().save(str(path / "model"))
    write_data(path / "three.jsonl", LANGS)
    write_data(path / "two.jsonl", LANGS[:2])
    return path


def split_commands(results: bh.Results, **options: Any) -> list[list[str]]:
    """Return the words of each command without the program's name."""
    lines = [shlex.split(line) for line in bh.reproduce_commands(results, **options)]
    assert {line[0] for line in lines} == {"beir-hybrid"}
    return [line[1:] for line in lines]


def write_path(folder: Path, name: str = "three") -> list[str]:
    return ["-o", f"path={folder / name}.jsonl"]


Call = Callable[..., str]


@pytest.fixture
def call(tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs a command in `tmp_path`, and returns its output."""
    monkeypatch.chdir(tmp_path)

    def run_soundly(*arguments: object) -> str:
        process = run_cli(*arguments)
        assert process.code == 0, process.err
        return process.out

    return run_soundly


def test_the_printed_commands_make_equal_results(folder: Path, tmp_path: Path, call: Call) -> None:
    """Runs hold whole rankings here."""
    call("evaluate", folder / "model", "--dataset", "jsonl", *write_path(folder, "two"), "--name",
         HOSTILE, "--query-prompt=-w1 ", "--passage-prompt", "--no-normalize", "--no-normalize",
         "--output", "first")  # fmt: skip
    printed = call("reproduce", "first").splitlines()
    assert len(printed) == len(["fetch", *["index"] * 3, "topics", *["search"] * 3, "score"])
    for line in printed:
        program, *arguments = shlex.split(line)
        assert program == "beir-hybrid"
        call(*arguments)
    first, again = (bh.Results.load(tmp_path / name) for name in ("first", "reproduced/results"))
    assert again.model == first.model == HOSTILE
    assert again.settings == first.settings
    assert len(first.settings) == 2 + 2 + 2
    for kind, row in first.summary().items():
        for measure, expected in row.items():
            estimate = again.summary()[kind][measure]
            assert (estimate.mean, estimate.low, estimate.high) == pytest.approx(
                (expected.mean, expected.low, expected.high), abs=1e-9
            )
            assert estimate.queries == expected.queries
    assert 0 < first.summary()["multi"][first.measures[0]].mean < 1
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("is_saved", [False, True])
def test_calibrated_results_are_searched(
    folder: Path, tmp_path: Path, call: Call, is_saved: bool
) -> None:
    """The method is fitted to the whole dataset, whatever the language of an index."""
    data = ("--dataset", "jsonl", *write_path(folder, "two"))
    calibration = "mean-language:alpha=0.5"
    if is_saved:
        call("calibrate", folder / "model", *data, "--output", "saved", "--method", calibration)
        calibration = "saved"
    call("evaluate", folder / "model", *data, "--calibration", calibration, "--output", "first")
    printed = [shlex.split(line)[1:] for line in call("reproduce", "first").splitlines()]
    words = ["datasets", *["calibrate"] * (not is_saved), *["index"] * 3, "topics"]
    assert [line[0] for line in printed[: len(words)]] == words
    for line in printed:
        call(*line)
    first, again = (bh.Results.load(tmp_path / name) for name in ("first", "reproduced/results"))
    for kind, row in first.summary().items():
        for measure, expected in row.items():
            assert again.summary()[kind][measure].mean == pytest.approx(expected.mean, abs=1e-9)


def test_each_language_and_the_pool_get_an_index(folder: Path) -> None:
    collection = bh.load("jsonl", path=folder / "three.jsonl")
    results = bh.evaluate(
        folder / "model", collection, measures="nDCG@10 P(rel=2)@2000", max_length=None,
        batch_size=8, query_prompt="a\nb: ", truncate_dim=4,
    )  # fmt: skip
    model = [str(folder / "model"), "--batch-size", "8", "--query-prompt", "a\nb: ",
             "--truncate-dim", "4", "--dataset", "jsonl", *write_path(folder)]  # fmt: skip

    def search(name: str) -> list[str]:
        return ["pyserini", "--", "pyserini.search.faiss", "--index", f"new/indexes/{name}",
                "--topics", "new/topics/all.tsv", "--encoded-queries", "new/topics/encoded",
                "--output", f"new/runs/{name}.trec", "--hits", "2000",
                "--batch-size", "64"]  # fmt: skip

    runs = [word for name in [*LANGS, "all"] for word in ("--run", f"new/runs/{name}.trec")]
    measures = "nDCG@10 P(rel=2)@2000"
    assert split_commands(results, folder="new") == [
        ["datasets", "fetch", "jsonl", *write_path(folder)],
        *(["index", *model, "--passages", lang, "--output", f"new/indexes/{lang}"]
          for lang in LANGS),
        ["index", *model, "--output", "new/indexes/all"],
        ["topics", *model, "--output", "new/topics"],
        *map(search, [*LANGS, "all"]),
        ["evaluate", *runs, "--dataset", "jsonl", *write_path(folder), "--measures", measures,
         "--output", "new/results", "--name", results.model],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "runs"),
    [
        ("mono", ["de-de", "en-en", "sw-sw"]),
        ("cross", ["en-de", "sw-de", "de-en", "sw-en", "de-sw", "en-sw"]),
    ],
)
def test_topics_of_the_settings_only(folder: Path, kind: Any, runs: list[str]) -> None:
    """A run of all queries would be evaluated as mono and cross."""
    collection = bh.load("jsonl", path=folder / "three.jsonl")
    results = bh.evaluate(folder / "model", collection, measures="R@1", settings=kind, depth=7)
    searches = [line for line in split_commands(results, hits=3) if line[0] == "pyserini"]
    paths = {name: f"reproduced/runs/{name}.trec" for name in runs}
    assert sorted(
        (line[line.index("--index") + 1], line[line.index("--topics") + 1],
         line[line.index("--output") + 1])
        for line in searches
    ) == sorted(
        (f"reproduced/indexes/{name[3:]}", f"reproduced/topics/{name[:2]}.tsv", paths[name])
        for name in runs
    )  # fmt: skip
    assert {line[line.index("--hits") + 1] for line in searches} == {"3"}


def test_a_hub_model_has_its_commit_and_a_dataset_its_options(
    folder: Path,
) -> None:
    """Branches are replaced by the commits that were used, of the model and of the dataset."""
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    collection = replace(
        collection,
        options={"revision": "c0ffee", "split": "dev"},
        dataset={"name": "miracl", "languages": ["sw", "yo"],
                "options": {"revision": "main", "judged": True, "of": ("a", "b"), "none": None}},
    )  # fmt: skip
    results = bh.evaluate(folder / "model", collection, measures="R@1", settings="mono")
    assert results.timing.request is not None
    request = replace(
        results.timing.request,
        model="intfloat/e5",
        hub=True,
        options={"revision": "main", "normalize": True},
    )
    model = replace(results.provenance.model, revision="5eed")
    hub = replace(
        results,
        provenance=replace(results.provenance, model=model),
        timing=Timing(request=request),
    )
    data = ["--languages", "sw,yo", "-o", "revision=c0ffee", "-o", "judged=true", "-o", "of=a,b"]
    lines = split_commands(hub)
    assert lines[0] == ["datasets", "fetch", "miracl", *data]
    options = ["intfloat/e5", "--revision", "5eed", "--normalize"]
    assert lines[1][: len(options) + 1] == ["index", *options]
    assert lines[1][len(options) + 1 :][:2] == ["--dataset", "miracl"]


def test_settings_without_pyserini_are_evaluated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    data = ["--dataset", "jsonl", *write_path(folder, "two"), "--measures", "AP"]
    model = folder / "model"
    results = bh.evaluate(model, collection, measures="AP", settings="mono,one-target", depth=9)
    *_, run_command, one_target = split_commands(results)
    assert run_command[:3] == ["evaluate", "--run", "reproduced/runs/de-de.trec"]
    assert one_target == [
        "evaluate", str(model), *data, "--output", "reproduced/one-target", "--settings",
        "one-target", "--depth", "9", "--name", results.model,
    ]  # fmt: skip
    make_cross_encoder(tmp_path / "part").save_pretrained(str(tmp_path / "cross"))
    monkeypatch.chdir(tmp_path)
    reranked = bh.evaluate(model, collection, measures="AP", rerank="cross", depth=5, name="both")
    assert split_commands(reranked)[1:] == [
        ["evaluate", str(model), *data, "--output", "reproduced/results", "--settings",
         "mono,cross,multi", "--depth", "5", "--rerank", str(tmp_path / "cross"), "--name", "both"]
    ]  # fmt: skip
    assert reranked.timing.request is not None
    request = replace(reranked.timing.request, rerank=None)
    with pytest.raises(BadOption, match="are of a cross-encoder that was given as an object"):
        bh.reproduce_commands(replace(reranked, timing=Timing(request=request)))


def test_external_runs_are_evaluated(folder: Path, tmp_path: Path, run_cli: RunCli) -> None:
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    bh.evaluate(folder / "model", collection, measures="AP", runs=tmp_path / "runs", depth=5)
    run = tmp_path / "runs" / "en-de.trec"
    run_cli(
        "evaluate",
        "--run",
        run,
        "--dataset",
        "jsonl",
        *write_path(folder, "two"),
        "--measures",
        "AP@3",
        "--output",
        tmp_path / "first",
    )
    process = run_cli("reproduce", tmp_path / "first", "--output", tmp_path / "new")
    assert (process.code, process.err) == (0, "")
    fetch, score = map(shlex.split, process.out.splitlines())
    assert fetch[1:3] == ["datasets", "fetch"]
    assert run_cli(*score[1:]).code == 0
    refused = run_cli("reproduce", tmp_path / "first", "--hits", "6")
    assert refused.code == 2
    assert refused.err.endswith(
        "are reproduced without Pyserini's dense search, which takes the hits\n"
    )
    first, again = (bh.Results.load(tmp_path / name) for name in ("first", "new/results"))
    assert first.provenance == again.provenance
    assert first.per_query().equals(again.per_query())


def test_bm25_is_searched(folder: Path) -> None:
    results = bh.bm25(bh.load("jsonl", path=folder / "two.jsonl"), k1=1.2, b=0.75, depth=50,
                      measures="R@5", settings="cross")  # fmt: skip
    assert split_commands(results)[1:] == [
        ["bm25", "--dataset", "jsonl", *write_path(folder, "two"), "--measures", "R@5", "--output",
         "reproduced/results", "--settings", "cross", "--k1", "1.2", "--b", "0.75", "--depth", "50",
         "--name", "BM25"]
    ]  # fmt: skip
    with pytest.raises(
        BadOption, match=r"'BM25' on 'two'.* are reproduced without Pyserini's dens"
    ):
        bh.reproduce_commands(results, hits=50)


def test_measures_that_need_longer_runs_are_evaluated(
    folder: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are 80 passages."""
    monkeypatch.chdir(tmp_path)
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    results = bh.evaluate(
        folder / "model", collection, measures="AP R@5 AP@20 RankDistance", depth=10
    )
    results.save(tmp_path / "out")
    assert run_cli("reproduce", tmp_path / "out").out.count("--hits 80 ") == 3
    process = run_cli("reproduce", tmp_path / "out", "--hits", "6")
    lines = process.out.splitlines()
    assert sum("--hits 6 " in line for line in lines) == 3
    *_, run_command, note, evaluation = lines
    assert note == (
        "# AP, AP@20, RankDistance were computed from other than the first 6 passages of a query; "
        "our own search ranks for them"
    )
    assert " --measures R@5 --output reproduced/results " in run_command
    assert shlex.split(evaluation) == [
        "beir-hybrid", "evaluate", str(folder / "model"), "--dataset", "jsonl",
        *write_path(folder, "two"), "--measures", "AP AP@20 RankDistance", "--output",
        "reproduced/whole", "--settings", "mono,cross,multi", "--depth", "10", "--name",
        results.model,
    ]  # fmt: skip
    assert run_cli(*shlex.split(evaluation)[1:]).code == 0
    again = bh.Results.load(tmp_path / "reproduced" / "whole")
    for measure in again.measures:
        values, expected = (each.per_query()[str(measure)].to_numpy() for each in (again, results))
        assert np.array_equal(values, expected, equal_nan=True)  # rank distance is of pools only
    assert "\n#" not in run_cli("reproduce", tmp_path / "out", "--hits", "80").out


def test_runs_have_a_reasonable_size(folder: Path) -> None:
    """Runs of whole rankings of XQuAD-R would hold 170 million lines."""
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    results = bh.evaluate(folder / "model", collection, measures="AP R@5", depth=10)
    size = replace(results.provenance.collection, queries=13_090, passages=13_014)
    large = replace(results, provenance=replace(results.provenance, collection=size))
    lines = bh.reproduce_commands(large)
    assert sum("--hits 10 " in line for line in lines) == 3
    assert " --measures R@5 " in lines[-3]
    assert lines[-2].startswith(
        "# AP were computed from other than the first 10 passages of a query; "
    )
    assert " --measures AP --output reproduced/whole " in lines[-1]
    # Without a search that finds all of any, there is nothing to search for.
    ap_only = replace(large, measures=large.measures[:1])
    assert [line.split()[:2] for line in bh.reproduce_commands(ap_only)] == [
        ["beir-hybrid", "datasets"], ["#", "AP"], ["beir-hybrid", "evaluate"]
    ]  # fmt: skip


def test_measures_of_whole_runs_need_the_same_depth(folder: Path) -> None:
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    results = bh.evaluate(folder / "model", collection, measures="infAP R@5", depth=10)
    assert " --measures 'infAP R@5' " in bh.reproduce_commands(results)[-1]
    assert (
        " --measures infAP --output reproduced/whole" in bh.reproduce_commands(results, hits=20)[-1]
    )


def test_differing_versions_are_printed(folder: Path, tmp_path: Path, run_cli: RunCli) -> None:
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    bh.evaluate(folder / "model", collection, measures="R@1").save(tmp_path / "out")
    rewrite(
        tmp_path / "out" / "results.json",
        lambda record: record["about"]["versions"].update(torch="1.13"),
    )
    assert run_cli("reproduce", tmp_path / "out").err == "note: these were made with torch 1.13\n"


def test_objects_without_name_are_refused(folder: Path, tmp_path: Path, run_cli: RunCli) -> None:
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    options: Any = {"measures": "R@1", "settings": "mono"}
    of_object = bh.evaluate(static_model(), collection, **options)
    with pytest.raises(BadOption, match=r"are of a model that was given as an object, or of vec"):
        bh.reproduce_commands(of_object)
    data = bh.read_jsonl(folder / "two.jsonl")
    with pytest.raises(BadOption, match="are on a collection that was given as an object"):
        bh.reproduce_commands(bh.evaluate(folder / "model", data, **options))
    with pytest.raises(BadOption, match="hits is 0; it must be a whole number from 1 on"):
        bh.reproduce_commands(of_object, hits=0)
    odd = bh.evaluate(folder / "model", collection, **options, name="a\x1b[2Jb")
    with pytest.raises(BadOption, match=r"'a\\x1b\[2Jb' holds control characters"):
        bh.reproduce_commands(odd)
    of_object.save(tmp_path / "old")
    (tmp_path / "old" / "timing.json").unlink()
    process = run_cli("reproduce", tmp_path / "old")
    assert process.code == 2
    assert process.err == (
        "BadOption: these results ('SentenceTransformer' on 'two') do not say how model and data "
        "were named: timing.json is missing or of an earlier version; evaluate again\n"
    )
    assert run_cli("reproduce", tmp_path).err.startswith(f"BadData: {tmp_path} holds no results")
    for name in ("bpr", "cacm"):  # which the commands would refuse
        assert f"by its '{name}'" in run_cli("reproduce", tmp_path, "--output", tmp_path / name).err


def test_equal_results_have_equal_files_whatever_the_folder(folder: Path, tmp_path: Path) -> None:
    """Neither folders nor batch sizes change values."""
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "model").symlink_to(folder / "model")
    models = {"a": (folder / "model", 8), "b": (tmp_path / "x" / "model", 16)}
    for name, (model, size) in models.items():
        results = bh.evaluate(model, collection, name="m", measures="R@1", batch_size=size)
        results.save(tmp_path / name)
    first, second = ((tmp_path / name / "results.json").read_bytes() for name in models)
    assert first == second


def test_a_check_runs_the_commands_and_judges_each_average(
    folder: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    static_model().save(str(tmp_path / "model"))
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    results = bh.evaluate(tmp_path / "model", collection, measures="AP R@1", settings="one-target")
    results.save(tmp_path / "out")
    sound = run_cli("reproduce", tmp_path / "out", "--check", "--output", tmp_path / "one")
    assert sound.code == 0
    lines = [" ".join(line.split()) for line in sound.out.splitlines()]
    assert lines[0] == "measure setting stored reproduced verdict"
    mean = results.summary()["one-target"][AP].mean
    assert lines[1] == f"AP one-target {mean:.6f} {mean:.6f} equal"
    assert lines[-1].startswith("2 of 2 averages are equal (to 1e-06), 0 close (to 0.001")
    record = read_reproduction(tmp_path / "out")
    assert record is not None
    assert (record.verdict, record.total, record.equal) == ("reproduced", 2, 2)
    again = run_cli("reproduce", tmp_path / "out", "--check", "--output", tmp_path / "one")
    assert again.code == 2
    assert "one is not empty, and old files would be compared" in again.err

    shutil.rmtree(tmp_path / "model")
    static_model(8).save(str(tmp_path / "model"))
    changed = run_cli(
        "reproduce", tmp_path / "out", "--check", "--json", "--output", tmp_path / "2"
    )
    assert changed.code == 1
    record = json.loads(changed.out)
    assert record["tolerance"] == {"equal": 1e-6, "close": 1e-3}
    assert [average["verdict"] for average in record["averages"]] == ["different"] * 2
    last = read_reproduction(tmp_path / "out")
    assert last is not None
    assert (last.verdict, last.different) == ("not reproduced", 2)

    (tmp_path / "out" / REPRODUCTION).unlink()
    (tmp_path / "out" / REPRODUCTION).mkdir()  # where nothing can be written
    unkept = run_cli("reproduce", tmp_path / "out", "--check", "--output", tmp_path / "4")
    assert unkept.code == 1
    assert "note: the outcome is not kept: " in unkept.err

    shutil.rmtree(tmp_path / "model")
    missing = run_cli("reproduce", tmp_path / "out", "--check", "--output", tmp_path / "3")
    assert missing.code == 2
    assert "fails: UnknownName: there is no folder" in missing.err


def test_json_belongs_to_a_check(tmp_path: Path, run_cli: RunCli) -> None:
    outcome = run_cli("reproduce", tmp_path, "--json")
    assert (outcome.code, outcome.err) == (
        2,
        "BadOption: --json prints the comparison of --check\n",
    )


@pytest.mark.parametrize(
    ("changes", "fact"),
    [({"calibration": {}}, "method"), ({"fingerprint": {"kind": "bm25"}}, "k1")],
)
def test_records_that_lack_a_fact_are_no_traceback(
    folder: Path, changes: dict[str, Any], fact: str
) -> None:
    collection = bh.load("jsonl", path=folder / "two.jsonl")
    results = bh.evaluate(str(folder / "model"), collection, measures="AP", settings="mono")
    model = replace(results.provenance.model, **changes)
    with pytest.raises(BadData, match=f"lack '{fact}' in the records"):
        bh.reproduce_commands(replace(results, provenance=replace(results.provenance, model=model)))
