"""Collections from JSON lines: the format, damaged files, and messages about bad lines."""

import gzip
import json
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid import read_jsonl
from beir_hybrid.collection import Origin
from beir_hybrid.errors import BadData, UnknownName
from tests.hash_encoder import HashEncoder

ROWS: list[dict[str, Any]] = [
    {"query": "q1", "text": {"en": "Where?", "deu": "Wo?"}, "relevant": ["p1"]},
    {"passage": "p1", "text": {"en": "Here.", "de": "Hier.", "th": "ที่นี่"}, "title": {"en": "Place"}},
    {"passage": "p2", "text": {"de": "Dort."}},
    {"query": "q2", "text": {"zho-CN": "谁?"}, "relevant": {"p2": 3, "p1": 0}},
]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


def test_a_passage_is_relevant_in_every_language(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "mine.jsonl", ROWS)
    collection = read_jsonl(path, licence="CC0")
    assert (collection.name, collection.licence, collection.languages) == (
        "mine",
        "CC0",
        ("de", "en", "th", "zh"),
    )
    assert collection.provenance == (Origin(str(path), sha256(path.read_bytes()).hexdigest()),)
    assert collection.queries["group"].to_pylist() == ["q1", "q1", "q2"]
    assert collection.view().to_beir() == (
        {
            "de:p1": {"title": "", "text": "Hier."},
            "de:p2": {"title": "", "text": "Dort."},
            "en:p1": {"title": "Place", "text": "Here."},
            "th:p1": {"title": "", "text": "ที่นี่"},
        },
        {"de:q:q1": "Wo?", "en:q:q1": "Where?", "zh:q:q2": "谁?"},
        {
            "de:q:q1": {"de:p1": 1, "en:p1": 1, "th:p1": 1},
            "en:q:q1": {"de:p1": 1, "en:p1": 1, "th:p1": 1},
            "zh:q:q2": {"de:p1": 0, "de:p2": 3, "en:p1": 0, "th:p1": 0},
        },
    )
    # q2's only relevant passage is German.
    assert [view.name for view in collection.list_settings()] == [
        *["de-de", "en-en"],
        *["de-en", "de-th", "en-de", "en-th", "zh-de"],
        *["de-all", "en-all", "zh-all"],
    ]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 2, 0, 3), (0, 3, 2, 1)])
def test_lines_come_in_any_order_plain_or_gzipped(tmp_path: Path, order: tuple[int, ...]) -> None:
    expected = read_jsonl(write_rows(tmp_path / "a.jsonl", ROWS)).view().to_beir()
    plain = write_rows(tmp_path / "b.jsonl", [ROWS[number] for number in order])
    gzipped = tmp_path / "c.jsonl.gz"
    gzipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_jsonl(plain).view().to_beir() == expected
    assert read_jsonl(gzipped).view().to_beir() == expected
    assert (read_jsonl(gzipped).name, read_jsonl(gzipped, name="other").name) == ("c", "other")


def test_blank_lines_and_a_byte_order_mark_are_ignored(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "mine.jsonl", ROWS)
    text = "\r\n\n".join(path.read_text("utf-8").splitlines())
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n \n")
    assert read_jsonl(path).queries["id"].to_pylist() == ["de:q:q1", "en:q:q1", "zh:q:q2"]


QUERY = '{"query": "q", "text": {"en": "Who?"}, "relevant": ["p"]}'
PASSAGE = '{"passage": "p", "text": {"en": "She."}}'
RELEVANT = "'relevant' must list passages, or map them to whole numbers"
TEXTS = "'text' must map languages to texts"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "holds list, not an object"),
        ('{"text": {"en": "?"}}', "there must be either a 'query' or a 'passage'"),
        (
            '{"query": "q", "passage": "p", "relevant": []}',
            "there must be either a 'query' or a 'passage'",
        ),
        ('{"passage": 7, "text": {"en": "?"}}', "'passage' is 7, not text"),
        ('{"passage": null, "text": {"en": "?"}}', "'passage' is missing"),
        ('{"passage": "x", "text": "She."}', TEXTS),
        ('{"passage": "x", "text": {"en": 1}}', TEXTS),
        ('{"passage": "x", "text": {"en": null}}', "'text' is empty"),
        ('{"passage": "x"}', TEXTS),
        ('{"passage": "x", "text": {}}', "'text' is empty"),
        (
            '{"passage": "x", "text": {"en": "?"}, "title": "T"}',
            "'title' must map languages to texts",
        ),
        (
            '{"passage": "x", "text": {"en": "?"}, "title": {"de": "T"}}',
            "'title' has 'de', which 'text' lacks",
        ),
        ('{"query": "x", "text": {"en": "?"}}', RELEVANT),
        ('{"query": "x", "text": {"en": "?"}, "relevant": "p"}', RELEVANT),
        ('{"query": "x", "text": {"en": "?"}, "relevant": [1]}', RELEVANT),
        ('{"query": "x", "text": {"en": "?"}, "relevant": {"p": 0.5}}', RELEVANT),
        ('{"query": "x", "text": {"en": "?"}, "relevant": {"p": true}}', RELEVANT),
        (
            '{"query": "x", "text": {"en": "?"}, "relevant": ["p", "p"]}',
            "'relevant' names a passage twice",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{QUERY}\n{PASSAGE}\n{line}\n", "utf-8")
    with pytest.raises(BadData) as error:
        read_jsonl(path)
    assert str(error.value).replace(" line 3:", " line 3") == f"{path} line 3 {message}"
    assert list((tmp_path / "cache" / "collections").glob("mine*")) == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"passage": "x", "text": {"en": "cut o',
        b'{"passage": "x", "text": {"en": "\xff\xfe"}}',
        b'{"passage": "x", "text": {"en": "\xed\xa0\x80"}}',
        b'{"passage": "x", "text": {"en": "\\uD83D"}}',
        b"[" * 100_000,
    ],
    ids=["truncated", "no UTF-8", "half a character", "half a character escaped", "too deep"],
)
def test_a_line_that_is_no_json_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(f"{QUERY}\n{PASSAGE}\n".encode() + line)
    with pytest.raises(BadData) as error:
        read_jsonl(path)
    assert str(error.value).startswith(f"{path} line 3 is not JSON: ")


def test_both_halves_of_an_escaped_character_are_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    passage = PASSAGE.replace("She", "\\ud83d\\ude00")
    path.write_text(f"{QUERY}\n{passage}", "utf-8")
    assert read_jsonl(path).passages["text"].to_pylist() == ["😀."]


def test_broken_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl.gz"
    content = gzip.compress(f"{QUERY}\n{PASSAGE}\n".encode())
    for broken in (
        content[:-1],
        content[: len(content) // 2],
        content[:-8] + bytes(8),
        b"",
        b"text",
    ):
        path.write_bytes(broken)
        with pytest.raises(BadData) as error:
            read_jsonl(path)
        message = str(error.value)
        assert message.startswith(f"{path} is truncated or no gzip file, after line "), broken


def test_a_passage_may_stand_on_a_line_for_each_language(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"passage": "p", "text": {"en": "She."}},
        {"query": "q", "text": {"en": "Who?"}, "relevant": {"p": 2}},
        {"passage": "p", "text": {"de": "Sie."}},
    ]
    collection = read_jsonl(write_rows(tmp_path / "mine.jsonl", rows))
    assert collection.view().to_beir()[2] == {"en:q:q": {"de:p": 2, "en:p": 2}}


def test_one_file_under_two_spellings_is_built_once(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rows(tmp_path / "mine.jsonl", ROWS)
    monkeypatch.chdir(tmp_path)
    assert read_jsonl("mine.jsonl").provenance == read_jsonl(path).provenance
    assert len(list((own_cache / "collections").glob("mine-*[0-9a-f]"))) == 1


def test_a_damaged_collection_is_reported_once(
    tmp_path: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_rows(tmp_path / "mine.jsonl", ROWS)
    read_jsonl(path)
    (folder,) = (own_cache / "collections").glob("mine-*[0-9a-f]")
    (folder / "passages-de.arrow").unlink()
    with caplog.at_level("WARNING"):
        read_jsonl(path)
    damage = f"there is no file {folder}/passages-de.arrow; the collection has to be built anew"
    assert caplog.messages == [f"building {folder} anew: {damage}"]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Every passage is judged, and a batch of 16,384 rows is what is held at a time."""
    peaks = []
    for batches in (1, 3):
        path = tmp_path / f"{batches}.jsonl"
        with path.open("w") as file:
            for number in range(batches << 14):
                key = f"passage-{number:09}"
                file.write(f'{{"passage": "{key}", "text": {{"en": "She."}}}}\n')
                text = f'"text": {{"en": "Who?"}}, "relevant": ["{key}"]'
                file.write(f'{{"query": "{number}", {text}}}\n')
        tracemalloc.start()
        collection = read_jsonl(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        last = (batches << 14) - 1
        assert collection.passages["id"][-1].as_py() == f"en:passage-{last:09}"
        assert collection.judgements["passage"][-1].as_py() == last
    assert peaks[1] < 1.3 * peaks[0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData) as error:
        read_jsonl(tmp_path / "none.jsonl")
    assert str(error.value) == f"there is no file {tmp_path / 'none.jsonl'}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"query": "r", "text": {"en": "?"}, "relevant": ["en:p", "z", "z2"]}',
            "3 passages that judgements name and the collection lacks, first 'en:p'",
        ),
        (
            '{"query": "r", "text": {"en": "?"}, "relevant": []}',
            "1 queries without a relevant passage, first 'en:q:r'",
        ),
        (
            '{"query": "r", "text": {"qq": "?"}, "relevant": ["p"]}',
            "1 queries with unknown language 'qq', first 'r'",
        ),
        (
            '{"passage": "r", "text": {"en": "a", "eng": "b"}}',
            "1 passage ids occur more than once, first 'en:r'",
        ),
        ('{"passage": "r", "text": {"en": " "}}', "1 passages without text, first 'en:r'"),
        (
            '{"passage": "r s", "text": {"en": "a"}}',
            "1 passage ids with white space, first 'en:r s'",
        ),
    ],
)
def test_inconsistent_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{QUERY}\n{PASSAGE}\n{line}\n", "utf-8")
    with pytest.raises(BadData) as error:
        read_jsonl(path)
    assert str(error.value) == f"mine: {message} in {path} line 3"


def test_an_id_that_is_there_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{QUERY}\n{PASSAGE}\n\n{PASSAGE}\n", "utf-8")
    with pytest.raises(BadData, match=r"first '..:p' in .*mine\.jsonl lines 2 and 4$"):
        read_jsonl(path)


TAIWAN = (
    '{"passage": "p", "text": {"zh": "是", "zh-TW": "是的", "sr-Latn": "Da", "sr-Cyrl": "Да"}}\n'
    '{"query": "q", "text": {"zho_Hant_TW": "嗎", "sr": "Li?"}, "relevant": ["p"]}\n'
)


def test_codes_that_fall_together_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(TAIWAN, "utf-8")
    with pytest.raises(BadData) as error:
        read_jsonl(path)
    assert str(error.value) == (
        f"mine: 2 passage ids occur more than once, first 'sr:p' in {path} line 1; "
        "'sr' stands for 'sr' and 'sr-Cyrl' and 'sr-Latn', "
        "'zh' stands for 'zh' and 'zh-Hant-TW' and 'zh-TW': variants=True keeps them apart"
    )


def test_scripts_and_regions_are_kept_apart_on_request(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(TAIWAN, "utf-8")
    collection = bh.load("jsonl", path=str(path), variants="yes")
    assert collection.languages == (
        *("sr", "sr-Cyrl", "sr-Latn"),
        *("zh", "zh-Hant-TW", "zh-TW"),
    )
    assert collection.view("zh-hant-tw", "zh_TW").to_beir()[2] == {"zh-Hant-TW:q:q": {"zh-TW:p": 1}}
    assert collection.view("srp-Latn").to_beir()[1] == {}
    results = bh.evaluate(HashEncoder(), collection, measures=["AP", bh.RankDistance])
    assert [setting.name for setting in results.settings if setting.kind == "mono"] == []
    assert len(results.means(bh.RankDistance)) == 2


def test_codes_that_fall_together_without_harm_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"passage": "p", "text": {"zh-CN": "是"}}\n'
        '{"query": "q", "text": {"zh": "吗"}, "relevant": ["p"]}\n',
        "utf-8",
    )
    assert read_jsonl(path).languages == ("zh",)
    assert caplog.messages == [
        "mine: 'zh' stands for 'zh' and 'zh-CN': variants=True keeps them apart"
    ]


def test_topics_in_more_languages_than_their_speeches(tmp_path: Path) -> None:
    """As in Multi-EuP: a topic in many languages, speeches with a title in one language each."""
    speeches = [("s0", "mt"), ("s1", "fi"), ("s2", "pl")]
    rows: list[dict[str, Any]] = [
        {"passage": key, "title": {lang: f"T {key}"}, "text": {lang: f"Speech {key}"}}
        for key, lang in speeches
    ]
    topic = {lang: f"Topic in {lang}" for lang in ("mt", "fi", "pl", "ga")}
    rows.append({"query": "t1", "text": topic, "relevant": ["s0", "s2"]})
    collection = read_jsonl(write_rows(tmp_path / "speeches.jsonl", rows))
    pools = ["fi-all", "ga-all", "mt-all", "pl-all"]
    assert [setting.name for setting in collection.list_settings("multi")] == pools
    assert collection.view("ga").to_beir()[2] == {"ga:q:t1": {"mt:s0": 1, "pl:s2": 1}}


def test_training_groups_share_passages_and_questions(tmp_path: Path) -> None:
    """A text that is equal in one language is the same, so that no gold counts as irrelevant."""
    rows: list[dict[str, Any]] = [
        {"id": "a", "query": {"en": "Who?"}, "positive": {"en": "She."}},
        {"id": "b", "query": {"en": "Who?", "de": "Wer?"}, "positive": {"en": "He."}},
        {"id": "c", "query": {"en": "Where?"}, "positive": {"en": "She.", "de": "Sie."}},
        {
            "id": "d",
            "query": {"en": "When?"},
            "positive": {"en": "She.", "de": "Jene."},
        },
        {"id": "e", "query": {"en": "What?"}, "positive": {"fr": "Lui."}},
    ]
    corpus, _, qrels = read_jsonl(write_rows(tmp_path / "faq.jsonl", rows)).view().to_beir()
    # c is a, in another language too; d has another translation, and is a twin of a.
    texts = {key: row["text"] for key, row in corpus.items()}
    assert texts == {
        "en:a": "She.", "de:a": "Sie.", "en:b": "He.", "en:d": "She.", "de:d": "Jene.",
        "fr:e": "Lui.",
    }  # fmt: skip
    she = {"en:a": 1, "de:a": 1, "en:d": 1, "de:d": 1}
    assert qrels == {
        "en:q:a": she | {"en:b": 1},
        "en:q:b": she | {"en:b": 1},
        "de:q:b": she | {"en:b": 1},
        "en:q:c": she,
        "en:q:d": she,
        "en:q:e": {"fr:e": 1},
    }


def test_an_id_of_two_training_groups_is_refused(tmp_path: Path) -> None:
    group = {"id": "a", "query": {"en": "Who?"}, "positive": {"en": "She."}}
    path = write_rows(tmp_path / "twice.jsonl", [group, group | {"positive": {"en": "He."}}])
    with pytest.raises(BadData, match="'en:a'"):
        read_jsonl(path)


def test_training_groups_are_a_collection(tmp_path: Path) -> None:
    """Groups with the same passage share it, so that no gold is taken for another passage."""
    rows: list[dict[str, Any]] = [
        {
            "id": "a",
            "query": {"en": "Who?", "deu": "Wer?"},
            "positive": {"en": "She.", "de": "Sie."},
        },
        {"query": {"en": "Which?"}, "positive": {"de": "Sie.", "en": "She."}, "negative": {}},
        {"query": {"en": "When?"}, "positive": {"en": "Now."}},
    ]
    corpus, queries, qrels = read_jsonl(write_rows(tmp_path / "faq.jsonl", rows)).view().to_beir()
    assert set(corpus) == {"en:a", "de:a", "en:3"}
    assert queries == {
        "de:q:a": "Wer?", "en:q:a": "Who?", "en:q:2": "Which?", "en:q:3": "When?",
    }  # fmt: skip
    golds = {"de:a": 1, "en:a": 1}
    assert qrels == {"de:q:a": golds, "en:q:a": golds, "en:q:2": golds, "en:q:3": {"en:3": 1}}
    with pytest.raises(BadData, match="line 1: 'query' must map languages to texts"):
        read_jsonl(
            write_rows(tmp_path / "bad.jsonl", [{"query": "Who?", "positive": {"en": "I."}}])
        )


def test_a_script_can_be_chosen(tmp_path: Path) -> None:
    text = {"zh-Hans": "边", "zh-Hant": "邊", "en": "side"}
    rows = [{"passage": "p", "text": text}, {"query": "q", "text": text, "relevant": ["p"]}]
    path = write_rows(tmp_path / "scripts.jsonl", rows)
    for tags, codes in ((["zh-Hant"], ("zh-Hant",)), (["zho_Hans", "en-US"], ("en", "zh-Hans"))):
        collection = bh.load("jsonl", languages=tags, path=path, variants=True)
        assert collection.languages == codes
    del text["zh-Hans"]
    path = write_rows(tmp_path / "hant.jsonl", rows)
    with pytest.raises(UnknownName, match="no language of hant is 'zh-Hans'"):
        bh.load("jsonl", languages=["zh-Hans"], path=path, variants=True)
    assert bh.load("jsonl", languages=["zh-Hans"], path=path).languages == ("zh",)
