"""Collections from a folder of one's own images and captions."""

import json
import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import beir_hybrid as bh
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.errors import UnknownName
from tests.image_files import CATS, list_judgements, load, make_image, write_images_folder

PROGRAM = Path(sys.executable).with_name("beir-hybrid")


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
    process = run_program("datasets", "export", "jsonl-image-text", tmp_path / "whole", *option)
    assert process.stdout == f"{tmp_path}/whole: 7 queries, 7 passages\n"
    assert bh.read_folder(tmp_path / "whole").codes == ("de", "en", "zza", "image")
    sides = ("--queries", "image", "--passages", "de")
    process = run_program(
        "datasets", "export", "jsonl-image-text", tmp_path / "one", *sides, *option
    )
    assert process.stdout == f"{tmp_path}/one: 1 query, 1 passage\n"
    (path / "sun.png").write_bytes(b"")
    process = run_program("datasets", "fetch", "jsonl-image-text", *option)
    assert process.returncode != 0
    assert process.stderr == (
        f"BadData: cats: 1 of 2 images is unusable: the image {path}/sun.png is empty: 0 bytes\n"
    )
