"""A text and a lexicon in, the text with some of its words in other languages out."""

import hashlib
import json
import random
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Literal, cast, get_args

from beir_hybrid.collection.lines import read_json_lines
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.languages import normalise

Sides = Literal["queries", "passages", "both"]

# Written without spaces between words: any run of characters may be a word.
_UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "yue", "zh"})
Entry = Mapping[str, str | Sequence[str]]


class Lexicon:
    """Words, or short phrases, and what they are in other languages.

    Each entry maps languages to a word or to several, as in ``{"de": "Haus", "en": ["house"]}``.
    """

    def __init__(self, entries: Iterable[Entry], name: str = "lexicon") -> None:
        self.name = name
        self.entries: list[dict[str, list[str]]] = []
        # For each language: casefolded word -> numbers of entries.
        self.places: dict[str, dict[str, list[int]]] = {}
        for number, entry in enumerate(entries):
            self.entries.append(words := _words(entry, f"{name}, entry {number + 1}"))
            for lang, forms in words.items():
                for form in forms:
                    self.places.setdefault(lang, {}).setdefault(form.casefold(), []).append(number)
        if not self.entries:
            raise BadData(f"{name} has no entries")
        self.longest = {  # in the units that `_units` finds
            lang: max(len(_units(word, lang)) for word in words)
            for lang, words in self.places.items()
        }

    def digest(self) -> str:
        """Return a SHA-256 of the entries."""
        return hashlib.sha256(json.dumps(self.entries).encode()).hexdigest()

    def translations(self, word: str, lang: str) -> dict[str, list[str]]:
        """Return what a word is in other languages, by language; case does not matter."""
        found: dict[str, list[str]] = {}
        for number in self.places.get(lang, {}).get(word.casefold(), ()):
            for other, forms in self.entries[number].items():
                if other != lang:
                    found.setdefault(other, []).extend(forms)
        return found

    def matches(self, text: str, lang: str) -> tuple[list[tuple[int, int]], int]:
        """Return where in a text its words are, longest first, and how many words it has."""
        units = _units(text, lang)
        longest = self.longest.get(lang, 0)
        found, at, rest = [], 0, 0
        while at < len(units):
            start = units[at][0]
            for length in range(min(longest, len(units) - at), 0, -1):
                end = units[at + length - 1][1]
                if self.translations(text[start:end], lang):
                    found.append((start, end))
                    at += length
                    break
            else:
                at, rest = at + 1, rest + 1
        return found, len(found) + rest


@dataclass(frozen=True, eq=False)
class CodeSwitch:
    """Replaces each word that a lexicon has by a translation of it, with a probability.

    The language is drawn alike among those that the lexicon has for the word, then one of the
    translations; what the lexicon does not have stays.
    """

    probability: float
    lexicon: Lexicon
    on: Sides = "both"

    def __call__(self, text: str, lang: str, seed: int) -> str:
        """Return a text switched; the same seed gives the same."""
        draw = random.Random(seed)  # noqa: S311 - no secret
        parts, done = [], 0
        for start, end in self.lexicon.matches(text, lang)[0]:
            if draw.random() < self.probability:
                by_lang = self.lexicon.translations(text[start:end], lang)
                parts += [text[done:start], draw.choice(by_lang[draw.choice(sorted(by_lang))])]
                done = end
        return "".join([*parts, text[done:]])

    def coverage(self, texts: Iterable[tuple[str, str]]) -> float:
        """Return the share of words that the lexicon has, of (text, language) pairs."""
        found = words = 0
        for text, lang in texts:
            matched, count = self.lexicon.matches(text, lang)
            found, words = found + len(matched), words + count
        return found / words if words else 0.0


def code_switch(
    p: float, lexicon: Lexicon | str | Path | Iterable[Entry], on: Sides = "both"
) -> CodeSwitch:
    """Return what ``code_switch`` of a strategy takes: each word is translated with probability p.

    Parameters
    ----------
    lexicon
        Entries such as ``{"de": "Haus", "en": ["house", "home"]}``, or a file with one a line.
    on
        ``queries``, ``passages`` (and hard negatives) or ``both``.

    Examples
    --------
    >>> switch = code_switch(1.0, [{"de": "Haus", "en": "house"}])
    >>> switch("Wo steht das Haus?", "de", seed=0)
    'Wo steht das house?'
    """
    if not (isinstance(p, int | float) and 0 <= p <= 1):
        raise BadOption(f"the probability of a switch is {p!r}; it must be between 0 and 1")
    if on not in get_args(Sides):
        raise BadOption(f"a switch is on {', '.join(get_args(Sides))}, not on {on!r}")
    if isinstance(lexicon, str | Path):
        rows = cast("Iterable[Entry]", (row for _, row in read_json_lines(Path(lexicon))))
        lexicon = Lexicon(rows, str(lexicon))
    elif not isinstance(lexicon, Lexicon):
        lexicon = Lexicon(lexicon)
    return CodeSwitch(float(p), lexicon, on)


def _words(entry: Entry, where: str) -> dict[str, list[str]]:
    """Return an entry's words as lists, by language; raise `BadData` if it has none to swap."""
    if not isinstance(entry, Mapping):
        raise BadData(f"{where} must map languages to words")
    found = {}
    for lang, given in entry.items():
        forms = [given] if isinstance(given, str) else given
        if not isinstance(forms, Sequence) or not all(
            isinstance(form, str) and form.strip() for form in forms
        ):
            raise BadData(f"{where}: {lang!r} has {given!r:.40}, no words")
        if forms:
            found[normalise(lang)] = list(forms)
    return found


def _units(text: str, lang: str) -> list[tuple[int, int]]:
    """Return the spans of what words are made of: words, or single letters with their marks."""
    return [match.span() for match in _pattern(lang in _UNSPACED).finditer(text)]


@cache
def _pattern(letters: bool) -> re.Pattern[str]:
    r"""Return what matches a word, or a letter; Python's ``\\w`` knows no combining marks."""
    marks = [
        number
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number))[0] == "M"
    ]
    ranges = []
    for _, run in groupby(enumerate(marks), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        ranges.append(f"\\U{numbers[0]:08x}-\\U{numbers[-1]:08x}")
    mark = "".join(ranges)
    return re.compile(rf"[^\W_][{mark}]*" if letters else rf"(?:[^\W_][{mark}]*)+")
