"""Changes of JSON files with a checksum, as somebody makes them who changes the checksum too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from beir_hybrid.integrity import read_sealed_json, write_sealed_json


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the record of a file, and write it with its new checksum."""
    record = read_sealed_json(path, "")
    change(record)
    write_sealed_json(path, record)
