"""Steps from a file of groups to another: finished once, recorded beside the file, never mixed.

Beside ``OUT.jsonl`` a step leaves ``OUT.record.json``, with its request and its counts, and
``OUT.dropped.jsonl``, with what it has left out and why. A killed step leaves nothing of these.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from beir_hybrid._version import __version__
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file, check_writable, file_lock, is_file
from beir_hybrid.integrity import (
    FileRecord,
    format_sealed_json,
    read_sealed_json,
    record_file,
    verify_files,
)
from beir_hybrid.records import from_record

_CURE = "remove it and run again"
Counts = dict[str, Any]  # numbers, or such counts, by name
Write = Callable[[TextIO, TextIO], Counts]


@dataclass(frozen=True)
class StepRecord:
    """The options and the outcome of a step.

    Attributes
    ----------
    options
        Everything besides the source that the files depend on.
    source
        The size and checksum of the file of groups that the step read.
    counts
        How many groups and texts there were, and what became of them.
    files
        Sizes and checksums of the files that the step wrote.
    """

    step: str
    options: dict[str, Any]
    source: FileRecord
    counts: Counts
    files: dict[str, FileRecord]
    version: str


@dataclass(frozen=True)
class StepFiles:
    """The file of groups that a step writes, and those beside it."""

    output: Path

    def __post_init__(self) -> None:
        if self.output.suffix != ".jsonl":
            raise BadOption(f"the output is {self.output}; its name must end in .jsonl")

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """All files that the step writes."""
        return self.output, self.dropped, self.record

    @property
    def dropped(self) -> Path:
        """The file of dropped texts and groups."""
        return self.output.with_suffix(".dropped.jsonl")

    @property
    def record(self) -> Path:
        """The file of the step's record."""
        return self.output.with_suffix(".record.json")


def run_step(
    step: str, source: Path, output: Path, options: Mapping[str, object], write: Write
) -> StepRecord:
    """Write a file of groups and its side files, or find them finished by an earlier run.

    Parameters
    ----------
    options
        Everything besides the source that the files depend on.
    write
        Writes groups to its first argument and what is left out to its second, and returns counts.

    Raises
    ------
    BadOption
        If the output is of another request, or of something else.
    """
    files = StepFiles(output)
    if not is_file(source):
        raise BadData(f"there is no file {source}")
    if source.absolute() in (path.absolute() for path in files.paths):
        raise BadOption(f"{source} is the file to read; name another output than {output}")
    check_writable(output)
    request = json.loads(
        json.dumps({"step": step, "options": options, "source": record_file(source)})
    )
    with file_lock(output):
        if (record := _find_finished(files, request)) is not None:
            return record
        return _write_files(files, request, write)


def _find_finished(files: StepFiles, request: Mapping[str, Any]) -> StepRecord | None:
    """Return the record of the finished step of a request; None if there is nothing."""
    if not is_file(files.record):
        for path in files.paths:
            if path.exists():
                raise BadOption(f"{path} is there, and no file of this step; name another output")
        return None
    try:
        stored = read_sealed_json(files.record, _CURE)
        record = from_record(StepRecord, stored, str(files.record))
    except BadData as error:
        if is_file(files.output):
            raise
        raise BadOption(
            f"{files.record} is there, and no record of a step; name another output than "
            f"{files.output}"
        ) from error
    if not is_file(files.output):  # it was removed, or a run was killed before its last step
        return None
    if differences := _list_differences(asdict(record), request):
        raise BadOption(
            f"{files.output} was made with another {' and '.join(differences[:3])}; remove it, or "
            "name another"
        )
    verify_files(files.output.parent, record.files, _CURE)
    return record


def _list_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the parts of two requests that differ; of options, their names."""
    options = sorted({*old["options"], *new["options"]})
    return [
        *(key for key in ("step", "source") if old[key] != new[key]),
        *(name for name in options if old["options"].get(name) != new["options"].get(name)),
    ]


def _write_files(files: StepFiles, request: Mapping[str, Any], write: Write) -> StepRecord:
    """Write the files of a step: the record takes its name first, that of the groups last."""
    with (
        atomic_file(files.output) as groups_path,
        atomic_file(files.dropped) as dropped_path,
        atomic_file(files.record) as record_path,
    ):
        with (
            groups_path.open("w", encoding="utf-8") as groups,
            dropped_path.open("w", encoding="utf-8") as dropped,
        ):
            counts = write(groups, dropped)
        records = {
            files.output.name: record_file(groups_path),
            files.dropped.name: record_file(dropped_path),
        }
        record = StepRecord(**request, counts=counts, files=records, version=__version__)
        record_path.write_text(format_sealed_json(asdict(record)), "utf-8")
    return record
