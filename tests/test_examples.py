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
        found = "".join(map(run_line, block.code.replace("\\\n", "").splitlines()))
        if block.output is not None:
            check_output(block.output, found)
    assert Path.cwd() == folder


def run_line(line: str) -> str:
    """Run a line of `beir-hybrid` and return what it prints; CI itself runs `make` and `pip`."""
    words = shlex.split(line, comments=True)
    if not words or words[0] != "beir-hybrid":
        assert not words or words[0] in ("make", "pip", "git")
        return ""
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run([program, *words[1:]], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def enter_folder(codes: list[str], folder: Path, request: pytest.FixtureRequest) -> None:
    """Go to a folder, with the mirror at hand if the code loads what only it has."""
    if any(name in code for name in REMOTE_DATASETS for code in codes):
        request.getfixturevalue("mirror")
    request.getfixturevalue("monkeypatch").chdir(folder)


@pytest.mark.parametrize("name", RUN)
def test_block_of_the_readme(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each stands on its own."""
    enter_folder([RUN[name].code], tmp_path, request)
    run_block(RUN[name], tmp_path, {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_page(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Blocks of a page go on from each other."""
    shown = [block for block in read_blocks(page) if block.language in ("python", "sh")]
    enter_folder([block.code for block in shown], tmp_path, request)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in shown:
        run_block(block, tmp_path, names)


CONSOLE = [
    line[2:]
    for block in EVERY
    if block.language == "console"
    for line in block.code.replace("\\\n", "").splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("line", CONSOLE)
def test_console_lines_name_commands_and_options_that_there_are(line: str) -> None:
    """They name models of the hub, so they are read and not run."""
    from sentence_transformers import SentenceTransformerTrainingArguments
    from typer.main import get_command

    from beir_hybrid.cli import app

    words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    assert words.pop(0) == "beir-hybrid"
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        name = words.pop(0)
        command = command.commands[name]
    context = command.make_context(name, words)
    left = {word.removeprefix("--").replace("-", "_") for word in context.args if word[:2] == "--"}
    if name != "pyserini":  # what is behind its -- is Pyserini's
        fields = SentenceTransformerTrainingArguments.__dataclass_fields__
        assert left <= {*fields}


def test_python_blocks_need_only_what_the_page_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = re.findall(r"^([\w-]+)", "\n".join(project["dependencies"]), re.MULTILINE)
    lines = [line for one in EVERY if one.language == "sh" for line in one.code.splitlines()]
    for extras in re.findall(r"'\.\[([\w,]+)\]'", "\n".join(lines)):
        for extra in extras.split(","):
            needed += re.findall(r"[\w-]+", " ".join(project["optional-dependencies"][extra]))
    shown = [line.split()[2:] for line in lines if line.startswith("pip")]
    named = {
        word.replace("-", "_") for word in [*needed, project["name"], *itertools.chain(*shown)]
    }
    named |= {"tokenizers", *sys.stdlib_module_names}  # the former comes with transformers
    named |= {"PIL"} if "pillow" in named else set()
    for block in EVERY:
        if block.language == "python":
            for module in re.findall(r"^(?:import|from) (\w+)", block.code, re.MULTILINE):
                assert module in named


def test_ci_calls_the_commands_of_the_readme() -> None:
    called = (ROOT / ".ci" / "run").read_text("utf-8")
    made = " ".join(re.findall(r"^make (.*)$", called, re.MULTILINE)).split()
    assert {"check", "test"} <= set(made)
    first = next(block.code for block in ALONE.values() if block.language == "sh")
    shown = {line.split("#")[0].strip() for line in first.splitlines()}
    assert "make test" in shown
    assert shown <= {"make quickstart", "make test", "make check"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
