"""Layouts of other tools: rows as their documentation has them, and ways there and back."""

from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption, UnknownName
from tests.group_files import read_rows, write_rows
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture

GROUPS: list[dict[str, Any]] = [
    {
        "id": "a",
        "query": {"en": "Who?", "de": "Wer?"},
        "positive": {"en": "She.", "de": "Sie."},
        "negative": {"en": ["It.", "He."], "de": ["Es.", "Er."]},
    },
    {
        "id": "b",
        "query": {"en": "When?"},
        "positive": {"fr": "Hier.", "en": "Now."},
        "negative": {"fr": ["Oui.", "Non."], "en": ["No.", "Yes."]},
    },
    {
        "id": "c",
        "query": {"en": "Where?"},
        "positive": {"fr": "Ici."},
        "negative": {"fr": ["a", "b"]},
    },
]
ROWS: dict[str, list[dict[str, Any]]] = {
    "flag-embedding": [
        {"query": "Who?", "pos": ["She."], "neg": ["It.", "He."]},
        {"query": "Wer?", "pos": ["Sie."], "neg": ["Es.", "Er."]},
        {"query": "When?", "pos": ["Now."], "neg": ["No.", "Yes."]},
    ],
    "tevatron": [
        {
            "query_id": "en:a", "query": "Who?",
            "positive_passages": [{"docid": "en:a+0", "title": "", "text": "She."}],
            "negative_passages": [
                {"docid": "en:a-0", "title": "", "text": "It."},
                {"docid": "en:a-1", "title": "", "text": "He."},
            ],
        },
        {
            "query_id": "de:a", "query": "Wer?",
            "positive_passages": [{"docid": "de:a+0", "title": "", "text": "Sie."}],
            "negative_passages": [
                {"docid": "de:a-0", "title": "", "text": "Es."},
                {"docid": "de:a-1", "title": "", "text": "Er."},
            ],
        },
        {
            "query_id": "en:b", "query": "When?",
            "positive_passages": [{"docid": "en:b+0", "title": "", "text": "Now."}],
            "negative_passages": [
                {"docid": "en:b-0", "title": "", "text": "No."},
                {"docid": "en:b-1", "title": "", "text": "Yes."},
            ],
        },
    ],
    "sentence-transformers": [
        {"anchor": "Who?", "positive": "She.", "negative_1": "It.", "negative_2": "He."},
        {"anchor": "Wer?", "positive": "Sie.", "negative_1": "Es.", "negative_2": "Er."},
        {"anchor": "When?", "positive": "Now.", "negative_1": "No.", "negative_2": "Yes."},
    ],
}  # fmt: skip


@pytest.mark.parametrize("layout", ROWS)
def test_groups_become_rows_and_rows_groups(tmp_path: Path, layout: str) -> None:
    path = write_rows(tmp_path / "groups.jsonl", GROUPS)
    record = bh.export_pairs(path, tmp_path / "rows.jsonl", layout)
    assert read_rows(tmp_path / "rows.jsonl") == ROWS[layout]
    assert record.counts == {"groups": 3, "rows": 3, "dropped": 1}
    assert read_rows(tmp_path / "rows.dropped.jsonl")[0]["id"] == "c"
    english = write_rows(tmp_path / "english.jsonl", ROWS[layout][::2])
    bh.import_pairs(english, tmp_path / "back.jsonl", "eng")
    names = ["en:a", "en:b"] if layout == "tevatron" else ["1", "2"]
    assert read_rows(tmp_path / "back.jsonl") == [
        {
            "id": name,
            "query": {"en": group["query"]["en"]},
            "positive": {"en": group["positive"]["en"]},
            "negative": {"en": group["negative"]["en"]},
        }
        for name, group in zip(names, GROUPS, strict=False)
    ]
    assert len(bh.read_pairs(tmp_path / "back.jsonl", negatives=2)) == 2


def test_pairs_of_languages_are_exported(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "groups.jsonl", GROUPS)
    output = tmp_path / "rows.jsonl"
    bh.export_pairs(path, output, "flag-embedding", crosses_languages=True)
    assert [(row["query"], *row["pos"], *row["neg"]) for row in read_rows(output)] == [
        ("Who?", "She.", "It.", "He."),
        ("Who?", "Sie.", "Es.", "Er."),
        ("Wer?", "She.", "It.", "He."),
        ("Wer?", "Sie.", "Es.", "Er."),
        ("When?", "Hier.", "Oui.", "Non."),
        ("When?", "Now.", "No.", "Yes."),
        ("Where?", "Ici.", "a", "b"),
    ]


def test_rows_of_others_have_titles_and_several_positives(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "query_id": "7", "query": "Who?", "answers": ["x"],
            "positive_passages": [
                {"docid": "1", "title": "People", "text": "She."}, {"docid": "2", "text": "He."},
            ],
            "negative_passages": [],
        },
        {"query_id": "8", "query": "What?", "positive_passages": [], "negative_passages": []},
    ]  # fmt: skip
    path = write_rows(tmp_path / "tevatron.jsonl", rows)
    record = bh.import_pairs(path, tmp_path / "groups.jsonl", "en")
    assert read_rows(tmp_path / "groups.jsonl") == [
        {"id": "7#0", "query": {"en": "Who?"}, "positive": {"en": "People She."}},
        {"id": "7#1", "query": {"en": "Who?"}, "positive": {"en": "He."}},
    ]
    assert record.counts == {"rows": 2, "groups": 2, "dropped": 1}
    row = {
        "query": "q",
        "pos": ["p"],
        "neg": ["n"],
        "pos_scores": [1],
        "neg_scores": [0],
        "type": "x",
    }
    path = write_rows(tmp_path / "flag.jsonl", [row])
    bh.import_pairs(path, tmp_path / "flags.jsonl", "de")
    assert read_rows(tmp_path / "flags.jsonl")[0]["negative"] == {"de": ["n"]}


def test_sentence_transformers_rows_are_columns(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "groups.jsonl", GROUPS)
    bh.export_pairs(path, tmp_path / "rows.jsonl", "sentence-transformers")
    data = load_dataset(
        "json",
        data_files=str(tmp_path / "rows.jsonl"),
        split="train",
        cache_dir=str(tmp_path / "c"),
    )
    assert data.column_names == ["anchor", "positive", "negative_1", "negative_2"]
    uneven = [GROUPS[0], {**GROUPS[1], "negative": {"en": ["No."], "fr": ["Oui.", "Non."]}}]
    path = write_rows(tmp_path / "uneven.jsonl", uneven)
    with pytest.raises(BadOption, match="passages with 1 hard negatives and with 2"):
        bh.export_pairs(path, tmp_path / "r.jsonl", "sentence-transformers")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q"}, r"first row has none of 'pos' \(flag-embedding\)"),
        ({"query": 1, "pos": []}, "line 1: 'query' is 1, no text"),
        ({"query": "q", "pos": "p"}, "line 1: 'pos' is 'p', no list of texts"),
        ({"query": "q", "positive_passages": ["p"]}, "line 1: a passage is 'p'"),
        ({"anchor": "q", "positive": None}, "line 1: 'positive' is None, no text"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [row])
    with pytest.raises(BadData, match=message):
        bh.import_pairs(path, tmp_path / "groups.jsonl", "en")


def test_export_and_import_on_the_command_line(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    path = write_rows(tmp_path / "groups.jsonl", GROUPS)
    rows = tmp_path / "rows.jsonl"
    outcome = run_cli("export-pairs", path, "--to", "tevatron", "--output", rows)
    assert outcome.out == f"groups  3\nrows  3\ndropped  1\nsaved in {rows}\n"
    outcome = run_cli("import-pairs", rows, "--language", "en", "--output", tmp_path / "g.jsonl")
    assert outcome.out.startswith("rows  3\ngroups  3\n")
    outcome = run_cli("export-pairs", path, "--to", "flag", "--output", tmp_path / "x.jsonl")
    assert outcome.err.startswith("UnknownName: no layout 'flag'; ")
    with pytest.raises(UnknownName):
        bh.export_pairs(path, tmp_path / "x.jsonl", "flag")


def test_negatives_that_are_no_lists_are_refused(tmp_path: Path) -> None:
    for negative in ({"en": "He was."}, ["He was."]):
        row = {"query": {"en": "Who?"}, "positive": {"en": "She."}, "negative": negative}
        path = write_rows(tmp_path / "pairs.jsonl", [row])
        with pytest.raises(BadData, match=r"group '0': negative .*list"):
            bh.export_pairs(path, tmp_path / "rows.jsonl", "flag-embedding")


def test_only_columns_of_texts_are_negatives_and_blank_texts_no_texts(tmp_path: Path) -> None:
    row = {"anchor": "Who?", "positive": "She.", "negative_1": "He.", "negative_type": "bm25"}
    path = write_rows(tmp_path / "columns.jsonl", [row])
    bh.import_pairs(path, tmp_path / "one.jsonl", "en")
    assert [group["negative"] for group in read_rows(tmp_path / "one.jsonl")] == [{"en": ["He."]}]
    rows: list[dict[str, Any]] = [
        {"id": None, "query": "Who?", "pos": ["She.", " "], "neg": ["", "He."]},
        {"id": None, "query": "When?", "pos": ["Now."], "neg": []},
        {"id": "blank", "query": " ", "pos": ["Here."], "neg": []},
    ]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    record = bh.import_pairs(path, tmp_path / "two.jsonl", "en")
    groups = read_rows(tmp_path / "two.jsonl")
    assert [(group["id"], group["positive"]) for group in groups] == [
        ("1#0", {"en": "She."}), ("2", {"en": "Now."})
    ]  # fmt: skip
    assert groups[0]["negative"] == {"en": ["He."]}
    assert record.counts == {"rows": 3, "groups": 2, "dropped": 1}
    assert read_rows(tmp_path / "two.dropped.jsonl")[0]["reason"] == "no query"
