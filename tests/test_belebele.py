"""Belebele, from a mirror that holds a miniature of its files."""

import json
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.errors import BadData, UnknownName
from beir_hybrid.sources.belebele import COMMIT, list_files
from tests.hash_encoder import HashEncoder

LINKS = ["https://en.wikinews.org/wiki/A", "https://en.wikivoyage.org/wiki/B"]


def make_rows(lang: str) -> list[dict[str, Any]]:
    """Return two questions on one passage and one on another, as the files have them."""
    return [
        {
            "link": LINKS[link], "question_number": number, "flores_passage": f"{lang} {link}",
            "question": f"{lang} {link} {number}?", "mc_answer1": "a", "mc_answer2": "b",
            "mc_answer3": "c", "mc_answer4": "d", "correct_answer_num": "1",
            "dialect": lang, "ds": "2023-05-03",
        }
        for link, number in ((0, 1), (0, 2), (1, 1))
    ]  # fmt: skip


def write_mirror(folder: Path, changes: dict[str, list[dict[str, Any]]]) -> None:
    files = folder / "huggingface.co/datasets/facebook/belebele/resolve" / COMMIT / "data"
    files.mkdir(parents=True, exist_ok=True)
    for lang in ("arb_Arab", "arb_Latn", "ceb_Latn", "zho_Hans", "zho_Hant"):
        rows = changes.get(lang, make_rows(lang))
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        (files / f"{lang}.jsonl").write_text(lines, "utf-8")


@pytest.fixture
def belebele(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert own_cache.is_dir() or not own_cache.exists()
    folder = tmp_path / "mirror"
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(folder))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    write_mirror(folder, {})
    return folder


def test_there_are_122_variants() -> None:
    assert len(list_files()) == len(set(list_files().values())) == 122
    assert list_files()["ar-Latn"] == "arb_Latn"
    assert list_files()["en"] == "eng_Latn"


@pytest.mark.usefixtures("belebele")
def test_variants_are_languages_and_questions_parallel() -> None:
    collection = bh.load("belebele", ["arb_Arab", "ar-Latn", "ceb", "zh-hans", "zho_Hant"])
    assert collection.languages == ("ar", "ar-Latn", "ceb-Latn", "zh-Hans", "zh-Hant")
    assert set(collection.query_counts.values()) == {3}
    assert set(collection.passage_counts.values()) == {2}
    counts = {kind: len(collection.list_settings(kind)) for kind in ("mono", "cross", "multi")}
    assert counts == {"mono": 5, "cross": 20, "multi": 5}
    queries, _, qrels = (collection.view("zh-Hant", "ar").to_beir()[n] for n in (1, 0, 2))
    texts = dict(
        zip(*(collection.passages[name].to_pylist() for name in ("id", "text")), strict=True)
    )
    assert {queries[query]: [texts[gold] for gold in golds] for query, golds in qrels.items()} == {
        "zho_Hant 0 1?": ["arb_Arab 0"],
        "zho_Hant 0 2?": ["arb_Arab 0"],
        "zho_Hant 1 1?": ["arb_Arab 1"],
    }
    groups = collection.queries["group"].to_pylist()
    assert all(groups.count(group) == 5 for group in groups)
    results = bh.evaluate(HashEncoder(), collection, measures=["AP", bh.RankDistance])
    assert len(results.settings) == 30


@pytest.mark.usefixtures("belebele")
def test_two_scripts_have_to_be_told_apart() -> None:
    with pytest.raises(UnknownName, match="no language of belebele is 'zh'; there are"):
        bh.load("belebele", ["zh"])


def test_bad_rows_are_refused_or_counted(belebele: Path) -> None:
    rows = make_rows("zho_Hans")
    rows[1]["question"] = " "
    write_mirror(belebele, {"zho_Hans": [*rows, rows[0]]})
    with pytest.raises(BadData, match=r"zho_Hans\.jsonl line 2 is one of the questions without"):
        bh.load("belebele", ["zh-Hans"])
    collection = bh.load("belebele", ["zh-Hans"], on_bad="drop")
    assert collection.options["dropped"] == {
        "questions without text or passage": 1,
        "questions that are there twice": 1,
    }
    assert len(collection.queries) == 2
    rows[1] |= {"question": "?", "flores_passage": "other"}
    write_mirror(belebele, {"zho_Hans": rows})
    with pytest.raises(BadData, match=r"line 2: the passage of 'https://.*/A' is another than"):
        bh.load("belebele", ["zh-Hans", "zh-Hant"], on_bad="drop")
