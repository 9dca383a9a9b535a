"""Language tags of every fashion in, one short code per language out."""

from collections.abc import Iterable
from functools import cache

import langcodes

from beir_hybrid.errors import BadData, BadOption, lookup

# Written by mistake for a language, and the code of no other one.
_SLIPS = {"cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "ua": "uk", "vn": "vi"}


@cache
def normalise(tag: str) -> str:
    """Return the shortest code of the language that `tag` names; script and region fall away.

    >>> [normalise(tag) for tag in ("en", "eng-Latn", "zho-CN", "jp", "ara", "arb", "pt_BR")]
    ['en', 'en', 'zh', 'ja', 'ar', 'ar', 'pt']
    """
    parts = tag.strip().lower().replace("_", "-").split("-")
    try:
        standard = langcodes.standardize_tag(_SLIPS.get(parts[0], parts[0]), macro=True)
    except ValueError as error:
        raise BadData(f"unknown language code {tag!r}") from error
    language = langcodes.Language.get(standard)
    if language.language is None or not language.is_valid():
        raise BadData(f"unknown language code {tag!r}")
    return str(language.language)


def normalise_all(tags: str | Iterable[str]) -> tuple[str, ...]:
    """Return the codes of one tag or several, in the order given, each once."""
    return tuple(
        dict.fromkeys(normalise(tag) for tag in ([tags] if isinstance(tags, str) else tags))
    )


def choose(kind: str, tags: str | Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return which of the known codes the tags name, or raise `UnknownName` with the nearest.

    >>> choose("language", "eng-Latn", ["de", "en"])
    ('en',)
    """
    table = {code: code for code in known}
    chosen: dict[str, None] = {}
    for tag in [tags] if isinstance(tags, str) else tags:
        try:
            code = normalise(tag)
        except BadData:
            code = tag
        chosen[lookup(kind, code, table)] = None
    if not chosen:
        raise BadOption(f"no {kind} is named; there are {', '.join(sorted(table))}")
    return tuple(chosen)


def english_name(code: str) -> str:
    """Return the English name of a language code.

    >>> english_name("th")
    'Thai'
    """
    return str(langcodes.Language.get(code).language_name("en"))
