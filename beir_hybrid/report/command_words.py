"""The words of commands, quoted for a shell."""

import shlex
from collections.abc import Mapping

from beir_hybrid.errors import BadOption
from beir_hybrid.results.request import DatasetRequest
from beir_hybrid.sources.options import check_recorded_options
from beir_hybrid.text import find_control_characters

_PROGRAM = "beir-hybrid"

Words = list[str]  # of a command, without the program's name; or of a comment, with # first


def write_dataset_options(dataset: DatasetRequest) -> Words:
    """Return the languages and options of a dataset, without its name."""
    check_recorded_options(dataset.options)
    languages = write_option("languages", ",".join(dataset.languages)) if dataset.languages else []
    pairs = [f"{check_name(name, 'option')}={value}" for name, value in dataset.options.items()]
    return [*languages, *(word for pair in pairs for word in ("-o", pair))]


def write_options(options: Mapping[str, object]) -> Words:
    """Return several command-line options; see `write_option`."""
    return [word for name, value in options.items() for word in write_option(name, value)]


def write_option(name: str, value: object) -> Words:
    """Return a command-line option; a value that begins with a dash is joined by an equals sign."""
    name = name.replace("_", "-")
    if isinstance(value, bool):
        negation = "no-" if name == "normalize" else ""
        return [f"--{name}"] if value else [f"--{negation}{name}"] if negation else []
    text = str(value)
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def check_name(name: str, thing: str) -> str:
    """Return a name that stands in a command without an option before it.

    Raise `BadOption` for one that begins with a dash: the command would take it for an option.
    """
    if name.startswith("-"):
        raise BadOption(f"the {thing} is named {name!r}, which a command takes for an option")
    return name


def join_words(words: Words) -> str:
    """Return a line for a shell; raise `BadOption` for words that no terminal takes."""
    is_comment = words[0] == "#"
    for word in words:
        if find_control_characters(word, "" if is_comment else "\n\t"):
            raise BadOption(f"{word!a} holds control characters; no command line can be pasted")
    return " ".join(words) if is_comment else shlex.join([_PROGRAM, *words])
