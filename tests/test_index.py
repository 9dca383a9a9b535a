"""What we write is what faiss would write, Pyserini opens it, and it is whole or not there."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption, NotWritable, UnknownName
from beir_hybrid.pyserini.dense import verify_index
from beir_hybrid.pyserini.faiss_files import IndexKind, read_faiss, write_faiss
from beir_hybrid.pyserini.index import build_index, write_index
from beir_hybrid.pyserini.manifest import read_manifest
from beir_hybrid.pyserini.search import search_index
from tests.disks import full_disk
from tests.hash_encoder import flip_bit
from tests.letter_encoder import N_TEXTS, LetterEncoder, make_letter_passages
from tests.models import static_model
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["run_cli"]

ROOT = Path(__file__).parent.parent


@pytest.fixture
def small() -> Collection:
    """Four passages in two languages, German first by code; two of them have the same text."""
    corpus = {
        "en:1": {"text": "a"},
        "en:2": {"text": "a b"},
        "de:1": {"text": "a"},
        "de:2": {"text": "c", "title": "b"},
    }
    queries = {"en:q:1": "a", "de:q:1": "d"}
    qrels = {"en:q:1": {"en:1": 1, "de:1": 1}, "de:q:1": {"en:1": 1, "de:1": 1}}
    return bh.from_beir(corpus, queries, qrels)


ROWS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 0]], np.float32)  # de:1 de:2 en:1 en:2


def written(index: Any, folder: Path) -> bytes:
    """Return the file that faiss itself writes of an index."""
    faiss.write_index(index, str(folder / "theirs"))
    return (folder / "theirs").read_bytes()


def test_the_folder_holds_vectors_ids_and_what_they_are(tmp_path: Path, small: Collection) -> None:
    encoder = LetterEncoder()
    assert build_index(encoder, small, tmp_path / "index") == tmp_path / "index"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "index"]
    theirs = faiss.IndexFlatIP(3)
    theirs.add(ROWS)
    content = (tmp_path / "index" / "index").read_bytes()
    assert content == written(theirs, tmp_path)
    docid = (tmp_path / "index" / "docid").read_bytes()
    assert docid == b"de:1\nde:2\nen:1\nen:2\n"
    assert encoder.encoded_texts == ["a", "b c", "a b"]
    about = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert (about["kind"], about["passages"], about["dim"]) == ("flat", 4, 3)
    assert about["model"]["fingerprint"] == encoder.fingerprint
    assert about["model"]["name"] == "LetterEncoder"
    assert about["collection"]["title_policy"] == "title+text"
    assert about["collection"]["name"] == "beir"
    assert about["languages"] == ["de", "en"]
    assert about["files"] == {
        "index": {"bytes": 45 + 4 * 3 * 4, "sha256": hashlib.sha256(content).hexdigest()},
        "docid": {"bytes": 20, "sha256": hashlib.sha256(docid).hexdigest()},
    }


def test_the_manifest_tells_a_models_recipe(tmp_path: Path, small: Collection) -> None:
    static_model().save(str(tmp_path / "model"))
    build_index(str(tmp_path / "model"), small, tmp_path / "out", passage_prompt="w1 ",
                normalize=True, truncate_dim=8)  # fmt: skip
    about = read_manifest(tmp_path / "out")
    model = about["model"]
    assert model["name"] == str(tmp_path / "model")
    assert model["options"] == {"passage_prompt": "w1 ", "normalize": True, "truncate_dim": 8}
    known = model["fingerprint"]
    assert known["prompts"] == {"queries": "", "passages": "w1 "}
    assert (known["normalize"], known["truncate_dim"], known["dtype"]) == (True, 8, "float32")
    assert len(known["weights"]) == 64
    assert known["modules"][0]["class"].endswith("StaticEmbedding")
    assert about["dim"] == 8


def scattered(n: int, dim: int, seed: int = 3) -> tuple[Embeddings, np.ndarray]:
    """Return vectors that lie in three files in any order, and as one matrix."""
    draw = np.random.default_rng(seed)
    parts = [draw.standard_normal((n, dim), np.float32) for _ in range(3)]
    shard, place = draw.integers(0, 3, n).astype(np.int32), draw.permutation(n).astype(np.int32)
    return Embeddings(parts, shard, place), np.stack(parts)[shard, place]


KINDS: dict[str, Callable[[int], Any]] = {
    "flat": faiss.IndexFlatIP,
    "sq8": lambda dim: faiss.IndexScalarQuantizer(
        dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_streamed_file_is_the_one_that_faiss_writes(tmp_path: Path, kind: Any) -> None:
    vectors, rows = scattered(40_000, 6)  # more than two blocks
    write_faiss(vectors, tmp_path / "ours", kind)
    theirs = KINDS[kind](6)
    theirs.train(rows)
    theirs.add(rows)
    assert (tmp_path / "ours").read_bytes() == written(theirs, tmp_path)


def test_approximate_kinds_find_what_they_should(tmp_path: Path) -> None:
    _, rows = scattered(11_000, 12)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    asked = rows[:500]
    exact = np.argmax(asked @ rows.T, axis=1)
    # 4 * sqrt(11,000) is 419, and with 39 vectors a list there are 282; 12 dimensions make 3 codes.
    known: dict[IndexKind, tuple[dict[str, int], float]] = {
        "hnsw": ({"M": 32, "efConstruction": 200, "efSearch": 128}, 0.99),
        "ivfpq": ({"nlist": 282, "nprobe": 64, "code size": 3, "trained on": 11_000}, 0.3),
    }
    for kind, (parameters, least) in known.items():
        told = write_faiss(Embeddings.from_array(rows), tmp_path / kind, kind)
        assert told.items() >= parameters.items()
        _, found = read_faiss(tmp_path / kind).search(asked, 1)
        assert (found[:, 0] == exact).mean() >= least
    opened = read_faiss(tmp_path / "ivfpq")
    assert (opened.nprobe, opened.nlist, opened.metric_type) == (64, 282, 0)
    assert read_faiss(tmp_path / "hnsw").hnsw.efSearch == 128


def test_nothing_is_encoded_twice(tmp_path: Path, small: Collection) -> None:
    encoder = LetterEncoder()
    bh.evaluate(encoder, small, measures="AP")
    assert sorted(encoder.encoded_texts) == sorted(["a", "b c", "a b", "a", "d"])
    encoder.encoded_texts.clear()
    for kind in ("flat", "sq8", "hnsw"):
        build_index(encoder, small, tmp_path / kind, kind=kind)
    build_index(encoder, small, tmp_path / "de", languages="deu")
    assert encoder.encoded_texts == []
    assert (tmp_path / "de" / "docid").read_text() == "de:1\nde:2\n"
    assert np.array_equal(read_faiss(tmp_path / "de" / "index").reconstruct_n(0, 2), ROWS[:2])
    assert read_manifest(tmp_path / "de")["languages"] == ["de"]


def test_shards_are_indexes_of_their_own(tmp_path: Path, small: Collection) -> None:
    build_index(LetterEncoder(), small, tmp_path / "out", shards=3)
    parts = sorted((tmp_path / "out").iterdir())
    assert [part.name for part in parts] == ["shard-00", "shard-01", "shard-02"]
    assert [(part / "docid").read_text() for part in parts] == ["de:1\n", "de:2\n", "en:1\nen:2\n"]
    rows = [read_faiss(part / "index").reconstruct_n(0, n) for part, n in zip(parts, (1, 1, 2))]  # noqa: B905
    assert np.array_equal(np.concatenate(rows), ROWS)
    assert [part["shard"] for part in verify_index(tmp_path / "out")] == [
        {"number": number, "of": 3} for number in range(3)
    ]
    assert bh.open_index(parts[2], LetterEncoder()).search(["b"], 1) == [[("en:2", 1.0)]]
    # A shard that is lost is built again, the others are left as they are.
    before = {path: path.stat().st_mtime_ns for path in parts[0].iterdir()}
    for path in parts[1].iterdir():
        path.unlink()
    parts[1].rmdir()
    with pytest.raises(BadData, match="has 2 of 3 shards"):
        verify_index(tmp_path / "out")
    with pytest.raises(BadData, match="has 2 of 3 shards"):
        search_index(tmp_path / "out", "w1", model=LetterEncoder(), collection=small)
    build_index(LetterEncoder(), small, tmp_path / "out", shards=3)
    assert (parts[1] / "docid").read_text() == "de:2\n"
    assert {path: path.stat().st_mtime_ns for path in parts[0].iterdir()} == before
    with pytest.raises(BadOption, match="shard-00 is there already and holds something else"):
        build_index(LetterEncoder(), small, tmp_path / "out", shards=2)
    # One shard twice is not the set, though their number is right.
    shutil.rmtree(parts[1])
    shutil.copytree(parts[0], parts[1])
    for check in (
        verify_index,
        lambda folder: search_index(folder, "b", model=LetterEncoder(), collection=small),
    ):
        with pytest.raises(BadData, match="holds shards of different indexes"):
            check(tmp_path / "out")


def test_a_second_build_leaves_the_first_and_another_is_refused(
    tmp_path: Path, small: Collection
) -> None:
    out = build_index(LetterEncoder(), small, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    build_index(LetterEncoder(), small, out)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    first: dict[str, Any] = {"model": LetterEncoder(), "collection": small, "output": out}
    others: list[dict[str, Any]] = [
        {"model": LetterEncoder(seed=1)},
        {"kind": "sq8"},
        {"languages": "en"},
        {"collection": replace(small, title_policy="text")},
    ]
    for other in others:
        with pytest.raises(BadOption, match="out is there already and holds something else; name"):
            build_index(**first | other)
    (tmp_path / "own").mkdir()
    build_index(LetterEncoder(), small, tmp_path / "own")  # an empty folder will do
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(BadOption, match="notes is there already"):
        build_index(LetterEncoder(), small, tmp_path / "notes")
    with pytest.raises(BadOption, match="out holds an index already"):
        build_index(LetterEncoder(), small, out, shards=2)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"


SCRIPT = """
import sys
from pathlib import Path
from beir_hybrid.pyserini.index import build_index
from tests.letter_encoder import LetterEncoder, make_letter_passages
store, out, log, delay = sys.argv[1:]
encoder = LetterEncoder(Path(log), float(delay))
build_index(encoder, make_letter_passages(), out, store=store)
"""


def process(folder: Path, out: Path, delay: float) -> "subprocess.Popen[bytes]":
    arguments = [folder / "store", out, folder / "log", delay]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)], cwd=ROOT)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_build_goes_on_and_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    with process(tmp_path, out, 0.3) as running:
        while running.poll() is None and len(list(tmp_path.rglob("*.note.json"))) < 1:
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
    assert not out.exists()
    left = out.with_name(".out.0123abcd.tmp")  # of a build killed while it wrote
    left.mkdir(parents=True)
    (left / "index").write_bytes(b"half")
    with process(tmp_path, out, 0) as running:
        assert running.wait() == 0
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    # The texts of the shards that were whole were read once.
    assert len((tmp_path / "log").read_text().splitlines()) <= N_TEXTS + 1024
    whole = build_index(
        LetterEncoder(), make_letter_passages(), tmp_path / "whole", store=tmp_path / "other"
    )
    assert content(out) == content(whole)
    assert verify_index(out)[0]["passages"] == N_TEXTS


WRITING = """
import sys, time
from collections.abc import Sequence
from pathlib import Path
import numpy as np
import pyarrow as pa
from beir_hybrid.encoding import Embeddings
from beir_hybrid.pyserini.index import write_index

class Slow(Sequence):
    rows = np.random.default_rng(4).standard_normal((40_000, 2), np.float32)

    def __len__(self):
        return 1

    def __getitem__(self, number):
        print("read", flush=True)
        time.sleep(float(sys.argv[3]))
        return self.rows

n = 40_000 if sys.argv[2] == "flat" else 400
ids = pa.chunked_array([[f"en:{number}" for number in range(n)]])
zeros, all = np.zeros(n, np.int32), np.arange(n, dtype=np.int32)
write_index(Embeddings(Slow(), zeros, all), ids, Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_build_killed_while_it_writes_is_started_over(tmp_path: Path, kind: str) -> None:
    # Of the three blocks of 40,000 vectors one stands in the file; a graph is in memory yet.
    out = tmp_path / "made" / "out"
    command = [sys.executable, "-c", WRITING, str(out), kind]
    with subprocess.Popen([*command, "0.5"], cwd=ROOT, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        while not (
            left := list(out.parent.glob(".out.*.tmp/index" if kind == "flat" else ".out.*.tmp"))
        ):
            time.sleep(0.002)
            assert running.poll() is None
        running.send_signal(signal.SIGKILL)
    assert len(left) == 1
    assert not out.exists()
    rows = np.random.default_rng(4).standard_normal((40_000, 2), np.float32)
    for folder in (out, tmp_path / "whole"):
        again = [sys.executable, "-c", WRITING, str(folder), kind, "0"]
        # Several threads would draw other graphs.
        subprocess.run(again, cwd=ROOT, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert content(out) == content(tmp_path / "whole")
    (about,) = verify_index(out)
    assert np.array_equal(
        read_faiss(out / "index").reconstruct_n(0, about["passages"]), rows[: about["passages"]]
    )


def test_two_builds_at_once_make_one_index(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    with process(tmp_path, out, 0.05) as one, process(tmp_path, out, 0.05) as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert len((tmp_path / "log").read_text().splitlines()) == N_TEXTS
    assert verify_index(out, LetterEncoder(), make_letter_passages())[0]["passages"] == N_TEXTS


def with_ids(small: Collection, *ids: str) -> Collection:
    table = small.passages
    at = table.schema.get_field_index("id")
    return replace(small, passages=table.set_column(at, "id", pa.chunked_array([list(ids)])))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("de: 2", "1 passage ids are empty or hold white space, first 'de: 2'"),
        ("de:2\n", r"hold white space, first 'de:2\\n'"),
        ("de:2\u3000", "hold white space"),
        ("de:2\x85", "hold white space"),
        ("", "empty or hold white space, first ''"),
        ("de:1", "1 passage ids occur more than once, first 'de:1'"),
    ],
)
def test_ids_that_a_docid_file_cannot_hold_are_refused(
    tmp_path: Path, small: Collection, bad: str, message: str
) -> None:
    encoder = LetterEncoder()
    with pytest.raises(BadData, match=f"beir, all-all: .*{message}"):
        build_index(encoder, with_ids(small, "de:1", bad, "en:1", "en:2"), tmp_path / "out")
    assert encoder.encoded_texts == []
    assert not (tmp_path / "out").exists()


def test_what_makes_no_index_is_refused_before_anything_is_encoded(
    tmp_path: Path, small: Collection
) -> None:
    encoder, out = LetterEncoder(), tmp_path / "out"
    first: dict[str, Any] = {"model": encoder, "collection": small, "output": out}
    none = replace(small, passage_counts={"de": 4}, languages=("de", "en"))
    for error, message, given in (
        (BadData, "en: there are no passages", {"collection": none, "languages": "en"}),
        (
            BadOption,
            "Pyserini takes .*bpr.* for a BPR model's",
            {"output": tmp_path / "xbpr" / "y"},
        ),
        (BadOption, r"at least 9,984 passages, and there are 4; take flat", {"kind": "ivfpq"}),
        (UnknownName, "no kind of index 'flatt'; did you mean 'flat'", {"kind": "flatt"}),
        (BadOption, "shards is 0; .* from 1 to 4 passages", {"shards": 0}),
        (BadOption, "shards is 5; .* from 1 to 4 passages", {"shards": 5}),
        (UnknownName, "no language of beir is 'fr'", {"languages": "fr"}),
        (BadOption, "a collection is wanted, not a str", {"collection": "xquad-r"}),
    ):
        with pytest.raises(error, match=message):
            build_index(**first | given)
    assert encoder.encoded_texts == []
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "n"), [("flat", 1000), ("sq8", 1000), ("hnsw", 1000), ("ivfpq", 9984)]
)
def test_a_full_disk_leaves_nothing(tmp_path: Path, kind: IndexKind, n: int) -> None:
    vectors, _ = scattered(n, 4)
    ids = pa.chunked_array([[f"en:{number}" for number in range(n)]])
    out = tmp_path / "out" / "index"
    with full_disk(3_900), pytest.raises(NotWritable) as error:  # of these indexes sq8 has 4 kB
        write_index(vectors, ids, out, kind)
    assert str(error.value) == (
        f"cannot write {out}: File too large; free some room, or name another place"
    )
    assert list(out.parent.iterdir()) == []
    write_index(vectors, ids, out, kind)
    assert [about["passages"] for about in verify_index(out)] == [n]


@pytest.fixture
def built(tmp_path: Path, small: Collection) -> Path:
    return build_index(LetterEncoder(), small, tmp_path / "out")


def resigned(folder: Path, name: str) -> None:
    """Write the checksum and size of a changed file into the manifest."""
    about = json.loads((folder / "manifest.json").read_text())
    changed = (folder / name).read_bytes()
    about["files"][name] = {"bytes": len(changed), "sha256": hashlib.sha256(changed).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(about))


def garbled(folder: Path) -> None:
    (folder / "index").write_bytes(b"x" * 93)
    resigned(folder, "index")


def one_id_less(folder: Path) -> None:
    (folder / "docid").write_text("de:1\nde:2\nen:1\n")
    resigned(folder, "docid")


def other_dim(folder: Path) -> None:
    index = faiss.IndexFlatIP(2)
    index.add(ROWS[:, :2].copy())
    faiss.write_index(index, str(folder / "index"))
    resigned(folder, "index")


DAMAGE: dict[str, tuple[Callable[[Path], object], str, bool]] = {
    # what is done, what is said, and whether opening notices too
    "a flipped bit": (
        lambda out: flip_bit(out / "index"),
        "out/index is damaged: its check",
        False,
    ),
    "another id": (lambda out: flip_bit(out / "docid"), "out/docid is damaged: its check", False),
    "a short file": (lambda out: os.truncate(out / "index", 60), "index is missing or cut", True),
    "no docid": (lambda out: (out / "docid").unlink(), "docid is missing or cut short", True),
    "no manifest": (lambda out: (out / "manifest.json").unlink(), "manifest.json is missing", True),
    "half a manifest": (lambda out: os.truncate(out / "manifest.json", 50), "or damaged", True),
    "a manifest of nothing": (
        lambda out: (out / "manifest.json").write_text('{"files": {}}'),
        "manifest.json is missing or damaged",
        True,
    ),
    "no index of faiss": (garbled, "index is missing, damaged or no index of faiss", True),
    "an id less": (one_id_less, "docid has 3 ids, index beside it 4 vectors", True),
    "other dimensions": (other_dim, "index is not what manifest.json beside it describes", False),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_named(built: Path, damage: str) -> None:
    verify_index(built)
    do, message, at_once = DAMAGE[damage]
    do(built)
    with pytest.raises(BadData, match=message):
        verify_index(built)
    if at_once:
        with pytest.raises(BadData, match=message):
            bh.open_index(built, LetterEncoder())


def test_vectors_that_the_model_does_not_make_are_found(
    tmp_path: Path, small: Collection, built: Path
) -> None:
    class Turned(LetterEncoder):
        def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
            return super().encode_passages(texts)[:, ::-1]

    verify_index(built, LetterEncoder(), small)
    with pytest.raises(BadData, match="out: the vector of 'de:1' is not what the model makes"):
        verify_index(built, Turned(), small)
    with pytest.raises(
        BadOption, match=r"out was built with LetterEncoder; .* differs in its seed"
    ):
        verify_index(built, LetterEncoder(seed=2), small)
    with pytest.raises(BadData, match="holds 'en:2', which beir lacks"):
        verify_index(built, LetterEncoder(), with_ids(small, "de:1", "de:2", "en:1", "en:3"))
    for kind in ("sq8", "hnsw"):
        build_index(LetterEncoder(), small, tmp_path / kind, kind=kind)
        verify_index(tmp_path / kind, LetterEncoder(), small)


def test_an_open_index_answers_its_own_model(built: Path) -> None:
    index = bh.open_index(built, LetterEncoder())
    # a + b: 2 for en:2, 1 for the others, in the order of rows.
    found = index.search(["a b", "c"], 9)
    assert found[0][0] == ("en:2", 2.0)
    assert sorted(found[0][1:]) == [("de:1", 1.0), ("de:2", 1.0), ("en:1", 1.0)]
    assert found[1][0] == ("de:2", 1.0)
    assert [len(rows) for rows in found] == [4, 4]
    assert index.ids == ["de:1", "de:2", "en:1", "en:2"]
    # A newer library is no other model, another seed is.
    assert bh.open_index(built, LetterEncoder(versions={"x": "2"})).search(["c"], 1) == [
        [("de:2", 1.0)]
    ]
    with pytest.raises(
        BadOption, match=r"built with LetterEncoder; .* differs in its seed: .* or force it"
    ):
        bh.open_index(built, LetterEncoder(seed=2))
    forced = bh.open_index(built, LetterEncoder(seed=2), force=True)
    assert forced.search(["b"], 1) in ([[("de:2", 1.0)]], [[("en:2", 1.0)]])


def test_another_prompt_or_length_of_vector_is_another_model(
    tmp_path: Path, small: Collection
) -> None:
    model = static_model()
    out = build_index(model, small, tmp_path / "out", query_prompt="w1 ", passage_prompt="w2 ")
    bh.open_index(out, model, query_prompt="w1 ", passage_prompt="w2 ", batch_size=2)
    for options, part in (
        ({"query_prompt": "", "passage_prompt": "w2 "}, "prompts"),
        ({"query_prompt": "w1 ", "passage_prompt": "w2 ", "normalize": False}, "normalize"),
    ):
        with pytest.raises(BadOption, match=f"differs in its {part}: "):
            bh.open_index(out, model, **options)
    with pytest.raises(BadOption, match="differs in its weights: "):
        bh.open_index(out, static_model(seed=8), query_prompt="w1 ", passage_prompt="w2 ")


def test_the_command_builds_and_checks(tmp_path: Path, run_cli: RunCli) -> None:
    static_model().save(str(tmp_path / "model"))
    small = {"en:1": {"text": "w1"}, "de:1": {"text": "w2"}}
    folder = bh.write_folder(
        bh.from_beir(small, {"en:q:1": "w1"}, {"en:q:1": {"en:1": 1}}), tmp_path / "data"
    )
    data = "--dataset", "beir-folder", "-o", f"path={folder}"
    out = tmp_path / "out"
    done = run_cli("index", tmp_path / "model", *data, "--output", out, "--query-prompt", "w3 ")
    assert (done.code, done.out) == (0, f"{out} written: flat, 2 vectors x 16\n"), done.err
    assert read_manifest(out)["model"]["options"] == {"query_prompt": "w3 "}
    done = run_cli("index", tmp_path / "model", *data, "--output", tmp_path / "two", "--shards", 2,
               "--type", "sq8")  # fmt: skip
    assert done.out == f"{tmp_path / 'two'} written: 2 shards of sq8, 2 vectors x 16\n"
    done = run_cli("index", "--verify", out)
    assert done.out == f"{out} is whole: flat, 2 vectors x 16\n"
    done = run_cli("index", tmp_path / "model", *data, "--verify", out, "--query-prompt", "w3 ")
    assert done.out == f"{out} is whole: flat, 2 vectors x 16\n"
    flip_bit(out / "index")
    done = run_cli("index", "--verify", out)
    assert done.code == 2
    assert done.err.startswith(f"BadData: {out}/index is damaged")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "BadOption: index takes MODEL, --dataset and --output"),
        (["m", "--output", "x"], "BadOption: index takes MODEL, --dataset and --output"),
        (["m", "--dataset", "d", "--output", "bpr"], "BadOption: Pyserini takes bpr for"),
        (["m", "--dataset", "d", "--output", "x", "--type", "hsnw"], "UnknownName: no kind of"),
        (["m", "--verify", "x"], "BadOption: --verify alone checks the files; for the vectors"),
        (["--verify", "x", "--output", "y"], "BadOption: name --output or --verify, not both"),
        (["--verify", "x"], "BadData: x/manifest.json is missing or damaged; name a folder that"),
    ],
)
def test_a_command_that_makes_no_sense_is_one_line(
    run_cli: RunCli, arguments: list[str], message: str
) -> None:
    done = run_cli("index", *arguments)
    assert done.code == 2
    assert done.err.startswith(message)
    assert done.err.count("\n") == 1
