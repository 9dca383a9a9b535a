"""Files with an address and a checksum: from the mirror, the cache or the network."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
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


@dataclass(frozen=True)
class Remote:
    """A file at its origin; the checksum fixes its bytes."""

    url: str
    sha256: str
    revision: str = ""

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
    # A run may have died just before it renamed a complete file.
    if not (is_resumed and sha256(part) == remote.sha256):
        _fill(remote.url, part)
    try:
        _check_checksum(part, remote)
    except BadData as error:
        part.unlink()
        if not is_resumed:
            raise BadData(f"{remote.url}: {error}") from error
        # An earlier run left bytes of another file: start over, once.
        _download(remote, path)
        return
    part.replace(path)


def _fill(url: str, part: Path) -> None:
    """Download a file in up to `ATTEMPTS` attempts, each of which resumes the last."""
    import httpx

    cure = advise_mirror(Remote(url, "").place)
    try:
        client = httpx.Client(follow_redirects=True, timeout=30)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise Unreachable(f"cannot fetch {url}: {describe_failure(error)}; {cure}") from error
    with client:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(BACK_OFF * 2 ** (attempt - 1))
            try:
                return _stream(client, url, part)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                reason = f"the server answers {status} {error.response.reason_phrase}"
                if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.unlink(missing_ok=True)
                elif status not in TEMPORARY_STATUSES:
                    break
            except httpx.HTTPError as error:
                reason = describe_failure(error)
            logger.info("%s: %s (attempt %d of %d)", url, reason, attempt + 1, ATTEMPTS)
    raise Unreachable(f"cannot fetch {url}: {reason}; {cure}")


def _stream(client: "httpx.Client", url: str, part: Path) -> None:
    """Append the missing bytes to `part`, or write all bytes if the server cannot resume."""
    from beir_hybrid.progress import progress_bar

    size = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        length = response.headers.get("Content-Length", "")
        if not resumes:
            size = 0
        total = int(length) + size if length else None
        with (
            explain_write_errors(part),
            part.open("ab" if resumes else "wb") as file,
            progress_bar(Path(urlsplit(url).path).name, total) as advance,
        ):
            advance(size)
            for block in response.iter_raw():
                file.write(block)
                advance(len(block))
