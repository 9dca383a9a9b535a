"""Commands with dataclasses of options: every field is an option, and reaches the command."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from beir_hybrid.cli import app
from beir_hybrid.cli.flatten import Group, flatten_options, list_changes
from beir_hybrid.encoding.options import EncoderOptions


@dataclass(frozen=True)
class InnerOptions:
    word: Annotated[list[str] | None, typer.Option("--word", "-w", help="A word.")] = None
    skipped: int = field(default=7, metadata={"help": "Not an option."})


@dataclass(frozen=True)
class OuterOptions:
    depth: int = field(default=3, metadata={"help": "The depth."})
    kind: Literal["a", "b"] | None = field(default=None, metadata={"help": "a or b."})
    quiet: bool = field(default=False, metadata={"help": "Print nothing."})
    inner: Annotated[InnerOptions, Group("Inner", without=("skipped",))] = InnerOptions()


def run(line: str) -> tuple[int, Any, str]:
    """Run a command with `OuterOptions`; return the exit code, its arguments and the output."""
    calls: list[Any] = []

    def command(
        *, name: Annotated[str, typer.Argument()], outer: Annotated[OuterOptions, Group("Outer")]
    ) -> None:
        calls.append((name, outer))

    program = typer.Typer()
    program.command()(flatten_options(command))
    outcome = CliRunner().invoke(program, line.split(), env={"COLUMNS": "100"})
    return outcome.exit_code, calls[0] if calls else None, outcome.output


def test_fields_are_options() -> None:
    assert run("x")[:2] == (0, ("x", OuterOptions()))
    line = "x --depth 5 --kind b --quiet -w one --word two"
    expected = OuterOptions(5, "b", True, InnerOptions(["one", "two"]))
    assert run(line)[:2] == (0, ("x", expected))


@pytest.mark.parametrize("option", ["--skipped 1", "--no-quiet", "--inner x"])
def test_other_options_are_refused(option: str) -> None:
    code, call, output = run(f"x {option}")
    assert (code, call) == (2, None)
    assert "No such option" in output


def test_help_has_panels() -> None:
    help_page = run("--help")[2]
    assert help_page.index("Outer") < help_page.index("--depth") < help_page.index("Inner")
    assert help_page.index("Inner") < help_page.index("--word")
    assert "[default: 3]" in help_page


def test_changes_of_options() -> None:
    assert list_changes(OuterOptions()) == {}
    assert list_changes(OuterOptions(depth=5)) == {"depth": 5}


@pytest.mark.parametrize("name", ["encode", "evaluate", "index", "topics"])
def test_every_option_of_the_encoder_is_an_option_of_the_command(name: str) -> None:
    command: Any = get_command(app)
    options = {param.name for param in command.commands[name].params}
    assert {option.name for option in fields(EncoderOptions)} <= options
