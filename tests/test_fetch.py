"""A pinned address in, a verified file out, whatever server, network and earlier runs did."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from beir_hybrid import fetch as fetching
from beir_hybrid.errors import BadData, BadOption, NotWritable, Unreachable
from beir_hybrid.fetch import Remote, fetch, fetch_hub
from tests.http_server import Server, closed_port, serving

DATA = (
    b"".join(sha256(bytes([n])).digest() for n in range(256)) * 40
)  # 320 KiB, no two blocks alike
FETCH = """
import sys
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.fetch import Remote, fetch
print(fetch(Remote(sys.argv[1], sys.argv[2])).read_bytes() == open(sys.argv[3], "rb").read())
"""
HUB = """
import logging
import sys
import time
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.fetch import fetch_hub, hub_commit
logging.basicConfig()
started = time.monotonic()
for file in sys.argv[2:]:
    try:
        commit = hub_commit("miracl/miracl-corpus", sys.argv[1])
        path = fetch_hub("miracl/miracl-corpus", file, commit)
        print(path.read_text(), commit)
    except BeirHybridError as error:
        print(type(error).__name__, error)
print(time.monotonic() - started)
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_FILE = "miracl-corpus-v1.0-sw/docs-0.jsonl.gz"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/a/b.bin": DATA}) as served:
        yield served


@pytest.fixture
def remote(server: Server) -> Remote:
    return Remote(f"{server.url}/a/b.bin", sha256(DATA).hexdigest())


@pytest.fixture
def path(own_cache: Path, server: Server) -> Path:
    """Where the file comes to lie."""
    return own_cache / "files" / server.url.removeprefix("http://").replace(":", "_") / "a/b.bin"


@pytest.fixture
def part(path: Path) -> Path:
    """Where a download grows."""
    path.parent.mkdir(parents=True)
    return path.with_name("b.bin.part")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BACK_OFF", 0.01)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_lands_at_host_and_path_and_is_fetched_once(
    server: Server, remote: Remote, path: Path
) -> None:
    assert fetch(remote) == path
    assert path.read_bytes() == DATA
    assert _names(path.parent) == ["b.bin"]
    assert fetch(remote) == path
    assert server.asked == [None]


def test_a_place_is_unquoted_and_has_no_colon() -> None:
    assert Remote("https://h.org:81/a%20b/c.json?x=1", "").place == Path("h.org_81/a b/c.json")


def test_a_damaged_file_in_the_cache_is_fetched_again(
    server: Server, remote: Remote, path: Path
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA[:-1])
    assert fetch(remote).read_bytes() == DATA
    assert server.asked == [None]


def test_a_partial_file_is_taken_up_where_it_stopped(
    server: Server, remote: Remote, path: Path, part: Path
) -> None:
    part.write_bytes(DATA[:1000])
    assert fetch(remote).read_bytes() == DATA
    assert server.asked == ["bytes=1000-"]
    assert _names(path.parent) == ["b.bin"]


def test_a_server_that_cannot_resume_sends_everything(
    server: Server, remote: Remote, part: Path
) -> None:
    server.ranges = False
    part.write_bytes(DATA[:1000])
    assert fetch(remote).read_bytes() == DATA
    assert server.asked == ["bytes=1000-"]


@pytest.mark.parametrize("stale", [b"other", b"x" * len(DATA), b"x" * (len(DATA) + 1)])
def test_a_partial_file_of_other_bytes_is_started_over(
    stale: bytes, server: Server, remote: Remote, path: Path, part: Path
) -> None:
    part.write_bytes(stale)
    assert fetch(remote).read_bytes() == DATA
    assert server.asked == [f"bytes={len(stale)}-", None]
    assert _names(path.parent) == ["b.bin"]


def test_starting_over_happens_once(server: Server, path: Path, part: Path) -> None:
    part.write_bytes(b"other")
    with pytest.raises(BadData, match="wrong checksum"):
        fetch(Remote(f"{server.url}/a/b.bin", "0" * 64))
    assert server.asked == ["bytes=5-", None]
    assert _names(path.parent) == []


def test_a_whole_partial_file_only_needs_its_name(
    server: Server, remote: Remote, path: Path, part: Path
) -> None:
    part.write_bytes(DATA)
    assert fetch(remote).read_bytes() == DATA
    assert server.requests == []
    assert _names(path.parent) == ["b.bin"]


def test_a_failing_server_is_asked_again_after_a_while(
    server: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BACK_OFF", 0.1)
    server.failures = [500, 503]
    assert fetch(remote).read_bytes() == DATA
    first, second, third = (request.at for request in server.requests)
    assert second - first >= 0.1
    assert third - second >= 0.2


@pytest.mark.parametrize("reset", [False, True])
def test_a_dropped_connection_is_taken_up(
    reset: bool, server: Server, remote: Remote, path: Path
) -> None:
    # A reset connection may lose what was under way, a closed one may not.
    server.reset, server.drops = reset, [1000, 200_000]
    assert fetch(remote).read_bytes() == DATA
    if not reset:
        assert server.asked == [None, "bytes=1000-", "bytes=201000-"]
    assert _names(path.parent) == ["b.bin"]


def test_a_server_that_goes_on_failing_is_given_up(
    server: Server, remote: Remote, path: Path
) -> None:
    server.failures = [503] * 9
    with pytest.raises(Unreachable) as raised:
        fetch(remote)
    assert str(raised.value) == (
        f"cannot fetch {remote.url}: the server answers 503 Service Unavailable; on a machine "
        f"without internet, set BEIR_HYBRID_MIRROR to a folder that holds {remote.place}"
    )
    assert server.asked == [None] * 5
    assert _names(path.parent) == []


def test_a_file_that_is_not_there_fails_at_once(server: Server) -> None:
    with pytest.raises(Unreachable) as raised:
        fetch(Remote(f"{server.url}/a/c.bin", "0" * 64))
    assert f"cannot fetch {server.url}/a/c.bin: the server answers 404 Not Found; " in str(
        raised.value
    )
    assert server.asked == [None]


def test_an_unreachable_network_says_what_to_do() -> None:
    url = f"http://127.0.0.1:{closed_port()}/a/b.bin"
    with pytest.raises(Unreachable) as raised:
        fetch(Remote(url, "0" * 64))
    assert str(raised.value).startswith(f"cannot fetch {url}: ")
    assert "Connection refused" in str(raised.value)
    assert str(raised.value).endswith(f"a folder that holds {Remote(url, '').place}")


def test_a_wrong_checksum_names_file_expected_and_found(server: Server, path: Path) -> None:
    url = f"{server.url}/a/b.bin"
    with pytest.raises(BadData) as raised:
        fetch(Remote(url, "0" * 64))
    assert str(raised.value) == (
        f"{url}: wrong checksum of {path}.part: "
        f"expected {'0' * 64}, found {sha256(DATA).hexdigest()}"
    )
    assert _names(path.parent) == []
    assert server.asked == [None]


def test_the_mirror_is_looked_up_first(
    server: Server, remote: Remote, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored = tmp_path / "mirror" / remote.place
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(DATA)
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    assert fetch(remote) == mirrored
    assert server.requests == []
    assert not path.exists()


def test_a_wrong_file_in_the_mirror_is_an_error_and_stays(
    server: Server, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored = tmp_path / "mirror" / remote.place
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(b"other")
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(BadData) as raised:
        fetch(remote)
    found = sha256(b"other").hexdigest()
    assert str(raised.value) == (
        f"wrong checksum of {mirrored}: expected {remote.sha256}, found {found}"
    )
    assert mirrored.read_bytes() == b"other"
    assert server.requests == []


def test_a_mirror_without_the_file_is_passed_over(
    server: Server, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path))
    assert fetch(remote).read_bytes() == DATA
    assert server.asked == [None]


def test_offline_uses_the_cache_and_asks_nobody(
    server: Server,
    remote: Remote,
    path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    with pytest.raises(Unreachable) as raised:
        fetch(remote)
    assert str(raised.value) == (
        f"{remote.url} is not in the cache {own_cache}, and BEIR_HYBRID_OFFLINE is set; fetch it "
        "on a connected machine and set BEIR_HYBRID_MIRROR to the folder 'files' of its cache, or "
        f"to another one that holds {remote.place}"
    )
    assert server.requests == []
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "Off")
    assert fetch(remote) == path
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    assert fetch(remote) == path
    assert server.asked == [None]


def _fetcher(remote: Remote, expected: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, remote.url, remote.sha256, str(expected)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_fetch_once(
    server: Server, remote: Remote, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "expected").write_bytes(DATA)
    server.pause = 0.2  # a second in all: the other one comes meanwhile
    with (
        _fetcher(remote, tmp_path / "expected") as one,
        _fetcher(remote, tmp_path / "expected") as two,
    ):
        assert one.communicate()[0] == two.communicate()[0] == "True\n"
    assert server.asked == [None]
    assert _names(path.parent) == ["b.bin"]


def test_a_killed_fetch_is_taken_up(
    server: Server, remote: Remote, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "expected").write_bytes(DATA)
    part = path.with_name("b.bin.part")
    server.block, server.pause = 1 << 14, 0.05
    with _fetcher(remote, tmp_path / "expected") as process:
        while not part.exists() or part.stat().st_size < 1 << 15:
            time.sleep(0.005)
            assert process.poll() is None
        process.kill()
    assert not path.exists()
    left = part.stat().st_size
    assert 1 << 15 <= left < len(DATA)
    server.pause = 0
    assert fetch(remote).read_bytes() == DATA
    assert server.asked == [None, f"bytes={left}-"]
    assert _names(path.parent) == ["b.bin"]


@pytest.mark.parametrize("file", ["nowhere", "file"])
def test_a_mirror_that_is_no_folder_is_an_error(
    server: Server, remote: Remote, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", f"{tmp_path}/{file}")
    message = f"BEIR_HYBRID_MIRROR is '{tmp_path}/{file}', which is no folder; mend or unset it"
    with pytest.raises(BadOption) as raised:
        fetch(remote)
    assert str(raised.value) == message
    with pytest.raises(BadOption) as raised:
        fetch_hub("some/corpus", "a.gz", COMMIT)
    assert str(raised.value) == message
    assert server.requests == []


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("ALL_PROXY", "socks5://me:secret@127.0.0.1:9", "SOCKS"),
        ("ALL_PROXY", "ftp://127.0.0.1:9", "ftp"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem", "No such file or directory"),
    ],
)
def test_an_environment_that_cannot_reach_anything_is_named(
    setting: str, value: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    url = "https://localhost.invalid/a.bin"
    with pytest.raises(Unreachable) as raised:
        fetch(Remote(url, "0" * 64))
    (hub,) = _hub("https://localhost.invalid", tmp_path, COMMIT, "a.gz")
    for message, what in (
        (str(raised.value), f"cannot fetch {url}: "),
        (hub, "Unreachable cannot fetch a.gz of the hub's dataset miracl/miracl-corpus: "),
    ):
        assert message.startswith(what)
        assert reason in message
        assert setting in message.partition("(the environment sets ")[2]
        assert "secret" not in message
        assert "set BEIR_HYBRID_MIRROR to a folder that holds " in message


def _hub(endpoint: str, home: Path, revision: str, *files: str) -> list[str]:
    """Fetch files of the hub in a process of its own, and return a line about each."""
    env = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", HUB, revision, *files]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=True)
    *lines, seconds = done.stdout.splitlines()
    assert done.stderr == ""
    assert float(seconds) < 8
    return lines


def _hub_place(file: str = HUB_FILE) -> str:
    return f"/datasets/miracl/miracl-corpus/resolve/{COMMIT}/{file}"


@pytest.fixture
def hub() -> Iterator[Server]:
    """Serve a file of the hub and say what commit the branch ``main`` stands at."""
    facts = {"id": "miracl/miracl-corpus", "sha": COMMIT}
    files = {
        _hub_place(): b"passages",
        "/api/datasets/miracl/miracl-corpus/revision/main": json.dumps(facts).encode(),
    }
    with serving(files) as server:
        server.headers = {"X-Repo-Commit": COMMIT, "ETag": '"e1"'}
        server.headers["X-Error-Code"] = "EntryNotFound"  # said by the hub where it answers 404
        yield server


def test_a_branch_of_the_hub_stands_for_a_commit(hub: Server, tmp_path: Path) -> None:
    assert _hub(hub.url, tmp_path, "main", HUB_FILE) == [f"passages {COMMIT}"]
    (line,) = _hub(hub.url, tmp_path, "mian", HUB_FILE)
    assert line.startswith(
        "Unreachable cannot ask which commit 'mian' of the hub's dataset miracl/miracl-corpus is: "
    )
    assert "404" in line
    assert line.endswith("; name a commit (40 hexadecimal digits) as the revision")


def test_a_hub_file_lands_where_a_mirror_has_it(
    hub: Server, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _hub(hub.url, tmp_path / "home", COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    gets = [request.path for request in hub.requests if request.method == "GET"]
    assert gets == [_hub_place()]
    landed = Path(f"{own_cache}/files/huggingface.co{_hub_place()}")
    assert landed.read_bytes() == b"passages"
    assert not landed.is_symlink()
    assert _names(landed.parent) == ["docs-0.jsonl.gz"]
    # It is one with the hub's own file, not a second one on the disk.
    (blob,) = (tmp_path / "home" / "hub").rglob("blobs/*")
    assert blob.samefile(landed)
    # Without the hub's cache, and as another machine's mirror, it goes on to serve.
    asked = len(hub.requests)
    assert _hub(hub.url, tmp_path / "empty", COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(own_cache / "files"))
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "another"))
    assert fetch_hub("miracl/miracl-corpus", HUB_FILE, COMMIT) == landed
    assert len(hub.requests) == asked


def test_a_hub_file_that_is_not_there_is_named(hub: Server, tmp_path: Path) -> None:
    (line,) = _hub(hub.url, tmp_path, COMMIT, "docs-9.gz")
    assert line.startswith("Unreachable cannot fetch docs-9.gz of the hub's dataset miracl/")
    assert "404" in line
    assert line.endswith(
        "set BEIR_HYBRID_MIRROR to a folder that holds "
        f"huggingface.co/datasets/miracl/miracl-corpus/resolve/{COMMIT}/docs-9.gz"
    )


def test_a_hub_file_of_the_hubs_own_cache_serves_offline(
    hub: Server, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _hub(hub.url, tmp_path, COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    asked = len(hub.requests)
    shutil.rmtree(own_cache)
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    found, missing = _hub(hub.url, tmp_path, COMMIT, HUB_FILE, "docs-9.gz")
    assert found == f"passages {COMMIT}"
    assert missing == (
        f"Unreachable docs-9.gz of the hub's dataset miracl/miracl-corpus is not in the cache "
        f"{own_cache}, and BEIR_HYBRID_OFFLINE is set; fetch it on a connected machine and set "
        "BEIR_HYBRID_MIRROR to the folder 'files' of its cache, or to another one that holds "
        f"huggingface.co/datasets/miracl/miracl-corpus/resolve/{COMMIT}/docs-9.gz"
    )
    (line,) = _hub(hub.url, tmp_path, "main", HUB_FILE)
    assert line == (
        "Unreachable cannot ask which commit 'main' of the hub's dataset miracl/miracl-corpus is: "
        "BEIR_HYBRID_OFFLINE is set; name a commit (40 hexadecimal digits) as the revision"
    )
    assert len(hub.requests) == asked


@pytest.mark.parametrize(
    ("revision", "what"),
    [
        (COMMIT, f"fetch {HUB_FILE} of the hub's dataset miracl/miracl-corpus"),
        ("main", "ask which commit 'main' of the hub's dataset miracl/miracl-corpus is"),
    ],
)
def test_an_unreachable_hub_is_one_line_soon(revision: str, what: str, tmp_path: Path) -> None:
    (line,) = _hub(f"http://127.0.0.1:{closed_port()}", tmp_path, revision, HUB_FILE)
    assert line.startswith(f"Unreachable cannot {what}: [Errno 111] Connection refused; ")


def test_a_hub_that_fails_for_a_moment_is_asked_again(hub: Server, tmp_path: Path) -> None:
    hub.failures = [503, 503]
    assert _hub(hub.url, tmp_path, COMMIT, HUB_FILE) == [f"passages {COMMIT}"]
    assert [request.method for request in hub.requests[:3]] == ["HEAD"] * 3


def test_a_hub_whose_connection_breaks_is_unreachable(hub: Server, tmp_path: Path) -> None:
    hub.files[_hub_place()] = DATA
    hub.reset, hub.drops = True, [1000]
    (line,) = _hub(hub.url, tmp_path, COMMIT, HUB_FILE)
    assert line.startswith(f"Unreachable cannot fetch {HUB_FILE} of the hub's dataset")


def test_a_hub_cache_that_cannot_be_written_names_its_own_setting(
    hub: Server, tmp_path: Path
) -> None:
    home = tmp_path / "file" / "home"
    home.parent.touch()
    (line,) = _hub(hub.url, home, COMMIT, HUB_FILE)
    assert line == (
        f"NotWritable cannot write {home}: Not a directory; make it writable, "
        "or set HF_HOME if the cache should live elsewhere"
    )


def test_the_mirror_holds_hub_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored = Path(f"{tmp_path}/huggingface.co{_hub_place()}")
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(b"passages")
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path))
    assert fetch_hub("miracl/miracl-corpus", HUB_FILE, COMMIT) == mirrored


def test_a_cache_that_cannot_be_written_asks_for_another(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "file" / "cache"))
    path = tmp_path / "file" / "cache" / "files" / remote.place
    with pytest.raises(NotWritable) as raised:
        fetch(remote)
    assert str(raised.value) == (
        f"cannot write {path}: Not a directory; make it writable, "
        "or set BEIR_HYBRID_CACHE if the cache should live elsewhere"
    )
