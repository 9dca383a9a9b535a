"""What a dataset declares, and a description of it for people."""

import inspect
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.languages import choose, normalise_all

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A dataset: facts for people, and a function that makes the `Collection`.

    Attributes
    ----------
    load
        Called with ``languages`` (a tuple of codes, or ``None`` for all) and the dataset's own
        options by keyword; what it accepts beside ``languages`` are the options.
    languages
        The codes it comes in; empty where the user's files decide.
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
        parameters = inspect.signature(self.load).parameters
        return {name: value for name, value in parameters.items() if name != "languages"}

    def __call__(self, languages: str | Iterable[str] | None, **options: Any) -> Collection:
        """Load it, refusing options and languages that it does not have."""
        for name in options:
            lookup(f"option of {self.name}", name, self.options)
        for name, parameter in self.options.items():
            if parameter.default is inspect.Parameter.empty and name not in options:
                raise BadOption(f"{self.name} needs the option {name!r}")
        if languages is None:
            return self.load(languages=None, **options)
        if self.languages:
            chosen = choose(f"language of {self.name}", languages, self.languages)
        else:
            chosen = normalise_all(languages)
        return self.load(languages=chosen, **options)


def announce(dataset: Dataset) -> None:
    """Show licence and citation; called when a dataset is first fetched."""
    logger.warning(
        "%s is licensed %s. Please cite: %s", dataset.name, dataset.licence, dataset.citation
    )
