"""Files of a folder of results, without symbolic links: pages would publish their targets."""

import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link, and warn that such a link is left out."""
    if not path.is_symlink():
        return False
    logger.warning("%s is a symbolic link and is left out; name the folder that it points at", path)
    return True


def is_plain_file(path: Path) -> bool:
    """Return whether a path is a file, and no symbolic link."""
    return path.is_file() and not is_link(path)
