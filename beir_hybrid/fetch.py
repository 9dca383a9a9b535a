"""A pinned address in, a verified file out: from the mirror, the cache or the network."""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from beir_hybrid.errors import BadData, Unreachable
from beir_hybrid.files import cache_folder, locked, sha256, writing

logger = logging.getLogger(__name__)

ATTEMPTS = 5
BACK_OFF = 0.5  # seconds before the second attempt, doubled before each further one


@dataclass(frozen=True)
class Remote:
    """A file at its origin; its bytes are pinned by their SHA-256."""

    url: str
    sha256: str
    revision: str = ""

    @property
    def place(self) -> Path:
        """Where it lies in a mirror and in the cache: ``HOST/PATH``."""
        parts = urlsplit(self.url)
        # A port's colon is no good in a folder's name on every system.
        return Path(parts.netloc.replace(":", "_"), *unquote(parts.path).strip("/").split("/"))


def mirror_folder() -> Path | None:
    """Return the folder that ``BEIR_HYBRID_MIRROR`` names, if it names one."""
    name = os.environ.get("BEIR_HYBRID_MIRROR")
    return Path(name).expanduser() if name else None


def is_offline() -> bool:
    """Tell whether ``BEIR_HYBRID_OFFLINE`` asks to keep off the network."""
    return os.environ.get("BEIR_HYBRID_OFFLINE", "").lower() not in ("", "0", "false", "no")


def fetch(remote: Remote) -> Path:
    """Return a local path of the file, downloading it once if neither mirror nor cache has it.

    A download that stops half-way is taken up where it stopped. Two processes that want the same
    file download it once.
    """
    if (mirror := mirror_folder()) and (mirror / remote.place).is_file():
        return _verified(mirror / remote.place, remote)
    path = cache_folder() / "files" / remote.place
    if path.is_file() and sha256(path) == remote.sha256:
        return path
    if is_offline():
        raise Unreachable(f"{remote.url} is not in the cache, and BEIR_HYBRID_OFFLINE is set")
    with locked(path):
        if path.is_file():  # another process may have been faster
            if sha256(path) == remote.sha256:
                return path
            logger.warning("%s is damaged and is fetched again", path)
        _download(remote, path)
    return path


def fetch_hub(repository: str, file: str, revision: str) -> tuple[Path, str]:
    """Return a local path of a file of a hub dataset, and the commit that it is of.

    The mirror is looked up first; otherwise ``huggingface_hub`` downloads into its own cache.
    """
    from huggingface_hub import constants, hf_hub_download

    # The root of httpx's errors or of httpx2's: the hub's versions differ in which one they use.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    place = Path("huggingface.co", "datasets", repository, "resolve", revision, file)
    if (mirror := mirror_folder()) and (mirror / place).is_file():
        return mirror / place, revision
    try:
        with writing(Path(constants.HF_HUB_CACHE), "HF_HOME"):
            path = hf_hub_download(
                repository,
                file,
                repo_type="dataset",
                revision=revision,
                local_files_only=is_offline(),
            )
    except (HTTPError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Unreachable(
            f"cannot fetch {file} of the hub's dataset {repository}: {reason}; on a machine "
            f"without internet, set BEIR_HYBRID_MIRROR to a folder that holds {place}"
        ) from error
    # The hub's cache keeps files under snapshots/COMMIT/.
    parts = Path(path).parts
    return Path(path), parts[parts.index("snapshots") + 1]


def _verified(path: Path, remote: Remote) -> Path:
    found = sha256(path)
    if found != remote.sha256:
        raise BadData(f"wrong checksum of {path}: expected {remote.sha256}, found {found}")
    return path


def _download(remote: Remote, path: Path) -> None:
    """Fill ``path.part`` in as many attempts as it takes, verify it, and rename it."""
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    if not (resumed and sha256(part) == remote.sha256):  # else a run died just before the rename
        _fill(remote.url, part)
    try:
        _verified(part, remote)
    except BadData as error:
        part.unlink()
        if not resumed:
            raise BadData(f"{remote.url}: {error}") from error
        # What an earlier run had left was of other bytes: start over, once.
        _download(remote, path)
        return
    part.replace(path)


def _fill(url: str, part: Path) -> None:
    import httpx

    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(BACK_OFF * 2 ** (attempt - 1))
        try:
            return _stream(url, part)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            reason = f"the server answers {status} {error.response.reason_phrase}"
            if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            elif status < httpx.codes.INTERNAL_SERVER_ERROR and status not in (408, 429):
                break
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
        logger.info("%s: %s (attempt %d of %d)", url, reason, attempt + 1, ATTEMPTS)
    raise Unreachable(
        f"cannot fetch {url}: {reason}; on a machine without internet, set BEIR_HYBRID_MIRROR "
        f"to a folder that holds {Remote(url, '').place}"
    )


def _stream(url: str, part: Path) -> None:
    """Append to `part` what it lacks, or write it anew where the server cannot resume."""
    import httpx

    from beir_hybrid.progress import progress

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with (
        httpx.Client(follow_redirects=True, timeout=30) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        response.raise_for_status()
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        rest = response.headers.get("Content-Length", "")
        if not resumes:
            have = 0
        with (
            writing(part),
            part.open("ab" if resumes else "wb") as file,
            progress(Path(urlsplit(url).path).name, int(rest) + have if rest else None) as advance,
        ):
            advance(have)
            for block in response.iter_raw():
                file.write(block)
                advance(len(block))
