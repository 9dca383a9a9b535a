"""The command that examines the machine: what it sees, and what it advises."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from beir_hybrid.extras.doctor import advise_kernels, read_processor_flags
from tests.test_cli import run_program


def test_the_findings(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "file").write_bytes(b"0" * 3_000_000)
    outcome = run_program("doctor", "--json", BEIR_HYBRID_CACHE=str(tmp_path / "cache"))
    assert outcome.returncode == 0
    values = {row["subject"]: row["value"] for row in json.loads(outcome.stdout)}
    assert values["numpy"] == version("numpy")
    assert values["cache"].startswith(f"{tmp_path / 'cache'}, 3 MB in 1 files, ")
    assert values["BEIR_HYBRID_CACHE"] == str(tmp_path / "cache")
    assert "openblas" in values["BLAS of numpy"]
    assert values["extra quickstart"] == "complete"


def test_matrix_libraries_that_do_not_know_the_processor() -> None:
    if "avx2" not in read_processor_flags():
        pytest.skip("the kernels of old processors are the right ones here")
    outcome = run_program("doctor", OPENBLAS_CORETYPE="Prescott", COLUMNS="200")
    assert "kernels for Prescott" in outcome.stdout
    advice = next(
        line for line in outcome.stdout.splitlines() if line.startswith("BLAS of numpy: ")
    )
    assert "set OPENBLAS_CORETYPE=" in advice


@pytest.mark.parametrize(
    ("kernels", "flags", "advice"),
    [
        ("Prescott", {"avx2", "avx512f"}, "set OPENBLAS_CORETYPE=SkylakeX: several times as fast"),
        ("Nehalem", {"avx2"}, "set OPENBLAS_CORETYPE=Haswell: several times as fast"),
        ("SkylakeX", {"avx2", "avx512f"}, ""),
        ("Nehalem", {"sse4_2"}, ""),
    ],
)
def test_advice_on_kernels(kernels: str, flags: set[str], advice: str) -> None:
    assert advise_kernels({"architecture": kernels}, flags) == advice
