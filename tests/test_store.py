"""Texts are encoded once, and what lies on disk is whole, of these texts and of this model."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from beir_hybrid.encoding import Encoder, EncodingStats, encode
from beir_hybrid.encoding.store import open_space
from beir_hybrid.errors import BadData, NotWritable

ROOT = Path(__file__).parent.parent
DIM = 4
SHARD = 1024  # texts a shard holds, where there are few


def vector(text: str, seed: str = "") -> np.ndarray:
    """Return numbers that follow from the text alone."""
    digest = hashlib.sha256((seed + text).encode()).digest()
    return np.frombuffer(digest, np.uint32)[:DIM].astype(np.float32)


class Hashes(Encoder):
    """An encoder that turns texts into hashes, and notes which texts it was given."""

    def __init__(self, log: Path | None = None, delay: float = 0, **fingerprint: Any) -> None:
        self.fingerprint: Mapping[str, Any] = {"kind": "hashes", **fingerprint}
        self.log, self.delay = log, delay
        self.seen: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        time.sleep(self.delay)
        self.seen += texts
        if self.log:
            with self.log.open("a") as file:
                file.write("".join(f"{text}\n" for text in texts))
        return np.stack([vector(text, str(self.fingerprint.get("seed", ""))) for text in texts])

    encode_passages = encode_queries


def texts(n: int) -> list[str]:
    return [f"text {number}" for number in range(n)]


def assert_right(found: Any, wanted: Sequence[str], seed: str = "") -> None:
    assert np.array_equal(found.take(slice(None)), np.stack([vector(t, seed) for t in wanted]))


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file's bytes but the locks'."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def test_identical_texts_are_encoded_once_in_the_order_they_come(tmp_path: Path) -> None:
    encoder, done = Hashes(), EncodingStats()
    asked = ["b", "a", "b", "", "a", "ü", "b"]
    found = encode(encoder, asked, "queries", folder=tmp_path, stats=done)
    assert encoder.seen == ["b", "a", "", "ü"]
    assert done.texts == 4
    assert done.seconds > 0
    assert_right(found, asked)
    assert len(found) == 7
    again = encode(encoder, ["ü", "c", "b"], "queries", folder=tmp_path)
    assert encoder.seen == ["b", "a", "", "ü", "c"]
    assert_right(again, ["ü", "c", "b"])


def test_columns_in_chunks_are_read_as_lists_are(tmp_path: Path) -> None:
    column = pa.chunked_array([["x", "y"], [], ["y", "z"], ["x"]], pa.string())
    encoder = Hashes()
    found = encode(encoder, column, "passages", folder=tmp_path)
    assert encoder.seen == ["x", "y", "z"]
    assert_right(found, ["x", "y", "y", "z", "x"])
    assert_right(encode(encoder, column.slice(1, 3), "passages", folder=tmp_path), ["y", "y", "z"])
    assert encoder.seen == ["x", "y", "z"]


def test_roles_share_what_their_equal_prompts_allow(tmp_path: Path) -> None:
    same = Hashes(prompts={"queries": "", "passages": ""})
    encode(same, ["a"], "queries", folder=tmp_path)
    encode(same, ["a", "b"], "passages", folder=tmp_path)
    assert same.seen == ["a", "b"]
    other = Hashes(prompts={"queries": "q: ", "passages": ""})
    encode(other, ["a"], "queries", folder=tmp_path)
    encode(other, ["a", "b"], "passages", folder=tmp_path)
    assert other.seen == ["a"]  # as a passage it is there already
    silent = Hashes()
    encode(silent, ["a"], "queries", folder=tmp_path)
    encode(silent, ["a"], "passages", folder=tmp_path)
    assert silent.seen == ["a", "a"]


def test_another_fingerprint_reuses_nothing(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{}, {"seed": "1"}, {"seed": "2"}, {"seed": "1", "dtype": "x"}]
    for kind in kinds:
        encoder = Hashes(**kind)
        assert_right(
            encode(encoder, ["a"], "queries", folder=tmp_path), ["a"], kind.get("seed", "")
        )
        assert encoder.seen == ["a"]
    assert len(list(tmp_path.iterdir())) == len(kinds)
    manifest = json.loads((open_space(Hashes(seed="2"), "queries", tmp_path) / "space.json")
                          .read_text())  # fmt: skip
    assert (manifest["kind"], manifest["seed"], manifest["role"]) == ("hashes", "2", "queries")


@pytest.mark.parametrize("empty", [[], pa.chunked_array([], pa.string())])
def test_no_texts_give_no_rows(tmp_path: Path, empty: Any) -> None:
    encoder = Hashes()
    found = encode(encoder, empty, "queries", folder=tmp_path)
    assert (len(found), found.take(slice(None)).shape, encoder.seen) == (0, (0, 0), [])


SCRIPT = """
import sys
from pathlib import Path
from beir_hybrid.encoding import encode
from tests.test_store import Hashes, texts
folder, log, n, delay = sys.argv[1:]
encode(Hashes(Path(log), float(delay)), texts(int(n)), "queries", folder=Path(folder))
"""


def process(folder: Path, log: Path, n: int, delay: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(log), str(n), str(delay)], cwd=ROOT
    )


def test_killed_anywhere_it_goes_on_at_the_next_shard(tmp_path: Path) -> None:
    n = 6 * SHARD + 100
    encode(Hashes(), texts(n), "queries", folder=tmp_path / "whole")
    draw = np.random.default_rng()  # any moment will do
    folder, log = tmp_path / "killed", tmp_path / "log"
    for wait in (1, 3):
        with process(folder, log, n, 0.15) as running:
            while running.poll() is None and len(list(folder.rglob("*.note.json"))) < wait:
                time.sleep(0.002)
            time.sleep(draw.uniform(0, 0.2))
            running.send_signal(signal.SIGKILL)
    finished = len(list(folder.rglob("*.note.json")))
    assert 3 <= finished < 7
    before = tree(folder)
    encoder = Hashes()
    assert_right(encode(encoder, texts(n), "queries", folder=folder), texts(n))
    assert encoder.seen == texts(n)[finished * SHARD :]
    left = tree(folder)  # what the kills left under temporary names is gone
    assert left == tree(tmp_path / "whole")
    assert {name: left[name] for name in before if not name.endswith(".tmp")} == {
        name: content for name, content in before.items() if not name.endswith(".tmp")
    }
    # What was read before a kill but not finished is read twice at most; nothing else is.
    read = log.read_text().splitlines()
    assert len(read) <= (finished + 2) * SHARD


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit of a vector": lambda note: flip(beside(note, "vectors.npy")),
    "a flipped bit of a key": lambda note: flip(beside(note, "keys.npy")),
    "a short file": lambda note: os.truncate(beside(note, "vectors.npy"), 900),
    "an empty file": lambda note: beside(note, "keys.npy").write_bytes(b""),
    "no vectors": lambda note: beside(note, "vectors.npy").unlink(),
    "no note": Path.unlink,
    "half a note": lambda note: os.truncate(note, 20),
    "a note of something else": lambda note: note.write_text("[1, 2]"),
    "a note without checksums": lambda note: note.write_text('{"rows": 1024, "cut": []}'),
}


def beside(note: Path, name: str) -> Path:
    return note.with_name(note.name.replace("note.json", name))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_redone_and_no_other(tmp_path: Path, damage: str) -> None:
    n = 2 * SHARD + 10
    encode(Hashes(), texts(n), "queries", folder=tmp_path)
    whole = tree(tmp_path)
    notes = {json.loads(path.read_text())["rows"]: path for path in tmp_path.rglob("*.note.json")}
    last = notes[10]
    DAMAGE[damage](last)
    encoder = Hashes()
    assert_right(encode(encoder, texts(n), "queries", folder=tmp_path), texts(n))
    assert encoder.seen == texts(n)[-10:]
    assert tree(tmp_path) == whole


def test_what_a_killed_run_left_of_a_shard_is_swept(tmp_path: Path) -> None:
    encode(Hashes(), ["a"], "queries", folder=tmp_path)
    whole = tree(tmp_path)
    (note,) = tmp_path.rglob("*.note.json")
    name = note.name.removesuffix(".note.json")
    note.unlink()
    for part in ("keys.npy", "vectors.npy", "note.json"):
        note.with_name(f".{name}.{part}.0123abcd.tmp").write_bytes(b"half")
    others = note.with_name(".0123456789abcdef.keys.npy.0123abcd.tmp")
    others.write_bytes(b"half")  # of a process that is at work on another shard
    encode(Hashes(), ["a"], "queries", folder=tmp_path)
    assert tree(tmp_path) == whole | {str(others.relative_to(tmp_path)): b"half"}


@pytest.mark.parametrize(
    ("fingerprint", "message"),
    [
        ({"dim": np.int64(4)}, "Hashes: its fingerprint cannot .* at 'dim': .*int64"),
        ({"fine": 1, "deep": [{"x": {1, 2}}]}, "at 'deep': .*set"),
        ({3: 1}, "at '': .*not supported between"),
    ],
)
def test_a_fingerprint_that_is_no_json_says_where(
    tmp_path: Path, fingerprint: Any, message: str
) -> None:
    encoder = Hashes()
    encoder.fingerprint = {"kind": "hashes"} | fingerprint
    with pytest.raises(BadData, match=message):
        encode(encoder, ["a"], "queries", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_numbers_that_are_none_name_the_text_and_leave_nothing(tmp_path: Path, bad: float) -> None:
    class Broken(Hashes):
        def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
            rows = super().encode_queries(texts).astype(np.float64)
            rows[[text == "text 3" for text in texts], 1] = bad
            return rows

    with pytest.raises(BadData, match=r"Broken: 1 of 5 embeddings .* first row 3; .* 'text 3'"):
        encode(Broken(), texts(5), "queries", folder=tmp_path)
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
    class Fixed(Hashes):
        def encode_queries(self, _texts: Sequence[str]) -> np.ndarray:
            return rows

    before = encode(Hashes(), texts(3), "queries", folder=tmp_path)
    files = tree(tmp_path)
    with pytest.raises(BadData, match=message):
        encode(Fixed(), ["a", "b", "c"], "queries", folder=tmp_path)
    assert tree(tmp_path) == files
    assert_right(before, texts(3))


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    n, log = 5 * SHARD, tmp_path / "log"
    with process(tmp_path / "store", log, n, 0.1), process(tmp_path / "store", log, n, 0.1):
        pass
    # Each shard was encoded by one of them.
    assert sorted(log.read_text().splitlines()) == sorted(texts(n))
    encoder = Hashes()
    assert_right(encode(encoder, texts(n), "queries", folder=tmp_path / "store"), texts(n))
    assert encoder.seen == []


def test_a_full_disk_is_one_line_and_leaves_what_was_whole(tmp_path: Path) -> None:
    encode(Hashes(), ["small"], "queries", folder=tmp_path)
    files = tree(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(NotWritable, match=r"cannot write .*npy: File too large; free") as error:
            encode(Hashes(), texts(500), "queries", folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "\n" not in str(error.value)
    assert tree(tmp_path) == files


def test_many_small_shards_need_few_open_files(tmp_path: Path) -> None:
    encoder = Hashes()
    for text in texts(80):
        encode(encoder, [text], "queries", folder=tmp_path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + 20, before[1])
    )
    try:
        assert_right(encode(encoder, texts(80), "queries", folder=tmp_path), texts(80))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert encoder.seen == texts(80)
