"""Facts of the quick start's collection, from names of Unicode CLDR in 11 languages.

A fact is, for example, the currency of a country. Names come from the package babel, and depend on
its version.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from babel import Locale

Names = dict[str, str]  # the name of a thing by language; empty where a language has none
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
_TODAY = date(2025, 1, 1)  # fixed, so that the collection is the same on any day
# Territories of CLDR that ISO 3166 does not list as countries or parts of them.
_NO_COUNTRY = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK",
               "ZZ"}  # fmt: skip
_LATIN_LANGUAGES = {"de", "en", "es", "tr", "vi"}
_NO_NAME = "∅"  # CLDR's mark of a name that does not exist


class Fact(NamedTuple):
    """A fact: names of its subject and of the answer to questions about it.

    Attributes
    ----------
    code
        Tells facts of one relation apart.
    hint
        Names that questions may use instead of the subject's, such as a city of a country.
    """

    relation: str
    code: str
    subject: Names
    answer: Names
    hint: Names | None = None

    @property
    def key(self) -> str:
        """The name of the fact in ids."""
        return f"{self.relation}-{self.code}"


def list_facts() -> Iterator[Fact]:
    """Yield every fact that has names in all languages, always in the same order.

    No two facts of a relation have subjects of one name in any language, for their questions would
    be equal, and no question contains its answer.
    """
    subjects: set[tuple[str, str, str]] = set()
    for fact in _list_all_facts():
        if not (_has_all_names(fact.subject) and _has_all_names(fact.answer)):
            continue
        names = {(fact.relation, lang, fact.subject[lang].casefold()) for lang in LANGUAGES}
        if names & subjects or _reveals(fact.subject, fact.answer):
            continue
        subjects |= names
        hint = fact.hint
        if hint is not None and (not _has_all_names(hint) or _reveals(hint, fact.answer)):
            hint = None
        yield fact._replace(hint=hint)


def pick_number(key: str, count: int) -> int:
    """Return a number from 0 to `count` - 1 that looks random and depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % count


def _has_all_names(names: Names) -> bool:
    return all(names.get(lang) and _NO_NAME not in names[lang] for lang in LANGUAGES)


def _reveals(subject: Names, answer: Names) -> bool:
    """Return whether the name of a subject contains the answer, in any language."""
    return any(_contains(subject[lang], answer[lang]) for lang in LANGUAGES)


def _contains(text: str, name: str) -> bool:
    """Return whether a name occurs in a text; codes must occur as words."""
    if re.fullmatch("[A-Z]{2,3}", name):
        return re.search(rf"\b{name}\b", text) is not None
    return name.casefold() in text.casefold()


def _list_all_facts() -> Iterator[Fact]:
    """Yield all facts, also those that lack names in some languages."""
    from babel import Locale
    from babel.core import get_global

    locales = {lang: Locale.parse(lang) for lang in LANGUAGES}
    zones = {
        zone: code
        for zone, code in sorted(get_global("zone_territories").items())
        if _is_country(code) and zone.count("/") == 1
    }
    cities = {zone: _name_city(zone, locales) for zone in zones}
    territories = [code for code in sorted(locales["en"].territories) if _is_country(code)]
    currencies, languages = _find_currencies(territories), _find_languages(territories)
    name = partial(_name_thing, locales)
    zones_by_territory = {
        code: [zone for zone in zones if zones[zone] == code and _has_all_names(cities[zone])]
        for code in territories
    }

    def pick_city(relation: str, code: str) -> Names | None:
        return cities.get(_pick(zones_by_territory[code], f"{relation}-{code}"))

    for code in territories:
        territory = name("territories", code)
        city = pick_city("country", code)
        yield Fact("country", code, territory, dict.fromkeys(LANGUAGES, code), city)
        if code in languages:
            language = name("languages", languages[code])
            yield Fact("language", code, territory, language, pick_city("language", code))
        if code in currencies:
            # The present currency, and the one before, if any.
            for relation, currency in zip(("currency", "former"), currencies[code], strict=False):
                answer = name("currencies", currency)
                yield Fact(relation, code, territory, answer, pick_city(relation, code))
    for zone, code in zones.items():
        key = zone.replace("/", "-")
        yield Fact("city", key, cities[zone], name("territories", code))
        yield Fact("zone", key, cities[zone], _name_time(zone, locales))
    yield from _list_currency_codes({code: pair[0] for code, pair in currencies.items()}, name)
    yield from _list_scripts(languages, locales, name)


def _list_currency_codes(
    currencies: Mapping[str, str], name: Callable[[str, str], Names]
) -> Iterator[Fact]:
    """Yield the codes of currencies; `currencies` has the currency of each territory."""
    for currency in sorted(set(currencies.values())):
        territories = [code for code in sorted(currencies) if currencies[code] == currency]
        territory = name("territories", _pick(territories, f"code-{currency}"))
        answer = dict.fromkeys(LANGUAGES, currency)
        yield Fact("code", currency, name("currencies", currency), answer, territory)


def _list_scripts(
    languages: Mapping[str, str],
    locales: Mapping[str, "Locale"],
    name: Callable[[str, str], Names],
) -> Iterator[Fact]:
    """Yield the scripts of languages; `languages` has the language of each territory."""
    from babel.core import get_global

    for language, likely_tag in sorted(get_global("likely_subtags").items()):
        subtags = likely_tag.split("_")
        is_unknown = language == "und" or language not in locales["en"].languages
        if "_" in language or is_unknown or len(subtags) < 2:  # noqa: PLR2004
            continue
        territories = [code for code in sorted(languages) if languages[code] == language]
        hint = None
        if territories:
            hint = name("territories", _pick(territories, f"script-{language}"))
        script = name("scripts", subtags[1])
        yield Fact("script", language, name("languages", language), script, hint)


def _find_currencies(territories: list[str]) -> dict[str, list[str]]:
    """Return the currency of each territory that has just one, and the one before, if any."""
    from babel.numbers import get_territory_currencies

    currencies = {}
    for code in territories:
        present = get_territory_currencies(code, _TODAY, _TODAY)
        if len(present) != 1:
            continue
        history = get_territory_currencies(code, date(1900, 1, 1), _TODAY, include_details=True)
        former = sorted(
            (entry["to"], entry["currency"])
            for entry in history
            if entry["to"] and entry["to"] < _TODAY and entry["currency"] not in present
        )
        currencies[code] = [*present, *(currency for _, currency in former[-1:])]
    return currencies


def _find_languages(territories: list[str]) -> dict[str, str]:
    """Return the official language of each territory that has just one."""
    from babel.languages import get_official_languages

    official = {code: get_official_languages(code, de_facto=True) for code in territories}
    return {code: langs[0] for code, langs in official.items() if len(langs) == 1}


def _name_city(zone: str, locales: Mapping[str, "Locale"]) -> Names:
    """Return the names of the city of a time zone.

    CLDR has English names only of cities that differ from the zone's identifier, and names in other
    languages with Latin letters only where these differ from English.
    """
    names = {lang: _look_up(locale.time_zones, zone, "city") for lang, locale in locales.items()}
    english = names["en"] or zone.rpartition("/")[2].replace("_", " ")
    return {
        lang: name or (english if lang in _LATIN_LANGUAGES else "") for lang, name in names.items()
    }


def _name_time(zone: str, locales: Mapping[str, "Locale"]) -> Names:
    """Return the names of the standard time of a time zone."""
    from babel.core import get_global

    meta_zone = get_global("meta_zones").get(zone, "")
    return {
        lang: _look_up(locale.meta_zones, meta_zone, "long", "standard")
        for lang, locale in locales.items()
    }


def _look_up(table: Any, *path: str) -> str:
    """Return a name in a table of tables; empty for a missing one."""
    for key in path:
        table = table.get(key) or {}
    return table or ""


def _name_thing(locales: Mapping[str, "Locale"], kind: str, code: str) -> Names:
    """Return the names of a thing, such as the territory DE."""
    return {lang: getattr(locale, kind).get(code) or "" for lang, locale in locales.items()}


def _pick(names: list[str], key: str) -> str:
    """Return one of the names, which depends on the key alone; empty if there are none."""
    return names[pick_number(key, len(names))] if names else ""


def _is_country(code: str) -> bool:
    return re.fullmatch("[A-Z]{2}", code) is not None and code not in _NO_COUNTRY
