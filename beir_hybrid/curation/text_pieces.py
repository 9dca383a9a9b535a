"""Pieces of texts that a translator reads: lines, and sentences of those that are too long."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_LINES = re.compile(r"(\s*[\n\r\u2028\u2029\x0b\x0c\x1c-\x1e\x85]\s*)")
_SENTENCES = re.compile(r"((?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f\u0964\u061f])\s*(?=\S))")
_WORDS = re.compile(r"(\s+)")


@dataclass(frozen=True)
class TextPieces:
    """The pieces of a text to translate, and the white space around each.

    Attributes
    ----------
    spaces
        Before the first piece, between the pieces, and behind the last.
    is_split
        Whether the text was too long for the translator.
    """

    pieces: tuple[str, ...]
    spaces: tuple[str, ...]
    is_split: bool = False

    def join(self, translations: Sequence[str]) -> str:
        """Return translations of the pieces with the spaces of the text."""
        parts = [self.spaces[0]]
        for translation, space in zip(translations, self.spaces[1:], strict=True):
            parts += [translation, space]
        return "".join(parts)


def split_text(text: str, fits: Callable[[str], bool], *, by_sentence: bool = False) -> TextPieces:
    r"""Split a text into pieces that fit: lines, sentences, or as many words as fit.

    >>> split_text("One. Two!\nThree", lambda piece: len(piece) < 6)
    TextPieces(pieces=('One.', 'Two!', 'Three'), spaces=('', ' ', '\n', ''), is_split=True)
    """
    pieces: list[str] = []
    spaces = [""]
    is_split = False
    for line, line_space in _pair_spaces(_LINES.split(text)):
        start = len(line) - len(line.lstrip())
        spaces[-1] += line[:start]
        body = line.strip()
        parts = [(body, "")] if body else []
        if body and (by_sentence or not fits(body)):
            is_split |= not fits(body)
            parts = list(_pair_spaces(_SENTENCES.split(body)))
            parts = [entry for part in parts for entry in _split_words(*part, fits)]
            if not by_sentence:
                parts = _pack(parts, fits)
        for piece, space in parts:
            pieces.append(piece)
            spaces.append(space)
        spaces[-1] += (line[start + len(body) :] if body else "") + line_space
    return TextPieces(tuple(pieces), tuple(spaces), is_split)


def _pair_spaces(parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pieces of a split with the separator behind each."""
    for i in range(0, len(parts), 2):
        yield parts[i], parts[i + 1] if i + 1 < len(parts) else ""


def _split_words(
    sentence: str, space: str, fits: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Yield a sentence, or halves and quarters cut at spaces, such as fit."""
    if len(sentence) < 2 or fits(sentence):  # noqa: PLR2004 - one letter has no halves
        yield sentence, space
        return
    middle = len(sentence) // 2
    gaps = [match.span() for match in _WORDS.finditer(sentence)]
    first, last = min(gaps, key=lambda gap: abs(gap[0] - middle), default=(middle, middle))
    yield from _split_words(sentence[:first], sentence[first:last], fits)
    yield from _split_words(sentence[last:], space, fits)


def _pack(parts: Sequence[tuple[str, str]], fits: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Join neighbouring sentences as long as they fit together."""
    pieces = list(parts[:1])
    for sentence, space in parts[1:]:
        if fits(candidate := "".join([*pieces[-1], sentence])):
            pieces[-1] = candidate, space
        else:
            pieces.append((sentence, space))
    return pieces
