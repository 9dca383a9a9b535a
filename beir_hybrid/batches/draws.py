"""Groups in a random order in, those of one batch out: none of them share a passage."""

import numba as nb
import numpy as np

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
ROOM = 4096  # groups a slot can put off


@nb.njit(nogil=True, cache=True)
def draw(
    order: np.ndarray,  # (groups,) int64: the order in which groups are looked at
    start: int,  # where in it to begin
    deferred: np.ndarray,  # int64: groups that were put off before, looked at first
    used: np.ndarray,  # (all groups,) bool
    left: np.ndarray,  # (all groups, columns) bool: a group will do if left[group, i] and ...
    i: int,
    right: np.ndarray,  # ... right[group, j]
    j: int,
    golds: np.ndarray,  # (all groups, width) int64, -1 where there is none
    chosen: np.ndarray,  # (size,) int64: what is drawn is put here
    keys: np.ndarray,  # (a power of two,) int64: a hash table of passages
    stamps: np.ndarray,  # (as many,) int64: which draw wrote a place
    stamp: int,
) -> tuple[int, int, np.ndarray]:
    """Return how many groups were drawn, where to begin next time, and what was put off."""
    count = 0
    kept = np.empty(len(deferred) + ROOM, np.int64)
    off = 0
    for group in deferred:
        if used[group]:
            continue
        if count < len(chosen) and _claim(group, golds, keys, stamps, stamp):
            chosen[count] = group
            count += 1
        else:
            kept[off] = group
            off += 1
    at = start
    while at < len(order) and count < len(chosen) and off < len(kept):
        group = order[at]
        at += 1
        if used[group] or not (left[group, i] and right[group, j]):
            continue
        if _claim(group, golds, keys, stamps, stamp):
            chosen[count] = group
            count += 1
        else:
            kept[off] = group
            off += 1
    return count, at, kept[:off].copy()


@nb.njit(nogil=True, cache=True)
def _claim(group: int, golds: np.ndarray, keys: np.ndarray, stamps: np.ndarray, stamp: int) -> bool:
    """Put a group's passages into the table, unless one of them is there already."""
    for column in range(golds.shape[1]):
        gold = golds[group, column]
        if gold >= 0 and stamps[_place(gold, keys, stamps, stamp)] == stamp:
            return False
    for column in range(golds.shape[1]):
        gold = golds[group, column]
        if gold >= 0:
            place = _place(gold, keys, stamps, stamp)
            keys[place] = gold
            stamps[place] = stamp
    return True


@nb.njit(nogil=True, cache=True, inline="always")
def _place(gold: int, keys: np.ndarray, stamps: np.ndarray, stamp: int) -> int:
    """Return where a passage is in the table, or where it would be."""
    mask = np.uint64(len(keys) - 1)
    place = (np.uint64(gold) * _SPREAD) >> np.uint64(20) & mask
    while stamps[place] == stamp and keys[place] != gold:
        place = (place + np.uint64(1)) & mask
    return int(place)
