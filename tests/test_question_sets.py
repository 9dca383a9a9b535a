"""English question sets, MFAQ and SQuADShifts, from miniatures of their files."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.cli.options import LoadOptions
from beir_hybrid.cli.training_data import DataOptions
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.sources import squadshifts
from tests.group_files import read_rows
from tests.question_files import PAGES, ROWS, write_pages, write_table
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture

# Queries, passages with titles, and the ids of the golds of each query, worked out by hand.
EXPECTED: dict[str, tuple[dict[str, str], dict[str, str], dict[str, list[str]]]] = {
    "wikiqa": (
        {"0": "how are caves formed", "1": "who is it"},
        {"0": "Cave|Water did it.", "1": "Cave|And acid.", "2": "People|She is."},
        {"0": ["0", "1"], "1": ["2"]},
    ),
    "duorc": (
        {"0": "Who sails?", "1": "Who returns?"},
        {"0": "The Sea|He sails. He returns."},
        {"0": ["0"], "1": ["0"]},
    ),
    "newsqa": (
        {"0": "When did it rain?", "1": "What fell?"},
        {"0": "|It rained in May.", "1": "|It snowed."},
        {"0": ["0"], "1": ["1"]},
    ),
    "natural-questions": (
        {"0": "the si unit of force is", "1": "who wrote it"},
        {"0": "|The newton is the unit.", "1": "|A woman wrote it."},
        {"0": ["0"], "1": ["1"]},
    ),
    "yahoo-answers": (
        {"0": "why is it blue?", "1": "how do I cook rice?"},
        {"0": "|Light is scattered.", "1": "|In water.", "2": "|Because of the air."},
        {"0": ["0", "2"], "1": ["1"]},
    ),
}


@pytest.fixture
def mirror_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(folder))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    return folder


@pytest.mark.parametrize("name", EXPECTED)
def test_questions_have_their_passages(mirror_folder: Path, name: str) -> None:
    write_table(mirror_folder, name, ROWS[name])
    collection = bh.load(name)
    queries, passages, golds = EXPECTED[name]
    corpus, texts, qrels = collection.view().to_beir()
    assert texts == {f"en:q:{key}": text for key, text in queries.items()}
    assert {key: f"{row.get('title', '')}|{row['text']}" for key, row in corpus.items()} == {
        f"en:{key}": text for key, text in passages.items()
    }
    assert qrels == {
        f"en:q:{query}": {f"en:{key}": 1 for key in keys} for query, keys in golds.items()
    }
    assert "for training" in collection.caveat
    assert len(bh.pairs_from_collection(collection)) == sum(map(len, golds.values()))


def test_pairs_without_a_text_are_counted(
    mirror_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_table(mirror_folder, "natural-questions", ROWS["natural-questions"])
    assert bh.load("natural-questions").options["dropped"] == {
        "pairs without question or passage": 1
    }
    assert "left out 1 pairs without question or passage" in caplog.text


def test_some_questions(mirror_folder: Path) -> None:
    """Further passages of the first questions are taken, though they stand in another file."""
    write_table(mirror_folder, "yahoo-answers", ROWS["yahoo-answers"])
    qrels = bh.load("yahoo-answers", queries="1").view().to_beir()[2]
    assert qrels == {"en:q:0": {"en:0": 1, "en:1": 1}}
    with pytest.raises(BadOption, match="queries is -1"):
        bh.load("yahoo-answers", queries=-1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"query": "q"}], "has no column 'answer'"),
        ([{"query": "q", "answer": 7}], "row 0: 'answer' is 7, not text"),
    ],
)
def test_bad_tables_are_named(
    mirror_folder: Path, rows: list[dict[str, Any]], message: str
) -> None:
    write_table(mirror_folder, "natural-questions", rows)
    with pytest.raises(BadData, match=rf"train-00000-of-00001\.parquet {message}"):
        bh.load("natural-questions")


def test_mfaq_has_pages_in_languages(mirror_folder: Path) -> None:
    for lang, pages in PAGES.items():
        write_pages(mirror_folder, lang, pages)
    collection = bh.load("mfaq", ["en", "fi"])
    corpus, queries, qrels = collection.view().to_beir()
    assert queries == {
        "en:q:0": "Do I need a car?", "en:q:1": "Where are you?", "fi:q:0": "Missä?",
    }  # fmt: skip
    assert {key: row["text"] for key, row in corpus.items()} == {
        "en:0": "No.", "en:1": "Here.", "en:2": "Yes.", "fi:0": "Täällä.",
    }  # fmt: skip
    assert qrels == {"en:q:0": {"en:0": 1, "en:2": 1}, "en:q:1": {"en:1": 1}, "fi:q:0": {"fi:0": 1}}
    pairs = bh.pairs_from_collection(collection)
    assert {tuple(row) for row in pairs.groups.has_query.tolist()} == {(True, False), (False, True)}
    assert bh.load("mfaq", ["en", "fi"], queries=1).query_counts == {"en": 1, "fi": 1}


def test_bad_pages_are_named(mirror_folder: Path) -> None:
    write_pages(mirror_folder, "en", [*PAGES["en"], {"qa_pairs": "none"}])
    with pytest.raises(BadData, match="line 3: 'qa_pairs' must be a list of questions"):
        bh.load("mfaq", ["en"])


def make_squad(question: str, start: int) -> bytes:
    """Return a file of SQuAD's shape, as SQuADShifts has it, with two paragraphs."""
    answers = [{"text": "x", "answer_start": start}, {"text": "x", "answer_start": start}]
    paragraphs = [
        {
            "context": f"About {question}.",
            "qas": [{"id": question, "question": question, "answers": answers}],
        },
        {"context": "Another.", "qas": []},
    ]
    article = {"title": "T", "split": "test", "paragraphs": paragraphs}
    return json.dumps({"version": "1.1", "data": [article]}).encode()


def test_squadshifts_has_four_parts(mirror_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {}
    for name, (file, _) in squadshifts.FILES.items():
        content = make_squad(f"{name}?", 6)
        files[name] = file, sha256(content).hexdigest()
        path = mirror_folder.joinpath(*squadshifts.ORIGIN.split("/")[2:], file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setattr(squadshifts, "FILES", files)
    corpus, queries, qrels = bh.load("squadshifts").view().to_beir()
    assert len(corpus) == 8
    assert set(queries.values()) == {"new-wiki?", "nyt?", "reddit?", "amazon?"}
    assert qrels["en:q:nyt?"] == {"en:nyt-0": 1}
    assert corpus["en:nyt-0"]["text"] == "About nyt?."
    amazon = bh.load("squadshifts", part="amazon")
    assert list(amazon.view().to_beir()[0]) == ["en:amazon-0", "en:amazon-1"]


def test_a_dataset_becomes_a_file_of_groups(
    mirror_folder: Path,
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    for lang, pages in PAGES.items():
        write_pages(mirror_folder, lang, pages)
    words = ("datasets", "export", "mfaq", tmp_path / "faq.jsonl", "--languages", "en,fi")
    outcome = run_cli(*words)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{tmp_path / 'faq.jsonl'}: 4 groups\n"
    assert read_rows(tmp_path / "faq.jsonl") == [
        {"id": "en:0#0", "query": {"en": "Do I need a car?"}, "positive": {"en": "No."}},
        {"id": "en:0#1", "query": {"en": "Do I need a car?"}, "positive": {"en": "Yes."}},
        {"id": "en:1#0", "query": {"en": "Where are you?"}, "positive": {"en": "Here."}},
        {"id": "fi:0#0", "query": {"fi": "Missä?"}, "positive": {"fi": "Täällä."}},
    ]
    assert run_cli(*words).code == 0  # the same bytes
    assert "has other groups" in run_cli(*words[:-1], "en").err
    assert "training groups have all languages" in run_cli(*words, "--queries", "en").err
    with pytest.raises(BadOption, match=r"its name must end in \.jsonl"):
        bh.export_groups(bh.load("mfaq", ["en"]), tmp_path / "faq.json")


def test_sources_of_a_training_have_their_own_options(mirror_folder: Path) -> None:
    for lang, pages in PAGES.items():
        write_pages(mirror_folder, lang, pages)
    write_table(mirror_folder, "yahoo-answers", ROWS["yahoo-answers"])
    names = ["mfaq:languages=en+fi,queries=1", "yahoo-answers", "mfaq:languages=fi"]
    sources = DataOptions(train=names).read(LoadOptions())
    assert [(pairs.languages, len(pairs)) for pairs in sources] == [
        (("en", "fi"), 3), (("en",), 3), (("fi",), 1),
    ]  # fmt: skip
    with pytest.raises(BadOption, match="'query'"):
        DataOptions(train=["mfaq:query=1"]).read(LoadOptions())
