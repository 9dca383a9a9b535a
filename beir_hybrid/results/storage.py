"""The files of a folder of results, written so that no kill leaves a mixture of two."""
# mypy: allow-untyped-calls
# (pyarrow.parquet leaves functions without types.)

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from beir_hybrid.errors import BadData
from beir_hybrid.files import (
    atomic_file,
    explain_read_errors,
    explain_write_errors,
    file_lock,
    is_file,
)
from beir_hybrid.integrity import compute_checksum, read_sealed_json, write_sealed_json
from beir_hybrid.records import from_record

FORMAT = 2
RESULTS, PER_QUERY, TIMING = "results.json", "per_query.parquet", "timing.json"
_CURE = "evaluate again"
NEW_TABLE = "results.coming.parquet"  # the table's name until `RESULTS` has its checksum


def write_results(
    folder: Path,
    record: Mapping[str, object],
    timing: Mapping[str, object],
    table: pa.Table,
    check: Callable[[], None],
) -> None:
    """Write the three files; killed at any moment, the old results or the new ones are whole.

    Parameters
    ----------
    check
        Raises an error if the files that are there have to stay; no other process writes then.
    """
    import pyarrow.parquet as pq

    path, new_table = folder / RESULTS, folder / NEW_TABLE
    # The lock removes the temporary files of `RESULTS` and `NEW_TABLE` that a kill left.
    with file_lock(folder / "results"), explain_write_errors(path):
        _finish_save(folder)
        check()
        with atomic_file(new_table) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        write_sealed_json(folder / TIMING, timing)
        checksum = compute_checksum(new_table)
        write_sealed_json(path, {"format": FORMAT, **record, "per_query": checksum})
        _finish_save(folder)


def is_results_folder(folder: Path) -> bool:
    """Return whether a folder holds results."""
    return is_file(folder / RESULTS) and is_file(folder / PER_QUERY)


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``results.json``; raise `BadData` if the file is missing or of a newer version."""
    path = folder / RESULTS
    if not is_file(path):
        raise BadData(f"{folder} holds no results: it lacks {RESULTS}")
    record = read_sealed_json(path, _CURE)
    version = from_record(int, record.get("format"), f"{path}: format")
    if version > FORMAT:
        raise BadData(
            f"{path} has format {version}, and this version reads {FORMAT}: upgrade beir-hybrid"
        )
    return record


def read_table(folder: Path, checksum: str) -> pa.Table:
    """Return the table with a checksum; raise `BadData` if there is none."""
    import pyarrow.parquet as pq

    path = _find_table(folder, checksum)
    with explain_read_errors(path, "is no table of results"):
        return pq.ParquetFile(path).read().unify_dictionaries()


def read_timing(folder: Path) -> object:
    """Read ``timing.json``; return an empty record if the file is missing."""
    path = folder / TIMING
    if not path.is_file():
        return {}
    return read_sealed_json(path, "remove it, for results can be read without")


def _finish_save(folder: Path) -> None:
    """Give the new table its name if `RESULTS` has its checksum; a kill may have prevented that."""
    new_table, path = folder / NEW_TABLE, folder / RESULTS
    if new_table.is_file() and path.is_file():
        try:
            checksum = read_record(folder).get("per_query")
        except BadData:
            return
        if checksum == compute_checksum(new_table):
            new_table.replace(folder / PER_QUERY)


def _find_table(folder: Path, checksum: str) -> Path:
    """Return the file of the table with a checksum."""
    # The last name again, for a save may just have renamed it.
    for path in (folder / PER_QUERY, folder / NEW_TABLE, folder / PER_QUERY):
        with suppress(BadData), explain_read_errors(path, "is no table of results"):
            if compute_checksum(path) == checksum:
                return path
    path = folder / PER_QUERY
    reason = "is damaged: its checksum is another" if path.is_file() else "is not there"
    raise BadData(f"{path} {reason}; {_CURE}")
