"""A pinned address in, a verified file out: from the mirror, the cache or the network."""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from beir_hybrid.errors import BadData, BadOption, Unreachable
from beir_hybrid.files import atomic_file, cache_folder, explain_write_errors, file_lock, sha256

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
logger = logging.getLogger(__name__)

ATTEMPTS = 5
HUB_ATTEMPTS = 3  # to reach the hub at all; what breaks later, it resumes by itself
HUB_TIMEOUT = 5.0  # seconds
BACK_OFF = 0.5  # seconds before the second attempt, doubled before each further one
_PASSING = {408, 429, 500, 502, 503, 504}  # statuses of servers that may answer later
# What of the environment decides how the network is reached, and may be wrong.
_NETWORK = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


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
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise BadOption(f"BEIR_HYBRID_MIRROR is {name!r}, which is no folder; mend or unset it")
    return folder


def is_offline() -> bool:
    """Tell whether ``BEIR_HYBRID_OFFLINE`` asks to keep off the network."""
    return os.environ.get("BEIR_HYBRID_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")


def fetch(remote: Remote) -> Path:
    """Return a local path of the file, downloading it once if neither mirror nor cache has it.

    A download that stops half-way is taken up where it stopped. Two processes that want the same
    file download it once.
    """
    if mirrored := _mirrored(remote.place):
        return _verified(mirrored, remote)
    path = cache_folder() / "files" / remote.place
    if path.is_file() and sha256(path) == remote.sha256:
        return path
    if is_offline():
        raise _offline(remote.url, remote.place)
    with file_lock(path):
        if path.is_file():  # another process may have been faster
            if sha256(path) == remote.sha256:
                return path
            logger.warning("%s is damaged and is fetched again", path)
        _download(remote, path)
    return path


def fetch_hub(repository: str, file: str, commit: str) -> Path:
    """Return a local path of a file of a hub dataset at a commit (see `hub_commit`).

    Mirror and cache are looked up first. Otherwise ``huggingface_hub`` downloads into a cache of
    its own, and the file is linked into ours, where it lies as in a mirror.
    """
    place = _hub_folder(repository, commit) / file
    path = cache_folder() / "files" / place
    if found := _mirrored(place) or (path if path.is_file() else None):
        return found
    with file_lock(path):
        if not path.is_file():  # another process may have been faster
            downloaded = _hub_file(repository, file, commit, place)
            with atomic_file(path) as temporary:
                try:
                    os.link(downloaded.resolve(), temporary)
                except OSError:  # another disk, or one without links
                    shutil.copyfile(downloaded, temporary)
    return path


def hub_parts(repository: str, stem: str, commit: str) -> list[str]:
    """Return the files ``STEM-00000-of-00002.parquet`` and so on of a hub dataset at a commit.

    The first one's name says how many there are; the hub is asked where neither mirror nor cache
    has it.
    """
    folder = _hub_folder(repository, commit)
    for root in (mirror_folder(), cache_folder() / "files"):
        for path in sorted((root / folder).glob(f"{stem}-00000-of-*.parquet")) if root else []:
            count = int(path.stem.rpartition("-")[2])
            return [f"{stem}-{number:05}-of-{count:05}.parquet" for number in range(count)]
    what = f"the list of files of the hub's dataset {repository}"
    place = folder / f"{stem}-00000-of-00001.parquet"
    if is_offline():
        raise _offline(what, place)
    from huggingface_hub import HfApi

    with _hub(f"cannot fetch {what}", _mirror_cure(place)):
        ask = partial(HfApi().dataset_info, repository, revision=commit, timeout=HUB_TIMEOUT)
        listed = [file.rfilename for file in _patiently(ask).siblings or []]
    part = re.compile(rf"{re.escape(stem)}-\d{{5}}-of-\d{{5}}\.parquet")
    if not (parts := sorted(filter(part.fullmatch, listed))):
        raise Unreachable(f"the hub's dataset {repository} has no {stem}-*.parquet at {commit}")
    return parts


def _hub_folder(repository: str, commit: str) -> Path:
    return Path("huggingface.co", "datasets", repository, "resolve", commit)


def hub_commit(repository: str, revision: str) -> str:
    """Return the commit that a revision (a branch, a tag) of a hub dataset stands for now."""
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    what = f"which commit {revision!r} of the hub's dataset {repository} is"
    cure = "name a commit (40 hexadecimal digits) as the revision"
    if is_offline():
        raise Unreachable(f"cannot ask {what}: BEIR_HYBRID_OFFLINE is set; {cure}")
    from huggingface_hub import HfApi

    with _hub(f"cannot ask {what}", cure):
        ask = partial(HfApi().dataset_info, repository, revision=revision, timeout=HUB_TIMEOUT)
        return str(_patiently(ask).sha)


def model_commit(name: str, revision: str | None = None) -> str:
    """Return the commit at which the hub's own cache holds a model; empty if it does not."""
    from huggingface_hub import try_to_load_from_cache

    for file in ("modules.json", "config.json"):
        known = try_to_load_from_cache(name, file, revision=revision or "main")
        if isinstance(known, str):  # .../snapshots/COMMIT/FILE
            return Path(known).parent.name
    return ""


def hub_has_model(name: str, revision: str | None = None) -> bool:
    """Return whether the hub has a model, or has to be spared: then its cache holds the model.

    Its own client would ask for a minute before it says that there is no hub.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_OFFLINE

    cached = model_commit(name, revision)
    cure = "name a folder, or bring the hub's cache (HF_HOME) from a machine that has the model"
    offline = "BEIR_HYBRID_OFFLINE" if is_offline() else "HF_HUB_OFFLINE" * HF_HUB_OFFLINE
    if offline and not cached:
        raise Unreachable(
            f"the model {name} is not in the hub's cache, and {offline} is set; {cure}"
        )
    if offline or (cached and revision == cached):
        return False
    try:
        with _hub(f"cannot ask the hub for the model {name}", cure):
            ask = partial(HfApi().model_info, name, revision=revision, timeout=HUB_TIMEOUT)
            _patiently(ask)
    except Unreachable as error:
        if not cached:
            raise
        logger.warning("%s; what the hub's cache has of it is used", error)
        return False
    return True


def _hub_file(repository: str, file: str, commit: str, place: Path) -> Path:
    """Return where the hub's own cache holds a file, downloading it if it has to."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    what = f"{file} of the hub's dataset {repository}"
    known = {"repo_type": "dataset", "revision": commit}
    download = partial(hf_hub_download, repository, file, **known)
    try:
        return Path(download(local_files_only=True))
    except OSError as error:
        if is_offline():
            raise _offline(what, place) from error
    home, cache = Path(constants.HF_HOME), Path(constants.HF_HUB_CACHE)
    with (
        _hub(f"cannot fetch {what}", _mirror_cure(place)),
        explain_write_errors(home, "HF_HOME"),
        explain_write_errors(cache, "HF_HOME"),
    ):
        # The download asks for long before it says that there is no hub: ask it briefly first.
        url = hf_hub_url(repository, file, **known)
        _patiently(partial(get_hf_file_metadata, url, timeout=HUB_TIMEOUT))
        return Path(download())


@contextmanager
def _hub(what: str, cure: str) -> Iterator[None]:
    """Turn what goes wrong between us and the hub into `Unreachable`; keep its log to errors."""
    # The root of httpx's errors or of httpx2's: the hub's versions differ in which one they use.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    talk = logging.getLogger("huggingface_hub")
    level = talk.level
    talk.setLevel(logging.ERROR)
    try:
        yield
    except (HTTPError, OSError, ImportError, ValueError) as error:
        raise Unreachable(f"{what}: {_reason(error)}; {cure}") from error
    finally:
        talk.setLevel(level)


def _patiently(ask: Callable[[], T]) -> T:
    """Ask the hub something, and again after a while if it cannot be reached."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    for wait in [BACK_OFF * 2**attempt for attempt in range(HUB_ATTEMPTS - 1)]:
        try:
            return ask()
        except HTTPError as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code not in _PASSING:
                raise
            logger.info("the hub cannot be reached: %s", error)
            time.sleep(wait)
    return ask()


def _mirrored(place: Path) -> Path | None:
    mirror = mirror_folder()
    return mirror / place if mirror and (mirror / place).is_file() else None


def _mirror_cure(place: Path) -> str:
    return f"on a machine without internet, set BEIR_HYBRID_MIRROR to a folder that holds {place}"


def _offline(what: str, place: Path) -> Unreachable:
    return Unreachable(
        f"{what} is not in the cache {cache_folder()}, and BEIR_HYBRID_OFFLINE is set; fetch it on "
        "a connected machine and set BEIR_HYBRID_MIRROR to the folder 'files' of its cache, or to "
        f"another one that holds {place}"
    )


def _reason(error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    settings = [name for name in os.environ if name.upper() in _NETWORK]
    # The values are left out: a proxy's address may hold a password.
    refused = isinstance(error, ImportError | OSError | ValueError)  # before anybody was asked
    offline = isinstance(error, ConnectionError)  # so the hub's client, where it is told to be
    if settings and refused and not offline and not hasattr(error, "response"):
        reason += f" (the environment sets {', '.join(sorted(settings))})"
    return reason


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

    cure = _mirror_cure(Remote(url, "").place)
    try:
        client = httpx.Client(follow_redirects=True, timeout=30)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise Unreachable(f"cannot fetch {url}: {_reason(error)}; {cure}") from error
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
                elif status not in _PASSING:
                    break
            except httpx.HTTPError as error:
                reason = _reason(error)
            logger.info("%s: %s (attempt %d of %d)", url, reason, attempt + 1, ATTEMPTS)
    raise Unreachable(f"cannot fetch {url}: {reason}; {cure}")


def _stream(client: "httpx.Client", url: str, part: Path) -> None:
    """Append to `part` what it lacks, or write it anew where the server cannot resume."""
    from beir_hybrid.progress import progress_bar

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        rest = response.headers.get("Content-Length", "")
        if not resumes:
            have = 0
        with (
            explain_write_errors(part),
            part.open("ab" if resumes else "wb") as file,
            progress_bar(
                Path(urlsplit(url).path).name, int(rest) + have if rest else None
            ) as advance,
        ):
            advance(have)
            for block in response.iter_raw():
                file.write(block)
                advance(len(block))
