"""What strangers made may be opened: the promises of docs/trust.md, one test for each."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pyserini.index import build_index
from beir_hybrid.pyserini.search import search_index
from beir_hybrid.results.provenance import Timing
from beir_hybrid.results.request import DatasetRequest, Request
from tests.boards import build_capitals, evaluate_system
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli

__all__ = ["data_options", "model_folder", "run_cli"]

EVIL = """
from pathlib import Path
from typing import Any
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
Path({marker!r}).touch()
class Evil(StaticEmbedding):
    pass
"""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Give the file that the code of the evil model makes."""
    return tmp_path / "ran"


@pytest.fixture
def evil_model(model_folder: Path, marker: Path, tmp_path: Path) -> Path:
    """Give a model that comes with code."""
    folder = Path(shutil.copytree(model_folder, tmp_path / "evil"))
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "evil.Evil"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "evil.py").write_text(EVIL.format(marker=str(marker)))
    return folder


@pytest.fixture
def index(model_folder: Path, data_options: list[str], tmp_path: Path) -> Path:
    """Give an index of the passages of `data`."""
    collection = bh.load("jsonl", path=data_options[-1].removeprefix("path="))
    return build_index(str(model_folder), collection, tmp_path / "index")


def change_manifest(index: Path, name: object, **options: object) -> None:
    """Write another model into the manifest of an index."""
    path = index / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["model"] |= {"name": str(name), "options": options}
    path.write_text(json.dumps(manifest), "utf-8")


def test_an_index_cannot_trust_code(
    index: Path, evil_model: Path, marker: Path, run_cli: RunCli
) -> None:
    change_manifest(index, evil_model, trust_remote_code=True)
    outcome = run_cli("search", index, "w1")
    assert outcome.code == 2
    assert "if you trust that code, say so with --trust-remote-code" in outcome.err
    assert outcome.err.count("\n") == 1
    # Without that option in the file, sentence-transformers refuses.
    change_manifest(index, evil_model)
    assert run_cli("search", index, "w1").code == 2
    assert not marker.exists()
    # The user may trust the code.
    run_cli("search", index, "w1", "--trust-remote-code")
    assert marker.exists()


@pytest.mark.parametrize(
    "option", [{"cache_folder": "elsewhere"}, {"device": {}}, {"batch_size": [1]}]
)
def test_an_index_sets_options_of_a_list_only(index: Path, option: dict[str, object]) -> None:
    name = json.loads((index / "manifest.json").read_text("utf-8"))["model"]["name"]
    change_manifest(index, name, **option)
    with pytest.raises(BadOption, match=r"manifest\.json sets"):
        search_index(index, "w1")


def test_the_model_of_an_index_is_no_folder_that_came_with_it(
    index: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model_folder, index / "model")
    (tmp_path / "link").symlink_to(model_folder)
    monkeypatch.chdir(index)
    for name in ("model", "./model", "../index/model", index / "model", tmp_path / "link"):
        change_manifest(index, name)
        with pytest.raises(BadOption, match="which may have come with the index"):
            search_index(index, "w1")
    change_manifest(index, model_folder)
    assert search_index(index, "w1", k=1).hits[0].id == "en:p1"


def test_an_index_gives_no_trust_to_a_dataset(index: Path) -> None:
    path = index / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["dataset"]["options"]["trust_remote_code"] = "true"
    path.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BadOption, match="only the command line can give it"):
        search_index(index, "w1")


@pytest.fixture(scope="module")
def capitals(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Give the collection of `tests.boards`, of a local file."""
    return build_capitals(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def results(capitals: Collection) -> bh.Results:
    """Give results of a system that misses one query."""
    return evaluate_system("system", capitals, failures=[("de", 1)])


def change_request(results: bh.Results, **changes: Any) -> bh.Results:
    """Return results that name their model and data in another way."""
    request = results.timing.request
    assert request is not None
    return replace(results, timing=replace(results.timing, request=replace(request, **changes)))


def test_reproduction_gives_no_trust(results: bh.Results) -> None:
    options = {"trust_remote_code": True, "batch_size": 8}
    lines = bh.reproduce_commands(change_request(results, model="a/b", hub=True, options=options))
    assert lines[0].startswith("# code that comes with the model ran; if you trust it, add ")
    assert not any("trust" in line for line in lines[1:])
    assert any("a/b --batch-size 8 " in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "--trust-remote-code"}, "which a command takes for an option"),
        ({"model": "a/b", "options": {"cache_folder": "x"}}, "an option that no file may set"),
        ({"model": "a/b", "dataset": DatasetRequest("-o", None, {})}, "takes for an option"),
        (
            {"model": "a/b", "dataset": DatasetRequest("jsonl", None, {"--path": "x"})},
            "takes for an option",
        ),
        (
            {"model": "a/b", "dataset": DatasetRequest("jsonl", None, {"trust_code": "1"})},
            "only the command line can give it",
        ),
        ({"model": "a/\u202eb"}, "holds control characters"),
    ],
)
def test_reproduction_refuses_names_that_are_options(
    results: bh.Results, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BadOption, match=message):
        bh.reproduce_commands(change_request(results, **changes))


PRIVATE_RUN = "en:q:q01 Q0 my-password 1 9.5 beir-hybrid\n"


def read_site(folder: Path) -> str:
    """Return the text of all files of a leaderboard."""
    return "".join(
        path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("link", ["runs/en-all.trec", "runs", "results.json", "timing.json", "."])
def test_a_leaderboard_follows_no_links(
    results: bh.Results, tmp_path: Path, link: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret, target = tmp_path / "secret", tmp_path / "results" / "stranger"
    results.save(secret)
    (secret / "runs").mkdir()
    (secret / "runs" / "en-all.trec").write_text(PRIVATE_RUN)
    results.save(tmp_path / "results" / "fair")
    shutil.copytree(secret, target)
    path = target / link
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    path.symlink_to(secret / link)
    if path.suffix == ".json":
        with pytest.raises(BadData, match="is a symbolic link"):
            bh.leaderboard(tmp_path / "results", tmp_path / "site")
        return
    site = bh.leaderboard(tmp_path / "results", tmp_path / "site").parent
    assert "my-password" not in read_site(site)
    assert f"{path} is a symbolic link and is left out" in caplog.text


def test_folders_that_link_to_themselves_are_read_once(results: bh.Results, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    results.save(folder / "fair")
    for name in ("a", "b"):
        (folder / name).symlink_to(folder)
    site = bh.leaderboard(folder, tmp_path / "site").parent
    assert len(list((site / "models").iterdir())) == 1


def test_texts_of_local_files_need_a_flag(
    results: bh.Results, tmp_path: Path, run_cli: RunCli
) -> None:
    results.save(tmp_path / "system")
    run_cli("leaderboard", tmp_path / "system", "--output", tmp_path / "closed")
    assert "Hauptstadt von Land" not in read_site(tmp_path / "closed")
    run_cli("leaderboard", tmp_path / "system", "--output", tmp_path / "open", "--local-files")
    assert "Hauptstadt von Land" in read_site(tmp_path / "open")


def test_records_of_trainings_need_a_flag(results: bh.Results, tmp_path: Path) -> None:
    record = {"recipe": {"strategy": {"name": "my-secret", "kinds": [["mono", 1.0]]}}, "steps": 3}
    (tmp_path / "training.json").write_text(json.dumps(record))
    trained = change_request(results, model=str(tmp_path / "model"), hub=False)
    site = bh.leaderboard(trained, tmp_path / "closed").parent
    assert "my-secret" not in read_site(site)
    site = bh.leaderboard(trained, tmp_path / "open", local_files=True).parent
    assert "trained: my-secret, 3 steps" in read_site(site)


def test_results_without_a_request_have_no_texts(results: bh.Results, tmp_path: Path) -> None:
    bare = replace(results, timing=Timing(request=Request()))
    assert "Hauptstadt" not in read_site(bh.leaderboard(bare, tmp_path / "site").parent)
