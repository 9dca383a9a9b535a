"""Models of the hub: the commit is recorded, caches serve offline, missing hubs are reported."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beir_hybrid.encoding import SentenceTransformerEncoder
from beir_hybrid.errors import UnknownName, Unreachable
from tests.http_server import Server, find_closed_port, serve_files
from tests.models import static_model

COMMIT = "c0ffee" + "0" * 34
LOAD = """
import sys
from beir_hybrid.encoding import SentenceTransformerEncoder
from beir_hybrid.errors import BeirHybridError
try:
    encoder = SentenceTransformerEncoder("org/tiny", device="cpu")
    print(encoder.revision, encoder.encode_queries(["w1 w2"])[0, :3].tolist())
except BeirHybridError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Server]:
    """Serve a model as the hub does."""
    folder = tmp_path / "tiny"
    static_model().save_pretrained(str(folder))
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    facts = {"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
    files = {
        f"/org/tiny/resolve/{revision}/{name}": (folder / name).read_bytes()
        for revision in (COMMIT, "main")
        for name in names
    }
    for path in ("", "/revision/main", f"/revision/{COMMIT}"):
        files[f"/api/models/org/tiny{path}"] = json.dumps(facts).encode()
    with serve_files(files) as server:
        server.headers = {"X-Repo-Commit": COMMIT, "X-Error-Code": "EntryNotFound"}
        # The hub's client names its files for their `ETag`; each file needs its own.
        server.has_etags = True
        yield server


def load(home: Path, endpoint: str, **variables: str) -> str:
    settings = {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        **variables,
    }
    command = [sys.executable, "-c", LOAD]
    process = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, check=True
    )
    return process.stdout.strip()


def test_a_model_of_the_hub_and_its_commit(hub: Server, tmp_path: Path) -> None:
    home = tmp_path / "home"
    expected = static_model().encode_query("w1 w2", normalize_embeddings=True)[:3].tolist()
    first = load(home, hub.url)
    commit, _, vector = first.partition(" ")
    assert commit == COMMIT
    assert json.loads(vector) == pytest.approx(expected, abs=1e-6)
    # The hub's cache serves without the hub, and in both offline modes.
    closed_url = f"http://127.0.0.1:{find_closed_port()}"
    assert load(home, closed_url) == first
    request_count = len(hub.requests)
    assert load(home, hub.url, BEIR_HYBRID_OFFLINE="1") == first
    assert load(home, hub.url, HF_HUB_OFFLINE="1") == first
    assert len(hub.requests) == request_count


def test_no_hub_and_no_model(tmp_path: Path) -> None:
    started = time.monotonic()
    line = load(tmp_path, f"http://127.0.0.1:{find_closed_port()}")
    assert line.startswith("Unreachable cannot ask the hub for the model org/tiny: ")
    assert line.endswith("or bring the hub's cache (HF_HOME) from a machine that has the model")
    assert "\n" not in line
    assert time.monotonic() - started < 30  # the hub's own client retries for a minute
    line = load(tmp_path, f"http://127.0.0.1:{find_closed_port()}", BEIR_HYBRID_OFFLINE="1")
    assert line.startswith("Unreachable the model org/tiny is not in the hub's cache")
    line = load(tmp_path, "http://hub.invalid", HF_HUB_OFFLINE="1", HTTPS_PROXY="http://p.invalid")
    assert line == (
        "Unreachable the model org/tiny is not in the hub's cache, and HF_HUB_OFFLINE is set; "
        "name a folder, or bring the hub's cache (HF_HOME) from a machine that has the model"
    )


def test_a_name_on_the_hub_without_a_model(hub: Server, tmp_path: Path) -> None:
    hub.files = {
        path: content for path, content in hub.files.items() if path.startswith("/api/models")
    }
    assert load(tmp_path / "home", hub.url) == (
        "BadData org/tiny is on the hub, and holds no model: no modules.json, config.json, "
        "config_sentence_transformers.json or adapter_config.json"
    )


def test_no_such_model(hub: Server, tmp_path: Path) -> None:
    del hub.files["/api/models/org/tiny"]
    hub.headers["X-Error-Code"] = "RepoNotFound"
    line = load(tmp_path / "home", hub.url)
    assert line.startswith("Unreachable cannot ask the hub for the model org/tiny: ")
    assert "404" in line


def test_a_folder_with_a_similar_name_is_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static_model().save_pretrained(str(tmp_path / "my-model"))
    (tmp_path / "my-modle-2").mkdir()  # nearer, and no model
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    hint = r"; did you mean the folder 'my-model'\?$"
    with pytest.raises(Unreachable, match=f"^the model .*/my-modle is not in .*{hint}"):
        SentenceTransformerEncoder("my-modle")
    with pytest.raises(UnknownName, match=f"^there is no folder './my-modle'{hint}"):
        SentenceTransformerEncoder("./my-modle")
