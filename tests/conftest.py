"""Fixtures of all tests: a cache of its own for each, and real files if there are any."""

import os
from pathlib import Path

import pytest

MIRROR = os.environ.get("BEIR_HYBRID_MIRROR")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache, used by one test alone."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(cache))
    monkeypatch.delenv("BEIR_HYBRID_MIRROR", raising=False)
    for variable in ("BEIR_HYBRID_OFFLINE", "HF_HUB_OFFLINE"):  # encoders set the second
        monkeypatch.setenv(variable, "")  # so that it is as before afterwards
        monkeypatch.delenv(variable)
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)  # tests outlive no crash of a system
    return cache


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache of real datasets that the tests of all processes share."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture
def mirror(real_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of real files; skip the test if there is none."""
    if MIRROR is None:
        pytest.skip("needs real files: set BEIR_HYBRID_MIRROR to a mirror of them")
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", MIRROR)
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(real_cache))
    return Path(MIRROR).resolve()
