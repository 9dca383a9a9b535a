"""Names such as ``x-image+tip`` in, how to train and judge what they stand for out: a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadOption
from beir_hybrid.extras.language_adapters import LanguageAdapters, train_adapters
from beir_hybrid.extras.tip_cache import TipCache
from beir_hybrid.pairs.code_switching import CodeSwitch
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.training.train import train

DECIDED = {"strategy", "seed", "output", "max_steps"}  # by `bh.ablate`, the same for all rows


@dataclass(frozen=True)
class Variant:
    """A strategy with options of its own, as a row of `bh.ablate`.

    Attributes
    ----------
    options
        Of `bh.train`, for this row alone; what is in a mapping, such as ``{"lora": {"layers":
        [0]}}``, is added to what the other rows have there.
    wrap
        What makes the encoder that is judged of what was trained, the training pairs and the
        collection to judge on; by default the trained model is judged.
    fit
        What trains, called as `bh.train` is.
    """

    strategy: Strategy | str
    options: Mapping[str, Any] = field(default_factory=dict)
    wrap: Callable[[Any, ParallelPairs, Collection], Any] | None = None
    fit: Callable[..., Any] = train

    def merged(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of all rows, and on top of them those of this one."""
        found = dict(common)
        for name, value in self.options.items():
            deeper = isinstance(value, Mapping)
            found[name] = {**(common.get(name) or {}), **value} if deeper else value
        return found


def variant(how: Variant | Strategy | str, *, code_switch: CodeSwitch | None = None) -> Variant:
    """Return a row of its name: a strategy's, and `SUFFIXES` with a plus before each.

    >>> variant("hybrid-image:alpha=0.4+layers=0,1").options
    {'lora': {'layers': [0, 1]}}
    """
    if not isinstance(how, str):
        found = how if isinstance(how, Variant) else Variant(how)
        return replace(found, strategy=parse_strategy(found.strategy, code_switch=code_switch))
    base, *suffixes = how.split("+")
    chosen = parse_strategy(base, code_switch=code_switch)
    fields: dict[str, Any] = {"options": {}}
    for suffix in suffixes:
        name, _, value = suffix.partition("=")
        if name not in SUFFIXES:
            known = ", ".join(f"+{one}" for one in SUFFIXES)
            raise BadOption(f"{how!r}: there is no +{suffix}; there are {known}")
        for key, new in SUFFIXES[name](value, chosen).items():
            before = fields["options"] if key == "options" else fields
            if set(new if key == "options" else [key]) & before.keys():
                raise BadOption(f"{how!r}: +{name} does not go with what stands before it")
            before |= new if key == "options" else {key: new}
    return Variant(chosen, **fields)


def suffixes_of(name: str) -> set[str]:
    """Return the suffixes of a row's name, without their values."""
    return {suffix.partition("=")[0] for suffix in name.split("+")[1:]}


def _fit_adapters(
    model: Any, pairs: ParallelPairs, output: Path, *, max_steps: int, **options: Any
) -> Callable[[Collection], LanguageAdapters]:
    """Train an adapter for each language, together as many steps as other rows take."""
    langs = [lang for lang in pairs.languages if lang != IMAGE]
    each, rest = divmod(max_steps, len(langs))
    if not each:
        raise BadOption(
            f"max_steps is {max_steps}; +adapters needs {len(langs)} at least, for its languages "
            "share the steps"
        )
    found: dict[str, Path] = {}
    for at, lang in enumerate(langs):
        steps = each + (at < rest)
        found |= train_adapters(model, pairs, output, languages=[lang], max_steps=steps, **options)
    how = dict(options.get("encoder") or {})
    if (length := options.get("max_length")) is not None:
        how["max_length"] = length
    return partial(LanguageAdapters, model, found, **how)


def _fixed(**fields: Any) -> Callable[[str, Strategy], dict[str, Any]]:
    def change(value: str, _: Strategy) -> dict[str, Any]:
        if value:
            raise BadOption(f"a suffix is given {value!r}; +layers alone takes a value")
        return fields

    return change


def _layers(value: str, _: Strategy) -> dict[str, Any]:
    try:
        layers = [int(number) for number in value.split(",")]
    except ValueError as error:
        raise BadOption(f"+layers={value}: layers are numbers, as in +layers=0,1") from error
    return {"options": {"lora": {"layers": layers}}}


def _switched(value: str, chosen: Strategy) -> dict[str, Any]:
    if chosen.code_switch is None:
        raise BadOption(
            "+switch needs --switch and --lexicon; in Python leave +switch out and give "
            "bh.parse_strategy(NAME, code_switch=bh.code_switch(...))"
        )
    return _fixed()(value, chosen)


# What each changes of a row.
SUFFIXES: dict[str, Callable[[str, Strategy], dict[str, Any]]] = {
    # An adapter for each language, which encodes the texts of that language.
    "adapters": _fixed(fit=_fit_adapters, wrap=lambda adapted, _, test: adapted(test)),
    "frozen": _fixed(options={"freeze": "vision"}),
    "layers": _layers,  # LoRA of these layers of the text tower alone
    "switch": _switched,
    "tip": _fixed(wrap=lambda trained, pairs, _: TipCache.of(trained, pairs)),
}
