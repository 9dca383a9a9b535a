"""The declaration of a dataset: facts for people, languages, options and the loader."""

import inspect
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.files import atomic_file, cache_folder, file_lock
from beir_hybrid.languages import as_list, choose_languages, normalise_variant
from beir_hybrid.sources.options import convert_option

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A dataset: facts for people, and the function that makes the `Collection`.

    Attributes
    ----------
    load
        Called with ``languages`` (a tuple of codes in the order of `languages`, or ``None`` for
        all) and the dataset's own options by keyword: all its other parameters that have a name.
        Options given as text, as on the command line, are converted as their annotations say.
    languages
        The codes of its languages; empty if they depend on the user's files.

    Examples
    --------
    >>> from beir_hybrid.collection.cache import load_or_build
    >>> def read(languages=None, *, times: int = 1):
    ...     def build(writer):
    ...         for number in range(times):
    ...             passage = writer.add_passage("en", f"{number}", "", "Here.")
    ...             query = writer.add_query("en", f"{number}", "Where?", f"{number}")
    ...             writer.add_judgement(query, passage)
    ...         writer.finish()
    ...     return load_or_build("tiny", {"times": times}, build)
    >>> tiny = Dataset("tiny", "the shortest of all", read, ("en",), licence="CC0")
    >>> tiny(times="2")  # text, as on the command line, is converted as the annotation says
    Collection('tiny', 1 language, 2 queries, 2 passages)
    """

    name: str
    summary: str
    load: Callable[..., Collection]
    languages: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    homepage: str = ""

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The options of `load` by name."""
        try:
            signature = inspect.signature(self.load, eval_str=True)
        except NameError:  # annotations of names that are only imported for type checkers
            signature = inspect.signature(self.load)
        named_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {
            name: parameter
            for name, parameter in signature.parameters.items()
            if name != "languages" and parameter.kind in named_kinds
        }

    def __call__(
        self, languages: str | Iterable[str] | None = None, /, **options: object
    ) -> Collection:
        """Load the dataset; unknown options and languages are refused."""
        if "languages" in options:
            raise BadOption("languages are no option of a dataset; name them beside the options")
        parameters = self.options
        for name, value in options.items():
            parameter = lookup(f"option of {self.name}", name, parameters)
            options[name] = convert_option(name, value, parameter.annotation)
        for name, parameter in parameters.items():
            if parameter.default is inspect.Parameter.empty and name not in options:
                raise BadOption(f"{self.name} needs the option {name!r}")
        codes = None if languages is None else self._choose_languages(languages)
        request = {
            "name": self.name,
            "languages": codes and list(codes),
            "options": {
                name: _record_option(value, parameters[name].annotation)
                for name, value in options.items()
            },
        }
        return replace(self.load(languages=codes, **options), dataset=request)

    def _choose_languages(self, tags: str | Iterable[str]) -> tuple[str, ...]:
        """Return the codes of languages in a fixed order, so that only one collection is built."""
        if not self.languages:
            return tuple(sorted(set(map(normalise_variant, as_list(tags)))))
        codes = choose_languages(f"language of {self.name}", tags, self.languages)
        return tuple(lang for lang in self.languages if lang in codes)


def _record_option(value: object, annotation: object) -> object:
    """Return an option with whole paths, files by language as the command line has them.

    What may be a text is a path only if there is such a file.
    """
    if isinstance(value, dict):
        return ",".join(f"{lang}={path.resolve()}" for lang, path in value.items())
    if isinstance(value, tuple):
        return [_record_option(part, Path) for part in value]
    if not isinstance(value, Path):
        return value
    is_file = os.path.lexists(value) and not value.is_dir()  # False for a name that is too long
    is_path = is_file or str not in get_args(annotation)
    return str(value.resolve() if is_path else value)


def announce(dataset: Dataset) -> None:
    """Show the licence and citation of a dataset after fetching, once for every cache."""
    path = cache_folder() / "announced" / dataset.name
    with file_lock(path):
        if path.exists():
            return
        notice = f"{dataset.name} is licensed {dataset.licence}. Please cite: {dataset.citation}"
        logger.warning("%s", notice)
        with atomic_file(path) as temporary:
            temporary.write_text(f"{notice}\n", "utf-8")
