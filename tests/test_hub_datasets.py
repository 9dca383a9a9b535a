"""Files of hub datasets at a commit: mirror, cache, the hub's own cache, failing hubs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beir_hybrid.errors import BadOption
from beir_hybrid.hub import fetch_hub_file
from tests.http_server import (
    WRONG_SETTINGS,
    Server,
    check_setting_is_named,
    find_closed_port,
    list_names,
    serve_files,
)

FETCH = """
import logging
import sys
import time
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.hub import fetch_hub_file, find_commit
logging.basicConfig()
started = time.monotonic()
for file in sys.argv[2:]:
    try:
        commit = find_commit("miracl/miracl-corpus", sys.argv[1])
        path = fetch_hub_file("miracl/miracl-corpus", file, commit)
        print(path.read_text(), commit)
    except BeirHybridError as error:
        print(type(error).__name__, error)
print(time.monotonic() - started)
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_FILE = "miracl-corpus-v1.0-sw/docs-0.jsonl.gz"


def fetch_lines(endpoint: str, home: Path, revision: str, *files: str) -> list[str]:
    """Fetch files of the hub in a process of its own, and return a line about each."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", FETCH, revision, *files]
    process = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, check=True
    )
    *lines, seconds = process.stdout.splitlines()
    assert process.stderr == ""
    assert float(seconds) < 8
    return lines


def name_path(file: str = HUB_FILE) -> str:
    return f"/datasets/miracl/miracl-corpus/resolve/{COMMIT}/{file}"


@pytest.fixture
def hub() -> Iterator[Server]:
    """Serve a file of the hub, and the commit of the branch ``main``."""
    facts = {"id": "miracl/miracl-corpus", "sha": COMMIT}
    files = {
        name_path(): b"passages",
        "/api/datasets/miracl/miracl-corpus/revision/main": json.dumps(facts).encode(),
    }
    with serve_files(files) as server:
        server.headers = {"X-Repo-Commit": COMMIT, "ETag": '"e1"'}
        server.headers["X-Error-Code"] = "EntryNotFound"  # which the hub sends with a 404
        yield server


def test_a_branch_stands_for_a_commit(hub: Server, tmp_path: Path) -> None:
    assert fetch_lines(hub.url, tmp_path, "main", HUB_FILE) == [f"passages {COMMIT}"]
    (line,) = fetch_lines(hub.url, tmp_path, "mian", HUB_FILE)
    assert line.startswith(
        "Unreachable cannot ask which commit 'mian' of the hub's dataset miracl/miracl-corpus is: "
    )
    assert "404" in line
    assert line.endswith("; name a commit (40 hexadecimal digits) as the revision")


def test_a_file_lies_where_a_mirror_has_it(
    hub: Server, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fetch_lines(hub.url, tmp_path / "home", COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    gets = [request.path for request in hub.requests if request.method == "GET"]
    assert gets == [name_path()]
    path = Path(f"{own_cache}/files/huggingface.co{name_path()}")
    assert path.read_bytes() == b"passages"
    assert not path.is_symlink()
    assert list_names(path.parent) == ["docs-0.jsonl.gz"]
    # The file shares its bytes with the hub's own cache.
    (blob,) = (tmp_path / "home" / "hub").rglob("blobs/*")
    assert blob.samefile(path)
    # The file serves without the hub's cache, and in another machine's mirror.
    request_count = len(hub.requests)
    assert fetch_lines(hub.url, tmp_path / "empty", COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(own_cache / "files"))
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "another"))
    assert fetch_hub_file("miracl/miracl-corpus", HUB_FILE, COMMIT) == path
    assert len(hub.requests) == request_count


def test_a_missing_file_is_named(hub: Server, tmp_path: Path) -> None:
    (line,) = fetch_lines(hub.url, tmp_path, COMMIT, "docs-9.gz")
    assert line.startswith("Unreachable cannot fetch docs-9.gz of the hub's dataset miracl/")
    assert "404" in line
    assert line.endswith(
        "set BEIR_HYBRID_MIRROR to a folder that holds "
        f"huggingface.co/datasets/miracl/miracl-corpus/resolve/{COMMIT}/docs-9.gz"
    )


def test_a_file_in_the_hubs_own_cache_serves_offline(
    hub: Server, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fetch_lines(hub.url, tmp_path, COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    request_count = len(hub.requests)
    shutil.rmtree(own_cache)
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    line, missing_line = fetch_lines(hub.url, tmp_path, COMMIT, HUB_FILE, "docs-9.gz")
    assert line == f"passages {COMMIT}"
    assert missing_line == (
        f"Unreachable docs-9.gz of the hub's dataset miracl/miracl-corpus is not in the cache "
        f"{own_cache}, and BEIR_HYBRID_OFFLINE is set; fetch it on a connected machine and set "
        "BEIR_HYBRID_MIRROR to the folder 'files' of its cache, or to another one that holds "
        f"huggingface.co/datasets/miracl/miracl-corpus/resolve/{COMMIT}/docs-9.gz"
    )
    (line,) = fetch_lines(hub.url, tmp_path, "main", HUB_FILE)
    assert line == (
        "Unreachable cannot ask which commit 'main' of the hub's dataset miracl/miracl-corpus is: "
        "BEIR_HYBRID_OFFLINE is set; name a commit (40 hexadecimal digits) as the revision"
    )
    assert len(hub.requests) == request_count


@pytest.mark.parametrize(
    ("revision", "action"),
    [
        (COMMIT, f"fetch {HUB_FILE} of the hub's dataset miracl/miracl-corpus"),
        ("main", "ask which commit 'main' of the hub's dataset miracl/miracl-corpus is"),
    ],
)
def test_an_unreachable_hub_is_reported_in_one_line_soon(
    revision: str, action: str, tmp_path: Path
) -> None:
    (line,) = fetch_lines(f"http://127.0.0.1:{find_closed_port()}", tmp_path, revision, HUB_FILE)
    assert line.startswith(f"Unreachable cannot {action}: [Errno 111] Connection refused; ")


def test_a_hub_that_fails_briefly_is_asked_again(hub: Server, tmp_path: Path) -> None:
    hub.failures = [503, 503]
    assert fetch_lines(hub.url, tmp_path, COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    assert [request.method for request in hub.requests[:3]] == ["HEAD"] * 3


def test_a_hub_whose_connection_breaks_is_unreachable(hub: Server, tmp_path: Path) -> None:
    hub.files[name_path()] = bytes(1 << 18)
    hub.resets_connections, hub.drops = True, [1000]
    (line,) = fetch_lines(hub.url, tmp_path, COMMIT, HUB_FILE)
    assert line.startswith(f"Unreachable cannot fetch {HUB_FILE} of the hub's dataset")


def test_a_hub_cache_that_cannot_be_written_names_its_own_setting(
    hub: Server, tmp_path: Path
) -> None:
    home = tmp_path / "file" / "home"
    home.parent.touch()
    (line,) = fetch_lines(hub.url, home, COMMIT, HUB_FILE)
    assert line == (
        f"NotWritable cannot write {home}: Not a directory; make it writable, "
        "or set HF_HOME if the cache should live elsewhere"
    )


def test_the_mirror_holds_hub_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(f"{tmp_path}/huggingface.co{name_path()}")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"passages")
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path))
    assert fetch_hub_file("miracl/miracl-corpus", HUB_FILE, COMMIT) == path


@pytest.mark.parametrize("file", ["missing", "file"])
def test_a_mirror_that_is_no_folder_is_an_error(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", f"{tmp_path}/{file}")
    with pytest.raises(BadOption) as error:
        fetch_hub_file("some/corpus", "a.gz", COMMIT)
    message = f"BEIR_HYBRID_MIRROR is '{tmp_path}/{file}', which is no folder; mend or unset it"
    assert str(error.value) == message


@pytest.mark.parametrize(("setting", "value", "reason"), WRONG_SETTINGS)
def test_settings_that_keep_the_hub_away_are_named(
    setting: str, value: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    (line,) = fetch_lines("https://localhost.invalid", tmp_path, COMMIT, "a.gz")
    start = "Unreachable cannot fetch a.gz of the hub's dataset miracl/miracl-corpus: "
    assert line.startswith(start)
    check_setting_is_named(line, setting, reason)
