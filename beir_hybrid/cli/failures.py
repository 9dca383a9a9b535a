"""Errors of commands as one readable line with an exit code, and a stdout that may be odd or full.

What a user can put right has exit code 2, Ctrl-C 130, anything else 1.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, cast

import typer
from typer.core import TyperGroup

from beir_hybrid.errors import BadOption, BeirHybridError, NotReadable

# The error of typer for a line that it cannot parse, for which it has no public name.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
# The errors of libraries in Rust hold the number of the system's error in their text alone.
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")

_INTERRUPTED = 130  # what shells report after Ctrl-C

# What the linker, torch and faiss say where memory ends.
_NO_MEMORY = re.compile("failed to map segment|allocate memory|bad_alloc")


class Stopped(Exception):  # noqa: N818 - no error
    """The user has pressed Ctrl-C; the text names the files that are kept."""


class Program(TyperGroup):
    """The program, whose interrupts come as `Stopped`: typer would end without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command of a line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            message = "what was finished is kept; the same command goes on from there"
            raise Stopped(str(error) or message) from error


def describe_failure(error: BaseException) -> tuple[str, int]:
    """Return the line that is printed for an error, and the exit code.

    >>> describe_failure(PermissionError(13, "Permission denied", "a.jsonl"))
    ('PermissionError: a.jsonl: Permission denied', 2)
    >>> describe_failure(KeyError("x"))[0]
    "KeyError: 'x'; this is a fault of beir-hybrid: please report it, --debug shows more"
    """
    if isinstance(error, typer.Abort):
        if error.__cause__ is None:  # the user has stopped a prompt
            return "Aborted", 1
        error = error.__cause__  # typer takes every EOFError for the end of its own input
    kind, message, code = type(error).__name__, str(error), 2
    if isinstance(error, Stopped):
        code = _INTERRUPTED
    elif isinstance(error, UsageError):
        kind, message = "Usage", error.format_message()
        if not message:  # there were no arguments, so the help was printed
            return "", 2
        if error.ctx:
            message = f"{message} See {error.ctx.command_path} --help"
    elif isinstance(error, MemoryError) or _NO_MEMORY.search(message):
        message = "there is not enough memory"
    elif not isinstance(error, BeirHybridError):
        system_error = _find_system_error(error)
        if system_error is not None:
            kind, message = type(system_error).__name__, _describe_system_error(system_error)
        else:
            code = 1
            advice = "this is a fault of beir-hybrid: please report it, --debug shows more"
            message = f"{message:.300}; {advice}"
    return f"{kind}: {' '.join(message.split())}", code


def _find_system_error(error: BaseException) -> OSError | None:
    """Return the error of the system that is or explains an error."""
    for cause in _list_causes(error):
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause
        if match := _SYSTEM_ERROR.search(str(cause)):
            number = int(match[1])
            return OSError(number, os.strerror(number))
    return None


def _list_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _describe_system_error(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename):.300}: {reason}"
    try:
        check_working_directory()
    except NotReadable as missing_directory:
        return str(missing_directory)
    return reason


def check_working_directory() -> None:
    """Raise `NotReadable` if the working directory was deleted: torch's libraries end there."""
    try:
        os.getcwd()  # noqa: PTH109 - `Path.cwd` is the same
    except OSError as error:
        raise NotReadable("the working directory is gone; change to one that exists") from error


def check_encoding(arguments: Iterable[str]) -> None:
    """Raise `BadOption` for a word of the command line that is not UTF-8: no file could hold it."""
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError as error:
            raise BadOption(f"{argument!r:.80} is not UTF-8; rename the file or folder") from error


def prepare_stdout() -> None:
    """Let stdout take every character; characters beyond its encoding are escaped."""
    if sys.stdout is None:  # closed by the shell
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for the whole process
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def finish_stdout() -> str:
    """Write buffered output; return why stdout does not take it, empty if it does.

    A reader that has gone, such as ``head``, is no reason to complain.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more when it exits; the rest goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return (
            "" if isinstance(error, BrokenPipeError) else f"cannot write output: {error.strerror}"
        )
    return ""
