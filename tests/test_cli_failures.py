"""Errors that no command expects are one line, too; tracebacks are for ``--debug`` alone."""

import logging
import sys
from collections.abc import Iterator

import pytest

from beir_hybrid.cli import main
from beir_hybrid.cli.failures import describe_failure


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Give the log its handlers back."""
    logger = logging.getLogger("beir_hybrid")
    before = logger.level, logger.handlers, logger.propagate
    yield
    logger.level, logger.handlers, logger.propagate = before


def run_failing(monkeypatch: pytest.MonkeyPatch, error: Exception, *options: str) -> int | str:
    """Run a command that raises an error, and return its exit code."""

    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr("beir_hybrid.sources.find_dataset", fail)
    monkeypatch.setattr(sys, "argv", ["beir-hybrid", "datasets", "show", "jsonl", *options])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (
            KeyError("x"),
            "KeyError: 'x'; this is a fault of beir-hybrid: please report it, --debug shows more",
            1,
        ),
        (PermissionError(13, "Permission denied", "a.json"), "PermissionError: a.json: Perm", 2),
        (OSError(28, "No space left on device"), "OSError: No space left on device", 2),
        (RuntimeError("I/O error (os error 28)"), "OSError: No space left on device", 2),
        (MemoryError(), "MemoryError: there is not enough memory", 2),
        (
            ImportError("libtorch.so: failed to map segment from shared object"),
            "ImportError: there is not enough memory",
            2,
        ),
        (EOFError("no data"), "EOFError: no data; this is a fault of beir-hybrid: please", 1),
        (ValueError("one\n\x1b[31mtwo"), r"ValueError: one \x1b[31mtwo; this is a fault", 1),
    ],
)
def test_any_error_is_one_line(
    error: Exception,
    line: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_failing(monkeypatch, error) == code
    output = capsys.readouterr()
    assert output.out == ""
    # typer prints an empty line before it passes an EOFError on.
    message = output.err.removeprefix("\n" * isinstance(error, EOFError))
    assert message.startswith(line)
    assert message.count("\n") == 1


def test_words_that_are_not_utf_8_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The byte 255 of a command line, as Python passes it on.
    assert run_failing(monkeypatch, KeyError("x"), "-o", "path=\udcff") == 2
    assert capsys.readouterr().err.startswith(r"BadOption: 'path=\udcff' is not UTF-8; rename")


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_failing(monkeypatch, KeyError("x"), "--debug") == 1
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.splitlines()[-1].startswith("KeyError: 'x'; this is a fault")


def test_the_system_error_behind_an_error_is_named() -> None:
    error = RuntimeError("the model cannot be loaded")
    error.__cause__ = OSError(5, "Input/output error", "model.safetensors")
    assert describe_failure(error) == ("OSError: model.safetensors: Input/output error", 2)
