"""Checksums of stored files: damage is an error, what the system refuses to read is no damage."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beir_hybrid.encoding import encode
from beir_hybrid.errors import BadData, NotReadable
from beir_hybrid.files import atomic_file, atomic_folder
from beir_hybrid.integrity import (
    compute_checksum,
    read_sealed_json,
    record_files,
    verify_files,
    write_sealed_json,
)
from tests.hash_encoder import ROOT, HashEncoder, flip_bit, read_files

RECORD = {"name": "Zürich", "mean": 0.055, "ranks": [1, 2.0, None], "nested": {"yes": True}}


def test_the_checksum_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    # As the specification of XXH3 has it, for the seed 0.
    assert compute_checksum(tmp_path / "empty") == "99aa06d3014798d86001c324468d497f"


def test_a_record_comes_back_and_any_flipped_bit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_sealed_json(path, RECORD)
    content = path.read_bytes()
    assert read_sealed_json(path, "write it anew") == RECORD
    n_errors = 0
    for position in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            assert read_sealed_json(path, "write it anew") == RECORD  # white space
        except BadData as error:
            assert str(error).endswith("; write it anew")  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
            n_errors += 1
    assert n_errors > 7.5 * len(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file .*record.json; write it"),
        ("", "record.json is not JSON: .*; write it"),
        ("[1]", "record.json is .1.; it must be a mapping; write it"),
        ('{"mean": 0.055}', "record.json has no checksum: it is damaged or of an earlier version;"),
        ('{"mean": 0.055, "checksum": "00"}', "damaged or was edited: its checksum is another;"),
    ],
)
def test_other_records_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "record.json").write_text(text)
    with pytest.raises(BadData, match=message):
        read_sealed_json(tmp_path / "record.json", "write it anew")


def test_files_are_compared_once_in_a_process_or_anew(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcd")
    records = record_files(tmp_path, ["a"])
    assert records == {"a": {"bytes": 4, "xxh3": compute_checksum(tmp_path / "a")}}
    verify_files(tmp_path, records, "cure")
    state = (tmp_path / "a").stat()
    flip_bit(tmp_path / "a")
    os.utime(tmp_path / "a", ns=(state.st_atime_ns, state.st_mtime_ns))  # rot changes no time
    verify_files(tmp_path, records, "cure")
    with pytest.raises(BadData, match="a is damaged: its checksum is another; cure"):
        verify_files(tmp_path, records, "cure", anew=True)
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(BadData, match="a is damaged: it has 3 bytes and should have 4; cure"):
        verify_files(tmp_path, records, "cure")
    (tmp_path / "a").unlink()
    with pytest.raises(BadData, match=r"there is no file .*/a; cure"):
        verify_files(tmp_path, records, "cure")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_vectors_that_cannot_be_read_are_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    encode(HashEncoder(), ["a", "b"], "queries", folder=tmp_path)
    before = read_files(tmp_path)

    def refuse(path: Path) -> str:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("beir_hybrid.integrity.compute_checksum", refuse)
    monkeypatch.setattr("beir_hybrid.integrity._verified_checksums", {})
    encoder = HashEncoder()
    with pytest.raises(NotReadable, match=rf"cannot read .*npy: {os.strerror(number)}$"):
        encode(encoder, ["a", "b"], "queries", folder=tmp_path)
    assert encoder.encoded_texts == []
    assert read_files(tmp_path) == before


SCRIPT = """
import sys, time
from pathlib import Path
from beir_hybrid.files import atomic_file
with atomic_file(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(60)
"""


def test_the_next_writer_removes_files_of_the_dead_and_of_no_others(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    command = [sys.executable, "-c", SCRIPT, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        (remnant,) = tmp_path.glob(".run.trec.*.tmp")
        with atomic_file(path) as temporary:
            temporary.write_bytes(b"whole")
        assert remnant.read_bytes() == b"half"  # its writer lives
        writer.send_signal(signal.SIGKILL)
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"whole again")
    assert read_files(tmp_path) == {"run.trec": b"whole again"}


def test_folders_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def sync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)

    def rename(source: Path, target: Path) -> Path:
        events.append("rename")
        source.replace(target)
        return target

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("text")
    assert events == ["inner", "file", folder.name, "rename", tmp_path.name]


def test_the_time_of_a_checksum_is_small(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(1 << 26))
    compute_checksum(tmp_path / "zeros")
    start = time.perf_counter()
    compute_checksum(tmp_path / "zeros")
    # 64 MiB take a hundredth of a second, and SHA-256 takes a tenth to a fifth.
    assert time.perf_counter() - start < 1


def test_a_record_is_json_that_others_read(tmp_path: Path) -> None:
    write_sealed_json(tmp_path / "record.json", RECORD)
    text = (tmp_path / "record.json").read_text("utf-8")
    assert json.loads(text) == RECORD | {"checksum": json.loads(text)["checksum"]}
    assert "Zürich" in text
