"""Collections of images and captions: folders of one's own, and published datasets."""

import gzip
import json
import os
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import beir_hybrid as bh
from beir_hybrid.collection import Origin
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.errors import BadData, BadOption, UnknownName, Unreachable
from beir_hybrid.sources.image_hub import _read_table
from tests.http_server import serve_files

Row = dict[str, Any]
PROGRAM = Path(sys.executable).with_name("beir-hybrid")
LOAD = """
import sys
import beir_hybrid as bh
print(bh.load("jsonl-image-text", path=sys.argv[1]))
"""
WIT = """
import beir_hybrid as bh
print(bh.load("wit", "el"))
"""
XM3600 = "mteb/xm3600", "536cd45bbfe53de9b08c0483bb4a76a4bd3673fa"
XFLICKRCO = "mteb/xflickrco", "4da629e05455d757306174cdc72f2edfe00b9027"
WIT_TABLES = "mteb/wit", "91ac153f1371a98b209ed763205e25e115ecd06e"


def make_image(number: int, kind: str = "PNG") -> bytes:
    """Return an image of two times two pixels of its own colour."""
    file = BytesIO()
    Image.new("RGB", (2, 2), (number >> 8, number & 255, 7)).save(file, kind)
    return file.getvalue()


def write_images_folder(path: Path, rows: list[Row], images: dict[str, int] | None = None) -> Path:
    """Write a folder of images and captions; by default, images are numbered like rows."""
    path.mkdir(exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (path / "captions.jsonl").write_text(lines, "utf-8")
    if images is None:
        images = {row["image"]: number for number, row in enumerate(rows)}
    for name, number in images.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(make_image(number))
    return path


def load(path: Path, **options: Any) -> bh.Collection:
    return bh.load("jsonl-image-text", path=path, **options)


def list_judgements(collection: bh.Collection) -> dict[str, dict[str, int]]:
    """Return all judgements by id, as they are stored."""
    queries, passages = (
        table["id"].to_pylist() for table in (collection.queries, collection.passages)
    )
    judgements: dict[str, dict[str, int]] = {}
    for row in collection.judgements.to_pylist():
        judgements.setdefault(queries[row["query"]], {})[passages[row["passage"]]] = row[
            "relevance"
        ]
    return judgements


CATS: list[Row] = [
    {"id": "cat", "image": "a/cat.png", "captions": {"en": ["A cat", "Puss"], "de": "Katze"}},
    {"id": "sun", "image": "sun.png", "captions": {"zza": "Roc", "eng": "The sun"}, "keywords": 3},
]


def test_captions_and_images_are_queries_and_passages(tmp_path: Path, caplog: Any) -> None:
    cats = load(write_images_folder(tmp_path / "cats", CATS))
    assert repr(cats) == "Collection('cats', 3 languages, 2 images, 7 queries, 7 passages)"
    # Images lie behind the last code.
    assert (cats.languages, cats.codes) == (("de", "en", "zza"), ("de", "en", "zza", "image"))
    root = tmp_path / "cats"
    cat, sun = (
        {
            "lang": "image",
            "text": f"sha256:{sha256((root / name).read_bytes()).hexdigest()}",
            "image": str(root / name),
        }
        for name in ("a/cat.png", "sun.png")
    )
    texts = {
        "de:cat-0": "Katze",
        "en:cat-0": "A cat",
        "en:cat-1": "Puss",
        "en:sun-0": "The sun",
        "zza:sun-0": "Roc",
    }
    captions = [
        {"id": key, "lang": key.split(":")[0], "title": "", "text": text, "image": None}
        for key, text in texts.items()
    ]
    assert cats.passages.to_pylist() == [
        *captions,
        {"id": "image:cat", "title": "", **cat},
        {"id": "image:sun", "title": "", **sun},
    ]
    assert cats.queries.to_pylist() == [
        *(
            {
                "id": key.replace(":", ":q:"),
                "lang": key.split(":")[0],
                "text": text,
                "group": key.split(":")[1].removesuffix("-0").removesuffix("-1"),
                "image": None,
            }
            for key, text in texts.items()
        ),
        {"id": "image:q:cat", "group": "cat", **cat},
        {"id": "image:q:sun", "group": "sun", **sun},
    ]
    assert list_judgements(cats) == {
        "de:q:cat-0": {"de:cat-0": SELF_MATCH, "en:cat-0": 1, "en:cat-1": 1, "image:cat": 1},
        "en:q:cat-0": {"de:cat-0": 1, "en:cat-0": SELF_MATCH, "en:cat-1": 1, "image:cat": 1},
        "en:q:cat-1": {"de:cat-0": 1, "en:cat-0": 1, "en:cat-1": SELF_MATCH, "image:cat": 1},
        "en:q:sun-0": {"en:sun-0": SELF_MATCH, "zza:sun-0": 1, "image:sun": 1},
        "zza:q:sun-0": {"en:sun-0": 1, "zza:sun-0": SELF_MATCH, "image:sun": 1},
        "image:q:cat": {"de:cat-0": 1, "en:cat-0": 1, "en:cat-1": 1, "image:cat": SELF_MATCH},
        "image:q:sun": {"en:sun-0": 1, "zza:sun-0": 1, "image:sun": SELF_MATCH},
    }
    assert [record.getMessage() for record in caplog.records] == [
        "cats: images without a caption in a language: de 1, zza 1"
    ]


def test_settings_of_images(tmp_path: Path) -> None:
    cats = load(write_images_folder(tmp_path / "cats", CATS))
    assert [(view.kind, view.name) for view in cats.list_settings()] == [
        ("mono", "en-en"),
        *[("cross", "de-en"), ("cross", "en-de"), ("cross", "en-zza"), ("cross", "zza-en")],
        *[("multi", "de-all"), ("multi", "en-all"), ("multi", "zza-all")],
        *[("text-image", "de-image"), ("text-image", "en-image"), ("text-image", "zza-image")],
        *[("image-text", "image-de"), ("image-text", "image-en"), ("image-text", "image-zza")],
        ("image-pool", "image-all"),
        *[("mixed", "de-mixed"), ("mixed", "en-mixed"), ("mixed", "zza-mixed")],
    ]
    assert [view.name for view in cats.list_settings("image-text")] == [
        *("image-de", "image-en", "image-zza")
    ]
    # A caption is not relevant to itself, and the sun has no other English caption.
    mono = cats.view("en", "en")
    assert mono.to_beir()[2] == {"en:q:cat-0": {"en:cat-1": 1}, "en:q:cat-1": {"en:cat-0": 1}}
    assert [rows.tolist() for rows in mono.self_matches] == [[1, 2], [1, 2]]
    # In the pool of captions and images, a caption's image and its other captions are relevant.
    mixed = cats.view("de", cats.codes)
    assert mixed.to_beir()[2] == {"de:q:cat-0": {"en:cat-0": 1, "en:cat-1": 1, "image:cat": 1}}
    assert [rows.tolist() for rows in mixed.self_matches] == [[0], [0]]
    assert list(mixed.to_beir()[0])[-2:] == ["image:cat", "image:sun"]
    # No German caption is of the sun.
    assert cats.view("image", "de").to_beir()[1:] == (
        {"image:q:cat": cats.passages["text"][5].as_py()},
        {"image:q:cat": {"de:cat-0": 1}},
    )
    assert cats.view("image", "de").self_matches[0].tolist() == []
    assert (cats.find_query_rows("image"), cats.find_passage_rows("zza")) == (
        range(5, 7),
        range(4, 5),
    )


def test_views_name_images_last(tmp_path: Path) -> None:
    cats = load(write_images_folder(tmp_path / "cats", CATS))
    assert cats.view(["image", "en"], "image").query_languages == ("en", "image")
    assert cats.view(["image", "eng"], ["de", "image"]).name == "en+image-de+image"
    assert cats.view(None, None).name == "all-all"
    assert cats.view(cats.codes, "image").kind == "mixed"
    assert cats.view("image", ["de", "en"]).kind == "image-pool"
    assert cats.view(["de", "en"], "image").kind == "text-image"
    with pytest.raises(UnknownName, match=r"^no language of cats is 'images'; there are "):
        cats.view("images")
    plain = bh.from_beir({"en:1": {"text": "a"}}, {"en:q:1": "b"}, {"en:q:1": {"en:1": 1}})
    assert (plain.has_images, plain.codes) == (False, ("en",))
    with pytest.raises(UnknownName, match=r"^no language of beir is 'image'; there are en "):
        plain.view("image")


def test_one_language_of_captions_has_no_pool(tmp_path: Path) -> None:
    rows = [{"id": "a", "image": "a.png", "captions": {"en": ["x", "y"]}}]
    views = load(write_images_folder(tmp_path / "one", rows)).list_settings()
    assert [view.name for view in views] == ["en-en", "en-image", "image-en", "en-mixed"]


def test_beir_folders_keep_images(tmp_path: Path) -> None:
    cats = load(write_images_folder(tmp_path / "cats", CATS))
    out = bh.write_folder(cats, tmp_path / "out")
    read = bh.read_folder(out)
    assert read.name == "cats"
    assert read.queries.to_pylist() == cats.queries.to_pylist()
    assert read.passages.to_pylist() == cats.passages.to_pylist()
    assert read.judgements.to_pylist() == cats.judgements.to_pylist()
    assert [view.name for view in read.list_settings()] == [
        view.name for view in cats.list_settings()
    ]
    again = bh.write_folder(read, tmp_path / "again")
    for file in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "collection.json"):
        assert (again / file).read_bytes() == (out / file).read_bytes()
    # A folder of one setting: images for English captions.
    view = cats.view("en", "image")
    read = bh.read_folder(bh.write_folder(view, tmp_path / "view"))
    assert read.name == "cats.en-image"
    assert read.view("en", "image").to_beir() == view.to_beir()
    assert read.passages["image"].to_pylist() == [
        str(tmp_path / "cats" / name) for name in ("a/cat.png", "sun.png")
    ]
    # Among captions, the caption that is the query itself stays marked.
    mono = bh.read_folder(bh.write_folder(cats.view("en", "en"), tmp_path / "mono"))
    assert [rows.tolist() for rows in mono.view("en", "en").self_matches] == [[0, 1], [0, 1]]


def test_languages_can_be_chosen(tmp_path: Path) -> None:
    path = write_images_folder(tmp_path / "cats", CATS)
    german = bh.load("jsonl-image-text", "ger", path=path)
    assert german.languages == ("de",)
    # The sun, which has no German caption, is a passage only.
    assert german.queries["id"].to_pylist() == ["de:q:cat-0", "image:q:cat"]
    assert german.passages["id"].to_pylist() == ["de:cat-0", "image:cat", "image:sun"]
    with pytest.raises(UnknownName, match=r"has no captions in fr$"):
        bh.load("jsonl-image-text", ["de", "fr"], path=path)


def test_equal_files_are_one_image(tmp_path: Path, caplog: Any) -> None:
    rows = [
        {"id": "a", "image": "a.png", "captions": {"en": "one"}},
        {"id": "b", "image": "b.png", "captions": {"de": "zwei"}},
        {"id": "c", "image": "c.png", "captions": {"de": "drei", "en": "three"}},
        {"id": "d", "image": "a.png", "captions": {}},
    ]
    twins = load(
        write_images_folder(tmp_path / "twins", rows, {"a.png": 1, "b.png": 1, "c.png": 2})
    )
    assert list_judgements(twins) == {
        "en:q:a-0": {"en:a-0": SELF_MATCH, "de:b-0": 1, "image:a": 1, "image:b": 1, "image:d": 1},
        "de:q:b-0": {"en:a-0": 1, "de:b-0": SELF_MATCH, "image:a": 1, "image:b": 1, "image:d": 1},
        "de:q:c-0": {"de:c-0": SELF_MATCH, "en:c-0": 1, "image:c": 1},
        "en:q:c-0": {"de:c-0": 1, "en:c-0": SELF_MATCH, "image:c": 1},
        "image:q:a": {"en:a-0": 1, "de:b-0": 1, "image:a": SELF_MATCH},
        "image:q:b": {"en:a-0": 1, "de:b-0": 1, "image:b": SELF_MATCH},
        "image:q:c": {"de:c-0": 1, "en:c-0": 1, "image:c": SELF_MATCH},
    }
    texts = twins.passages["text"].to_pylist()[-4:]
    assert texts[0] == texts[1] == texts[3] != texts[2]
    assert caplog.messages[0] == (
        "twins: 3 ids share 1 image, first 'a', 'b', 'd': captions of one are taken to fit the "
        "others"
    )


def test_oddities_are_counted_on_each_load(tmp_path: Path, caplog: Any) -> None:
    path = write_images_folder(
        tmp_path / "odd", [*CATS, {"id": "c", "image": "c.png", "captions": {"de": "x"}}]
    )
    Image.new("RGBA", (2, 2)).save(path / "sun.png")
    Image.new("LA", (2, 2)).save(path / "c.png")
    first = load(path)
    messages = [
        "odd: images that are converted: 2 transparent, 1 grey",
        "odd: images without a caption in a language: de 1, en 1, zza 2",
    ]
    assert caplog.messages == messages
    assert load(path).passages == first.passages
    assert caplog.messages == messages * 2  # the second time it is not built


def test_an_image_that_changes_is_read_anew(tmp_path: Path) -> None:
    path = write_images_folder(tmp_path / "cats", CATS)
    before = load(path).view("image").queries["text"].to_pylist()
    (path / "sun.png").write_bytes(make_image(99))
    os.utime(path / "sun.png", ns=(1, 1))
    after = load(path).view("image").queries["text"].to_pylist()
    assert before[0] == after[0]
    assert after[1] == f"sha256:{sha256(make_image(99)).hexdigest()}" != before[1]


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
            WHERE + ": 'image' is 'a\\x00.png', which is no path: embedded null byte",
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


def test_odd_ids_and_texts_are_taken_as_they_are(tmp_path: Path) -> None:
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


def test_every_image_that_is_no_good_is_counted(tmp_path: Path) -> None:
    rows = [{"id": f"{n}", "image": f"{n}.png", "captions": {"en": f"{n}"}} for n in range(4)]
    path = write_images_folder(tmp_path / "x", rows)
    (path / "1.png").write_bytes(b"")
    (path / "3.png").write_bytes(make_image(3)[:40])
    with pytest.raises(BadData) as error:
        load(path)
    message = f"x: 2 of 4 images are unusable: the image {path}/1.png is empty: 0 bytes"
    assert str(error.value) == message


@pytest.mark.parametrize("what", ["folder", "captions", "twice", "json"])
def test_folders_that_will_not_do_are_named(tmp_path: Path, what: str) -> None:
    path = write_images_folder(tmp_path / "x", [CATS[0], CATS[0]])
    message = f"{path}/captions.jsonl line 2: the id 'cat' is there twice"
    if what == "folder":
        path = tmp_path / "none"
        message = f"there is no folder {path}"
    elif what == "captions":
        (path / "captions.jsonl").unlink()
        message = f"{path} lacks captions.jsonl, a line for each image"
    elif what == "json":
        (path / "captions.jsonl").write_text("cat.png\tA cat\n", "utf-8")
        message = f"{path}/captions.jsonl line 1 is not JSON: "
    with pytest.raises(BadData) as error:
        load(path)
    assert str(error.value).startswith(message)


def test_two_at_once_and_one_killed(tmp_path: Path, own_cache: Path) -> None:
    rows = [{"id": f"{n}", "image": f"{n}.png", "captions": {"en": f"n {n}"}} for n in range(1500)]
    path = write_images_folder(tmp_path / "many", rows)
    command = [sys.executable, "-c", LOAD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not list(own_cache.glob("collections/*.building")):
            time.sleep(0.005)
            assert process.poll() is None
        process.kill()
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    shown = "Collection('many', 1 language, 1,500 images, 3,000 queries, 3,000 passages)\n"
    assert [process.communicate()[0] for process in both] == [shown, shown]
    assert [process.returncode for process in both] == [0, 0]
    left = [path.name for path in (own_cache / "collections").iterdir() if path.is_dir()]
    assert len(left) == 1
    assert not left[0].endswith(".building")


def emoji() -> Path:
    mirror = os.environ.get("BEIR_HYBRID_MIRROR", "")
    emoji = Path(mirror).parent / "emoji"
    if not mirror or not emoji.is_dir():
        pytest.skip("needs the folder emoji beside that of BEIR_HYBRID_MIRROR")
    return emoji


@pytest.mark.usefixtures("mirror")
def test_emoji() -> None:
    path = emoji()
    collection = load(path)
    assert repr(collection) == (
        "Collection('emoji', 11 languages, 1,294 images, 15,528 queries, 15,528 passages)"
    )
    langs = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
    assert collection.languages == langs
    # 11 x 1,294 captions.
    assert sum(len(collection.find_passage_rows(lang)) for lang in langs) == 14_234
    first = collection.view("image", "de")
    assert first.passages["text"][0].as_py() == "helle Hautfarbe"
    assert first.qrels.slice(0, 1).to_pylist() == [
        {"query_id": "image:q:1f3fb", "passage_id": "de:1f3fb-0", "relevance": 1}
    ]
    # Of each caption itself, 10 others and its image; of each image itself and 11 captions.
    assert len(collection.judgements) == 14_234 * 12 + 1_294 * 12
    assert Counter(collection.judgements["relevance"].to_pylist())[SELF_MATCH] == 15_528


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize(
    ("split", "count", "first"), [("test2016", 1000, "1007129816"), ("val", 1014, "1018148011")]
)
def test_multi30k_has_the_published_counts(
    tmp_path: Path, split: str, count: int, first: str
) -> None:
    place = "raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a"
    root = Path(os.environ["BEIR_HYBRID_MIRROR"], place, "data", "task1")
    stem = {"test2016": "test_2016_flickr"}.get(split, split)
    for number, name in enumerate((root / f"image_splits/{stem}.txt").read_text().split()):
        (tmp_path / name).write_bytes(make_image(number))
    collection = bh.load("multi30k", images=tmp_path, split=split)
    assert collection.languages == ("cs", "de", "en", "fr")
    assert [len(collection.find_passage_rows(group)) for group in collection.codes] == [count] * 5
    assert collection.view("image", "en").qrels.slice(0, 1).to_pylist() == [
        {"query_id": f"image:q:{first}", "passage_id": f"en:{first}-0", "relevance": 1}
    ]
    for lang in collection.languages:
        lines = gzip.decompress((root / f"raw/{stem}.{lang}.gz").read_bytes()).decode().split("\n")
        texts = collection.view("image", lang).passages["text"].to_pylist()
        assert texts == [line.strip() for line in lines[:-1]]
    # Of each caption itself, 3 others and its image; of each image itself and 4 captions.
    assert len(collection.judgements) == 4 * count * 5 + count * 5
    assert collection.options == {"split": split}


@pytest.mark.usefixtures("mirror")
def test_multi30k_translates(tmp_path: Path) -> None:
    texts = {
        "cs": "Muž v oranžové čepici na něco zírá.",
        "de": "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt.",
        "en": "A man in an orange hat starring at something.",
        "fr": "Un homme avec un chapeau orange regardant quelque chose.",
    }
    with pytest.raises(BadData) as error:
        bh.load("multi30k", images=tmp_path)
    message = f"multi30k: 1,000 of 1,000 images are missing, first {tmp_path}/1007129816.jpg"
    assert str(error.value) == message
    place = "multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a"
    file = f"raw.githubusercontent.com/{place}/data/task1/image_splits/test_2016_flickr.txt"
    for name in Path(os.environ["BEIR_HYBRID_MIRROR"], file).read_text().split():
        (tmp_path / name).write_bytes(make_image(int(name[:4]) % 256))
    collection = bh.load("multi30k", ["en", "fr"], images=tmp_path)
    assert collection.languages == ("en", "fr")
    rows = (
        collection.passages.slice(0, 1).to_pylist() + collection.passages.slice(1000, 1).to_pylist()
    )
    assert [row["text"] for row in rows] == [texts["en"], texts["fr"]]


@pytest.mark.usefixtures("mirror")
def test_xtd10_has_the_published_counts(tmp_path: Path, caplog: Any) -> None:
    place = (
        "adobe-research/Cross-lingual-Test-Dataset-XTD10/d77ff16148468c84287f3efcbf602a015c5e4954"
    )
    root = Path(os.environ["BEIR_HYBRID_MIRROR"], "raw.githubusercontent.com", place)
    names = (root / "XTD10/test_image_names.txt").read_text().split()
    for number, name in enumerate(names):
        # COCO's own layout, and images that lie side by side.
        part = tmp_path / name.split("_")[1] if number % 2 else tmp_path
        part.mkdir(exist_ok=True)
        (part / name).write_bytes(make_image(number))
    collection = bh.load("xtd10", images=tmp_path)
    langs = ("de", "en", "es", "fr", "it", "ja", "ko", "pl", "ru", "tr", "zh")
    assert collection.languages == langs
    assert [len(collection.find_passage_rows(group)) for group in collection.codes] == [1000] * 12
    [text] = collection.view("image", "zh").passages["text"].slice(1, 1).to_pylist()
    assert text == "一只猫将爪子放在桌子上的电脑鼠标上"
    [text] = collection.view("image", "de").passages["text"].slice(1, 1).to_pylist()
    assert (
        text
        == "Eine Katze spielt mit seinen Pfoten an einer Computer-Maus auf einem Schreibtisch ."
    )
    lines = (root / "STAIR/test_1kcaptions_jp.txt").read_text("utf-8").split("\n")
    japanese = collection.view("image", "ja").passages["text"].to_pylist()
    assert japanese == [line.strip() for line in lines[:1000]]
    assert collection.queries["group"][0].as_py() == "COCO_train2014_000000061844"
    assert {origin.lang for origin in collection.provenance} == {"", *langs}
    assert any(
        "xtd10 is licensed Adobe Research Licence: noncommercial" in m for m in caplog.messages
    )


def write_table(
    path: Path, rows: list[Row], columns: dict[str, pa.DataType], *, parts: int = 1, stem: str
) -> list[Path]:
    """Write a table as the hub has it: images as bytes beside a path that is null."""
    schema = pa.schema(
        [*columns.items(), ("image", pa.struct([("bytes", pa.binary()), ("path", pa.null())]))]
    )
    files = []
    for part in range(parts):
        file = path / f"{stem}-{part:05}-of-{parts:05}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        part_rows = [{**row, "image": {"bytes": row["image"]}} for row in rows[part::parts]]
        pq.write_table(pa.Table.from_pylist(part_rows, schema), file)
        files.append(file)
    return files


LISTS = {
    "image_id": pa.string(),
    "image_locale": pa.string(),
    "captions": pa.list_(pa.string()),
    "captions_tokenized": pa.list_(pa.string()),
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a mirror that holds the hub's files."""
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    folder = tmp_path / "mirror" / "huggingface.co" / "datasets"
    folder.mkdir(parents=True)
    return folder


def name_folder(hub: Path, repository: tuple[str, str]) -> Path:
    return hub / repository[0] / "resolve" / repository[1]


def make_rows(captions: dict[str, list[str | None]], shift: int = 0) -> list[Row]:
    return [
        {
            "image_id": key,
            "image_locale": "en",
            "captions": texts,
            "image": make_image(50 * (n + shift), "JPEG"),
        }
        for n, (key, texts) in enumerate(captions.items())
    ]


def test_tables_of_lists_of_captions(hub: Path, own_cache: Path, caplog: Any) -> None:
    place = name_folder(hub, XM3600)
    english = write_table(
        place, make_rows({"1f": ["A cat", "Puss "], "2f": ["A dog"]}), LISTS, stem="data/en"
    )
    quechua = make_rows({"1f": ["Misi"], "2f": ["", "Allqu", None]})
    second = write_table(place, quechua, LISTS, parts=2, stem="data/quz")
    collection = bh.load("xm3600", ["quz", "eng"])
    assert collection.languages == ("en", "qu")
    assert dict(
        zip(
            collection.passages["id"].to_pylist()[:5],
            collection.passages["text"].to_pylist(),
            strict=False,
        )
    ) == {
        "en:1f-0": "A cat",
        "en:1f-1": "Puss",
        "en:2f-0": "A dog",
        "qu:1f-0": "Misi",
        "qu:2f-0": "Allqu",
    }
    assert list_judgements(collection)["image:q:2f"] == {
        "en:2f-0": 1,
        "qu:2f-0": 1,
        "image:2f": SELF_MATCH,
    }
    # Each image is one file, though both tables hold it.
    sums = [sha256(make_image(n, "JPEG")).hexdigest() for n in (0, 50)]
    assert collection.view("image").queries["text"].to_pylist() == [f"sha256:{one}" for one in sums]
    files = sorted(path for path in (own_cache / "pictures").rglob("*") if path.is_file())
    assert files == sorted(own_cache / "pictures" / one[:2] / one for one in sums)
    assert collection.view("image").queries["image"].to_pylist() == [
        str(own_cache / "pictures" / one[:2] / one) for one in sums
    ]
    assert collection.options == {"captions": "all", "revision": XM3600[1]}
    assert collection.provenance == tuple(
        Origin(
            f"hf://datasets/mteb/xm3600/data/{path.name}",
            sha256(path.read_bytes()).hexdigest(),
            XM3600[1],
            lang,
        )
        for lang, path in [("en", english[0]), ("qu", second[0]), ("qu", second[1])]
    )
    assert "xm3600: captions that are empty are left out: 2" in caplog.messages
    first = bh.load("xm3600", ["quz", "eng"], captions="first")
    assert first.passages["id"].to_pylist()[:4] == ["en:1f-0", "en:2f-0", "qu:1f-0", "qu:2f-0"]
    with pytest.raises(BadOption, match=r"^captions is 'one'; use one of "):
        bh.load("xm3600", "en", captions="one")


def test_images_missing_in_the_cache_are_stored_again(
    hub: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    write_table(
        name_folder(hub, XM3600),
        make_rows({"1f": ["A cat"], "2f": ["", "A dog"]}),
        LISTS,
        stem="data/en",
    )
    cat, dog = bh.load("xm3600", "en").view("image").queries["image"].to_pylist()
    contents = [make_image(0, "JPEG"), make_image(50, "JPEG")]
    Path(dog).unlink()
    caplog.clear()
    assert bh.load("xm3600", "en").view("image").queries["image"].to_pylist() == [cat, dog]
    assert [Path(path).read_bytes() for path in (cat, dog)] == contents
    blank = "xm3600: captions that are empty are left out: 1"
    assert caplog.messages == [
        blank,
        "xm3600: images that the cache lacks are read anew: 1",
    ]
    # All is there: only what is odd about the data is said.
    bh.load("xm3600", "en")
    assert caplog.messages[2:] == [blank]
    # In a cache that was moved, images have other paths.
    moved = own_cache.rename(tmp_path / "moved")
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(moved))
    paths = bh.load("xm3600", "en").view("image").queries["image"].to_pylist()
    assert paths == [str(moved / Path(path).relative_to(own_cache)) for path in (cat, dog)]
    assert [Path(path).read_bytes() for path in paths] == contents


def test_tables_of_one_caption(hub: Path) -> None:
    columns = {"sentences": pa.string(), "id": pa.string()}
    for lang, text in (("de", "Katze"), ("ja", "猫")):
        rows = [{"id": "7", "sentences": text, "image": make_image(5, "JPEG")}]
        write_table(name_folder(hub, XFLICKRCO), rows, columns, stem=f"data/{lang}")
    collection = bh.load("xflickrco", ["ja", "de"])
    assert list_judgements(collection) == {
        "de:q:7-0": {"de:7-0": SELF_MATCH, "ja:7-0": 1, "image:7": 1},
        "ja:q:7-0": {"de:7-0": 1, "ja:7-0": SELF_MATCH, "image:7": 1},
        "image:q:7": {"de:7-0": 1, "ja:7-0": 1, "image:7": SELF_MATCH},
    }
    assert collection.passages["text"].to_pylist()[:2] == ["Katze", "猫"]


def test_languages_of_wit_have_images_of_their_own(hub: Path, caplog: Any) -> None:
    columns = {"image_id": pa.string(), "captions": pa.list_(pa.string())}
    greeks = make_rows({"x y.jpg": ["γάτα"], "z": ["σκύλος"]})
    write_table(name_folder(hub, WIT_TABLES), greeks, columns, stem="data/el")
    japanese = make_rows({"x y.jpg": ["猫"], "w": [" "]}, 2)
    write_table(name_folder(hub, WIT_TABLES), japanese, columns, stem="data/ja")
    both, greek = bh.load("wit", ["el", "ja"]), bh.load("wit", "el")
    # Ids have no white space; the image without a caption is a passage only.
    assert list(list_judgements(both)) == [
        *("el:q:x%20y.jpg-0", "el:q:z-0", "ja:q:x%20y.jpg-0"),
        *("image:q:x%20y.jpg", "image:q:z"),
    ]
    assert both.view("el", "image").passages["id"].to_pylist() == [
        *("image:x%20y.jpg", "image:z", "image:w")
    ]
    assert greek.view("el", "image").passages["id"].to_pylist() == ["image:x%20y.jpg", "image:z"]
    assert both.caveat == (
        "the images of all languages are one pool, where published figures have several"
    )
    assert greek.caveat == ""
    assert (
        "wit: images that differ in another language, where the first is taken: 1"
        in caplog.messages
    )


def test_bad_tables_are_named(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = name_folder(hub, XM3600)
    rows = make_rows({"1f": ["A cat"]})
    [file] = write_table(place, [*rows, *rows], LISTS, stem="data/en")
    with pytest.raises(BadData, match=rf"^{file}: the image '1f' is there twice$"):
        bh.load("xm3600", "en")
    write_table(place, [rows[0] | {"image": None}], LISTS, stem="data/en")
    with pytest.raises(BadData, match=rf"^{file}: the row of '1f' has no id or no image$"):
        bh.load("xm3600", "en")
    write_table(place, rows, {"image_id": pa.string()}, stem="data/en")
    with pytest.raises(BadData, match=rf"^{file} has no column 'captions'$"):
        bh.load("xm3600", "en")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BadData, match=rf"^{file} is damaged or no Parquet file: "):
        bh.load("xm3600", "en")
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    missing = "the list of files of the hub's dataset mteb/xm3600 is not in the cache"
    with pytest.raises(Unreachable, match=rf"^{missing} .*data/de-00000-of-00001.parquet$"):
        bh.load("xm3600", "de")


def test_the_hub_lists_the_files_of_a_table(tmp_path: Path, own_cache: Path) -> None:
    rows = make_rows({"1": ["γάτα"], "2": ["σκύλος"]})
    files = write_table(tmp_path / "made", rows, LISTS, parts=2, stem="data/el")
    names = [
        "README.md",
        *(f"data/{file.name}" for file in files),
        "data/ja-00000-of-00001.parquet",
    ]
    repository, commit = WIT_TABLES
    facts = {"id": repository, "sha": commit, "siblings": [{"rfilename": name} for name in names]}
    responses = {f"/api/datasets/{repository}/revision/{commit}": json.dumps(facts).encode()}
    for file in files:
        responses[f"/datasets/{repository}/resolve/{commit}/data/{file.name}"] = file.read_bytes()
    with serve_files(responses) as server:
        server.headers, server.has_etags = {"X-Repo-Commit": commit}, True
        env = {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "home"),
            "NO_PROXY": "127.0.0.1",
        }
        for _ in range(2):
            process = subprocess.run(
                [sys.executable, "-c", WIT],
                env=os.environ | env,
                stdout=subprocess.PIPE,
                check=True,
            )
            shown = "Collection('wit', 1 language, 2 images, 4 queries, 4 passages)\n"
            assert process.stdout.decode() == shown
        paths = [
            request.path for request in server.requests if request.path.startswith("/api/datasets")
        ]
        assert paths == [f"/api/datasets/{repository}/revision/{commit}"]
    # The files lie as in a mirror, whose names say how many there are.
    folder = own_cache / "files" / "huggingface.co" / "datasets" / repository / "resolve" / commit
    assert sorted(path.name for path in (folder / "data").glob("*.parquet")) == [
        f.name for f in files
    ]


def run_program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"COLUMNS": "80"}
    return subprocess.run(
        [PROGRAM, *arguments], env=env, capture_output=True, text=True, check=False
    )


def test_the_command_line_counts_images(tmp_path: Path) -> None:
    path = write_images_folder(tmp_path / "cats", CATS)
    option = ("-o", f"path={path}")
    process = run_program("datasets", "fetch", "jsonl-image-text", *option)
    assert process.stdout == (
        "jsonl-image-text: 7 queries, 7 passages\n"
        "  de          1 queries            1 passages\n"
        "  en          3 queries            3 passages\n"
        "  zza          1 queries            1 passages\n"
        "  2 images, which are queries and passages too\n"
    )
    assert process.stderr.count("\n") == 1
    counts = json.loads(
        run_program("datasets", "fetch", "jsonl-image-text", *option, "--json").stdout
    )
    assert counts["images"] == 2
    assert counts["languages"]["en"] == {"queries": 3, "passages": 3}
    whole = run_program("datasets", "export", "jsonl-image-text", tmp_path / "whole", *option)
    assert whole.stdout == f"{tmp_path}/whole: 7 queries, 7 passages\n"
    assert bh.read_folder(tmp_path / "whole").codes == ("de", "en", "zza", "image")
    sides = ("--queries", "image", "--passages", "de")
    one = run_program("datasets", "export", "jsonl-image-text", tmp_path / "one", *sides, *option)
    assert one.stdout == f"{tmp_path}/one: 1 query, 1 passage\n"
    (path / "sun.png").write_bytes(b"")
    process = run_program("datasets", "fetch", "jsonl-image-text", *option)
    assert process.returncode != 0
    assert process.stderr == (
        f"BadData: cats: 1 of 2 images is unusable: the image {path}/sun.png is empty: 0 bytes\n"
    )


@pytest.mark.parametrize("name", ["multi30k", "xtd10", "xm3600", "xflickrco", "wit"])
def test_published_datasets_are_described(name: str) -> None:
    dataset = bh.datasets()[name]
    assert dataset.licence
    assert dataset.citation
    assert dataset.homepage.startswith("https://")
    assert sorted(dataset.languages) == list(dataset.languages)
    assert (
        set(dataset.options)
        == {
            "multi30k": {"images", "split"},
            "xtd10": {"images"},
            "xm3600": {"captions"},
            "xflickrco": set(),
            "wit": {"captions"},
        }[name]
    )


def test_tables_of_images_are_read_in_parts(tmp_path: Path) -> None:
    rows, size = 800, 20_000  # many times the rows read at a time
    path = tmp_path / "images.parquet"
    draw = np.random.default_rng(1)
    table = pa.table({
        "image_id": [f"{number}" for number in range(rows)],
        "image": [{"bytes": draw.bytes(size)} for _ in range(rows)],
    })  # fmt: skip
    pq.write_table(table, path, row_group_size=20)
    del table
    before, most, read = pa.total_allocated_bytes(), 0, 0
    for row in _read_table(path, ("image_id", "image")):
        most = max(most, pa.total_allocated_bytes() - before)
        read += len(row["image"]["bytes"])
    assert read == rows * size
    assert most < rows * size / 2
