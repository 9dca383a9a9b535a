"""Multi30K, XTD10, XM3600, xFlickr&CO and WIT: counts, tables on the hub, bad tables."""

import gzip
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Origin
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.errors import BadData, BadOption, Unreachable
from beir_hybrid.sources.parquet import read_parquet
from tests.http_server import serve_files
from tests.image_files import Row, list_judgements, make_image

WIT = """
import beir_hybrid as bh
print(bh.load("wit", "el"))
"""
XM3600 = "mteb/xm3600", "536cd45bbfe53de9b08c0483bb4a76a4bd3673fa"
XFLICKRCO = "mteb/xflickrco", "4da629e05455d757306174cdc72f2edfe00b9027"
WIT_TABLES = "mteb/wit", "91ac153f1371a98b209ed763205e25e115ecd06e"


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
    assert collection.view("image").queries["text"].to_pylist() == [
        f"sha256:{checksum}" for checksum in sums
    ]
    files = sorted(path for path in (own_cache / "images").rglob("*") if path.is_file())
    assert files == sorted(own_cache / "images" / checksum[:2] / checksum for checksum in sums)
    assert collection.view("image").queries["image"].to_pylist() == [
        str(own_cache / "images" / checksum[:2] / checksum) for checksum in sums
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
            expected = "Collection('wit', 1 language, 2 images, 4 queries, 4 passages)\n"
            assert process.stdout.decode() == expected
        paths = [
            request.path for request in server.requests if request.path.startswith("/api/datasets")
        ]
        assert paths == [f"/api/datasets/{repository}/revision/{commit}"]
    # The files lie as in a mirror, whose names say how many there are.
    folder = own_cache / "files" / "huggingface.co" / "datasets" / repository / "resolve" / commit
    assert sorted(path.name for path in (folder / "data").glob("*.parquet")) == [
        f.name for f in files
    ]


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
    for row in read_parquet(path, ("image_id", "image"), 64):
        most = max(most, pa.total_allocated_bytes() - before)
        read += len(row["image"]["bytes"])
    assert read == rows * size
    assert most < rows * size / 2
