"""XQuAD-R and MLQA-R: the published counts, every gold by LAReQA's rules, and bad files."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.collection import CollectionWriter, open_collection
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.sources.lareqa import PassageText, convert

ORIGIN = "raw.githubusercontent.com/google-research-datasets/lareqa"
FILES = {
    "xquad-r": f"{ORIGIN}/9bc8c7fb6dd8d01d72a05a93c2cb96882b0d299c/xquad-r",
    "mlqa-r": f"{ORIGIN}/354d67d1cd066854cdfbf5ad0e6105528976141d/mlqa-r",
}
# The published counts: questions and candidates of each language.
COUNTS = {
    "xquad-r": {
        "ar": (1190, 1222),
        "de": (1190, 1276),
        "el": (1190, 1234),
        "en": (1190, 1180),
        "es": (1190, 1215),
        "hi": (1190, 1244),
        "ru": (1190, 1219),
        "th": (1190, 852),
        "tr": (1190, 1167),
        "vi": (1190, 1209),
        "zh": (1190, 1196),
    },
    "mlqa-r": {
        "ar": (517, 2545),
        "de": (512, 2362),
        "en": (1148, 6264),
        "es": (500, 1787),
        "hi": (507, 2426),
        "vi": (511, 2828),
        "zh": (504, 2322),
    },
}
SETTINGS = {"xquad-r": (11, 110, 11), "mlqa-r": (7, 42, 7)}
Candidate = tuple[str, str, str]  # id, title, text


def derive_golds(path: Path, lang: str) -> tuple[list[Candidate], dict[str, tuple[str, str, int]]]:
    """Read a file by LAReQA's rules.

    Return the candidates, and each question's text, gold and the letters of its answer beyond the
    sentence.
    """
    candidates: list[Candidate] = []
    questions: dict[str, tuple[str, str, int]] = {}
    paragraphs = -1
    for article in json.loads(path.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            paragraphs += 1
            ends = [end for _, end in paragraph["sentence_breaks"]]
            starts = [start for start, _ in paragraph["sentence_breaks"]]
            ids = [f"{lang}:{paragraphs}-{position}" for position in range(len(starts))]
            candidates += [
                (key, article["title"], paragraph["context"][start:end])
                for key, start, end in zip(ids, starts, ends, strict=True)
            ]
            for question in paragraph["qas"]:
                [answer] = question["answers"]
                at = answer["answer_start"]
                sentences = [n for n in range(len(ids)) if at in range(starts[n], ends[n])]
                excess = at + len(answer["text"]) - ends[sentences[0]]
                assert question["id"] not in questions
                questions[question["id"]] = (question["question"], ids[sentences[0]], excess)
    return candidates, questions


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
def test_counts_and_every_gold(name: str, mirror: Path) -> None:
    collection = bh.load(name)
    assert collection.languages == tuple(COUNTS[name])
    golds: dict[str, list[str]] = {}
    queries: dict[str, tuple[str, str, str]] = {}
    passages: list[tuple[str, str, str, str]] = []
    for lang, counts in COUNTS[name].items():
        candidates, questions = derive_golds(mirror / FILES[name] / f"{lang}.json", lang)
        assert (len(questions), len(candidates)) == counts
        passages += [(key, lang, title, text) for key, title, text in candidates]
        for key, (text, gold, _) in questions.items():
            golds.setdefault(key, []).append(gold)
            queries[f"{lang}:q:{key}"] = (lang, text, key)
    assert [tuple(row.values()) for row in collection.passages.to_pylist()] == passages
    assert {
        row["id"]: (row["lang"], row["text"], row["group"])
        for row in collection.queries.to_pylist()
    } == queries
    qrels = collection.view().qrels
    assert set(qrels["relevance"].to_pylist()) == {1}
    passages_of: dict[str, set[str]] = {query: set() for query in queries}
    for query, passage in zip(
        qrels["query_id"].to_pylist(), qrels["passage_id"].to_pylist(), strict=True
    ):
        passages_of[query].add(passage)
    assert passages_of == {query: set(golds[key]) for query, (_, _, key) in queries.items()}
    assert len(qrels) == sum(len(golds[key]) for _, _, key in queries.values())
    assert {lang: len(collection.find_query_rows(lang)) for lang in COUNTS[name]} == {
        lang: questions for lang, (questions, _) in COUNTS[name].items()
    }
    assert (len(collection.queries), len(collection.passages)) == {
        "xquad-r": (13_090, 13_014),
        "mlqa-r": (4_199, 20_534),
    }[name]
    assert all(text.strip() for _, _, _, text in passages)


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
def test_settings_follow_from_the_data(name: str, mirror: Path) -> None:
    assert mirror.is_dir()
    collection = bh.load(name)
    kinds = Counter(setting.kind for setting in collection.list_settings())
    assert (kinds["mono"], kinds["cross"], kinds["multi"]) == SETTINGS[name]
    for setting in collection.list_settings("mono"):
        view = collection.view_setting(setting)
        assert len(view.query_rows) == COUNTS[name][setting.queries][0], setting.name


def test_odd_sentences_and_questions_are_kept(mirror: Path) -> None:
    collection = bh.load("xquad-r")
    overlong, repetitions, golds = 0, {}, {}
    for lang in collection.languages:
        candidates, questions = derive_golds(mirror / FILES["xquad-r"] / f"{lang}.json", lang)
        texts = {key: text for key, _, text in candidates}
        overlong += sum(excess > 0 for _, _, excess in questions.values())
        view = collection.view(lang, lang)
        query_texts = view.queries["text"].to_pylist()
        repetitions[lang] = len(query_texts) - len(set(query_texts))
        assert repetitions[lang] == 1190 - len({text for text, _, _ in questions.values()})
        _, _, qrels = view.to_beir()
        documents = dict(
            zip(view.passages["id"].to_pylist(), view.passages["text"].to_pylist(), strict=True)
        )
        assert documents == texts
        golds[lang] = len({documents[gold] for answers in qrels.values() for gold in answers})
    assert overlong == 112
    assert min(repetitions.values()) >= 3
    assert max(repetitions.values()) <= 9
    assert (golds["th"], golds["de"]) == (603, 818)
    assert (min(golds.values()), max(golds.values())) == (603, 818)
    short = [text for text in collection.passages["text"].to_pylist() if len(text) == 1]
    assert short
    assert all(not text.isspace() for text in short)


def test_sentences_with_context(mirror: Path) -> None:
    plain = bh.load("xquad-r", languages="en")
    with_context = bh.load("xquad-r", languages=["eng"], passage_text="sentence+context")
    assert (plain.options, with_context.options) == (
        {"passage_text": "sentence"},
        {"passage_text": "sentence+context"},
    )
    file = json.loads((mirror / FILES["xquad-r"] / "en.json").read_text("utf-8"))
    paragraphs = [paragraph for article in file["data"] for paragraph in article["paragraphs"]]
    contexts = [
        paragraph["context"] for paragraph in paragraphs for _ in paragraph["sentence_breaks"]
    ]
    assert with_context.passages["text"].to_pylist() == [
        f"{text} {context}"
        for text, context in zip(plain.passages["text"].to_pylist(), contexts, strict=True)
    ]
    assert with_context.passages["id"] == plain.passages["id"]
    assert with_context.judgements == plain.judgements


def test_a_subset_of_languages(mirror: Path) -> None:
    part = bh.load("mlqa-r", languages=["vi", "deu", "vi"])
    assert part.languages == ("de", "vi")
    assert [origin.file.rsplit("/", 1)[1] for origin in part.provenance] == ["de.json", "vi.json"]
    assert bh.load("mlqa-r", languages=["deu", "vie"]).provenance == part.provenance
    assert [origin.revision for origin in part.provenance] == [FILES["mlqa-r"].split("/")[3]] * 2
    view = bh.load("mlqa-r").view("de", "vi")
    assert part.view("de", "vi").to_beir() == view.to_beir()
    _, german = derive_golds(mirror / FILES["mlqa-r"] / "de.json", "de")
    _, vietnamese = derive_golds(mirror / FILES["mlqa-r"] / "vi.json", "vi")
    shared_keys = [key for key in german if key in vietnamese]
    assert view.to_beir()[2] == {f"de:q:{key}": {vietnamese[key][1]: 1} for key in shared_keys}
    assert part.title_policy == "text"
    assert {row["title"] for row in view.passages.to_pylist()} == {""}


def test_licence_and_citation_are_shown_once_for_every_cache(
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert mirror.is_dir()

    def list_notices(name: str, *languages: str) -> list[str]:
        caplog.clear()
        bh.load(name, languages)
        return [message.partition(".")[0] for message in caplog.messages]

    notice = "mlqa-r is licensed CC BY-NC 4"
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "one"))
    assert list_notices("mlqa-r", "de", "vi") == [notice]
    assert "Please cite: Roy, Constant, Al-Rfou" in caplog.text
    assert list_notices("mlqa-r", "de") == list_notices("mlqa-r", "vi", "de") == []
    assert list_notices("xquad-r", "de") == ["xquad-r is licensed CC BY-SA 4"]
    # Both orders of the languages are one collection.
    collections = (tmp_path / "one" / "collections").iterdir()
    assert len([path for path in collections if path.is_dir()]) == 3
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "two"))
    assert list_notices("mlqa-r", "de") == [notice]


def test_unknown_languages_and_options_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"^no language of mlqa-r is 'ell'; there are "):
        bh.load("mlqa-r", languages="ell")
    with pytest.raises(UnknownName, match=r"^no language of xquad-r is 'jp'; there are "):
        bh.load("xquad-r", languages=["en", "jp"])
    with pytest.raises(BadOption, match=r"^no language of xquad-r is named; "):
        bh.load("xquad-r", languages=[])
    with pytest.raises(UnknownName, match=r"'pasage_text'; did you mean 'passage_text'\?$"):
        bh.load("xquad-r", pasage_text="sentence")
    with pytest.raises(BadOption, match=r"^passage_text is 'all'; use one of "):
        bh.load("xquad-r", passage_text="all")


def squad(lang: str) -> dict[str, Any]:
    """Return two paragraphs of a made-up file; the breaks leave some text uncovered."""
    # "A bc. De f." has its sentences at 0-5 and 6-11.
    question = {
        "id": "1",
        "question": f"{lang} one?",
        "answers": [{"answer_start": 8, "text": "f"}],
    }
    long = {
        "id": "2",
        "question": f"{lang} two?",
        "answers": [{"answer_start": 0, "text": "A bc. De"}],
    }
    last = {"id": "3", "question": f"{lang} one?", "answers": [{"answer_start": 5, "text": "!"}]}
    first = {
        "context": "A bc. De f.",
        "sentence_breaks": [[0, 5], [6, 11]],
        "qas": [question, long],
    }
    second = {"context": "Also ! odd", "sentence_breaks": [[0, 4], [5, 6]], "qas": [last]}
    return {"data": [{"title": f"T {lang}", "paragraphs": [first, second]}]}


def convert_files(
    folder: Path, files: dict[str, Any], passage_text: PassageText = "sentence"
) -> CollectionWriter:
    paths = {lang: folder / f"{lang}.json" for lang in files}
    for lang, path in paths.items():
        text = files[lang]
        path.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
    writer = CollectionWriter(folder, "mini")
    try:
        convert(paths, writer, passage_text)
    except BadData:
        writer.abandon()
        raise
    return writer


def test_rules_by_hand(tmp_path: Path) -> None:
    convert_files(tmp_path, {"en": squad("en"), "de": squad("de")}).finish()
    mini = open_collection(tmp_path)
    assert mini.view("en", "de").to_beir() == (
        {
            "de:0-0": {"title": "T de", "text": "A bc."},
            "de:0-1": {"title": "T de", "text": "De f."},
            "de:1-0": {"title": "T de", "text": "Also"},
            "de:1-1": {"title": "T de", "text": "!"},
        },
        {"en:q:1": "en one?", "en:q:2": "en two?", "en:q:3": "en one?"},
        {"en:q:1": {"de:0-1": 1}, "en:q:2": {"de:0-0": 1}, "en:q:3": {"de:1-1": 1}},
    )
    assert mini.view("de").to_beir()[2]["de:q:1"] == {"de:0-1": 1, "en:0-1": 1}


def test_context_by_hand(tmp_path: Path) -> None:
    convert_files(tmp_path, {"en": squad("en")}, "sentence+context").finish()
    assert open_collection(tmp_path).passages["text"].to_pylist() == [
        "A bc. A bc. De f.",
        "De f. A bc. De f.",
        "Also Also ! odd",
        "! Also ! odd",
    ]


Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, q: q.update(answers=[]), "question '1' has 0 answers, not one"),
        (
            lambda _, q: q.update(answers=q["answers"] * 2),
            "question '1' has 2 answers, not one",
        ),
        (
            lambda _, q: q["answers"][0].update(answer_start=5),
            "the answer to '1', at 5, is outside every sentence",
        ),
        (
            lambda _, q: q["answers"][0].update(answer_start=-1),
            "the answer to '1', at -1, is outside every sentence",
        ),
        (
            lambda p, _: p.update(sentence_breaks=[[0, 5], [5, 6], [6, 11]]),
            "there is no text from 5 to 6",
        ),
    ],
)
def test_broken_questions_are_named(change: Change, message: str, tmp_path: Path) -> None:
    file = squad("en")
    paragraph = file["data"][0]["paragraphs"][0]
    change(paragraph, paragraph["qas"][0])
    with pytest.raises(BadData) as error:
        convert_files(tmp_path, {"en": file})
    assert str(error.value) == f"{tmp_path / 'en.json'}, paragraph 0: {message}"


@pytest.mark.parametrize(
    "change",
    [
        lambda p, _: p.pop("context"),
        lambda p, _: p.update(context=3),
        lambda p, _: p.update(sentence_breaks=[[0]]),
        lambda p, _: p.update(sentence_breaks=[[0, 1.5]]),
        lambda p, _: p.update(qas=None),
        lambda _, q: q.pop("id"),
        lambda _, q: q.update(id=7),
        lambda _, q: q.pop("question"),
        lambda _, q: q.pop("answers"),
        lambda _, q: q["answers"][0].update(answer_start="8"),
    ],
)
def test_wrong_schema_is_named_with_its_paragraph(change: Change, tmp_path: Path) -> None:
    file = squad("en")
    paragraph = file["data"][0]["paragraphs"][1]
    change(paragraph, paragraph["qas"][0])
    with pytest.raises(BadData) as error:
        convert_files(tmp_path, {"en": file})
    place = f"{tmp_path / 'en.json'}, paragraph 1"
    assert str(error.value).startswith(f"{place} is not SQuAD-shaped JSON: ")


@pytest.mark.parametrize("text", ['{"data": [', "", "[]", '{"version": 1}', '{"data": [{}]}', "\0"])
def test_a_file_that_is_no_squad_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadData) as error:
        convert_files(tmp_path, {"en": text})
    assert str(error.value).startswith(f"{tmp_path / 'en.json'} is not SQuAD-shaped JSON: ")


def test_one_question_twice_in_one_language_is_named(tmp_path: Path) -> None:
    file = squad("en")
    file["data"][0]["paragraphs"][1]["qas"][0]["id"] = "2"
    with pytest.raises(BadData) as error:
        convert_files(tmp_path, {"en": file, "de": squad("de")}).finish()
    assert str(error.value) == "mini: 1 query ids occur more than once, first 'en:q:2'"
