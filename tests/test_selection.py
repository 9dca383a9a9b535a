"""Some languages of a collection have the values that they have in the whole."""

import logging
import re
from pathlib import Path

import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.collection.selection import select_languages
from beir_hybrid.errors import BadData, UnknownName
from tests.group_files import write_rows
from tests.image_files import CATS, write_images_folder
from tests.test_cli_evaluate import RunCli, run_cli
from tests.word_encoder import WordCountEncoder

__all__ = ["run_cli"]

ROWS = [
    {"passage": "p1", "text": {"de": "w1 w2", "en": "w1 w3", "fr": "w1"}, "title": {"de": "w9"}},
    {"passage": "p2", "text": {"de": "w4", "en": "w4 w5", "fr": "w4"}},
    {"passage": "p3", "text": {"fr": "w6 w4"}},
    {
        "query": "q1",
        "text": {"de": "w1", "en": "w1 w4", "fr": "w1"},
        "relevant": {"p1": 2, "p3": 0},
    },
    {"query": "q2", "text": {"de": "w4 w6", "en": "w6"}, "relevant": ["p2", "p3"]},
    {"query": "q3", "text": {"de": "w6", "fr": "w6"}, "relevant": ["p3"]},
]


def test_rows_and_values_are_those_of_the_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_rows(tmp_path / "faq.jsonl", ROWS)
    whole = bh.read_jsonl(path, licence="mine")
    part = bh.load("jsonl", languages=["en", "de"], path=path, licence="mine")
    assert part.languages == ("de", "en")
    assert (part.name, part.licence, part.provenance) == ("faq", "mine", whole.provenance)
    assert part.dataset["languages"] == ["de", "en"]
    for query in ("de", "en"):
        for passage in ("de", "en"):
            # Triples of all settings, texts and grades; q3 has its answer in French alone.
            assert part.view(query, passage).to_beir() == whole.view(query, passage).to_beir()
    assert part.queries["group"].to_pylist() == ["q1", "q2", "q1", "q2"]
    assert part.view("de").to_beir() == whole.view("de", ["de", "en"]).to_beir()
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "faq: left out 1 query whose relevant passages are in other languages than de, en"
    ]
    results, expected = (
        bh.evaluate(WordCountEncoder(), collection, measures=[AP]).means(AP)
        for collection in (part, whole)
    )
    pair = {setting: value for setting, value in expected.items() if "fr" not in setting.name}
    mono_and_cross = {s: value for s, value in results.items() if s.kind != "multi"}
    assert mono_and_cross == {s: value for s, value in pair.items() if s.kind != "multi"}
    assert {setting.name for setting in results if setting.kind == "multi"} == {"de-all", "en-all"}


def test_a_folder_of_the_collection_gives_the_same(tmp_path: Path) -> None:
    whole = bh.read_jsonl(write_rows(tmp_path / "faq.jsonl", ROWS))
    folder = bh.write_folder(whole, tmp_path / "folder")
    part = bh.load("beir-folder", languages=["fr"], path=folder)
    assert part.view("fr").to_beir() == whole.view("fr", "fr").to_beir()
    assert part.query_counts == {"fr": 2}
    with pytest.raises(UnknownName, match="no language of faq is 'es'; there are de "):
        bh.load("beir-folder", languages=["es"], path=folder)


def test_queries_that_count_as_zero_stay() -> None:
    corpus = {f"{lang}:{n}": {"text": f"w{n}"} for lang in ("de", "en") for n in range(2)}
    qrels = {"de:q:1": {"de:1": 1, "en:1": 1}, "de:q:2": {"de:0": 0}, "en:q:1": {"en:1": 1}}
    qrels["de:q:3"] = {"en:0": 0}  # judged in English alone
    whole = bh.from_beir(corpus, dict.fromkeys(qrels, "w1"), qrels, unanswered="zero")
    part = select_languages(whole, "de")
    assert part.view("de").to_beir()[2] == {"de:q:1": {"de:1": 1}, "de:q:2": {"de:0": 0}}
    assert part.query_counts == {"de": 2}
    lone = bh.from_beir(corpus, {"fr:q:1": "w1"}, {"fr:q:1": {"de:1": 1}})
    with pytest.raises(BadData, match="beir has no judgements in fr"):
        select_languages(lone, "fr")


def test_images_stay_with_the_languages_that_are_chosen(tmp_path: Path) -> None:
    whole = bh.load("jsonl-image-text", path=write_images_folder(tmp_path / "images", CATS))
    (language, *_) = whole.languages
    part = select_languages(whole, language)
    assert part.codes == (language, "image")
    assert part.view(language, "image").to_beir() == whole.view(language, "image").to_beir()
    assert part.passages["image"].to_pylist()[-1] == whole.passages["image"].to_pylist()[-1]


def test_the_command_line_chooses_languages_of_a_file(tmp_path: Path, run_cli: RunCli) -> None:
    path = write_rows(tmp_path / "faq.jsonl", ROWS)
    outcome = run_cli("datasets", "fetch", path, "--languages", "de,fr")
    assert outcome.code == 0, outcome.err
    assert re.findall(r"^  (\w\w) +(\d) queries +(\d) passages", outcome.out, re.MULTILINE) == [
        ("de", "3", "2"), ("fr", "2", "3"),
    ]  # fmt: skip
