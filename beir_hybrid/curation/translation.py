"""Translate training groups into further languages, each text once, with the engine's name kept."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from beir_hybrid.curation.numbers import count_placeholders, list_numbers
from beir_hybrid.curation.steps import Counts, StepRecord, run_step
from beir_hybrid.curation.text_groups import (
    PARTS,
    Part,
    TextGroup,
    batch_groups,
    read_groups,
    write_row,
)
from beir_hybrid.curation.text_pieces import TextPieces, split_text
from beir_hybrid.curation.translation_cache import TranslationCache
from beir_hybrid.curation.translators import Translator, open_translator
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.languages import normalise, normalise_all
from beir_hybrid.progress import progress_bar

TRANSLATED = "translated"  # the key of a row that names the engine of each translated language
_WINDOW = 4096  # groups whose texts are sorted by length and translated together


def translate_pairs(
    pairs: str | Path,
    output: str | Path,
    to: str | Iterable[str],
    engine: str | Translator,
    *,
    source: str = "en",
    language: str | None = None,
    by_sentence: bool = False,
) -> StepRecord:
    """Write the groups of a file with their queries and passages in further languages.

    Texts that a group has already stay. Translations lie in the cache by their text: none is made
    twice, and a killed call goes on. Rows name the engine under ``translated``.

    Parameters
    ----------
    pairs
        A file of groups, as `read_pairs` reads it.
    output
        The file to write, ``.jsonl``.
    to
        The languages to translate into.
    engine
        ``hf:MODEL``, ``openai:MODEL@URL``, ``command:PROGRAM ARGUMENTS``, or a `Translator`.
    source
        The language to translate from.
    language
        The language of plain texts, where ``query`` and ``positive`` are no mappings.
    by_sentence
        Whether each sentence is translated by itself; otherwise those of texts that are too long.
    """
    targets, source = normalise_all(to), normalise(source)
    if not targets:
        raise BadOption("no language to translate into is named")
    if source in targets:
        raise BadOption(f"{source!r} is the language to translate from, and cannot be one of to")
    translator = open_translator(engine) if isinstance(engine, str) else engine
    options = {
        "engine": translator.name,
        "fingerprint": dict(translator.fingerprint),
        "from": source,
        "to": targets,
        "by sentence": by_sentence,
        "language": language and normalise(language),
    }
    path = Path(pairs)

    def write(groups: TextIO, dropped: TextIO) -> Counts:
        job = _Job(translator, source, targets, by_sentence=by_sentence)
        n_letters = sum(job.count_letters(group) for group in read_groups(path, language))
        with progress_bar("translating", n_letters, unit="letters") as advance:
            for window in batch_groups(read_groups(path, language), _WINDOW):
                for group in job.translate(window, dropped):
                    write_row(groups, group.to_row())
                advance(sum(map(job.count_letters, window)))
        return job.list_counts()

    return run_step("translate", path, Path(output), options, write)


class _Job:
    """A translator with a cache for each target language, and counts of its work."""

    def __init__(
        self, translator: Translator, source: str, targets: Sequence[str], *, by_sentence: bool
    ) -> None:
        self.translator, self.source, self.targets = translator, source, targets
        self.by_sentence = by_sentence
        self.counts: Counter[str] = Counter()
        self.problems: dict[str, Counter[str]] = {}
        request = {"engine": dict(translator.fingerprint), "from": source}
        self.caches = {lang: TranslationCache({**request, "to": lang}) for lang in targets}

    def count_letters(self, group: TextGroup) -> int:
        """Count the letters that a group has to have translated, in all languages."""
        return sum(
            len(group.get_texts(part).get(self.source, ""))
            for part in PARTS
            for lang in self.targets
            if lang not in group.get_texts(part)
        )

    def translate(self, groups: Sequence[TextGroup], dropped: TextIO) -> Iterator[TextGroup]:
        """Yield groups with their translations; those that fail are written to `dropped`."""
        texts = {
            text: split_text(text, self._fits, by_sentence=self.by_sentence)
            for group in groups
            for part in PARTS
            if (text := group.get_texts(part).get(self.source, "")).strip()
        }
        self.counts["split"] += sum(pieces.is_split for pieces in texts.values())
        translations = {
            lang: self._translate_texts(self._select(groups, texts, lang), lang)
            for lang in self.targets
        }
        for group in groups:
            self.counts["groups"] += 1
            self.counts["without source"] += self.source not in group.languages
            for lang in self.targets:
                group = self._add(group, lang, translations[lang], dropped)  # noqa: PLW2901
            yield group

    def _fits(self, text: str) -> bool:
        return self.translator.measure(text) <= self.translator.longest

    def _select(
        self, groups: Sequence[TextGroup], texts: dict[str, TextPieces], lang: str
    ) -> dict[str, TextPieces]:
        """Return the texts that some group lacks in a language, with their pieces."""
        sides = [group.get_texts(part) for group in groups for part in PARTS]
        missing = [side.get(self.source, "") for side in sides if lang not in side]
        return {text: texts[text] for text in missing if text in texts}

    def _translate_texts(self, texts: dict[str, TextPieces], lang: str) -> dict[str, str]:
        """Return the translation of each text, of which the cache has all pieces in the end."""
        cache = self.caches[lang]
        pieces = sorted({piece for text in texts.values() for piece in text.pieces})
        translations = cache.find(pieces)
        # In an order that does not depend on the cache: a batch is stored as a whole or not at
        # all, so a killed run makes the same batches again, and the same translations.
        order = sorted(pieces, key=lambda piece: (len(piece), piece))
        size = self.translator.batch_size
        for start in range(0, len(order), size):
            batch = [piece for piece in order[start : start + size] if piece not in translations]
            if batch:
                added = dict(zip(batch, self._call(batch, lang), strict=True))
                cache.add(added)
                translations |= added
        return {
            text: pieces.join([translations[piece] for piece in pieces.pieces])
            for text, pieces in texts.items()
        }

    def _call(self, batch: Sequence[str], lang: str) -> list[str]:
        """Call the translator and check the shape of its answer."""
        translations = self.translator.translate(batch, self.source, lang)
        if not all(isinstance(text, str) for text in translations):
            raise BadData(f"{self.translator.name} gave {translations!r:.80}, which are no texts")
        if len(translations) != len(batch):
            raise BadData(f"{self.translator.name} gave {len(translations)} texts for {len(batch)}")
        return translations

    def _add(
        self, group: TextGroup, lang: str, translations: dict[str, str], dropped: TextIO
    ) -> TextGroup:
        """Return a group with the translations that it lacks, and count their problems."""
        additions: dict[Part, dict[str, str]] = {}
        for part in PARTS:
            texts = group.get_texts(part)
            text = texts.get(self.source, "")
            if lang in texts or text not in translations:
                continue
            translation = translations[text]
            problem = find_problem(text, translation)
            if problem:
                self.problems.setdefault(problem, Counter())[lang] += 1
            if problem == "empty":
                row = {"id": group.id, "reason": problem, "part": part, "language": lang}
                write_row(dropped, row)
                continue
            additions[part] = {**texts, lang: translation}
        if not additions:
            return group
        self.counts["texts"] += len(additions)
        engines = group.extras.get(TRANSLATED)
        engines = {**(engines if isinstance(engines, dict) else {}), lang: self.translator.name}
        return replace(
            group,
            query=additions.get("query", group.query),
            positive=additions.get("positive", group.positive),
            extras={**group.extras, TRANSLATED: engines},
        )

    def list_counts(self) -> Counts:
        """Return the counts for the record."""
        names = ("groups", "texts", "split", "without source")
        problems = {name: dict(sorted(n.items())) for name, n in sorted(self.problems.items())}
        return {**{name: self.counts[name] for name in names}, "problems": problems}


def find_problem(text: str, translation: str) -> str:
    """Find a fault of a translation that shows without knowing the language; empty for none.

    >>> find_problem("In 1990", "Im Jahr 1909"), find_problem("<b>One</b>", "<b>Eins</b>")
    ('numbers', '')
    """
    if not translation.strip():
        return "empty"
    if count_placeholders(text) != count_placeholders(translation):
        return "placeholders"
    return "numbers" if list_numbers(text) != list_numbers(translation) else ""
