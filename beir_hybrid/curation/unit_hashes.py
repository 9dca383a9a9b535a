"""Hashes of the words of texts, by which equal and overlapping texts are found at high speed.

Case, accents, punctuation and the shape of digits do not count. In scripts without spaces between
words, each letter is a word of its own.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa

_TABLE_SIZE = 0x30000  # code points that the table has; those behind separate words
_UNSPACED = [
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF),
    (0xF900, 0xFAFF), (0x20000, 0x2FFFF),
]  # fmt: skip
_ACCENTS = range(0x0300, 0x0370)
_SEPARATOR, _IGNORED = 0, 1 | 1 << 29  # entries of the table: no letter, and a mere accent
# Flags of entries: a letter that is a word of its own, and a mark, which belongs to its letter.
_LETTER_WORD, _MARK = np.uint32(1 << 30), np.uint32(1 << 29)
_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_FIRST_BITS, _SHIFT = 18, np.uint64(64 - 18)  # of hashes that are looked up by these
_MIXER = np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True)
class UnitHashes:
    """The hashes of the words of texts, one text after another.

    Those of text i are from ``bounds[i]`` to ``bounds[i + 1]``.
    """

    units: np.ndarray  # (words,) uint64
    bounds: np.ndarray  # (texts + 1,) int64

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> "UnitHashes":
        """Hash the words of texts."""
        array = pa.array(texts, pa.large_string())
        _, offsets, data = array.buffers()
        starts = np.frombuffer(offsets, np.int64)[: len(texts) + 1]
        content = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
        return cls(*_hash_words(starts, content, _build_table()))

    @property
    def counts(self) -> np.ndarray:
        """How many words each text has, (texts,) int64."""
        return np.diff(self.bounds)

    def hash_sequences(self) -> np.ndarray:
        """Hash each text's words in their order, (texts,) uint64."""
        return _hash_sequences(self.units, self.bounds)

    def hash_bags(self) -> np.ndarray:
        """Hash each text's words in any order, (texts,) uint64."""
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(self.units * _MIXER)])
        return sums[self.bounds[1:]] - sums[self.bounds[:-1]]

    def hash_ngrams(self, n: int) -> np.ndarray:
        """Return the hashes of all sequences of n words, sorted and distinct, uint64."""
        return np.unique(_hash_ngrams(self.units, self.bounds, n))

    def match_ngrams(self, n: int, ngrams: "HashSet") -> np.ndarray:
        """Mark the texts that have an n-gram of a set, (texts,) bool."""
        return _match_ngrams(self.units, self.bounds, n, ngrams.values, ngrams.starts)


class HashSet(NamedTuple):
    """Sorted hashes, and where those with the same first bits begin, so that a search is short."""

    values: np.ndarray  # (n,) uint64
    starts: np.ndarray  # (2**_FIRST_BITS + 1,) int64

    @classmethod
    def from_parts(cls, parts: Sequence[np.ndarray]) -> "HashSet":
        """Collect hashes, (n,) uint64 each."""
        values = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))
        counts = np.bincount(values >> _SHIFT, minlength=1 << _FIRST_BITS)
        return cls(values, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))

    def match(self, hashes: np.ndarray) -> np.ndarray:
        """Mark the hashes that are in the set, (n,) bool."""
        places = np.searchsorted(self.values, hashes)
        is_inside = places < len(self.values)
        is_inside[is_inside] = self.values[places[is_inside]] == hashes[is_inside]
        return is_inside


@cache
def _build_table() -> np.ndarray:
    """Return for each code point the one that stands for it, with flags; (n,) uint32."""
    table = np.zeros(_TABLE_SIZE, np.uint32)
    for code in range(_TABLE_SIZE):
        sign = chr(code)
        kind = unicodedata.category(sign)[0]
        if kind in "LMN":
            table[code] = _IGNORED if code in _ACCENTS else _simplify(sign)
        if kind == "M":
            table[code] |= _MARK
    for first, last in _UNSPACED:
        for code in range(first, last + 1):
            if unicodedata.category(chr(code))[0] == "L":
                table[code] |= _LETTER_WORD
    return table


def _simplify(sign: str) -> int:
    """Return the code of a letter or digit without case, accent and shape, or its own."""
    if unicodedata.category(sign) == "Nd":
        return ord("0") + unicodedata.decimal(sign)
    parts = unicodedata.normalize("NFKD", sign)
    base = "".join(part for part in parts if ord(part) not in _ACCENTS).lower()
    return ord(base) if len(base) == 1 else ord(sign)


@nb.njit(nogil=True, cache=True)
def _mix(state: np.uint64) -> np.uint64:
    """Spread the bits of a hash."""
    state ^= state >> np.uint64(33)
    state *= _MIXER
    return state ^ (state >> np.uint64(33))


@nb.njit(nogil=True, cache=True)
def _decode(content: np.ndarray, k: int) -> tuple[int, int]:
    """Return the code point of UTF-8 that begins at a place, and the place behind it."""
    code, n = np.int64(content[k]), 1
    # UTF-8 begins a sequence with as many bits as it has bytes, and a zero.
    if code >= 0b11110000:  # noqa: PLR2004
        code, n = code & 0b00000111, 4
    elif code >= 0b11100000:  # noqa: PLR2004
        code, n = code & 0b00001111, 3
    elif code >= 0b11000000:  # noqa: PLR2004
        code, n = code & 0b00011111, 2
    for place in range(k + 1, k + n):
        code = code << 6 | np.int64(content[place]) & 0x3F
    return int(code), k + n


@nb.njit(nogil=True, cache=True)
def _hash_words(
    offsets: np.ndarray, content: np.ndarray, table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of all words, and where those of each text begin."""
    units = np.empty(len(content) + 1, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    n = 0
    for i in range(len(offsets) - 1):
        state, in_word, is_letter_word = _START, False, False
        k = offsets[i]
        while k < offsets[i + 1]:
            code, k = _decode(content, k)
            value = table[code] if code < len(table) else np.uint32(_SEPARATOR)
            if value == _IGNORED:
                continue
            starts_word = value & _LETTER_WORD or (is_letter_word and not value & _MARK)
            if in_word and (value == _SEPARATOR or starts_word):
                units[n] = _mix(state)
                n += 1
                state, in_word = _START, False
            if value != _SEPARATOR:
                if not in_word:
                    is_letter_word = value & _LETTER_WORD != 0
                state, in_word = (state ^ np.uint64(value)) * _PRIME, True
        if in_word:
            units[n] = _mix(state)
            n += 1
        bounds[i + 1] = n
    return units[:n].copy(), bounds


@nb.njit(nogil=True, cache=True)
def _hash_sequence(units: np.ndarray, start: int, stop: int) -> np.uint64:
    """Hash words in their order."""
    state = _START
    for k in range(start, stop):
        state = (state ^ units[k]) * _PRIME
    return _mix(state)


@nb.njit(nogil=True, cache=True)
def _hash_sequences(units: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Hash the words of each text in their order."""
    hashes = np.empty(len(bounds) - 1, np.uint64)
    for i in range(len(hashes)):
        hashes[i] = _hash_sequence(units, bounds[i], bounds[i + 1])
    return hashes


@nb.njit(nogil=True, cache=True)
def _hash_ngrams(units: np.ndarray, bounds: np.ndarray, n: int) -> np.ndarray:
    """Hash all sequences of n words of each text."""
    hashes = np.empty(len(units), np.uint64)
    count = 0
    for i in range(len(bounds) - 1):
        for k in range(bounds[i], bounds[i + 1] - n + 1):
            hashes[count] = _hash_sequence(units, k, k + n)
            count += 1
    return hashes[:count].copy()


@nb.njit(nogil=True, cache=True)
def _match_ngrams(
    units: np.ndarray, bounds: np.ndarray, n: int, values: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Mark the texts that have an n-gram among sorted hashes."""
    is_match = np.zeros(len(bounds) - 1, np.bool_)
    for i in range(len(is_match)):
        for k in range(bounds[i], bounds[i + 1] - n + 1):
            value = _hash_sequence(units, k, k + n)
            first_bits = np.int64(value >> _SHIFT)
            for place in range(starts[first_bits], starts[first_bits + 1]):
                is_match[i] |= values[place] == value
            if is_match[i]:
                break
    return is_match
