"""Which weights a training changes, and how far."""

from collections.abc import Mapping
from typing import Any, TypedDict

from beir_hybrid.checks import check_proper_fraction
from beir_hybrid.errors import lookup
from beir_hybrid.training.towers import PART_PATTERNS


class Tuning(TypedDict, total=False):
    """Which weights are trained; by default all.

    Attributes
    ----------
    lora
        Options of peft's ``LoraConfig``, and ``layers``: train adapters alone.
    freeze
        The part that is kept as it is: ``"vision"`` or ``"vocabulary"``.
    start_share
        The share of the weights before the training in the weights that are saved.
    """

    lora: Mapping[str, Any] | None
    freeze: str | None
    start_share: float | None


def check_tuning(tuning: Mapping[str, object]) -> None:
    """Raise `UnknownName` for an unknown option or part, `BadOption` for an impossible share."""
    for name in tuning:
        lookup("option of the tuning", name, Tuning.__annotations__)
    if (freeze := tuning.get("freeze")) is not None:
        lookup("part to freeze", str(freeze), PART_PATTERNS)
    if (start_share := tuning.get("start_share")) is not None:
        check_proper_fraction(start_share=start_share)
