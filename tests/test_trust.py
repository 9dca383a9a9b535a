"""What strangers made may be opened: the promises of docs/trust.md, one test for each."""

import csv
import inspect
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import get_token

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.integrity import format_sealed_json, read_sealed_json
from beir_hybrid.pyserini.index import build_index
from beir_hybrid.pyserini.search import search_index
from beir_hybrid.results.request import DatasetRequest, Request, describe_dataset
from beir_hybrid.results.timing import Timing
from beir_hybrid.text import find_control_characters
from beir_hybrid.training.job import TrainingJob
from tests.boards import build_capitals, evaluate_system
from tests.leaderboard_fixtures import read_files
from tests.models import static_model, transformer_model
from tests.sealed_files import rewrite
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli
from tests.test_reproduce import write_data
from tests.test_rerank import make_cross_encoder
from tests.training_run import make_groups

__all__ = ["data_options", "model_folder", "run_cli"]

ROOT = Path(bh.__file__).parent
# The tests of each promise of docs/trust.md, by the words in bold: a file and a function.
PROMISES = {
    "Indexes.": "test_trust.test_an_index_cannot_trust_code "
    "test_trust.test_an_index_sets_options_of_a_list_only "
    "test_trust.test_the_model_of_an_index_is_no_folder_that_came_with_it "
    "test_trust.test_an_index_gives_no_trust_to_a_dataset "
    "test_trust.test_a_collection_names_no_other_path",
    "Models.": "test_trust.test_code_of_a_model_needs_trust test_trust.test_weights_run_no_code",
    "Results.": "test_trust.test_reproduction_gives_no_trust "
    "test_trust.test_reproduction_refuses_names_that_are_options",
    "Vectors.": "test_trust.test_vectors_run_no_code",
    "Folders of images.": "test_image_folder_errors.test_hostile_rows_are_named",
    "Names and texts.": "test_trust.test_results_control_no_terminal "
    "test_trust.test_messages_control_no_terminal "
    "test_trust.test_datasets_control_no_terminal "
    "test_trust.test_commands_print_through_one_function "
    "test_leaderboard.test_names_and_texts_are_escaped test_tables.test_markdown "
    "test_tables.test_latex",
    "Tables.": "test_tables.test_csv_has_all_digits "
    "test_trust.test_summaries_of_a_board_hold_no_formulas",
    "Pages.": "test_trust.test_a_leaderboard_follows_no_links "
    "test_trust.test_folders_that_link_to_themselves_are_read_once "
    "test_trust.test_the_card_of_a_model_of_mteb_is_no_link "
    "test_trust.test_texts_of_local_files_need_a_flag "
    "test_trust.test_records_of_trainings_need_a_flag",
    "Paths.": "test_trust.test_a_board_tells_no_paths_of_this_machine",
    "Tokens.": "test_trust.test_a_token_reaches_no_file "
    "test_trust.test_a_token_reaches_the_client_of_the_hub",
    "Keys.": "test_endpoints.test_the_key_comes_from_the_environment_and_reaches_no_file "
    "test_endpoints.test_an_index_sends_no_queries_anywhere",
    "Pages load nothing.": "test_leaderboard.test_every_link_leads_to_a_file_and_nothing_is_loaded",
    "Checksums.": "test_download.test_a_wrong_checksum_names_the_file_and_both_checksums",
    "Sizes.": "test_download.test_a_server_that_sends_too_much_is_cut_off "
    "test_download.test_the_body_of_a_redirect_is_not_read",
    "Speed.": "test_download.test_a_server_that_sends_a_byte_at_a_time_is_given_up "
    "test_download.test_headers_without_end_are_given_up "
    "test_download.test_a_download_has_an_end",
    "Redirects.": "test_download.test_redirects_lead_to_no_less_safe_scheme "
    "test_download.test_a_redirect_to_another_scheme_is_refused "
    "test_download.test_redirects_end",
    "Offline.": "test_download.test_offline_mode_uses_the_cache_alone "
    "test_endpoints.test_offline_only_this_machine_is_asked",
    "Downloaded files": "test_download.test_a_damaged_file_in_the_cache_is_fetched_again "
    "test_download.test_a_wrong_file_in_the_mirror_is_an_error_and_stays",
    "Cached collections": "test_failures.test_a_damaged_collection_is_built_anew",
    "Exports": "test_folder.test_a_damaged_export_is_refused "
    "test_folder.test_an_export_without_its_description_is_damaged",
    "Cached pairs": "test_pairs.test_a_damaged_cache_is_rebuilt",
    "Stored vectors": "test_store.test_a_damaged_shard_is_redone_and_no_other",
    "Indexes": "test_index.test_a_damaged_index_is_refused",
    "Results": "test_results.test_damaged_and_missing_files "
    "test_results.test_damaged_records_are_refused",
    "Runs": "test_runs.test_a_run_of_ours_is_compared_with_its_checksum",
    "Calibrations": "test_calibration.test_a_saved_calibration_is_the_same "
    "test_calibration.test_impossible_records_are_refused "
    "test_calibration.test_a_calibration_of_unit_vectors_corrects_no_others",
    "Lucene indexes": "test_bm25.test_a_damaged_index_is_rebuilt",
    "Trained models": "test_resume_training.test_a_damaged_model_is_not_called_trained "
    "test_resume_training.test_a_damaged_model_is_not_loaded",
    "Checkpoints": "test_resume_training."
    "test_training_goes_on_from_the_checkpoint_before_a_damaged_one",
    "Refused files.": "test_integrity.test_vectors_that_cannot_be_read_are_not_removed "
    "test_resume_training.test_no_checkpoint_is_removed_that_the_system_refuses_to_read "
    "test_bm25.test_an_index_that_cannot_be_read_is_not_removed",
    "Kills.": "test_results.test_processes_that_save_at_once_and_are_killed_leave_one_whole "
    "test_store.test_killed_anywhere_it_goes_on_at_the_next_shard "
    "test_failures.test_a_second_run_removes_the_remnants_of_a_killed_export "
    "test_folder.test_an_export_killed_after_its_last_step_succeeds_again "
    "test_resume_training.test_killed_process_is_resumed",
    "Full disks.": "test_failures.test_building_on_a_full_disk_leaves_nothing "
    "test_store.test_a_full_disk_is_one_line_and_leaves_what_was_whole",
    "Concurrent processes.": "test_failures.test_two_processes_build_one_collection "
    "test_store.test_two_processes_share_the_work "
    "test_download.test_two_processes_fetch_once",
    "Existing output folders.": "test_trust.test_results_of_another_system_are_not_replaced "
    "test_trust.test_results_with_another_calibration_are_not_replaced "
    "test_trust.test_results_with_another_reranker_are_not_replaced "
    "test_results.test_results_of_another_evaluation_stay "
    "test_results.test_files_of_others_stay "
    "test_bm25.test_the_bm25_command "
    "test_leaderboard.test_folders_of_the_user_are_not_replaced "
    "test_train.test_a_finished_training_is_not_repeated "
    "test_index.test_an_equal_index_is_left_and_another_is_refused",
    "Other files.": "test_runs.test_a_file_that_is_no_run_of_ours_is_not_replaced "
    "test_trust.test_runs_of_others_are_not_replaced "
    "test_cli_report.test_compare_writes_the_format_of_the_suffix "
    "test_folder.test_an_existing_target_is_left_alone "
    "test_calibration.test_an_occupied_folder_is_refused_before_all_work "
    "test_topics.test_other_files_are_not_replaced",
}
EVIL = """
from pathlib import Path
from typing import Any
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
Path({marker!r}).touch()
class Evil(StaticEmbedding):
    pass
"""


def test_every_promise_has_a_test() -> None:
    page = (ROOT.parent / "docs" / "trust.md").read_text("utf-8")
    assert re.findall(r"^(?:- |\| )\*\*(.+?)\*\*", page, re.MULTILINE) == list(PROMISES)
    for names in PROMISES.values():
        for name in names.split():
            module_name, _, function_name = name.partition(".")
            module = import_module(f"tests.{module_name}")
            function = getattr(module, function_name)
            # pytest collects it, in this module, and runs it: nothing marks it to be skipped.
            assert inspect.isfunction(function), name
            assert (function.__module__, function.__name__[:5]) == (module.__name__, "test_"), name
            assert has_checks(function), name
            marks = [*getattr(function, "pytestmark", []), *list_marks(module)]
            assert {mark.name for mark in marks} <= {"parametrize", "usefixtures"}, name


def has_checks(function: Callable[..., object]) -> bool:
    """Return whether a test asserts something, itself or through `pytest.raises`."""
    source = inspect.getsource(function)
    return bool(re.search(r"\bassert\b|pytest\.raises|\.testing\.assert", source))


def list_marks(module: ModuleType) -> list[Any]:
    """Return the marks of all tests of a module."""
    marks = getattr(module, "pytestmark", [])
    return marks if isinstance(marks, list) else [marks]


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
    """Write another model into the manifest of an index, as a stranger could."""
    model = {"name": str(name), "options": options}
    rewrite(index / "manifest.json", lambda manifest: manifest["model"].update(model))


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


def test_code_of_a_model_needs_trust(
    evil_model: Path, marker: Path, data_options: list[str], run_cli: RunCli
) -> None:
    outcome = run_cli("evaluate", evil_model, *data_options)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"BadData: cannot load the model '{evil_model}': ")
    assert not marker.exists()
    run_cli("evaluate", evil_model, *data_options, "--trust-remote-code")
    assert marker.exists()


class Trap:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the call that loading makes."""
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("kind", ["static", "transformer"])
def test_weights_run_no_code(
    kind: str, marker: Path, tmp_path: Path, data_options: list[str], run_cli: RunCli
) -> None:
    folder = tmp_path / "model"
    model = static_model() if kind == "static" else transformer_model(tmp_path / "start")
    model.save(str(folder))
    (path,) = folder.rglob("*.safetensors")
    path.unlink()
    path = path.with_name("pytorch_model.bin")
    torch.save({"embedding.weight": Trap(marker)}, path)
    outcome = run_cli("evaluate", folder, *data_options)
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("BadData: cannot load the model")
    assert not marker.exists()
    torch.load(path, weights_only=False)  # as nothing here does
    assert marker.exists()


def test_vectors_run_no_code(
    marker: Path, tmp_path: Path, data_options: list[str], run_cli: RunCli
) -> None:
    for role in ("queries", "passages"):
        np.save(tmp_path / f"{role}.npy", np.array([[Trap(marker)]], object), allow_pickle=True)
        (tmp_path / f"{role}.txt").write_text("en:p1\n")
    outcome = run_cli("evaluate", "--vectors", tmp_path, *data_options)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert not marker.exists()


@pytest.mark.parametrize(
    "option", [{"cache_folder": "elsewhere"}, {"device": {}}, {"batch_size": [1]}]
)
def test_an_index_sets_options_of_a_list_only(index: Path, option: dict[str, object]) -> None:
    name = read_sealed_json(index / "manifest.json", "")["model"]["name"]
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


def test_a_collection_names_no_other_path(
    data_options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = bh.load("jsonl", path=data_options[-1].removeprefix("path="))
    other = replace(collection, options={"path": "/other", "split": "/other"})
    folder = bh.write_folder(other, tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    request = describe_dataset(bh.load("beir-folder", path=folder))
    assert request == DatasetRequest("beir-folder", None, {"path": str(folder)})


def test_an_index_gives_no_trust_to_a_dataset(index: Path) -> None:
    options = {"trust_remote_code": "true"}
    rewrite(
        index / "manifest.json", lambda manifest: manifest["dataset"]["options"].update(options)
    )
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


def test_the_card_of_a_model_of_mteb_is_no_link(tmp_path: Path) -> None:
    scores = [{"hf_subset": "de-en", "languages": ["deu-Latn", "eng-Latn"], "ndcg_at_10": 0.5}]
    scores[0]["main_score"] = 0.5
    result = {"task_name": "XQuADRetrieval", "dataset_revision": "1", "scores": {"test": scores}}
    folder = tmp_path / "lab__model" / "1"
    folder.mkdir(parents=True)
    (folder / "XQuADRetrieval.json").write_text(json.dumps(result))
    (tmp_path / "secret.json").write_text(json.dumps({"name": "my-password"}))
    (folder / "model_meta.json").symlink_to(tmp_path / "secret.json")
    text = read_site(bh.leaderboard(folder, tmp_path / "site").parent)
    assert "my-password" not in text
    assert "lab/model" in text


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
    (tmp_path / "training.json").write_text(format_sealed_json(record))
    trained = change_request(results, model=str(tmp_path / "model"), hub=False)
    site = bh.leaderboard(trained, tmp_path / "closed").parent
    assert "my-secret" not in read_site(site)
    site = bh.leaderboard(trained, tmp_path / "open", local_files=True).parent
    assert "trained: my-secret, 3 steps" in read_site(site)


def test_results_without_a_request_have_no_texts(results: bh.Results, tmp_path: Path) -> None:
    bare = replace(results, timing=Timing(request=Request()))
    assert "Hauptstadt" not in read_site(bh.leaderboard(bare, tmp_path / "site").parent)


CONTROLS = "\x1b[31m\x9b2J\x07\r\u202e\x1b]0;title\x07"


def is_plain(text: str) -> bool:
    """Return whether a text holds no control characters and no marks of direction."""
    return not find_control_characters(text, "\n")


def rename(results: bh.Results, name: str) -> bh.Results:
    """Return results in which every text that a stranger can choose has control characters."""
    provenance = results.provenance
    model = replace(provenance.model, name=f"{name}{CONTROLS}")
    collection = replace(provenance.collection, name=f"data{CONTROLS}", caveat=f"note{CONTROLS}")
    versions = {f"tool{CONTROLS}": f"1{CONTROLS}"}
    return replace(
        results,
        provenance=replace(provenance, model=model, collection=collection, versions=versions),
    )


@pytest.fixture
def hostile_folders(results: bh.Results, tmp_path: Path) -> list[Path]:
    """Give two folders of results whose names and caveats control a terminal."""
    return [rename(results, name).save(tmp_path / f"{name}{CONTROLS}") for name in ("=a", "b")]


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "csv", "json"])
def test_results_control_no_terminal(
    hostile_folders: list[Path], run_cli: RunCli, form: str
) -> None:
    outcome = run_cli("compare", *hostile_folders, "--format", form, "--measures", "AP")
    assert outcome.code == 0
    assert "=a" in outcome.out
    assert is_plain(outcome.out + outcome.err)
    if form == "csv":
        assert not re.search(r"(^|,)\"?[=+@]", outcome.out, re.MULTILINE)


def test_messages_control_no_terminal(
    hostile_folders: list[Path], tmp_path: Path, run_cli: RunCli
) -> None:
    folder = hostile_folders[0]
    outcomes = [
        run_cli("reproduce", folder),
        run_cli("leaderboard", folder, "--output", tmp_path / f"site{CONTROLS}"),
        run_cli("leaderboard", tmp_path / f"none{CONTROLS}", "--output", tmp_path / "site"),
        run_cli("--debug", "compare", tmp_path / f"none{CONTROLS}", folder),
        run_cli("plot", "matrix", folder, "--output", tmp_path / f"plot{CONTROLS}.svg"),
        run_cli("search", folder, "w1"),
    ]
    for outcome in outcomes:
        assert outcome.out + outcome.err
        assert is_plain(outcome.out + outcome.err)
    (folder / "runs").symlink_to(tmp_path)
    outcome = run_cli("leaderboard", folder, "--output", tmp_path / "linked")
    assert "is a symbolic link" in outcome.err  # in the log
    assert is_plain(outcome.err)


def test_datasets_control_no_terminal(
    data_options: list[str], model_folder: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    name = ["-o", f"name=mine{CONTROLS}"]
    for outcome in (
        run_cli("datasets", "fetch", "jsonl", *data_options[2:], *name),
        run_cli("evaluate", model_folder, *data_options, *name, "--measures", "AP"),
        run_cli("encode", model_folder, *data_options, *name),
        run_cli("index", model_folder, *data_options, *name, "--output", tmp_path / "x\x1b"),
    ):
        assert (outcome.code, is_plain(outcome.out + outcome.err)) == (0, True)


def test_commands_print_through_one_function() -> None:
    for path in (ROOT / "cli").glob("*.py"):
        text = path.read_text("utf-8")
        allowed = 1 if path.name == "printing.py" else 0
        assert text.count("typer.echo(") == text.count(" print(") == allowed, path


def test_summaries_of_a_board_hold_no_formulas(results: bh.Results, tmp_path: Path) -> None:
    site = bh.leaderboard(rename(results, "=1+1"), tmp_path / "site").parent
    (path,) = site.rglob("summary.csv")
    cells = [cell for row in csv.reader(path.read_text("utf-8").splitlines()) for cell in row]
    assert not [cell for cell in cells if re.match(r"\s*[=+@]", cell)]


TOKEN = "hf_aVerySecretToken"  # noqa: S105 - nobody's


def find_token(folder: Path) -> list[Path]:
    """Return the files below a folder that hold the token."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize("command", ["train", "ablate"])
def test_a_token_reaches_no_file(
    command: str, model_folder: Path, tmp_path: Path, run_cli: RunCli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    path = tmp_path / "groups.jsonl"
    path.write_text("".join(f"{json.dumps(group)}\n" for group in make_groups(16)))
    dev = write_data(tmp_path / "dev.jsonl", ["de", "en"])
    options: list[object] = ["--save-total-limit", "1"]  # which keeps a checkpoint in the end
    if command == "ablate":
        options = ["--test", dev, "--strategy", "x-y", "--seed", "1"]
    outcome = run_cli(
        command, model_folder, "--train", path, "--output", tmp_path / "out", *options,
        "--max-steps", "2", "--per-device-train-batch-size", "4", "--save-strategy", "steps",
        "--save-steps", "1", "--use-cpu", "--report-to", "none", "--hub-token", TOKEN,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    checkpoints = list((tmp_path / "out").rglob("training_args.bin"))
    assert bool(checkpoints) == (command == "train")  # `ablate` removes them
    assert find_token(tmp_path) == []
    assert TOKEN not in outcome.out + outcome.err
    assert "HF_TOKEN" not in os.environ


def test_a_token_reaches_the_client_of_the_hub(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    monkeypatch.setenv("HF_TOKEN", "another")
    tokens = []
    monkeypatch.setattr(TrainingJob, "train", lambda *_, **__: tokens.append(get_token()))
    with pytest.raises(UnknownName):  # no model was saved
        bh.train(
            str(model_folder), bh.pairs_from_groups(make_groups(8)), tmp_path / "out",
            hub_token=TOKEN,
        )  # fmt: skip
    assert tokens == [TOKEN]
    assert get_token() == "another"


def test_results_of_another_system_are_not_replaced(
    model_folder: Path, data_options: list[str], tmp_path: Path, run_cli: RunCli
) -> None:
    out = tmp_path / "out"
    line = ["evaluate", model_folder, *data_options, "--measures", "AP", "--output", out]
    assert run_cli(*line, "--name", "one", "--runs").code == 0
    saved = read_files(out)
    data = ["-o", f"path={write_data(tmp_path / 'other.jsonl', ['de', 'en'])}"]
    for words, message in (
        (["--name", "two", "--runs"], "holds results of 'one', not of 'two'; name another folder"),
        (["--name", "one", "--query-prompt", "w2 "], "holds results of 'one' with other prompts"),
        (["--name", "one", "--no-normalize"], "holds results of 'one' with another normalization"),
        (["--name", "one", "--depth", "7"], "holds results of 'one' with another depth; name"),
        (["--name", "one", "--settings", "mono"], "holds results of 'one' with other settings"),
        (["--name", "one", *data], "holds results of 'one' on other data"),
    ):
        outcome = run_cli(*line, *words)
        assert (outcome.code, outcome.out) == (2, "")  # before the evaluation
        assert outcome.err.startswith(f"BadOption: {out} {message}")
    run = out / "runs" / "en-all.trec"
    outcome = run_cli("evaluate", "--run", run, *data_options, "--output", out)
    assert "holds results of 'one', not of 'en-all'" in outcome.err
    outcome = run_cli("bm25", *data_options, "--output", out)
    assert "holds results of 'one', not of 'BM25'" in outcome.err
    assert read_files(out) == saved
    shutil.copytree(out, tmp_path / "damaged")
    (tmp_path / "damaged" / "per_query.parquet").write_bytes(b"")
    outcome = run_cli(*line[:-1], tmp_path / "damaged")
    assert (outcome.code, outcome.out) == (2, "")
    assert "name another folder, or remove the results in this one" in outcome.err
    # Other measures of the same system replace the old ones.
    assert run_cli(*line[:-4], "--measures", "RR", "--output", out, "--name", "one").code == 0
    assert [str(measure) for measure in bh.Results.load(out).measures] == ["RR"]


def test_results_with_another_calibration_are_not_replaced(
    model_folder: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    data = ["--dataset", "jsonl", "-o", f"path={write_data(tmp_path / 'data', ['de', 'en'])}"]
    line = ["evaluate", model_folder, *data, "--measures", "AP", "--output", tmp_path / "out"]
    calibration = ["--calibration", "mean-language"]
    for _ in range(2):
        outcome = run_cli(*line, *calibration)
        assert outcome.code == 0, outcome.err
    for words in ([], ["--name", bh.Results.load(tmp_path / "out").model]):
        outcome = run_cli(*line, *words)
        assert (outcome.code, outcome.out) == (2, "")
        assert "name another folder" in outcome.err
    assert "with a calibration; name another folder" in outcome.err
    outcome = run_cli(*line, "--calibration", "mean-language+local:k=3")
    assert (outcome.code, outcome.out) == (2, "")
    assert "with another calibration; name another folder" in outcome.err


def test_results_with_another_reranker_are_not_replaced(
    model_folder: Path, data_options: list[str], tmp_path: Path, run_cli: RunCli
) -> None:
    make_cross_encoder(tmp_path / "reranker")
    line = ["evaluate", model_folder, *data_options, "--measures", "AP", "--depth", "2"]
    out = ["--output", tmp_path / "out"]
    assert run_cli(*line, *out).code == 0
    outcome = run_cli(*line, *out, "--rerank", tmp_path / "reranker")
    assert (outcome.code, outcome.out) == (2, "")
    assert "without a reranker; name another folder" in outcome.err
    reranked = [*line, "--output", tmp_path / "reranked", "--rerank"]
    for _ in range(2):
        assert run_cli(*reranked, tmp_path / "reranker").code == 0
    shutil.copytree(tmp_path / "reranker", tmp_path / "other")
    outcome = run_cli(*reranked, tmp_path / "other")
    assert (outcome.code, outcome.out) == (2, "")
    assert "with another reranker; name another folder" in outcome.err


def test_runs_of_others_are_not_replaced(
    model_folder: Path, data_options: list[str], tmp_path: Path, run_cli: RunCli
) -> None:
    folder = tmp_path / "out"
    run = folder / "runs" / "en-de.trec"
    run.parent.mkdir(parents=True)
    run.write_text("q Q0 d 1 0.5 theirs\n")
    line = [*data_options, "--measures", "AP", "--output", folder, "--runs"]
    for words in (["evaluate", model_folder, *line], ["bm25", *line]):
        outcome = run_cli(*words)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{run} is no run of beir-hybrid's; name another file" in outcome.err
    one = bh.write_run(tmp_path / "one.trec", {"q": {"en:d": 1.0}})
    two = bh.write_run(tmp_path / "two.trec", {"q": {"de:d": 1.0}})
    for command in ("merge", "fuse"):
        outcome = run_cli(command, one, two, "--output", run)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{run} is no run of beir-hybrid's; name another file" in outcome.err
    assert read_files(folder) == {"runs/en-de.trec": b"q Q0 d 1 0.5 theirs\n"}


@pytest.mark.parametrize("name", ["plain", "it's $(mine)"])
def test_a_board_tells_no_paths_of_this_machine(tmp_path: Path, name: str, run_cli: RunCli) -> None:
    folder = tmp_path / name
    static_model().save(str(folder / "model"))
    make_cross_encoder(folder / "reranker")
    data = ["--dataset", "jsonl", "-o", f"path={write_data(folder / 'data.jsonl', ['de', 'en'])}"]
    line = ["evaluate", folder / "model", *data, "--measures", "AP", "--output"]
    run_cli(*line, folder / "dense", "--runs")
    run_cli(*line, folder / "reranked", "--rerank", folder / "reranker", "--depth", "2")
    runs = [folder / "dense" / "runs" / f"{lang}-all.trec" for lang in ("de", "en")]
    run_cli("evaluate", "--run", runs[0], "--run", runs[1], *data, "--output", folder / "runs")
    names = ("dense", "reranked", "runs")
    outcome = run_cli("leaderboard", *(folder / name for name in names), "--output",
                      tmp_path / "site", "--local-files")  # fmt: skip
    assert outcome.code == 0, outcome.err
    text = read_site(tmp_path / "site")
    assert str(tmp_path) not in text
    assert "w1" in text  # the texts are there
    # Results that were downloaded are on the same data.
    (dense, *_) = (tmp_path / "site" / "files").iterdir()
    assert run_cli("compare", dense, folder / "runs").code == 0
