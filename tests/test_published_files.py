"""Published files: all results, nothing that tells of this machine, tokens as they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.publication.private_paths import hide_paths, hide_paths_in_text
from tests.boards import evaluate_system
from tests.leaderboard_fixtures import capitals, module_cache, results_folder
from tests.test_push import run_push, serve_hub

__all__ = ["capitals", "module_cache", "results_folder"]


@pytest.mark.parametrize("kind", ["mteb", "results"])
def test_an_upload_has_every_system(kind: str, capitals: Collection, tmp_path: Path) -> None:
    for name in ("checkpoint-500", "runs", "optimizer.pt", "x.lock"):
        evaluate_system(name, capitals).save(tmp_path / "saved" / name)
    folder = tmp_path / "folder"
    paths = bh.push(kind, tmp_path / "saved", folder)
    assert len(paths) == {"mteb": 4 * 2, "results": 2 + 4 * 2}[kind]
    (folder / ".env").write_text("private")
    with serve_hub() as (hub, url):
        options = ("--output", str(folder), "--repo", "me/x", "--upload", "--json")
        process = run_push(url, tmp_path / "home", kind, *options)
    assert (process.returncode, process.stderr) == (0, "")
    assert hub.files == {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    files = json.loads(process.stdout)["files"]
    assert [file["file"] for file in files] == [str(path) for path in paths]


def test_links_are_not_uploaded(tmp_path: Path) -> None:
    folder, secrets = tmp_path / "card", tmp_path / "secrets"
    for path in (folder / "sub", secrets):
        path.mkdir(parents=True)
    (secrets / "id_rsa").write_text("PRIVATE KEY")
    (folder / "sub" / "notes.txt").symlink_to(secrets / "id_rsa")
    (folder / "more").symlink_to(secrets)
    options = ("model", "--output", str(folder), "--repo", "me/x", "--upload")
    with serve_hub() as (hub, url):
        process = run_push(url, tmp_path / "home", *options)
        assert (process.returncode, hub.requests) == (2, [])
        assert "has no files to upload; links and private files stay here" in process.stderr
        (folder / "model.safetensors").write_text("weights")
        process = run_push(url, tmp_path / "home", *options)
    assert process.returncode == 0
    assert hub.files == {"model.safetensors": b"weights"}
    for name in ("more", "sub/notes.txt"):
        assert f"{folder / name} is a symbolic link and is left out" in process.stderr
        assert f"{folder / name}  " not in process.stdout


CARD = """---
base_model: BASE
datasets:
- /srv/secret-client/rows.jsonl
- me/rows
library_name: peft
tags:
- base_model:adapter:BASE
- lora
---
# Adapter

Tuned from [BASE](https://huggingface.co/BASE) with /home/jo/secret-client/rows.jsonl; see
[a page](https://example.org/home/of/all) and [this](../LICENSE).
"""


@pytest.mark.parametrize("base", ["/home/jo/secret-client/base", "/srv/secret-client/base"])
def test_a_card_tells_no_path(base: str, results_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "adapter").mkdir(parents=True)
    (model / "model.safetensors").write_text("weights")
    for folder in (model, model / "adapter"):
        (folder / "README.md").write_text(CARD.replace("BASE", base))
    bh.push("model", results_folder / "fair", tmp_path / "card", model=model)
    for name in ("README.md", "adapter/README.md"):
        text = (tmp_path / "card" / name).read_text()
        assert not any(word in text for word in ("secret-client", "/home/jo", "/srv"))
        data = ModelCard(text).data
        # The hub refuses the names of models and datasets that are paths.
        assert data.get("base_model") is None
        assert data.get("datasets") == ["me/rows"]
        assert (data.get("library_name"), data.get("tags")[0]) == ("peft", "lora")
        link = "[path/to/base](https://huggingface.co/path/to/base)"
        assert f"Tuned from {link} with path/to/rows.jsonl; see" in text
        assert "(https://example.org/home/of/all) and [this](../LICENSE)" in text


def test_public_names_stay_in_a_card(results_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_text("weights")
    (model / "README.md").write_text("---\nbase_model: [mypath/tokens, a/b]\n---\n# x\n")
    bh.push("model", results_folder / "fair", tmp_path / "card", model=model)
    data = ModelCard.load(tmp_path / "card" / "README.md").data
    assert data.get("base_model") == ["mypath/tokens", "a/b"]


def test_logs_of_a_training_stay_here(results_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    log = "events.out.tfevents.1.my-host.7"
    for name in ("model.safetensors", f"runs/Nov30_my-host/{log}", f"1_Dense/{log}"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text("x")
    for name in ("emissions.csv", "training.json"):
        (model / name).write_text("{}")
    folder = tmp_path / "card"
    paths = bh.push("model", results_folder / "fair", folder, model=model)
    assert [path.name for path in paths] == ["README.md", "model.safetensors"]
    assert sorted(folder.rglob("*")) == paths


def test_configurations_tell_no_path(results_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    tokens = {
        "added_tokens_decoder": {"5": {"content": "/think/on"}, "6": {"content": "/home/jo/x"}},
        "extra_special_tokens": {"image_file": "/think/on"},
        "pad_token": "/think/on",
        "chat_template": "/home/jo/{{ x }}",
        "mode": "/think/on",
    }
    paths = {
        "name_or_path": "~/secret",
        "tokenizer_file": "../secret-client/tok.json",
        "vocab_file": "vocab.txt",
        "cache": "file:///home/jo/secret-client/x",
    }
    public_paths = {
        "name_or_path": "path/to/secret",
        "tokenizer_file": "path/to/tok.json",
        "vocab_file": "vocab.txt",
        "cache": "path/to/x",
    }
    (model / "tokenizer_config.json").write_text(json.dumps(tokens | paths))
    for name in ("config_sentence_transformers.json", "other.json"):
        (model / name).write_text(json.dumps({"x": ["/home/jo/base", str(model)], "n": 1e-05}))
    # Half a character of UTF-16, as vocabularies of bytes may have it.
    vocabulary = '{"\\ud83d": 0, "/home/jo/base": 1}'
    modules = '[{"path":"1_Pooling"},{"path":""}]'
    (model / "vocab.json").write_text(vocabulary)
    (model / "modules.json").write_text(modules)
    folder = tmp_path / "card"
    bh.push("model", results_folder / "fair", folder, model=model)
    assert json.loads((folder / "tokenizer_config.json").read_text()) == tokens | public_paths
    for name in ("config_sentence_transformers.json", "other.json"):
        record = json.loads((folder / name).read_text())
        assert record == {"x": ["path/to/base", "path/to/model"], "n": 1e-05}
    assert (folder / "vocab.json").read_text() == vocabulary
    assert (folder / "modules.json").read_text() == modules


@pytest.mark.parametrize(
    ("record", "public"),
    [
        ({"base_model_name_or_path": "/srv/client/base"}, "path/to/base"),
        ({"_name_or_path": "C:\\Users\\jo\\base"}, "path/to/base"),
        ({"_name_or_path": "C:\\Users\\jo"}, "path/to"),
        ({"_name_or_path": "\\\\server\\client\\base\\"}, "path/to/base"),
        ({"_name_or_path": "~jo"}, "path/to"),
        ({"_name_or_path": "../.."}, "path/to"),
        ({"_name_or_path": "/root/My models/base"}, "path/to/base"),
        ({"special_tokens_map_file": "/srv/jo/map.json"}, "path/to/map.json"),
        ({"x": "/Users/jo/My models/base"}, "path/to/base"),
        ({"_name_or_path": "me/base"}, "me/base"),
        ({"x": "/srv/that/is/nowhere"}, "/srv/that/is/nowhere"),
        ({"x": "/roots/of/words"}, "/roots/of/words"),
        ({"prompts": {"query_file": "/home/jo/q"}}, {"query_file": "/home/jo/q"}),
        ({"x": "/" + "a/" * 9000}, "/" + "a/" * 9000),
        ({"x": "/a/b\0"}, "/a/b\0"),
    ],
)
def test_paths_in_records(record: dict[str, Any], public: object) -> None:
    assert list(hide_paths(record).values()) == [public]


def test_paths_in_texts() -> None:
    text = (
        "at /home/jo, C:\\Users\\jo\\x, '/root/a/b', not/home/jo/x, /srv/a-b, /srv/a/c, the /root"
    )
    assert hide_paths_in_text(text, ["/srv/a"]) == (
        "at path/to, path/to/x, 'path/to/b', not/home/jo/x, /srv/a-b, path/to/a/c, the /root"
    )


@pytest.mark.parametrize(
    ("record", "public"),
    [
        ({"data_files": ["/srv/client/rows"]}, ["path/to/rows"]),
        ({"data_files": {"train": ["/srv/client/rows"]}}, {"train": ["path/to/rows"]}),
        ({"vocab_files": ["/srv/client/vocab.txt"]}, ["path/to/vocab.txt"]),
        ({"dataset_name": "/srv/client/rows"}, "path/to/rows"),
        ({"datasets": ["/srv/client/rows", "me/rows"]}, ["path/to/rows", "me/rows"]),
        ({"model": "/srv/client/base"}, "path/to/base"),
        ({"resume_from_checkpoint": "/srv/client/checkpoint-5"}, "path/to/checkpoint-5"),
        ({"base_model_name_or_path": "./client/base"}, "path/to/base"),
        ({"_name_or_path": "outputs/client/base"}, "path/to/base"),
        ({"x": "file:///srv/client/rows"}, "path/to/rows"),
        ({"x": "file:"}, "file:"),
        ({"x": "a/b/c"}, "a/b/c"),
        ({"path": "./1_Pooling"}, "./1_Pooling"),
        ({"path": "sub/1_Pooling/2"}, "sub/1_Pooling/2"),
        ({"model": {"vocab": {"/a/b": 1}, "type": "/a"}}, {"vocab": {"/a/b": 1}, "type": "/a"}),
        ({"dataset": "https://example.org/a/b"}, "https://example.org/a/b"),
    ],
)
def test_paths_by_their_keys(record: dict[str, Any], public: object) -> None:
    assert list(hide_paths(record).values()) == [public]


WIDE_CARD = """---
base_model: ./secret-client/base
datasets: [outputs/secret-client/rows, me/rows, "C:\\\\secret-client\\\\rows", a/b/c/d, not a name]
license_link: ./LICENSE
tags: [lora, "base_model:adapter:./secret-client/base", "dataset:me/rows", "arxiv:2101.00027"]
training: {log: /srv/secret-client/log.txt, notes: "see /home/jo/secret-client/notes, then"}
widget: [{text: "/think what is 1/2?"}, {src: "https://example.org/a/b.png"}]
model-index:
- name: /srv/secret-client/mine
  results:
  - task: {type: text-retrieval}
    dataset: {name: /srv/secret-client/rows, type: outputs/secret-client/rows}
    metrics: [{type: ndcg, value: 0.5}]
---
# Adapter

Tuned from ./secret-client/base with outputs/secret-client/rows; /srv/secret-client/log.txt has all.
"""


def test_all_metadata_of_a_card_tell_no_path(results_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "adapter").mkdir(parents=True)
    (model / "model.safetensors").write_text("weights")
    for folder in (model, model / "adapter"):
        (folder / "README.md").write_text(WIDE_CARD)
    bh.push("model", results_folder / "fair", tmp_path / "card", model=model)
    for name in ("README.md", "adapter/README.md"):
        text = (tmp_path / "card" / name).read_text()
        assert "secret-client" not in text
        data = ModelCard(text).data
        assert data.get("base_model") is None
        assert data.get("datasets") == ["me/rows"]
        assert data.get("license_link") == "./LICENSE"
        assert data.get("tags")[:3] == ["lora", "dataset:me/rows", "arxiv:2101.00027"]
        assert data.get("training") == {
            "log": "path/to/log.txt",
            "notes": "see path/to/notes, then",
        }
        assert data.get("widget")[0] == {"text": "/think what is 1/2?"}
        assert data.get("widget")[1] == {"src": "https://example.org/a/b.png"}
        assert data.get("model_name") == "path/to/mine"
        score = data.get("eval_results")[0]
        assert (score.dataset_name, score.dataset_type) == ("path/to/rows", "path/to/rows")
        assert score.metric_value == 0.5
        line = "Tuned from path/to/base with path/to/rows; path/to/log.txt has all."
        assert line in text
