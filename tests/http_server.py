"""A local HTTP server that serves bytes, resumes them, and misbehaves where it is told to."""

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
from typing import NamedTuple


class Request(NamedTuple):
    """What a client asked for, and when."""

    method: str
    path: str
    bytes: str | None
    at: float


@dataclass
class Server:
    """What is served and how badly; a test may change any of it between requests."""

    files: dict[str, bytes]  # by path, with its leading slash
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # sent with every answer
    tags: bool = False  # whether each file has an `ETag` of its own
    ranges: bool = True  # whether `Range` is heeded
    failures: list[int] = field(default_factory=list)  # statuses of the next answers
    drops: list[int] = field(default_factory=list)  # the next bodies end after so many bytes
    reset: bool = False  # whether a dropped connection is reset, not closed
    block: int = 1 << 16
    pause: float = 0.0  # seconds before each block
    requests: list[Request] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def asked(self) -> list[str | None]:
        """The `Range` of every request so far."""
        return [request.bytes for request in self.requests]


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve files on a port of 127.0.0.1, each request in a thread of its own."""
    server = Server(files)

    class Handler(_Handler):
        told = server

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
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


def closed_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    told: Server

    def do_GET(self) -> None:
        with suppress(ConnectionError):  # the client was killed
            self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def _answer(self) -> None:
        server, wanted = self.told, self.headers.get("Range")
        server.requests.append(Request(self.command, self.path, wanted, time.monotonic()))
        if server.failures:
            self._refuse(server.failures.pop(0))
            return
        if self.path not in server.files:
            self._refuse(404)
            return
        data, start = server.files[self.path], 0
        if server.ranges and wanted and (match := re.fullmatch(r"bytes=(\d+)-", wanted)):
            start = int(match[1])
            if start >= len(data):
                self._refuse(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        if server.tags:
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self._send(data[start:])

    def end_headers(self) -> None:
        for name, value in self.told.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body: bytes) -> None:
        server = self.told
        if server.drops:
            body = body[: server.drops.pop(0)]
        for start in range(0, len(body), server.block):
            if server.pause:
                server.stopping.wait(server.pause)
            self.wfile.write(body[start : start + server.block])
        if server.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
