"""Full disks, read-only disks, kills and rival processes: no collection is left incomplete."""

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
from beir_hybrid.errors import BadOption, NotWritable
from beir_hybrid.files import atomic_file, atomic_folder
from tests.http_server import serve_files

PAGE = 4096  # what a tmpfs hands out at a time
READ = """
import sys
import beir_hybrid as bh
collection = bh.read_jsonl(sys.argv[1])
print(len(collection.queries), len(collection.passages), len(collection.judgements))
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


def test_folders_whose_names_begin_alike_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As when two indexes are built at once, for two versions of a model."""
    with atomic_folder(tmp_path / "bge-v1.5") as first:
        (first / "index").write_text("1.5")
        with atomic_folder(tmp_path / "bge-v1") as second:
            (second / "index").write_text("1")
    assert (tmp_path / "bge-v1.5" / "index").read_text() == "1.5"
    assert (tmp_path / "bge-v1" / "index").read_text() == "1"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file with four passages in three languages."""
    path = tmp_path / "four.jsonl"
    rows = [
        {"query": "q", "text": {"en": "Who?", "de": "Wer?"}, "relevant": ["p"]},
        {"passage": "p", "text": {"en": "She.", "de": "Sie.", "tr": "O."}},
        {"passage": "r", "text": {"en": "He."}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def write_passages(path: Path, passages: int, length: int) -> Path:
    """Write a question in two languages, whose gold is the last of many passages."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(passages):
            texts = {lang: f"{lang} {number} {'x' * length}" for lang in ("en", "de")}
            file.write(json.dumps({"passage": f"p{number}", "text": texts}) + "\n")
        answer = [f"p{passages - 1}"]
        question = {"query": "q", "text": {"en": "Which?", "de": "Was?"}, "relevant": answer}
        file.write(json.dumps(question) + "\n")
    return path


def is_source(collection: bh.Collection) -> bool:
    return (
        collection.languages == ("de", "en", "tr")
        and collection.queries["id"].to_pylist() == ["de:q:q", "en:q:q"]
        and collection.passages["id"].to_pylist() == ["de:p", "en:p", "en:r", "tr:p"]
        and collection.passages["text"].to_pylist() == ["Sie.", "She.", "He.", "O."]
        and collection.judgements["query"].to_pylist() == [0, 0, 0, 1, 1, 1]
        and collection.judgements["passage"].to_pylist() == [0, 1, 3, 0, 1, 3]
    )


def are_equal(one: bh.Collection, two: bh.Collection) -> bool:
    return (
        one.languages == two.languages
        and one.queries.equals(two.queries)
        and one.passages.equals(two.passages)
        and one.judgements.equals(two.judgements)
    )


def list_folders(cache: Path) -> list[Path]:
    """Return the folders of collections, without the locks."""
    return [path for path in (cache / "collections").iterdir() if path.suffix != ".lock"]


def _mount(*arguments: str) -> None:
    program = shutil.which("mount")
    if program is None:
        pytest.skip("needs the program mount, to make a small disk")
    process = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if process.returncode:
        pytest.skip(f"needs the right to mount a small disk: {process.stderr.strip()}")


@contextmanager
def mount_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
    try:
        yield folder
    finally:
        # Lazily: the rows of collections are mapped from it until they are collected.
        subprocess.run([shutil.which("umount") or "umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a disk of 64 pages that has the cache."""
    with mount_disk(tmp_path / "disk", "256k") as folder:
        monkeypatch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        yield folder


def fill_disk(ballast: Path) -> int:
    """Fill the disk with a file, and return the size of the file in bytes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            return file.tell()


def test_a_fetch_stopped_by_a_full_disk_is_resumed(disk: Path) -> None:
    data = bytes(range(256)) * 500  # 32 pages
    size = fill_disk(disk / "ballast")
    os.truncate(disk / "ballast", size - 16 * PAGE)
    with serve_files({"/big.bin": data}) as server:
        remote = Remote(f"{server.url}/big.bin", sha256(data).hexdigest())
        path = disk / "cache" / "files" / remote.place
        with pytest.raises(NotWritable) as error:
            fetch(remote)
        assert str(error.value) == (
            f"cannot write {path}.part: No space left on device; free some room, "
            "or set BEIR_HYBRID_CACHE if the cache should live elsewhere"
        )
        assert not path.exists()
        with pytest.raises(NotWritable, match="No space left on device; free some room"):
            fetch(remote)
        (disk / "ballast").unlink()
        assert fetch(remote) == path
        assert path.read_bytes() == data
        # The second and third request resume where the disk was full.
        assert server.request_ranges[0] is None
        assert server.request_ranges[1] == server.request_ranges[2] != "bytes=0-"
        assert server.request_ranges[2] is not None
        assert len(server.request_ranges) == 3


def test_building_on_a_full_disk_leaves_nothing(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_passages(tmp_path / "some.jsonl", passages=40, length=300)
    size = fill_disk(disk / "ballast")
    refusals = 0
    while True:  # each time there is a page more, and building fails a little later
        try:
            collection = bh.read_jsonl(source)
            break
        except NotWritable as error:
            assert str(error).startswith(f"cannot write {disk / 'cache' / 'collections'}/")  # noqa: PT017
            assert "No space left on device; free some room, or set BEIR_HYBRID_CACHE" in str(error)  # noqa: PT017
            assert list_folders(disk / "cache") == []
        refusals += 1
        size -= PAGE
        os.truncate(disk / "ballast", size)
    # 40 texts of 300 letters in either language are 6 pages.
    assert 6 <= refusals <= 20
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "roomy"))
    assert are_equal(collection, bh.read_jsonl(source))
    assert collection.passages["id"][39].as_py() == "de:p39"


def test_a_read_only_disk_serves_existing_files(disk: Path, source: Path, tmp_path: Path) -> None:
    with serve_files({"/a.bin": b"bytes"}) as server:
        remote = Remote(f"{server.url}/a.bin", sha256(b"bytes").hexdigest())
        missing = Remote(f"{server.url}/b.bin", "0" * 64)
        fetch(remote)
        bh.read_jsonl(source)
        _mount("-o", "remount,ro", str(disk))
        assert fetch(remote).read_bytes() == b"bytes"
        assert is_source(bh.read_jsonl(source))
        message = "Read-only file system; make it writable, or set BEIR_HYBRID_CACHE if the cache"
        with pytest.raises(NotWritable, match=message):
            fetch(missing)
        with pytest.raises(NotWritable, match=message):
            bh.read_jsonl(write_passages(tmp_path / "new.jsonl", passages=2, length=3))
        assert server.request_ranges == [None]


def test_a_cache_below_a_file_is_not_writable(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(NotWritable) as error:
        bh.read_jsonl(source)
    assert str(error.value).startswith(f"cannot write {tmp_path}/file/cache/collections/four-")
    assert "Not a directory; make it writable, or set BEIR_HYBRID_CACHE" in str(error.value)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("{}/file/out", "Not a directory; make it writable, or name another place"),
        ("/proc/nothing/out", "No such file or directory; name another place"),
        ("/proc/out", "No such file or directory; name another place"),
        (f"{{}}/{'x' * 300}", "File name too long; name another place"),
    ],
)
def test_an_export_to_a_bad_place_is_not_writable(
    place: str, reason: str, source: Path, tmp_path: Path
) -> None:
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux's folder /proc, in which nobody can write")
    (tmp_path / "file").touch()
    folder = place.format(tmp_path)
    four = bh.read_jsonl(source)
    with pytest.raises(NotWritable) as error:
        bh.write_folder(four, folder)
    assert str(error.value) == f"cannot write {folder}: {reason}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "file", "four.jsonl"]


def test_an_export_onto_a_full_disk_is_not_writable(
    disk: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "roomy"))
    four = bh.read_jsonl(source)
    size = fill_disk(disk / "ballast")
    os.truncate(disk / "ballast", size - 2 * PAGE)
    with pytest.raises(NotWritable) as error:
        bh.write_folder(four, disk / "out")
    assert str(error.value) == (
        f"cannot write {disk}/out: No space left on device; free some room, or name another place"
    )
    assert [path.name for path in disk.iterdir()] == ["ballast"]


def test_errors_of_reading_sources_stay_as_they_are(own_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def build(_: bh.CollectionWriter) -> None:
        (tmp_path / "file" / "topics.tsv").read_bytes()

    with pytest.raises(NotADirectoryError):
        load_or_build("toy", {}, build)
    with pytest.raises(NotADirectoryError), atomic_folder(tmp_path / "out"):
        (tmp_path / "file" / "topics.tsv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "file"]
    assert list_folders(own_cache) == []


def test_a_second_run_removes_the_remnants_of_a_killed_export(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "exports" / "out"
    stranger = out.with_name(".out.notes.tmp")  # not ours
    command = [sys.executable, "-c", EXPORT, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        process.kill()
    stranger.touch()
    (remnant,) = out.parent.glob(".out.????????.tmp")
    assert (remnant / "corpus.jsonl").read_text() == "half"
    bh.write_folder(bh.read_jsonl(source), out)
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.notes.tmp", "out"]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == [
        "collection.json",
        "corpus.jsonl",
        "qrels",
        "qrels/test.tsv",
        "queries.jsonl",
    ]
    assert is_source(bh.read_folder(out))


def test_a_killed_build_starts_over(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_passages(tmp_path / "many.jsonl", passages=60_000, length=30)
    command = [sys.executable, "-c", READ, str(source)]
    with subprocess.Popen(command) as process:
        # A file gets bytes with its first batch, after about a quarter of the rows.
        while not any(path.stat().st_size for path in own_cache.glob("collections/*/pass*.arrow")):
            time.sleep(0.001)
            assert process.poll() is None
        process.kill()
    (remnant,) = list_folders(own_cache)
    assert remnant.suffix == ".building"
    collection = bh.read_jsonl(source)
    (folder,) = list_folders(own_cache)
    assert folder.name == remnant.stem
    assert sorted(path.name for path in folder.iterdir()) == [
        "collection.json",
        "judgements.arrow",
        "passages-de.arrow",
        "passages-en.arrow",
        "queries-de.arrow",
        "queries-en.arrow",
    ]
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "undisturbed"))
    assert are_equal(collection, bh.read_jsonl(source))
    assert collection.passages["id"][59_999].as_py() == "de:p59999"
    assert collection.judgements["passage"].to_pylist() == [59_999, 119_999] * 2


def test_two_processes_build_one_collection(tmp_path: Path, own_cache: Path) -> None:
    source = write_passages(tmp_path / "many.jsonl", passages=20_000, length=30)
    command = [sys.executable, "-c", READ, str(source)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as rival,
    ):
        assert process.communicate()[0] == rival.communicate()[0] == "2 40000 4\n"
    (folder,) = list_folders(own_cache)
    assert folder.suffix == ""


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _zero_page(path: Path) -> None:
    """Overwrite the middle of a file; its size stays."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + PAGE] = bytes(len(content[middle : middle + PAGE]))
    path.write_bytes(content)


def _flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _empty, _zero_page, _flip_bit, Path.unlink])
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
    (folder,) = list_folders(own_cache)
    content = (folder / file).read_bytes()
    damage(folder / file)
    with caplog.at_level(logging.WARNING):
        assert is_source(bh.read_jsonl(source))
    assert (folder / file).read_bytes() == content
    assert list_folders(own_cache) == [folder]
    assert caplog.text.count(f"building {folder} anew: ") == 1
    caplog.clear()
    assert is_source(bh.read_jsonl(source))
    assert caplog.text == ""


def test_devices_and_nameless_places_are_no_files_to_replace(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotWritable, match="pipe: it is a device or a pipe; name another place"):
        bh.write_run(tmp_path / "pipe", {"q": {"d": 1.0}})
    with pytest.raises(NotWritable, match=r"cannot write \.: it has no name"), atomic_file(Path()):
        pass
    with pytest.raises(BadOption, match=r"a run is a file, and '\.' is the name of none"):
        bh.write_run(".", {"q": {"d": 1.0}})
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_where_a_file_has_to_be(tmp_path: Path) -> None:
    (tmp_path / "run.trec").mkdir()
    with pytest.raises(NotWritable, match="Is a directory; name another place"):
        bh.write_run(tmp_path / "run.trec", {"q": {"d": 1.0}})
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
