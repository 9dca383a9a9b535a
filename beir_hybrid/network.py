"""The network and its substitutes: the mirror, offline mode, and advice when neither has a file."""

import os
from pathlib import Path

from beir_hybrid.errors import BadOption, Unreachable
from beir_hybrid.files import cache_folder

BACK_OFF = 0.5  # seconds before the second attempt, doubled before each further one
# Statuses of servers that may answer later.
TEMPORARY_STATUSES = {408, 429, 500, 502, 503, 504}
# Environment variables that decide how the network is reached, and may be wrong.
_NETWORK_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


def mirror_folder() -> Path | None:
    """Return the folder that ``BEIR_HYBRID_MIRROR`` names, or None."""
    name = os.environ.get("BEIR_HYBRID_MIRROR")
    if not name:
        return None
    folder = Path(os.path.expanduser(name))  # noqa: PTH111 - `expanduser` of a path raises
    if not folder.is_dir():
        raise BadOption(f"BEIR_HYBRID_MIRROR is {name!r}, which is no folder; mend or unset it")
    return folder


def is_offline() -> bool:
    """Return whether ``BEIR_HYBRID_OFFLINE`` forbids the network."""
    return os.environ.get("BEIR_HYBRID_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")


def find_in_mirror(place: Path) -> Path | None:
    """Return the path of a file in the mirror, or None without mirror or file."""
    mirror = mirror_folder()
    return mirror / place if mirror and (mirror / place).is_file() else None


def advise_mirror(place: Path) -> str:
    """Return the advice to set up a mirror that holds a file."""
    return f"on a machine without internet, set BEIR_HYBRID_MIRROR to a folder that holds {place}"


def offline_error(subject: str, place: Path) -> Unreachable:
    """Return the error for a file that offline mode keeps from being fetched."""
    return Unreachable(
        f"{subject} is not in the cache {cache_folder()}, and BEIR_HYBRID_OFFLINE is set; fetch it "
        "on a connected machine and set BEIR_HYBRID_MIRROR to the folder 'files' of its cache, or "
        f"to another one that holds {place}"
    )


def describe_failure(error: Exception) -> str:
    """Return the reason of a failed connection in one line, with the settings that may be wrong."""
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    settings = [name for name in os.environ if name.upper() in _NETWORK_VARIABLES]
    # The values are left out: a proxy's address may hold a password.
    is_local = isinstance(error, ImportError | OSError | ValueError)  # before anybody was asked
    is_forbidden = isinstance(error, ConnectionError)  # the hub's client in offline mode
    if settings and is_local and not is_forbidden and not hasattr(error, "response"):
        reason += f" (the environment sets {', '.join(sorted(settings))})"
    return reason
