"""Language tags of every fashion become one short code."""

import pytest

from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.languages import choose, english_name, normalise, normalise_all

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
    "no": ["no"],
    "pt": ["pt", "pt-BR", "pt_PT", "por"],
    "sw": ["sw", "swa", "swh"],
    "uk": ["uk", "ua", "ukr"],
    "vi": ["vi", "vn", "vie"],
    "yo": ["yo", "yor"],
    "zh": ["zh", "zho", "chi", "cmn", "cn", "zho-CN", "zh-Hant-TW", "zh_cn", "zho_Hans"],
}


@pytest.mark.parametrize("code", ALIASES)
def test_aliases(code: str) -> None:
    assert {tag: normalise(tag) for tag in ALIASES[code]} == dict.fromkeys(ALIASES[code], code)


def test_languages_that_share_a_larger_one_stay_apart() -> None:
    apart = ["id", "ms", "hr", "sr", "bs", "et", "lv", "fa", "hi", "ur", "th", "bn", "te"]
    assert [normalise(tag) for tag in apart] == apart


@pytest.mark.parametrize("tag", ["", " ", "xx", "english", "und", "C", "en.UTF-8", "x-foo", "12"])
def test_unknown_codes_are_refused(tag: str) -> None:
    with pytest.raises(BadData) as caught:
        normalise(tag)
    assert str(caught.value) == f"unknown language code {tag!r}"


def test_several_keep_their_order_and_come_once() -> None:
    assert normalise_all(["zho", "en", "cmn", "eng", "ar"]) == ("zh", "en", "ar")
    assert normalise_all("jp") == ("ja",)


def test_choice_among_known_codes() -> None:
    assert choose("language", ["zho", "en", "zh"], ["ar", "en", "zh"]) == ("zh", "en")
    assert choose("language", "ara", ["ar", "en"]) == ("ar",)
    with pytest.raises(UnknownName, match=r"^no language 'fr'; there are de, en$"):
        choose("language", "fra", ["en", "de"])
    with pytest.raises(UnknownName, match=r"^no language 'eb'; did you mean 'en'\?$"):
        choose("language", "eb", ["en", "ar"])
    with pytest.raises(BadOption, match=r"^no language is named; there are ar, en$"):
        choose("language", [], ["en", "ar"])


def test_english_names() -> None:
    assert [english_name(code) for code in ("th", "el", "zh", "yo")] == [
        "Thai",
        "Greek",
        "Chinese",
        "Yoruba",
    ]
