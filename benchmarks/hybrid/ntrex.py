"""NTREX-128's news in 11 languages: parallel sentences, and neighbouring sentences, as pairs."""

from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import BadData

if TYPE_CHECKING:
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs

REVISION = "8561f6a622db9edad1217683e5c83daefd8bb2bf"
LICENCE = "CC BY-SA 4.0"
_ORIGIN = f"https://raw.githubusercontent.com/MicrosoftTranslator/NTREX/{REVISION}"
_DOCUMENTS = Remote(
    f"{_ORIGIN}/DOCUMENT_IDS.tsv",
    "88a8b0ff1eae47e83f60dcde01075b8c87d75ced59ca09e0af1eb539958e05d5",
    REVISION,
)
_FILES = {  # by language: the name of its file, and the SHA-256
    "ar": (
        "ref.arb",
        "d271c8645933421f760eba8ed8cc1ceaaa052f917d9c2839b8abb27e0ded71e6",
    ),
    "de": (
        "ref.deu",
        "259d7406a07b63e6b5b9c4a22fb76b85e2578a3fa0a4e541a50f4f7348e5c1b2",
    ),
    "el": (
        "ref.ell",
        "cd9c8eda1b54f4b504b33769db7e56e26ba9ae768a64e13e0eef02a9ee9867fc",
    ),
    "en": (
        "src.eng",
        "389e8f5796c66db4f646dfad33e1ec622d74767af5ef112b42a1f2cd814df3cc",
    ),
    "es": (
        "ref.spa",
        "0ad8129e5ce0bea86ba7e0ea0db0504d6626b8a4d2a7cf4c44b7791c70e99b84",
    ),
    "hi": (
        "ref.hin",
        "10d612b3960dc1f90d297aff7e3c6d39e6eb7221b912cef0c053d9f510e41bbc",
    ),
    "ru": (
        "ref.rus",
        "a7e3601298b0368659a5c006c52809cf6792e02eb94bde9b9693333278d85732",
    ),
    "th": (
        "ref.tha",
        "45a57c4f9fdbae282eb2c94821535ae3c88b09186a23c5506eb0907ba429d6a5",
    ),
    "tr": (
        "ref.tur",
        "bd0c3978cb7d283ee5f8834d90a32fe2ffd0c71e4b133c677cff259d07a70ea9",
    ),
    "vi": (
        "ref.vie",
        "dd5d16cf246da57f5ccb7490ae13b8df428e7cb53e17fa04552406d657abfe3c",
    ),
    "zh": (
        "ref.zho-CN",
        "8bcd6f0868d33f26c8da12f55a82f66088a7b60a5f7b0b1a99dcec51daa8054a",
    ),
}
LANGUAGES = tuple(_FILES)


def read_documents() -> list[str]:
    """Return the document that each line belongs to."""
    return fetch(_DOCUMENTS).read_text("utf-8").split("\n")[:-1]


def read_lines(languages: tuple[str, ...] = LANGUAGES) -> dict[str, list[str]]:
    """Return the lines of each language; lines of equal number translate each other."""
    lines = {}
    for language in languages:
        name, checksum = _FILES[language]
        remote = Remote(f"{_ORIGIN}/NTREX-128/newstest2019-{name}.txt", checksum, REVISION)
        # `splitlines` would also split at signs within lines.
        texts = fetch(remote).read_text("utf-8").split("\n")[:-1]
        lines[language] = [text.strip() for text in texts]
    counts = {language: len(texts) for language, texts in lines.items()}
    counts["documents"] = len(read_documents())
    if len(set(counts.values())) > 1:
        raise BadData(f"NTREX's files must have equal numbers of lines, and have {counts}")
    return lines


def pair_translations(texts: dict[str, list[str]], name: str = "ntrex") -> "ParallelPairs":
    """Return pairs of a sentence and its translation.

    In each group, a pseudo-random half of the languages has queries and the other half positives.
    Otherwise a monolingual batch would pair a sentence with itself, which teaches nothing, and the
    strategies that draw such batches would be at a disadvantage.
    """
    from beir_hybrid.pairs.reading import pairs_from_groups

    languages = sorted(texts)
    count = len(texts[languages[0]])
    groups = (
        _split_languages(i, {language: texts[language][i] for language in languages})
        for i in range(count)
    )
    return pairs_from_groups(groups, name=name)


def _split_languages(number: int, texts: dict[str, str]) -> dict[str, Any]:
    order = sorted(texts, key=lambda language: sha256(f"{number} {language}".encode()).digest())
    query_languages = set(order[: len(order) // 2])
    present = {language: text for language, text in texts.items() if text}
    return {
        "id": str(number),
        "query": {la: text for la, text in present.items() if la in query_languages},
        "positive": {la: text for la, text in present.items() if la not in query_languages},
    }


def pair_neighbours(
    texts: dict[str, list[str]], documents: list[str], name: str = "ntrex-next"
) -> "ParallelPairs":
    """Return pairs of a sentence and the next one of its document, in all languages."""
    from beir_hybrid.pairs.reading import pairs_from_groups

    groups = (
        {
            "id": str(i),
            "query": {language: lines[i] for language, lines in texts.items() if lines[i]},
            "positive": {language: lines[j] for language, lines in texts.items() if lines[j]},
        }
        for i, j in pairwise(range(len(documents)))
        if documents[i] == documents[j]
    )
    return pairs_from_groups(groups, name=name)
