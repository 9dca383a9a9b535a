"""The words of commands, quoted for a shell."""

import shlex
import unicodedata
from collections.abc import Iterator, Mapping

from beir_hybrid.errors import BadOption
from beir_hybrid.results.request import DatasetRequest

_PROGRAM = "beir-hybrid"

Words = list[str]  # of a command, without the program's name; or of a comment, with # first


def write_dataset_options(dataset: DatasetRequest) -> Words:
    """Return the languages and options of a dataset, without its name."""
    languages = write_option("languages", ",".join(dataset.languages)) if dataset.languages else []
    pairs = [f"{name}={value}" for name, value in dataset.options.items()]
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


def join_words(words: Words) -> str:
    """Return a line for a shell; raise `BadOption` for words that no terminal takes."""
    if words[0] == "#":
        return " ".join(words)
    for word in words:
        if next(_find_control_characters(word), None):
            raise BadOption(f"{word!a} holds control characters; no command line can be pasted")
    return shlex.join([_PROGRAM, *words])


def _find_control_characters(word: str) -> Iterator[str]:
    for sign in word:
        if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t":
            yield sign
