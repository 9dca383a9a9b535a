"""The parameters of measures of bias: their types and defaults, and which values make sense."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ir_measures.measures import ParamInfo


@dataclass(frozen=True)
class Parameter:
    """A parameter of ir-measures, with a check of its value and a description of allowed values."""

    info: ParamInfo
    is_valid: Callable[[Any], bool]
    requirement: str


def pick_parameters(names: str) -> dict[str, ParamInfo]:
    """Return parameters by a text of their names, for the declaration of a measure."""
    return {name: PARAMETERS[name].info for name in names.split()}


def _is_level_weights(value: Mapping[Any, Any]) -> bool:
    weights = [weight for weight in value.values() if isinstance(weight, int | float)]
    has_levels = all(isinstance(level, int) and level >= 0 for level in value)
    is_finite = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    return has_levels and is_finite and len(weights) == len(value) and sum(weights) > 0


def _is_number(value: object) -> bool:
    return not isinstance(value, bool)


def _is_positive(value: int) -> bool:
    return _is_number(value) and value > 0


PARAMETERS = {
    "cutoff": Parameter(
        ParamInfo(int, default=None, desc="ranking cutoff threshold"),
        _is_positive,
        "a whole number from 1 on",
    ),
    "rel": Parameter(
        ParamInfo(int, default=1, desc="lowest relevance that counts as relevant"),
        _is_number,
        "a whole number",
    ),
    "normalized": Parameter(
        ParamInfo(bool, default=False, desc="0 at best, 1 for a random ranking"),
        lambda _: True,
        "True or False",
    ),
    "pool": Parameter(
        ParamInfo(int, default=None, desc="number of passages that are ranked"),
        _is_positive,
        "a whole number from 1 on",
    ),
    "discount": Parameter(
        ParamInfo(str, choices=["log", "geometric"], default="log", desc="attention by rank"),
        lambda _: True,
        "'log' or 'geometric'",
    ),
    "p": Parameter(
        ParamInfo(float, default=0.5, desc="patience: chance to look at one passage more"),
        lambda value: 0 < value < 1,
        "a number between 0 and 1",
    ),
    "weights": Parameter(
        ParamInfo(Mapping, default=None, desc="weight of each relevance level"),
        _is_level_weights,
        "a mapping of relevance levels to weights, none negative and one above 0",
    ),
    "langs": Parameter(
        ParamInfo(Mapping, default=None, desc="language of each id"),
        lambda _: True,
        "a mapping of ids to languages",
    ),
}
