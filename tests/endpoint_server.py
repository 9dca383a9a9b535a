"""A local server of embeddings and of scores of pairs, which fails on demand."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.hash_encoder import hash_text


@dataclass
class EndpointServer:
    """What a server does and what it was asked; a test may change the first between requests."""

    url: str = ""
    key: str = ""  # that it wants
    longest: int = 100  # characters of a text
    largest: int = 1000  # texts of a request
    is_tei: bool = False  # whether it answers at /info and /rerank, as TEI does
    info: dict[str, Any] = field(default_factory=dict)  # what it says of itself beside TEI's
    dims: list[int] = field(default_factory=list)  # of the next answers; then 4
    # The next answers: a status with its headers, a delay in seconds, or a body.
    failures: list[tuple[int, dict[str, str]] | float | bytes] = field(default_factory=list)
    is_shuffled: bool = True  # whether entries come in another order than texts
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def texts(self) -> list[str]:
        """All texts that were asked for."""
        return [text for request in self.requests for text in request.get("input", [])]


@contextmanager
def serve_models() -> Iterator[EndpointServer]:
    """Serve on a port of 127.0.0.1, each request in a thread of its own."""
    server = EndpointServer()
    handler = type("Handler", (_Handler,), {"test_server": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    test_server: EndpointServer

    def do_POST(self) -> None:
        server = self.test_server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.requests.append(request)
            server.times.append(time.monotonic())
            server.headers.append(dict(self.headers))
            failure = server.failures.pop(0) if server.failures else None
        with suppress(ConnectionError):  # the client has waited long enough
            self._respond(request, failure)

    def do_GET(self) -> None:
        server = self.test_server
        tei = {"model_id": "words", "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}}}}
        info = {**(tei if server.is_tei else {}), **server.info}
        is_info = bool(info) and self.path == ("/info" if server.is_tei else "/v1/info")
        self._send(200 if is_info else 404, json.dumps(info if is_info else {}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def _respond(  # noqa: PLR0911 - each fault has its answer
        self, request: dict[str, Any], failure: tuple[int, dict[str, str]] | float | bytes | None
    ) -> None:
        server = self.test_server
        if isinstance(failure, float):
            time.sleep(failure)
        elif isinstance(failure, bytes):
            return self._send(200, failure)
        elif failure:
            return self._send(failure[0], b'{"error": {"message": "as told"}}', failure[1])
        if server.key and self.headers["Authorization"] != f"Bearer {server.key}":
            message = f"wrong key {self.headers['Authorization']}"
            return self._send(401, json.dumps({"error": {"message": message}}).encode())
        routes: dict[str, Callable[[dict[str, Any]], object]] = (
            {"/rerank": self._rerank_as_tei}
            if server.is_tei
            else {"/v1/embeddings": self._embed, "/v1/rerank": self._rerank}
        )
        if self.path not in routes:
            return self._send(404, b'{"detail": "Not Found"}')
        texts = request.get("input", request.get("documents", request.get("texts", [])))
        if len(texts) > server.largest:
            refusal = {"error": f"batch size {len(texts)} > maximum allowed", "type": "Validation"}
            return self._send(422, json.dumps(refusal).encode())
        if any(not 0 < len(text) <= server.longest for text in texts):
            fault = f"texts have 1 to {server.longest} characters"
            return self._send(400, json.dumps({"error": fault}).encode())
        answer = routes[self.path](request)
        return self._send(200, json.dumps(answer).encode())

    def _embed(self, request: dict[str, Any]) -> dict[str, Any]:
        server = self.test_server
        with server.lock:
            dim = server.dims.pop(0) if server.dims else request.get("dimensions", 4)
        data = [
            {"index": i, "embedding": hash_text(text).tolist()[:dim]}
            for i, text in enumerate(request["input"])
        ]
        return {"object": "list", "data": data[::-1] if server.is_shuffled else data}

    def _rerank(self, request: dict[str, Any]) -> dict[str, Any]:
        results = [
            {"index": i, "relevance_score": score_pair(request["query"], text)}
            for i, text in enumerate(request["documents"])
        ]
        return {"results": sorted(results, key=lambda entry: -entry["relevance_score"])}

    def _rerank_as_tei(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Answer as TEI does: entries by descending score, unknown fields ignored."""
        scores = [score_pair(request["query"], text) for text in request["texts"]]
        entries = [{"index": i, "score": score} for i, score in enumerate(scores)]
        return sorted(entries, key=lambda entry: -entry["score"])

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def score_pair(query: str, passage: str) -> float:
    """Return the share of the query's words that a passage has, less a bit for its length."""
    words = set(query.split())
    return len(words & set(passage.split())) / len(words) - len(passage) / 1000
