"""The cache of collections: each is built once, in a folder named for the recipe."""

import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.store import FORMAT, open_collection
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.errors import BadData
from beir_hybrid.files import cache_folder, explain_write_errors, file_lock, rename_folder

logger = logging.getLogger(__name__)


def load_or_build(
    name: str,
    recipe: Mapping[str, object],
    build: Callable[[CollectionWriter], None],
    *,
    has_images: bool = False,
) -> Collection:
    """Load the collection of a recipe from the cache, or build a missing one.

    Parameters
    ----------
    recipe
        Everything that the rows depend on, as JSON can hold it; collections of one name and one
        recipe share a folder.
    build
        Fills a `CollectionWriter` and calls its `finish`.

    Examples
    --------
    >>> def build(writer):
    ...     passage = writer.add_passage("en", "1", "", "Here.")
    ...     writer.add_judgement(writer.add_query("en", "1", "Where?", group="1"), passage)
    ...     writer.finish()
    >>> load_or_build("tiny", {"version": 1}, build)
    Collection('tiny', 1 language, 1 query, 1 passage)
    """
    text = json.dumps(
        {"format": FORMAT, "name": name, **recipe}, sort_keys=True, ensure_ascii=False
    )
    digest = sha256(text.encode()).hexdigest()[:16]
    slug = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:60]
    folder = cache_folder() / "collections" / f"{slug}-{digest}"
    if collection := _open_if_sound(folder, logging.DEBUG):
        return collection
    with file_lock(folder):
        if collection := _open_if_sound(folder):  # another process was faster
            return collection
        _build_folder(folder, name, build, has_images=has_images)
    return open_collection(folder)


def _build_folder(
    folder: Path, name: str, build: Callable[[CollectionWriter], None], *, has_images: bool
) -> None:
    """Build a collection in `folder`, all or nothing; remnants of killed runs are removed."""
    building = folder.with_name(f"{folder.name}.building")
    with explain_write_errors(folder):
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        building.mkdir(parents=True)
        writer = CollectionWriter(building, name, has_images=has_images)
        try:
            build(writer)
            rename_folder(building, folder)
        except BaseException:
            try:
                writer.abandon()
            finally:
                shutil.rmtree(building, ignore_errors=True)
            raise


def _open_if_sound(folder: Path, level: int = logging.WARNING) -> Collection | None:
    """Open a collection; log damage and return None."""
    try:
        return open_collection(folder)
    except BadData as error:
        if folder.exists():
            logger.log(level, "building %s anew: %s", folder, error)
        return None
