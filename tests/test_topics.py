"""Pyserini reads our topics and vectors, and its searches equal our runs."""

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


def make_collection(texts: Sequence[str], lang: str = "en") -> Collection:
    queries = {f"{lang}:q:{number}": text for number, text in enumerate(texts)}
    qrels = {key: {f"{lang}:1": 1} for key in queries}
    return bh.from_beir({f"{lang}:1": {"text": "a"}}, queries, qrels)


class HashEncoder:
    """Makes vectors of the hashes of texts."""

    fingerprint = {"kind": "hashed"}  # noqa: RUF012 - as the protocol has it

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([hash_text(text) / 2**32 for text in texts])

    encode_passages = encode_queries


@pytest.mark.usefixtures("java")
def test_pyserini_reads_topics_and_vectors(tmp_path: Path) -> None:
    from pyserini.encode import QueryEncoder
    from pyserini.query_iterator import TopicsFormat, get_query_iterator

    out = tmp_path / "topics"
    paths = write_topics(make_collection(list(TEXTS)), out, HashEncoder())
    assert paths == [out / "en.tsv", out / "encoded" / "embedding.pkl"]
    topics = get_query_iterator(str(out / "en.tsv"), TopicsFormat.DEFAULT)
    assert dict(topics) == {
        f"en:q:{number}": text if expected is None else expected
        for number, (text, expected) in enumerate(TEXTS.items())
    }
    lookup = QueryEncoder(str(out / "encoded"))
    topic_texts = dict(topics)
    for number, text in enumerate(TEXTS):
        vector_of_text = lookup.encode(topic_texts[f"en:q:{number}"])
        assert vector_of_text.dtype == np.float32
        assert np.array_equal(vector_of_text, (hash_text(text) / 2**32).astype(np.float32))


def test_a_file_for_each_language_and_one_for_all(tmp_path: Path) -> None:
    corpus = {"en:1": {"text": "a"}, "de:1": {"text": "b"}}
    queries = {"en:q:2": "a", "en:q:1": "a b", "de:q:1": "b", "de:q:2": "a"}
    qrels = {key: {"en:1": 1} for key in queries}
    collection, encoder = bh.from_beir(corpus, queries, qrels), LetterEncoder()
    (tmp_path / "old").mkdir()
    write_topics(collection, tmp_path / "old", encoder)
    assert (tmp_path / "old" / "en.tsv").read_text() == "en:q:2\ta\nen:q:1\ta b\n"
    assert (tmp_path / "old" / "de.tsv").read_text() == "de:q:1\tb\nde:q:2\ta\n"
    all_lines = "de:q:1\tb\nde:q:2\ta\nen:q:2\ta\nen:q:1\ta b\n"
    assert (tmp_path / "old" / "all.tsv").read_text() == all_lines
    assert sorted(encoder.encoded_texts) == ["a", "a b", "b"]
    paths = write_topics(collection, tmp_path / "new", languages=["deu"])
    assert paths == [tmp_path / "new" / "de.tsv"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["de.tsv"]


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files in a folder by path; folders have none."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def test_a_full_disk_leaves_no_files(tmp_path: Path) -> None:
    corpus = {"en:1": {"text": "a"}, "de:1": {"text": "b"}}
    queries = {f"en:q:{number}": "a b" + " c" * number for number in range(40)} | {"de:q:1": "b"}
    collection = bh.from_beir(corpus, queries, {key: {"en:1": 1} for key in queries})
    out = tmp_path / "out" / "topics"
    (first, *_), last = (
        (paths := write_topics(collection, tmp_path / "whole", LetterEncoder())),
        paths[-1],
    )
    assert (first.name, last.name) == ("de.tsv", "embedding.pkl")
    sizes = [path.stat().st_size for path in paths]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3]  # de, en, all, vectors
    for size in (sizes[1] - 1, sizes[3] - 1):
        with full_disk(size), pytest.raises(NotWritable) as error:
            write_topics(collection, out, LetterEncoder())
        assert str(error.value) == (
            f"cannot write {out}: File too large; free some room, or name another place"
        )
        assert list(out.parent.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out", "whole"]


def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    collection, out, encoder = make_collection(["a", "b"]), tmp_path / "out", LetterEncoder()
    paths = write_topics(collection, out)
    files = read_files(out)
    message = f"{out} is there already; name a new folder or remove it"
    for queries, model in ((["a", "c"], encoder), (["a", "b"], encoder), (["a"], None)):
        with pytest.raises(BadOption, match=message):
            write_topics(make_collection(queries), out, model)
        assert read_files(out) == files
        if queries == ["a", "c"]:
            assert encoder.encoded_texts == []  # refused before all work
    assert write_topics(collection, out) == paths  # as a rerun after a kill does
    for path in (tmp_path / "file", tmp_path / "folder" / "notes"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "folder"):
        with pytest.raises(BadOption, match="is there already"):
            write_topics(collection, folder)
    assert (tmp_path / "file").read_text() == "mine"
    assert read_files(tmp_path / "folder") == {"notes": b"mine"}


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


def test_killed_topics_are_complete_when_written_again(tmp_path: Path) -> None:
    out, log = tmp_path / "made" / "out", tmp_path / "log"
    command = [sys.executable, "-c", SCRIPT, str(out), str(log)]
    with subprocess.Popen(command, cwd=ROOT) as running:
        while running.poll() is None and not log.exists():
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not out.exists()
    remainder = out.with_name(".out.0123abcd.tmp")  # of one that was killed while it wrote
    remainder.mkdir(parents=True)
    (remainder / "en.tsv").write_text("en:q:")
    write_topics(make_letter_queries(), out, LetterEncoder())
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    write_topics(
        make_letter_queries(), tmp_path / "whole", LetterEncoder(), store=tmp_path / "other"
    )
    assert read_files(out) == read_files(tmp_path / "whole")
    lines = (out / "en.tsv").read_text().splitlines()
    assert (len(lines), lines[6]) == (3000, "en:q:7\tb d")  # 7 is 13 to the base of 4


def test_folders_with_a_meaning_for_pyserini_are_refused(tmp_path: Path) -> None:
    collection = make_collection(["a"])
    for folder, message in (("xbpr", "for a BPR model's"), ("cacm", "for CACM's topics")):
        with pytest.raises(BadOption, match=message):
            write_topics(collection, tmp_path / folder)
    with pytest.raises(UnknownName, match="no language of beir is 'fr'"):
        write_topics(collection, tmp_path, languages="fr")
    with pytest.raises(BadData, match="the query 'en:q:0' has no text"):
        write_topics(make_collection(["\x01"]), tmp_path)
    bilingual = bh.from_beir({"de:1": {"text": "b"}}, {"en:q:1": "a"}, {"en:q:1": {"de:1": 1}})
    with pytest.raises(BadData, match="beir has no queries in de"):
        write_topics(bilingual, tmp_path, languages="de")


def test_queries_that_differ_in_white_space_alone_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collection = make_collection(["a b", "b", "a\tb", "b"])
    write_topics(
        collection, tmp_path / "same", LetterEncoder()
    )  # it splits at any space: one vector for both
    assert caplog.messages == []
    write_topics(collection, tmp_path / "other", HashEncoder())
    (message,) = caplog.messages
    assert message.startswith("topics cannot tell 'en:q:0' from 'en:q:2', which differs in white")


def test_a_query_encoder_has_the_query_prompt() -> None:
    model = static_model()
    encoder = bh.QueryEncoder(model, query_prompt="w1 ", passage_prompt="w2 ", normalize=True)
    first, second = (
        model.encode(f"w1 {text}", normalize_embeddings=True) for text in ("w7", "w8 w9")
    )
    assert encoder.encode("w7").dtype == np.float32
    assert encoder.encode("w7") == pytest.approx(first, abs=1e-6)
    assert encoder.encode("w7", qid=3) == pytest.approx(first, abs=1e-6)
    batch = encoder.encode_batch(["w7", {"qid": 1, "query": "w8 w9"}])
    assert batch == pytest.approx(np.stack([first, second]), abs=1e-6)


class WordEncoder:
    """Adds up a random vector for each word; vectors have unit length."""

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
def xquad_r(mirror: Path) -> Collection:
    """Load two languages of XQuAD-R."""
    assert mirror
    return bh.load("xquad-r", ["en", "de"])


def assert_same(our_run: Run, their_run: Run) -> None:
    """Compare runs up to swaps of passages whose scores are within two of the last decimal."""
    assert our_run.keys() == their_run.keys()
    for query, scores in our_run.items():
        our_hits, their_hits = (sorted(run.items(), key=lambda hit: -hit[1])
                       for run in (scores, their_run[query]))  # fmt: skip
        assert len(our_hits) == len(their_hits) == 100
        assert [score for _, score in their_hits] == pytest.approx(
            [s for _, s in our_hits], abs=2e-6
        )
        # One that we lack has the score of our last.
        last = our_hits[-1][1]
        assert [scores.get(key, last) for key, _ in their_hits] == pytest.approx(
            [score for _, score in our_hits], abs=2e-6
        )


def read_our_run(folder: Path, view: View) -> Run:
    return bh.read_run(
        folder / f"{view.name}.trec",
        view=view,
        known_passages=set(view.passages["id"].to_pylist()),
        known_queries=set(view.queries["id"].to_pylist()),
    )


@pytest.mark.usefixtures("java")
def test_searches_of_pyserini_equal_our_runs(
    tmp_path: Path, xquad_r: Collection, run_cli: RunCli
) -> None:
    """A pair of languages and the pool, by Pyserini's class and its command line."""
    from pyserini.search.faiss import FaissSearcher

    encoder = WordEncoder()
    bh.evaluate(encoder, xquad_r, measures="AP", runs=tmp_path / "runs", depth=100)
    write_topics(xquad_r, tmp_path / "topics", encoder)
    queries = xquad_r.view("en").queries
    ids, texts = queries["id"].to_pylist(), queries["text"].to_pylist()
    for view in (xquad_r.view("en", "de"), xquad_r.view("en")):
        index = bh.build_index(
            encoder, xquad_r, tmp_path / view.name, languages=view.passage_languages
        )
        our_run = read_our_run(tmp_path / "runs", view)
        searcher = FaissSearcher(str(index), bh.QueryEncoder(encoder))
        hits = searcher.batch_search(texts, ids, k=100, threads=2)
        assert_same(
            our_run, {key: {hit.docid: float(hit.score) for hit in hits[key]} for key in ids}
        )
        single = searcher.search(texts[0], 100)
        assert_same({ids[0]: our_run[ids[0]]}, {ids[0]: {hit.docid: hit.score for hit in single}})
        our_hits = bh.open_index(index, encoder).search(texts, 100)
        assert_same(our_run, {key: dict(hits) for key, hits in zip(ids, our_hits, strict=True)})
        run = tmp_path / f"{view.name}.txt"
        result = run_cli(
            "pyserini", "--", "pyserini.search.faiss", "--index", index, "--output", run,
            "--topics", tmp_path / "topics" / "en.tsv", "--hits", 100, "--batch-size", 64,
            "--encoded-queries", tmp_path / "topics" / "encoded",
        )  # fmt: skip
        assert result.code == 0
        assert_same(our_run, bh.read_run(run))


@pytest.mark.usefixtures("java")
def test_the_command_passes_arguments_and_exit_codes(tmp_path: Path, run_cli: RunCli) -> None:
    """Pyserini's argparse exits with 2 where an option is missing."""
    result = run_cli("pyserini", "--", "pyserini.search.faiss", "--index", tmp_path)
    assert result.code == 2
    assert "the following arguments are required: --topics, --output" in result.err


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
def test_impossible_modules_print_one_line(
    run_cli: RunCli, module: list[str], message: str
) -> None:
    result = run_cli("pyserini", "--", *module)
    assert result.code == 2
    assert result.err.startswith(message)
    assert result.err.count("\n") == 1


def test_the_topics_command(tmp_path: Path, run_cli: RunCli) -> None:
    static_model().save(str(tmp_path / "model"))
    folder = bh.write_folder(make_collection(["w1", "w2"]), tmp_path / "data")
    data = "--dataset", "beir-folder", "-o", f"path={folder}"
    out = tmp_path / "topics"
    result = run_cli("topics", tmp_path / "model", *data, "--output", out)
    assert (result.code, result.out) == (
        0,
        f"{out / 'en.tsv'}\n{out / 'encoded' / 'embedding.pkl'}\n",
    )
    result = run_cli("topics", *data, "--output", tmp_path / "bare")
    assert (result.code, result.out) == (0, f"{tmp_path / 'bare' / 'en.tsv'}\n")
    for arguments, message in (
        (data, "Usage: Missing option '--output'. See "),
        ([*data, "--output", out, "--preset", "e5"], "BadOption: --preset is an option of a model"),
        ([*data, "--output", "xbpr"], "BadOption: Pyserini takes xbpr for a BPR model's"),
    ):
        result = run_cli("topics", *arguments)
        assert result.code == 2
        assert result.err.startswith(message)
