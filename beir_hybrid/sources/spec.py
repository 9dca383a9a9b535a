"""What a dataset declares, and a description of it for people."""

import inspect
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.files import atomic_file, cache_folder, file_lock
from beir_hybrid.languages import choose_languages, normalise_all
from beir_hybrid.sources.options import convert_option

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A dataset: facts for people, and a function that makes the `Collection`.

    Attributes
    ----------
    load
        Called with ``languages`` (a tuple of codes in the order of `languages`, or ``None`` for
        all) and the dataset's own options by keyword: every other parameter that has a name.
        Options given as text, as on the command line, are turned into what their annotations say.
    languages
        The codes it comes in; empty where the user's files decide.

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
    >>> tiny(times="2")  # text, as on the command line, becomes what the annotation says
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
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {
            name: parameter
            for name, parameter in signature.parameters.items()
            if name != "languages" and parameter.kind in by_name
        }

    def __call__(
        self, languages: str | Iterable[str] | None = None, /, **options: Any
    ) -> Collection:
        """Load it, refusing options and languages that it does not have."""
        if "languages" in options:
            raise BadOption("languages are no option of a dataset; name them beside the options")
        known = self.options
        for name, value in options.items():
            parameter = lookup(f"option of {self.name}", name, known)
            options[name] = convert_option(name, value, parameter.annotation)
        for name, parameter in known.items():
            if parameter.default is inspect.Parameter.empty and name not in options:
                raise BadOption(f"{self.name} needs the option {name!r}")
        chosen = None if languages is None else self._chosen(languages)
        kept = {
            name: str(value.resolve()) if isinstance(value, Path) else value
            for name, value in options.items()
        }
        loaded = {"name": self.name, "languages": chosen and list(chosen), "options": kept}
        return replace(self.load(languages=chosen, **options), dataset=loaded)

    def _chosen(self, languages: str | Iterable[str]) -> tuple[str, ...]:
        if not self.languages:
            return tuple(sorted(normalise_all(languages)))
        named = choose_languages(f"language of {self.name}", languages, self.languages)
        # In one order, so that however they are named, one collection is built.
        return tuple(lang for lang in self.languages if lang in named)


def announce(dataset: Dataset) -> None:
    """Show licence and citation, once for every cache; called when a dataset has been fetched."""
    shown = cache_folder() / "announced" / dataset.name
    with file_lock(shown):
        if shown.exists():
            return
        facts = f"{dataset.name} is licensed {dataset.licence}. Please cite: {dataset.citation}"
        logger.warning("%s", facts)
        with atomic_file(shown) as temporary:
            temporary.write_text(f"{facts}\n", "utf-8")
