"""Files of training groups for tests, and what steps leave beside them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """Write rows as JSON lines; return the path."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read_step(output: Path) -> dict[str, bytes]:
    """Return the bytes of the files that a step wrote."""
    endings = (".jsonl", ".dropped.jsonl", ".record.json")
    return {ending: output.with_suffix(ending).read_bytes() for ending in endings}
