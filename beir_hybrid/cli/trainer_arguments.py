"""Configuration files, and arguments of the trainer among the options of a command."""

import argparse
import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import explain_read_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

# A command with these settings accepts words that are not its options.
EXTRA = {"allow_extra_args": True, "ignore_unknown_options": True}
_CONTEXT_KEY = "arguments of the trainer"  # in the notes of typer's context


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Read a YAML file, and make its values the defaults of the command's options.

    Values that are no options of the command are kept for `parse_trainer_arguments`.
    """
    if path is None:
        return None
    import yaml

    with explain_read_errors(path, "is no YAML"):
        content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise BadData(f"{path} must map options to values")
    values = {
        str(name).replace("-", "_"): value for name, value in content.items() if value is not None
    }
    for name, value in values.items():
        if "\0" in f"{name}{value}":  # no path and no text of a command line can hold it
            raise BadData(f"{path}: {name} holds the character NUL; remove it")
    options = {param.name: param for param in context.command.params if param.name != "config"}
    context.default_map = {
        name: _convert_value(name, value, is_list=getattr(options[name], "multiple", False))
        for name, value in values.items()
        if name in options
    }
    context.meta[_CONTEXT_KEY] = {
        name: value for name, value in values.items() if name not in options
    }
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        help="A YAML file of options and trainer arguments; the command line overrides it.",
        metavar="FILE",
        is_eager=True,
        callback=read_config,
    ),
]


def _convert_value(name: str, value: object, *, is_list: bool) -> object:
    """Convert a value of YAML to its form on the command line."""
    if isinstance(value, dict):
        value = [f"{key}={item}" for key, item in value.items()]
    if is_list:
        return value if isinstance(value, list) else [value]
    if not isinstance(value, list):
        return value
    if len(value) > 1 and "languages" not in name:
        raise BadOption(f"{name} is one value, not {value!r}")
    return ",".join(map(str, value))


def parse_trainer_arguments(context: typer.Context) -> dict[str, Any]:
    """Parse arguments of sentence-transformers' trainer by their types.

    They are the values of the configuration file and the words of the command line that are not the
    command's own.
    """
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import HfArgumentParser

    class Parser(HfArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise BadOption(message)

    dataclass: Any = SentenceTransformerTrainingArguments
    parser = Parser(dataclass, allow_abbrev=False, add_help=False)
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to leave out defaults
        action.default, action.required = argparse.SUPPRESS, False
    names = {action.dest for action in parser._actions}  # noqa: SLF001
    command_names = {str(param.name) for param in context.command.params}
    config: Mapping[str, Any] = context.meta.get(_CONTEXT_KEY, {})
    words: list[str] = []
    for name, value in config.items():
        _check_name(name, names, command_names)
        items = value if isinstance(value, list) else [value]
        words += [f"--{name}", *map(_format_word, items)]
    arguments, unknown = parser.parse_known_args([*words, *context.args])
    if unknown:
        name = unknown[0].lstrip("-").partition("=")[0].replace("-", "_")
        _check_name(name, names, command_names)
        raise BadOption(f"{unknown[0]!r} is no option")
    return vars(arguments)


def _check_name(name: str, names: set[str], command_names: set[str]) -> None:
    """Raise `BadOption` if a name is no argument of the trainer, with the nearest name."""
    if name not in names:
        matches = get_close_matches(name, names | command_names, n=1, cutoff=0.5)
        hint = f"did you mean --{matches[0].replace('_', '-')}?" if matches else "see --help"
        raise BadOption(f"there is no option {name!r}; {hint}")


def _format_word(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict | bool) else str(value)
