"""Engines of translation by name: models of transformers and CTranslate2, endpoints, programs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from beir_hybrid.errors import BadOption, lookup


class Translator(Protocol):
    """An engine that translates texts; objects of one's own need no more than this."""

    @property
    def name(self) -> str:
        """The name that translated groups keep."""

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """JSON of everything besides text and languages that a translation depends on."""

    @property
    def batch_size(self) -> int:
        """How many texts are translated and stored together."""

    @property
    def longest(self) -> int:
        """The longest text that the engine reads, as `measure` counts; longer ones are split."""

    def measure(self, text: str) -> int:
        """Return the length of a text, in letters or tokens."""

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Return the translation of each text, none of which has a line break."""


def open_translator(name: str) -> Translator:
    """Return the engine of a name such as ``hf:MODEL``."""
    kind, _, rest = name.partition(":")
    make = lookup("engine", kind, ENGINES)
    if not rest.strip():
        raise BadOption(f"{name!r} names no {_METAVARS[kind]}: {kind}:{_METAVARS[kind]}")
    return make(rest.strip())


def _open_command(rest: str) -> Translator:
    from beir_hybrid.curation.command_translator import CommandTranslator

    return CommandTranslator(rest)


def _open_converted(rest: str) -> Translator:
    from beir_hybrid.curation.converted_translator import ConvertedTranslator

    return ConvertedTranslator(rest)


def _open_endpoint(rest: str) -> Translator:
    from beir_hybrid.curation.endpoint_translator import EndpointTranslator

    return EndpointTranslator(rest)


def _open_model(rest: str) -> Translator:
    from beir_hybrid.curation.model_translator import ModelTranslator

    return ModelTranslator(rest)


_METAVARS = {"command": "PROGRAM", "ctranslate2": "DIR", "hf": "MODEL", "openai": "MODEL@URL"}
ENGINES: dict[str, Callable[[str], Translator]] = {
    "command": _open_command,
    "ctranslate2": _open_converted,
    "hf": _open_model,
    "openai": _open_endpoint,
}
