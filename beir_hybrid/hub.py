"""Hugging Face's hub: files of datasets at a commit, commits of models, and uploads."""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from beir_hybrid.errors import BadOption, Unreachable
from beir_hybrid.files import atomic_file, cache_folder, explain_write_errors, file_lock
from beir_hybrid.network import (
    BACK_OFF,
    TEMPORARY_STATUSES,
    advise_mirror,
    describe_failure,
    find_in_mirror,
    is_offline,
    mirror_folder,
    offline_error,
)

T = TypeVar("T")
logger = logging.getLogger(__name__)

ATTEMPTS = 3  # to reach the hub at all; its own client resumes downloads that break later
TIMEOUT = 5.0  # seconds


def fetch_hub_file(repository: str, file: str, commit: str) -> Path:
    """Return a local path of a file of a hub dataset at a commit (see `find_commit`).

    Mirror and cache are searched first. Otherwise ``huggingface_hub`` downloads the file into its
    own cache, and the file is linked into ours, at the same place as in a mirror.
    """
    place = _name_folder(repository, commit) / file
    path = cache_folder() / "files" / place
    if path_in_mirror := find_in_mirror(place):
        return path_in_mirror
    if path.is_file():
        return path
    with file_lock(path):
        if not path.is_file():  # another process may have been faster
            download = _download(repository, file, commit, place)
            with atomic_file(path) as temporary:
                temporary.unlink()
                try:
                    os.link(download.resolve(), temporary)
                except OSError:  # another disk, or one without links
                    shutil.copyfile(download, temporary)
    return path


def list_hub_parts(repository: str, stem: str, commit: str) -> list[str]:
    """Return the files ``STEM-00000-of-00002.parquet`` and so on of a hub dataset at a commit.

    The name of the first file says how many there are; only if neither mirror nor cache has that
    file, the hub is asked.
    """
    folder = _name_folder(repository, commit)
    for root in (mirror_folder(), cache_folder() / "files"):
        for path in sorted((root / folder).glob(f"{stem}-00000-of-*.parquet")) if root else []:
            count = int(path.stem.rpartition("-")[2])
            return [f"{stem}-{number:05}-of-{count:05}.parquet" for number in range(count)]
    subject = f"the list of files of the hub's dataset {repository}"
    place = folder / f"{stem}-00000-of-00001.parquet"
    if is_offline():
        raise offline_error(subject, place)
    from huggingface_hub import HfApi

    with _explain_hub_errors(f"cannot fetch {subject}", advise_mirror(place)):
        ask = partial(HfApi().dataset_info, repository, revision=commit, timeout=TIMEOUT)
        files = [file.rfilename for file in _ask_repeatedly(ask).siblings or []]
    pattern = re.compile(rf"{re.escape(stem)}-\d{{5}}-of-\d{{5}}\.parquet")
    if not (parts := sorted(filter(pattern.fullmatch, files))):
        raise Unreachable(f"the hub's dataset {repository} has no {stem}-*.parquet at {commit}")
    return parts


def find_commit(repository: str, revision: str) -> str:
    """Return the commit that a revision (a branch, a tag) of a hub dataset stands for now."""
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    subject = f"which commit {revision!r} of the hub's dataset {repository} is"
    cure = "name a commit (40 hexadecimal digits) as the revision"
    if is_offline():
        raise Unreachable(f"cannot ask {subject}: BEIR_HYBRID_OFFLINE is set; {cure}")
    from huggingface_hub import HfApi

    with _explain_hub_errors(f"cannot ask {subject}", cure):
        ask = partial(HfApi().dataset_info, repository, revision=revision, timeout=TIMEOUT)
        return str(_ask_repeatedly(ask).sha)


def find_cached_commit(name: str, revision: str | None = None) -> str:
    """Return the commit at which the hub's own cache holds a model, or an empty text."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for file in ("modules.json", "config.json"):
        try:
            path = try_to_load_from_cache(name, file, revision=revision or "main")
        except HFValidationError as error:
            raise BadOption(f"no model can be called {name!r:.80}: {error}") from error
        if isinstance(path, str):  # .../snapshots/COMMIT/FILE
            return Path(path).parent.name
    return ""


def find_offline_setting() -> str:
    """Return the variable of the environment that forbids the hub, or an empty text."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return "BEIR_HYBRID_OFFLINE" if is_offline() else "HF_HUB_OFFLINE" * HF_HUB_OFFLINE


@contextmanager
def restrict_datasets() -> Iterator[None]:
    """Have `datasets` and the hub's client read their caches alone in offline mode."""
    if not is_offline():
        yield
        return
    from datasets import config
    from huggingface_hub import constants

    values = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = values


def can_load_from_hub(name: str, revision: str | None = None) -> bool:
    """Return True to load a model from the hub, False to load the model from the hub's cache.

    Raise `Unreachable` if neither has the model. The hub's own client would retry for a minute
    before it says that there is no hub.
    """
    from huggingface_hub import HfApi

    commit = find_cached_commit(name, revision)
    cure = "name a folder, or bring the hub's cache (HF_HOME) from a machine that has the model"
    offline_setting = find_offline_setting()
    if offline_setting and not commit:
        raise Unreachable(
            f"the model {name} is not in the hub's cache, and {offline_setting} is set; {cure}"
        )
    if offline_setting or (commit and revision == commit):
        return False
    try:
        with _explain_hub_errors(f"cannot ask the hub for the model {name}", cure):
            ask = partial(HfApi().model_info, name, revision=revision, timeout=TIMEOUT)
            _ask_repeatedly(ask)
    except Unreachable as error:
        if not commit:
            raise
        logger.warning("%s; the model is loaded from the hub's cache", error)
        return False
    return True


def upload_files(
    files: Sequence[Path], folder: Path, repository: str, repository_type: str
) -> None:
    """Upload files of a folder to a repository of the hub; a new one is private.

    Parameters
    ----------
    repository_type
        ``model`` or ``dataset``.
    """
    if is_offline():
        raise Unreachable("cannot upload: BEIR_HYBRID_OFFLINE is set")
    from huggingface_hub import CommitOperationAdd, HfApi

    api, cure = HfApi(), "log in with `hf auth login`, and name a repository that is yours"
    with _explain_hub_errors(f"cannot upload to {repository}", cure):
        api.create_repo(repository, repo_type=repository_type, private=True, exist_ok=True)
        api.create_commit(
            repository,
            [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files],
            repo_type=repository_type,
            commit_message="Add scores by beir-hybrid",
        )


def _name_folder(repository: str, commit: str) -> Path:
    """Return the folder of a dataset's files in a mirror and in the cache."""
    return Path("huggingface.co", "datasets", repository, "resolve", commit)


def _download(repository: str, file: str, commit: str, place: Path) -> Path:
    """Return the path of a file in the hub's own cache, downloading a missing file."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    subject = f"{file} of the hub's dataset {repository}"
    address = {"repo_type": "dataset", "revision": commit}
    download = partial(hf_hub_download, repository, file, **address)
    try:
        return Path(download(local_files_only=True))
    except OSError as error:
        if is_offline():
            raise offline_error(subject, place) from error
    home, cache = Path(constants.HF_HOME), Path(constants.HF_HUB_CACHE)
    with (
        _explain_hub_errors(f"cannot fetch {subject}", advise_mirror(place)),
        explain_write_errors(home, "HF_HOME"),
        explain_write_errors(cache, "HF_HOME"),
    ):
        # The download retries for long before it says that there is no hub: ask briefly first.
        url = hf_hub_url(repository, file, **address)
        _ask_repeatedly(partial(get_hf_file_metadata, url, timeout=TIMEOUT))
        return Path(download())


@contextmanager
def _explain_hub_errors(failure: str, cure: str) -> Iterator[None]:
    """Turn errors of the hub's client into `Unreachable`, and silence its log except for errors."""
    # The root of httpx's errors or of httpx2's: the hub's versions differ in which one they use.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    hub_logger = logging.getLogger("huggingface_hub")
    level = hub_logger.level
    hub_logger.setLevel(logging.ERROR)
    try:
        yield
    except (HTTPError, OSError, ImportError, ValueError) as error:
        raise Unreachable(f"{failure}: {describe_failure(error)}; {cure}") from error
    finally:
        hub_logger.setLevel(level)


def _ask_repeatedly(ask: Callable[[], T]) -> T:
    """Call the hub, several times if the hub cannot be reached."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    for wait in [BACK_OFF * 2**attempt for attempt in range(ATTEMPTS - 1)]:
        try:
            return ask()
        except HTTPError as error:
            if (
                isinstance(error, HfHubHTTPError)
                and error.response.status_code not in TEMPORARY_STATUSES
            ):
                raise
            logger.info("the hub cannot be reached: %s", error)
            time.sleep(wait)
    return ask()
