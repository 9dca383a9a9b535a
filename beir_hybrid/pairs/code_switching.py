"""Code switching: replace words of training texts by their translations in a lexicon."""

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

from beir_hybrid.checks import check_fraction
from beir_hybrid.collection.lines import read_json_lines
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.languages import normalise

Sides = Literal["queries", "passages", "both"]

# Written without spaces between words: any run of characters may be a word.
_UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "yue", "zh"})
Entry = Mapping[str, str | Sequence[str]]


class Lexicon:
    """Words, or short phrases, with their translations.

    Parameters
    ----------
    entries
        Each maps languages to a word or to several, as in ``{"de": "Haus", "en": ["house"]}``.

    Attributes
    ----------
    entry_numbers
        For each language: casefolded word -> numbers of the entries that have it.
    """

    def __init__(self, entries: Iterable[Entry], name: str = "lexicon") -> None:
        self.name = name
        self.entries: list[dict[str, list[str]]] = []
        self.entry_numbers: dict[str, dict[str, list[int]]] = {}
        for number, entry in enumerate(entries):
            self.entries.append(words := _parse_entry(entry, f"{name}, entry {number + 1}"))
            for lang, forms in words.items():
                numbers = self.entry_numbers.setdefault(lang, {})
                for form in forms:
                    numbers.setdefault(form.casefold(), []).append(number)
        if not self.entries:
            raise BadData(f"{name} has no entries")
        self._longest = {  # phrase of each language, in the units of `find_units`
            lang: max(len(find_units(word, lang)) for word in words)
            for lang, words in self.entry_numbers.items()
        }

    def digest(self) -> str:
        """Return a SHA-256 of the entries."""
        return hashlib.sha256(json.dumps(self.entries).encode()).hexdigest()

    def find_translations(self, word: str, lang: str) -> dict[str, list[str]]:
        """Return the translations of a word by language; case does not matter."""
        translations: dict[str, list[str]] = {}
        for number in self.entry_numbers.get(lang, {}).get(word.casefold(), ()):
            for code, forms in self.entries[number].items():
                if code != lang:
                    translations.setdefault(code, []).extend(forms)
        return translations

    def find_words(self, text: str, lang: str) -> tuple[list[tuple[int, int]], int]:
        """Return the spans of a text's words in the lexicon, longest first, and its word count."""
        units = find_units(text, lang)
        longest = self._longest.get(lang, 0)
        spans, place, n_unknown = [], 0, 0
        while place < len(units):
            start = units[place][0]
            for length in range(min(longest, len(units) - place), 0, -1):
                end = units[place + length - 1][1]
                if self.find_translations(text[start:end], lang):
                    spans.append((start, end))
                    place += length
                    break
            else:
                place, n_unknown = place + 1, n_unknown + 1
        return spans, len(spans) + n_unknown


@dataclass(frozen=True, eq=False)
class CodeSwitch:
    """Replaces each word that a lexicon has by a translation, with a probability.

    The language is drawn alike among those that the lexicon has for the word, then one of the
    translations; words that the lexicon does not have stay.
    """

    probability: float
    lexicon: Lexicon
    on: Sides = "both"

    def __call__(self, text: str, lang: str, seed: int) -> str:
        """Return a text with words switched; the same seed gives the same."""
        rng = random.Random(seed)  # noqa: S311 - no secret
        parts, copied = [], 0
        for start, end in self.lexicon.find_words(text, lang)[0]:
            if rng.random() < self.probability:
                translations = self.lexicon.find_translations(text[start:end], lang)
                forms = translations[rng.choice(sorted(translations))]
                parts += [text[copied:start], rng.choice(forms)]
                copied = end
        return "".join([*parts, text[copied:]])

    def measure_coverage(self, texts: Iterable[tuple[str, str]]) -> float:
        """Return the share of words that the lexicon has, of (text, language) pairs."""
        n_known = n_words = 0
        for text, lang in texts:
            spans, count = self.lexicon.find_words(text, lang)
            n_known, n_words = n_known + len(spans), n_words + count
        return n_known / n_words if n_words else 0.0


def code_switch(
    probability: float, lexicon: Lexicon | str | Path | Iterable[Entry], on: Sides = "both"
) -> CodeSwitch:
    """Make a code switch for the ``code_switch`` of a strategy.

    Parameters
    ----------
    probability
        With which each word of the lexicon is translated.
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
    check_fraction(probability=probability)
    if on not in get_args(Sides):
        raise BadOption(f"a switch is on {', '.join(get_args(Sides))}, not on {on!r}")
    if isinstance(lexicon, str | Path):
        rows = cast("Iterable[Entry]", (row for _, row in read_json_lines(Path(lexicon))))
        lexicon = Lexicon(rows, str(lexicon))
    elif not isinstance(lexicon, Lexicon):
        lexicon = Lexicon(lexicon)
    return CodeSwitch(float(probability), lexicon, on)


def find_units(text: str, lang: str) -> list[tuple[int, int]]:
    """Return the spans of the units of words: words, or single letters with their marks."""
    return [match.span() for match in _compile_pattern(lang in _UNSPACED).finditer(text)]


def _parse_entry(entry: Entry, location: str) -> dict[str, list[str]]:
    """Return an entry's words as lists, by language; raise `BadData` if they are none."""
    if not isinstance(entry, Mapping):
        raise BadData(f"{location} must map languages to words")
    words = {}
    for lang, value in entry.items():
        forms = [value] if isinstance(value, str) else value
        if not isinstance(forms, Sequence) or not all(
            isinstance(form, str) and form.strip() for form in forms
        ):
            raise BadData(f"{location}: {lang!r} has {value!r:.40}, no words")
        if forms:
            try:
                code = normalise(lang)
            except BadData as error:
                raise BadData(f"{location}: {error}") from error
            if code in words:
                raise BadData(f"{location} has two languages that are both {code!r}; leave one")
            words[code] = list(forms)
    return words


@cache
def _compile_pattern(is_letter: bool) -> re.Pattern[str]:
    r"""Compile a pattern of a word, or of a letter; Python's ``\\w`` knows no combining marks."""
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
    return re.compile(rf"[^\W_][{mark}]*" if is_letter else rf"(?:[^\W_][{mark}]*)+")
