"""Cards, datasets and mteb's files are read by their libraries, and uploaded on request only."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import ModelCard
from mteb.models import ModelMeta
from mteb.results import TaskResult

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from tests.boards import HOSTILE, Page, evaluate_system
from tests.leaderboard_fixtures import capitals, module_cache, results_folder
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["capitals", "module_cache", "results_folder", "run_cli"]


def test_a_card_has_every_average(results_folder: Path, tmp_path: Path) -> None:
    assert bh.push("model", results_folder / "own", tmp_path / "card") == [
        tmp_path / "card" / "README.md"
    ]
    card = ModelCard.load(tmp_path / "card" / "README.md")
    assert card.data.language == ["ar", "de", "en"]
    scores = {
        (score.dataset_config, score.metric_name): score for score in card.data.eval_results or []
    }
    results = bh.Results.load(results_folder / "own")
    assert len(scores) == sum(len(row) for row in results.summary().values())
    # The answer in the query's language comes first, so every other one fails where it is alone.
    assert scores["mono", "R@1, monolingual"].metric_value == 1.0
    assert scores["cross", "R@1, cross-lingual"].metric_value == 0.0
    preference = scores["multi", "LanguagePreference, multilingual"]
    assert (preference.metric_value, preference.metric_args["unbiased"]) == (1.0, 0.333333)
    ndcg = scores["mono", "nDCG@10, monolingual"]
    assert (ndcg.metric_type, ndcg.dataset_type) == ("ndcg_at_10", "capitals")
    assert "| R@1 | 1.0000 \\[1.0000, 1.0000\\] | .0000 \\[.0000, .0000\\] |" in card.text


def test_a_card_keeps_what_the_model_has(results_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "1_Pooling").mkdir(parents=True)
    (model / "checkpoint-10").mkdir()
    for name in ("1_Pooling/config.json", "checkpoint-10/config.json", "rng.pth"):
        (model / name).write_text("{}")
    for name in ("trainer_state.json", "optimizer.safetensors", ".env"):
        (model / name).write_text("private")
    (model / "config.json").write_text('{"_name_or_path": "/home/me/secret/base", "n": 1}')
    (tmp_path / "secret").write_text("secret")
    (model / "link").symlink_to(tmp_path / "secret")
    stranger = (
        "---\nlicense: mit\nlanguage: th\nmodel-index:\n- name: theirs\n  results:\n"
        "  - task: {type: ranking}\n    dataset: {name: D, type: d}\n"
        "    metrics:\n    - {type: f1, value: 0.5}\n---\n# Theirs\n\nTheir text.\n"
    )
    (model / "README.md").write_text(stranger)
    for number in (1, 2):
        folder = tmp_path / f"card{number}"
        paths = bh.push("model", results_folder / "fair", folder, model=model)
        names = [path.relative_to(folder).as_posix() for path in paths]
        assert names == ["1_Pooling/config.json", "README.md", "config.json"]
        config = json.loads((folder / "config.json").read_text())
        assert config == {"_name_or_path": "path/to/base", "n": 1}
        model.joinpath("README.md").write_bytes((folder / "README.md").read_bytes())
    assert (tmp_path / "card1/README.md").read_text() == (tmp_path / "card2/README.md").read_text()
    card = ModelCard.load(tmp_path / "card2" / "README.md")
    assert (card.data.license, card.data.language) == ("mit", "th")
    assert card.data.model_name == "theirs"
    assert [s.metric_value for s in card.data.eval_results or [] if s.dataset_type == "d"] == [0.5]
    assert card.text.count("Their text.") == card.text.count("### capitals") == 1


def test_what_links_point_at_is_not_published(results_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("PRIVATE KEY")
    model = tmp_path / "model"
    model.mkdir()
    for name in ("README.md", "config.json"):
        (model / name).symlink_to(tmp_path / "secret")
    with pytest.raises(BadOption, match=r"no files of a model but links.*cp -rL"):
        bh.push("model", results_folder / "fair", tmp_path / "card", model=model)
    assert not (tmp_path / "card").exists()
    (model / "model.safetensors").write_text("weights")
    bh.push("model", results_folder / "fair", tmp_path / "card", model=model)
    names = {path.name for path in (tmp_path / "card").iterdir()}
    assert names == {"README.md", "model.safetensors"}
    assert "PRIVATE" not in (tmp_path / "card" / "README.md").read_text()


def test_hostile_names_are_text(capitals: Collection, tmp_path: Path) -> None:
    name = f"{HOSTILE[0]}|`x`\n# [a](http://b)"
    results = evaluate_system(name, capitals)
    bh.push("model", results, tmp_path / "card")
    card = ModelCard.load(tmp_path / "card" / "README.md")
    assert "<script" not in card.text
    assert "\n# \\[a" not in card.text
    assert card.text.count("\n# ") == 1
    assert str(ModelCard(str(card)).data) == str(card.data)
    local = replace(results.provenance.model, name="/home/me/models/small")
    results = replace(results, provenance=replace(results.provenance, model=local))
    bh.push("model", results, tmp_path / "local")
    assert "/home/me" not in (tmp_path / "local" / "README.md").read_text()


def test_a_dataset_is_read_by_the_hub_s_library_and_ours(
    results_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "dataset"
    bh.push("results", results_folder, folder)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    options = {"cache_dir": str(tmp_path / "cache"), "split": "train"}
    summary = load_dataset(str(folder), **options)
    means = {(row["system"], row["settings"], row["measure"]): row["mean"] for row in summary}
    assert means["own/Language", "cross", "R@1"] == 0.0
    assert means["fair", "multi", "RankDistance"] == 2.0
    lossy = load_dataset(str(folder), "capitals-lossy", **options)
    results = bh.Results.load(results_folder / "lossy")
    assert lossy["AP"] == results.per_query()["AP"].to_pylist()
    assert bh.Results.load(folder / "capitals-lossy").summary() == results.summary()
    assert not list(folder.rglob("timing.json"))
    page = Page(bh.leaderboard(folder, tmp_path / "site"))
    assert [row[0] for row in page.find_boards()[0][2:]] == ["fair", "lossy", "own/Language"]


def test_mteb_reads_its_files(results_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mteb"
    bh.push("mteb", results_folder, folder)
    place = folder / "results" / "own__Language" / "no_revision_available"
    task = TaskResult.from_disk(place / "capitals.json")
    assert task.task_name == "capitals"
    scores = {row["hf_subset"]: row["recall_at_1"] for row in task.scores["test"]}
    assert (scores["de-de"], scores["en-de"]) == (1.0, 0.0)
    meta = ModelMeta.model_validate(json.loads((place / "model_meta.json").read_text()))
    assert (meta.name, meta.revision) == ("own/Language", "no_revision_available")
    page = Page(bh.leaderboard(folder, tmp_path / "site"))
    assert {row[0] for row in page.find_boards()[0][2:]} == {
        f"{name}from mteb" for name in ("fair", "lossy", "own/Language")
    }


def test_names_in_mteb_s_folder(capitals: Collection, tmp_path: Path) -> None:
    results = evaluate_system("fair", capitals, measures=["RankDistance", "AP"])
    for name in ("模型一", "模型二", "a/my__model"):
        model = replace(results.provenance.model, name=name)
        collection = replace(results.provenance.collection, name="首都")
        about = replace(results.provenance, model=model, collection=collection)
        replace(results, provenance=about).save(tmp_path / "results" / name.replace("/", "-"))
    bh.push("mteb", tmp_path / "results", tmp_path / "mteb")
    paths = sorted((tmp_path / "mteb").rglob("首都.json"))
    assert [path.parts[-3] for path in paths] == ["a__my__model", "模型一", "模型二"]
    names = [json.loads(path.with_name("model_meta.json").read_text())["name"] for path in paths]
    assert names == ["a/my__model", "模型一", "模型二"]
    # Rank distance has no value where passages are in one language.
    scores = json.loads(paths[0].read_text())["scores"]["test"]
    assert all(row["main_score"] == row["AP"] for row in scores)


def test_long_names_in_mteb_s_folder(capitals: Collection, tmp_path: Path) -> None:
    results = evaluate_system("fair", capitals, measures=["AP"])
    names = [f"{'模' * 90}/{'型' * 90}{number}" for number in (1, 2)]  # 541 bytes
    for number, name in enumerate(names):
        model = replace(results.provenance.model, name=name)
        collection = replace(results.provenance.collection, name="首" * 90)
        about = replace(results.provenance, model=model, collection=collection)
        replace(results, provenance=about).save(tmp_path / "results" / str(number))
    bh.push("mteb", tmp_path / "results", tmp_path / "mteb")
    paths = sorted((tmp_path / "mteb").rglob("首*.json"))
    assert len({path.parts[-3] for path in paths}) == 2
    assert all(path.parts[-3].startswith("模" * 37 + "-") for path in paths)
    saved_names = [
        json.loads(path.with_name("model_meta.json").read_text())["name"] for path in paths
    ]
    assert sorted(saved_names) == names


def test_errors_say_what_to_do(results_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="a card is for one model, and these are fair and lossy"):
        bh.push("model", results_folder, tmp_path / "card")
    assert not (tmp_path / "card").exists()
    with pytest.raises(BadOption, match="no publication 'modle'; did you mean 'model'"):
        bh.push("modle", results_folder, tmp_path / "card")
    with pytest.raises(BadOption, match="an upload needs the name of a repository"):
        bh.push("model", results_folder / "fair", tmp_path / "card", upload=True)
    with pytest.raises(BadOption, match=r"there is no folder .* to upload"):
        bh.push("model", [], tmp_path / "card", repository="me/x", upload=True)
    with pytest.raises(BadOption, match="no results are named"):
        bh.push("model", [], tmp_path / "card")
    with pytest.raises(BadOption, match="goes with its scores; name results, too"):
        bh.push("model", [], tmp_path / "card", model=tmp_path, repository="me/x", upload=True)
    twice = [results_folder / "fair", shutil.copytree(results_folder / "fair", tmp_path / "again")]
    with pytest.raises(BadOption, match="2 of the results are on capitals"):
        bh.push("model", twice, tmp_path / "card")
    with pytest.raises(BadOption, match="goes with its card, not with mteb"):
        bh.push("mteb", results_folder, tmp_path / "card", model=tmp_path)
    with pytest.raises(BadOption, match="exists; name another folder"):
        bh.push("model", results_folder / "fair", tmp_path)
    (tmp_path / "README.md").write_text("---\n- [\n---\n")
    with pytest.raises(BadData, match="metadata of this card cannot be read"):
        bh.push("model", results_folder / "fair", tmp_path / "card", model=tmp_path)


class _Hub(BaseHTTPRequestHandler):
    """Takes what the hub's client sends when it uploads a folder."""

    requests: list[tuple[str, dict[str, object]]]
    files: dict[str, bytes]
    status = 200

    def do_GET(self) -> None:
        self.requests.append((self.path, {}))
        self._answer({"id": "me/mine", "sha": "0" * 40, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        lines = [json.loads(line) for line in body.splitlines()]
        self.requests.append((self.path, lines[0] if lines else {}))
        if self.path.endswith("/preupload/main"):
            files = [{"path": f["path"], "uploadMode": "regular"} for f in lines[0]["files"]]
            self._answer({"files": [{**file, "shouldIgnore": False} for file in files]})
            return
        for line in lines:
            if line.get("key") == "file":
                content = base64.b64decode(line["value"]["content"])
                self.files[line["value"]["path"]] = content
        url = f"http://{self.headers['Host']}/me/mine"
        self._answer({"url": url, "name": "me/mine", "commitUrl": f"{url}/commit/{'0' * 40}",
                      "commitOid": "0" * 40, "success": True})  # fmt: skip

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def _answer(self, record: dict[str, object]) -> None:
        data = json.dumps(record).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serve_hub(status: int = 200) -> Iterator[tuple[type[_Hub], str]]:
    """Give the handler with what it got, and the address of the server."""
    handler = type("Hub", (_Hub,), {"requests": [], "files": {}, "status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield handler, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def run_push(endpoint: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: the client reads its settings once."""
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_TOKEN": "hf_test",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "beir_hybrid", "push", *words]
    return subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, check=False
    )


def test_an_upload_takes_a_flag(results_folder: Path, tmp_path: Path) -> None:
    card, home = str(tmp_path / "card"), tmp_path / "home"
    with serve_hub() as (hub, url):
        process = run_push(url, home, "model", str(results_folder / "fair"), "--output", card)
        assert (process.returncode, hub.requests) == (0, [])
        assert f"{card}/README.md  " in process.stdout
        assert process.stdout.endswith(
            "nothing is uploaded; to do so: beir-hybrid push model --output "
            f"{card} --repo OWNER/NAME --upload\n"
        )
        # What was changed by hand is what goes.
        path = tmp_path / "card" / "README.md"
        path.write_text(f"{path.read_text()}\nA line of mine.\n")
        (path.parent / "sub").mkdir()
        for name in (".env", "sub/.env", "training_args.bin", "sub/optimizer.pt"):
            (path.parent / name).write_text("private")
        options = ("--output", card, "--repo", "me/mine", "--upload")
        process = run_push(url, home, "model", *options)
        assert (process.returncode, process.stderr) == (0, "")
        assert process.stdout.endswith("uploaded to me/mine\n")
        assert hub.files == {"README.md": path.read_bytes()}
        record = dict(hub.requests)["/api/repos/create"]
        assert record["name"] == "mine", record
        assert "private" in (record.get("visibility"), *record)
    with serve_hub(401) as (hub, url):
        process = run_push(url, home, "results", "--output", card, "--repo", "me/x", "--upload")
        assert process.returncode == 2
        assert process.stderr.startswith("Unreachable: cannot upload to me/x: ")
        assert process.stderr.endswith("and name a repository that is yours\n")
        assert len(process.stderr.splitlines()) == 1
        assert dict(hub.requests)["/api/repos/create"]["type"] == "dataset"


def test_json_lists_the_files(run_cli: RunCli, results_folder: Path, tmp_path: Path) -> None:
    output = run_cli("push", "mteb", results_folder / "own", "--output", tmp_path / "m", "--json")
    record = json.loads(output.out)
    assert [Path(file["file"]).name for file in record["files"]] == [
        "capitals.json", "model_meta.json",
    ]  # fmt: skip
    assert record["uploaded to"] is None
