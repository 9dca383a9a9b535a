"""What README and docs show runs as typed, and prints what stands beside it."""

import contextlib
import doctest
import io
import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Yield the code blocks of a language, each named by its page and place."""
    for page in PAGES:
        for number, match in enumerate(
            re.finditer(
                rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
            )
        ):
            yield f"{page.stem}-{number}", match[1]


PYTHON, SHELL = dict(blocks("python")), dict(blocks("sh"))


def expected_output(code: str) -> str:
    """Return what the comments promise: those on a line of `print`, and those on the next one.

    A trainer prints its own line at the end of a training.
    """
    promised = []
    for line, following in zip(code.splitlines(), [*code.splitlines()[1:], ""], strict=True):
        if line.lstrip().startswith("print("):
            _, hash_, comment = (line if " # " in line else following).partition("# ")
            promised.append(comment if hash_ else "...")
        elif "trainer.train()" in line:
            promised.append("...")
    return "".join(f"{line}\n" for line in promised)


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("name", PYTHON)
def test_python_block(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(PYTHON[name], name, "exec"), {"__name__": "__main__"})  # noqa: S102 - our own README
    expected, found = expected_output(PYTHON[name]), printed.getvalue()
    assert doctest.OutputChecker().check_output(expected, found, doctest.ELLIPSIS), found


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("name", SHELL)
def test_shell_block(name: str, tmp_path: Path) -> None:
    """Run `beir-hybrid` lines; `make` and `pip` lines are what CI itself runs."""
    programs = Path(sys.executable).parent
    for line in SHELL[name].splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "beir-hybrid":
            subprocess.run([programs / words[0], *words[1:]], cwd=tmp_path, check=True)
        else:
            assert not words or words[0] in ("make", "pip", "git")


def test_python_blocks_need_only_what_the_page_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = re.findall(r"^([\w-]+)", "\n".join(project["dependencies"]), re.MULTILINE)
    shown = [line.split()[2:] for code in SHELL.values() for line in code.splitlines()]
    for extra in re.findall(r"'\.\[(\w+)\]'", "".join(SHELL.values())):
        needed += re.findall(r"[\w-]+", " ".join(project["optional-dependencies"][extra]))
    named = {
        word.replace("-", "_") for word in [*needed, project["name"], *itertools.chain(*shown)]
    }
    for code in PYTHON.values():
        for module in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE):
            assert module in named


def test_ci_calls_the_commands_of_the_readme() -> None:
    called = (ROOT / ".ci" / "run").read_text("utf-8")
    shown = {line.split("#")[0].strip() for line in SHELL["README-0"].splitlines()}
    assert shown == {"make test", "make check"}
    assert set(re.findall(r"^make (.*)$", called, re.MULTILINE)) == {"check test"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
