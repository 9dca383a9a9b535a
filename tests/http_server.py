"""A local HTTP server for tests: it serves bytes, resumes downloads, and fails on demand."""

import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

# Settings with which no network can be reached: name, value, and what the message says of it.
WRONG_SETTINGS = [
    ("ALL_PROXY", "socks5://me:secret@127.0.0.1:9", "SOCKS"),
    ("ALL_PROXY", "ftp://127.0.0.1:9", "ftp"),
    ("SSL_CERT_FILE", "/nowhere/certificates.pem", "No such file or directory"),
]


class Request(NamedTuple):
    """A request of a client, and when it came."""

    method: str
    path: str
    range: str | None  # its `Range`
    time: float


@dataclass
class Server:
    """The files of a server and its failures; a test may change them between requests."""

    files: dict[str, bytes]  # by path, with its leading slash
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # sent with every response
    redirects: dict[str, str] = field(default_factory=dict)  # addresses by path
    sends_length: bool = True  # whether a response says how long it is
    has_etags: bool = False  # whether each file has an `ETag` of its own
    supports_ranges: bool = True  # whether `Range` is obeyed
    failures: list[int] = field(default_factory=list)  # statuses of the next responses
    drops: list[int] = field(default_factory=list)  # the next bodies end after so many bytes
    resets_connections: bool = False  # whether a dropped connection is reset, not closed
    block: int = 1 << 16
    pause: float = 0.0  # seconds before each block
    requests: list[Request] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def request_ranges(self) -> list[str | None]:
        """The `Range` of every request so far."""
        return [request.range for request in self.requests]


@contextmanager
def serve_files(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve files on a port of 127.0.0.1, each request in a thread of its own."""
    server = Server(files)
    handler = type("Handler", (_Handler,), {"test_server": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = False  # closing waits for them
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            http.shutdown()
            thread.join()


def find_closed_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def list_names(folder: Path) -> list[str]:
    """Return the names of a folder's files but locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def check_setting_is_named(message: str, setting: str, reason: str) -> None:
    """Check that a message names a wrong setting, hides its password and advises a mirror."""
    assert reason in message
    assert setting in message.partition("(the environment sets ")[2]
    assert "secret" not in message
    assert "set BEIR_HYBRID_MIRROR to a folder that holds " in message


class _Handler(BaseHTTPRequestHandler):
    test_server: Server

    def do_GET(self) -> None:
        with suppress(ConnectionError):  # the client was killed
            self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def _respond(self) -> None:
        server, range_header = self.test_server, self.headers.get("Range")
        server.requests.append(Request(self.command, self.path, range_header, time.monotonic()))
        if server.failures:
            self._refuse(server.failures.pop(0))
            return
        if self.path in server.redirects:
            self._refuse(302, Location=server.redirects[self.path])
            return
        if self.path not in server.files:
            self._refuse(404)
            return
        data, start = server.files[self.path], 0
        match = re.fullmatch(r"bytes=(\d+)-", range_header or "")
        if server.supports_ranges and match:
            start = int(match[1])
            if start >= len(data):
                self._refuse(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if server.sends_length:
            self.send_header("Content-Length", str(len(data) - start))
        if server.has_etags:
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self._send(data[start:])

    def end_headers(self) -> None:
        for name, value in self.test_server.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def _refuse(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body: bytes) -> None:
        server = self.test_server
        if server.drops:
            body = body[: server.drops.pop(0)]
        for start in range(0, len(body), server.block):
            if server.pause:
                server.stopping.wait(server.pause)
            self.wfile.write(body[start : start + server.block])
        if server.resets_connections:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
