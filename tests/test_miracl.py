"""MIRACL: real and synthetic topics over small corpora, conversion to Arrow, bad files."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

import beir_hybrid as bh
from beir_hybrid.collection import CollectionWriter, Origin, open_collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.view import BeirTriple
from beir_hybrid.download import Remote
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.sources.miracl import (
    CORPUS_REVISION,
    SHARDS,
    TOOLS_REVISION,
    Passages,
    convert,
    convert_to_arrow,
)
from tests.http_server import serve_files

DOCS = (
    "huggingface.co/datasets/miracl/miracl-corpus/resolve/{}/miracl-corpus-v1.0-{}/docs-{}.jsonl.gz"
)
Row = dict[str, Any]
# The first, the second and the third have judgements.
ROWS: list[Row] = [
    {"docid": "10#0", "title": "T", "text": "Ade ẹ"},
    {"docid": "11#2", "title": "", "text": "Bola"},
    {"docid": "12#0", "title": "U", "text": "Dayo"},
    {"docid": "12#1", "title": "U", "text": "Efe"},
    {"docid": "13#0", "title": "V", "text": ""},
]
BRANCH = """
import beir_hybrid as bh
miracl = bh.load("miracl", "yo", revision="main")
print(miracl.options["revision"], miracl.passages["text"][0])
"""
SHARD = """
import sys
from pathlib import Path
from beir_hybrid.sources.miracl import convert_to_arrow
convert_to_arrow(Path(sys.argv[1]), "en", Path(sys.argv[2]))
"""


class RealTopics:
    """A mirror with the real topics and judgements, and corpora that a test writes."""

    def __init__(self, folder: Path, real: Path) -> None:
        self.folder = folder
        self.tools = real / "raw.githubusercontent.com/castorini/anserini-tools" / TOOLS_REVISION
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
        """Write the judged passages and as many others over the language's files."""
        docids = sorted({key for answers in self.qrels(lang).values() for key in answers})
        rows = {key: {"docid": key, "title": f"T {key}", "text": f"Text {key} ẹ"} for key in docids}
        for key in docids:
            docid = f"{key}x"
            rows[docid] = {"docid": docid, "title": "", "text": f"Other {key}"}
        for number in range(SHARDS[lang]):
            write_gzip(
                self.docs(lang, number, revision), list(rows.values())[number :: SHARDS[lang]]
            )
        return rows


def write_gzip(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 1))


def make_dicts(lang: str, rows: list[Row]) -> BeirTriple:
    """Return BEIR's dicts of the rows that `Synthetic` writes."""
    return (
        {f"{lang}:{row['docid']}": {"title": row["title"], "text": row["text"]} for row in rows},
        {f"{lang}:q:1": "First?", f"{lang}:q:2": "Second?"},
        {f"{lang}:q:1": {f"{lang}:10#0": 1, f"{lang}:11#2": 0}, f"{lang}:q:2": {f"{lang}:12#0": 1}},
    )


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


class Synthetic:
    """A mirror with topics, judgements and corpora that a test writes."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.texts = {
            "topics": "1\tFirst?\n2\tSecond?\n",
            "qrels": "1\tQ0\t10#0\t1\n1\tQ0\t11#2\t0\n2\tQ0\t12#0\t1\n",
        }

    def docs(self, lang: str, number: int = 0) -> Path:
        return self.folder / DOCS.format(CORPUS_REVISION, lang, number)

    def corpus(self, lang: str, rows: list[Row] = ROWS) -> None:
        for number in range(SHARDS[lang]):
            write_gzip(self.docs(lang, number), rows[number :: SHARDS[lang]])

    def remote(self, kind: str, lang: str) -> Remote:
        data = self.texts[kind].encode()
        remote = Remote(f"https://example.org/{kind}/{lang}.tsv", sha256(data).hexdigest())
        path = self.folder / remote.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return remote

    def convert(self, *langs: str, passages: Passages = "all") -> bh.Collection:
        folder = Path(tempfile.mkdtemp(dir=self.cache))
        writer, provenance = CollectionWriter(folder, "miracl"), list[Origin]()
        try:
            for lang in langs:
                remotes = self.remote("topics", lang), self.remote("qrels", lang)
                provenance += convert(lang, *remotes, CORPUS_REVISION, passages, writer)
            writer.finish(provenance=provenance, original_ids=True)
        finally:
            writer.abandon()
        return open_collection(folder)


@pytest.fixture
def synthetic(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Synthetic:
    own_cache.mkdir()
    (tmp_path / "synthetic").mkdir()
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "synthetic"))
    return Synthetic(tmp_path / "synthetic", own_cache)


@pytest.fixture
def real_topics(
    tmp_path: Path, mirror: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> RealTopics:
    topics = RealTopics(tmp_path / "mirror", mirror)
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(topics.folder))
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(own_cache))
    return topics


def test_queries_and_judgements_are_those_of_the_origin(real_topics: RealTopics) -> None:
    rows = real_topics.corpus("yo")
    miracl = bh.load("miracl", languages="yor")
    assert (miracl.languages, miracl.original_ids, miracl.caveat) == (("yo",), True, "")
    corpus, queries, qrels = miracl.view("yo", "yo").to_beir()
    assert corpus == {
        f"yo:{key}": {"title": row["title"], "text": row["text"]} for key, row in rows.items()
    }
    assert queries == {f"yo:q:{key}": text for key, text in real_topics.topics("yo").items()}
    assert len(queries) == 119
    assert qrels == {
        f"yo:q:{query}": {f"yo:{key}": relevance for key, relevance in answers.items()}
        for query, answers in real_topics.qrels("yo").items()
    }
    assert sum(map(len, qrels.values())) == 1188
    assert miracl.queries["group"].to_pylist() == [f"yo:{key}" for key in real_topics.topics("yo")]
    assert miracl.options == {"split": "dev", "passages": "all", "revision": CORPUS_REVISION}
    tools = "https://raw.githubusercontent.com/castorini/anserini-tools"
    names = [f"{kind}/{kind}.miracl-v1.0-yo-dev.tsv" for kind in ("topics", "qrels")]
    assert miracl.provenance == (
        *(
            Origin(
                f"{tools}/{TOOLS_REVISION}/{name}",
                sha256((real_topics.tools / name).read_bytes()).hexdigest(),
                TOOLS_REVISION,
                "yo",
            )
            for name in names
        ),
        Origin(
            "hf://datasets/miracl/miracl-corpus/miracl-corpus-v1.0-yo/docs-0.jsonl.gz",
            sha256(real_topics.docs("yo").read_bytes()).hexdigest(),
            CORPUS_REVISION,
            "yo",
        ),
    )


def test_exported_folders_have_the_original_ids(real_topics: RealTopics, tmp_path: Path) -> None:
    rows = real_topics.corpus("yo")
    out = bh.write_folder(bh.load("miracl", languages="yo"), tmp_path / "out", "dev")
    lines = (out / "corpus.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["_id"] for line in lines] == list(rows)
    lines = (out / "queries.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["_id"] for line in lines] == list(real_topics.topics("yo"))
    judged: dict[str, dict[str, int]] = {}
    for line in (out / "qrels" / "dev.tsv").read_text("utf-8").splitlines()[1:]:
        query, passage, relevance = line.split("\t")
        judged.setdefault(query, {})[passage] = int(relevance)
    assert judged == real_topics.qrels("yo")


def test_title_policy_is_explicit_and_recorded(real_topics: RealTopics) -> None:
    rows = real_topics.corpus("yo")
    titled, plain = (
        bh.load("miracl", languages="yo", **options) for options in ({}, {"title_policy": "text"})
    )
    assert (titled.title_policy, plain.title_policy) == ("title+text", "text")
    texts = [row["text"] for row in rows.values()]
    assert join_titles(plain.view("yo", "yo").passages).to_pylist() == texts
    assert join_titles(titled.view("yo", "yo").passages).to_pylist() == [
        f"{row['title']} {row['text']}" if row["title"] else row["text"] for row in rows.values()
    ]
    assert plain.passages["title"] == titled.passages["title"]


def test_judged_passages_only(real_topics: RealTopics) -> None:
    rows = real_topics.corpus("te")
    full = bh.load("miracl", languages="te")
    reduced = bh.load("miracl", languages="te", passages="judged")
    assert reduced.caveat == (
        "the corpora hold judged passages only: not comparable with published figures"
    )
    assert reduced.options["passages"] == "judged"
    judged_ids = {f"te:{key}" for answers in real_topics.qrels("te").values() for key in answers}
    assert set(reduced.passages["id"].to_pylist()) == judged_ids
    assert 2 * len(judged_ids) == len(rows) == len(full.passages)
    assert reduced.view().qrels == full.view().qrels
    assert [origin.sha256 for origin in reduced.provenance] == [
        origin.sha256 for origin in full.provenance
    ]


def test_all_languages_have_13495_topics(real_topics: RealTopics) -> None:
    for lang, shards in SHARDS.items():
        docids = sorted({key for answers in real_topics.qrels(lang).values() for key in answers})
        rows = [{"docid": key, "title": "", "text": key} for key in docids]
        for number in range(shards):
            write_gzip(real_topics.docs(lang, number), rows[number::shards])
    miracl = bh.load("miracl", passages="judged")
    assert miracl.languages == tuple(sorted(SHARDS))
    assert len(miracl.languages) == 18
    assert {lang: len(miracl.find_query_rows(lang)) for lang in SHARDS} == {
        lang: len(real_topics.topics(lang)) for lang in SHARDS
    }
    assert len(miracl.queries) == 13_495
    assert len(miracl.judgements) == sum(
        len(answers) for lang in SHARDS for answers in real_topics.qrels(lang).values()
    )


def test_another_revision_is_recorded(real_topics: RealTopics) -> None:
    commit = "abcdef0123" * 4
    real_topics.corpus("yo", commit)
    miracl = bh.load("miracl", languages="yo", revision=commit)
    assert miracl.options["revision"] == commit
    assert [origin.revision for origin in miracl.provenance] == [
        TOOLS_REVISION,
        TOOLS_REVISION,
        commit,
    ]


def test_a_branch_stands_for_its_present_commit(real_topics: RealTopics, tmp_path: Path) -> None:
    branch = "/api/datasets/miracl/miracl-corpus/revision/main"
    with serve_files({}) as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
        for commit in ("a" * 40, "b" * 40):
            rows = list(real_topics.corpus("yo", commit).values())
            rows[0]["text"] = f"at {commit}"
            write_gzip(real_topics.docs("yo", 0, commit), rows)
            facts = {"id": "miracl/miracl-corpus", "sha": commit}
            hub.files[branch] = json.dumps(facts).encode()
            command = [sys.executable, "-c", BRANCH]
            process = subprocess.run(
                command, env=os.environ | env, stdout=subprocess.PIPE, check=True
            )
            assert process.stdout.decode() == f"{commit} at {commit}\n"
        assert [request.path for request in hub.requests].count(branch) == 2


def test_missing_passages_are_counted(synthetic: Synthetic) -> None:
    synthetic.corpus("yo", [row for row in ROWS if row["docid"] not in ("11#2", "12#0", "12#1")])
    for passages in get_args(Passages):
        with pytest.raises(BadData) as error:
            synthetic.convert("yo", passages=passages)
        complaint = "2 passages that judgements name and the collection lacks, first 'yo:11#2'"
        assert str(error.value) == f"miracl: {complaint}"


def test_a_passage_in_two_files_is_counted(synthetic: Synthetic) -> None:
    synthetic.corpus("te")
    write_gzip(synthetic.docs("te", 1), [*ROWS[1::2], ROWS[0], ROWS[2]])
    with pytest.raises(BadData) as error:
        synthetic.convert("te")
    message = "2 passage ids occur more than once, first 'te:10#0'"
    assert str(error.value) == f"miracl: {message}"


def test_all_passages_or_judged_ones_only(synthetic: Synthetic) -> None:
    synthetic.corpus("te")
    synthetic.corpus("yo")
    full, reduced = synthetic.convert("yo", "te"), synthetic.convert("yo", "te", passages="judged")
    # te has two files, which have every second row.
    rows = [ROWS[n] for n in (0, 2, 4, 1, 3)]
    assert full.view("te", "te").to_beir() == make_dicts("te", rows)
    assert full.view("yo", "yo").to_beir() == make_dicts("yo", ROWS)
    assert reduced.passages["id"].to_pylist() == [
        *("te:10#0", "te:12#0", "te:11#2"),
        *("yo:10#0", "yo:11#2", "yo:12#0"),
    ]
    assert reduced.view("te", "te").to_beir()[1:] == full.view("te", "te").to_beir()[1:]
    assert full.provenance == reduced.provenance
    place = "hf://datasets/miracl/miracl-corpus/miracl-corpus-v1.0"
    assert [origin.file for origin in full.provenance if origin.lang == "te"][2:] == [
        f"{place}-te/docs-0.jsonl.gz",
        f"{place}-te/docs-1.jsonl.gz",
    ]
    assert {origin.sha256 for origin in full.provenance[2:3]} == {
        sha256(synthetic.docs("yo").read_bytes()).hexdigest()
    }
    assert [view.name for view in full.list_settings()] == ["te-te", "yo-yo", "te-all", "yo-all"]
    assert full.view("yo").to_beir()[2] == full.view("yo", "yo").to_beir()[2]


@pytest.mark.parametrize("broken", ["cut", "half", "empty", "no gzip"])
def test_an_interrupted_conversion_is_resumed(synthetic: Synthetic, broken: str) -> None:
    synthetic.corpus("te")
    path = synthetic.docs("te", 1)
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[:-4],
            "half": content[: len(content) // 2],
            "empty": b"",
            "no gzip": b"<html>",
        }[broken]
    )
    with pytest.raises(BadData) as error:
        synthetic.convert("te")
    assert str(error.value).startswith(f"{path} is truncated or no gzip file, after line ")
    first = sha256(synthetic.docs("te").read_bytes()).hexdigest()[:16]
    shards = synthetic.cache / "corpora" / "miracl" / CORPUS_REVISION / "te"
    assert list_names(shards) == [f"docs-0.{first}.arrow", "docs-0.json"]
    before = {name: (shards / name).stat().st_mtime_ns for name in list_names(shards)}
    path.write_bytes(content)
    rows = [ROWS[n] for n in (0, 2, 4, 1, 3)]
    assert synthetic.convert("te").view("te", "te").to_beir() == make_dicts("te", rows)
    assert {name: (shards / name).stat().st_mtime_ns for name in before} == before


def test_a_damaged_shard_is_converted_anew(synthetic: Synthetic) -> None:
    synthetic.corpus("yo")
    expected = synthetic.convert("yo").passages.to_pylist()
    [shard] = (synthetic.cache / "corpora").rglob("docs-0.*.arrow")
    shard.write_bytes(shard.read_bytes()[:-1])
    assert synthetic.convert("yo").passages.to_pylist() == expected
    shard.with_name("docs-0.json").write_text("{", "utf-8")
    assert synthetic.convert("yo").passages.to_pylist() == expected


def test_a_shard_belongs_to_the_present_bytes_of_its_source(synthetic: Synthetic) -> None:
    synthetic.corpus("yo")
    source, folder = synthetic.docs("yo"), synthetic.cache / "shards"
    shard = convert_to_arrow(source, "yo", folder)
    assert shard.path == folder / f"docs-0.{sha256(source.read_bytes()).hexdigest()[:16]}.arrow"
    assert (shard.rows, shard.source) == (5, sha256(source.read_bytes()).hexdigest())
    written_at = shard.path.stat().st_mtime_ns
    # Another time with the same bytes: nothing is converted.
    os.utime(source, (1, 1))
    assert convert_to_arrow(source, "yo", folder) == shard
    assert shard.path.stat().st_mtime_ns == written_at
    # Other bytes of the same length: the first shard stays for those who have it.
    source.write_bytes(gzip.compress(gzip.decompress(source.read_bytes()).replace(b"Ade", b"Oye")))
    new_shard = convert_to_arrow(source, "yo", folder)
    assert pa.ipc.open_file(new_shard.path).read_all()["text"].to_pylist()[0] == "Oye ẹ"
    assert pa.ipc.open_file(shard.path).read_all()["text"].to_pylist()[0] == "Ade ẹ"


def test_a_second_run_removes_the_remnants_of_a_killed_conversion(tmp_path: Path) -> None:
    source, folder = tmp_path / "docs-1.jsonl.gz", tmp_path / "arrow"
    rows = [{"docid": f"{n}#0", "title": "T", "text": f"{n} {'x' * 100}"} for n in range(10_000)]
    write_gzip(source, rows)
    source.write_bytes(source.read_bytes() * 30)
    folder.mkdir()
    stranger = folder / f".docs-10.{'0' * 16}.arrow.{'0' * 8}.tmp"  # of another file's conversion
    stranger.touch()
    command = [sys.executable, "-c", SHARD, str(source), str(folder)]
    with subprocess.Popen(command) as process:
        while not any(path.stat().st_size for path in folder.glob(".docs-1.*.tmp")):
            time.sleep(0.001)
            assert process.poll() is None
        process.kill()
    assert len(list(folder.iterdir())) == 3  # the lock and a temporary file beside the other
    shard = convert_to_arrow(source, "en", folder)
    name = f"docs-1.{sha256(source.read_bytes()).hexdigest()[:16]}.arrow"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [".docs-1.lock", stranger.name, "docs-1.json", name]
    )
    assert shard.rows == 300_000
    ids = pa.ipc.open_file(folder / name).read_all()["id"]
    assert (ids[0].as_py(), ids[299_999].as_py()) == ("en:0#0", "en:9999#0")


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
def test_a_bad_passage_is_named(synthetic: Synthetic, row: Row, complaint: str) -> None:
    synthetic.corpus("yo", [*ROWS[:2], row, *ROWS[2:]])
    with pytest.raises(BadData) as error:
        synthetic.convert("yo")
    assert str(error.value) == complaint.format(synthetic.docs("yo"))


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("topics", "1 First?\n", "expected an id, a tab and a question"),
        ("qrels", "1 Q0 10#0\n", "is no judgement: '1 Q0 10#0'"),
        ("qrels", "1 Q0 10#0 high\n", "is no judgement: '1 Q0 10#0 high'"),
    ],
)
def test_a_bad_topic_or_judgement_is_named(
    synthetic: Synthetic, kind: str, text: str, complaint: str
) -> None:
    synthetic.corpus("yo")
    synthetic.texts[kind] = text
    with pytest.raises(BadData) as error:
        synthetic.convert("yo")
    assert f"example.org/{kind}/yo.tsv line 1" in str(error.value)
    assert str(error.value).endswith(complaint)


def test_unknown_languages_and_options_are_refused() -> None:
    for languages, names in ((["yo", "en", "de"], "de, yo"), ("yor", "yo")):
        with pytest.raises(BadOption) as error:
            bh.load("miracl", languages=languages, split="train")
        assert str(error.value) == f"miracl has no train split for {names}"
    for option in ("split", "title_policy", "passages"):
        with pytest.raises(BadOption, match=rf"^{option} is 'some'; use one of \('"):
            bh.load("miracl", languages="sw", **{option: "some"})
    with pytest.raises(UnknownName, match=r"^no language of miracl is 'el'; there are "):
        bh.load("miracl", languages="el")
