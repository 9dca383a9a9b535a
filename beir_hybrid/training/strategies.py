"""Names of strategies in, what kinds of batches they mix out: a table, a row each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from beir_hybrid.errors import BadOption, lookup

# mono: question and passage in one language, the same for all rows of a batch
# mono-rows: question and passage in one language, each row in its own
# cross-rows: question and passage in two languages, each row in its own two
# cross: question and passage in two languages, the same two for all rows of a batch
Kind = Literal["mono", "mono-rows", "cross-rows", "cross"]
Draw = Literal["uniform", "size"]


@dataclass(frozen=True)
class Strategy:
    """How batches are made.

    Attributes
    ----------
    kinds
        The kinds of batches and their probabilities.
    languages
        The only languages to draw, if not all.
    temperature
        A language is drawn in proportion to its number of groups to this power: 0 draws all
        languages alike, 1 by their size.
    """

    name: str
    kinds: tuple[tuple[Kind, float], ...]
    languages: tuple[str, ...] = ()
    temperature: float = 0.0


def _hybrid(alpha: float = 0.5, cross: Kind = "cross-rows") -> Strategy:
    """Mix monolingual batches, with probability `alpha`, and cross-lingual ones."""
    if not (isinstance(alpha, int | float) and 0 <= alpha <= 1):
        raise BadOption(f"alpha is {alpha!r}; it must be between 0 and 1")
    lookup("kind of cross-lingual batch", cross, dict.fromkeys(("cross-rows", "cross")))
    kinds: list[tuple[Kind, float]] = [("mono", float(alpha)), (cross, 1 - float(alpha))]
    return Strategy("hybrid", tuple((kind, share) for kind, share in kinds if share))


def _only(name: str, kind: Kind, languages: tuple[str, ...] = ()) -> Callable[[], Strategy]:
    return lambda: Strategy(name, ((kind, 1.0),), languages)


STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "en-en": _only("en-en", "mono", ("en",)),
    "x-x": _only("x-x", "mono-rows"),
    "x-x-mono": _only("x-x-mono", "mono"),
    "x-y": _only("x-y", "cross-rows"),
    "x-y-batch": _only("x-y-batch", "cross"),
    "hybrid": _hybrid,
}


def strategy(name: str | Strategy, *, temperature: float | None = None, **options: Any) -> Strategy:
    """Return a strategy by name, with its options (``alpha`` and ``cross`` of ``hybrid``)."""
    if isinstance(name, Strategy):
        found = name
    else:
        make = lookup("strategy", name, STRATEGIES)
        try:
            found = make(**options)
        except TypeError as error:
            raise BadOption(f"{name} takes no {', '.join(options)}") from error
    if temperature is None:
        return found
    if temperature < 0:
        raise BadOption(f"temperature is {temperature}; it must not be negative")
    return replace(found, temperature=temperature)
