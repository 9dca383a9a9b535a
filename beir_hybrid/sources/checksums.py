"""Checksums of the datasets' files, in lists that lie beside the modules."""

from functools import cache
from pathlib import Path


@cache
def read_checksums(name: str) -> dict[str, str]:
    """Return the SHA-256 of each file that a list of this folder names."""
    lines = Path(__file__).with_name(name).read_text("ascii").splitlines()
    return {file: checksum for checksum, file in (line.split() for line in lines)}
