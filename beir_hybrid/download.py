"""Files with an address and a checksum: from the mirror, the cache or the network."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from beir_hybrid.errors import BadData, Unreachable
from beir_hybrid.files import cache_folder, explain_write_errors, file_lock, sha256
from beir_hybrid.network import (
    BACK_OFF,
    TEMPORARY_STATUSES,
    advise_mirror,
    describe_failure,
    find_in_mirror,
    is_offline,
    offline_error,
)

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

ATTEMPTS = 5
# A server that sends less in this time is given up, and asked again for the rest.
SLOWEST_BYTES, PATIENCE = 1 << 16, 60.0  # seconds
LONGEST_DOWNLOAD = 6 * 3600.0  # seconds, after which what came is kept
MOST_REDIRECTS = 10


@dataclass(frozen=True)
class Remote:
    """A file at its origin; the checksum fixes its bytes.

    Attributes
    ----------
    most_bytes
        The size that the file cannot have; a server that sends more is not listened to.
    """

    url: str
    sha256: str
    revision: str = ""
    most_bytes: int = 1 << 30

    @property
    def place(self) -> Path:
        """The path of the file in a mirror and in the cache: ``HOST/PATH``."""
        parts = urlsplit(self.url)
        # A port's colon is no good in a folder's name on every system.
        return Path(parts.netloc.replace(":", "_"), *unquote(parts.path).strip("/").split("/"))


def fetch(remote: Remote) -> Path:
    """Return a local path of a file; one that neither mirror nor cache has is downloaded.

    A download that was interrupted is resumed. Two processes that need the same file download it
    once.
    """
    if path_in_mirror := find_in_mirror(remote.place):
        return _check_checksum(path_in_mirror, remote)
    path = cache_folder() / "files" / remote.place
    if path.is_file() and sha256(path) == remote.sha256:
        return path
    if is_offline():
        if path.is_file():
            raise BadData(f"{path} is damaged, and BEIR_HYBRID_OFFLINE keeps it from being fetched")
        raise offline_error(remote.url, remote.place)
    with file_lock(path):
        if path.is_file():  # another process may have been faster
            if sha256(path) == remote.sha256:
                return path
            logger.warning("%s is damaged and is fetched again", path)
        _download(remote, path)
    return path


def _check_checksum(path: Path, remote: Remote) -> Path:
    checksum = sha256(path)
    if checksum != remote.sha256:
        raise BadData(f"wrong checksum of {path}: expected {remote.sha256}, found {checksum}")
    return path


def _download(remote: Remote, path: Path) -> None:
    """Download a file to ``path.part``, check the checksum, and rename the file."""
    part = path.with_name(f"{path.name}.part")
    is_resumed = part.exists()
    try:
        # A run may have died just before it renamed a complete file.
        if not (is_resumed and sha256(part) == remote.sha256):
            _fill(remote, part)
        _check_checksum(part, remote)
    except BadData as error:
        part.unlink(missing_ok=True)
        if not is_resumed:
            raise BadData(f"{remote.url}: {error}") from error
        # An earlier run left bytes of another file: start over, once.
        _download(remote, path)
        return
    part.replace(path)


def _fill(remote: Remote, part: Path) -> None:
    """Download a file in up to `ATTEMPTS` attempts, each of which resumes the last."""
    import httpx

    url, cure = remote.url, advise_mirror(remote.place)
    end = time.monotonic() + LONGEST_DOWNLOAD
    try:
        client = httpx.Client(timeout=30)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise Unreachable(f"cannot fetch {url}: {describe_failure(error)}; {cure}") from error
    with client:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(BACK_OFF * 2 ** (attempt - 1))
            try:
                return _stream(client, remote, part, end)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                reason = f"the server answers {status} {error.response.reason_phrase}"
                if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.unlink(missing_ok=True)
                elif status not in TEMPORARY_STATUSES:
                    break
            except _TooSlow:
                reason = f"the server sends less than {SLOWEST_BYTES:,} bytes in {PATIENCE:.0f} s"
            except (_TooLong, httpx.InvalidURL) as error:
                reason = describe_failure(error)
                break
            except httpx.HTTPError as error:
                reason = describe_failure(error)
            logger.info("%s: %s (attempt %d of %d)", url, reason, attempt + 1, ATTEMPTS)
    raise Unreachable(f"cannot fetch {url}: {reason}; {cure}")


class _TooSlow(Exception):  # noqa: N818 - a signal, no error
    """The server sends so little that the file would never be whole."""


class _TooLong(Exception):  # noqa: N818 - a signal, no error
    """All attempts together have taken too long."""


def _stream(client: "httpx.Client", remote: Remote, part: Path, end: float) -> None:
    """Append the missing bytes to `part`, or write all bytes if the server cannot resume.

    Parameters
    ----------
    end
        When to give up, on the clock of `time.monotonic`.
    """
    from beir_hybrid.progress import progress_bar

    url = remote.url
    size = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with closing(_request_in_time(client, url, headers)) as response:
        response.raise_for_status()
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        length = response.headers.get("Content-Length", "")
        if not resumes:
            size = 0
        total = int(length) + size if length else None
        _check_size(remote, total or 0)
        with (
            explain_write_errors(part),
            part.open("ab" if resumes else "wb") as file,
            progress_bar(Path(urlsplit(url).path).name, total) as advance,
        ):
            advance(size)
            for block in _limit(response.iter_raw(), remote, size, end):
                file.write(block)
                advance(len(block))


def _request_in_time(client: "httpx.Client", url: str, headers: dict[str, str]) -> "httpx.Response":
    """Ask for a file; raise `_TooSlow` unless the body begins soon.

    A thread asks, for a client's own timeout begins anew with each byte of a header.
    """
    answers: SimpleQueue[httpx.Response | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_request(client, url, headers))
        except Exception as error:  # noqa: BLE001 - raised again below
            answers.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=PATIENCE)
    except Empty:
        raise _TooSlow from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _request(client: "httpx.Client", url: str, headers: dict[str, str]) -> "httpx.Response":
    """Ask for a file, and follow redirects; bodies of redirects are not read."""
    for _ in range(MOST_REDIRECTS + 1):
        response = client.send(client.build_request("GET", url, headers=headers), stream=True)
        if not response.has_redirect_location:
            return response
        response.close()
        url = _find_target(response)
    raise Unreachable(f"{url} comes after {MOST_REDIRECTS} redirects: nothing was fetched")


def _find_target(response: "httpx.Response") -> str:
    """Return the address that a redirect leads to.

    Raises `Unreachable` if its scheme is another one, except from http to https.
    """
    origin, target = response.url, response.url.join(response.headers["Location"])
    if target.scheme not in (origin.scheme, "https"):
        raise Unreachable(
            f"{origin} redirects to {target.scheme}, which is less safe: nothing was fetched"
        )
    return str(target)


def _check_size(remote: Remote, size: int) -> None:
    if size > remote.most_bytes:
        raise BadData(
            f"the server sends more than the {remote.most_bytes:,} bytes that the file can have"
        )


def _limit(blocks: Iterator[bytes], remote: Remote, size: int, end: float) -> Iterator[bytes]:
    """Yield the blocks of a file; raise where there are too many bytes, or too few for long.

    Parameters
    ----------
    size
        The bytes that are there already.
    end
        When to give up.
    """
    start_time, start_size = time.monotonic(), size
    for block in blocks:
        size += len(block)
        _check_size(remote, size)
        yield block
        if time.monotonic() > end:
            hours = LONGEST_DOWNLOAD / 3600
            raise _TooLong(f"it took more than {hours:.0f} hours; fetch it again to go on")
        if time.monotonic() - start_time > PATIENCE:
            if size - start_size < SLOWEST_BYTES:
                raise _TooSlow
            start_time, start_size = time.monotonic(), size
