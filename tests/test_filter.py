"""Filtering of training groups: each rule by hand, contamination by brute force, and reruns."""

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beir_hybrid as bh
from beir_hybrid.curation.contamination import TestTexts, find_contamination
from beir_hybrid.curation.numbers import list_numbers
from beir_hybrid.curation.unit_hashes import UnitHashes
from beir_hybrid.errors import BadData, BadOption
from tests.group_files import read_rows, read_step, write_rows
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture

LONG = "the quick brown fox jumps over the lazy dog near the old river bank at noon"


def group(key: str, query: str, german: str, **extras: Any) -> dict[str, Any]:
    """Return a group with a passage of its own in both languages."""
    passages = {"en": f"Passage {key} in English.", "de": f"Absatz {key} auf Deutsch."}
    return {"id": key, "query": {"en": query, "de": german}, "positive": passages, **extras}


def test_each_rule_leaves_out_its_texts(tmp_path: Path) -> None:
    good = [
        group("good", "Who wrote the first letter?", "Wer schrieb den ersten Brief?"),
        group("marks", "In 1,250.75 or 1990?", "1990 oder in 1.250,75?"),
        group("names", "IBM in the year 2001", "IBM im Jahre ٢٠٠١", note="stays"),
        group("also", "How are the others doing?", "Wie geht es den anderen?"),
    ]
    bad = [
        group("empty", "Where is it?", " \n"),
        group("copied", "Who  are you?", "Who are you?"),
        group("long", "Who is the one that came?", "Wer " * 50),
        group("numbers", "Since 1990?", "Seit 1909?"),
    ]
    odd = [
        {"id": "single", "query": {"en": "Alone?"}, "positive": {"en": "Yes, alone."}},
        {"id": "foreign", "query": {"fr": "Où?"}, "positive": {"fr": "Ici."}},
        {"id": "blank", "query": {"en": "Nothing?"}, "positive": {"en": "", "de": " "}},
        {**good[0], "id": "twin", "query": {"en": "who wrote: the FIRST létter"}},
    ]
    path = write_rows(tmp_path / "pairs.jsonl", [*good, *bad, *odd])
    record = bh.filter_pairs(path, tmp_path / "clean.jsonl")
    kept = [{**row, "query": {"en": row["query"]["en"]}} for row in bad]
    assert read_rows(tmp_path / "clean.jsonl") == [*good, *kept, *odd[:2]]
    ratios = record.counts.pop("length ratios")
    assert record.counts == {
        "groups": 12,
        "kept": 10,
        "dropped": {"duplicate": 1, "incomplete": 1},
        "texts": {
            "copied": {"de": 1},
            "empty": {"de": 2, "en": 1},
            "length": {"de": 1},
            "numbers": {"de": 1},
        },
        "without source": 1,
    }
    assert ratios["positive en-de"] == 1.0  # "Absatz good auf Deutsch.", "Passage good in English."
    dropped = read_rows(tmp_path / "clean.dropped.jsonl")
    assert [(row["id"], row["reason"]) for row in dropped] == [
        ("empty", "empty"),
        ("copied", "copied"),
        ("long", "length"),
        ("numbers", "numbers"),
        ("blank", "empty"),
        ("blank", "empty"),
        ("blank", "incomplete"),
        ("twin", "duplicate"),
    ]
    assert dropped[3] == {
        "id": "numbers", "reason": "numbers", "part": "query", "language": "de",
        "text": "Seit 1909?",
    }  # fmt: skip
    assert dropped[-1]["group"] == odd[3]
    assert len(bh.read_pairs(tmp_path / "clean.jsonl")) == 10


def test_length_is_judged_beside_the_usual_ratio_of_the_languages(tmp_path: Path) -> None:
    """Chinese is a fifth as long as English here; what is as long as English is not usual."""
    rows = [
        {"query": {"en": "word!" * 10, "zh": "字" * length}, "positive": {"en": f"Passage {n}."}}
        for n, length in enumerate([10] * 9 + [50])
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    record = bh.filter_pairs(path, tmp_path / "clean.jsonl")
    assert record.counts["texts"] == {"length": {"zh": 1}}
    assert record.counts["length ratios"] == {"query en-zh": 0.2}
    assert "zh" not in read_rows(tmp_path / "clean.jsonl")[-1]["query"]
    any_length = bh.filter_pairs(path, tmp_path / "all.jsonl", length_ratio=0)
    assert any_length.counts["texts"] == {}


def test_lengths_are_judged_wherever_in_a_file_a_language_begins(tmp_path: Path) -> None:
    """Ten thousand groups tell what is usual; these have no Chinese."""
    rows = [
        {"query": {"en": "word!" * 10, lang: sign * 10}, "positive": {"en": f"Passage {n}."}}
        for n, (lang, sign) in enumerate([("de", "Wort!")] * 10_001 + [("zh", "字")] * 9)
    ]
    rows[-1]["query"]["zh"] = "字" * 50
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    record = bh.filter_pairs(path, tmp_path / "clean.jsonl")
    assert record.counts["texts"] == {"length": {"zh": 1}}
    assert record.counts["length ratios"] == {"query en-de": 1.0, "query en-zh": 0.2}


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("3 of 40", "40 von drei", True),  # single digits are words elsewhere
        ("10.000", "10,000", True),
        ("10 000 km", "10\u202f000 km", True),
        ("10 12", "1012", False),
        ("In 2008 150 people died.", "2008 starben 150 Menschen.", True),
        ("2008 150", "2008150", False),
        ("1234.567 km", "1,234.567 km", True),
        ("12345,678", "12.345,678", True),
        ("1,234,567 of 12 345", "12,34,567 में से 12,345", True),  # lakh
        ("10,20,300", "1020300", True),
        ("1,23", "123", False),
        ("on 12/05", "am 05.12.", True),
        ("12 and 12", "12", False),
        ("007", "7", True),
        ("१२३", "123", True),
    ],
)
def test_numbers(first: str, second: str, is_same: bool) -> None:
    assert (list_numbers(first) == list_numbers(second)) == is_same


def find_by_brute_force(text: str, tests: Sequence[str], n: int) -> bool:
    """Return whether an ASCII text equals a test or shares n words in a row with it."""

    def split(content: str) -> list[str]:
        return re.findall(r"[a-z0-9]+", content.lower())

    def list_ngrams(content: str) -> set[tuple[str, ...]]:
        words = split(content)
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    is_equal = any(split(text) == split(test) and len(split(test)) >= 3 for test in tests)
    return is_equal or any(list_ngrams(text) & list_ngrams(test) for test in tests)


def test_contamination_is_that_of_brute_force() -> None:
    rng = random.Random(5)  # noqa: S311 - no secret

    def draw_text() -> str:
        words = [rng.choice("AbCd") for _ in range(rng.randint(0, 9))]
        return "".join(word + rng.choice([" ", ", ", " - ", "\t"]) for word in words)

    test_texts = [draw_text() for _ in range(20)]
    corpus = {f"en:{i}": {"text": text or "x"} for i, text in enumerate(test_texts)}
    collection = bh.from_beir(corpus, {"en:q:1": "q"}, {"en:q:1": {"en:0": 1}})
    test = TestTexts.from_collection(collection, 4)
    texts = [draw_text() for _ in range(500)]
    expected = [find_by_brute_force(text, [*test_texts, "q"], 4) for text in texts]
    assert 50 < sum(expected) < 450
    assert [bool(name) for name in find_contamination(texts, [test])] == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Été à PARIS", "ete a paris"),
        ("E\u0301te\u0301", "Été"),
        ("\uff21\uff22\uff23\uff11\uff12", "abc12"),
        ("١٢٣ 🙂", "123"),
        ("東京・大学", "東京大学"),
    ],
)
def test_words_that_differ_in_shape_alone_are_equal(first: str, second: str) -> None:
    hashes = UnitHashes.from_texts([first, second, f"{second} x"]).hash_sequences()
    assert hashes[0] == hashes[1] != hashes[2]


def test_letters_of_scripts_without_spaces_are_words() -> None:
    counts = UnitHashes.from_texts(["東京大学", "ที่นี่", "नमस्ते दुनिया", "", "東x京", "𠀀𠀁"]).counts
    assert counts.tolist() == [4, 2, 2, 0, 3, 2]


def split_by_hand(text: str) -> list[str]:
    """Split a text into words as the hashes do, by Python's own tables."""
    words: list[str] = []
    joins, was_letter = False, False  # whether a letter joins the word before
    for sign in text:
        kind = unicodedata.category(sign)
        if 0x300 <= ord(sign) < 0x370 and kind[0] in "LMN":
            continue
        if kind[0] not in "LMN" or ord(sign) >= 0x30000:
            joins = False
            continue
        decimal = unicodedata.decimal(sign, None)
        base = unicodedata.normalize("NFKD", sign).lower() if kind != "Nd" else f"{decimal}"
        base = "".join(part for part in base if not 0x300 <= ord(part) < 0x370)
        is_letter = kind[0] == "L" and bool(UNSPACED.fullmatch(sign))
        if joins and not is_letter and (kind[0] == "M" or not was_letter):
            words[-1] += base if len(base) == 1 else sign
        else:
            words.append(base if len(base) == 1 else sign)
            was_letter = is_letter
        joins = True
    return words


UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0002ffff]"
)
SIGNS = "aÁàßİ e\u0301\u0345ก ีค่東。京カポनमस्ते\u06612²Ⅷ½-_'\t🙂한글Ωй\U00020000\U000e0100"


def test_words_are_those_of_a_plain_split() -> None:
    rng = random.Random(8)  # noqa: S311 - no secret
    texts = ["".join(rng.choices(SIGNS, k=rng.randint(0, 12))) for _ in range(3000)]
    hashes = UnitHashes.from_texts(texts)
    words = [split_by_hand(text) for text in texts]
    assert hashes.counts.tolist() == [len(entry) for entry in words]
    by_word: dict[str, set[int]] = {}
    flat = [word for entry in words for word in entry]
    for word, unit in zip(flat, hashes.units.tolist(), strict=True):
        by_word.setdefault(word, set()).add(unit)
    assert all(len(units) == 1 for units in by_word.values())
    assert len(set().union(*by_word.values())) == len(by_word) > 500


def test_groups_with_texts_of_a_test_are_left_out(tmp_path: Path) -> None:
    corpus = {"en:1": {"text": LONG}, "de:1": {"text": "Ja."}}
    test = bh.from_beir(
        corpus, {"en:q:1": "Who jumps over it?"}, {"en:q:1": {"en:1": 1}}, name="foxes"
    )
    words = LONG.upper().split()
    groups = {
        "question": ("¿Who jumps over it?!", "Nothing here."),
        "thirteen": ("One?", " ".join(["And", *words[2:15], "too"])),
        "twelve": ("Two?", " ".join(["And", *words[2:14], "too"])),
        "short": ("Three?", "Ja."),
    }
    rows = [
        {"id": key, "query": {"de": query}, "positive": {"de": passage}}
        for key, (query, passage) in groups.items()
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    record = bh.filter_pairs(path, tmp_path / "clean.jsonl", tests=[test])
    assert record.counts["dropped"] == {"contamination": 2}
    assert [row["id"] for row in read_rows(tmp_path / "clean.jsonl")] == ["twelve", "short"]
    dropped = read_rows(tmp_path / "clean.dropped.jsonl")
    assert [(row["id"], row["test"]) for row in dropped] == [
        ("question", "foxes"),
        ("thirteen", "foxes"),
    ]


class AngleEncoder:
    """Encodes a text that ends in a number as a unit vector of that angle, in degrees."""

    fingerprint: Mapping[str, Any] = {"kind": "angles"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        angles = np.radians([float(text.split()[-1]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    encode_passages = encode_queries


def test_least_similar_translations_of_each_pair_are_left_out(tmp_path: Path) -> None:
    """The quantile .2 of ten cosines is the second lowest, of four the lowest, and is kept."""
    rows = [
        {
            "id": str(n),
            "query": {"en": f"word {n} at 0", "de": f"Wort {n} bei {angle}"}
            | ({"fr": f"mot {n} avec {90 - angle}"} if n < 4 else {}),
            "positive": {"en": f"passage {n} at 0"},
        }
        for n, angle in enumerate([1, 8, 3, 4, 9, 2, 5, 6, 0, 7])
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    record = bh.filter_pairs(
        path, tmp_path / "clean.jsonl", model=AngleEncoder(), quantile=0.2, numbers=False
    )
    assert record.counts["texts"] == {"similarity": {"de": 1}}
    limits = record.counts["least similarities"]
    assert limits["query en-de"] == pytest.approx(np.cos(np.radians(8)), abs=1e-6)
    assert limits["query en-fr"] == pytest.approx(np.cos(np.radians(89)), abs=1e-6)
    (dropped,) = read_rows(tmp_path / "clean.dropped.jsonl")
    assert (dropped["id"], dropped["language"]) == ("4", "de")


def test_texts_in_other_languages_are_left_out(tmp_path: Path) -> None:
    rows = [
        group("1", "Where is the central station?", "Wo ist denn der Hauptbahnhof?"),
        group("2", "When does the library open?", "À quelle heure ouvre la bibliothèque ?"),
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    record = bh.filter_pairs(path, tmp_path / "clean.jsonl", identify=True)
    assert record.counts["texts"] == {"language": {"de": 1}}
    assert read_rows(tmp_path / "clean.jsonl")[1]["query"] == {"en": rows[1]["query"]["en"]}


def test_a_finished_step_is_not_repeated_nor_replaced(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [group("1", "One?", "Eins?")])
    output = tmp_path / "clean.jsonl"
    record = bh.filter_pairs(path, output)
    files, time = read_step(output), output.stat().st_mtime_ns
    assert bh.filter_pairs(path, output) == record
    assert output.stat().st_mtime_ns == time
    with pytest.raises(BadOption, match="made with another ngram; remove it, or name another"):
        bh.filter_pairs(path, output, ngram=8)
    write_rows(path, [group("1", "Other?", "Eins?")])
    with pytest.raises(BadOption, match="made with another source;"):
        bh.filter_pairs(path, output)
    assert read_step(output) == files
    write_rows(path, [group("1", "One?", "Eins?")])
    output.write_text(output.read_text().replace("One", "Two"))
    with pytest.raises(BadData, match=r"clean\.jsonl is damaged: .*; remove it and run again"):
        bh.filter_pairs(path, output)
    write_rows(foreign := tmp_path / "foreign.jsonl", [])
    with pytest.raises(BadOption, match="is there, and no file of this step; name another"):
        bh.filter_pairs(path, foreign)
    with pytest.raises(BadOption, match="is the file to read"):
        bh.filter_pairs(path, path)


class BreakingEncoder(AngleEncoder):
    """Breaks down, as if it were killed."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:  # noqa: ARG002
        raise KeyboardInterrupt

    encode_passages = encode_queries


def test_a_broken_step_leaves_nothing(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [group("1", "at 0", "bei 1")])
    with pytest.raises(KeyboardInterrupt):
        bh.filter_pairs(path, tmp_path / "clean.jsonl", model=BreakingEncoder())
    left = [file.name for file in tmp_path.iterdir() if not file.name.endswith(".lock")]
    assert sorted(left) == ["cache", "pairs.jsonl"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "line 2 holds list, not an object"),
        ("{", "line 2 is not JSON"),
        ('{"querry": {"en": "a"}, "positive": {}}', "line 2 has no 'query'; 'querry' may be meant"),
        ('{"query": {"en": "a"}}', "line 2 has no 'positive'"),
        ('{"query": "a", "positive": {}}', "line 2: 'query' is 'a'; it must map languages"),
        ('{"query": {"en": 1}, "positive": {}}', "line 2: 'query' in 'en' is 1, no text"),
        ('{"query": "q1", "lang": "en", "text": "Who?"}', "line 2 is of a collection"),
        ('{"query": {"en": "", "eng": ""}, "positive": {}}', "line 2: 'query' has 'en' twice"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"query": {"en": "Who?"}, "positive": {"en": "She."}}\n' + line + "\n")
    with pytest.raises(BadData, match=re.escape(f"{path} {message}")):
        bh.filter_pairs(path, tmp_path / "clean.jsonl")


def test_filter_on_the_command_line(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    rows = [
        group("1", "Since 1990?", "Seit 1909?"),
        group("2", "Who is it now?", "Wer ist es jetzt?"),
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    test = tmp_path / "test.jsonl"
    test.write_text(
        '{"passage": "p", "text": {"en": "She."}}\n'
        '{"query": "q", "text": {"de": "wer ist es jetzt"}, "relevant": ["p"]}\n'
    )
    output = tmp_path / "clean.jsonl"
    outcome = run_cli("filter", path, "--output", output, "--test", test, "--from", "eng")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[:4] == ["groups  2", "kept  1", "dropped", "  contamination  1"]
    assert lines[-1] == f"saved in {output}"
    outcome = run_cli("filter", path, "--output", output, "--max-length", "9")
    assert outcome.code == 2
    assert "--max-length is an option of --model" in outcome.err


def test_hard_negatives_and_passages_without_their_title_are_contamination(tmp_path: Path) -> None:
    corpus = {"en:1": {"title": "Berlin", "text": "is the capital of Germany"}}
    test = bh.from_beir(corpus, {"en:q:1": "What is it?"}, {"en:q:1": {"en:1": 1}}, name="cities")
    whole, text = "Berlin is the capital of Germany", "is the capital of Germany"
    rows = [
        {
            "id": "hard",
            "query": {"en": "A?"},
            "positive": {"en": "B."},
            "negative": {"en": [whole]},
        },
        {"id": "text", "query": {"en": "C?"}, "positive": {"en": text}},
        {"id": "other", "query": {"en": "D?"}, "positive": {"en": "is the capital of France"}},
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    bh.filter_pairs(path, tmp_path / "clean.jsonl", tests=[test])
    assert [row["id"] for row in read_rows(tmp_path / "clean.jsonl")] == ["other"]


def test_no_group_is_the_duplicate_of_one_that_is_left_out(tmp_path: Path) -> None:
    """Nor are texts without any letter duplicates of each other."""
    test = bh.from_beir(
        {"de:1": {"text": LONG}}, {"de:q:1": "Wo?"}, {"de:q:1": {"de:1": 1}}, name="foxes"
    )
    rows: list[dict[str, Any]] = [
        {"id": "bad", "query": {"en": "Who?"}, "positive": {"en": "She.", "de": LONG}},
        {"id": "good", "query": {"en": "Who?"}, "positive": {"en": "She."}},
        {"id": "twin", "query": {"en": "who"}, "positive": {"en": "SHE"}},
        {"id": "heart", "query": {"en": "\u2665"}, "positive": {"en": "\U0001f600"}},
        {"id": "phone", "query": {"en": "\u260e"}, "positive": {"en": "\U0001f389"}},
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    record = bh.filter_pairs(path, tmp_path / "clean.jsonl", tests=[test], length_ratio=0)
    assert [row["id"] for row in read_rows(tmp_path / "clean.jsonl")] == ["good", "heart", "phone"]
    assert record.counts["dropped"] == {"contamination": 1, "duplicate": 1}


def test_no_step_replaces_its_source_or_files_of_others(tmp_path: Path) -> None:
    rows = [group("good", "Who wrote the first letter?", "Wer schrieb den ersten Brief?")]
    source = write_rows(tmp_path / "clean.dropped.jsonl", rows)
    with pytest.raises(BadOption, match=r"clean\.dropped\.jsonl is the file to read"):
        bh.filter_pairs(source, tmp_path / "clean.jsonl")
    assert read_rows(source) == rows
    for name in ("notes.dropped.jsonl", "notes.record.json"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(BadOption, match=f"{re.escape(name)} is there, and no"):
            bh.filter_pairs(source, tmp_path / "notes.jsonl")
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    bh.filter_pairs(source, tmp_path / "notes.jsonl")
    (tmp_path / "notes.jsonl").unlink()  # as a kill before the last renaming leaves it
    bh.filter_pairs(source, tmp_path / "notes.jsonl")
    assert read_rows(tmp_path / "notes.jsonl") == rows


def test_values_that_json_lacks_are_named(tmp_path: Path) -> None:
    texts = [{"en": "Who?"}]
    table = pa.table({"query": texts, "positive": texts, "date": [datetime(2026, 1, 2)]})  # noqa: DTZ001
    pq.write_table(table, tmp_path / "dates.parquet")
    with pytest.raises(BadData, match=r"group '0' cannot be a line of JSON: .*datetime"):
        bh.filter_pairs(tmp_path / "dates.parquet", tmp_path / "clean.jsonl")
    row = {**group("1", "Who?", "Wer?"), "negative": {"zh-Hans": ["A"], "zh-Hant": ["B"]}}
    path = write_rows(tmp_path / "pairs.jsonl", [row])
    with pytest.raises(BadData, match="'negative' has 'zh' twice"):
        bh.filter_pairs(path, tmp_path / "other.jsonl")
