"""`beir-hybrid evaluate` with several systems: what is refused before the first is evaluated."""

import json
import shutil
from pathlib import Path

import pytest

import beir_hybrid as bh
from tests.families import make_cross, make_sparse
from tests.models import static_model
from tests.small_collections import write_parallel_words
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["run_cli"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with two dense models, a sparse one and a cross-encoder."""
    base = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("first", "second")):
        static_model(seed=seed).save(str(base / name))
    make_sparse(base / "texts").save_pretrained(str(base / "sparse"))
    make_cross(base / "pairs").save_pretrained(str(base / "cross-encoder"))
    return base


@pytest.fixture
def data_options(tmp_path: Path) -> list[object]:
    """Give the options that name the data and the measure."""
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    return ["--dataset", words, "--measures", "AP"]


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        ("bm25", ["--settings", "one-target"], "BM25 has mono, cross and multi settings"),
        ("bm25", ["--depth", "0"], "depth is 0"),
        ("mteb:nosuch", [], "mteb:nosuch: Model 'nosuch' not found"),
        ("mteb:castorini/monot5-base-msmarco-10k", [], "only dense models are evaluated"),
        ("mteb:sentence-transformers/all-MiniLM-L6-v2", ["--truncate-dim", "4"], "mteb sets that"),
        ("mteb:nomic-ai/nomic-embed-text-v1", [], "mteb may run code that comes with"),
        ("openai:foo", [], "an endpoint is openai:MODEL@URL"),
        ("openai:x@http://127.0.0.1:9/v1", ["--dtype", "bfloat16"], "its server decides that"),
        ("opnai:x", [], "names with a colon begin with openai: or mteb:"),
        ("SPARSE", ["--truncate-dim", "4"], "truncate_dim does not apply to"),
        ("SPARSE", ["--calibration", "mean-language"], "a calibration corrects dense vectors"),
        ("CROSS", [], "it scores pairs, so give it as rerank"),
    ],
)
def test_what_a_later_system_cannot_do_is_refused_before_all_work(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path, own_cache: Path,
    system: str, options: list[str], message: str,
) -> None:  # fmt: skip
    places = {"SPARSE": models / "sparse", "CROSS": models / "cross-encoder"}
    line = ["evaluate", models / "first", places.get(system, system), *data_options, *options]
    outcome = run_cli(*line, "--output", tmp_path / "out")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert not (tmp_path / "out").exists()
    assert not (own_cache / "embeddings").exists()


@pytest.mark.parametrize("setting", ["--offline", "BEIR_HYBRID_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize("prefix", ["", "mteb:"])
def test_what_the_cache_of_the_hub_lacks_is_refused_offline_before_all_work(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path, own_cache: Path,
    monkeypatch: pytest.MonkeyPatch, setting: str, prefix: str,
) -> None:  # fmt: skip
    for variable in ("BEIR_HYBRID_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(variable, "1" if variable == setting else "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", setting == "HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    name = "sentence-transformers/all-MiniLM-L6-v2"
    line = ["evaluate", models / "first", f"{prefix}{name}", *data_options]
    options = [setting] if setting == "--offline" else []
    outcome = run_cli(*line, *options, "--output", tmp_path / "out")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(
        f"Unreachable: the model {name} is not in the hub's cache, and "
        f"{'HF_HUB_OFFLINE' if setting == 'HF_HUB_OFFLINE' else 'BEIR_HYBRID_OFFLINE'} is set; "
    )
    assert not (tmp_path / "out").exists()
    assert not (own_cache / "embeddings").exists()


def test_a_model_in_the_cache_of_the_hub_is_checked_and_evaluated_offline(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("second", "sparse"):
        repository, commit = tmp_path / "hub" / f"models--org--{name}", "c0ffee" + "0" * 34
        shutil.copytree(models / name, repository / "snapshots" / commit)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
    line = ["evaluate", models / "first", "org/sparse", *data_options]
    outcome = run_cli(*line, "--truncate-dim", "4")
    assert (outcome.code, outcome.out) == (2, "")
    assert "truncate_dim does not apply to org/sparse, a sparse model" in outcome.err
    line = ["evaluate", models / "first", "org/second", *data_options]
    for _ in range(2):
        outcome = run_cli(*line, "--truncate-dim", "4", "--output", tmp_path / "out")
        assert (outcome.code, outcome.err) == (0, "")
    assert bh.Results.load(tmp_path / "out" / "org-second").model == "org/second"


def test_results_of_others_in_a_later_folder_are_refused_before_all_work(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run_cli("evaluate", models / "second", *data_options, "--output", output / "sparse")
    pair = [models / "first", models / "sparse"]
    outcome = run_cli("evaluate", *pair, *data_options, "--output", output)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{output / 'sparse'} holds results of 'second', not of 'sparse'" in outcome.err
    assert [path.name for path in output.iterdir()] == ["sparse"]
    # A name may be that of the saved model, whose kind tells the two apart.
    shutil.copytree(models / "sparse", tmp_path / "second")
    shutil.move(output / "sparse", output / "second")
    pair = [models / "first", tmp_path / "second"]
    outcome = run_cli("evaluate", *pair, *data_options, "--output", output)
    assert "holds results of 'second' with another kind of system" in outcome.err
    assert [path.name for path in output.iterdir()] == ["second"]
    # A file in the place of a folder.
    shutil.rmtree(output)
    output.mkdir()
    (output / "second").write_text("mine", "utf-8")
    outcome = run_cli("evaluate", *pair, *data_options, "--output", output)
    assert outcome.err.startswith("NotWritable: ")
    assert [path.name for path in output.iterdir()] == ["second"]


def test_the_calibration_of_one_model_is_refused_for_several(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path
) -> None:
    dataset, folder = data_options[:2], tmp_path / "calibration"
    line = ["calibrate", models / "first", *dataset, "--method", "mean-language"]
    assert run_cli(*line, "--output", folder).code == 0
    line = ["evaluate", models / "first", *data_options, "--calibration", folder]
    assert run_cli(*line).code == 0
    outcome = run_cli(line[0], models / "second", *line[1:])
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"BadOption: the calibration {folder} is of one model; evaluate that in a command of its "
        "own, or give the method, mean-language\n"
    )


def test_json_has_the_systems_before_the_one_that_fails(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path
) -> None:
    shutil.copytree(models / "second", tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    line = ["evaluate", models / "first", tmp_path / "damaged", *data_options]
    outcome = run_cli(*line, "--output", tmp_path / "out", "--json")
    assert outcome.code == 2
    assert [row["model"] for row in json.loads(outcome.out)] == ["first"]
    assert bh.Results.load(tmp_path / "out" / "first").model == "first"
    assert outcome.err.splitlines()[-1].startswith("BadData: ")
    # Without a finished system there is nothing to print.
    assert run_cli(line[0], *line[2:], models / "first", "--json").out == ""


def test_a_measure_in_the_place_of_a_model_is_refused(
    run_cli: RunCli, models: Path, data_options: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models)
    line = ["evaluate", "first", *data_options, "--measures", "ndcg@10", "mAP", "ndcg_cut_10"]
    outcome = run_cli(*line)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "BadOption: mAP is a measure, and no folder: --measures takes several as 'AP R@10'\n"
    )
    (models / "first").rename(models / "mAP")
    assert run_cli("evaluate", "mAP", *data_options, "--measures", "AP").code == 0
    (models / "mAP").rename(models / "first")


def test_one_system_named_twice_is_refused(
    run_cli: RunCli, models: Path, data_options: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models)
    for pair, message in (
        (["first", "./first"], "./first is named twice, as first too; name it once"),
        (["first/", models / "first"], f"{models / 'first'} is named twice, as first/ too"),
        (["first", "first"], "first is named twice; name it once"),
        (["bm25", "first", "bm25"], "bm25 is named twice; name it once"),
    ):
        outcome = run_cli("evaluate", *pair, *data_options)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert message in outcome.err


def test_a_folder_with_the_name_of_bm25(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    line = ["evaluate", "bm25", *data_options, "--settings", "one-target"]
    Path("bm25").mkdir()  # such as that of results
    assert run_cli(*line).err.count("\n") == 1
    shutil.copytree(models / "first", "bm25", dirs_exist_ok=True)
    note, error = run_cli(*line).err.splitlines()
    assert note == "bm25 is Lucene's BM25; the model in the folder of this name is ./bm25"
    assert error.startswith("BadOption: BM25 has mono, cross and multi settings")
    outcome = run_cli("evaluate", "./bm25", *data_options)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("bm25 on words: ")


def test_results_do_not_hide_others_from_a_leaderboard(
    run_cli: RunCli, models: Path, data_options: list[object], tmp_path: Path
) -> None:
    one, several, site = tmp_path / "one", tmp_path / "several", ["--output", tmp_path / "site"]
    first = ["evaluate", models / "first", *data_options]
    both = [*first[:2], models / "second", *data_options]
    assert run_cli(*first, "--output", one).code == 0
    outcome = run_cli(*both, "--output", one)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"BadOption: {one} holds results itself, and several systems get folders in it; name "
        "another folder\n"
    )
    assert run_cli(*both, "--output", several).code == 0
    outcome = run_cli(*first, "--output", several)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"BadOption: {several} holds the folder of results first; name another folder, for example "
        f"{several / 'first'}\n"
    )
    # It is the folder in which the model's results were; other systems have other names.
    assert run_cli(*first, "--output", several / "first").code == 0
    for system, example in (
        ([tmp_path / "New Runs.trec", "--run"], several / "new-runs"),
        ([tmp_path / "vectors", "--vectors"], several / "vectors"),
    ):
        outcome = run_cli("evaluate", *system[::-1], *data_options, "--output", several)
        assert outcome.err.endswith(f"; name another folder, for example {example}\n")
    outcome = run_cli("bm25", *data_options, "--output", several)
    assert outcome.err.endswith(f"; name another folder, for example {several / 'bm25'}\n")
    assert run_cli("leaderboard", several, *site).out.count("\n") == 1
    # Results below results are those of another command, or were moved there.
    nested = run_cli(*first[:1], models / "second", *data_options, "--output", one / "a" / "b")
    assert nested.code == 0
    assert run_cli(*first, "--output", one).code == 0  # it may replace its own
    note = f"note: {one / 'a' / 'b'} left out: results below other results; name them, too\n"
    assert run_cli("leaderboard", tmp_path / "one", *site).out.startswith(note)
    for sources in ([one, one / "a" / "b"], [one, one / "a"], [one / "a"]):
        outcome = run_cli("leaderboard", *sources, *site)
        assert (outcome.code, outcome.out.count("\n")) == (0, 1)
        assert "second" in (tmp_path / "site" / "index.html").read_text("utf-8")
