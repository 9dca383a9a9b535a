"""Language tags of every fashion in, one short code per language out."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache

import langcodes

from beir_hybrid.errors import BadData, BadOption, UnknownName

# Written by mistake for a language, and the code of no other one.
_SLIPS = {"cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "ua": "uk", "vn": "vi"}
# Valid codes of no single language: several, none, unknown, any, or anybody's own.
_NO_LANGUAGE = re.compile("art|mis|mul|und|zxx|q[a-t][a-z]")
_CODE = re.compile("[a-z]{2,3}")
_NEAR = 0.5  # the likeness from which a name is worth suggesting
_SHOWN = 6  # how many languages a message names


def normalise(tag: str) -> str:
    """Return the shortest code of the language that `tag` names; script and region fall away.

    Languages that have a code of their own beside that of a larger group keep it: Cantonese is
    ``yue`` however it is written (``zh-yue``), and the Norwegian codes ``nb``, ``nn`` and ``no``
    stay as they are, since data in one cannot be told to be the other.

    >>> [normalise(tag) for tag in ("en", "eng-Latn", "zho-CN", "jp", "ara", "arb", "pt_BR")]
    ['en', 'en', 'zh', 'ja', 'ar', 'ar', 'pt']
    """
    if not isinstance(tag, str):
        raise BadOption(f"a language is a code such as 'en', not {tag!r}")
    return _normalise(tag)


@cache
def _normalise(tag: str) -> str:
    first, *rest = tag.strip().lower().replace("_", "-").split("-")
    if _NO_LANGUAGE.fullmatch(first):
        raise BadData(f"{tag!r} is the code of no single language")
    if first == "all":  # Allar's code
        raise BadData(f"{tag!r} names the pool of all languages here, and no single one")
    if not _CODE.fullmatch(first):
        raise BadData(f"unknown language code {tag!r}")
    language = None
    # The whole tag tells zh-yue from zh; where it makes no sense, its first part still may.
    for candidate in ("-".join([_SLIPS.get(first, first), *rest]), _SLIPS.get(first, first)):
        try:
            language = langcodes.Language.get(langcodes.standardize_tag(candidate, macro=True))
        except ValueError:
            continue
        break
    if language is None or language.language is None or not language.is_valid():
        raise BadData(f"unknown language code {tag!r}")
    return str(language.language)


def normalise_all(tags: str | Iterable[str]) -> tuple[str, ...]:
    """Return the codes of one tag or several, in the order given, each once."""
    return tuple(dict.fromkeys(normalise(tag) for tag in as_list(tags)))


def choose_languages(kind: str, tags: str | Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return which of the known codes the tags name, or raise `UnknownName` with what there is.

    >>> choose("language", "eng-Latn", ["de", "en"])
    ('en',)
    """
    codes = tuple(known)
    chosen: dict[str, None] = {}
    for tag in as_list(tags):
        try:
            code = normalise(tag)
        except BadData:
            code = ""
        if code not in codes:
            raise UnknownName(f"no {kind} is {tag!r}; there are {_nearest_first(tag, codes)}")
        chosen[code] = None
    if not chosen:
        raise BadOption(f"no {kind} is named; there are {_nearest_first('', codes)}")
    return tuple(chosen)


def name_language(code: str) -> str:
    """Return the English name of a language code.

    >>> english_name("th")
    'Thai'
    """
    return str(langcodes.Language.get(code).language_name("en"))


def as_list(tags: str | Iterable[str]) -> list[str]:
    """Return one tag or several as a list."""
    if isinstance(tags, str):
        return [tags]
    if not isinstance(tags, Iterable):
        raise BadOption(f"a language is a code such as 'en', or several in a list, not {tags!r}")
    return list(tags)


def _nearest_first(tag: str, codes: Iterable[str]) -> str:
    """Name a few languages: those whose code or English name is like the tag, then the others."""

    def unlike(code: str) -> float:
        names = code, name_language(code).lower()
        best = max(SequenceMatcher(None, tag.lower(), name).ratio() for name in names)
        return -best if best >= _NEAR else 0

    ordered = sorted(sorted(codes), key=unlike)
    shown = ", ".join(f"{code} ({name_language(code)})" for code in ordered[:_SHOWN])
    more = len(ordered) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
