"""Reading of the arrays of a calibration, whose file may be a stranger's."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from beir_hybrid.errors import BadData
from beir_hybrid.files import explain_read_errors


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read arrays of a file of `np.savez` by name; refuse those that the file has no room for."""
    with (
        explain_read_errors(path, "is no calibration"),
        np.load(path, allow_pickle=False) as archive,
    ):
        for name in names:
            with archive.zip.open(f"{name}.npy") as file:
                npy.read_magic(file)
                shape, _, dtype = npy.read_array_header_1_0(file)
            if math.prod(shape) * dtype.itemsize > path.stat().st_size:
                raise BadData(f"{path} is no calibration: its {name} would not fit into the file")
        return {name: archive[name] for name in names}
