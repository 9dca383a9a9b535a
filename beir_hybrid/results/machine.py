"""The machine and the packages that a result was made with, as JSON can hold them."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Those whose arithmetic values depend on; what a model depends on is in its fingerprint.
_PACKAGES = ("ir-measures", "numpy", "sentence-transformers", "torch")


def versions() -> dict[str, str]:
    """Return the versions of the packages that can change values."""
    return {name: version(name) for name in _PACKAGES}


def machine() -> dict[str, Any]:
    """Return what explains the seconds: processor, cores, memory, GPU if torch sees one."""
    known = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory in GiB": _memory(),
    }
    torch = sys.modules.get("torch")  # where nothing has imported it, it played no part
    if torch is not None and torch.cuda.is_available():
        known["gpu"] = torch.cuda.get_device_name()
    return known


def _processor() -> str:
    """Return the model's name, which `platform` does not know on Linux."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text("utf-8").splitlines() if table.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _memory() -> float | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:  # as on Windows
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
