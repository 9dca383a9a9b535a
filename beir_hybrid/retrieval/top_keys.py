"""Keys of passages: whole numbers that sort by score and, if scores tie, by the order of ids."""

import numpy as np


def pack_keys(scores: np.ndarray, id_order: np.ndarray) -> np.ndarray:
    """Return the key of each passage, int64, from its float32 score and the place of its id."""
    return (_sortable_bits(scores.view(np.int32)).astype(np.int64) << 32) | id_order


def unpack_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and the places of ids from which `pack_keys` made keys."""
    return unpack_scores(keys), keys & 0xFFFFFFFF


def unpack_scores(keys: np.ndarray) -> np.ndarray:
    """Return the scores from which `pack_keys` made keys."""
    return _sortable_bits((keys >> 32).astype(np.int32)).view(np.float32)


def _sortable_bits(bits: np.ndarray) -> np.ndarray:
    """Turn bits of float32 numbers into integers that sort as the numbers do, and back."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
