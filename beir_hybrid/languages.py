"""Language codes: one short code for each language, whatever tag names the language."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache

import langcodes

from beir_hybrid.errors import BadData, BadOption, UnknownName

# Codes of countries that people write for languages, and that are the code of no other language.
_COUNTRY_CODES = {
    "cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "ua": "uk", "vn": "vi"
}  # fmt: skip
# Valid codes that mean no single language: several, none, unknown, any, or private use.
_NO_LANGUAGE = re.compile("art|mis|mul|und|zxx|q[a-t][a-z]")
_CODE = re.compile("[a-z]{2,3}")
_MIN_SIMILARITY = 0.5  # the likeness from which a name is worth suggesting
_MAX_NAME = 40  # letters of the longest name of a language to look up
_MAX_NAMES = 6  # how many languages a message names


def normalise(tag: str) -> str:
    """Return the shortest code of the language that `tag` names; script and region fall away.

    Languages that have a code of their own beside that of a larger group keep it: Cantonese is
    ``yue`` however it is written (``zh-yue``), and the Norwegian codes ``nb``, ``nn`` and ``no``
    stay as they are, since data in one of them need not be in another.

    >>> [normalise(tag) for tag in ("en", "eng-Latn", "zho-CN", "jp", "ara", "arb", "pt_BR")]
    ['en', 'en', 'zh', 'ja', 'ar', 'ar', 'pt']
    """
    if not isinstance(tag, str):
        raise BadOption(f"a language is a code such as 'en', not {tag!r}")
    return _normalise_text(tag)


@cache
def _normalise_text(tag: str) -> str:
    code, *subtags = tag.strip().lower().replace("_", "-").split("-")
    if _NO_LANGUAGE.fullmatch(code):
        raise BadData(f"{tag!r} is the code of no single language")
    if code == "all":  # Allar's code
        raise BadData(f"{tag!r} names the pool of all languages here, and no single one")
    if not _CODE.fullmatch(code):
        raise BadData(f"unknown language code {tag!r}{_suggest_code(tag)}")
    code = _COUNTRY_CODES.get(code, code)
    language = None
    # The whole tag distinguishes zh-yue from zh; if it is invalid, its code may still be valid.
    for candidate in ("-".join([code, *subtags]), code):
        try:
            language = langcodes.Language.get(langcodes.standardize_tag(candidate, macro=True))
        except ValueError:
            continue
        break
    if language is None or language.language is None or not language.is_valid():
        raise BadData(f"unknown language code {tag!r}")
    return str(language.language)


def normalise_variant(tag: str) -> str:
    """Return the code of the language that `tag` names, with script and region if they matter.

    >>> [normalise_variant(tag) for tag in ("zho_Hant", "zh-tw", "sr-Latn", "eng-Latn", "de")]
    ['zh-Hant', 'zh-TW', 'sr-Latn', 'en', 'de']
    """
    code = normalise(tag)
    try:
        standard = langcodes.standardize_tag(tag.strip().replace("_", "-"), macro=True)
    except ValueError:
        return code
    language = langcodes.Language.get(standard)
    return "-".join([code, *filter(None, (language.script, language.territory))])


def normalise_all(tags: str | Iterable[str]) -> tuple[str, ...]:
    """Return the code of each tag, in their order and without repetition."""
    return tuple(dict.fromkeys(normalise(tag) for tag in as_list(tags)))


def choose_languages(kind: str, tags: str | Iterable[str], codes: Iterable[str]) -> tuple[str, ...]:
    """Choose the codes that language tags name, or raise `UnknownName` with suggestions.

    >>> choose_languages("language", "eng-Latn", ["de", "en"])
    ('en',)
    """
    codes = tuple(codes)
    choice: dict[str, None] = {}
    for tag in as_list(tags):
        try:
            code = match_code(tag, codes)
        except BadData:  # such as "image"
            code = tag.lower() if tag.lower() in codes else None
        if not code:
            raise UnknownName(f"no {kind} is {tag!r}; there are {_suggest_languages(tag, codes)}")
        choice[code] = None
    if not choice:
        raise BadOption(f"no {kind} is named; there are {_suggest_languages('', codes)}")
    return tuple(choice)


def match_code(tag: str, codes: Iterable[str]) -> str | None:
    """Return the code that a language tag names, or None; raise `BadData` for no tag.

    A language that is there in one script alone needs no script.

    >>> codes = ["en", "zh-Hans", "zh-Hant", "sr-Latn"]
    >>> [match_code(tag, codes) for tag in ("eng-US", "zho_Hant", "sr", "sr-Cyrl", "zh")]
    ['en', 'zh-Hant', 'sr-Latn', None, None]
    """
    variant, language = normalise_variant(tag), normalise(tag)
    codes = list(codes)
    for name in (variant, language):
        if name in codes:
            return name
    scripts = [code for code in codes if code.partition("-")[0] == language]
    return scripts[0] if variant == language and len(scripts) == 1 else None


def check_code(code: str, place: str) -> None:
    """Raise `BadData` for a code from a file that has not the form of a language tag."""
    try:
        langcodes.Language.get(code)
    except ValueError as error:
        raise BadData(f"{place}: {code!r:.80} is no language: {error}") from error


def name_language(code: str) -> str:
    """Return the English name of a language code.

    >>> name_language("th"), name_language("zh-Hant")
    ('Thai', 'Chinese (Traditional)')
    """
    return str(langcodes.Language.get(code).display_name("en"))


def _suggest_code(name: str) -> str:
    """Return the end of a message that names the code of a language given by its name.

    >>> _suggest_code("English"), _suggest_code("nonsense")
    ("; 'en' is the code of English", '')
    """
    if len(name) > _MAX_NAME or not name.isprintable():  # langcodes stumbles over some of these
        return ""
    try:
        code = str(langcodes.find(name.strip()))
    except (LookupError, ValueError):
        return ""
    return f"; {code!r} is the code of {name_language(code)}"


def as_list(tags: str | Iterable[str]) -> list[str]:
    """Return one tag or several as a list."""
    if isinstance(tags, str):
        return [tags]
    if not isinstance(tags, Iterable):
        raise BadOption(f"a language is a code such as 'en', or several in a list, not {tags!r}")
    return list(tags)


def _suggest_languages(tag: str, codes: Iterable[str]) -> str:
    """Name a few languages, beginning with those whose code or English name is like the tag."""

    def sort_key(code: str) -> float:
        names = code, name_language(code).lower()
        similarity = max(SequenceMatcher(None, tag.lower(), name).ratio() for name in names)
        return -similarity if similarity >= _MIN_SIMILARITY else 0

    ordered = sorted(sorted(codes), key=sort_key)
    names = ", ".join(f"{code} ({name_language(code)})" for code in ordered[:_MAX_NAMES])
    rest = len(ordered) - _MAX_NAMES
    return f"{names} and {rest} more" if rest > 0 else names
