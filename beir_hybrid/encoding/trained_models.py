"""Models that `bh.train` saved, with the checksums and queries in the record of their training."""

from pathlib import Path

from beir_hybrid.encoding.text_sketch import SketchRecord, TextSketch
from beir_hybrid.files import is_file
from beir_hybrid.integrity import CHECKSUM, FileRecord, read_sealed_json, verify_files
from beir_hybrid.records import from_record, read_json

MODEL, RECORD = "model", "training.json"  # a folder and a file beside each other
QUERIES = "queries"  # the key of the record with the sketch of the queries
_CURE = f"train again, or remove {RECORD} if you changed the model yourself"


def read_trained_queries(folder: Path) -> TextSketch | None:
    """Read the sketch of the queries that a model of `bh.train` was trained on, if it has one."""
    folder = folder.resolve()
    path = folder.parent / RECORD
    if folder.name != MODEL or not is_file(path):
        return None
    record = read_json(path)
    if not isinstance(record, dict) or QUERIES not in record:
        return None  # the record of another program, or an older one
    place = f"{path}: {QUERIES}"
    return TextSketch.from_record(from_record(SketchRecord, record[QUERIES], place), place)


def verify_trained_model(folder: Path) -> None:
    """Raise `BadData` if a model of `bh.train` changed since, the first time in a process.

    Other models have no checksums, nor has a model that was copied without its record.
    """
    folder = folder.resolve()
    path = folder.parent / RECORD
    if folder.name != MODEL or not is_file(path):
        return
    record = read_json(path)
    if isinstance(record, dict) and record.keys().isdisjoint((CHECKSUM, "recipe")):
        return  # the record of another program
    files = read_sealed_json(path, _CURE).get("files", {})
    verify_files(folder, from_record(dict[str, FileRecord], files, f"{path}: files"), _CURE)
