"""Files of SQuAD's shape become paragraphs or sentences; bad rows are refused, or counted."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption, MissingExtra
from beir_hybrid.sources.squad import read_squad

Rows = list[dict[str, Any]]
CONTEXT = {"de": "Rom liegt am Tiber. Er ist lang.", "en": "Rome is on the Tiber. It is long."}


def make_paragraph(lang: str, *questions: tuple[str, str, list[int]], **more: Any) -> Rows:
    qas = [
        {"id": key, "question": text, "answers": [{"answer_start": n} for n in starts]}
        for key, text, starts in questions
    ]
    return [{"context": CONTEXT[lang], "qas": qas, **more}]


def write_file(folder: Path, lang: str, paragraphs: Rows, title: str | None = "Rome") -> Path:
    path = folder / f"{lang}.json"
    path.write_text(json.dumps({"data": [{"title": title, "paragraphs": paragraphs}]}))
    return path


def test_paragraphs_are_joined_by_the_ids_of_questions(tmp_path: Path) -> None:
    files = {
        "de": write_file(tmp_path, "de", make_paragraph("de", ("1", "Wo?", [13]), ("2", "A", [0]))),
        "en": write_file(tmp_path, "en", make_paragraph("en", ("1", "Where?", [15, 0]))),
    }
    collection = read_squad(files, licence="CC0")
    assert collection.view().to_beir()[2] == {
        "de:q:1": {"de:0": 1, "en:0": 1},
        "de:q:2": {"de:0": 1},
        "en:q:1": {"de:0": 1, "en:0": 1},
    }
    assert collection.queries["group"].to_pylist() == ["1", "2", "1"]
    assert collection.passages["text"].to_pylist() == [CONTEXT["de"], CONTEXT["en"]]
    assert (collection.title_policy, collection.licence) == ("text", "CC0")
    named = bh.load("squad", files=f"de={files['de']},en={files['en']}", title_policy="title+text")
    assert named.view().to_beir()[2] == collection.view().to_beir()[2]
    assert named.passages["title"].to_pylist() == ["Rome", "Rome"]
    assert named.options == {"unit": "paragraph", "on_bad": "refuse"}


def test_every_sentence_in_which_an_answer_starts_is_a_gold(tmp_path: Path) -> None:
    paragraphs = make_paragraph(
        "en", ("1", "Where?", [0, 15, 30]), ("2", "How?", [30]), sentence_breaks=[[0, 22], [22, 33]]
    )
    collection = read_squad({"en": write_file(tmp_path, "en", paragraphs)}, unit="sentence")
    assert collection.view().to_beir()[2] == {
        "en:q:1": {"en:0-0": 1, "en:0-1": 1},
        "en:q:2": {"en:0-1": 1},
    }
    assert collection.passages["text"].to_pylist() == ["Rome is on the Tiber. ", "It is long."]


BAD_ROWS: dict[str, list[tuple[str, str, list[int]]]] = {
    "questions without text": [("9", " ", [0])],
    "questions without an answer": [("9", "Who?", [])],
    "questions whose answer is in no passage": [("9", "Who?", [99])],
    "questions whose id is there twice": [("1", "Where again?", [0])],
}


def test_paragraphs_without_breaks_are_split(tmp_path: Path) -> None:
    pytest.importorskip("sentencex", reason="the splitter of sentences is an extra")
    path = write_file(tmp_path, "de", make_paragraph("de", ("1", "Wo?", [13]), ("2", "Wie?", [20])))
    collection = read_squad({"de": path}, unit="sentence")
    assert collection.passages["text"].to_pylist() == ["Rom liegt am Tiber.", "Er ist lang."]
    assert collection.view().to_beir()[2] == {"de:q:1": {"de:0-0": 1}, "de:q:2": {"de:0-1": 1}}
    assert collection.options["splitter"].startswith("sentencex ")


def test_a_splitter_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_file(tmp_path, "de", make_paragraph("de", ("1", "Wo?", [13])))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"sentence_breaks.*pip install .*\[sentences\]"):
        read_squad({"de": path}, unit="sentence")


@pytest.mark.usefixtures("mirror")
def test_a_language_joins_xquad_r(mirror: Path) -> None:
    pytest.importorskip("sentencex", reason="the splitter of sentences is an extra")
    [file] = mirror.rglob("xquad.ro.json")
    collection = bh.load("xquad-r", ["de", "en"], extra={"ro": file})
    assert collection.languages == ("de", "en", "ro")
    assert collection.query_counts == dict.fromkeys(("de", "en", "ro"), 1190)
    for golds in collection.view("ro").to_beir()[2].values():
        assert [gold.partition(":")[0] for gold in golds] == ["de", "en", "ro"]
    # The gold is a sentence of the paragraph that is the gold in XQuAD, and its answer is in.
    ids, rows = (collection.passages[name].to_pylist() for name in ("id", "text"))
    texts = dict(zip(ids, rows, strict=True))
    articles = json.loads(file.read_bytes())["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    golds_by_query = collection.view("ro", "ro").to_beir()[2]
    for paragraph in paragraphs:
        for question in paragraph["qas"]:
            start = question["answers"][0]["answer_start"]
            [gold] = golds_by_query[f"ro:q:{question['id']}"]
            place = paragraph["context"].index(texts[gold])
            assert place <= start < place + len(texts[gold])
    assert bh.load("xquad-r", ["de", "en"], extra=f"ro={file}").dataset == collection.dataset
    with pytest.raises(BadOption, match="extra has de, a language that is there already"):
        bh.load("xquad-r", ["de", "en"], extra={"de": file})
    with pytest.raises(BadData, match=r"there is no file .*gone"):
        bh.load("xquad-r", ["de"], extra={"ro": "gone"})


@pytest.mark.parametrize("problem", BAD_ROWS)
def test_bad_questions_are_refused_or_counted(tmp_path: Path, problem: str) -> None:
    questions = [("1", "Where?", [0])] + BAD_ROWS[problem]
    path = write_file(tmp_path, "en", make_paragraph("en", *questions))
    with pytest.raises(BadData) as error:
        read_squad({"en": path})
    assert str(error.value) == (
        f"{path}, paragraph 0: question {questions[1][0]!r} is one of the {problem}; "
        "on_bad='drop' leaves these out, counted"
    )
    collection = read_squad({"en": path}, on_bad="drop")
    assert collection.queries["text"].to_pylist() == ["Where?"]
    assert collection.options["dropped"] == {problem: 1}


def test_empty_contexts_are_dropped_with_their_questions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = make_paragraph("de", ("2", "Was?", [0])) + make_paragraph("de", ("3", "Wer?", [0]))
    for paragraph in empty:
        paragraph["context"] = " \n"
    paragraphs = [*empty, *make_paragraph("de", ("1", "Wo?", [0]))]
    path = write_file(tmp_path, "de", paragraphs, title=None)
    with pytest.raises(BadData, match=r"de\.json, paragraph 0 is one of the paragraphs without"):
        read_squad({"de": path})
    for _ in range(2):  # built, and from the cache
        caplog.clear()
        collection = read_squad({"de": path}, on_bad="drop", name="rome")
        assert caplog.messages == [
            "rome: left out 2 paragraphs without text, 2 questions of paragraphs without text"
        ]
    assert collection.passages["id"].to_pylist() == ["de:2"]
    assert collection.queries["id"].to_pylist() == ["de:q:1"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = write_file(tmp_path, "en", make_paragraph("en", ("1", "Where?", [0])))
    with pytest.raises(BadData, match=r"there is no file .*gone"):
        read_squad({"en": tmp_path / "gone"})
    with pytest.raises(BadOption, match="no file is named"):
        read_squad({})
    for files in ("en.json", "en=a,en=b", ["en.json"]):
        with pytest.raises(BadOption, match="it has to be LANG=FILE, each language once, with com"):
            bh.load("squad", files=files)
    path.write_text("{}")
    with pytest.raises(BadData, match=r"en\.json is not SQuAD-shaped JSON: KeyError\('data'\)"):
        read_squad({"en": path})


@pytest.mark.usefixtures("mirror")
def test_xquad_has_its_published_counts() -> None:
    collection = bh.load("xquad")
    assert len(collection.languages) == 12
    assert collection.query_counts == dict.fromkeys(collection.languages, 1190)
    assert collection.passage_counts == dict.fromkeys(collection.languages, 240)
    counts = {kind: len(collection.list_settings(kind)) for kind in ("mono", "cross", "multi")}
    assert counts == {"mono": 12, "cross": 132, "multi": 12}
    # Every question has one gold in each language, at the same place in the files.
    judgements = collection.view("ro").to_beir()[2]
    assert len(judgements) == 1190
    for golds in judgements.values():
        assert sorted(gold[:2] for gold in golds) == list(collection.languages)
        assert len({gold[3:] for gold in golds}) == 1


@pytest.mark.usefixtures("mirror")
def test_paragraphs_agree_with_sentences_of_lareqa() -> None:
    """The paragraph of a question is the one that its sentence in XQuAD-R stands in."""
    paragraphs, sentences = bh.load("xquad", ["de", "th"]), bh.load("xquad-r", ["de", "th"])
    for query, passage in product(("de", "th"), repeat=2):
        golds = paragraphs.view(query, passage).to_beir()[2]
        expected = sentences.view(query, passage).to_beir()[2]
        assert {key: [gold.split(":")[1] for gold in values] for key, values in golds.items()} == {
            key: [gold.split(":")[1].split("-")[0] for gold in values]
            for key, values in expected.items()
        }


def test_mlqa_has_its_paragraphs(mirror: Path) -> None:
    """MLQA-R's files are MLQA's with sentence breaks: a question is in one to seven languages."""
    files = {path.stem: path for path in mirror.glob("**/mlqa-r/??.json")}
    assert len(files) == 7
    languages: dict[str, set[str]] = {}
    contexts: dict[str, set[str]] = {}
    for lang, path in files.items():
        for article in json.loads(path.read_text("utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                contexts.setdefault(lang, set()).add(paragraph["context"])
                for question in paragraph["qas"]:
                    languages.setdefault(question["id"], set()).add(lang)
    collection = read_squad(files)
    assert collection.passage_counts == {lang: len(contexts[lang]) for lang in sorted(contexts)}
    judgements = collection.view().to_beir()[2]
    assert len(judgements) == 4199
    for query, golds in judgements.items():
        assert {gold[:2] for gold in golds} == languages[query.split(":q:")[1]]
    sentences = read_squad(files, unit="sentence")
    assert sentences.view().to_beir()[2] == bh.load("mlqa-r").view().to_beir()[2]
