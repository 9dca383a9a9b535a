"""Strategies: which batch kinds an epoch mixes, in which shares and languages."""

from dataclasses import dataclass, replace

from beir_hybrid.batches.kinds import BATCH_KINDS
from beir_hybrid.checks import check_fraction, check_not_negative
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.pairs.code_switching import CodeSwitch
from beir_hybrid.text import parse_options

_CROSS_LINGUAL = ("cross-rows", "cross")


@dataclass(frozen=True)
class Strategy:
    """A mixture of batch kinds.

    Attributes
    ----------
    kinds
        Names of batch kinds (see `beir_hybrid.batches.kinds`) and their shares of the batches.
    languages
        The only languages to draw, if not all; images are in none.
    temperature
        A language is drawn in proportion to its number of groups to this power: 0 draws all
        languages alike, 1 by their size. In monolingual batches the groups count that have query
        and passage in the language; in cross-lingual batches those with the query in it, and for
        the passage's language those with the passage; with images those with the query in it.
    code_switch
        Puts words of other languages into the texts, if not None.
    """

    name: str
    kinds: tuple[tuple[str, float], ...]
    languages: tuple[str, ...] = ()
    temperature: float = 0.0
    code_switch: CodeSwitch | None = None


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("en-en", (("mono", 1.0),), languages=("en",)),
        Strategy("x-x", (("mono-rows", 1.0),)),
        Strategy("x-x-mono", (("mono", 1.0),)),
        Strategy("x-y", (("cross-rows", 1.0),)),
        Strategy("x-y-batch", (("cross", 1.0),)),
        Strategy("hybrid", (("mono", 0.5), ("cross-rows", 0.5))),
        Strategy("x-image", (("image", 1.0),)),
        Strategy("x-image-rows", (("image-rows", 1.0),)),
        # An image is in no language: caption and image take the place of the monolingual pair.
        Strategy("hybrid-image", (("image", 0.5), ("cross-rows", 0.5))),
    )
}


def parse_strategy(
    name: str | Strategy,
    *,
    temperature: float | None = None,
    code_switch: CodeSwitch | None = None,
    **options: object,
) -> Strategy:
    """Return a strategy by name, with its options.

    Parameters
    ----------
    name
        A row of the table `STRATEGIES`, with options behind a colon if that is handier; or a
        `Strategy`.
    temperature
        Draw a language in proportion to its number of groups to this power: 0, the default, draws
        all languages alike, 1 by their size.
    code_switch
        Puts words of other languages into the texts; see `bh.code_switch`.
    options
        Of strategies that mix two batch kinds: ``alpha``, the share of the first (monolingual
        batches of ``hybrid``, batches of captions and images of ``hybrid-image``), and ``cross``,
        ``"cross-rows"`` or ``"cross"``: whether each row of a cross-lingual batch draws two
        languages of its own, or the whole batch has the same two.

    Examples
    --------
    >>> parse_strategy("hybrid", alpha=0.4) == parse_strategy("hybrid:alpha=0.4")
    True
    >>> parse_strategy("hybrid:alpha=0.4").kinds
    (('mono', 0.4), ('cross-rows', 0.6))
    """
    if isinstance(name, Strategy):
        if options:
            raise BadOption(
                f"{name.name} has its options already; it takes no {', '.join(options)}"
            )
        strategy = name
    elif not isinstance(name, str):
        raise BadOption(f"a strategy is one of {', '.join(STRATEGIES)}, not {name!r}")
    else:
        name, _, text = name.partition(":")
        row = lookup("strategy", name, STRATEGIES)
        options = parse_options(text, "a strategy") | options
        if "temperature" in options:
            temperature = options.pop("temperature")  # type: ignore[assignment] # checked below
        strategy = _set_shares(row, options)
    if code_switch is not None:
        strategy = replace(strategy, code_switch=code_switch)
    if temperature is None:
        return strategy
    check_not_negative(temperature=temperature)
    return replace(strategy, temperature=float(temperature))


def _set_shares(strategy: Strategy, options: dict[str, object]) -> Strategy:
    """Return a strategy of the table with ``alpha`` and ``cross`` as in the options."""
    names = [kind for kind, _ in strategy.kinds]
    allowed = ["alpha"] if len(names) == 2 else []  # noqa: PLR2004 - the share of the first of two
    if len(names) > 1 and set(_CROSS_LINGUAL) & set(names):
        allowed.append("cross")
    if unknown := sorted(options.keys() - set(allowed)):
        rest = f"there are {', '.join(allowed)}" if allowed else "it has none of its own"
        raise BadOption(f"{strategy.name} has no option {unknown[0]!r}; {rest}")
    shares = [share for _, share in strategy.kinds]
    if "alpha" in options:
        alpha = options["alpha"]
        check_fraction(alpha=alpha)
        shares = [float(alpha), 1 - float(alpha)]  # type: ignore[arg-type] # checked
    if "cross" in options:
        cross = str(options["cross"])
        lookup("kind of cross-lingual batch", cross, dict.fromkeys(_CROSS_LINGUAL))
        names = [cross if name in _CROSS_LINGUAL else name for name in names]
    for name in names:
        lookup("batch kind", name, BATCH_KINDS)
    kinds = zip(names, shares, strict=True)
    return replace(strategy, kinds=tuple((kind, share) for kind, share in kinds if share))
