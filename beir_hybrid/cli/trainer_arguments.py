"""A YAML file and words that no command knows in, arguments of the trainer out."""

import argparse
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import typer

from beir_hybrid.errors import BadData, BadOption

EXTRA = {"allow_extra_args": True, "ignore_unknown_options": True}
ARGUMENTS = "arguments of the trainer"  # in the context's notes


def config_file(context: typer.Context, path: Path | None) -> Path | None:
    """Take what a YAML file says for what is not on the line."""
    if path is None:
        return None
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise BadData(f"{path} must map options to values")
    given = {str(name).replace("-", "_"): value for name, value in found.items()}
    given = {name: value for name, value in given.items() if value is not None}
    ours = {param.name: param for param in context.command.params if param.name != "config"}
    context.default_map = {
        name: _fitted(name, value, getattr(ours[name], "multiple", False))
        for name, value in given.items()
        if name in ours
    }
    context.meta[ARGUMENTS] = {name: value for name, value in given.items() if name not in ours}
    return path


def _fitted(name: str, value: Any, multiple: bool) -> Any:
    """Return a YAML value as the command line would have it."""
    if isinstance(value, dict):
        value = [f"{key}={one}" for key, one in value.items()]
    if multiple:
        return value if isinstance(value, list) else [value]
    if not isinstance(value, list):
        return value
    if len(value) > 1 and "languages" not in name:
        raise BadOption(f"{name} is one value, not {value!r}")
    return ",".join(map(str, value))


def trainer_arguments(
    given: Mapping[str, Any], words: Sequence[str], ours: set[str]
) -> dict[str, Any]:
    """Read the trainer's arguments, of a file and of the line, by their types.

    `ours` are the command's own options, for who misspells one of them.
    """
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import HfArgumentParser

    class Parser(HfArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise BadOption(message)

    dataclass: Any = SentenceTransformerTrainingArguments
    parser = Parser(dataclass, allow_abbrev=False, add_help=False)
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to say "if given"
        action.default, action.required = argparse.SUPPRESS, False
    known = {action.dest for action in parser._actions}  # noqa: SLF001
    written = []
    for name, value in given.items():
        _is_known(name, known, ours)
        many = isinstance(value, list)
        written += [f"--{name}", *(map(_word, value) if many else [_word(value)])]
    found, rest = parser.parse_known_args([*written, *words])
    if rest:
        _is_known(rest[0].lstrip("-").partition("=")[0].replace("-", "_"), known, ours)
        raise BadOption(f"{rest[0]!r} is no option")
    return vars(found)


def _is_known(name: str, known: set[str], ours: set[str]) -> None:
    """Raise `BadOption` for what is no argument of the trainer, with the nearest name."""
    if name not in known:
        near = get_close_matches(name, known | ours, n=1, cutoff=0.5)
        hint = f"did you mean --{near[0].replace('_', '-')}?" if near else "see --help"
        raise BadOption(f"there is no option {name!r}; {hint}")


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | bool) else str(value)
