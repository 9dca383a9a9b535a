"""The machine and the package versions that results were made with."""

import os
import platform
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from beir_hybrid.records import json_key

# The packages whose arithmetic values depend on; those of a model are in its fingerprint.
_PACKAGES = ("ir-measures", "numpy", "sentence-transformers", "torch")


@dataclass(frozen=True)
class Machine:
    """The machine that an evaluation ran on, which explains its seconds."""

    system: str = ""
    python: str = ""
    processor: str = ""
    cores: int | None = field(default=0, metadata=json_key("cores"))
    memory: float | None = field(default=0.0, metadata=json_key("memory in GiB"))
    gpu: str | None = None


def list_versions() -> dict[str, str]:
    """Return the versions of the packages that can change values."""
    return {name: version(name) for name in _PACKAGES}


def describe_machine() -> Machine:
    """Return this machine; its GPU is found if torch is imported and sees one."""
    torch = sys.modules.get("torch")  # without torch no GPU was used
    has_gpu = torch is not None and torch.cuda.is_available()
    return Machine(
        system=platform.platform(),
        python=platform.python_version(),
        processor=_find_processor(),
        cores=os.cpu_count(),
        memory=_measure_memory(),
        gpu=torch.cuda.get_device_name() if torch is not None and has_gpu else None,
    )


def _find_processor() -> str:
    """Return the name of the processor's model, which `platform` does not know on Linux."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _measure_memory() -> float | None:
    """Return the memory in GiB, or None where the system does not tell, as on Windows."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
