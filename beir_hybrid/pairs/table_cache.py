"""Tables of groups in the cache: written once for a recipe, and mapped into memory."""

import hashlib
import logging
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_folder, cache_folder, explain_read_errors, file_lock
from beir_hybrid.integrity import (
    FileRecord,
    format_sealed_json,
    read_sealed_json,
    record_files,
    verify_files,
)
from beir_hybrid.pairs.group_parser import GroupParser, build_tables
from beir_hybrid.pairs.images import fingerprint_images
from beir_hybrid.records import from_record

logger = logging.getLogger(__name__)

_FACTS_FILE = "facts.json"  # beside the tables
_CURE = "the tables are built anew"


@dataclass(frozen=True)
class _Facts:
    """The record of the tables of a folder."""

    files: dict[str, FileRecord]
    counts: dict[str, int]  # of problems in the groups, see `GroupParser`
    first: dict[str, str]
    images: str  # see `fingerprint_images`


def cache_tables(
    recipe: str, groups: Iterable[object], parser: GroupParser, folder: Path | None = None
) -> list[pa.Table]:
    """Return the memory-mapped tables of groups; build tables that the cache lacks.

    They are built anew if one of their images has changed.

    Parameters
    ----------
    recipe
        Everything that the tables depend on.
    groups
        Read only if the tables are built.
    folder
        The folder that paths of images are relative to.
    """
    name = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    tables_folder = cache_folder() / "pairs" / name
    with file_lock(tables_folder.with_name(f"{name}.building")):  # `atomic_folder` locks it, too
        facts = _read_facts(tables_folder, folder)
        if facts is None:
            shutil.rmtree(tables_folder, ignore_errors=True)
            with atomic_folder(tables_folder) as building:
                facts = _build(building, groups, parser, folder)
    parser.counts, parser.first = facts.counts, facts.first
    parser.report()
    return [map_table(tables_folder / name) for name in sorted(facts.files)]


def map_table(path: Path) -> pa.Table:
    """Return a table of a file, mapped into memory."""
    with explain_read_errors(path, "is no Arrow file"):
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _build(
    building: Path, groups: Iterable[object], parser: GroupParser, folder: Path | None
) -> _Facts:
    """Write the tables of groups and the facts about tables into a folder."""
    for number, table in enumerate(build_tables(groups, parser)):
        path = building / f"{number:05}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    paths = sorted(building.iterdir())
    facts = _Facts(
        files=record_files(building, [path.name for path in paths]),
        counts=dict(parser.counts),
        first=dict(parser.first),
        images=fingerprint_images(map(map_table, paths), folder),
    )
    (building / _FACTS_FILE).write_text(format_sealed_json(asdict(facts)), "utf-8")
    return facts


def _read_facts(tables_folder: Path, folder: Path | None) -> _Facts | None:
    """Return the facts about a folder's tables; None if tables are damaged or images changed."""
    if not tables_folder.exists():
        return None
    path = tables_folder / _FACTS_FILE
    try:
        facts = from_record(_Facts, read_sealed_json(path, _CURE), str(path))
        verify_files(tables_folder, facts.files, _CURE)
    except BadData as error:
        logger.warning("%s", error)
        return None
    if facts.images:
        tables = (map_table(tables_folder / name) for name in sorted(facts.files))
        try:
            images = fingerprint_images(tables, folder)
        except OSError:  # an image is missing
            return None
        if facts.images != images:
            return None
    return facts
