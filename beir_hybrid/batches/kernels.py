"""Compiled loops over groups: which fit a batch, and which share no passage with its rows."""

from typing import NamedTuple

import numba as nb
import numpy as np

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
DEFERRED_LIMIT = 4096  # groups that a slot can put off more


class SlotColumns(NamedTuple):
    """Which groups fit the slots of a batch kind.

    A group fits slot s if ``has_query[group, query[s]]`` and ``has_passage[group, passage[s]]``.
    """

    has_query: np.ndarray  # (groups, columns) bool
    has_passage: np.ndarray  # (groups, columns) bool
    query: np.ndarray  # (slots,) int64
    passage: np.ndarray  # (slots,) int64


class Allotment(NamedTuple):
    """Which groups are reserved for which slots."""

    labels: np.ndarray  # (groups,) int32; empty if no group is reserved
    keys: np.ndarray  # (slots,) int32: a slot draws the groups whose label is its key


class GroupQueue(NamedTuple):
    """The groups that a slot looks at."""

    order: np.ndarray  # (groups,) int64: in this order
    start: int  # the place to begin
    deferred: np.ndarray  # int64: groups that earlier batches put off, to be looked at first


class PassageTable(NamedTuple):
    """A hash table of the passages of a batch's rows, which is empty again for each batch."""

    golds: np.ndarray  # (groups, width) int64: passages by number, -1 where there is none
    keys: np.ndarray  # (a power of two,) int64: passages
    stamps: np.ndarray  # (as many,) int64: the batch that wrote a place


@nb.njit(nogil=True, cache=True)
def draw_groups(
    queue: GroupQueue,
    is_drawn: np.ndarray,
    columns: SlotColumns,
    slot: int,
    passages: PassageTable,
    stamp: int,
    batch: np.ndarray,
) -> tuple[int, int, np.ndarray]:
    """Draw groups that fit a slot and have no passage in common.

    Parameters
    ----------
    is_drawn
        (all groups,) bool: groups that are drawn already.
    stamp
        The number of the batch, different for each.
    batch
        (size,) int64: the groups are written here.

    Returns
    -------
        How many groups are written, where to begin next time, and the groups put off.
    """
    order, deferred = queue.order, queue.deferred
    count = 0
    waiting = np.empty(len(deferred) + DEFERRED_LIMIT, np.int64)
    n_waiting = 0
    for group in deferred:
        if is_drawn[group]:
            continue
        if count < len(batch) and _claim_passages(group, passages, stamp):
            batch[count] = group
            count += 1
        else:
            waiting[n_waiting] = group
            n_waiting += 1
    query, passage = columns.query[slot], columns.passage[slot]
    place = queue.start
    while place < len(order) and count < len(batch) and n_waiting < len(waiting):
        group = order[place]
        place += 1
        if is_drawn[group]:
            continue
        if not (columns.has_query[group, query] and columns.has_passage[group, passage]):
            continue
        if _claim_passages(group, passages, stamp):
            batch[count] = group
            count += 1
        else:
            waiting[n_waiting] = group
            n_waiting += 1
    return count, place, waiting[:n_waiting].copy()


@nb.njit(nogil=True, cache=True)
def count_groups(groups: np.ndarray, columns: SlotColumns, allotment: Allotment) -> np.ndarray:
    """Count the groups that fit each slot and are reserved for the slot's key; (slots,)."""
    counts = np.zeros(len(columns.query), np.int64)
    labels, is_allotted = allotment.labels, len(allotment.labels) > 0
    for group in groups:
        for slot in range(len(counts)):
            if is_allotted and labels[group] != allotment.keys[slot]:
                continue
            counts[slot] += (
                columns.has_query[group, columns.query[slot]]
                and columns.has_passage[group, columns.passage[slot]]
            )
    return counts


@nb.njit(nogil=True, cache=True)
def find_eligible(columns: SlotColumns) -> np.ndarray:
    """Mark the groups that fit any slot, (groups,) bool."""
    is_eligible = np.zeros(len(columns.has_query), np.bool_)
    for group in range(len(is_eligible)):
        for slot in range(len(columns.query)):
            if (
                columns.has_query[group, columns.query[slot]]
                and columns.has_passage[group, columns.passage[slot]]
            ):
                is_eligible[group] = True
                break
    return is_eligible


@nb.njit(nogil=True, cache=True)
def add_factors(groups: np.ndarray, columns: SlotColumns, factors: np.ndarray) -> np.ndarray:
    """Return the sum of the factors of the slots that each group fits, (groups,) float64."""
    totals = np.zeros(len(groups))
    for i in range(len(groups)):
        for slot in range(len(factors)):
            if (
                columns.has_query[groups[i], columns.query[slot]]
                and columns.has_passage[groups[i], columns.passage[slot]]
            ):
                totals[i] += factors[slot]
    return totals


@nb.njit(nogil=True, cache=True)
def label_groups(
    groups: np.ndarray,
    columns: SlotColumns,
    factors: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Label groups with the slots that they are reserved for, in proportion to factors.

    Parameters
    ----------
    points
        (groups,) float64: for each group a random point from 0 to its total of `add_factors`.
        The slot in whose stretch of the total the point lies has the group.
    labels
        (all groups,) int32: changed in place; groups that fit no slot keep their labels.
    """
    for i in range(len(groups)):
        total = 0.0
        for slot in range(len(factors)):
            if (
                columns.has_query[groups[i], columns.query[slot]]
                and columns.has_passage[groups[i], columns.passage[slot]]
            ):
                labels[groups[i]] = slot
                total += factors[slot]
                if points[i] < total:
                    break


@nb.njit(nogil=True, cache=True)
def _claim_passages(group: int, passages: PassageTable, stamp: int) -> bool:
    """Put a group's passages into the table; return False if the table has one already."""
    golds = passages.golds
    for column in range(golds.shape[1]):
        gold = golds[group, column]
        if gold >= 0 and passages.stamps[_find_place(gold, passages, stamp)] == stamp:
            return False
    for column in range(golds.shape[1]):
        gold = golds[group, column]
        if gold >= 0:
            place = _find_place(gold, passages, stamp)
            passages.keys[place] = gold
            passages.stamps[place] = stamp
    return True


@nb.njit(nogil=True, cache=True, inline="always")
def _find_place(gold: int, passages: PassageTable, stamp: int) -> int:
    """Return the place of a passage in the table, or the free place for it."""
    mask = np.uint64(len(passages.keys) - 1)
    place = (np.uint64(gold) * _SPREAD) >> np.uint64(20) & mask
    while passages.stamps[place] == stamp and passages.keys[place] != gold:
        place = (place + np.uint64(1)) & mask
    return int(place)
