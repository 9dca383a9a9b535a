"""Arrays in ``.npy`` files."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap


def map_array(path: Path) -> np.ndarray:
    """Map the array of a ``.npy`` file into memory.

    numpy reads the header with Python's own parser, which in CPython 3.11 fails now and then in a
    program with several threads (gh-106905), whatever the file holds: then try again.
    """
    for _ in range(2):
        with suppress(SystemError):
            return open_memmap(path, mode="r")
    return open_memmap(path, mode="r")
