"""Facts about the machine and the installation: present, missing and slow parts."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from beir_hybrid._version import __version__
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.extras.cache import measure_file
from beir_hybrid.files import cache_folder
from beir_hybrid.results.machine import describe_machine

PACKAGES = ("numpy", "torch", "sentence-transformers", "transformers", "ir-measures", "pyserini",
            "faiss-cpu", "mteb")  # fmt: skip
# OpenBLAS's kernels for processors without AVX2, by OpenBLAS's names for them.
_OLD_KERNELS = {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Atom", "Katmai", "Banias"}
WIDE_KERNELS = {"avx512f": "SkylakeX", "avx2": "Haswell"}  # by the processor's best flag
_FORMATS = {"avx2": "AVX2", "avx512f": "AVX-512", "amx_bf16": "AMX: fast bfloat16"}
_VARIABLES = ("BEIR_HYBRID_CACHE", "BEIR_HYBRID_MIRROR", "HF_HOME", "HF_HUB_OFFLINE",
              "OMP_NUM_THREADS", "OPENBLAS_CORETYPE")  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A fact about the machine or the installation, with advice where it needs any."""

    subject: str
    value: str
    advice: str = ""


def examine() -> list[Finding]:
    """Examine packages, processor, BLAS libraries, Java, cache and environment."""
    return [
        Finding("beir-hybrid", f"{__version__}, Python {sys.version.split()[0]}"),
        *_list_packages(),
        *_describe_processor(),
        *_list_blas_libraries(),
        _describe_java(),
        _measure_cache(),
        *(Finding(name, os.environ[name]) for name in _VARIABLES if name in os.environ),
        *_list_extras(),
    ]


def _list_packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            continue  # the extra that needs it says so


def _describe_processor() -> Iterator[Finding]:
    machine, flags = describe_machine(), read_processor_flags()
    formats = [name for flag, name in _FORMATS.items() if flag in flags]
    details = [f"{machine.cores} cores", f"{machine.memory} GiB memory", *formats]
    yield Finding("processor", f"{machine.processor} ({', '.join(details)})")
    if machine.gpu:
        yield Finding("GPU", machine.gpu)


def read_processor_flags() -> set[str]:
    """Return the instruction sets of the processor, as Linux names them."""
    path = Path("/proc/cpuinfo")
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(match[1].split()) if match else set()


def _list_blas_libraries() -> Iterator[Finding]:
    """Yield the matrix libraries of numpy and faiss, which are imported for it."""
    import numpy  # noqa: F401, ICN001 - loads its library
    from threadpoolctl import threadpool_info

    if find_spec("faiss"):
        import faiss  # noqa: F401 - likewise
    flags = read_processor_flags()
    for library in threadpool_info():
        if library["user_api"] == "blas":
            owner = find_owner(library["filepath"])
            value = (
                f"{library['internal_api']} {library['version']}, kernels for "
                f"{library.get('architecture', 'this processor')}, {library['num_threads']} threads"
            )
            yield Finding(f"BLAS of {owner}", value, advise_kernels(library, flags))


def find_owner(path: str) -> str:
    """Return the package that a library belongs to, by the folder that it lies in.

    >>> find_owner("/env/lib/python3.11/site-packages/faiss_cpu.libs/libopenblas.so")
    'faiss_cpu'
    """
    return Path(path).parent.name.removesuffix(".libs") or path


def advise_kernels(library: Mapping[str, Any], flags: set[str]) -> str:
    """Return how to make OpenBLAS use the processor, if it takes it for an old one."""
    if library.get("architecture") not in _OLD_KERNELS:
        return ""
    kernels = next((name for flag, name in WIDE_KERNELS.items() if flag in flags), "")
    return f"set OPENBLAS_CORETYPE={kernels}: several times as fast" if kernels else ""


def _describe_java() -> Finding:
    from beir_hybrid.pyserini.java import find_java

    try:
        return Finding("Java", str(find_java(os.environ.get("BEIR_HYBRID_JAVA") == "system")))
    except BeirHybridError as error:
        return Finding("Java", "missing", f"for BM25: {error}")


def _measure_cache() -> Finding:
    folder = cache_folder()
    sizes = [measure_file(path) for path in folder.rglob("*") if path.is_file()]
    free = shutil.disk_usage(_find_existing(folder)).free
    content = f"{sum(sizes) / 1e6:,.0f} MB in {len(sizes):,} files"
    value = f"{folder}, {content}, {free / 1e9:,.0f} GB free"
    return Finding("cache", value)


def _find_existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _list_extras() -> Iterator[Finding]:
    """Yield the extras of the package with the packages that they lack."""
    by_extra: dict[str, list[str]] = {}
    for line in requires("beir-hybrid") or []:
        match = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", line)
        if match and match[1] != "beir-hybrid":
            by_extra.setdefault(match[2], []).append(match[1])
    for extra in ("train", "pyserini", "quickstart", "image", "ray", "detect", "sentences"):
        missing = [name for name in by_extra.get(extra, []) if not _is_installed(name)]
        advice = f"pip install 'beir-hybrid[{extra}]'" if missing else ""
        value = f"lacks {', '.join(missing)}" if missing else "complete"
        yield Finding(f"extra {extra}", value, advice)


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
