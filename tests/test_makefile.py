"""The Makefile keeps Pythons apart, and the workflows do nothing that it does not do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
_OF_MAKE = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "PYTHON")  # for makes below it
VERSION = "{}.{}".format(*sys.version_info)


def list_recipe(*arguments: str) -> list[str]:
    """Return the commands that make would run, whatever the make that runs the tests was told."""
    environment = {key: value for key, value in os.environ.items() if key not in _OF_MAKE}
    return subprocess.run(
        ["make", "--dry-run", "--always-make", *arguments],  # noqa: S607 - the make of the path
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip


def test_a_python_that_is_named_has_an_environment_of_its_own() -> None:
    python = sys.executable
    lines = list_recipe("check", f"PYTHON={python}")
    assert f"test -x .venv-{VERSION}/bin/python || {python} -m venv .venv-{VERSION}" in lines
    assert f".venv-{VERSION}/bin/python -m ruff check ." in lines
    assert not [line for line in lines if line.startswith(".venv/")]
    assert ".venv/bin/python -m ruff check ." in list_recipe("check")


def test_tests_of_short_selections_exist() -> None:
    for target in ("smoke", "test-lowest", "test-pyserini"):
        files = re.findall(r"tests/test_\w+\.py", "\n".join(list_recipe(target)))
        assert len(files) > 3
        assert [file for file in files if not (ROOT / file).is_file()] == []


def test_a_python_that_does_not_run_is_named() -> None:
    process = subprocess.run(
        ["make", "has-python", "PYTHON=/nonexistent/python"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert "PYTHON=/nonexistent/python does not run" in process.stderr


@pytest.mark.parametrize("name", ["checks", "release"])
def test_workflows_run_targets_of_the_makefile(name: str) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"].split() for step in steps if "run" in step]
    assert commands
    for make, *arguments in commands:
        assert make == "make"
        assert set(arguments) <= set(targets)
