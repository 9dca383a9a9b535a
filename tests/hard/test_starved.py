"""A starved machine: a command succeeds, or says in one line what it lacks; never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.hard


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing in its environment but what is named."""
    command = [sys.executable, "-m", "beir_hybrid", *arguments]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_no_environment(tmp_path: Path) -> None:
    process = run("datasets", "list", folder=tmp_path)
    assert process.returncode == 0
    assert "xquad-r" in process.stdout
