"""Names of strategies in, what kinds of batches they mix out: a table, a row each."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from beir_hybrid.checks import check_fraction, check_not_negative
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.pairs.code_switching import CodeSwitch

# mono: question and passage in one language, the same for all rows of a batch
# mono-rows: question and passage in one language, each row in its own
# cross-rows: question and passage in two languages, each row in its own two
# cross: question and passage in two languages, the same two for all rows of a batch
# image: a caption and its picture, captions in one language, the same for all rows of a batch
# image-rows: a caption and its picture, each row's caption in a language of its own
BatchKind = Literal["mono", "mono-rows", "cross-rows", "cross", "image", "image-rows"]


@dataclass(frozen=True)
class Strategy:
    """How batches are made.

    Attributes
    ----------
    kinds
        The kinds of batches and their probabilities.
    languages
        The only languages to draw, if not all; pictures are in none.
    temperature
        A language is drawn in proportion to its number of groups to this power: 0 draws all
        languages alike, 1 by their size. Of one language alone, those count that have question and
        passage in it; of two, those with the question for its language, and so for the passage's;
        before a picture, those with the question in it.
    code_switch
        What puts words of other languages into the texts, if anything.
    """

    name: str
    kinds: tuple[tuple[BatchKind, float], ...]
    languages: tuple[str, ...] = ()
    temperature: float = 0.0
    code_switch: CodeSwitch | None = None


def _mixed(name: str, first: BatchKind) -> Callable[..., Strategy]:
    def make(alpha: float = 0.5, cross: BatchKind = "cross-rows") -> Strategy:
        """Mix batches of the first kind, with probability `alpha`, and cross-lingual ones."""
        check_fraction(alpha=alpha)
        lookup("kind of cross-lingual batch", cross, dict.fromkeys(("cross-rows", "cross")))
        kinds: list[tuple[BatchKind, float]] = [(first, float(alpha)), (cross, 1 - float(alpha))]
        return Strategy(name, tuple((kind, share) for kind, share in kinds if share))

    return make


def _only(name: str, kind: BatchKind, languages: tuple[str, ...] = ()) -> Callable[[], Strategy]:
    return lambda: Strategy(name, ((kind, 1.0),), languages)


STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "en-en": _only("en-en", "mono", ("en",)),
    "x-x": _only("x-x", "mono-rows"),
    "x-x-mono": _only("x-x-mono", "mono"),
    "x-y": _only("x-y", "cross-rows"),
    "x-y-batch": _only("x-y-batch", "cross"),
    "hybrid": _mixed("hybrid", "mono"),
    "x-image": _only("x-image", "image"),
    "x-image-rows": _only("x-image-rows", "image-rows"),
    # A picture is in no language: caption and picture take the place of the monolingual pair.
    "hybrid-image": _mixed("hybrid-image", "image"),
}


def parse_strategy(
    name: str | Strategy,
    *,
    temperature: float | None = None,
    code_switch: CodeSwitch | None = None,
    **options: Any,
) -> Strategy:
    """Return a strategy by name, with its options.

    Parameters
    ----------
    name
        A row of the table, with options behind a colon if that is handier.
    temperature
        Draw a language in proportion to its number of groups to this power: 0, the default, draws
        all languages alike, 1 by their size.
    code_switch
        What puts words of other languages into the texts; see `bh.code_switch`.
    options
        Of ``hybrid``: ``alpha``, the share of monolingual batches, and ``cross``, ``"cross-rows"``
        or ``"cross"``: whether each row of a cross-lingual batch has two languages of its own. Of
        ``hybrid-image`` likewise: ``alpha`` is the share of batches of captions and pictures, and
        the other batches are of captions in two languages.

    Examples
    --------
    >>> strategy("hybrid", alpha=0.4) == strategy("hybrid:alpha=0.4")
    True
    >>> strategy("hybrid:alpha=0.4").kinds
    (('mono', 0.4), ('cross-rows', 0.6))
    """
    if isinstance(name, Strategy):
        if options:
            raise BadOption(f"{name.name} is made already; it takes no {', '.join(options)}")
        found = name
    elif not isinstance(name, str):
        raise BadOption(f"a strategy is one of {', '.join(STRATEGIES)}, not {name!r}")
    else:
        name, _, written = name.partition(":")
        make = lookup("strategy", name, STRATEGIES)
        given = _read(written) | options
        temperature = given.pop("temperature", temperature)
        allowed = inspect.signature(make).parameters
        if wrong := sorted(given.keys() - allowed.keys()):
            some = f"there are {', '.join(allowed)}" if allowed else "it has none of its own"
            raise BadOption(f"{name} has no option {wrong[0]!r}; {some}")
        found = make(**given)
    if code_switch is not None:
        found = replace(found, code_switch=code_switch)
    if temperature is None:
        return found
    check_not_negative(temperature=temperature)
    return replace(found, temperature=float(temperature))


def _read(written: str) -> dict[str, Any]:
    """Read options such as ``alpha=0.4,cross=cross``."""
    found: dict[str, Any] = {}
    for part in filter(None, written.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise BadOption(f"an option of a strategy is NAME=VALUE, not {part!r}")
        try:
            found[key.strip()] = float(value)
        except ValueError:
            found[key.strip()] = value.strip()
    return found
