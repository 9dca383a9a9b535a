"""Rows of an ablation: a strategy with options of its own, also by names like ``x-image+tip``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption
from beir_hybrid.pairs.code_switching import CodeSwitch
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.training.train import train
from beir_hybrid.training.tuning import Tuning

# Returns the encoder to evaluate, of the trained model, the training pairs and the test collection.
Wrapper = Callable[[Any, ParallelPairs, Collection], Any]
# Options that `bh.ablate` sets, for all rows alike.
FIXED_OPTIONS = {"strategy", "seed", "output", "max_steps"}


@dataclass(frozen=True)
class Variant:
    """A strategy with options of its own, as a row of `bh.ablate`.

    Attributes
    ----------
    options
        Of `bh.train`, for this row alone. Mappings such as ``{"tuning": {"lora": {"layers":
        [0]}}}`` are added to those of all rows.
    wrap
        A function of the trained model, the training pairs and the test collection that returns
        the encoder to evaluate; by default the trained model is evaluated.
    fit
        The function that trains, with the parameters of `bh.train`.
    """

    strategy: Strategy | str
    options: Mapping[str, Any] = field(default_factory=dict)
    wrap: Wrapper | None = None
    fit: Callable[..., Any] = train

    def merge_options(self, common: Mapping[str, object]) -> dict[str, Any]:
        """Return the options of all rows, overridden by those of this one."""
        return _merge(common, self.options)


def _merge(common: Mapping[str, object], overrides: Mapping[str, object]) -> dict[str, Any]:
    """Merge mappings recursively; `overrides` win."""
    options = dict(common)
    for name, value in overrides.items():
        inner = common.get(name)
        if isinstance(value, Mapping):
            options[name] = _merge(inner if isinstance(inner, Mapping) else {}, value)
        else:
            options[name] = value
    return options


def parse_variant(
    row: Variant | Strategy | str, *, code_switch: CodeSwitch | None = None
) -> Variant:
    """Return the variant of a name: a strategy's name, and `SUFFIXES` with a plus before each.

    >>> parse_variant("hybrid-image:alpha=0.4+layers=0,1").options
    {'tuning': {'lora': {'layers': [0, 1]}}}
    """
    if not isinstance(row, str):
        variant = row if isinstance(row, Variant) else Variant(row)
        return replace(variant, strategy=parse_strategy(variant.strategy, code_switch=code_switch))
    base, *suffixes = row.split("+")
    variant = Variant(parse_strategy(base, code_switch=code_switch))
    changed_fields: set[str] = set()
    for suffix in suffixes:
        name, _, value = suffix.partition("=")
        if name not in SUFFIXES:
            choices = ", ".join(f"+{choice}" for choice in sorted(SUFFIXES))
            raise BadOption(f"{row!r}: there is no +{suffix}; there are {choices}")
        change = SUFFIXES[name](value, variant)
        if changed_fields & change.fields:
            raise BadOption(f"{row!r}: +{name} does not go with the suffixes before it")
        changed_fields |= change.fields
        variant = change.apply(variant)
    return variant


def list_suffixes(name: str) -> set[str]:
    """Return the suffixes of a row's name, without their values."""
    return {suffix.partition("=")[0] for suffix in name.split("+")[1:]}


@dataclass(frozen=True)
class Change:
    """The change that a suffix makes to a variant; see `Variant` and `bh.train`'s ``tuning``."""

    tuning: Tuning = field(default_factory=Tuning)
    wrap: Wrapper | None = None
    fit: Callable[..., Any] | None = None

    @property
    def fields(self) -> set[str]:
        """Names of the fields and tuning options that change: two suffixes share none."""
        replacements = {"wrap": self.wrap, "fit": self.fit}
        return {*self.tuning, *(name for name, value in replacements.items() if value is not None)}

    def apply(self, variant: Variant) -> Variant:
        """Return a variant with the change."""
        options = _merge(variant.options, {"tuning": self.tuning} if self.tuning else {})
        return replace(
            variant,
            options=options,
            wrap=self.wrap or variant.wrap,
            fit=self.fit or variant.fit,
        )


# Reads the value after a suffix's = and returns the change to the variant before the suffix.
Suffix = Callable[[str, Variant], Change]


def make_fixed_suffix(change: Change) -> Suffix:
    """Return a suffix that takes no value."""

    def read(value: str, _: Variant) -> Change:
        if value:
            raise BadOption(f"a suffix is given {value!r}; +layers alone takes a value")
        return change

    return read


def _read_layers(value: str, _: Variant) -> Change:
    """Return LoRA of these layers of the text tower alone."""
    try:
        layers = [int(number) for number in value.split(",")]
    except ValueError as error:
        raise BadOption(f"+layers={value}: layers are numbers, as in +layers=0,1") from error
    return Change(tuning={"lora": {"layers": layers}})


def _check_switch(value: str, variant: Variant) -> Change:
    """Check that the strategy is code-switched, which the suffix only marks."""
    if isinstance(variant.strategy, str) or variant.strategy.code_switch is None:
        raise BadOption(
            "+switch needs --switch and --lexicon; in Python leave +switch out and pass "
            "bh.parse_strategy(NAME, code_switch=bh.code_switch(...))"
        )
    return make_fixed_suffix(Change())(value, variant)


# `beir_hybrid.extras.ablation` adds +adapters and +tip; other packages can add theirs.
SUFFIXES: dict[str, Suffix] = {
    "frozen": make_fixed_suffix(Change(tuning={"freeze": "vision"})),
    "layers": _read_layers,
    "switch": _check_switch,
}
