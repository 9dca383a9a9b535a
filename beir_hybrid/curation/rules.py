"""Rules by which texts and groups are left out of training data, in the order of `REASONS`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from beir_hybrid.checks import check_not_negative, check_positive, check_proper_fraction
from beir_hybrid.curation.contamination import TestTexts, find_contamination
from beir_hybrid.curation.identification import find_other_languages
from beir_hybrid.curation.numbers import list_numbers
from beir_hybrid.curation.text_groups import PARTS, Part, TextGroup
from beir_hybrid.curation.unit_hashes import UnitHashes
from beir_hybrid.languages import normalise

MIN_LETTERS = 20  # of texts whose length and language are judged
REASONS = {
    "empty": "blank",
    "copied": "the same text as in the source language",
    "length": "much longer or shorter than usual beside the source language",
    "numbers": "other numbers than in the source language",
    "language": "in another language",
    "similarity": "less similar to the source language than the quantile",
    "contamination": "texts of a test collection",
    "duplicate": "the same words as an earlier group",
    "incomplete": "no query or no passage left",
}
_SAMPLE = 10_000  # texts from which the usual length of translations is estimated
_LETTER = re.compile(r"[^\W\d_]")
_Place = tuple[Part, str]  # of a text in a group: its part and language


@dataclass(frozen=True)
class FilterOptions:
    """Options of `filter_pairs`, validated.

    Attributes
    ----------
    source
        The language of the originals, which the other texts translate.
    length_ratio
        A text may be so many times longer or shorter than is usual for the two languages; 0: any.
    numbers
        Whether numbers have to be those of the source language.
    identify
        Whether the languages of texts are identified; needs py3langid.
    quantile
        The share of the translations of each pair of languages that the encoder finds least
        similar, which are left out.
    ngram
        So many words in a row that a test collection has, too, are contamination.
    """

    source: str = "en"
    length_ratio: float = 3.0
    numbers: bool = True
    identify: bool = False
    quantile: float = 0.1
    ngram: int = 13

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", normalise(self.source))
        check_not_negative(length_ratio=self.length_ratio)
        check_proper_fraction(quantile=self.quantile)
        check_positive(ngram=self.ngram)


@dataclass
class Verdict:
    """Verdict of the rules on a group: reasons against single texts or against the whole group."""

    group: TextGroup
    texts: dict[_Place, str] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""

    @property
    def rest(self) -> TextGroup:
        """The group without the texts that a rule is against."""
        return self.group.without_texts(self.texts) if self.texts else self.group


class Rules:
    """Judges groups by all rules that need no encoder, batch by batch, in the order of a file.

    Parameters
    ----------
    ratios
        The usual ratio of lengths for each part and language, see `estimate_ratios`.
    """

    def __init__(
        self,
        options: FilterOptions,
        ratios: dict[_Place, float],
        tests: Sequence[TestTexts] = (),
    ) -> None:
        self.options, self.ratios, self.tests = options, ratios, tests
        self._hashes: set[int] = set()  # of earlier groups

    def judge(self, groups: Sequence[TextGroup]) -> list[Verdict]:
        """Return the verdicts on the next groups."""
        verdicts = [Verdict(group, self._judge_texts(group)) for group in groups]
        if self.options.identify:
            self._identify(verdicts)
        for verdict in verdicts:
            if not verdict.rest.is_complete:
                verdict.reason = "incomplete"
        self._find_tests([verdict for verdict in verdicts if not verdict.reason])
        self._find_duplicates([verdict for verdict in verdicts if not verdict.reason])
        return verdicts

    def _judge_texts(self, group: TextGroup) -> dict[_Place, str]:
        """Return the reasons against a group's texts, each by itself or beside its source."""
        reasons: dict[_Place, str] = {}
        for part in PARTS:
            texts = group.get_texts(part)
            source = texts.get(self.options.source, "").strip()
            for lang, text in texts.items():
                if not text.strip():
                    reasons[part, lang] = "empty"
                elif lang != self.options.source and source:
                    reasons[part, lang] = self._compare(source, text.strip(), (part, lang))
        return {place: reason for place, reason in reasons.items() if reason}

    def _compare(self, source: str, text: str, place: _Place) -> str:
        """Return the reason against a translation, empty without any."""
        if text[0] == source[0] and text.split() == source.split() and _LETTER.search(text):
            return "copied"
        if self.options.length_ratio and max(len(text), len(source)) >= MIN_LETTERS:
            ratio = len(text) / len(source) / self.ratios[place]
            if not 1 / self.options.length_ratio <= ratio <= self.options.length_ratio:
                return "length"
        if self.options.numbers and list_numbers(text) != list_numbers(source):
            return "numbers"
        return ""

    def _identify(self, verdicts: Sequence[Verdict]) -> None:
        """Add reasons against texts that are in other languages than they should be."""
        texts_by_language: dict[str, list[tuple[Verdict, Part, str]]] = {}
        for verdict in verdicts:
            for part in PARTS:
                for lang, text in verdict.rest.get_texts(part).items():
                    if len(text) >= MIN_LETTERS:
                        texts_by_language.setdefault(lang, []).append((verdict, part, text))
        for lang, entries in texts_by_language.items():
            for i in find_other_languages([text for _, _, text in entries], lang):
                verdict, part, _ = entries[i]
                verdict.texts[part, lang] = "language"

    def _find_duplicates(self, verdicts: Sequence[Verdict]) -> None:
        """Add reasons against groups with the words of an earlier query and passage."""
        texts = [text for verdict in verdicts for text in self._choose_texts(verdict.rest)]
        units = UnitHashes.from_texts(texts)
        hashes = [
            bag if count else text  # symbols alone are no words
            for bag, count, text in zip(
                units.hash_bags().tolist(), units.counts.tolist(), texts, strict=True
            )
        ]
        for verdict, query, passage in zip(verdicts, hashes[::2], hashes[1::2], strict=True):
            key = hash((query, passage))
            if key in self._hashes:
                verdict.reason = "duplicate"
            self._hashes.add(key)

    def _choose_texts(self, group: TextGroup) -> list[str]:
        """Return a query and a passage, in the source language or else the first."""
        source = self.options.source
        return [
            texts.get(source) or next(iter(texts.values()), str(group.extras.get("image")))
            for texts in (group.query, group.positive)
        ]

    def _find_tests(self, verdicts: Sequence[Verdict]) -> None:
        """Add reasons against groups that share texts with a test collection."""
        if not self.tests:
            return
        entries = [(verdict, text) for verdict in verdicts for text in verdict.rest.list_texts()]
        names = find_contamination([text for _, text in entries], self.tests)
        for (verdict, _), name in zip(entries, names, strict=True):
            if name and not verdict.reason:
                verdict.reason, verdict.detail = "contamination", name


def estimate_ratios(groups: Iterable[TextGroup], source: str) -> dict[_Place, float]:
    """Return the median ratio of lengths of texts and their sources, by part and language.

    It is that of the first texts of each: a file may have its languages one behind another.
    """
    ratios: dict[_Place, list[float]] = {}
    for group in groups:
        for part in PARTS:
            texts = group.get_texts(part)
            length = len(texts.get(source, "").strip())
            for lang, text in texts.items():
                values = ratios.setdefault((part, lang), [])
                if lang != source and length and text.strip() and len(values) < _SAMPLE:
                    values.append(len(text.strip()) / length)
    return {place: median(values) for place, values in ratios.items() if values}
