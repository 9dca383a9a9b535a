"""Parallel lines in, a lexicon of words that are aligned often enough out.

IBM's model 1 (Brown et al. 1993) with English as the pivot: t(f|e), how likely a word e is
translated by f, starts uniform and is estimated anew, some times over, from the expected counts of
e and f meeting. A word f is taken for a translation of the e that most of its occurrences are
expected to be, if at least three in ten are. Words of other languages that are aligned to the same
English word translate each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from beir_hybrid.pairs.code_switching import CodeSwitch, Lexicon, code_switch, find_units

PIVOT = "en"
UNSEGMENTED = ("th",)  # no spaces, and no words of a fixed number of letters either
_PAIRED = ("zh",)  # most words are two signs: neighbours stand for words
ROUNDS, SHARE, OFTEN = 10, 0.3, 2  # of the estimation; of occurrences; occurrences at least
TESTABLE = 0.1  # of the words of the texts: below, switching changes too little to be tested


def words(text: str, lang: str) -> list[str]:
    """Return the words of a text, as the lexicon looks them up; of Chinese, neighbouring signs.

    >>> words("Das Haus, 1990!", "de"), words("北京市", "zh")
    (['das', 'haus'], ['北京', '京市'])
    """
    spans = find_units(text, lang)
    if lang in _PAIRED:
        spans = [(start, end) for (start, middle), (then, end) in pairwise(spans) if middle == then]
    found = [text[start:end].casefold() for start, end in spans]
    return [word for word in found if not any(sign.isdecimal() for sign in word)]


def aligned(
    pivot: Sequence[Sequence[str]], other: Sequence[Sequence[str]], rounds: int = ROUNDS
) -> dict[str, str]:
    """Return, for words of the other language, the word of the pivot that they are aligned to.

    >>> aligned([["red", "house"], ["red", "dog"], ["house"]] * 2,
    ...         [["rotes", "haus"], ["roter", "hund"], ["haus"]] * 2)["haus"]
    'house'
    """
    numbers: tuple[dict[str, int], dict[str, int]] = {}, {}
    pairs, tokens = [], []  # codes of e and f; f's token, over all lines
    width = sum(map(len, pivot)) + 1
    token = 0
    for ours, theirs in zip(pivot, other, strict=True):
        e = np.array([numbers[0].setdefault(word, len(numbers[0])) for word in ours], np.int64)
        for word in theirs:
            f = numbers[1].setdefault(word, len(numbers[1]))
            pairs.append(f * width + e)
            tokens.append(np.full(len(e), token))
            token += 1
    if not token:
        return {}
    codes, place = np.unique(np.concatenate(pairs), return_inverse=True)
    where = np.concatenate(tokens)
    f_of, e_of = np.divmod(codes, width)
    chance = np.ones(len(codes))
    for _ in range(rounds):
        # Of each f in its line: which e is it? Shares that add up to 1.
        each = chance[place]
        shares = each / np.bincount(where, each, token)[where]
        expected = np.bincount(place, shares, len(codes))
        # t(f|e), by the e: a rare f does not draw in every e around it.
        chance = expected / np.bincount(e_of, expected)[e_of]
    return _best(numbers, f_of, e_of, expected)


def _best(
    numbers: tuple[dict[str, int], dict[str, int]],
    f_of: np.ndarray,
    e_of: np.ndarray,
    expected: np.ndarray,
) -> dict[str, str]:
    """Return the e of each f that is often enough and mostly that e."""
    total = np.bincount(f_of, expected)
    order = np.lexsort((e_of, -expected, f_of))
    first = order[np.unique(f_of[order], return_index=True)[1]]
    kept = (total[f_of[first]] > OFTEN - 0.5) & (expected[first] >= SHARE * total[f_of[first]])
    ours, theirs = (list(some) for some in numbers)
    return {theirs[f_of[i]]: ours[e_of[i]] for i in first[kept].tolist()}


def lexicon_of(lines: Mapping[str, Sequence[str]], name: str = "ntrex") -> Lexicon:
    """Return the lexicon of parallel lines: an entry for each word of English."""
    split = {
        lang: [words(line, lang) for line in some]
        for lang, some in lines.items()
        if lang not in UNSEGMENTED
    }
    entries: dict[str, dict[str, list[str]]] = {}
    for lang in sorted(split.keys() - {PIVOT}):
        for word, ours in aligned(split[PIVOT], split[lang]).items():
            entries.setdefault(ours, {PIVOT: [ours]}).setdefault(lang, []).append(word)
    return Lexicon([entries[word] for word in sorted(entries)], name)


def coverage(lexicon: Lexicon, texts: Iterable[tuple[str, str]]) -> float:
    """Return the share of the words of (text, language) pairs that the lexicon has."""
    return code_switch(1.0, lexicon).measure_coverage(texts)


def switch_of(lexicon: Lexicon, probability: float) -> CodeSwitch:
    """Return what switches words of questions and passages alike."""
    return code_switch(probability, lexicon)
