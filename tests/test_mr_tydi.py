"""Mr.TyDi, from a mirror that holds a miniature of its files."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.errors import BadData
from beir_hybrid.sources.mr_tydi import COMMIT, LANGUAGES

ROWS: list[dict[str, Any]] = [
    {
        "query_id": "1",
        "query": "Who?",
        "positive_passages": [
            {"docid": "7#0", "title": "People", "text": "She."},
            {"docid": "7#1", "title": "", "text": "He."},
        ],
        "negative_passages": [{"docid": "9#0", "title": "Things", "text": "It."}],
    },
    {
        "query_id": "2",
        "query": "Which?",
        "positive_passages": [{"docid": "7#0", "title": "People", "text": "She."}],
        "negative_passages": [],
    },
    {"query_id": "3", "query": "None?", "positive_passages": [], "negative_passages": []},
]


def write_file(folder: Path, lang: str, rows: list[dict[str, Any]]) -> None:
    path = folder / f"mrtydi-v1.1-{LANGUAGES[lang]}" / "train.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    folder = tmp_path / "mirror/huggingface.co/datasets/castorini/mr-tydi/resolve" / COMMIT
    for lang in ("en", "fi"):
        write_file(folder, lang, ROWS)
    return folder


@pytest.mark.usefixtures("files")
def test_questions_have_their_passages_and_no_translations() -> None:
    collection = bh.load("mr-tydi", ["en", "fi"])
    corpus, queries, qrels = collection.view().to_beir()
    assert set(corpus) == {"en:7#0", "en:7#1", "fi:7#0", "fi:7#1"}
    assert corpus["en:7#0"] == {"title": "People", "text": "She."}
    assert set(queries) == {"en:q:1", "en:q:2", "fi:q:1", "fi:q:2"}
    assert qrels["en:q:1"] == {"en:7#0": 1, "en:7#1": 1}
    pairs = bh.pairs_from_collection(collection)
    assert len(pairs) == 6
    assert {tuple(row) for row in pairs.groups.has_query.tolist()} == {(True, False), (False, True)}


def test_bad_rows_are_named(files: Path) -> None:
    write_file(files, "en", [*ROWS, {"query_id": "4", "query": "x", "positive_passages": "p"}])
    with pytest.raises(BadData, match="line 4: 'positive_passages' must be a list of passages"):
        bh.load("mr-tydi", ["en"])
