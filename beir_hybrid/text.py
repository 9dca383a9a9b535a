"""Texts that people read: counts with nouns, names that are safe to print, names of files."""

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from beir_hybrid.errors import BadOption

# What changes the direction of text around it, or closes such a change.
_DIRECTION_MARKS = {
    *"\u061c\u200e\u200f",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
}
# With which a spreadsheet begins a formula, wide forms included.
_FORMULA_SIGNS = tuple("=+-@\uff1d\uff0b\uff0d\uff20\u2212")
# /srv/bge, ~/bge, ./a/bge, ../bge, C:\bge, \\server\bge
_FOLDER = re.compile(r"/|~[^\\/]*[\\/]|\.{1,2}[\\/]|[A-Za-z]:[\\/]|\\\\")
_SLUG_LENGTH = 80  # letters of a name that go into a file's name


def shorten_folder(model: str) -> str:
    r"""Return the last part of a folder; other names unchanged.

    >>> shorten_folder("/srv/a/bge"), shorten_folder("C:\\a\\bge"), shorten_folder("BAAI/bge")
    ('bge', 'bge', 'BAAI/bge')
    """
    if not _FOLDER.match(model):
        return model
    return re.split(r"[\\/]", model.rstrip("\\/"))[-1] or model


def plural(count: int, things: str) -> str:
    """Return a count with its noun, in the singular for one.

    >>> plural(1, "queries"), plural(1190, "languages")
    ('1 query', '1,190 languages')
    """
    singular = {"queries": "query"}.get(things, things.removesuffix("s"))
    return f"{count:,} {singular if count == 1 else things}"


def split_words(text: str) -> list[str]:
    """Split a text at spaces and commas that are not in brackets.

    >>> split_words("nDCG@10, RR(rel=2, judged_only=True) AP")
    ['nDCG@10', 'RR(rel=2, judged_only=True)', 'AP']
    """
    return [word for word in re.split(r"[\s,]+(?![^()]*\))", text) if word]


def find_control_characters(text: str, allowed: str = "") -> set[str]:
    r"""Return the characters of a text that control a terminal or hide parts of the text.

    >>> find_control_characters("a\n\x1b[31mred", allowed="\n")
    {'\x1b'}
    """
    return {
        sign
        for sign in set(text) - set(allowed)
        if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in _DIRECTION_MARKS
    }


def parse_options(text: str, owner: str) -> dict[str, Any]:
    """Parse options such as ``alpha=0.4,side=both`` of `owner`; numbers become numbers.

    >>> parse_options("k=3, on=passages", "local")
    {'k': 3, 'on': 'passages'}
    """
    options: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise BadOption(f"an option of {owner} is NAME=VALUE, not {part!r}")
        options[key] = value
        for kind in (int, float):
            with suppress(ValueError):
                options[key] = kind(value)
                break
    return options


def escape_unprintable(text: str) -> str:
    r"""Escape the characters of an untrusted text that would control a terminal.

    >>> escape_unprintable("\x1b[31mred")
    '\\x1b[31mred'
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def escape_controls(text: str) -> str:
    r"""Escape control characters of untrusted lines; line breaks and tabs stay.

    >>> escape_controls("one\n\x1b[31mtwo")
    'one\n\\x1b[31mtwo'
    """
    controls = {ord(sign): ascii(sign)[1:-1] for sign in find_control_characters(text, "\n\t")}
    return text.translate(controls) if controls else text


def make_cell(value: object) -> object:
    r"""Return a value for a cell of CSV: text that no spreadsheet takes for a formula.

    >>> make_cell("=1+1"), make_cell("-1"), make_cell(-1), make_cell("a\x1b")
    ("'=1+1", "'-1", -1, 'a\\x1b')
    """
    if not isinstance(value, str):
        return value
    text = escape_unprintable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_SIGNS) else text


def to_one_line(text: str) -> str:
    r"""Return an untrusted text as one line that a terminal shows in its own direction.

    Marks of direction are left out, control characters escaped, and text that runs from right to
    left is isolated, so that its neighbours keep their places.

    >>> to_one_line("one\n  \x1b[31mtwo")
    'one \\x1b[31mtwo'
    """
    line = "".join(
        ascii(sign)[1:-1] if unicodedata.category(sign) == "Cc" else sign
        for sign in " ".join(text.split())
        if sign not in _DIRECTION_MARKS
    )
    if any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in line):
        return f"\u2068{line}\u2069"
    return line


def make_slugs(names: Iterable[str]) -> list[str]:
    """Return a file name for each name; all differ on every file system.

    >>> make_slugs(["a/B", "A/b", "<ä>", "模型"])
    ['a-b', 'a-b-2', 'a', 'page']
    """
    slugs: dict[str, None] = {}
    for name in names:
        letters = unicodedata.normalize("NFKD", name).casefold()
        letters = "".join(sign for sign in letters if not unicodedata.combining(sign))
        stem = re.sub(r"[^a-z0-9]+", "-", letters)[:_SLUG_LENGTH].strip("-") or "page"
        number, slug = 1, stem
        while slug in slugs:
            number += 1
            slug = f"{stem}-{number}"
        slugs[slug] = None
    return list(slugs)
