"""Every command takes sparse and late-interaction models, or says in one line that it does not."""
# mypy: allow-untyped-calls

import json
import re
import shutil
from pathlib import Path

import pytest

import beir_hybrid as bh
from tests.endpoint_server import serve_models
from tests.families import make_cross, make_late, make_sparse, save_dense
from tests.results_checks import check_same_values
from tests.small_collections import write_parallel_words
from tests.test_cli_evaluate import RunCli, read_figures, run_cli

__all__ = ["run_cli"]
FAMILIES = ["sparse", "late-interaction"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a saved model of each family."""
    base = tmp_path_factory.mktemp("models")
    make_sparse(base / "1").save_pretrained(str(base / "sparse"))
    make_late(base / "2").save_pretrained(str(base / "late-interaction"))
    make_cross(base / "3").save_pretrained(str(base / "cross-encoder"))
    save_dense(base)
    return base


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Give a file of parallel words."""
    return write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluate_saves_what_python_returns(
    run_cli: RunCli, models: Path, words: Path, tmp_path: Path, family: str
) -> None:
    line = ["evaluate", models / family, "--dataset", words, "--output", tmp_path / "out"]
    line += ["--runs", "--depth", "50", "--measures", "AP P@3 RankDistance"]
    outcome = run_cli(*line)
    assert (outcome.code, outcome.err) == (0, "")
    expected = bh.evaluate(
        str(models / family),
        bh.load("jsonl", path=str(words)),
        measures="AP P@3 RankDistance",
        depth=50,
        store=tmp_path / "store",
    )
    check_same_values(bh.Results.load(tmp_path / "out"), expected)
    assert len(read_figures(outcome.out, "AP")) == 3
    terms = re.findall(r"terms of a query and .* have a weight", outcome.out)
    assert len(terms) == (family == "sparse")
    # The runs, judged by ir-measures, have the same precision.
    runs = sorted((tmp_path / "out" / "runs").glob("*.trec"))
    assert len(runs) == 6
    options = [part for run in runs for part in ("--run", run)]
    judged = run_cli("evaluate", *options, "--dataset", words, "--measures", "P@3")
    assert read_figures(judged.out, "P@3") == read_figures(outcome.out, "P@3")
    # The same model may replace its results, and another one may not.
    assert run_cli(*line).code == 0
    refused = run_cli("evaluate", models / "dense", *line[2:])
    assert (refused.code, refused.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_make_the_store_of_the_whole(
    run_cli: RunCli, models: Path, words: Path, own_cache: Path, family: str
) -> None:
    line = ["encode", models / family, "--dataset", words]
    assert "texts encoded in" in run_cli(*line).out
    whole = read_arrays(own_cache / "embeddings")
    shutil.rmtree(own_cache / "embeddings")
    for part in ("2/2", "1/2"):
        assert run_cli(*line, "--shard", part).code == 0
    assert read_arrays(own_cache / "embeddings") == whole
    assert "texts are encoded" in run_cli(*line, "--merge").out


def read_arrays(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.npy")}


def test_a_dense_model_is_reranked(
    run_cli: RunCli, models: Path, words: Path, tmp_path: Path
) -> None:
    measures = ["--measures", "AP", "--settings", "multi"]
    alone = run_cli("evaluate", models / "late-interaction", "--dataset", words, *measures)
    line = ["evaluate", models / "dense", "--dataset", words, *measures, "--depth", "120"]
    reranked = run_cli(*line, "--rerank", models / "late-interaction", "--output", tmp_path / "o")
    assert reranked.code == 0
    # All 120 passages of the pool are reranked.
    assert read_figures(reranked.out, "AP") == read_figures(alone.out, "AP")


def test_all_kinds_of_systems_stand_in_one_leaderboard(
    run_cli: RunCli, models: Path, words: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyserini")
    data = ["--dataset", words, "--measures", "AP RankDistance"]
    output, alone = tmp_path / "systems", tmp_path / "alone"
    folders = [models / family for family in ("dense", *FAMILIES)]
    with serve_models() as server:
        endpoint = f"openai:hashes@{server.url}"
        line = ["evaluate", *folders, endpoint, "bm25", *data, "--output", output]
        outcome = run_cli(*line, "--runs", "--json")
    assert outcome.code == 0
    names = ["dense", *FAMILIES, endpoint, "BM25"]
    assert [row["model"] for row in json.loads(outcome.out)] == names
    assert "saved in" in outcome.err
    saved = {results.model: path for path in output.iterdir() if (results := bh.Results.load(path))}
    assert saved.keys() == set(names)
    assert all(len([*(folder / "runs").glob("*.trec")]) == 6 for folder in saved.values())
    # Each is what a command of its own says.
    for name, command in (("late-interaction", ["evaluate", folders[2]]), ("BM25", ["bm25"])):
        assert run_cli(*command, *data, "--output", alone / name).code == 0
        check_same_values(bh.Results.load(saved[name]), bh.Results.load(alone / name))
    assert run_cli("leaderboard", output, "--output", tmp_path / "site").code == 0
    pages = "".join(path.read_text("utf-8") for path in (tmp_path / "site").rglob("*.html"))
    assert all(f">{name}<" in pages for name in names)
    compared = run_cli("compare", *saved.values(), "--measures", "AP")
    assert (compared.code, compared.err) == (0, "")


def test_models_of_one_name_have_folders_of_their_own(
    run_cli: RunCli, models: Path, words: Path, tmp_path: Path
) -> None:
    shutil.copytree(models / "sparse", tmp_path / "other" / "dense")
    line = ["evaluate", models / "dense", tmp_path / "other" / "dense", "--dataset", words]
    line += ["--measures", "AP", "--output", tmp_path / "out"]
    assert run_cli(*line).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dense", "dense-2"]
    # The same line may replace its results; with the models in another order it may not.
    assert run_cli(*line).code == 0
    refused = run_cli(line[0], line[2], line[1], *line[3:])
    assert (refused.code, refused.err.count("\n")) == (2, 1)


def test_a_wrong_name_among_models_fails_before_all_work(
    run_cli: RunCli, models: Path, words: Path, tmp_path: Path
) -> None:
    line = ["evaluate", models / "dense", "./none", "--dataset", words]
    outcome = run_cli(*line, "--output", tmp_path / "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "UnknownName: there is no folder './none', and a hub name has one slash\n"
    assert not (tmp_path / "out").exists()


REFUSALS = [
    (
        ["index", "MODEL", "--dataset", "DATA", "--output", "OUT", "--shards", "2"],
        "dense indexes|this takes a dense one",
    ),
    (
        ["evaluate", "MODEL", "--dataset", "DATA", "--calibration", "mean-language"],
        "a calibration corrects dense vectors",
    ),
    (
        ["calibrate", "MODEL", "--dataset", "DATA", "--output", "OUT", "--method", "mean-language"],
        "a dense one",
    ),
    (["evaluate", "MODEL", "--dataset", "DATA", "--truncate-dim", "4"], "truncate_dim does not"),
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("line", "message"), REFUSALS)
def test_what_takes_dense_models_says_so_in_a_line(
    run_cli: RunCli, models: Path, words: Path, tmp_path: Path, family: str, line: list[str],
    message: str,
) -> None:  # fmt: skip
    places = {"MODEL": models / family, "DATA": words, "OUT": tmp_path / "out"}
    outcome = run_cli(*(places.get(part, part) for part in line))
    assert (outcome.code, outcome.out) == (2, "")
    assert re.search(message, outcome.err)
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "rerank", "message"),
    [
        ("cross-encoder", None, "it scores pairs, so give it as rerank"),
        ("dense", "dense", "it makes vectors, so give it as the model"),
        ("dense", "sparse", "is a sparse model"),
    ],
)
def test_models_in_the_wrong_place_are_refused(
    run_cli: RunCli, models: Path, words: Path, model: str, rerank: str | None, message: str
) -> None:
    options = ["--rerank", models / rerank] if rerank else []
    outcome = run_cli("evaluate", models / model, "--dataset", words, *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
