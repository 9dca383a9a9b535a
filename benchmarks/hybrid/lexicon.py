"""A bilingual lexicon from parallel lines, by word alignment.

IBM's model 1 (Brown et al. 1993) with English as the pivot: t(f|e), the probability that a word e
is translated by f, starts uniform and is estimated repeatedly from the expected counts of e and f
in one line. A word f is a translation of the e that most of its occurrences are expected to be
aligned to, if these are at least three in ten. Words of other languages that are aligned to the
same English word translate each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from beir_hybrid.pairs.code_switching import Lexicon, code_switch, find_units

PIVOT = "en"
UNSEGMENTED = ("th",)  # without spaces, and without words of a fixed number of signs
_TWO_SIGNS = ("zh",)  # most words are two signs, so pairs of neighbours stand for words
ROUNDS = 10  # of the estimation
SHARE = 0.3  # of a word's occurrences that one alignment needs
OCCURRENCES = 2  # that a word needs
MINIMAL_COVERAGE = 0.1  # of the words of the texts: below, code switching changes too little


def split_words(text: str, language: str) -> list[str]:
    """Split a text into the words of the lexicon; in Chinese, pairs of neighbouring signs.

    >>> split_words("Das Haus, 1990!", "de"), split_words("北京市", "zh")
    (['das', 'haus'], ['北京', '京市'])
    """
    spans = find_units(text, language)
    if language in _TWO_SIGNS:
        spans = [
            (start, end) for (start, middle), (next_, end) in pairwise(spans) if middle == next_
        ]
    words = [text[start:end].casefold() for start, end in spans]
    return [word for word in words if not any(sign.isdecimal() for sign in word)]


def align_words(
    pivot: Sequence[Sequence[str]], foreign: Sequence[Sequence[str]], rounds: int = ROUNDS
) -> dict[str, str]:
    """Return the word of the pivot that each foreign word is aligned to.

    Parameters
    ----------
    pivot, foreign
        The words of parallel lines.

    >>> align_words([["red", "house"], ["red", "dog"], ["house"]] * 2,
    ...             [["rotes", "haus"], ["roter", "hund"], ["haus"]] * 2)["haus"]
    'house'
    """
    numbers: tuple[dict[str, int], dict[str, int]] = {}, {}
    line_pairs, line_tokens = [], []  # codes of pairs (e, f); the number of f's token
    width = sum(map(len, pivot)) + 1
    token = 0
    for pivot_line, foreign_line in zip(pivot, foreign, strict=True):
        e = np.array(
            [numbers[0].setdefault(word, len(numbers[0])) for word in pivot_line], np.int64
        )
        for word in foreign_line:
            f = numbers[1].setdefault(word, len(numbers[1]))
            line_pairs.append(f * width + e)
            line_tokens.append(np.full(len(e), token))
            token += 1
    if not token:
        return {}
    codes, pair = np.unique(np.concatenate(line_pairs), return_inverse=True)
    tokens = np.concatenate(line_tokens)
    pair_f, pair_e = np.divmod(codes, width)
    probability = np.ones(len(codes))
    for _ in range(rounds):
        # Share each token of f among the e of its line.
        weights = probability[pair]
        shares = weights / np.bincount(tokens, weights, token)[tokens]
        counts = np.bincount(pair, shares, len(codes))
        # t(f|e) is normalised by e, so that a rare f does not attract all e in its lines.
        probability = counts / np.bincount(pair_e, counts)[pair_e]
    return _select_alignments(numbers, pair_f, pair_e, counts)


def _select_alignments(
    numbers: tuple[dict[str, int], dict[str, int]],
    pair_f: np.ndarray,
    pair_e: np.ndarray,
    counts: np.ndarray,
) -> dict[str, str]:
    """Return the best e of each f that is frequent enough and aligned to that e often enough."""
    total = np.bincount(pair_f, counts)
    order = np.lexsort((pair_e, -counts, pair_f))
    best = order[np.unique(pair_f[order], return_index=True)[1]]
    is_frequent = total[pair_f[best]] > OCCURRENCES - 0.5
    selected = best[is_frequent & (counts[best] >= SHARE * total[pair_f[best]])]
    pivot_words, foreign_words = (list(words) for words in numbers)
    return {foreign_words[pair_f[i]]: pivot_words[pair_e[i]] for i in selected.tolist()}


def build_lexicon(lines: Mapping[str, Sequence[str]], name: str = "ntrex") -> Lexicon:
    """Return the lexicon of parallel lines, with an entry for each word of English."""
    words = {
        language: [split_words(line, language) for line in texts]
        for language, texts in lines.items()
        if language not in UNSEGMENTED
    }
    entries: dict[str, dict[str, list[str]]] = {}
    for language in sorted(words.keys() - {PIVOT}):
        for word, pivot_word in align_words(words[PIVOT], words[language]).items():
            entry = entries.setdefault(pivot_word, {PIVOT: [pivot_word]})
            entry.setdefault(language, []).append(word)
    return Lexicon([entries[word] for word in sorted(entries)], name)


def compute_coverage(lexicon: Lexicon, texts: Iterable[tuple[str, str]]) -> float:
    """Return the share of the words of (text, language) pairs that the lexicon has."""
    return code_switch(1.0, lexicon).measure_coverage(texts)
