"""Reserve groups for batch kinds and languages, so that shares hold where translations are missing.

A group without translations fits monolingual batches of its language alone. If batches took groups
as they come, those that fit several batch kinds would be spent early, and the end of an epoch would
be what is left. So every group is reserved for one of the batch kinds that it fits, at random, in
such proportions that the kinds' totals are as near to the strategy's shares as the data allow; and
then for one of the kind's slots (its choices of languages), likewise by their weights.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from beir_hybrid.batches.kernels import SlotColumns, add_factors, find_eligible, label_groups
from beir_hybrid.batches.kinds import KindSlots

_SAMPLE = 1 << 14  # groups that the proportions are fitted on
_ROUNDS = 200
_TOLERANCE = 1e-3


class Reservation(NamedTuple):
    """The batch kind and slot that each group is reserved for; -1 for none."""

    kinds: np.ndarray  # (groups,) int32: the number of a batch kind
    slots: np.ndarray  # (groups,) int32: the number of a slot, counted through all kinds


def reserve_groups(
    kinds: Sequence[KindSlots], shares: Sequence[float], rng: np.random.Generator
) -> Reservation | None:
    """Reserve every group for a fitting batch kind, and for one of the kind's slots.

    Parameters
    ----------
    kinds, shares
        The slots of each batch kind, and the kind's share of the batches.

    Returns
    -------
        None if every group that fits any slot fits all of them: then nothing can run out early.
    """
    if _slots_fit_alike(kinds):
        return None
    kind_columns = _stack_kinds(kinds)
    n_groups = len(kind_columns.has_query)
    kind_labels, slot_labels = (np.full(n_groups, -1, np.int32) for _ in range(2))
    _label_by_shares(np.arange(n_groups), kind_columns, np.array(shares), kind_labels, rng)
    first_slot = 0
    for number, slots in enumerate(kinds):
        groups = np.flatnonzero(kind_labels == number)
        _label_by_shares(groups, slots.columns, slots.weights, slot_labels, rng)
        slot_labels[groups] += first_slot
        first_slot += len(slots.weights)
    return Reservation(kind_labels, slot_labels)


def fit_factors(fits: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return factors of slots by which groups are distributed in the slots' shares.

    A group goes to each slot that it fits with a probability in proportion to the slot's factor.
    Where the shares cannot be had, the slots come as near as they can. This is iterative
    proportional fitting (Deming and Stephan 1940) with the groups as rows.

    Parameters
    ----------
    fits
        (groups, slots) bool; every group fits a slot.
    shares
        (slots,) float64: the slots' shares of all groups, in proportion.

    Examples
    --------
    Of four groups one fits the first slot alone, so one of the three others has to go there:

    >>> fits = np.array([[True, False], [True, True], [True, True], [True, True]])
    >>> factors = fit_factors(fits, np.array([0.5, 0.5]))
    >>> round(float(factors[0] / factors.sum()), 2)
    0.33
    """
    patterns, counts = np.unique(fits, axis=0, return_counts=True)
    targets = shares / shares.sum() * counts.sum()
    factors = shares / shares.max()
    for _ in range(_ROUNDS):
        weights = patterns * factors
        totals = (counts / weights.sum(axis=1)) @ weights
        ratios = np.divide(targets, totals, out=np.ones_like(targets), where=totals > 0)
        if np.abs(ratios - 1).max() < _TOLERANCE:
            break
        factors = np.maximum(factors * ratios, 1e-200)
        factors /= factors.max()
    return factors


def _label_by_shares(
    groups: np.ndarray,
    columns: SlotColumns,
    shares: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Label groups with the numbers of fitting slots, at random in the slots' shares."""
    if not len(shares) or not len(groups):
        return
    sample = groups
    if len(groups) > _SAMPLE:
        sample = groups[np.sort(rng.choice(len(groups), _SAMPLE, replace=False))]
    has_query, has_passage, query, passage = columns
    fits = has_query[sample][:, query] & has_passage[sample][:, passage]
    fits = fits[fits.any(axis=1)]
    if not len(fits):
        return
    factors = fit_factors(fits, shares)
    points = add_factors(groups, columns, factors) * rng.random(len(groups))
    label_groups(groups, columns, factors, points, labels)


def _stack_kinds(kinds: Sequence[KindSlots]) -> SlotColumns:
    """Return columns with a slot for each batch kind."""
    fits = np.stack([find_eligible(slots.columns) for slots in kinds], axis=1)
    numbers = np.arange(len(kinds))
    return SlotColumns(fits, fits, numbers, numbers)


def _slots_fit_alike(kinds: Sequence[KindSlots]) -> bool:
    """Return True if every group that fits any slot fits all of them."""
    groups = np.arange(len(kinds[0].columns.has_query))
    counts = np.zeros(len(groups))
    for slots in kinds:
        counts += add_factors(groups, slots.columns, np.ones(len(slots.weights)))
    n_slots = sum(len(slots.weights) for slots in kinds)
    return bool(((counts == 0) | (counts == n_slots)).all())
