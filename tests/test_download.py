"""Files with an address and a checksum: mirror, cache, resumed downloads, failing servers."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Thread

import httpx
import pytest

from beir_hybrid import download
from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import BadData, BadOption, NotWritable, Unreachable
from tests.http_server import (
    WRONG_SETTINGS,
    Server,
    check_setting_is_named,
    find_closed_port,
    list_names,
    serve_files,
)

DATA = (
    b"".join(sha256(bytes([n])).digest() for n in range(256)) * 40
)  # 320 KiB, no two blocks alike
FETCH = """
import sys
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.download import Remote, fetch
print(fetch(Remote(sys.argv[1], sys.argv[2])).read_bytes() == open(sys.argv[3], "rb").read())
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serve_files({"/a/b.bin": DATA}) as server:
        yield server


@pytest.fixture
def remote(server: Server) -> Remote:
    return Remote(f"{server.url}/a/b.bin", sha256(DATA).hexdigest())


@pytest.fixture
def path(own_cache: Path, server: Server) -> Path:
    """Return where the file lies in the cache."""
    return own_cache / "files" / server.url.removeprefix("http://").replace(":", "_") / "a/b.bin"


@pytest.fixture
def partial_path(path: Path) -> Path:
    """Return where an unfinished download lies, in a folder that exists."""
    path.parent.mkdir(parents=True)
    return path.with_name("b.bin.part")


@pytest.fixture(autouse=True)
def _shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACK_OFF", 0.01)


def test_a_file_lies_at_host_and_path_and_is_fetched_once(
    server: Server, remote: Remote, path: Path
) -> None:
    assert fetch(remote) == path
    assert path.read_bytes() == DATA
    assert list_names(path.parent) == ["b.bin"]
    assert fetch(remote) == path
    assert server.request_ranges == [None]


def test_a_place_is_unquoted_and_has_no_colon() -> None:
    assert Remote("https://h.org:81/a%20b/c.json?x=1", "").place == Path("h.org_81/a b/c.json")


def test_a_damaged_file_in_the_cache_is_fetched_again(
    server: Server, remote: Remote, path: Path
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA[:-1])
    assert fetch(remote).read_bytes() == DATA
    assert server.request_ranges == [None]


def test_a_partial_file_is_resumed(
    server: Server, remote: Remote, path: Path, partial_path: Path
) -> None:
    partial_path.write_bytes(DATA[:1000])
    assert fetch(remote).read_bytes() == DATA
    assert server.request_ranges == ["bytes=1000-"]
    assert list_names(path.parent) == ["b.bin"]


def test_a_server_that_cannot_resume_sends_everything(
    server: Server, remote: Remote, partial_path: Path
) -> None:
    server.supports_ranges = False
    partial_path.write_bytes(DATA[:1000])
    assert fetch(remote).read_bytes() == DATA
    assert server.request_ranges == ["bytes=1000-"]


@pytest.mark.parametrize("old_bytes", [b"other", b"x" * len(DATA), b"x" * (len(DATA) + 1)])
def test_a_partial_file_of_other_bytes_is_started_over(
    old_bytes: bytes, server: Server, remote: Remote, path: Path, partial_path: Path
) -> None:
    partial_path.write_bytes(old_bytes)
    assert fetch(remote).read_bytes() == DATA
    assert server.request_ranges == [f"bytes={len(old_bytes)}-", None]
    assert list_names(path.parent) == ["b.bin"]


def test_a_download_starts_over_once(server: Server, path: Path, partial_path: Path) -> None:
    partial_path.write_bytes(b"other")
    with pytest.raises(BadData, match="wrong checksum"):
        fetch(Remote(f"{server.url}/a/b.bin", "0" * 64))
    assert server.request_ranges == ["bytes=5-", None]
    assert list_names(path.parent) == []


def test_a_complete_partial_file_is_renamed(
    server: Server, remote: Remote, path: Path, partial_path: Path
) -> None:
    partial_path.write_bytes(DATA)
    assert fetch(remote).read_bytes() == DATA
    assert server.requests == []
    assert list_names(path.parent) == ["b.bin"]


def test_a_failing_server_is_asked_again_after_a_while(
    server: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BACK_OFF", 0.1)
    server.failures = [500, 503]
    assert fetch(remote).read_bytes() == DATA
    first, second, third = (request.time for request in server.requests)
    assert second - first >= 0.1
    assert third - second >= 0.2


@pytest.mark.parametrize("reset", [False, True])
def test_a_dropped_connection_is_resumed(
    reset: bool, server: Server, remote: Remote, path: Path
) -> None:
    # A reset connection may lose what was under way, a closed one may not.
    server.resets_connections, server.drops = reset, [1000, 200_000]
    assert fetch(remote).read_bytes() == DATA
    if not reset:
        assert server.request_ranges == [None, "bytes=1000-", "bytes=201000-"]
    assert list_names(path.parent) == ["b.bin"]


def test_a_server_that_fails_five_times_is_unreachable(
    server: Server, remote: Remote, path: Path
) -> None:
    server.failures = [503] * 9
    with pytest.raises(Unreachable) as error:
        fetch(remote)
    assert str(error.value) == (
        f"cannot fetch {remote.url}: the server answers 503 Service Unavailable; on a machine "
        f"without internet, set BEIR_HYBRID_MIRROR to a folder that holds {remote.place}"
    )
    assert server.request_ranges == [None] * 5
    assert list_names(path.parent) == []


def test_a_missing_file_fails_at_once(server: Server) -> None:
    with pytest.raises(Unreachable) as error:
        fetch(Remote(f"{server.url}/a/c.bin", "0" * 64))
    assert f"cannot fetch {server.url}/a/c.bin: the server answers 404 Not Found; " in str(
        error.value
    )
    assert server.request_ranges == [None]


def test_an_unreachable_network_advises_a_mirror() -> None:
    url = f"http://127.0.0.1:{find_closed_port()}/a/b.bin"
    with pytest.raises(Unreachable) as error:
        fetch(Remote(url, "0" * 64))
    assert str(error.value).startswith(f"cannot fetch {url}: ")
    assert "Connection refused" in str(error.value)
    assert str(error.value).endswith(f"a folder that holds {Remote(url, '').place}")


def test_a_wrong_checksum_names_the_file_and_both_checksums(server: Server, path: Path) -> None:
    url = f"{server.url}/a/b.bin"
    with pytest.raises(BadData) as error:
        fetch(Remote(url, "0" * 64))
    assert str(error.value) == (
        f"{url}: wrong checksum of {path}.part: "
        f"expected {'0' * 64}, found {sha256(DATA).hexdigest()}"
    )
    assert list_names(path.parent) == []
    assert server.request_ranges == [None]


def test_the_mirror_comes_before_cache_and_network(
    server: Server, remote: Remote, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path_in_mirror = tmp_path / "mirror" / remote.place
    path_in_mirror.parent.mkdir(parents=True)
    path_in_mirror.write_bytes(DATA)
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    assert fetch(remote) == path_in_mirror
    assert server.requests == []
    assert not path.exists()


def test_a_wrong_file_in_the_mirror_is_an_error_and_stays(
    server: Server, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path_in_mirror = tmp_path / "mirror" / remote.place
    path_in_mirror.parent.mkdir(parents=True)
    path_in_mirror.write_bytes(b"other")
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(BadData) as error:
        fetch(remote)
    checksum = sha256(b"other").hexdigest()
    assert str(error.value) == (
        f"wrong checksum of {path_in_mirror}: expected {remote.sha256}, found {checksum}"
    )
    assert path_in_mirror.read_bytes() == b"other"
    assert server.requests == []


def test_a_mirror_without_the_file_is_ignored(
    server: Server, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path))
    assert fetch(remote).read_bytes() == DATA
    assert server.request_ranges == [None]


def test_offline_mode_uses_the_cache_alone(
    server: Server,
    remote: Remote,
    path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    with pytest.raises(Unreachable) as error:
        fetch(remote)
    assert str(error.value) == (
        f"{remote.url} is not in the cache {own_cache}, and BEIR_HYBRID_OFFLINE is set; fetch it "
        "on a connected machine and set BEIR_HYBRID_MIRROR to the folder 'files' of its cache, or "
        f"to another one that holds {remote.place}"
    )
    assert server.requests == []
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "Off")
    assert fetch(remote) == path
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    assert fetch(remote) == path
    assert server.request_ranges == [None]


def _start_fetch(remote: Remote, expected: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, remote.url, remote.sha256, str(expected)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_fetch_once(
    server: Server, remote: Remote, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "expected").write_bytes(DATA)
    server.pause = 0.2  # a second in all: the rival comes meanwhile
    with (
        _start_fetch(remote, tmp_path / "expected") as process,
        _start_fetch(remote, tmp_path / "expected") as rival,
    ):
        assert process.communicate()[0] == rival.communicate()[0] == "True\n"
    assert server.request_ranges == [None]
    assert list_names(path.parent) == ["b.bin"]


def test_a_killed_fetch_is_resumed(
    server: Server, remote: Remote, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "expected").write_bytes(DATA)
    partial_path = path.with_name("b.bin.part")
    server.block, server.pause = 1 << 14, 0.05
    with _start_fetch(remote, tmp_path / "expected") as process:
        while not partial_path.exists() or partial_path.stat().st_size < 1 << 15:
            time.sleep(0.005)
            assert process.poll() is None
        process.kill()
    assert not path.exists()
    size = partial_path.stat().st_size
    assert 1 << 15 <= size < len(DATA)
    server.pause = 0
    assert fetch(remote).read_bytes() == DATA
    assert server.request_ranges == [None, f"bytes={size}-"]
    assert list_names(path.parent) == ["b.bin"]


def test_a_cache_that_cannot_be_written_names_its_setting(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "file" / "cache"))
    path = tmp_path / "file" / "cache" / "files" / remote.place
    with pytest.raises(NotWritable) as error:
        fetch(remote)
    assert str(error.value) == (
        f"cannot write {path}: Not a directory; make it writable, "
        "or set BEIR_HYBRID_CACHE if the cache should live elsewhere"
    )


@pytest.mark.parametrize("file", ["missing", "file"])
def test_a_mirror_that_is_no_folder_is_an_error(
    server: Server, remote: Remote, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", f"{tmp_path}/{file}")
    with pytest.raises(BadOption) as error:
        fetch(remote)
    message = f"BEIR_HYBRID_MIRROR is '{tmp_path}/{file}', which is no folder; mend or unset it"
    assert str(error.value) == message
    assert server.requests == []


@pytest.mark.parametrize("sends_length", [True, False])
@pytest.mark.parametrize("old_bytes", [b"", DATA[:1000]])
def test_a_server_that_sends_too_much_is_cut_off(
    server: Server, path: Path, partial_path: Path, sends_length: bool, old_bytes: bytes
) -> None:
    server.sends_length, server.block = sends_length, 1 << 12
    if old_bytes:
        partial_path.write_bytes(old_bytes)
    remote = Remote(f"{server.url}/a/b.bin", sha256(DATA).hexdigest(), most_bytes=len(DATA) - 1)
    message = f"the server sends more than the {len(DATA) - 1:,} bytes that the file can have"
    with pytest.raises(BadData, match=message):
        fetch(remote)
    assert list_names(path.parent) == []
    assert fetch(replace(remote, most_bytes=len(DATA))).read_bytes() == DATA


def test_a_server_that_sends_a_byte_at_a_time_is_given_up(
    server: Server, remote: Remote, partial_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.1)
    server.block, server.pause = 1, 0.03
    with pytest.raises(Unreachable, match="the server sends less than 65,536 bytes in 0 s; on a"):
        fetch(remote)
    assert len(server.requests) == download.ATTEMPTS
    # What came is kept, and the next attempt goes on there.
    assert partial_path.read_bytes() == DATA[: partial_path.stat().st_size]
    server.block, server.pause = 1 << 16, 0
    assert fetch(remote).read_bytes() == DATA


def test_a_slow_server_is_listened_to(
    server: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.05)
    monkeypatch.setattr(download, "SLOWEST_BYTES", 1 << 13)
    server.block, server.pause = 1 << 14, 0.02
    assert fetch(remote).read_bytes() == DATA
    assert server.request_ranges == [None]


def test_redirects_to_the_same_scheme_are_followed(server: Server, remote: Remote) -> None:
    server.redirects["/moved.bin"] = "/a/b.bin"
    assert fetch(replace(remote, url=f"{server.url}/moved.bin")).read_bytes() == DATA


def test_a_redirect_to_another_scheme_is_refused(
    server: Server, remote: Remote, path: Path
) -> None:
    server.redirects["/a/c.bin"] = "ftp://example.org/b.bin"
    with pytest.raises(Unreachable, match=r"c\.bin redirects to ftp, which is"):
        fetch(replace(remote, url=f"{server.url}/a/c.bin"))
    assert list_names(path.parent) == []


@pytest.mark.parametrize(
    ("origin", "target", "is_safe"),
    [
        ("https://a.org/b", "http://a.org/b", False),
        ("https://a.org/b", "HTTP://a.org/b", False),
        ("https://a.org/b", "file:///etc/passwd", False),
        ("https://a.org/b", "//b.org/b", True),
        ("https://a.org/b", "/c", True),
        ("http://a.org/b", "https://a.org/b", True),
        ("http://a.org/b", "http://b.org/b", True),
    ],
)
def test_redirects_lead_to_no_less_safe_scheme(origin: str, target: str, is_safe: bool) -> None:
    response = httpx.Response(
        301, headers={"Location": target}, request=httpx.Request("GET", origin)
    )
    with nullcontext() if is_safe else pytest.raises(Unreachable, match="redirects to"):
        download._find_target(response)  # noqa: SLF001 - no server here speaks https


def test_redirects_end(server: Server, remote: Remote, path: Path) -> None:
    for number in range(10):
        server.redirects[f"/{number}"] = f"/{number + 1}"
    server.redirects["/10"] = "/a/b.bin"
    assert fetch(replace(remote, url=f"{server.url}/1")).read_bytes() == DATA
    server.requests.clear()
    with pytest.raises(Unreachable, match="comes after 10 redirects: nothing was fetched"):
        fetch(replace(remote, url=f"{server.url}/0"))
    assert len(server.requests) == 11
    assert not path.with_name("0").exists()


@pytest.mark.parametrize("target", ["http://[::1", "http://a:port/", "http://\x7f/"])
def test_a_redirect_to_an_invalid_address_is_one_line(
    server: Server, remote: Remote, target: str
) -> None:
    server.redirects["/moved.bin"] = target
    with pytest.raises(Unreachable, match=r"moved\.bin: Invalid URL in location header") as error:
        fetch(replace(remote, url=f"{server.url}/moved.bin"))
    assert "\n" not in str(error.value)


def test_an_invalid_address_is_one_line() -> None:
    with pytest.raises(Unreachable, match=r"cannot fetch http://a:port/b: "):
        fetch(Remote("http://a:port/b", "0" * 64))


def serve_raw(respond: Callable[[socket.socket], None]) -> tuple[str, socket.socket]:
    """Answer each connection with a function; return the address and the socket to close."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(1 << 16)
                    respond(connection)

    Thread(target=accept, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/a.bin", listener


def test_the_body_of_a_redirect_is_not_read(server: Server, remote: Remote) -> None:
    byte_counts = []

    def respond(connection: socket.socket) -> None:
        head = f"HTTP/1.1 302 Found\r\nLocation: {remote.url}\r\nContent-Length: 999999999\r\n\r\n"
        connection.sendall(head.encode())
        byte_counts.append(0)
        while True:
            byte_counts[-1] += connection.send(bytes(1 << 16))

    url, listener = serve_raw(respond)
    with listener:
        assert fetch(replace(remote, url=url)).read_bytes() == DATA
    assert byte_counts[0] < 1 << 23  # what the system buffers
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", [b"X", b"X: y\r\n"])
def test_headers_without_end_are_given_up(header: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    monkeypatch.setattr(download, "ATTEMPTS", 2)

    def respond(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(header)
            time.sleep(0.01)

    url, listener = serve_raw(respond)
    start = time.monotonic()
    with listener, pytest.raises(Unreachable, match="the server sends less than"):
        fetch(Remote(url, "0" * 64))
    assert time.monotonic() - start < 10


def test_a_download_has_an_end(
    server: Server, remote: Remote, partial_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LONGEST_DOWNLOAD", 0.05)
    server.block, server.pause = 1 << 10, 0.02
    with pytest.raises(Unreachable, match="it took more than 0 hours; fetch it again to go on"):
        fetch(remote)
    assert len(server.requests) == 1
    assert 0 < partial_path.stat().st_size < len(DATA)
    monkeypatch.setattr(download, "LONGEST_DOWNLOAD", 60)
    server.pause = 0
    assert fetch(remote).read_bytes() == DATA


@pytest.mark.parametrize(("setting", "value", "reason"), WRONG_SETTINGS)
def test_settings_that_keep_the_network_away_are_named(
    setting: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    url = "https://localhost.invalid/a.bin"
    with pytest.raises(Unreachable) as error:
        fetch(Remote(url, "0" * 64))
    message = str(error.value)
    assert message.startswith(f"cannot fetch {url}: ")
    check_setting_is_named(message, setting, reason)
