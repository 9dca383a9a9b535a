"""Pyserini reads back our topics, our vectors and, on real data, searches as we do."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Collection, View
from beir_hybrid.errors import BadData, BadOption, NotWritable, UnknownName
from beir_hybrid.pyserini.java import start_java
from beir_hybrid.pyserini.topics import write_topics
from tests.disks import full_disk
from tests.hash_encoder import ROOT, hash_text
from tests.letter_encoder import LetterEncoder, make_letter_queries
from tests.models import static_model
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["run_cli"]

Run = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def java() -> None:
    start_java()


# What a topics file holds of a query's text: line breaks and tabs become spaces, and what stands
# outside is cut off as Java's trim does, which knows no other spaces than those of ASCII.
TEXTS = {
    "plain text": "plain text",
    "  kept  inside ": "kept  inside",
    "a\tb\r\nc": "a b c",
    "\u3000wide\u00a0": "\u3000wide\u00a0",
    "\U0001f600 \u0627\u0644\u0639\u0631\u0628\u064a\u0629": None,
    "\u0939\u093f\u0928\u094d\u0926\u0940": None,
    '"quoted" \\n {"a": 1} # %': None,
    "line\u2028separator": "line separator",
}


def of_queries(texts: Sequence[str], lang: str = "en") -> Collection:
    queries = {f"{lang}:q:{number}": text for number, text in enumerate(texts)}
    qrels = {key: {f"{lang}:1": 1} for key in queries}
    return bh.from_beir({f"{lang}:1": {"text": "a"}}, queries, qrels)


class Hashed:
    """An encoder whose vectors are hashes of texts."""

    fingerprint = {"kind": "hashed"}  # noqa: RUF012 - as the protocol has it

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([hash_text(text) / 2**32 for text in texts])

    encode_passages = encode_queries


@pytest.mark.usefixtures("java")
def test_pyserini_reads_back_what_was_written(tmp_path: Path) -> None:
    from pyserini.encode import QueryEncoder
    from pyserini.query_iterator import TopicsFormat, get_query_iterator

    written = write_topics(of_queries(list(TEXTS)), tmp_path, Hashed())
    assert written == [tmp_path / "en.tsv", tmp_path / "encoded" / "embedding.pkl"]
    topics = get_query_iterator(str(tmp_path / "en.tsv"), TopicsFormat.DEFAULT)
    assert dict(topics) == {
        f"en:q:{number}": text if kept is None else kept
        for number, (text, kept) in enumerate(TEXTS.items())
    }
    lookup = QueryEncoder(str(tmp_path / "encoded"))
    asked = dict(topics)
    for number, text in enumerate(TEXTS):
        found = lookup.encode(asked[f"en:q:{number}"])
        assert found.dtype == np.float32
        assert np.array_equal(found, (hash_text(text) / 2**32).astype(np.float32))


def test_a_file_for_each_language_and_one_for_all_vectors(tmp_path: Path) -> None:
    corpus = {"en:1": {"text": "a"}, "de:1": {"text": "b"}}
    queries = {"en:q:2": "a", "en:q:1": "a b", "de:q:1": "b", "de:q:2": "a"}
    qrels = {key: {"en:1": 1} for key in queries}
    collection, encoder = bh.from_beir(corpus, queries, qrels), LetterEncoder()
    (tmp_path / "old").mkdir()
    write_topics(collection, tmp_path / "old", encoder)
    assert (tmp_path / "old" / "en.tsv").read_text() == "en:q:2\ta\nen:q:1\ta b\n"
    assert (tmp_path / "old" / "de.tsv").read_text() == "de:q:1\tb\nde:q:2\ta\n"
    every = "de:q:1\tb\nde:q:2\ta\nen:q:2\ta\nen:q:1\ta b\n"
    assert (tmp_path / "old" / "all.tsv").read_text() == every
    assert sorted(encoder.encoded_texts) == ["a", "a b", "b"]
    written = write_topics(collection, tmp_path / "new", languages=["deu"])
    assert written == [tmp_path / "new" / "de.tsv"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["de.tsv"]


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their paths, other things without content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    corpus = {"en:1": {"text": "a"}, "de:1": {"text": "b"}}
    queries = {f"en:q:{number}": "a b" + " c" * number for number in range(40)} | {"de:q:1": "b"}
    some = bh.from_beir(corpus, queries, {key: {"en:1": 1} for key in queries})
    out = tmp_path / "out" / "topics"
    (written, *_), last = (
        (found := write_topics(some, tmp_path / "whole", LetterEncoder())),
        found[-1],
    )
    assert (written.name, last.name) == ("de.tsv", "embedding.pkl")
    sizes = [path.stat().st_size for path in found]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3]  # de, en, all, vectors
    (tmp_path / "there").mkdir()
    write_topics(of_queries(["c"]), tmp_path / "there")
    (tmp_path / "there" / "notes").write_text("mine")
    before = content(tmp_path / "there")
    for size in (sizes[1] - 1, sizes[3] - 1):
        for folder in (out, tmp_path / "there"):
            with full_disk(size), pytest.raises(NotWritable) as error:
                write_topics(some, folder, LetterEncoder())
            assert str(error.value) == (
                f"cannot write {folder}: File too large; free some room, or name another place"
            )
        assert list(out.parent.iterdir()) == []
        assert content(tmp_path / "there") == before
    assert write_topics(some, tmp_path / "there", LetterEncoder()) == [
        tmp_path / "there" / name
        for name in ("de.tsv", "en.tsv", "all.tsv", "encoded/embedding.pkl")
    ]
    whole = content(tmp_path / "whole")
    assert content(tmp_path / "there") == {**whole, "notes": b"mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out", "there", "whole"]


SCRIPT = """
import sys
from pathlib import Path
import beir_hybrid as bh
from beir_hybrid.pyserini.topics import write_topics
from tests.letter_encoder import LetterEncoder, make_letter_queries
print("started", flush=True)
encoder = LetterEncoder(Path(sys.argv[2]), 0.3)
write_topics(make_letter_queries(), Path(sys.argv[1]), encoder)
"""


def test_killed_topics_are_whole_once_they_are_written_again(tmp_path: Path) -> None:
    out, log = tmp_path / "made" / "out", tmp_path / "log"
    command = [sys.executable, "-c", SCRIPT, str(out), str(log)]
    with subprocess.Popen(command, cwd=ROOT) as running:
        while running.poll() is None and not log.exists():
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not out.exists()
    left = out.with_name(".out.0123abcd.tmp")  # of one that was killed while it wrote
    left.mkdir(parents=True)
    (left / "en.tsv").write_text("en:q:")
    write_topics(make_letter_queries(), out, LetterEncoder())
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    write_topics(
        make_letter_queries(), tmp_path / "whole", LetterEncoder(), store=tmp_path / "other"
    )
    assert content(out) == content(tmp_path / "whole")
    lines = (out / "en.tsv").read_text().splitlines()
    assert (len(lines), lines[6]) == (3000, "en:q:7\tb d")  # 7 is 13 to the base of 4


def test_what_pyserini_would_take_for_something_else_is_refused(tmp_path: Path) -> None:
    fine = of_queries(["a"])
    for folder, message in (("xbpr", "for a BPR model's"), ("cacm", "for CACM's topics")):
        with pytest.raises(BadOption, match=message):
            write_topics(fine, tmp_path / folder)
    with pytest.raises(UnknownName, match="no language of beir is 'fr'"):
        write_topics(fine, tmp_path, languages="fr")
    with pytest.raises(BadData, match="the query 'en:q:0' has no text"):
        write_topics(of_queries(["\x01"]), tmp_path)
    one = bh.from_beir({"de:1": {"text": "b"}}, {"en:q:1": "a"}, {"en:q:1": {"de:1": 1}})
    with pytest.raises(BadData, match="beir has no queries in de"):
        write_topics(one, tmp_path, languages="de")


def test_queries_that_topics_cannot_tell_apart_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alike = of_queries(["a b", "b", "a\tb", "b"])
    write_topics(
        alike, tmp_path / "same", LetterEncoder()
    )  # it splits at any space: one vector for both
    assert caplog.messages == []
    write_topics(alike, tmp_path / "other", Hashed())
    (message,) = caplog.messages
    assert message.startswith("topics cannot tell 'en:q:0' from 'en:q:2', which differs in white")


def test_a_query_encoder_has_the_query_prompt() -> None:
    model = static_model()
    asked = bh.QueryEncoder(model, query_prompt="w1 ", passage_prompt="w2 ", normalize=True)
    one, two = (model.encode(f"w1 {text}", normalize_embeddings=True) for text in ("w7", "w8 w9"))
    assert asked.encode("w7").dtype == np.float32
    assert asked.encode("w7") == pytest.approx(one, abs=1e-6)
    assert asked.encode("w7", qid=3) == pytest.approx(one, abs=1e-6)
    batch = asked.encode_batch(["w7", {"qid": 1, "query": "w8 w9"}])
    assert batch == pytest.approx(np.stack([one, two]), abs=1e-6)


class Words:
    """An encoder whose vectors are sums of words' own random vectors, of unit length."""

    fingerprint = {"kind": "words"}  # noqa: RUF012

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.stack([self._row(text) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    encode_passages = encode_queries

    @staticmethod
    def _row(text: str) -> np.ndarray:
        words = text.lower().split() or [""]
        return np.sum([np.concatenate([hash_text(word, seed) / 2**31 - 1 for seed in "abcdefgh"])
                       for word in words], axis=0)  # fmt: skip


@pytest.fixture
def real(mirror: Path) -> Collection:
    """Two languages of XQuAD-R."""
    assert mirror
    return bh.load("xquad-r", ["en", "de"])


def assert_same(ours: Run, theirs: Run) -> None:
    """Compare runs up to swaps of passages whose scores are within two of the last decimal."""
    assert ours.keys() == theirs.keys()
    for query, found in ours.items():
        mine, their = (sorted(run.items(), key=lambda hit: -hit[1])
                       for run in (found, theirs[query]))  # fmt: skip
        assert len(mine) == len(their) == 100
        assert [score for _, score in their] == pytest.approx([s for _, s in mine], abs=2e-6)
        # One that we lack has the score of our last.
        last = mine[-1][1]
        assert [found.get(key, last) for key, _ in their] == pytest.approx(
            [score for _, score in mine], abs=2e-6
        )


def ours(folder: Path, view: View) -> Run:
    return bh.read_run(
        folder / f"{view.name}.trec",
        view=view,
        known_passages=set(view.passages["id"].to_pylist()),
        known_queries=set(view.queries["id"].to_pylist()),
    )


@pytest.mark.usefixtures("java")
def test_pyserini_searches_as_we_do(tmp_path: Path, real: Collection, run_cli: RunCli) -> None:
    """One pair and the pool, through its class and its command line, which runs unchanged."""
    from pyserini.search.faiss import FaissSearcher

    encoder = Words()
    bh.evaluate(encoder, real, measures="AP", runs=tmp_path / "runs", depth=100)
    write_topics(real, tmp_path / "topics", encoder)
    asked = real.view("en").queries
    ids, texts = asked["id"].to_pylist(), asked["text"].to_pylist()
    for view in (real.view("en", "de"), real.view("en")):
        index = bh.build_index(
            encoder, real, tmp_path / view.name, languages=view.passage_languages
        )
        wanted = ours(tmp_path / "runs", view)
        searcher = FaissSearcher(str(index), bh.QueryEncoder(encoder))
        hits = searcher.batch_search(texts, ids, k=100, threads=2)
        assert_same(
            wanted, {key: {hit.docid: float(hit.score) for hit in hits[key]} for key in ids}
        )
        single = searcher.search(texts[0], 100)
        assert_same({ids[0]: wanted[ids[0]]}, {ids[0]: {hit.docid: hit.score for hit in single}})
        found = bh.open_index(index, encoder).search(texts, 100)
        assert_same(wanted, {key: dict(hits) for key, hits in zip(ids, found, strict=True)})
        run = tmp_path / f"{view.name}.txt"
        done = run_cli("pyserini", "--", "pyserini.search.faiss", "--index", index, "--output", run,
                   "--topics", tmp_path / "topics" / "en.tsv", "--hits", 100, "--batch-size", 64,
                   "--encoded-queries", tmp_path / "topics" / "encoded")  # fmt: skip
        assert done.code == 0
        assert_same(wanted, bh.read_run(run))


@pytest.mark.usefixtures("java")
def test_the_command_passes_arguments_and_exit_codes_on(tmp_path: Path, run_cli: RunCli) -> None:
    """Theirs is argparse, which ends with 2 where an option is missing."""
    done = run_cli("pyserini", "--", "pyserini.search.faiss", "--index", tmp_path)
    assert done.code == 2
    assert "the following arguments are required: --topics, --output" in done.err


@pytest.mark.usefixtures("java")
@pytest.mark.parametrize(
    ("module", "message"),
    [
        ([], "BadOption: name a module of Pyserini's, such as pyserini.search.faiss"),
        (["os"], "BadOption: 'os' is no module of Pyserini's, such as pyserini.search.faiss"),
        (["pyserini.search.faise"], "BadOption: Pyserini has no module 'pyserini.search.faise'"),
        (["pyserini.nothing.at.all"], "BadOption: Pyserini has no module 'pyserini.nothing.at"),
        (["pyserini"], "BadOption: Pyserini has no module 'pyserini' that can be run"),
    ],
)
def test_a_module_that_cannot_be_run_is_one_line(
    run_cli: RunCli, module: list[str], message: str
) -> None:
    done = run_cli("pyserini", "--", *module)
    assert done.code == 2
    assert done.err.startswith(message)
    assert done.err.count("\n") == 1


def test_the_topics_command(tmp_path: Path, run_cli: RunCli) -> None:
    static_model().save(str(tmp_path / "model"))
    folder = bh.write_folder(of_queries(["w1", "w2"]), tmp_path / "data")
    data = "--dataset", "beir-folder", "-o", f"path={folder}"
    out = tmp_path / "topics"
    done = run_cli("topics", tmp_path / "model", *data, "--output", out)
    assert (done.code, done.out) == (0, f"{out / 'en.tsv'}\n{out / 'encoded' / 'embedding.pkl'}\n")
    done = run_cli("topics", *data, "--output", tmp_path / "bare")
    assert (done.code, done.out) == (0, f"{tmp_path / 'bare' / 'en.tsv'}\n")
    for arguments, message in (
        (data, "Usage: Missing option '--output'. See "),
        ([*data, "--output", out, "--preset", "e5"], "BadOption: --preset is an option of a model"),
        ([*data, "--output", "xbpr"], "BadOption: Pyserini takes xbpr for a BPR model's"),
    ):
        done = run_cli("topics", *arguments)
        assert done.code == 2
        assert done.err.startswith(message)
