"""Sentences of paragraphs whose files do not say where they begin, by the library sentencex."""

from beir_hybrid.errors import MissingExtra


def split_sentences(text: str, lang: str) -> list[tuple[int, int]]:
    """Return the offsets at which each sentence starts and ends, without white space around it.

    >>> text = "Dr. Ionescu a plecat. Unde?"
    >>> [text[start:end] for start, end in split_sentences(text, "ro")]
    ['Dr. Ionescu a plecat.', 'Unde?']
    """
    _require_splitter()
    from sentencex import segment

    spans, start = [], 0
    for sentence in segment(lang, text):
        if bare := sentence.strip():
            begin = start + sentence.index(bare[0])
            spans.append((begin, begin + len(bare)))
        start += len(sentence)
    return spans


def find_splitter_version() -> str:
    """Return the name and version of the splitter, on which sentences depend."""
    _require_splitter()
    from importlib.metadata import version

    return f"sentencex {version('sentencex')}"


def _require_splitter() -> None:
    from importlib.util import find_spec

    if find_spec("sentencex") is None:
        raise MissingExtra(
            "a file has no sentence_breaks; to split its paragraphs: "
            "pip install 'beir-hybrid[sentences]', or take unit='paragraph'"
        )
