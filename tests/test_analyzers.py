"""Terms of real words by the analyzer of each language and the neutral one."""
# mypy: allow-untyped-calls
# ruff: noqa: RUF001 - texts are in all scripts

import pytest

import beir_hybrid as bh
from beir_hybrid.pyserini.analyzers import ANALYZERS, NEUTRAL, Analyzer, find_analyzer
from beir_hybrid.pyserini.java import start_java

pytest.importorskip("pyserini", reason="analyzers need it: the extra 'pyserini'")

SAMPLES = {
    "ar": ("الكتاب", ["كتاب"]),
    "bn": ("বাংলাদেশের", None),
    "de": ("Die Häuser und Gärten", ["haus", "gart"]),
    "el": ("Οι ΆΝΘΡΩΠΟΙ της πόλης", ["ανθρωπ", "πολ"]),
    "en": ("The running dogs", ["run", "dog"]),
    "es": ("Los libros", ["libr"]),
    "fa": ("کتاب‌های", None),
    "fi": ("taloissa", ["talo"]),
    "fr": ("L'avion des chevaux", None),
    "hi": ("लड़कियों", None),
    "id": ("membacakan", None),
    "ja": ("東京都に行きました", None),
    "ko": ("대한민국", ["대한", "한민", "민국"]),
    "ru": ("Книгами", ["книг"]),
    "sw": ("Watu wa Kenya.", ["watu", "wa", "kenya"]),
    "te": ("పుస్తకాలు", None),
    "th": ("แมวกินปลา", ["แมว", "มวก", "วกิ", "กิน", "ินป", "นปล", "ปลา"]),
    "tr": ("İstanbul'da kitaplar", ["istanbul", "kitap"]),
    "vi": ("Việt Nam!", ["việt", "nam"]),
    "yo": ("Àwọn ènìyàn", ["àwọn", "ènìyàn"]),
    "zh": ("北京大学", ["北京", "京大", "大学"]),
}


def list_terms(analyzer: Analyzer, text: str) -> list[str]:
    from jnius import autoclass

    return list(
        autoclass("io.anserini.analysis.AnalyzerUtils").analyze(analyzer.create(), text).toArray()
    )


@pytest.mark.parametrize("lang", SAMPLES)
def test_terms_of_the_datasets_languages(lang: str) -> None:
    start_java()
    text, expected = SAMPLES[lang]
    terms = list_terms(find_analyzer(lang), text)
    assert terms
    assert expected is None or terms == expected


def test_samples_cover_all_languages_of_the_datasets() -> None:
    names = {"xquad-r", "mlqa-r", "miracl"}
    langs = {lang for name in names for lang in bh.datasets()[name].languages}
    assert langs == set(SAMPLES)
    assert {lang for lang in langs if find_analyzer(lang) == NEUTRAL} == {"sw", "th", "vi", "yo"}


def test_analyzers_equal_those_of_anserini() -> None:
    start_java()
    from jnius import autoclass

    table = autoclass("io.anserini.analysis.AnalyzerMap").analyzerMap
    anserini_analyzers = {key: table.get(key) for key in table.keySet().toArray()}
    assert len(anserini_analyzers) > 15
    assert anserini_analyzers.pop("th").endswith("ThaiAnalyzer")  # which not every Java can do
    # Anserini 2 cuts Korean by a dictionary, as Anserini 1 did not: values stay comparable.
    korean = anserini_analyzers.pop("ko").rpartition(".")[2]
    assert korean in {"CJKAnalyzer", "KoreanAnalyzer"}
    assert find_analyzer("ko").path.endswith("CJKAnalyzer")
    assert {key: find_analyzer(key).path for key in anserini_analyzers} == anserini_analyzers


@pytest.mark.parametrize("lang", ANALYZERS)
def test_every_analyzer_works(lang: str) -> None:
    start_java()
    assert list_terms(ANALYZERS[lang], "Berlin 1989")[-1] == "1989"


def test_terms_of_the_neutral_analyzer() -> None:
    start_java()
    assert list_terms(NEUTRAL, "The Häuser 北京大学 L'avion ＡＢＣ") == [
        *("the", "häuser", "北京", "京大", "大学", "l'avion", "abc")
    ]
    # Thai in threes; what is shorter stays whole, and digits of all scripts are the same.
    assert list_terms(NEUTRAL, "กินปลา Berlin ปลา ปล ไทย๑๒") == [
        *("กิน", "ินป", "นปล", "ปลา", "berlin", "ปลา", "ปล", "ไทย", "12")
    ]
