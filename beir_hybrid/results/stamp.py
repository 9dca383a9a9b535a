"""Results that are made once: a stamp beside them holds everything on which they depend."""

import logging
from pathlib import Path

from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file
from beir_hybrid.results.results import Results

logger = logging.getLogger(__name__)

_STAMP = "made.json"


def load_stamped(folder: Path, stamp: str) -> Results | None:
    """Return the results of a folder; None if they are missing, damaged or of another stamp."""
    path = folder / _STAMP
    if not path.is_file() or path.read_bytes() != stamp.encode():
        return None
    try:
        return Results.load(folder)
    except BadData as error:
        logger.warning("%s; the results are made again", error)
        return None


def save_stamped(results: Results, folder: Path, stamp: str) -> None:
    """Save results, and then their stamp; killed in between, it leaves none."""
    path = folder / _STAMP
    path.unlink(missing_ok=True)
    results.save(folder, replace=True)
    with atomic_file(path) as temporary:
        temporary.write_text(stamp, "utf-8")
