"""Bad images and captions are named; odd ones, rivals and kills do no harm."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import beir_hybrid as bh
from beir_hybrid.errors import BadData
from tests.image_files import CATS, Row, load, make_image, write_images_folder

WHERE = "{folder}/captions.jsonl line 1"
OUTSIDE = "; it must be a path inside of {folder}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "/etc/passwd"}, WHERE + ": 'image' is '/etc/passwd'" + OUTSIDE),
        ({"image": "../out.png"}, WHERE + ": 'image' is '../out.png'" + OUTSIDE),
        ({"image": "a/../../out.png"}, WHERE + ": 'image' is 'a/../../out.png'" + OUTSIDE),
        ({"image": "link.png"}, WHERE + ": 'image' is 'link.png'" + OUTSIDE),
        ({"image": ""}, WHERE + ": 'image' is ''" + OUTSIDE),
        (
            {"image": "a\0.png"},
            WHERE + ": 'image' is 'a\\x00.png', which is no path: ",
        ),
        ({"image": "none.png"}, "x: 1 of 1 image is missing, first {folder}/none.png"),
        ({"image": "dir"}, "x: 1 of 1 image is unusable: {folder}/dir is a folder, not an image"),
        ({"image": 3}, WHERE + ": 'image' is 3, not text"),
        ({"image": None}, WHERE + ": 'image' is missing"),
        ({"id": "a b"}, "x: 2 passage ids with white space, first 'image:a b'; "),
        ({"id": "a\0"}, "x: 2 passage ids with white space, first 'image:a\\x00'; "),
        ({"id": "q:a"}, "x: 2 passage ids that start with 'q:' as query ids do, first "),
        ({"id": ""}, "x: 1 passages without an id, first 'image:'; 1 queries without an id"),
        ({"captions": ["A cat"]}, WHERE + ": 'captions' must map languages to texts"),
        ({"captions": {"en": [3]}}, WHERE + ": the captions in 'en' are [3], not texts"),
        ({"captions": {"en": [" \t"]}}, WHERE + ": a caption in 'en' is empty"),
        ({"captions": {"image": "x"}}, WHERE + ": unknown language code 'image'"),
        (
            {"captions": {"en": "x", "eng": "y"}},
            WHERE + ": there are captions in 'en' twice, under two codes",
        ),
        (
            {"captions": {"en": "cat.png"}},
            WHERE + ": the caption 'cat.png' in 'en' is the path or address of ",
        ),
        (
            {"captions": {"en": "https://x.org/cat.JPG?a=b"}},
            WHERE + ": the caption 'https://x.org/cat.JPG?a=b' in 'en' is the path or address of ",
        ),
        ({"captions": {}}, "x: there are no queries"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_hostile_rows_are_named(tmp_path: Path, change: Row, message: str) -> None:
    (tmp_path / "out.png").write_bytes(make_image(1))
    row = {"id": "cat", "image": "cat.png", "captions": {"en": "A cat"}}
    path = write_images_folder(tmp_path / "x", [row | change], {"cat.png": 0})
    (path / "link.png").symlink_to(tmp_path / "out.png")
    (path / "dir").mkdir()
    with pytest.raises(BadData) as error:
        load(path)
    assert str(error.value).startswith(message.format(folder=path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["x" * 5000 + ".png", "/".join(["ab"] * 1700) + ".png"])
def test_a_path_that_is_too_long_is_named(tmp_path: Path, path: str) -> None:
    row = {"id": "cat", "image": path, "captions": {"en": "A cat"}}
    with pytest.raises(BadData) as error:
        load(write_images_folder(tmp_path / "x", [row], {}))
    assert str(error.value).startswith(f"x: the image '{tmp_path}/x/{path[:20]}")
    assert str(error.value).endswith(" cannot be looked for: File name too long")
    assert len(str(error.value)) < 300


def test_odd_ids_and_texts_are_stored_unchanged(tmp_path: Path) -> None:
    captions = {
        "en": ["cat.png is its name", "none.png", f"{'x' * 300}.png", "a\0b", "see http://x"]
    }
    rows: list[Row] = [
        {"id": "image:1", "image": "cat.png", "captions": captions},
        {"id": "image:1-0", "image": "./a/../cat 2.png", "captions": {"en": "猫"}},
    ]
    odd = load(write_images_folder(tmp_path / "x", rows, {"cat.png": 0, "cat 2.png": 1}))
    assert odd.passages["id"].to_pylist() == [
        *(f"en:image:1-{number}" for number in range(5)),
        *("en:image:1-0-0", "image:image:1", "image:image:1-0"),
    ]
    assert odd.passages["text"].to_pylist()[:6] == [*captions["en"], "猫"]
    read = bh.read_folder(bh.write_folder(odd, tmp_path / "out"))
    assert read.passages.to_pylist() == odd.passages.to_pylist()
    assert read.judgements.to_pylist() == odd.judgements.to_pylist()


def test_unusable_images_are_counted(tmp_path: Path) -> None:
    rows = [{"id": f"{n}", "image": f"{n}.png", "captions": {"en": f"{n}"}} for n in range(4)]
    path = write_images_folder(tmp_path / "x", rows)
    (path / "1.png").write_bytes(b"")
    (path / "3.png").write_bytes(make_image(3)[:40])
    with pytest.raises(BadData) as error:
        load(path)
    message = f"x: 2 of 4 images are unusable: the image {path}/1.png is empty: 0 bytes"
    assert str(error.value) == message


@pytest.mark.parametrize("problem", ["folder", "captions", "twice", "json"])
def test_bad_folders_are_named(tmp_path: Path, problem: str) -> None:
    path = write_images_folder(tmp_path / "x", [CATS[0], CATS[0]])
    message = f"{path}/captions.jsonl line 2: the id 'cat' is there twice"
    if problem == "folder":
        path = tmp_path / "none"
        message = f"there is no folder {path}"
    elif problem == "captions":
        (path / "captions.jsonl").unlink()
        message = f"{path} lacks captions.jsonl, a line for each image"
    elif problem == "json":
        (path / "captions.jsonl").write_text("cat.png\tA cat\n", "utf-8")
        message = f"{path}/captions.jsonl line 1 is not JSON: "
    with pytest.raises(BadData) as error:
        load(path)
    assert str(error.value).startswith(message)


LOAD = """
import sys
import beir_hybrid as bh
print(bh.load("jsonl-image-text", path=sys.argv[1]))
"""


def test_two_processes_after_a_killed_one_build_one_collection(
    tmp_path: Path, own_cache: Path
) -> None:
    rows = [{"id": f"{n}", "image": f"{n}.png", "captions": {"en": f"n {n}"}} for n in range(1500)]
    path = write_images_folder(tmp_path / "many", rows)
    command = [sys.executable, "-c", LOAD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not list(own_cache.glob("collections/*.building")):
            time.sleep(0.005)
            assert process.poll() is None
        process.kill()
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    expected = "Collection('many', 1 language, 1,500 images, 3,000 queries, 3,000 passages)\n"
    assert [process.communicate()[0] for process in processes] == [expected, expected]
    assert [process.returncode for process in processes] == [0, 0]
    folders = [path.name for path in (own_cache / "collections").iterdir() if path.is_dir()]
    assert len(folders) == 1
    assert not folders[0].endswith(".building")
