"""MIRACL's real topics and judgements over miniature corpora: nothing changed, nothing redone."""

import gzip
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Origin
from beir_hybrid.collection.model import retrieval_texts
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.sources.miracl import CORPUS_REVISION, SHARDS, TOOLS

DOCS = (
    "huggingface.co/datasets/miracl/miracl-corpus/resolve/{}/miracl-corpus-v1.0-{}/docs-{}.jsonl.gz"
)
Row = dict[str, Any]


class Origins:
    """A mirror whose topics and judgements are the real ones, and whose corpora a test makes."""

    def __init__(self, folder: Path, real: Path) -> None:
        self.folder = folder
        self.tools = real / "raw.githubusercontent.com/castorini/anserini-tools" / TOOLS
        folder.mkdir()
        (folder / "raw.githubusercontent.com").symlink_to(real / "raw.githubusercontent.com")

    def topics(self, lang: str) -> dict[str, str]:
        lines = (self.tools / f"topics/topics.miracl-v1.0-{lang}-dev.tsv").read_bytes().split(b"\n")
        pairs = [line.decode().split("\t") for line in lines if line]
        return {key: text.rstrip("\r") for key, text in pairs}

    def qrels(self, lang: str) -> dict[str, dict[str, int]]:
        judged: dict[str, dict[str, int]] = {}
        path = self.tools / f"qrels/qrels.miracl-v1.0-{lang}-dev.tsv"
        for line in path.read_text("utf-8").splitlines():
            query, _, passage, relevance = line.split("\t")
            judged.setdefault(query, {})[passage] = int(relevance)
        return judged

    def docs(self, lang: str, number: int = 0, revision: str = CORPUS_REVISION) -> Path:
        return self.folder / DOCS.format(revision, lang, number)

    def corpus(self, lang: str, revision: str = CORPUS_REVISION) -> dict[str, Row]:
        """Deal the judged passages and as many others out over the language's files."""
        judged = sorted({key for answers in self.qrels(lang).values() for key in answers})
        rows = {key: {"docid": key, "title": f"T {key}", "text": f"Text {key} ẹ"} for key in judged}
        for key in judged:
            other = f"{key}x"
            rows[other] = {"docid": other, "title": "", "text": f"Other {key}"}
        for number in range(SHARDS[lang]):
            write(self.docs(lang, number, revision), list(rows.values())[number :: SHARDS[lang]])
        return rows


def write(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 1))


@pytest.fixture
def origins(
    tmp_path: Path, mirror: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Origins:
    made = Origins(tmp_path / "mirror", mirror)
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(made.folder))
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(own_cache))
    return made


def test_judgements_are_the_origins(origins: Origins) -> None:
    rows = origins.corpus("yo")
    miracl = bh.load("miracl", languages="yor")
    assert (miracl.languages, miracl.original_ids, miracl.caveat) == (("yo",), True, "")
    corpus, queries, qrels = miracl.view("yo", "yo").beir()
    assert corpus == {
        f"yo:{key}": {"title": row["title"], "text": row["text"]} for key, row in rows.items()
    }
    assert queries == {f"yo:q:{key}": text for key, text in origins.topics("yo").items()}
    assert len(queries) == 119
    assert qrels == {
        f"yo:q:{query}": {f"yo:{key}": relevance for key, relevance in answers.items()}
        for query, answers in origins.qrels("yo").items()
    }
    assert sum(map(len, qrels.values())) == 1188
    assert miracl.queries["group"].to_pylist() == [f"yo:{key}" for key in origins.topics("yo")]
    assert miracl.options == {"split": "dev", "passages": "all", "revision": CORPUS_REVISION}
    tools = "https://raw.githubusercontent.com/castorini/anserini-tools"
    names = [f"{kind}/{kind}.miracl-v1.0-yo-dev.tsv" for kind in ("topics", "qrels")]
    assert miracl.provenance == (
        *(
            Origin(
                f"{tools}/{TOOLS}/{name}",
                sha256((origins.tools / name).read_bytes()).hexdigest(),
                TOOLS,
            )
            for name in names
        ),
        Origin(
            "hf://datasets/miracl/miracl-corpus/miracl-corpus-v1.0-yo/docs-0.jsonl.gz",
            sha256(origins.docs("yo").read_bytes()).hexdigest(),
            CORPUS_REVISION,
        ),
    )


def test_exported_folders_have_the_original_ids(origins: Origins, tmp_path: Path) -> None:
    rows = origins.corpus("yo")
    out = bh.write_folder(bh.load("miracl", languages="yo"), tmp_path / "out", "dev")
    lines = (out / "corpus.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["_id"] for line in lines] == list(rows)
    lines = (out / "queries.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["_id"] for line in lines] == list(origins.topics("yo"))
    judged: dict[str, dict[str, int]] = {}
    for line in (out / "qrels" / "dev.tsv").read_text("utf-8").splitlines()[1:]:
        query, passage, relevance = line.split("\t")
        judged.setdefault(query, {})[passage] = int(relevance)
    assert judged == origins.qrels("yo")


def test_title_policy_is_explicit_and_recorded(origins: Origins) -> None:
    rows = origins.corpus("yo")
    titled, plain = (
        bh.load("miracl", languages="yo", **options) for options in ({}, {"title_policy": "text"})
    )
    assert (titled.title_policy, plain.title_policy) == ("title+text", "text")
    texts = [row["text"] for row in rows.values()]
    assert retrieval_texts(plain.view("yo", "yo").documents).to_pylist() == texts
    assert retrieval_texts(titled.view("yo", "yo").documents).to_pylist() == [
        f"{row['title']} {row['text']}" if row["title"] else row["text"] for row in rows.values()
    ]
    assert plain.passages["title"] == titled.passages["title"]


def test_judged_passages_only(origins: Origins) -> None:
    rows = origins.corpus("te")
    whole = bh.load("miracl", languages="te")
    judged = bh.load("miracl", languages="te", passages="judged")
    assert judged.caveat == (
        "the corpora hold judged passages only: not comparable with published figures"
    )
    assert judged.options["passages"] == "judged"
    wanted = {f"te:{key}" for answers in origins.qrels("te").values() for key in answers}
    assert set(judged.passages["id"].to_pylist()) == wanted
    assert 2 * len(wanted) == len(rows) == len(whole.passages)
    assert judged.view().qrels == whole.view().qrels
    assert [origin.sha256 for origin in judged.provenance] == [
        origin.sha256 for origin in whole.provenance
    ]


def test_two_languages_have_no_cross_lingual_setting(origins: Origins) -> None:
    for lang in ("yo", "te"):
        origins.corpus(lang)
    both = bh.load("miracl", languages=["yo", "te"], passages="judged")
    assert [view.name for view in both.settings()] == ["te-te", "yo-yo", "te-all", "yo-all"]
    alone = bh.load("miracl", languages="yo", passages="judged")
    assert both.view("yo", "yo").beir() == alone.view("yo", "yo").beir()
    assert both.view("yo").beir()[2] == alone.view("yo", "yo").beir()[2]


def test_all_languages_have_13495_topics(origins: Origins) -> None:
    for lang, shards in SHARDS.items():
        judged = sorted({key for answers in origins.qrels(lang).values() for key in answers})
        rows = [{"docid": key, "title": "", "text": key} for key in judged]
        for number in range(shards):
            write(origins.docs(lang, number), rows[number::shards])
    miracl = bh.load("miracl", passages="judged")
    assert miracl.languages == tuple(sorted(SHARDS))
    assert len(miracl.languages) == 18
    assert {lang: len(miracl.query_rows(lang)) for lang in SHARDS} == {
        lang: len(origins.topics(lang)) for lang in SHARDS
    }
    assert len(miracl.queries) == 13_495
    assert len(miracl.judgements) == sum(
        len(answers) for lang in SHARDS for answers in origins.qrels(lang).values()
    )


def test_a_revision_of_ones_own_is_recorded(origins: Origins) -> None:
    origins.corpus("yo", "abc123")
    miracl = bh.load("miracl", languages="yo", revision="abc123")
    assert miracl.options["revision"] == "abc123"
    assert [origin.revision for origin in miracl.provenance] == [TOOLS, TOOLS, "abc123"]


def test_missing_passages_are_counted(origins: Origins) -> None:
    rows = origins.corpus("yo")
    judged = sorted({key for answers in origins.qrels("yo").values() for key in answers})
    lost = {judged[3], judged[7], judged[7] + "x"}
    write(origins.docs("yo"), [row for key, row in rows.items() if key not in lost])
    for passages in ("all", "judged"):
        with pytest.raises(BadData) as caught:
            bh.load("miracl", languages="yo", passages=passages)
        message = str(caught.value)
        asked = [key for answers in origins.qrels("yo").values() for key in answers if key in lost]
        complaint = "2 passages that judgements name and the collection lacks"
        assert message == f"miracl: {complaint}, first 'yo:{asked[0]}'"


def test_a_passage_in_two_files_is_counted(origins: Origins) -> None:
    rows = list(origins.corpus("te").values())
    write(origins.docs("te", 1), rows[1::2] + rows[:4:2])
    with pytest.raises(BadData) as caught:
        bh.load("miracl", languages="te")
    message = f"2 passage ids occur more than once, first 'te:{rows[0]['docid']}'"
    assert str(caught.value) == f"miracl: {message}"


@pytest.mark.parametrize("broken", ["cut", "half", "empty", "no gzip"])
def test_an_interrupted_conversion_goes_on_where_it_stopped(
    origins: Origins, own_cache: Path, broken: str
) -> None:
    rows = origins.corpus("te")
    path = origins.docs("te", 1)
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[:-4], "half": whole[: len(whole) // 2], "empty": b"", "no gzip": b"<html>"}[
            broken
        ]
    )
    with pytest.raises(BadData) as caught:
        bh.load("miracl", languages="te")
    assert str(caught.value).startswith(f"{path} is truncated or no gzip file, after line ")
    shards = own_cache / "corpora" / "miracl" / CORPUS_REVISION / "te"
    made = [file for file in shards.iterdir() if not file.name.endswith(".lock")]
    assert sorted(file.name for file in made) == ["docs-0.arrow", "docs-0.json"]
    assert [path for path in (own_cache / "collections").iterdir() if path.is_dir()] == []
    before = {file: file.stat().st_mtime_ns for file in made}
    path.write_bytes(whole)
    miracl = bh.load("miracl", languages="te")
    assert {file: file.stat().st_mtime_ns for file in made} == before
    assert sorted(miracl.passages["id"].to_pylist()) == sorted(f"te:{key}" for key in rows)
    assert miracl.view("te", "te").beir()[0] == {
        f"te:{key}": {"title": row["title"], "text": row["text"]} for key, row in rows.items()
    }


def test_a_damaged_shard_is_made_anew(origins: Origins, own_cache: Path) -> None:
    origins.corpus("yo")
    expected = bh.load("miracl", languages="yo").passages.to_pylist()
    [shard] = (own_cache / "corpora").rglob("docs-0.arrow")
    shard.write_bytes(shard.read_bytes()[:-1])
    again = bh.load("miracl", languages="yo")
    assert again.passages.to_pylist() == expected


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"title": "", "text": "x"}, "{} line 3: 'docid' is missing"),
        ({"docid": "x#1", "title": "", "text": 3}, "{} line 3: 'text' is 3, not text"),
        ({"docid": "x#1", "title": ["T"], "text": "x"}, "{} line 3: 'title' is ['T'], not text"),
        ({"docid": "x 1", "text": "x"}, "{}: 1 passage ids with white space, first 'yo:x 1'"),
        (
            {"docid": "x#1", "title": None, "text": " "},
            "{}: 1 passages without text, first 'yo:x#1'",
        ),
    ],
)
def test_a_bad_passage_is_named(origins: Origins, row: Row, complaint: str) -> None:
    rows = list(origins.corpus("yo").values())
    write(origins.docs("yo"), [*rows[:2], row, *rows[2:]])
    with pytest.raises(BadData) as caught:
        bh.load("miracl", languages="yo")
    assert str(caught.value) == complaint.format(origins.docs("yo"))


def test_what_it_does_not_have_is_refused() -> None:
    for languages, named in ((["yo", "en", "de"], "de, yo"), ("yor", "yo")):
        with pytest.raises(BadOption) as caught:
            bh.load("miracl", languages=languages, split="train")
        assert str(caught.value) == f"miracl has no train split for {named}"
    for option in ("split", "title_policy", "passages"):
        with pytest.raises(BadOption, match=rf"^{option} is 'some'; use one of \('"):
            bh.load("miracl", languages="sw", **{option: "some"})
    with pytest.raises(UnknownName, match=r"^no language of miracl 'el'; did you mean '"):
        bh.load("miracl", languages="el")
