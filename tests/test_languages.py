"""Language tags of every fashion become one short code."""

import re
from functools import partial
from typing import Any

import pytest

from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.languages import choose_languages, name_language, normalise, normalise_all

ALIASES = {
    "ar": ["ar", "ara", "arb", "ar-SA", "arb_Arab", "ara-Arab"],
    "cs": ["cs", "ces", "cze", "cz"],
    "da": ["da", "dan", "dk"],
    "de": ["de", "DE", "deu", "ger", "de_AT", "de-Latn-CH"],
    "el": ["el", "ell", "gre", "gr"],
    "en": ["en", "eng", "eng-Latn", "en_US", " en ", "EN-gb"],
    "fa": ["fa", "fas", "per", "pes"],
    "he": ["he", "iw", "heb"],
    "id": ["id", "ind", "in"],
    "ja": ["ja", "jp", "jpn", "ja-JP", "JP"],
    "ko": ["ko", "kor"],
    "nb": ["nb", "nob", "nb-NO", "no-bok"],
    "nn": ["nn", "nno"],
    "no": ["no", "nor"],
    "pt": ["pt", "pt-BR", "pt_PT", "por"],
    "sw": ["sw", "swa", "swh"],
    "uk": ["uk", "ua", "ukr"],
    "vi": ["vi", "vn", "vie"],
    "yo": ["yo", "yor"],
    "yue": ["yue", "zh-yue", "zh_YUE", "yue-Hant-HK"],
    "zh": ["zh", "zho", "chi", "cmn", "cn", "zho-CN", "zh-Hant-TW", "zh_cn", "zho_Hans"],
}


@pytest.mark.parametrize("code", ALIASES)
def test_aliases(code: str) -> None:
    assert {tag: normalise(tag) for tag in ALIASES[code]} == dict.fromkeys(ALIASES[code], code)


def test_languages_that_share_a_larger_one_stay_apart() -> None:
    apart = ["id", "ms", "hr", "sr", "bs", "et", "lv", "fa", "hi", "ur", "th", "bn", "te"]
    assert [normalise(tag) for tag in apart] == apart


@pytest.mark.parametrize(
    "tag",
    ["", " ", "xx", "C", "en.UTF-8", "x-foo", "i-klingon", "12", "a" * 5000, "a\0ba\0b"],
)
def test_unknown_codes_are_refused(tag: str) -> None:
    with pytest.raises(BadData) as error:
        normalise(tag)
    assert str(error.value) == f"unknown language code {tag!r}"


@pytest.mark.parametrize(
    ("name", "code"), [("english", "en"), ("Deutsch", "de"), ("français", "fr"), ("ไทย", "th")]
)
def test_a_name_is_answered_with_its_code(name: str, code: str) -> None:
    with pytest.raises(BadData, match=f"unknown language code '{name}'; '{code}' is the code of"):
        normalise(name)


@pytest.mark.parametrize("tag", ["und", "mul", "zxx", "mis", "art", "qaa", "qtz-Latn", "MUL"])
def test_codes_of_no_single_language_are_refused(tag: str) -> None:
    with pytest.raises(BadData) as error:
        normalise(tag)
    assert str(error.value) == f"{tag!r} is the code of no single language"


@pytest.mark.parametrize("tag", ["all", "ALL", "all-Mlym"])
def test_the_name_of_the_pool_is_no_language(tag: str) -> None:
    with pytest.raises(BadData) as error:
        normalise(tag)
    assert str(error.value) == f"{tag!r} names the pool of all languages here, and no single one"


@pytest.mark.parametrize("tag", [None, 5, b"en", ["en"]])
def test_a_tag_that_is_no_text_is_refused(tag: Any) -> None:
    message = re.escape(f"a language is a code such as 'en', not {tag!r}")
    with pytest.raises(BadOption, match=f"^{message}$"):
        normalise(tag)
    for function in (normalise_all, partial(choose_languages, "language", codes=["en"])):
        with pytest.raises(BadOption, match=f"^{message}$"):
            function(["en", tag])
    if tag in (None, 5):
        message = f"^a language is a code such as 'en', or several in a list, not {tag!r}$"
        with pytest.raises(BadOption, match=message):
            choose_languages("language", tag, ["en"])


def test_several_keep_their_order_and_come_once() -> None:
    assert normalise_all(["zho", "en", "cmn", "eng", "ar"]) == ("zh", "en", "ar")
    assert normalise_all("jp") == ("ja",)


def test_tags_choose_among_codes() -> None:
    assert choose_languages("language", ["zho", "en", "zh"], ["ar", "en", "zh"]) == ("zh", "en")
    assert choose_languages("language", "ara", ["ar", "en"]) == ("ar",)
    with pytest.raises(
        UnknownName, match=r"^no language is 'fra'; there are de \(German\), en \(English\)$"
    ):
        choose_languages("language", "fra", ["en", "de"])
    with pytest.raises(BadOption, match=r"^no language is named; there are ar \(Arabic\)$"):
        choose_languages("language", [], ["ar"])


@pytest.mark.parametrize(
    ("tag", "suggestions"),
    [
        # Like "ge" are "greek" (4 of 7 letters), and "german", "de", "en", "es" (half of them).
        ("ge", "el (Greek), de (German), en (English), es (Spanish), ar (Arabic), hi (Hindi)"),
        ("German", "de (German), en (English), ar (Arabic), el (Greek), es (Spanish), hi (Hindi)"),
        ("zxx", "ar (Arabic), de (German), el (Greek), en (English), es (Spanish), hi (Hindi)"),
    ],
)
def test_an_unknown_language_suggests_similar_ones(tag: str, suggestions: str) -> None:
    codes = ["zh", "vi", "tr", "th", "ru", "hi", "es", "en", "el", "de", "ar"]
    with pytest.raises(UnknownName) as error:
        choose_languages("language of xquad-r", tag, codes)
    message = f"no language of xquad-r is {tag!r}; there are {suggestions} and 5 more"
    assert str(error.value) == message


def test_english_names() -> None:
    assert [name_language(code) for code in ("th", "el", "zh", "yo")] == [
        "Thai",
        "Greek",
        "Chinese",
        "Yoruba",
    ]
