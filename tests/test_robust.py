"""Full and read-only disks, kills, rivals: a collection is whole, or built anew, or refused."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

import beir_hybrid as bh
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import NotWritable
from beir_hybrid.files import atomic_folder
from tests.http_server import serve_files

PAGE = 4096  # what a tmpfs hands out at a time
READ = """
import sys
import beir_hybrid as bh
found = bh.read_jsonl(sys.argv[1])
print(len(found.queries), len(found.passages), len(found.judgements))
"""
EXPORT = """
import sys
import time
from pathlib import Path
from beir_hybrid.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as folder:
    (folder / "corpus.jsonl").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give four passages in three languages."""
    path = tmp_path / "four.jsonl"
    rows = [
        {"question": "q", "text": {"en": "Who?", "de": "Wer?"}, "relevant": ["p"]},
        {"passage": "p", "text": {"en": "She.", "de": "Sie.", "tr": "O."}},
        {"passage": "r", "text": {"en": "He."}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _write(path: Path, passages: int, length: int) -> Path:
    """Write a question in two languages, answered by the last of many passages."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(passages):
            texts = {lang: f"{lang} {number} {'x' * length}" for lang in ("en", "de")}
            file.write(json.dumps({"passage": f"p{number}", "text": texts}) + "\n")
        answer = [f"p{passages - 1}"]
        question = {"question": "q", "text": {"en": "Which?", "de": "Was?"}, "relevant": answer}
        file.write(json.dumps(question) + "\n")
    return path


def _is_four(collection: bh.Collection) -> bool:
    return (
        collection.languages == ("de", "en", "tr")
        and collection.queries["id"].to_pylist() == ["de:q:q", "en:q:q"]
        and collection.passages["id"].to_pylist() == ["de:p", "en:p", "en:r", "tr:p"]
        and collection.passages["text"].to_pylist() == ["Sie.", "She.", "He.", "O."]
        and collection.judgements["query"].to_pylist() == [0, 0, 0, 1, 1, 1]
        and collection.judgements["passage"].to_pylist() == [0, 1, 3, 0, 1, 3]
    )


def _equal(one: bh.Collection, two: bh.Collection) -> bool:
    return (
        one.languages == two.languages
        and one.queries.equals(two.queries)
        and one.passages.equals(two.passages)
        and one.judgements.equals(two.judgements)
    )


def _built(cache: Path) -> list[Path]:
    """Return what lies beside the locks."""
    return [path for path in (cache / "collections").iterdir() if path.suffix != ".lock"]


def _mount(*arguments: str) -> None:
    program = shutil.which("mount")
    if program is None:
        pytest.skip("needs the program mount, to make a small disk")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a small disk: {done.stderr.strip()}")


@contextmanager
def _disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
    try:
        yield folder
    finally:
        # Lazily: the rows of collections are mapped from it until they are collected.
        subprocess.run([shutil.which("umount") or "umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a disk of 64 pages with the cache on it."""
    with _disk(tmp_path / "disk", "256k") as folder:
        monkeypatch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        yield folder


def _fill(ballast: Path) -> int:
    """Take all the room there is; return how many bytes that was."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            return file.tell()


def test_a_full_disk_stops_a_fetch_which_goes_on_when_there_is_room(disk: Path) -> None:
    data = bytes(range(256)) * 500  # 32 pages
    taken = _fill(disk / "ballast")
    os.truncate(disk / "ballast", taken - 16 * PAGE)
    with serve_files({"/big.bin": data}) as server:
        remote = Remote(f"{server.url}/big.bin", sha256(data).hexdigest())
        path = disk / "cache" / "files" / remote.place
        with pytest.raises(NotWritable) as raised:
            fetch(remote)
        assert str(raised.value) == (
            f"cannot write {path}.part: No space left on device; free some room, "
            "or set BEIR_HYBRID_CACHE if the cache should live elsewhere"
        )
        assert not path.exists()
        with pytest.raises(NotWritable, match="No space left on device; free some room"):
            fetch(remote)
        (disk / "ballast").unlink()
        assert fetch(remote) == path
        assert path.read_bytes() == data
        # The second and third take up where the disk was full.
        assert server.request_ranges[0] is None
        assert server.request_ranges[1] == server.request_ranges[2] != "bytes=0-"
        assert server.request_ranges[2] is not None
        assert len(server.request_ranges) == 3


def test_a_disk_that_is_full_anywhere_in_the_building_leaves_nothing(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _write(tmp_path / "some.jsonl", passages=40, length=300)
    room = _fill(disk / "ballast")
    refusals = 0
    while True:  # with a page more each time, it fails a little later
        try:
            collection = bh.read_jsonl(source)
            break
        except NotWritable as error:
            assert str(error).startswith(f"cannot write {disk / 'cache' / 'collections'}/")  # noqa: PT017
            assert "No space left on device; free some room, or set BEIR_HYBRID_CACHE" in str(error)  # noqa: PT017
            assert _built(disk / "cache") == []
        refusals += 1
        room -= PAGE
        os.truncate(disk / "ballast", room)
    # 40 texts of 300 letters in either language are 6 pages.
    assert 6 <= refusals <= 20
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "roomy"))
    assert _equal(collection, bh.read_jsonl(source))
    assert collection.passages["id"][39].as_py() == "de:p39"


def test_a_read_only_disk_still_gives_what_was_built(
    disk: Path, source: Path, tmp_path: Path
) -> None:
    with serve_files({"/a.bin": b"bytes"}) as server:
        remote = Remote(f"{server.url}/a.bin", sha256(b"bytes").hexdigest())
        other = Remote(f"{server.url}/b.bin", "0" * 64)
        fetch(remote)
        bh.read_jsonl(source)
        _mount("-o", "remount,ro", str(disk))
        assert fetch(remote).read_bytes() == b"bytes"
        assert _is_four(bh.read_jsonl(source))
        message = "Read-only file system; make it writable, or set BEIR_HYBRID_CACHE if the cache"
        with pytest.raises(NotWritable, match=message):
            fetch(other)
        with pytest.raises(NotWritable, match=message):
            bh.read_jsonl(_write(tmp_path / "new.jsonl", passages=2, length=3))
        assert server.request_ranges == [None]


def test_a_cache_below_a_file_asks_for_another(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(NotWritable) as raised:
        bh.read_jsonl(source)
    assert str(raised.value).startswith(f"cannot write {tmp_path}/file/cache/collections/four-")
    assert "Not a directory; make it writable, or set BEIR_HYBRID_CACHE" in str(raised.value)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("{}/file/out", "Not a directory; make it writable, or name another place"),
        ("/proc/nothing/out", "No such file or directory; name another place"),
        ("/proc/out", "No such file or directory; name another place"),
        (f"{{}}/{'x' * 300}", "File name too long; name another place"),
    ],
)
def test_an_export_that_cannot_be_written_asks_for_another_place(
    place: str, reason: str, source: Path, tmp_path: Path
) -> None:
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux's folder /proc, in which nobody can write")
    (tmp_path / "file").touch()
    folder = place.format(tmp_path)
    four = bh.read_jsonl(source)
    with pytest.raises(NotWritable) as raised:
        bh.write_folder(four, folder)
    assert str(raised.value) == f"cannot write {folder}: {reason}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "file", "four.jsonl"]


def test_an_export_onto_a_full_disk_asks_for_another_place(
    disk: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "roomy"))
    four = bh.read_jsonl(source)
    taken = _fill(disk / "ballast")
    os.truncate(disk / "ballast", taken - 2 * PAGE)
    with pytest.raises(NotWritable) as raised:
        bh.write_folder(four, disk / "out")
    assert str(raised.value) == (
        f"cannot write {disk}/out: No space left on device; free some room, or name another place"
    )
    assert [path.name for path in disk.iterdir()] == ["ballast"]


def test_a_source_that_cannot_be_read_is_no_matter_of_the_cache(
    own_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    def build(_: bh.CollectionWriter) -> None:
        (tmp_path / "file" / "topics.tsv").read_bytes()

    with pytest.raises(NotADirectoryError):
        load_or_build("toy", {}, build)
    with pytest.raises(NotADirectoryError), atomic_folder(tmp_path / "out"):
        (tmp_path / "file" / "topics.tsv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "file"]
    assert _built(own_cache) == []


def test_a_killed_export_leaves_nothing_once_it_is_run_again(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "exports" / "out"
    other = out.with_name(".out.notes.tmp")  # not ours
    command = [sys.executable, "-c", EXPORT, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        process.kill()
    other.touch()
    (left,) = out.parent.glob(".out.????????.tmp")
    assert (left / "corpus.jsonl").read_text() == "half"
    bh.write_folder(bh.read_jsonl(source), out)
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.notes.tmp", "out"]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == [
        "collection.json",
        "corpus.jsonl",
        "qrels",
        "qrels/test.tsv",
        "queries.jsonl",
    ]
    assert _is_four(bh.read_folder(out))


def test_a_killed_building_is_started_over(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _write(tmp_path / "many.jsonl", passages=60_000, length=30)
    command = [sys.executable, "-c", READ, str(source)]
    with subprocess.Popen(command) as process:
        # A file gets bytes with its first batch, after about a quarter of the rows.
        while not any(path.stat().st_size for path in own_cache.glob("collections/*/pass*.arrow")):
            time.sleep(0.001)
            assert process.poll() is None
        process.kill()
    (left,) = _built(own_cache)
    assert left.suffix == ".building"
    collection = bh.read_jsonl(source)
    (folder,) = _built(own_cache)
    assert folder.name == left.stem
    assert sorted(path.name for path in folder.iterdir()) == [
        "collection.json",
        "judgements.arrow",
        "passages-de.arrow",
        "passages-en.arrow",
        "queries-de.arrow",
        "queries-en.arrow",
    ]
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "undisturbed"))
    assert _equal(collection, bh.read_jsonl(source))
    assert collection.passages["id"][59_999].as_py() == "de:p59999"
    assert collection.judgements["passage"].to_pylist() == [59_999, 119_999] * 2


def test_two_processes_build_one_collection(tmp_path: Path, own_cache: Path) -> None:
    source = _write(tmp_path / "many.jsonl", passages=20_000, length=30)
    command = [sys.executable, "-c", READ, str(source)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as two,
    ):
        assert one.communicate()[0] == two.communicate()[0] == "2 40000 4\n"
    (folder,) = _built(own_cache)
    assert folder.suffix == ""


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", [_truncate, _empty, Path.unlink])
@pytest.mark.parametrize(
    "file", ["passages-en.arrow", "queries-de.arrow", "judgements.arrow", "collection.json"]
)
def test_a_damaged_collection_is_built_anew(
    file: str,
    damage: Callable[[Path], None],
    source: Path,
    own_cache: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bh.read_jsonl(source)
    (folder,) = _built(own_cache)
    whole = (folder / file).read_bytes()
    damage(folder / file)
    with caplog.at_level(logging.WARNING):
        assert _is_four(bh.read_jsonl(source))
    assert (folder / file).read_bytes() == whole
    assert _built(own_cache) == [folder]
    if (file, damage) != ("collection.json", Path.unlink):  # without one it never was whole
        assert caplog.text.count(f"building {folder} anew: ") == 1
    caplog.clear()
    assert _is_four(bh.read_jsonl(source))
    assert caplog.text == ""


def test_a_folder_where_a_file_has_to_be(tmp_path: Path) -> None:
    (tmp_path / "run.trec").mkdir()
    with pytest.raises(NotWritable, match="Is a directory; name another place"):
        bh.write_run(tmp_path / "run.trec", {"q": {"d": 1.0}})
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
