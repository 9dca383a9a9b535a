"""What README and docs show runs as typed, and prints what stands beside it."""

import contextlib
import io
import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.pages import REMOTE_DATASETS, ROOT, Block, check_output, read_blocks

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
ALONE = {f"{block.language}-{at}": block for at, block in enumerate(read_blocks(README))}
RUN = {name: block for name, block in ALONE.items() if block.language in ("python", "sh")}
EVERY = [*ALONE.values(), *itertools.chain(*map(read_blocks, PAGES))]


def run_block(block: Block, folder: Path, names: dict[str, Any]) -> None:
    """Run a block in the folder that is the current one, and check what it prints."""
    if block.language == "python":
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.code, "a page", "exec"), names)  # noqa: S102 - our own pages
        check_output(block.expected, printed.getvalue())
    elif block.language == "sh":
        output = "".join(map(run_line, block.code.replace("\\\n", "").splitlines()))
        if block.output is not None:
            check_output(block.output, output)
    assert Path.cwd() == folder


def run_line(line: str) -> str:
    """Run a line of `beir-hybrid` and return what it prints; CI itself runs `make` and `pip`."""
    words = shlex.split(line, comments=True)
    if not words or words[0] != "beir-hybrid":
        assert not words or words[0] in ("make", "pip", "git")
        return ""
    program = Path(sys.executable).with_name(words[0])
    process = subprocess.run([program, *words[1:]], check=True, stdout=subprocess.PIPE, text=True)
    return process.stdout


def enter_folder(codes: list[str], folder: Path, request: pytest.FixtureRequest) -> None:
    """Go to a folder, with the mirror at hand if the code loads what only it has."""
    if any(name in code for name in REMOTE_DATASETS for code in codes):
        request.getfixturevalue("mirror")
    request.getfixturevalue("monkeypatch").chdir(folder)


@pytest.mark.parametrize("name", RUN)
def test_readme_block(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each stands on its own."""
    enter_folder([RUN[name].code], tmp_path, request)
    run_block(RUN[name], tmp_path, {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_page(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Blocks of a page go on from each other."""
    page_blocks = [block for block in read_blocks(page) if block.language in ("python", "sh")]
    enter_folder([block.code for block in page_blocks], tmp_path, request)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in page_blocks:
        run_block(block, tmp_path, names)


CONSOLE = [
    line[2:]
    for block in EVERY
    if block.language == "console"
    for line in block.code.replace("\\\n", "").splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("line", CONSOLE)
def test_console_lines_use_existing_commands_and_options(line: str) -> None:
    """They name models of the hub, so they are read and not run."""
    from sentence_transformers import SentenceTransformerTrainingArguments
    from typer.main import get_command

    from beir_hybrid.cli import app

    words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    if words[:2] == ["python", "-c"]:  # a program of another package, whose code does run
        subprocess.run(
            [sys.executable, *words[1:3], "--help"], check=True, stdout=subprocess.DEVNULL
        )
        return
    assert words.pop(0) == "beir-hybrid"
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        name = words.pop(0)
        command = command.commands[name]
    context = command.make_context(name, words)
    unknown_options = {
        word.removeprefix("--").replace("-", "_") for word in context.args if word[:2] == "--"
    }
    if name != "pyserini":  # what is behind its -- is Pyserini's
        fields = SentenceTransformerTrainingArguments.__dataclass_fields__
        assert unknown_options <= {*fields}


def test_python_blocks_import_only_installed_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    packages = re.findall(r"^([\w-]+)", "\n".join(project["dependencies"]), re.MULTILINE)
    lines = [line for block in EVERY if block.language == "sh" for line in block.code.splitlines()]
    for extras in re.findall(r"'\.\[([\w,]+)\]'", "\n".join(lines)):
        for extra in extras.split(","):
            packages += re.findall(r"[\w-]+", " ".join(project["optional-dependencies"][extra]))
    pip_arguments = [line.split()[2:] for line in lines if line.startswith("pip")]
    installed_modules = {
        word.replace("-", "_")
        for word in [*packages, project["name"], *itertools.chain(*pip_arguments)]
    }
    installed_modules |= {
        "pandas",
        "tokenizers",
        *sys.stdlib_module_names,
    }  # the former come with datasets and transformers
    installed_modules |= {"PIL"} if "pillow" in installed_modules else set()
    for block in EVERY:
        if block.language == "python":
            for module in re.findall(r"^(?:import|from) (\w+)", block.code, re.MULTILINE):
                assert module in installed_modules


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    targets = " ".join(re.findall(r"^make (.*)$", script, re.MULTILINE)).split()
    assert {"check", "test"} <= set(targets)
    first = next(block.code for block in ALONE.values() if block.language == "sh")
    commands = {line.split("#")[0].strip() for line in first.splitlines()}
    assert "make test" in commands
    assert commands <= {"make quickstart", "make test", "make check"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
