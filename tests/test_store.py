"""Texts are encoded once, and what lies on disk is whole, of these texts and of this model."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from beir_hybrid.encoding import EncodingStats, encode
from beir_hybrid.encoding.store import open_space
from beir_hybrid.errors import BadData, NotWritable, UnknownName
from beir_hybrid.integrity import record_file
from tests.hash_encoder import (
    DIM,
    ROOT,
    SHARD_TEXTS,
    HashEncoder,
    assert_vectors,
    flip_bit,
    make_texts,
    read_files,
)
from tests.sealed_files import rewrite


def test_identical_texts_are_encoded_once_in_the_order_they_come(tmp_path: Path) -> None:
    encoder, stats = HashEncoder(), EncodingStats()
    texts = ["b", "a", "b", "", "a", "ü", "b"]
    vectors = encode(encoder, texts, "queries", folder=tmp_path, stats=stats)
    assert encoder.encoded_texts == ["b", "a", "", "ü"]
    assert stats.texts == 4
    assert stats.seconds > 0
    assert_vectors(vectors, texts)
    assert len(vectors) == 7
    more_vectors = encode(encoder, ["ü", "c", "b"], "queries", folder=tmp_path)
    assert encoder.encoded_texts == ["b", "a", "", "ü", "c"]
    assert_vectors(more_vectors, ["ü", "c", "b"])


def test_columns_in_chunks_are_read_as_lists_are(tmp_path: Path) -> None:
    column = pa.chunked_array([["x", "y"], [], ["y", "z"], ["x"]], pa.string())
    encoder = HashEncoder()
    vectors = encode(encoder, column, "passages", folder=tmp_path)
    assert encoder.encoded_texts == ["x", "y", "z"]
    assert_vectors(vectors, ["x", "y", "y", "z", "x"])
    assert_vectors(
        encode(encoder, column.slice(1, 3), "passages", folder=tmp_path), ["y", "y", "z"]
    )
    assert encoder.encoded_texts == ["x", "y", "z"]


def test_roles_share_what_their_equal_prompts_allow(tmp_path: Path) -> None:
    same_prompts = HashEncoder(prompts={"queries": "", "passages": ""})
    encode(same_prompts, ["a"], "queries", folder=tmp_path)
    encode(same_prompts, ["a", "b"], "passages", folder=tmp_path)
    assert same_prompts.encoded_texts == ["a", "b"]
    other_prompts = HashEncoder(prompts={"queries": "q: ", "passages": ""})
    encode(other_prompts, ["a"], "queries", folder=tmp_path)
    encode(other_prompts, ["a", "b"], "passages", folder=tmp_path)
    assert other_prompts.encoded_texts == ["a"]  # as a passage it is there already
    no_prompts = HashEncoder()
    encode(no_prompts, ["a"], "queries", folder=tmp_path)
    encode(no_prompts, ["a"], "passages", folder=tmp_path)
    assert no_prompts.encoded_texts == ["a", "a"]


def test_another_fingerprint_reuses_nothing(tmp_path: Path) -> None:
    fingerprints: list[dict[str, Any]] = [
        {},
        {"seed": "1"},
        {"seed": "2"},
        {"seed": "1", "dtype": "x"},
    ]
    for fingerprint in fingerprints:
        encoder = HashEncoder(**fingerprint)
        assert_vectors(
            encode(encoder, ["a"], "queries", folder=tmp_path), ["a"], fingerprint.get("seed", "")
        )
        assert encoder.encoded_texts == ["a"]
    assert len(list(tmp_path.iterdir())) == len(fingerprints)
    manifest = json.loads((open_space(HashEncoder(seed="2"), "queries", tmp_path) / "space.json")
                          .read_text())  # fmt: skip
    assert (manifest["kind"], manifest["seed"], manifest["role"]) == ("hashes", "2", "queries")


@pytest.mark.parametrize("empty", [[], pa.chunked_array([], pa.string())])
def test_no_texts_give_no_rows(tmp_path: Path, empty: Any) -> None:
    encoder = HashEncoder()
    vectors = encode(encoder, empty, "queries", folder=tmp_path)
    assert (len(vectors), vectors.take(slice(None)).shape, encoder.encoded_texts) == (0, (0, 0), [])


SCRIPT = """
import sys
from pathlib import Path
from beir_hybrid.encoding import encode
from tests.hash_encoder import HashEncoder, make_texts
folder, log, n, delay = sys.argv[1:]
encode(HashEncoder(Path(log), float(delay)), make_texts(int(n)), "queries", folder=Path(folder))
"""


def process(folder: Path, log: Path, n: int, delay: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(log), str(n), str(delay)], cwd=ROOT
    )


def test_killed_anywhere_it_goes_on_at_the_next_shard(tmp_path: Path) -> None:
    n = 6 * SHARD_TEXTS + 100
    encode(HashEncoder(), make_texts(n), "queries", folder=tmp_path / "whole")
    draw = np.random.default_rng()  # any moment will do
    folder, log = tmp_path / "killed", tmp_path / "log"
    for wait in (1, 3):
        with process(folder, log, n, 0.15) as running:
            while running.poll() is None and len(list(folder.rglob("*.note.json"))) < wait:
                time.sleep(0.002)
            time.sleep(draw.uniform(0, 0.2))
            running.send_signal(signal.SIGKILL)
    n_finished = len(list(folder.rglob("*.note.json")))
    assert 3 <= n_finished < 7
    before = read_files(folder)
    encoder = HashEncoder()
    assert_vectors(encode(encoder, make_texts(n), "queries", folder=folder), make_texts(n))
    assert encoder.encoded_texts == make_texts(n)[n_finished * SHARD_TEXTS :]
    files = read_files(folder)  # what the kills left under temporary names is gone
    assert files == read_files(tmp_path / "whole")
    assert {name: files[name] for name in before if not name.endswith(".tmp")} == {
        name: content for name, content in before.items() if not name.endswith(".tmp")
    }
    # What was read before a kill but not finished is read twice at most; nothing else is.
    read_texts = log.read_text().splitlines()
    assert len(read_texts) <= (n_finished + 2) * SHARD_TEXTS


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit of a vector": lambda note: flip_bit(find_sibling(note, "vectors.npy")),
    "a flipped bit of a key": lambda note: flip_bit(find_sibling(note, "keys.npy")),
    "a short file": lambda note: os.truncate(find_sibling(note, "vectors.npy"), 900),
    "an empty file": lambda note: find_sibling(note, "keys.npy").write_bytes(b""),
    "no vectors": lambda note: find_sibling(note, "vectors.npy").unlink(),
    "no note": Path.unlink,
    "half a note": lambda note: os.truncate(note, 20),
    "a note of something else": lambda note: note.write_text("[1, 2]"),
    "a note without checksums": lambda note: note.write_text('{"rows": 1024, "cut": []}'),
}


def find_sibling(note: Path, name: str) -> Path:
    return note.with_name(note.name.replace("note.json", name))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_redone_and_no_other(tmp_path: Path, damage: str) -> None:
    n = 2 * SHARD_TEXTS + 10
    encode(HashEncoder(), make_texts(n), "queries", folder=tmp_path)
    whole = read_files(tmp_path)
    notes = {json.loads(path.read_text())["rows"]: path for path in tmp_path.rglob("*.note.json")}
    last = notes[10]
    DAMAGE[damage](last)
    encoder = HashEncoder()
    assert_vectors(encode(encoder, make_texts(n), "queries", folder=tmp_path), make_texts(n))
    assert encoder.encoded_texts == make_texts(n)[-10:]
    assert read_files(tmp_path) == whole


def test_what_a_killed_run_left_of_a_shard_is_swept(tmp_path: Path) -> None:
    encode(HashEncoder(), ["a"], "queries", folder=tmp_path)
    whole = read_files(tmp_path)
    (note,) = tmp_path.rglob("*.note.json")
    name = note.name.removesuffix(".note.json")
    note.unlink()
    for part in ("keys.npy", "vectors.npy", "note.json"):
        note.with_name(f".{name}.{part}.0123abcd.tmp").write_bytes(b"half")
    others = note.with_name(".0123456789abcdef.keys.npy.0123abcd.tmp")
    others.write_bytes(b"half")  # of a process that is at work on another shard
    encode(HashEncoder(), ["a"], "queries", folder=tmp_path)
    assert read_files(tmp_path) == whole | {str(others.relative_to(tmp_path)): b"half"}


@pytest.mark.parametrize(
    ("fingerprint", "message"),
    [
        ({"dim": np.int64(4)}, "HashEncoder: its fingerprint cannot .* at 'dim': .*int64"),
        ({"fine": 1, "deep": [{"x": {1, 2}}]}, "at 'deep': .*set"),
        ({3: 1}, "at '': .*not supported between"),
    ],
)
def test_a_fingerprint_that_is_no_json_says_where(
    tmp_path: Path, fingerprint: Any, message: str
) -> None:
    encoder = HashEncoder()
    encoder.fingerprint = {"kind": "hashes"} | fingerprint
    with pytest.raises(BadData, match=message):
        encode(encoder, ["a"], "queries", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_numbers_that_are_none_name_the_text_and_leave_nothing(tmp_path: Path, bad: float) -> None:
    class Broken(HashEncoder):
        def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
            rows = super().encode_queries(texts).astype(np.float64)
            rows[[text == "text 3" for text in texts], 1] = bad
            return rows

    with pytest.raises(BadData, match=r"Broken: 1 of 5 embeddings .* first row 3; .* 'text 3'"):
        encode(Broken(), make_texts(5), "queries", folder=tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
    assert not list(tmp_path.rglob("*.note.json"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, DIM), np.float32), r"shape \(2, 4\); expected \(3, dimensions\)"),
        (np.ones(3, np.float32), r"shape \(3,\); expected \(3, dimensions\)"),
        ([[1.0]] * 3, r"shape list; expected \(3, dimensions\)"),
        (np.ones((3, DIM), object), "are of type object; expected real numbers"),
        (np.full((3, DIM), "1"), "are of type <U1; expected real numbers"),
        (np.ones((3, DIM), np.complex64), "are of type complex64; expected real numbers"),
        (np.ones((3, 0), np.float32), r"shape \(3, 0\): they have no dimensions"),
        (np.ones((3, DIM + 1), np.float32), "have 5 dimensions, those before them 4"),
    ],
)
def test_rows_of_another_shape_are_refused(tmp_path: Path, rows: Any, message: str) -> None:
    class Fixed(HashEncoder):
        def encode_queries(self, _texts: Sequence[str]) -> np.ndarray:
            return rows

    before = encode(HashEncoder(), make_texts(3), "queries", folder=tmp_path)
    files = read_files(tmp_path)
    with pytest.raises(BadData, match=message):
        encode(Fixed(), ["a", "b", "c"], "queries", folder=tmp_path)
    assert read_files(tmp_path) == files
    assert_vectors(before, make_texts(3))


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    n, log = 5 * SHARD_TEXTS, tmp_path / "log"
    with process(tmp_path / "store", log, n, 0.1), process(tmp_path / "store", log, n, 0.1):
        pass
    # Each shard was encoded by one of them.
    assert sorted(log.read_text().splitlines()) == sorted(make_texts(n))
    encoder = HashEncoder()
    assert_vectors(
        encode(encoder, make_texts(n), "queries", folder=tmp_path / "store"), make_texts(n)
    )
    assert encoder.encoded_texts == []


def test_a_full_disk_is_one_line_and_leaves_what_was_whole(tmp_path: Path) -> None:
    encode(HashEncoder(), ["small"], "queries", folder=tmp_path)
    files = read_files(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(NotWritable, match=r"cannot write .*npy: File too large; free") as error:
            encode(HashEncoder(), make_texts(500), "queries", folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "\n" not in str(error.value)
    assert read_files(tmp_path) == files


def test_many_small_shards_need_few_open_files(tmp_path: Path) -> None:
    encoder = HashEncoder()
    for text in make_texts(80):
        encode(encoder, [text], "queries", folder=tmp_path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + 20, before[1])
    )
    try:
        assert_vectors(encode(encoder, make_texts(80), "queries", folder=tmp_path), make_texts(80))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert encoder.encoded_texts == make_texts(80)


def test_entries_of_a_fingerprint_keep_their_meaning(tmp_path: Path) -> None:
    for key in ("format", "role", "family", "prompt"):
        spaces = set()
        for value in ("a", "b"):
            encoder = HashEncoder()
            encoder.fingerprint = {"kind": "hashes", key: value}
            spaces.add(open_space(encoder, "queries", tmp_path))
        assert len(spaces) == 2, key
    with pytest.raises(BadData, match="the prompts of its fingerprint map no 'queries'"):
        open_space(HashEncoder(prompts={"query": ""}), "queries", tmp_path)


def test_a_shard_of_fewer_vectors_than_texts_is_redone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encode(HashEncoder(), make_texts(5), "queries", folder=tmp_path)
    (path,) = tmp_path.rglob("*.vectors.npy")
    np.save(path, np.load(path)[:4])
    (note,) = tmp_path.rglob("*.note.json")
    rewrite(note, lambda it: it["files"].update({path.name: record_file(path)}))
    encoder = HashEncoder()
    assert_vectors(encode(encoder, make_texts(5), "queries", folder=tmp_path), make_texts(5))
    assert "is of 4 vectors for 5 texts" in caplog.text


def test_a_role_that_is_none_is_refused(tmp_path: Path) -> None:
    role: Any = "query"
    with pytest.raises(UnknownName, match="no role 'query'; did you mean 'queries'"):
        encode(HashEncoder(), ["a"], role, folder=tmp_path)
