"""Models behind OpenAI-compatible servers: how they are named, and asked with patience."""

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar
from urllib.parse import urlsplit

import numpy as np

from beir_hybrid.errors import BadData, BadOption, Unreachable
from beir_hybrid.network import BACK_OFF, TEMPORARY_STATUSES, describe_failure, is_offline
from beir_hybrid.text import shorten_folder, to_one_line

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
logger = logging.getLogger(__name__)

PREFIX = "openai:"  # of the names of endpoints
KEY = "OPENAI_API_KEY"
TIMEOUT = 300.0  # seconds without a byte of an answer
_ATTEMPTS, _CONNECTION_ATTEMPTS = 8, 4
_LONGEST_PAUSE = 600.0  # seconds that a server may ask to wait
_LONG_PAUSE = 5.0  # seconds that users should know of
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SHOWN_CHARACTERS = 200  # of a server's message
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_OK, _REDIRECTS, _BAD_REQUEST = 200, 300, 400


@dataclass(frozen=True)
class Endpoint:
    """A model behind a server, by the name that the server knows, and the server's address.

    Examples
    --------
    >>> Endpoint.parse("openai:bge-m3@http://localhost:8000/v1/")
    Endpoint(model='bge-m3', url='http://localhost:8000/v1')
    """

    model: str
    url: str

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read ``openai:MODEL@URL``; passwords are refused, for names go to files."""
        match = re.fullmatch(rf"{PREFIX}(.+?)@(https?://\S+)", name)
        if match is None:
            address = "" if "@" in name else ", such as @https://api.openai.com/v1"
            raise BadOption(
                f"an endpoint is {PREFIX}MODEL@URL, with an address that begins with http:// or "
                f"https://; {name!r:.120} is none{address}"
            )
        model, url = match.groups()
        try:
            parts = urlsplit(url)
            is_plain = bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_plain = False
        if not is_plain or {"@", "?", "#"} & set(url):  # the address is not shown: it may be secret
            raise BadOption(
                f"the address of the endpoint {model!r:.80} must be HOST:PORT and a path, without "
                f"user, password, '?' and '#'; a key goes into the environment's {KEY}"
            )
        return cls(model, url.rstrip("/"))

    @property
    def public(self) -> "Endpoint":
        """The endpoint with the last part alone of a model that is a folder of the server."""
        return Endpoint(shorten_folder(self.model), self.url)

    @property
    def facts(self) -> dict[str, object]:
        """Address and model for fingerprints; a checksum tells folders of one name apart."""
        facts: dict[str, object] = {"url": self.url, "model": self.public.model}
        if self.public != self:
            facts["folder sha256"] = hashlib.sha256(self.model.encode()).hexdigest()
        return facts

    def __str__(self) -> str:
        return f"{PREFIX}{self.model}@{self.url}"

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the server is reached without a network."""
        return urlsplit(self.url).hostname in _LOOPBACK


class EndpointSession:
    """Connections to an endpoint for as long as the context lasts; several threads may ask.

    Where the server is busy, all of them wait. The key comes from the environment.

    Parameters
    ----------
    route
        The last part of the address, such as ``embeddings``.
    """

    def __init__(self, endpoint: Endpoint, route: str) -> None:
        self.endpoint, self.address = endpoint, f"{endpoint.url}/{route}"
        self._key = os.environ.get(KEY, "").strip()
        self._client: httpx.Client
        self._resume_at = 0.0  # on the clock of `time.monotonic`
        self._is_closed = threading.Event()

    def __enter__(self) -> Self:
        import httpx

        parts = urlsplit(self.endpoint.url)
        if not self.endpoint.is_on_this_machine:
            if is_offline():
                raise Unreachable(
                    f"{self.endpoint} is on the network, which BEIR_HYBRID_OFFLINE forbids"
                )
            if self._key and parts.scheme != "https":
                raise BadOption(
                    f"{KEY} would go to {parts.hostname} unencrypted; use https, or unset the key"
                )
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            limits = httpx.Timeout(TIMEOUT, connect=10, pool=None)
            self._client = httpx.Client(headers=headers, timeout=limits)
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            raise Unreachable(f"cannot ask {self.endpoint}: {describe_failure(error)}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closed.set()
        self._client.close()

    def read_info(self) -> dict[str, Any]:
        """Return the description at ``/info``, which TEI has; empty for other servers."""
        import httpx

        with suppress(httpx.RequestError, ValueError):
            response = self._client.get(f"{self.endpoint.url}/info", timeout=10)
            info = response.json() if response.status_code == _OK else None
            if isinstance(info, dict):
                return info
        return {}

    def ask(
        self,
        texts: Sequence[str],
        make_body: Callable[[Sequence[str]], dict[str, object]],
        read_rows: Callable[[Any, int], np.ndarray],
    ) -> np.ndarray:
        """Return the rows that the server's answer has for texts.

        If the server refuses several texts, it is asked for each half, which finds the text that
        it refuses, and needs shorter requests.
        """
        if len(texts) == 1:
            return self.ask_one(texts[0], make_body(texts), lambda answer: read_rows(answer, 1))
        try:
            answer = self._post(make_body(texts))
        except _Refused:
            middle = len(texts) // 2
            parts = [
                self.ask(half, make_body, read_rows) for half in (texts[:middle], texts[middle:])
            ]
            return np.concatenate(parts)
        return self._read_answer(answer, lambda answer: read_rows(answer, len(texts)))

    def ask_one(self, text: str, body: dict[str, object], read: Callable[[Any], T]) -> T:
        """Send a text to the server, and parse the answer with a function."""
        try:
            answer = self._post(body)
        except _Refused as error:
            raise BadData(
                f"{self.endpoint} refuses a text of {len(text):,} characters ({error}); the text "
                f"is {text!r:.80}"
            ) from error
        return self._read_answer(answer, read)

    def _read_answer(self, answer: Any, read: Callable[[Any], T]) -> T:
        try:
            return read(answer)
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise BadData(
                f"{self.endpoint} does not answer as the protocol says: {error!r:.200}; does "
                f"{self.address} belong to such a model?"
            ) from error

    def _post(self, body: dict[str, object]) -> Any:
        """Return the JSON of an answer; raise `_Refused` if the server will never give one."""
        import httpx

        for attempt in range(_ATTEMPTS):
            if self._is_closed.wait(max(0.0, self._resume_at - time.monotonic())):
                raise Unreachable(f"{self.endpoint} is asked no more")
            pause = BACK_OFF * 2**attempt
            try:
                response = self._client.post(self.address, json=body)
            except httpx.RequestError as error:
                reason = describe_failure(error)
                if isinstance(error, httpx.ConnectError) and attempt + 1 >= _CONNECTION_ATTEMPTS:
                    break
            else:
                reason = self._describe(response)
                if response.status_code not in TEMPORARY_STATUSES:
                    return self._read(response, reason)
                pause = read_pause(response.headers.get("Retry-After", ""), pause)
            if pause > _LONGEST_PAUSE:
                reason += f", and asks to wait {pause:,.0f} seconds"
                break
            level = logging.WARNING if pause >= _LONG_PAUSE else logging.INFO
            logger.log(level, "%s: %s; next try in %.1f s", self.endpoint, reason, pause)
            self._resume_at = max(self._resume_at, time.monotonic() + pause)
        raise Unreachable(f"{self.endpoint}: {reason}; what was done is kept, run again to go on")

    def _describe(self, response: "httpx.Response") -> str:
        """Return the status of an answer with the server's message, in which no key stands."""
        message = ""
        with suppress(ValueError, AttributeError):
            answer = response.json()
            error = answer.get("error")
            text = error.get("message") if isinstance(error, dict) else error
            message = str(text or answer.get("message") or answer.get("detail") or "")
        if self._key:
            message = message.replace(self._key, KEY)
        message = f": {to_one_line(message)[:_SHOWN_CHARACTERS]}" if message else ""
        return f"the server answers {response.status_code} {response.reason_phrase}{message}"

    def _read(self, response: "httpx.Response", reason: str) -> Any:
        """Return the JSON of an answer that was not asked to come later."""
        if not _OK <= response.status_code < _REDIRECTS:
            self._refuse(response.status_code, reason)
        try:
            return response.json()
        except ValueError as error:
            raise BadData(f"{self.address} answers no JSON: is it an address of an API?") from error

    def _refuse(self, status: int, reason: str) -> NoReturn:
        """Raise the error for a status."""
        if status in (_UNAUTHORIZED, _FORBIDDEN):  # the message may have a part of the key
            fault = "refuses the key of" if self._key else "wants a key: set"
            raise BadOption(f"{self.endpoint} {fault} the environment's {KEY} ({status})")
        if status < _BAD_REQUEST or status == _NOT_FOUND:
            raise Unreachable(
                f"{self.address}: {reason}; is the model's name right, and the address, which "
                "most often ends in /v1?"
            )
        raise _Refused(reason)


class _Refused(Exception):  # noqa: N818 - a signal, no error
    """The server refuses a request, and would again."""


def read_pause(header: str, default: float) -> float:
    """Return the seconds that a ``Retry-After`` asks to wait: a number, or a date.

    >>> read_pause("12", 1.0), read_pause("soon", 1.0)
    (12.0, 1.0)
    """
    with suppress(ValueError):
        return max(0.0, float(header))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    return default


def read_indexed(answer: Any, n: int, entries: str, value: str) -> np.ndarray:
    """Return the values of an answer's entries in the order of their indexes, float32.

    Without a name of the entries the answer itself is their list.

    >>> answer = {"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]}
    >>> read_indexed(answer, 2, "data", "embedding").tolist()
    [[1.0], [2.0]]
    """
    rows = answer[entries] if entries else answer
    values = {row["index"]: row[value] for row in rows}
    if len(rows) != n or values.keys() != set(range(n)):
        raise ValueError(f"{len(rows)} {entries or 'entries'} for {n} texts")
    return np.array([values[i] for i in range(n)], np.float32)
